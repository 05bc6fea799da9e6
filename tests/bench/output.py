"""c. Output: lines from remote commands through redaction into SQL, steadily, and as fast as they come.

    python -m tests.bench.output --rate 20000 --seconds 60 --lines 200000

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
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, insert, select

from storage import tables as t
from storage.database import writer_engine
from tests.bench.place import KINDS, Place, Report, bare_connections, databases, installed, run, ten_hosts
from tests.system.openssh import OpenSsh

STEPS = 100
WHOLE = list(KINDS)[-1]  # what is measured for the whole time: the kind of installation that the goal is for


@dataclass(frozen=True, kw_only=True)
class Printed:
    """What became of the lines of a hundred steps."""

    took: float  # seconds from the request to the last ending
    rate: float  # lines a second of each step's own time, added up
    kept: int
    counted: int  # beyond what is kept of a step
    memory: float  # megabytes above the idle installation, at most


async def printed(place: Place, lines: int, seconds: int) -> Printed:
    """So many lines in each of a hundred steps, evenly over so many seconds."""
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
    asked = select(r.lines, r.dropped, r.started_at, r.ended_at).where(r.execution_id > before)
    steps = await place.database.read(lambda connection: connection.execute(asked).all())
    found, counted = sum(step.lines for step in steps), sum(step.dropped for step in steps)
    kept = await place.database.read(
        lambda connection: connection.scalar(select(func.count()).where(t.output.c.execution_id > before))
    )
    if kept != found or found + counted != STEPS * lines:
        raise SystemExit(f"{STEPS * lines} lines were printed, {found} kept ({kept} there), {counted} counted")
    rate = sum((one.lines + one.dropped) / (one.ended_at - one.started_at).total_seconds() for one in steps)
    return Printed(took=took, rate=rate, kept=kept, counted=counted, memory=peak - idle)


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
            if rows:
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
                seconds = args.seconds if args.kind or kind == WHOLE else max(1, args.seconds // 4)
                steady = await printed(place, args.rate * seconds // STEPS, seconds)
                lines = f"{steady.kept} kept, {steady.counted} only counted"
                said = f"{steady.rate:.0f} lines a second for {seconds} s; {lines}"
                report.add(
                    f"{args.rate:,} a second, steadily", kind, said, f"{args.rate:,}", steady.rate >= 0.97 * args.rate
                )
                report.add("memory above the idle bot's meanwhile", kind, f"{steady.memory:.0f} MB")
                most = args.lines // STEPS
                least = await bare(place, hosts, most)
                mine = await printed(place, most, 0)
                least = (least + await bare(place, hosts, most)) / 2
                rates = f"{mine.kept / mine.took:.0f} to {STEPS * most / least:.0f} lines a second"
                said = f"{least / mine.took:.2f} x ({rates})"
                met = mine.took <= 2 * least
                report.add("as fast as they come, to bare asyncssh and inserts", kind, said, "0.5 x", met)
    report.notes.append(
        "Of each step 5,000 lines are kept, the others are counted; both are checked against the hosts. The steady "
        "rate is each step's over its own time, added up (a program that begins late by 1 % has 99 %); the comparison "
        "counts from the request to the last ending."
    )
    return report


def main() -> int:
    """By itself."""
    return run(measure, rate=20_000, seconds=60, lines=200_000)


if __name__ == "__main__":
    sys.exit(main())
