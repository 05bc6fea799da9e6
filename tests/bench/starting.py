"""g. How long `handrail serve` takes until it is ready, and `handrail --help` until it has answered.

python -m tests.bench.starting --rounds 5
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.bench.place import Report, databases, installed, percentile, run
from tests.system.openssh import openssh
from tests.system.serving import ROOT


async def measure(args: argparse.Namespace) -> Report:
    """Each kind of installation; the first start, which makes the tables, is left out."""
    report = Report(group="g", title="Starting")
    waits = []
    for _ in range(args.rounds):
        began = time.perf_counter()
        await asyncio.to_thread(subprocess.run, [sys.executable, "-m", "bot", "--help"], cwd=ROOT, capture_output=True)
        waits.append(time.perf_counter() - began)
    half = percentile(waits, 0.5)
    said = f"p50 {half:.2f} s, at most {max(waits):.2f} s of {len(waits)}"
    report.add("handrail --help", "", said, "0.4 s", half <= 0.4)
    with ExitStack() as stack:
        host = stack.enter_context(openssh(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        for kind, url in databases(stack, args.kind):
            async with installed(kind, {"h01": host}, url) as place:
                waits = []
                for _ in range(args.rounds):
                    await place.bot.stop()
                    began = time.perf_counter()
                    await place.bot.start()
                    waits.append(time.perf_counter() - began)
                half = percentile(waits, 0.5)
                said = f"p50 {half:.2f} s, at most {max(waits):.2f} s of {len(waits)}"
                report.add("handrail serve is ready", kind, said, "2 s", half <= 2)
    return report


def main() -> int:
    """By itself."""
    return run(measure, rounds=5)


if __name__ == "__main__":
    sys.exit(main())
