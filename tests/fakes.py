"""Small stand-ins where a test must hold time or failure in its hands."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from bot.modals import Shown
from runbooks.progress import Event
from runbooks.remote import (
    Ended,
    Finished,
    Host,
    HostReport,
    Line,
    NotKnown,
    RemoteCommand,
    StillRunning,
    StopCord,
    Stream,
    Unreached,
)
from safety.sealing import Secret
from storage.errors import SecretUnavailable, StorageUnavailable
from storage.records import Death, Execution

START = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


class FakeClock:
    """Time that only moves when a test says so; sleepers wake in order."""

    def __init__(self, start: datetime = START) -> None:
        self._start, self._passed = start, 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    @property
    def sleepers(self) -> int:
        """How many wait for time to pass."""
        return sum(1 for _, _, woken in self._sleepers if not woken.done())

    def now(self) -> datetime:
        """The wall clock."""
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self._passed

    async def sleep(self, seconds: float) -> None:
        """Until `advance` has moved past it."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._passed + seconds, next(self._count), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking everybody on the way."""
        end = self._passed + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, woken = heapq.heappop(self._sleepers)
            self._passed = max(self._passed, at)
            if not woken.done():
                woken.set_result(None)
            await _settle()
        self._passed = end
        await _settle()


class HastyClock:
    """Time that jumps: a sleep is over at once, and so much later. For one sleeper at a time."""

    def __init__(self, start: datetime = START) -> None:
        self._start, self._passed = start, 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        """The wall clock."""
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self._passed

    async def sleep(self, seconds: float) -> None:
        """Be later."""
        self.slept.append(seconds)
        self._passed += max(0.0, seconds)
        await asyncio.sleep(0)


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


Left = Finished | StillRunning | NotKnown | Exception


@dataclass
class Reply:
    """What a fake host answers to one command. `hangs`: until it is stopped, or `release` is set.

    `times_out`: ended by us after the command's own timeout, which takes no time here.
    """

    out: str = ""
    err: str = ""
    status: int = 0
    hangs: bool = False
    ignores_term: bool = False
    needs_hurry: bool = False  # one that hangs is not ended before a grace shorter than its own is asked for
    times_out: bool = False
    lost: bool = False
    left: Sequence["Left"] = ()  # what is said of one lost or ended when it is asked about: in turn, the last for ever
    raises: Exception | None = None
    altered: bool = False
    unreached: Unreached | None = None  # one try before this answer
    release: asyncio.Event = field(default_factory=asyncio.Event)


Answer = Reply | Callable[[str], Reply]


@dataclass
class FakeRemote:
    """Hosts that answer from a table: the longest prefix of the shell text that is in `replies` counts.

    `ran` lists (host, line) in order, `commands` what was asked beside the line. `left`: what is said of a token, as
    in `Reply.left`.
    """

    replies: dict[str, Answer] = field(default_factory=dict)
    ran: list[tuple[str, str]] = field(default_factory=list)
    commands: list[RemoteCommand] = field(default_factory=list)
    alive: dict[int, tuple[int, ...]] = field(default_factory=dict)
    left: dict[str, list[Left]] = field(default_factory=dict)
    attended: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._groups = itertools.count(1000)
        self._changed = asyncio.Condition()

    async def run(
        self,
        host: Host,
        command: RemoteCommand,
        *,
        cord: StopCord | None = None,
        on_line: Callable[[Line], None] | None = None,
        on_group: Callable[[int], None] | None = None,
        on_retry: Callable[[Unreached], None] | None = None,
    ) -> Finished:
        """As the table says; nothing is tried again here."""
        self.ran.append((host.name, command.line))
        self.commands.append(command)
        reply = self._reply(command.line)
        async with self._changed:
            self._changed.notify_all()
        if reply.unreached is not None and on_retry is not None:
            on_retry(reply.unreached)
            await asyncio.sleep(0.05)
        if reply.raises is not None:
            raise reply.raises
        group = next(self._groups)
        self._keep(command, StillRunning(group=group))
        if on_group is not None:
            on_group(group)
        lines = [Line(stream=Stream.OUT, text=t, altered=reply.altered) for t in reply.out.splitlines()]
        lines += [Line(stream=Stream.ERR, text=t) for t in reply.err.splitlines()]
        kept = lines[: command.max_lines]
        for line in kept:
            if on_line is not None:
                on_line(line)
        finished = Finished(ended=Ended.EXITED, group=group, lines=len(kept), dropped=len(lines) - len(kept))
        if reply.lost:
            self._keep(command, *reply.left or [NotKnown(reason=f"no record of it is left on '{host.name}'")])
            return replace(finished, ended=Ended.LOST)
        death = Death.STILL_RUNNING if reply.ignores_term else Death.STOPPED
        survivors = (group,) if reply.ignores_term else ()
        if reply.times_out:
            return replace(finished, ended=Ended.TIMED_OUT, death=death, survivors=survivors)
        if reply.hangs and await self._held(reply, cord):
            self._keep(command, *reply.left or [NotKnown(reason="it was killed", group=group)])
            return replace(finished, ended=Ended.STOPPED, death=death, survivors=survivors)
        over = replace(finished, exit_status=reply.status)
        self._keep(command, over)
        return over

    def _keep(self, command: RemoteCommand, *left: Left) -> None:
        if command.token is not None:
            self.left[command.token] = list(left)

    async def _held(self, reply: Reply, cord: StopCord | None) -> bool:
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(reply.release.wait())]
        if cord is not None:
            waits.append(asyncio.ensure_future(cord.wait()))
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        if cord is None or not cord.pulled:
            return False
        while reply.needs_hurry and cord.grace is None:
            await asyncio.sleep(0.01)
        return True

    def _reply(self, line: str) -> Reply:
        known = [prefix for prefix in self.replies if line.startswith(prefix)]
        if not known:
            return Reply(err=f"sh: {line.split()[0]}: not found", status=127)
        answer = self.replies[max(known, key=len)]
        return answer(line) if callable(answer) else answer

    async def until(self, prefix: str, times: int = 1) -> None:
        """Return once commands that start like this were sent so often."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: self.count(prefix) >= times)

    def count(self, prefix: str) -> int:
        """How often such commands were sent."""
        return sum(1 for _, line in self.ran if line.startswith(prefix))

    async def end_groups(self, host: Host, groups: Sequence[int], *, grace: float) -> Mapping[int, Death]:
        """All stop."""
        self.ended += groups
        return dict.fromkeys(groups, Death.STOPPED)

    async def look(self, host: Host, groups: Sequence[int]) -> Mapping[int, tuple[int, ...]]:
        """What the test says lives."""
        return {group: self.alive.get(group, ()) for group in groups}

    async def attend(self, host: Host, token: str) -> Finished | StillRunning | NotKnown:
        """The next that is said of it."""
        self.attended.append(token)
        said = self.left.get(token, [])
        if not said:
            return NotKnown(reason=f"no record of it is left on '{host.name}'", early=True)
        found = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(found, Exception):
            raise found
        return found

    def forget(self, host: Host, token: str) -> None:
        """Remember that it may."""
        self.forgotten.append(token)

    async def check(self, host: Host) -> HostReport:
        """Fine."""
        return HostReport(host=host.name, ok=True, message="fake")

    async def close(self) -> None:
        """Nothing to do."""


@dataclass
class FakeVault:
    """Secrets from a table; `opened` lists the names in the order in which they were asked for."""

    secrets: dict[str, str] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    away: bool = False

    async def open(self, name: str) -> Secret:
        """As the table says."""
        if self.away:
            raise StorageUnavailable("The database does not answer (test).")
        self.opened.append(name)
        if name not in self.secrets:
            raise SecretUnavailable(f"There is no secret '{name}'.")
        return Secret(self.secrets[name])


@dataclass
class FakeReporter:
    """Collects what was reported."""

    events: list[Event] = field(default_factory=list)

    def report(self, connection: Connection, event: Event, now: datetime) -> None:
        """Keep it."""
        self.events.append(event)

    async def headline_settled(self, execution: Execution) -> None:
        """At once."""

    def of(self, kind: type) -> list[Event]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


@dataclass
class FakeViews:
    """Shows views to nobody, and keeps them. `shows`: what Slack answers."""

    shows: Shown = Shown.YES
    shown: list[Mapping[str, Any]] = field(default_factory=list)
    updated: list[str | None] = field(default_factory=list)  # by which id another view's place was taken

    async def open(self, trigger_id: str, view: Mapping[str, Any]) -> Shown:
        """Kept, if it opens."""
        self.shown += [view] if self.shows is Shown.YES else []
        return self.shows

    async def update(
        self,
        view: Mapping[str, Any],
        *,
        view_id: str | None = None,
        external_id: str | None = None,
        pauses: Sequence[float] = (),
    ) -> Shown:
        """The same."""
        self.updated.append(view_id or external_id)
        self.shown += [view] if self.shows is Shown.YES else []
        return self.shows
