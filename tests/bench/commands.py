"""a. Many executions of four commands over ten hosts, all asked for at once, against bare asyncssh.

    python -m tests.bench.commands --executions 1000

Rounds of the bare library and of the product take turns, so that what else the machine does meets both.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench import ansible
from tests.bench.ansible import Played
from tests.bench.place import Place, Report, bare_connections, databases, installed, run, say, ten_hosts
from tests.system.openssh import OpenSsh

COMMAND = "uname -srm"


@dataclass(frozen=True, kw_only=True)
class Round:
    """One measured round."""

    seconds: float
    cpu: float
    memory: float = 0.0


async def bare_round(hosts: Mapping[str, OpenSsh], executions: int, at_once: int) -> Round:
    """The same commands by bare asyncssh in this process: `at_once` sequences of four to a host."""
    each = 1 + (at_once - 1) // 6
    async with bare_connections(hosts, each) as connections:
        by_host = [connections[n * each : (n + 1) * each] for n in range(len(hosts))]
        await asyncio.gather(*(connection.run("true") for connection in connections))
        began, cpu = time.perf_counter(), time.process_time()
        left = [executions // len(hosts)] * len(hosts)

        async def work(host: int, place: int) -> None:
            connection = by_host[host][place % each]
            while left[host] > 0:
                left[host] -= 1
                for _ in range(4):
                    done = await connection.run(COMMAND, check=True)
                    if "Linux" not in str(done.stdout):
                        raise SystemExit(f"{COMMAND} printed {done.stdout!r}")

        await asyncio.gather(*(work(host, place) for host in range(len(hosts)) for place in range(at_once)))
        return Round(seconds=time.perf_counter() - began, cpu=time.process_time() - cpu)


async def product_round(place: Place, runbook: str, executions: int) -> Round:
    """Ask for all of them at once; the time until the last one has ended."""
    names = list(place.hosts)
    before = await place.newest()
    idle = place.memory()
    peak = idle

    async def watch() -> None:
        nonlocal peak
        while True:
            await asyncio.sleep(0.2)
            peak = max(peak, place.memory())

    watching = asyncio.create_task(watch())
    began, cpu = time.perf_counter(), place.cpu()
    lines = [f"/runbook {runbook} {before + n} on {names[n % len(names)]}" for n in range(executions)]
    await asyncio.gather(*(place.type(line) for line in lines))
    states = await place.ended(before, executions)
    seconds, used = time.perf_counter() - began, place.cpu() - cpu
    watching.cancel()
    if states != {"succeeded": executions}:
        raise SystemExit(f"Not all of {executions} succeeded: {states}\n{place.bot.log()}")
    return Round(seconds=seconds, cpu=used, memory=peak - idle)


async def by_ansible(report: Report, hosts: Mapping[str, OpenSsh], executions: int, folder: Path) -> Played | None:
    """The same by `ansible-playbook`, a run for each execution; None, and a note, where it can't be had."""
    found = await ansible.installed(folder, hosts)
    if isinstance(found, str):
        report.notes.append(f"Not measured against `ansible-playbook`: ansible-core could not be installed: {found}")
        say(f"  NOT MEASURED against ansible-playbook: {found}")
        return None
    alone = await found.one_by_one(COMMAND, executions)
    where = f"ansible-core {found.version}"
    for what, played in (
        ("a run for each execution", alone),
        ("one run for all, `command`", await found.in_bulk("command", COMMAND)),
        ("one run for all, `raw`", await found.in_bulk("raw", COMMAND)),
    ):
        report.add(f"ansible-playbook, {what}", where, f"{played.cpu * 1e3:.1f} ms of CPU a command")
    report.notes.append(
        "`ansible-playbook` has pipelining, ControlPersist with connections that stand already, the product's ciphers, "
        "no facts, and the strategy `free`. A run for each execution has four tasks of the module `command` on a host, "
        f"on ten hosts side by side; one run for all has {ansible.IN_BULK} tasks and ten forks. Its CPU is that of all "
        "its processes on this side, `ssh` and its masters among them."
    )
    return alone


async def measure(args: argparse.Namespace) -> Report:
    """`four` takes its host for itself, so that ten run at once; of `four-looks` twenty share a host."""
    executions = args.executions
    report = Report(group="a", title=f"{executions:,} executions of 4 commands over 10 hosts, all asked for at once")
    commands = executions * 4
    with ExitStack() as stack:
        hosts = stack.enter_context(ten_hosts(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        played = await by_ansible(report, hosts, args.playbooks, folder)
        for kind, url in databases(stack, args.kind):
            async with installed(kind, hosts, url) as place:
                for runbook, at_once in (("four", 1), ("four-looks", 20)):
                    await product_round(place, runbook, len(hosts) * at_once)
                    bare = [await bare_round(hosts, executions, at_once)]
                    mine = await product_round(place, runbook, executions)
                    bare.append(await bare_round(hosts, executions, at_once))
                    seconds = sum(r.seconds for r in bare) / len(bare)
                    cpu = sum(r.cpu for r in bare) / len(bare)
                    what = f"{runbook}: wall time to bare asyncssh's"
                    said = f"{mine.seconds / seconds:.2f} x ({mine.seconds:.2f} s to {seconds:.2f} s)"
                    report.add(what, kind, said, "1.3 x", mine.seconds <= 1.3 * seconds)
                    said = f"{mine.cpu / cpu:.2f} x ({mine.cpu / commands * 1e3:.2f} to {cpu / commands * 1e3:.2f} ms)"
                    report.add(
                        f"{runbook}: client CPU a command to bare asyncssh's", kind, said, "2 x", mine.cpu <= 2 * cpu
                    )
                    if played is not None:
                        share = played.cpu / (mine.cpu / commands)
                        what = f"{runbook}: client CPU a command to ansible-playbook's, a run for each execution"
                        report.add(what, kind, f"1/{share:.0f}", "1/150", share >= 150)
                    report.add(
                        f"{runbook}: memory above the idle bot's",
                        kind,
                        f"{mine.memory:.0f} MB",
                        "60 MB",
                        mine.memory <= 60,
                    )
    report.notes.append(
        "`four` is four changing commands (`uname -srm`), each with its record on the host; one at a time on a host, "
        "as changing executions exclude each other. `four-looks` is the same as reading checks, without records, "
        "twenty at a time on a host. asyncssh has the same connections, ciphers and number of commands under way."
    )
    return report


def main() -> int:
    """By itself."""
    return run(measure, executions=1000, playbooks=40)


if __name__ == "__main__":
    sys.exit(main())
