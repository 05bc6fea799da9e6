"""Every way in which a remote command ends by our doing, or out of our sight, again and again on a real sshd.

    python -m tests.system.endings 200

runs each case so often and says what was found. No process may be left where we said that it was stopped, and what a
host could tell must be what really happened. The seconds at which things happen are drawn from `--seed`.
"""

import argparse
import asyncio
import os
import random
import secrets
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from runbooks.following import follow
from runbooks.remote import Ended, Finished, Host, NotKnown, RemoteCommand, StopCord
from runbooks.ssh import Patience, SshRemote
from safety.clock import SystemClock
from safety.redaction import Redactor
from storage.records import Death
from tests.system.openssh import OpenSsh, Wire, alive, openssh, wire

SUDO = """\
import os, signal, sys
child = os.fork()
if not child:
    os.setsid() if "-b" in sys.argv else None
    os.execvp(sys.argv[-2], sys.argv[-2:])
def relay(number, frame):
    os.kill(child, number)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, relay)
while True:
    try:
        _, status = os.waitpid(child, 0)
        break
    except InterruptedError:
        pass
sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
"""
"""A stand-in for sudo: it waits for its command, and hands on the signals that it gets."""


@dataclass(frozen=True, kw_only=True)
class Bed:
    """A host, the wire to it, and a remote that only knows the wire."""

    server: OpenSsh
    wire: Wire
    remote: SshRemote
    host: Host
    sudo: Path
    chance: random.Random

    def command(self, line: str, timeout: float = 60) -> RemoteCommand:
        """With a record."""
        return RemoteCommand(line=line, timeout=timeout, grace=0.3, token=secrets.token_hex(16))


async def until_gone(*pids: int) -> bool:
    """Whether they are, now or within a moment that a zombie needs."""
    for _ in range(50):
        if not any(alive(pid) for pid in pids):
            return True
        await asyncio.sleep(0.01)
    return False


class Watch:
    """A command on its way; the numbers that it prints are pids."""

    def __init__(self, bed: Bed, command: RemoteCommand, *, lines: int = 0) -> None:
        self.bed, self.command, self.cord = bed, command, StopCord()
        self.pids: list[int] = []
        self.group = 0
        self._lines = lines
        self._ready = asyncio.Event()
        self.task = asyncio.create_task(
            bed.remote.run(
                bed.host,
                command,
                cord=self.cord,
                on_line=lambda line: self._note(int(line.text) if line.text.isdigit() else 0),
                on_group=lambda group: self._note(group, group=True),
            )
        )

    def _note(self, pid: int, *, group: bool = False) -> None:
        if group:
            self.group = pid
        elif pid:
            self.pids.append(pid)
        if self.group and len(self.pids) >= self._lines:
            self._ready.set()

    async def started(self) -> int:
        """Its group, once it has printed its pids."""
        async with asyncio.timeout(20):
            await self._ready.wait()
        return self.group

    async def found(self, *, cord: StopCord | None = None, seconds: float = 60) -> Finished | NotKnown:
        """What becomes of it out of our sight."""
        clock = SystemClock()
        return await follow(
            self.bed.remote,
            clock,
            self.bed.host,
            str(self.command.token),
            cord=cord or StopCord(),
            give_up=clock.monotonic() + seconds,
            on_group=lambda group: None,
            group=self.group or None,
        )


STUBBORN = "trap '' TERM; echo $$; while :; do sleep 0.05; done"
FLOOD = "yes | head -c 9000000; exit 5"
FAMILY = "sleep 600 & echo $!; (trap '' TERM; exec sleep 600) & echo $!; wait"


def below_sudo(bed: Bed) -> str:
    """`sudo sleep 600`, as it were."""
    return f"{sys.executable} {bed.sudo} sleep 600"


async def stopped(bed: Bed, line: str, *, lines: int = 0, by_time: bool = False) -> str:
    """A timeout or a cancel: it is stopped, and nothing of it is left."""
    watch = Watch(bed, bed.command(line, timeout=bed.chance.uniform(0.2, 0.5) if by_time else 60), lines=lines)
    group = await watch.started()
    if not by_time:
        await asyncio.sleep(bed.chance.uniform(0, 0.05))
        watch.cord.pull("enough")
    finished = await watch.task
    assert finished.ended is (Ended.TIMED_OUT if by_time else Ended.STOPPED), finished
    assert finished.death is Death.STOPPED, finished
    assert await until_gone(group, *watch.pids), "a process is left where we said stopped"
    return finished.death.value


async def cut(bed: Bed, line: str, expected: int, *, silently: bool = False) -> str:
    """The connection breaks at some instant; the true status is found afterwards."""
    watch = Watch(bed, bed.command(line))
    await watch.started()
    await asyncio.sleep(bed.chance.uniform(0, 0.2))
    if silently:
        bed.wire.forget()
    else:
        bed.wire.cut()
        await asyncio.sleep(bed.chance.uniform(0, 0.3))
    bed.wire.mend()
    finished = await watch.task
    if finished.ended is Ended.EXITED:  # it was faster than the cut
        assert finished.exit_status == expected, finished
        return "ended before the cut"
    assert finished.ended is Ended.LOST, finished
    found = await watch.found()
    assert isinstance(found, Finished), found
    assert (found.ended, found.exit_status) == (Ended.EXITED, expected), found
    return f"found: exit status {expected}"


async def cut_and_stopped(bed: Bed, line: str, *, lines: int = 0) -> str:
    """The connection breaks, the command is found again, and then it is to stop."""
    watch = Watch(bed, bed.command(line), lines=lines)
    group = await watch.started()
    bed.wire.cut()
    assert (await watch.task).ended is Ended.LOST
    bed.wire.mend()
    cord = StopCord()
    asyncio.get_running_loop().call_later(bed.chance.uniform(0, 0.3), lambda: cord.pull("enough", grace=0.3))
    found = await watch.found(cord=cord)
    assert isinstance(found, Finished), found
    assert (found.ended, found.death) == (Ended.STOPPED, Death.STOPPED), found
    assert await until_gone(group, *watch.pids), "a process is left where we said stopped"
    return "found, and stopped"


async def away(bed: Bed) -> str:
    """The host stays cut off: nothing is claimed."""
    watch = Watch(bed, bed.command("sleep 600"))
    group = await watch.started()
    bed.wire.cut()
    assert (await watch.task).ended is Ended.LOST
    deaths = await bed.remote.end_groups(bed.host, [group], grace=0.1)
    bed.wire.mend()
    assert deaths == {group: Death.UNKNOWN}
    assert alive(group)
    os.killpg(group, signal.SIGKILL)
    assert isinstance(await watch.found(), NotKnown)
    return "unknown"


CASES: dict[str, Callable[[Bed], Awaitable[str]]] = {
    "timeout of sleep 600": lambda bed: stopped(bed, "sleep 600", by_time=True),
    "cancel of sleep 600": lambda bed: stopped(bed, "sleep 600"),
    "cancel below sudo (a stand-in)": lambda bed: stopped(bed, below_sudo(bed)),
    "cancel of one that ignores TERM": lambda bed: stopped(bed, STUBBORN, lines=1),
    "cancel of one with children": lambda bed: stopped(bed, FAMILY, lines=2),
    "cancel on a host that is cut off": away,
    "cut, ends with 0": lambda bed: cut(bed, "sleep 0.2", 0),
    "cut, ends with 3": lambda bed: cut(bed, "sleep 0.2; exit 3", 3),
    "cut, killed by a signal": lambda bed: cut(bed, "sh -c 'sleep 0.2; kill -9 $$'", 137),
    "cut while it prints": lambda bed: cut(bed, "yes | head -c 3000000; exit 4", 4),
    "cut unnoticed by the host while it prints": lambda bed: cut(
        bed, "yes | head -c 9000000; exit 5", 5, silently=True
    ),
    "cut, runs on, and is stopped": lambda bed: cut_and_stopped(bed, "sleep 600"),
    "cut, runs on below sudo (a stand-in), and is stopped": lambda bed: cut_and_stopped(bed, below_sudo(bed)),
    "cut, ignores TERM, and is stopped": lambda bed: cut_and_stopped(bed, STUBBORN, lines=1),
    "cut, has children, and is stopped": lambda bed: cut_and_stopped(bed, FAMILY, lines=2),
}


async def endings(folder: Path, times: int, seed: int, cases: list[str] | None = None) -> dict[str, Counter[str]]:
    """Every case so often; what was found of each. Raises at the first that isn't as it must be."""
    said: dict[str, Counter[str]] = {}
    async with AsyncExitStack() as stack:
        server = stack.enter_context(openssh(folder))
        between = await stack.enter_async_context(wire(server.port))
        (folder / "sudo.py").write_text(SUDO)
        remote = SshRemote(
            known_hosts=between.known_hosts(server),
            redactor=Redactor(),
            random=lambda: 0.5,
            # A connection that turns out to be dead before anything was sent is not what is tried here.
            patience=Patience(retries=1, first_retry=0.1, answer=20.0),
        )
        stack.push_async_callback(remote.close)
        bed = Bed(
            server=server,
            wire=between,
            remote=remote,
            host=between.to(server.host),
            sudo=folder / "sudo.py",
            chance=random.Random(seed),  # noqa: S311
        )
        for name in cases or list(CASES):
            said[name] = Counter()
            for number in range(times):
                try:
                    async with asyncio.timeout(90):
                        said[name][await CASES[name](bed)] += 1
                except (AssertionError, TimeoutError) as error:
                    raise AssertionError(f"{name}, number {number + 1}, seed {seed}: {error!r}") from error
    return said


def main() -> None:
    """By hand."""
    parser = argparse.ArgumentParser(description="End remote commands in every way, again and again.")
    parser.add_argument("times", type=int, help="how often each case runs")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of the instants")
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this one")
    wanted = parser.parse_args()
    print(f"seed {wanted.seed}")
    with tempfile.TemporaryDirectory() as folder:
        said = asyncio.run(endings(Path(folder), wanted.times, wanted.seed, wanted.case))
    for name, found in said.items():
        print(f"{name}: " + ", ".join(f"{count} x {what}" for what, count in sorted(found.items())))


if __name__ == "__main__":
    main()
