"""d. `/killswitch global on --now` with 200 commands on ten hosts, and the cancel of one.

    python -m tests.bench.stopping --rounds 20

The hosts are stock sshd's, `MaxSessions` among the rest. What is over is looked up among the processes of the hosts.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.bench.place import Place, Report, databases, installed, percentile, run, ten_hosts
from tests.system.openssh import alive
from tests.system.serving import everything, sleepers, until

COMMANDS = 200


async def killed(place: Place) -> tuple[float, float]:
    """Seconds until every command was gone, and until the message with the counts was handed to Slack."""
    before = await place.newest()
    for number, name in enumerate(place.hosts):
        await place.type(f"/runbook crowd {before + number} on {name}")
    await until(lambda: len(sleepers(601)) == COMMANDS, f"{COMMANDS} commands", place.bot.log, timeout=60)
    told, left = len(_counts(place)), sleepers(601)
    await asyncio.sleep(0.5)
    began = time.perf_counter()
    typed = asyncio.create_task(place.type("/killswitch global on --now a benchmark"))
    gone = said = 0.0
    while not (gone and said):
        await asyncio.sleep(0.01)
        left = [pid for pid in left if alive(pid)]
        if not gone and not left:
            gone = time.perf_counter() - began
        if not said and len(_counts(place)) > told:
            said = time.perf_counter() - began
        if time.perf_counter() - began > 60:
            raise SystemExit(f"Not within a minute: {len(sleepers(601))} run\n{place.bot.log()}")
    await typed
    if sleepers(601):
        raise SystemExit(f"Some began meanwhile: {sleepers(601)}")
    if f"{COMMANDS} commands ended" not in _counts(place)[-1]:
        raise SystemExit(f"The message says: {_counts(place)[-1]}")
    states = await place.ended(before, len(place.hosts))
    if states != {"cancelled": len(place.hosts)}:
        raise SystemExit(f"They ended otherwise: {states}")
    await place.type("/killswitch global off the benchmark is over")
    await asyncio.sleep(3.5)  # the alerts channel is said one message a second
    return gone, said


def _counts(place: Place) -> list[str]:
    found = everything(place.workspace, "C0OPS")
    return [message.text for message in found if "commands ended" in message.text]


async def cancelled(place: Place) -> float:
    """Seconds until the one command of an execution is gone after its cancel."""
    before = await place.newest()
    await place.type(f"/runbook hold {before + 1} on h01")
    await until(lambda: sleepers(602), "a command", place.bot.log, timeout=60)
    await asyncio.sleep(0.3)
    number, left = await place.newest(), sleepers(602)
    began = time.perf_counter()
    typed = asyncio.create_task(place.type(f"/runbook cancel {number}"))
    while any(alive(pid) for pid in left):
        await asyncio.sleep(0.005)
    seconds = time.perf_counter() - began
    await typed
    await place.ended(before, 1)
    return seconds


async def measure(args: argparse.Namespace) -> Report:
    """Each kind of installation."""
    report = Report(group="d", title=f"{COMMANDS} running commands on ten hosts, ended at once")
    with ExitStack() as stack:
        hosts = stack.enter_context(ten_hosts(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        for kind, url in databases(stack, args.kind):
            async with installed(kind, hosts, url) as place:
                rounds = [await killed(place) for _ in range(args.rounds)]
                for what, waits in (
                    ("--now: every command gone", [gone for gone, _ in rounds]),
                    ("--now: looked at, and one message with the counts handed to Slack", [said for _, said in rounds]),
                ):
                    p99 = percentile(waits, 0.99)
                    said = f"p99 {p99 * 1e3:.0f} ms, p50 {percentile(waits, 0.5) * 1e3:.0f} ms of {len(waits)}"
                    report.add(what, kind, said, "p99 1 s", p99 <= 1)
                waits = [await cancelled(place) for _ in range(args.rounds)]
                p99 = percentile(waits, 0.99)
                said = f"p99 {p99 * 1e3:.0f} ms, p50 {percentile(waits, 0.5) * 1e3:.0f} ms of {len(waits)}"
                report.add("cancel of one: its command gone", kind, said, "500 ms", p99 <= 0.5)
    report.notes.append(
        "Counted from the moment at which the command is posted to the bot. With a worker it is typed to the process "
        "that executes nothing. All ten hosts are this machine, whose two cores end a thousand processes."
    )
    return report


def main() -> int:
    """By itself."""
    return run(measure, rounds=5)


if __name__ == "__main__":
    sys.exit(main())
