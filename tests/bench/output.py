"""c. Output: lines from remote commands through redaction into SQL, steadily, and as fast as they come.

    python -m tests.bench.output --rate 20000 --seconds 60
    python -m tests.bench.output --rate 20000 --seconds 10 --lines 200000

The second part compares with bare asyncssh that reads by the line, and inserts in batches into the same database.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, insert, select

from storage import tables as t
from storage.database import writer_engine
from tests.bench.place import Place, Report, bare_connections, databases, installed, run, ten_hosts
from tests.system.openssh import OpenSsh

STEPS = 100


async def printed(place: Place, lines: int, seconds: int) -> tuple[float, int, int, float]:
    """So many lines in each of a hundred steps: seconds that took, lines kept, lines only counted, megabytes more."""
    before, idle = await place.newest(), place.memory()
    peak, names = idle, list(place.hosts)
    began = time.perf_counter()
    for number, name in enumerate(names):
        await place.type(f"/runbook flood {before + number} {lines} {seconds} on {name}")
    while sum((await place.states(before)).values()) < len(names) or await place.unfinished(before):
        peak = max(peak, place.memory())
        await asyncio.sleep(0.1)
    took = time.perf_counter() - began
    states = await place.states(before)
    if states != {"succeeded": len(names)}:
        raise SystemExit(f"Not all succeeded: {states}: {await place.reason(before)}")
    r = t.step_runs.c
    asked = select(func.sum(r.lines), func.sum(r.dropped)).where(r.execution_id > before)
    row = (await place.database.read(lambda connection: connection.execute(asked).all()))[0]
    kept = await place.database.read(
        lambda connection: connection.scalar(select(func.count()).where(t.output.c.execution_id > before))
    )
    if kept != int(row[0]) or int(row[0]) + int(row[1]) != STEPS * lines:
        raise SystemExit(f"{STEPS * lines} lines were printed, {row[0]} kept ({kept} there), {row[1]} counted")
    return took, int(row[0]), int(row[1]), peak - idle


async def bare(place: Place, hosts: Mapping[str, OpenSsh], lines: int) -> float:
    """Seconds of bare asyncssh for as many lines, each kept in a row, a thousand to a transaction."""
    engine = writer_engine(place.database.url)
    queue: asyncio.Queue[list[dict[str, object]] | None] = asyncio.Queue(20)
    execution = await place.newest()
    program = f"{place.bot.folder}/flood {lines} 0"

    def keep(rows: list[dict[str, object]]) -> None:
        with engine.begin() as connection:
            connection.execute(insert(t.output), rows)

    async def write() -> None:
        while (rows := await queue.get()) is not None:
            await asyncio.to_thread(keep, rows)

    async with bare_connections(hosts, 2) as connections:
        began = time.perf_counter()
        writing = asyncio.create_task(write())
        numbers = itertools.count(1_000_000)

        async def read(number: int) -> None:
            rows: list[dict[str, object]] = []
            async with connections[number % len(connections)].create_process(program) as process:
                async for line in process.stdout:
                    now = datetime.now(UTC)
                    row = {"execution_id": execution, "host": "bare", "step": "1", "attempt": 1, "stream": "out"}
                    rows.append(row | {"seq": next(numbers), "text": line.rstrip("\n"), "at": now})
                    if len(rows) >= 1000:
                        await queue.put(rows)
                        rows = []
            await queue.put(rows)

        await asyncio.gather(*(read(number) for number in range(STEPS)))
        await queue.put(None)
        await writing
        seconds = time.perf_counter() - began
    engine.dispose()
    return seconds


async def measure(args: argparse.Namespace) -> Report:
    """Each kind of installation."""
    report = Report(group="c", title=f"Output of {STEPS} commands at once, through redaction into SQL")
    with ExitStack() as stack:
        hosts = stack.enter_context(ten_hosts(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        for kind, url in databases(stack, args.kind):
            async with installed(kind, hosts, url) as place:
                each = args.rate * args.seconds // STEPS
                took, kept, counted, memory = await printed(place, each, args.seconds)
                rate = (kept + counted) / took
                said = f"{rate:.0f} lines a second for {took:.0f} s; {kept} kept, {counted} only counted"
                report.add(f"{args.rate:,} a second, steadily", kind, said, f"{args.rate:,}", rate >= 0.9 * args.rate)
                report.add("memory above the idle bot's meanwhile", kind, f"{memory:.0f} MB")
                most = args.lines // STEPS
                least = await bare(place, hosts, most)
                mine, kept, _, _ = await printed(place, most, 0)
                least = (least + await bare(place, hosts, most)) / 2
                said = f"{least / mine:.2f} x ({kept / mine:.0f} to {STEPS * most / least:.0f} lines a second)"
                report.add("as fast as they come, to bare asyncssh and inserts", kind, said, "0.5 x", mine <= 2 * least)
    report.notes.append(
        "Of each step 5,000 lines are kept, the others are counted; both are checked against the hosts."
    )
    return report


def main() -> int:
    """By itself."""
    return run(measure, rate=20_000, seconds=20, lines=100_000)


if __name__ == "__main__":
    sys.exit(main())
