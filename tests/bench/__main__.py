"""All groups, one after the other, into docs/benchmarks.md: `make bench`.

python -m tests.bench --only abc
python -m tests.bench --only f --history 10000000
"""

import argparse
import asyncio
import logging
import os
import platform
import re
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import acknowledging, commands, history, latency, output, starting, stopping
from tests.bench.place import KINDS, NEWEST, Report, say

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
MARK = "<!-- measured -->"
LONGEST = 900  # seconds for one group; the history's depends on its rows
GROUPS: Mapping[str, tuple[Any, Mapping[str, int]]] = {
    "a": (commands, {"executions": 1000, "playbooks": 40}),
    "b": (acknowledging, {"executions": 100, "flood": 1000}),
    "c": (output, {"rate": 20_000, "seconds": 60, "lines": 200_000}),
    "d": (stopping, {"rounds": 5}),
    "e": (latency, {"rounds": 25, "executions": 200}),
    "f": (history, {"most": 1_000_000}),
    "g": (starting, {"rounds": 5}),
}


def machine() -> str:
    """What it was measured on."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    return (
        f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), "
        f"Python {platform.python_version()}; {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; load before it: {load}"
    )


def section(report: Report, where: str) -> str:
    """One group's part of the page."""
    lines = [f"### {report.group}. {report.title}", "", f"Measured on {where}.", ""]
    if report.figures:
        lines += ["| what | installation | found | goal | |", "|---|---|---|---|---|"]
    for one in report.figures:
        verdict = {True: "met", False: "**missed**", None: ""}[one.met]
        lines.append(f"| {one.what} | {one.where} | {one.value} | {one.goal} | {verdict} |")
    return "\n".join([*lines, "", *report.notes]).rstrip() + "\n"


def write(reports: list[Report], where: str) -> None:
    """Into the page, each in the place of what its group found before; other groups' parts stay."""
    before, _, rest = PAGE.read_text().partition(MARK)
    measured, _, after = rest.partition(MARK)
    parts = {part[4]: part.strip() + "\n" for part in re.split(r"(?m)^(?=### )", measured) if part.startswith("### ")}
    parts |= {report.group: section(report, where) for report in reports}
    PAGE.write_text(f"{before}{MARK}\n" + "\n".join(parts[group] for group in sorted(parts)) + f"\n{MARK}{after}")


def main() -> int:
    """Measure, and write the page. 0 also where a goal is missed: the page says so."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="".join(GROUPS), help="letters of groups; the page keeps its other parts")
    parser.add_argument("--kind", choices=list(KINDS), help="only this installation; then the page is left alone")
    parser.add_argument("--history", type=int, default=1_000_000, help="most rows of history")
    args = parser.parse_args()
    logging.getLogger("asyncssh").setLevel(logging.ERROR)
    where, reports = machine(), []
    for letter in args.only:
        module, options = GROUPS[letter]
        chosen = {**options, **({"most": args.history} if letter == "f" else {})}
        began = time.perf_counter()
        try:
            measuring = module.measure(Namespace(kind=args.kind, **chosen))
            reports.append(asyncio.run(asyncio.wait_for(measuring, LONGEST if letter != "f" else None)))
        except (Exception, SystemExit) as error:  # the other groups are measured all the same, and the page says it
            what = (str(error).splitlines() or [""])[0] or type(error).__name__
            say(f"  {letter} broke: {error!r}")
            begun = NEWEST[0] if NEWEST and NEWEST[0].group == letter else Report(group=letter, title=module.__name__)
            begun.notes.append(f"It broke before its end: {what}")
            reports.append(begun)
        say(f"  {letter} took {time.perf_counter() - began:.0f} s")
    if args.kind is None:
        write(reports, where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
