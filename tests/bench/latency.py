"""e. From the request to the first byte on the host, and what the bookkeeping of steps costs.

python -m tests.bench.latency --rounds 50 --executions 500
"""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from storage import executions
from tests.bench.place import Place, Report, bare_connections, databases, installed, percentile, run, ten_hosts


async def first_byte(place: Place) -> float:
    """Seconds from the request until its command began: the host, which has our clock, says when that was."""
    before = await place.newest()
    began = time.time()
    await place.type(f"/runbook now {next(place.numbers)} on h01")
    states = await place.ended(before, 1)
    number = await place.newest()
    lines = await place.database.read(executions.output_of, number)
    if len(lines) != 1:
        raise SystemExit(f"Execution {number} printed {len(lines)} lines: {states}: {await place.reason(before)}")
    return float(lines[0].text) - began


async def bookkeeping(place: Place, number: int) -> float:
    """Executions of ten steps that do nothing, a second."""
    before = await place.newest()
    names = list(place.hosts)
    began = time.perf_counter()
    await asyncio.gather(*(place.type(f"/runbook ten {before + n} on {names[n % 10]}") for n in range(number)))
    states = await place.ended(before, number)
    if states != {"succeeded": number}:
        raise SystemExit(f"Not all succeeded: {states}\n{place.bot.log()}")
    return number / (time.perf_counter() - began)


async def measure(args: argparse.Namespace) -> Report:
    """Each kind of installation."""
    report = Report(group="e", title="From a request to the host, and the bookkeeping")
    with ExitStack() as stack:
        hosts = stack.enter_context(ten_hosts(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        for kind, url in databases(stack, args.kind):
            async with installed(kind, hosts, url) as place, bare_connections({"h01": hosts["h01"]}, 1) as [bare]:
                mine, least = [], []
                for _ in range(args.rounds + 3):
                    began = time.time()
                    done = await bare.run("date +%s.%N", check=True)
                    least.append(float(str(done.stdout)) - began)
                    mine.append(await first_byte(place))
                half, bare_half = percentile(mine[3:], 0.5), percentile(least[3:], 0.5)
                said = f"{half / bare_half:.1f} x (p50 {half * 1e3:.1f} to {bare_half * 1e3:.1f} ms)"
                report.add(
                    "request to first byte on the host, to bare asyncssh's", kind, said, "3 x", half <= 3 * bare_half
                )
                await bookkeeping(place, 20)
                rate = await bookkeeping(place, args.executions)
                goal = rate >= 100 if kind.startswith("PostgreSQL") else None
                said = f"{rate:.1f} executions a second"
                report.add("ten steps that do nothing", kind, said, "100 a second" if goal is not None else "", goal)
    report.notes.append(
        "The connection is warm. From the request on, the bot commits and acknowledges it, accepts it, claims it, plans"
        " and admits it, and marks its first step as started: five commits one after the other."
    )
    return report


def main() -> int:
    """By itself."""
    return run(measure, rounds=25, executions=200)


if __name__ == "__main__":
    sys.exit(main())
