"""One step of a plan on one host: marked started before it starts, tried, ended, kept and told.

Before every step one SQL statement asks the kill switch, the cancel and the owner's fence; what it forbids does not
start. A stop pulls the cords of what is running.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum, auto
from typing import Any, Concatenate, ParamSpec, TypeVar, assert_never

import aiohttp
import structlog
from sqlalchemy import Connection
from yarl import URL

from runbooks.commands import shell_line
from runbooks.definition import (
    PLACE,
    Call,
    Check,
    Expect,
    Parallel,
    Require,
    Run,
    Single,
    Step,
    Wait,
)
from runbooks.ending import cancel_words
from runbooks.following import MOST_RETRIES, follow, pause_before, until_pulled
from runbooks.inventory import Inventory
from runbooks.planning import Planner
from runbooks.plans import StoredPlan
from runbooks.progress import (
    Event,
    Reporter,
    StepFinished,
    StepPrinted,
    StepRetried,
    StepStarted,
)
from runbooks.remote import (
    Ended,
    Finished,
    Host,
    Line,
    NotKnown,
    Remote,
    RemoteCommand,
    StopCord,
    Stream,
)
from safety import kill_switch
from safety.clock import Clock, words
from safety.redaction import Redacted, Redactor
from safety.vault import NoVault, Opens
from storage import controls, executions
from storage.database import Database, surely
from storage.errors import (
    ConnectionLost,
    HostError,
    HostUnreachable,
    LeaseLost,
    LoginRefused,
    SecretUnavailable,
)
from storage.records import (
    Actor,
    Death,
    Execution,
    KillSwitch,
    OutputLine,
    StepRun,
    StepState,
)

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

TAIL = 20
"""How many of the newest lines an event carries."""
FLUSH = 0.5
"""Seconds between two commits of a running step's output."""
TELL = 2.0
"""Seconds between two tellings of it: each is a message, and Slack takes about one a second of a whole channel."""
MOST_ANSWER = 64_000
"""Bytes kept of what a call answers."""
LONGEST_ANSWER = 4_000
"""Characters of one line of it."""
GROUP = 0.05
"""Seconds until a running command's process group is kept."""
MOST_LINES = 5_000
"""Lines kept of one step run; the rest is counted."""
LOST = "the connection broke after the command was sent"
REBOOTING = "the connection ended with it, as it does when a host restarts"
DIED = "Handrail stopped while it ran"
LET_GO = "Handrail ended it, because it could not reach its database for so long that somebody else may run it"
ENDED = f"{DIED}, and somebody ended it"
"""What may be repeated was ended by a signal while nobody looked: perhaps by an owner that had to let it go."""
_TO_BE_RUN_AGAIN = {LET_GO, ENDED}
_DONE = {StepState.SUCCEEDED, StepState.SKIPPED}


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Why running commands are ended, and how long they get between TERM and KILL."""

    words: str
    by: Actor
    grace: float | None = None  # the command's own

    def is_quicker_than(self, other: "Stop") -> bool:
        """Whether it gives commands less time."""
        return self.grace is not None and (other.grace is None or self.grace < other.grace)


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What walking needs from the outside."""

    database: Database
    remote: Remote
    inventory: Inventory
    planner: Planner
    reporter: Reporter
    clock: Clock
    call_hosts: frozenset[str] = frozenset()
    vault: Opens = field(default_factory=NoVault)
    redactor: Redactor = field(default_factory=Redactor)  # of what calls answer; a remote redacts by itself
    closed: Callable[[Execution], str | None] = field(default=lambda execution: None)  # admission closed without SQL


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one step, or one host, came out."""

    state: StepState
    reason: str | None = None
    tail: tuple[OutputLine, ...] = ()
    sent: bool = True
    finished: Finished | None = None
    look: str | None = None
    blind: bool = False  # a check that could not be read: neither met nor unmet
    unreached: bool = False  # the way there failed before anything was sent: it may be tried again
    unanswered: bool = False  # a call that may be repeated got no answer

    @property
    def ok(self) -> bool:
        """Whether the next step may follow."""
        return self.state in _DONE


class Begun(Enum):
    """When it became known that a step is marked started."""

    AT_ONCE = auto()
    LATE = auto()  # tried more than once: its row may be older than what was engaged meanwhile


@dataclass(frozen=True, kw_only=True)
class Owed:
    """What must be written before anything else is about this host, and is, in the transaction of what follows at once.

    `write` is safe to repeat. `kept` is called once it is committed.
    """

    write: Callable[[Connection], None]
    kept: Callable[[], None] = lambda: None


class Steps:
    """The steps of one execution, whatever host they run on."""

    def __init__(self, tools: Tools, execution: Execution, plan: StoredPlan) -> None:
        self.tools, self.execution, self.plan = tools, execution, plan
        self.services = set(execution.services)
        self.stopping: Stop | None = None  # what runs is being ended
        self.held: Stop | None = None  # nothing more starts; what runs goes on to its end
        self.deaths: list[tuple[str, Death]] = []
        self.away: set[str] = set()  # hosts that could not be connected to
        self._under_way: set[tuple[str, str]] = set()  # steps of which it isn't known yet how they ended
        self._cords: set[StopCord] = set()
        self._repeatable: set[StopCord] = set()  # of running commands that somebody else may run again
        self._earlier: dict[tuple[str, str], StepRun] = {}  # the newest try of each step
        self._lost: dict[tuple[str, str], StepRun] = {}  # the try whose outcome is unknown, until another one was sent
        self._tries: dict[tuple[str, str], int] = {}  # how often it was tried again by itself
        self._groups: dict[float, str] = {}  # the ends of parallel groups, and what to say then
        self._owed: dict[str, list[Owed]] = {}
        self.done = 0

    async def remember(self) -> None:
        """Take up what was kept of this execution's steps before."""
        for step in await self._read(executions.steps_of, self.execution.id):  # in the order they started
            self._remember(step)
        self.done = sum(1 for step in self._earlier.values() if step.state in _DONE)

    def stop(self, stop: Stop) -> bool:
        """End what is running; nothing further starts. False when it is being ended as quickly already.

        A later one that is quicker shortens what is left; the first one's words stay.
        """
        if self.stopping is not None and not stop.is_quicker_than(self.stopping):
            return False
        self.stopping = stop if self.stopping is None else replace(self.stopping, grace=stop.grace)
        for cord in self._cords:
            cord.pull(stop.words, grace=stop.grace)
        return True

    @property
    def over(self) -> Stop | None:
        """Why nothing more starts; None while it goes on."""
        return self.stopping or self.held

    @property
    def is_under_way(self) -> bool:
        """Whether there is a step whose command was not looked at yet."""
        return bool(self._under_way)

    def let_go(self) -> None:
        """End the running commands that may be repeated; they are run again here, if it stays ours."""
        for cord in self._repeatable:
            cord.pull(LET_GO)

    def is_new(self, host: str) -> bool:
        """Whether nothing was begun on this host so far."""
        return not any(name == host for name, _ in self._earlier)

    def owe(self, host: str, owed: Owed) -> None:
        """To be written with the next thing that is, which follows without a pause."""
        self._owed.setdefault(host, []).append(owed)

    def owing(self, *hosts: str) -> Owed:
        """All that is owed about these hosts, for a transaction that begins with it."""
        owed = [one for host in hosts for one in self._owed.pop(host, ())]

        def write(connection: Connection) -> None:
            for one in owed:
                one.write(connection)

        def kept() -> None:
            for one in owed:
                one.kept()

        return Owed(write=write, kept=kept)

    async def settle(self, *hosts: str) -> None:
        """Write what is owed about these hosts now: nothing follows at once."""
        if any(host in self._owed for host in hosts):
            owed = self.owing(*hosts)
            await self._write(self.pay, owed, self.done)
            owed.kept()

    def pay(self, connection: Connection, owed: Owed, done: int) -> None:
        """Write what is owed, and that so many steps are done. Raises LeaseLost."""
        executions.count(connection, self.execution, done)
        owed.write(connection)

    async def step(self, host: Host, place: str, step: Step, deadline: float, *, goes_on: bool = False) -> Result:
        """Carry it out. `goes_on`: its success is owed, and the caller writes at once what follows, or settles."""
        if not isinstance(step, Parallel):
            return await self._single(host, place, step, deadline, goes_on=goes_on)
        await self.settle(host.name)
        if step.timeout is not None and self.tools.clock.monotonic() + step.timeout < deadline:
            deadline = self.tools.clock.monotonic() + step.timeout
            self._groups[deadline] = f"the {words(step.timeout)} of {step.title!r} were over"
        results = await side_by_side(
            [self._single(host, f"{place}.{number}", inner, deadline) for number, inner in enumerate(step.steps, 1)]
        )
        return next((result for result in results if not result.ok), Result(state=StepState.SUCCEEDED))

    async def _single(self, host: Host, place: str, step: Single, deadline: float, *, goes_on: bool = False) -> Result:
        """One step with its tries, each a row of its own, so that they are counted on after a restart too.

        What was surely not sent is tried again; after that only what is idempotent, and only when its outcome was lost.
        """
        recorded = self._recorded(host.name, place)
        if recorded is not None:
            return recorded
        if (host.name, place) in self._earlier:
            await self.settle(host.name)
        while True:
            await self._until_due(host.name, place)
            left = self._earlier.get((host.name, place))
            self._under_way.add((host.name, place))
            try:
                if left is not None and left.state is StepState.STARTED:
                    taken = await self._take_up(host, step, left, deadline)
                    if taken is None:
                        continue
                    result, run = taken
                else:
                    result, run = await self._try(host, place, step, deadline, goes_on=goes_on)
            finally:
                self._under_way.discard((host.name, place))
            if run.next_attempt_at is not None or self._was_let_go(result):
                continue
            lost = self._lost.get((host.name, place))
            if lost is not None and not result.ok and not result.sent:
                # Nothing was sent this time, so the try before is still the one whose outcome is unknown.
                reason = f"{lost.reason}; not tried again: {result.reason}"
                return replace(result, state=StepState.INTERRUPTED, reason=reason, sent=True)
            return result

    def _was_let_go(self, result: Result) -> bool:
        return self.over is None and result.state is StepState.INTERRUPTED and result.reason == LET_GO

    def _recorded(self, host: str, place: str) -> Result | None:
        """How this step came out before its execution was taken up again; None when it is to be run.

        A step that ended is never run again by itself, even when we died before the execution's own ending was kept.
        """
        earlier = self._earlier.get((host, place))
        if earlier is None or earlier.next_attempt_at is not None:
            return None
        match earlier.state:
            case StepState.STARTED | StepState.INTERRUPTED:
                return None
            case StepState.FAILED | StepState.TIMED_OUT if not earlier.sent:
                return None
            case _:
                return Result(state=earlier.state, reason=earlier.reason, sent=earlier.sent)

    async def _until_due(self, host: str, place: str) -> None:
        """Wait out the pause before another try; a stop ends it."""
        earlier = self._earlier.get((host, place))
        if earlier is None or earlier.next_attempt_at is None:
            return
        left = (earlier.next_attempt_at - self.tools.clock.now()).total_seconds()
        if left <= 0 or self.over is not None:
            return
        cord = StopCord()
        self._cords.add(cord)
        try:
            await until_pulled(self.tools.clock.sleep(left), cord)
        finally:
            self._cords.discard(cord)

    def _remember(self, run: StepRun) -> None:
        """The newest of this step's tries, and what the ones before it leave to be known."""
        key = (run.host, run.step)
        self._earlier[key] = run
        if run.next_attempt_at is not None:
            self._tries[key] = self._tries.get(key, 0) + 1
        if run.state is StepState.INTERRUPTED:
            self._lost[key] = run
        elif run.sent:
            self._lost.pop(key, None)

    def _pause(self, host: str, place: str, step: Single, result: Result) -> float | None:
        """Seconds until another try; None when there is none."""
        if self.over is not None:
            return None
        lost = result.unanswered or (result.state is StepState.INTERRUPTED and isinstance(step, Run))
        most = step.retries if lost and isinstance(step, Run | Call) else MOST_RETRIES
        tries = self._tries.get((host, place), 0)
        if not (lost or result.unreached) or tries >= most:
            return None
        return pause_before(tries + 1)

    async def _try(
        self, host: Host, place: str, step: Single, deadline: float, *, goes_on: bool
    ) -> tuple[Result, StepRun]:
        found = await self._found_again(host, place, step, deadline)
        if found is not None:
            return found
        blocked = await self._blocked(host, place, step)
        earlier = self._earlier.get((host.name, place))
        run = StepRun(
            execution_id=self.execution.id,
            host=host.name,
            step=place,
            attempt=(earlier.attempt if earlier else 0) + 1,
            title=step.title,
            changing=step.changing,
            state=StepState.STARTED,
            started_at=self.tools.clock.now(),
            token=secrets.token_hex(16) if isinstance(step, Run) else None,
        )
        if blocked is not None:
            return blocked, run
        begun = await self._begin(host, run, step)
        if begun is None:
            return await self._why_not(host), run
        self._earlier[(host.name, place)] = run
        log_of = StepLog(self, run)
        forbidden = await self._forbidden(host) if begun is Begun.LATE else self._forbidden_here()
        if forbidden is not None:
            unsent = Result(state=StepState.STOPPED, reason=forbidden, sent=False)
            return await self._end(host, step, run, unsent, log_of)
        with self.stoppable() as cord:
            async with log_of:
                if isinstance(step, Run) and may_repeat(step):
                    self._repeatable.add(cord)
                result = await self._perform(host, step, run, cord, log_of, deadline)
        return await self._end(host, step, run, result, log_of, goes_on=goes_on)

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[StopCord]:
        """A cord that is pulled when the execution is to stop; at once when it is stopping already."""
        cord = StopCord()
        self._cords.add(cord)
        if self.stopping is not None:
            cord.pull(self.stopping.words, grace=self.stopping.grace)
        try:
            yield cord
        finally:
            self._cords.discard(cord)
            self._repeatable.discard(cord)

    async def _take_up(self, host: Host, step: Single, run: StepRun, deadline: float) -> tuple[Result, StepRun] | None:
        """The end of a step that a dead owner had started; None when it is to run again, and may."""
        if isinstance(step, Run) and run.token is not None:
            result, ended = await self._followed(host, step, run, DIED, deadline)
            known = result.finished is None or result.finished.ended is not Ended.LOST
        else:
            unknown = Result(state=StepState.INTERRUPTED, reason=f"{DIED}; its outcome is unknown")
            result, ended = await self._end(host, step, run, unknown, StepLog(self, run))
            known = False
        if known or ended.next_attempt_at is not None or self.over is not None or not may_repeat(step):
            return result, ended
        return None

    async def _found_again(
        self, host: Host, place: str, step: Single, deadline: float
    ) -> tuple[Result, StepRun] | None:
        """Before a step whose outcome is unknown runs again: how it ended, where its host can tell that by now.

        Not where a person knows what became of it, and wants it once more.
        """
        lost = self._lost.get((host.name, place))
        if lost is None or lost.token is None or lost.reason in _TO_BE_RUN_AGAIN or not isinstance(step, Run):
            return None
        if (self.execution.resume or {}).get(host.name) == place.split(".")[0]:
            return None
        try:
            found = await self.tools.remote.attend(host, lost.token)
        except HostError:
            return None
        return None if isinstance(found, NotKnown) else await self._followed(host, step, lost, LOST, deadline)

    async def _followed(self, host: Host, step: Run, run: StepRun, why: str, deadline: float) -> tuple[Result, StepRun]:
        """A step that was begun before, with its true ending kept."""
        kept = await self._read(executions.output_of, self.execution.id, host=run.host, step=run.step, last=TAIL)
        log_of = StepLog(self, run, [line for line in kept if line.attempt == run.attempt])
        with self.stoppable() as cord:
            async with log_of:
                result = await self._attend(host, step, run, why, cord, log_of, deadline)
        return await self._end(host, step, run, result, log_of)

    async def _attend(
        self, host: Host, step: Run, run: StepRun, why: str, cord: StopCord, log_of: "StepLog", deadline: float
    ) -> Result:
        """What became of a command that we lost sight of, as far as its host can tell. `why`: how that came."""
        log_of.altered = True  # what it printed meanwhile is lost
        clock = self.tools.clock
        spent = (clock.now() - run.started_at).total_seconds()
        found = await follow(
            self.tools.remote,
            clock,
            host,
            run.token or "",
            cord=cord,
            give_up=min(deadline, clock.monotonic() + step.timeout - spent),
            on_group=log_of.note_group,
            group=log_of.group or run.pgid,
        )
        log.info("command_attended", execution=run.execution_id, host=run.host, step=run.step, found=str(found))
        if isinstance(found, NotKnown) and step.reboots and not cord.pulled:
            # Never sent again: the check that follows finds out whether its host restarted.
            return Result(state=StepState.SUCCEEDED, reason=f"{why}; how it ended is unknown")
        if isinstance(found, NotKnown):
            reason = f"{why}: it may have run, or be running still ({found.reason})"
            lost = Finished(ended=Ended.LOST, group=found.group)
            return Result(state=StepState.INTERRUPTED, reason=reason, finished=lost)
        if why == DIED and found.ended is Ended.EXITED and found.signal is not None and may_repeat(step):
            return Result(state=StepState.INTERRUPTED, reason=ENDED, finished=replace(found, ended=Ended.LOST))
        result = self._judge_run(found, step.allow_exit, cord)
        said = f"{why}; what it printed after that is lost"
        return replace(result, reason=f"{result.reason} ({said})" if result.reason else said)

    async def _blocked(self, host: Host, place: str, step: Single) -> Result | None:
        """Before a step is run again: whether its earlier command still lives, which only a person may decide about."""
        earlier = self._lost.get((host.name, place))
        if earlier is None or earlier.pgid is None or not step.changing:
            return None
        try:
            alive = (await self.tools.remote.look(host, [earlier.pgid])).get(earlier.pgid, ())
        except HostError as error:
            return Result(state=StepState.INTERRUPTED, reason=f"whether it still runs is unknown: {error}")
        if alive:
            pids = ", ".join(map(str, alive))
            return Result(state=StepState.INTERRUPTED, reason=f"the earlier command is still running (pid {pids})")
        return None

    async def _begin(self, host: Host, run: StepRun, step: Single) -> Begun | None:
        """Whether it is marked started, and when that became known; None when something forbids it."""
        if self._forbidden_here() is not None:
            await self.settle(host.name)
            return None
        command = shell_line(step.argv, sudo=step.sudo) if isinstance(step, Run | Check) else None

        owed, done, of = self.owing(host.name), self.done, self.plan.steps_total
        tries = 0

        def begin(connection: Connection) -> bool:
            nonlocal tries
            tries += 1
            begins = executions.begin_step(
                connection,
                run,
                execution=self.execution,
                services=self.services,
                tags=kill_switch.tag_names(host.tags),
                words=step.title,
                done=done,
            )
            owed.write(connection)
            if begins:
                event = StepStarted(execution=self.execution, step=run, command=command, number=done + 1, total=of)
                self.tools.reporter.report(connection, event, run.started_at)
            return begins

        begins = await self._write(begin)
        owed.kept()
        if not begins:
            return None
        return Begun.AT_ONCE if tries == 1 else Begun.LATE

    async def _why_not(self, host: Host) -> Result:
        """What forbade the step: somebody's cancel, or a kill switch."""
        reason = await self._forbidden(host) or "it was stopped, and let go again, at this very moment"
        return Result(state=StepState.STOPPED, reason=reason, sent=False)

    def _forbidden_here(self) -> str | None:
        """Why no step may start, as far as this process knows."""
        return self.over.words if self.over is not None else self.tools.closed(self.execution)

    async def _forbidden(self, host: Host) -> str | None:
        """Why no step may start on this host; None when one may.

        What runs elsewhere is not ended by this: a switch may leave it be, and who ends it also says what was found.
        """
        reason = self._forbidden_here()
        if reason is not None:
            return reason
        found = await self._read(executions.get, self.execution.id)
        if found.cancel_at is not None:
            self.held = Stop(words=cancel_words(found), by=Actor(id=found.cancel_by or ""))
            return self.held.words
        for switch in await self._read(controls.engaged):
            if self._is_held(switch, host):
                self.held = Stop(words=f"the kill switch ({switch.words}) was engaged", by=switch.engaged_by)
                return self.held.words
        return None

    def _is_held(self, switch: KillSwitch, host: Host) -> bool:
        """What the statement that marks a step started asks, for one switch."""
        return kill_switch.covers(
            switch,
            runbook=self.execution.runbook,
            includes=self.execution.includes,
            hosts=(host.name,),
            services=self.services,
            tags=kill_switch.tag_names(host.tags),
            emergency_at=self.execution.emergency_at,
        )

    async def _end(
        self, host: Host, step: Single, run: StepRun, result: Result, log_of: "StepLog", *, goes_on: bool = False
    ) -> tuple[Result, StepRun]:
        finished = result.finished
        over = {StepState.FAILED, StepState.STOPPED, StepState.TIMED_OUT}
        if isinstance(step, Run) and step.look and result.sent and result.state in over:
            result = replace(result, look=await self._look(host, step.look))
        ended = replace(
            run,
            state=result.state,
            ended_at=self.tools.clock.now(),
            exit_status=finished.exit_status if finished else None,
            signal=finished.signal if finished else None,
            pgid=(finished.group if finished else None) or log_of.group or run.pgid,
            death=finished.death if finished else None,
            reason=result.reason,
            lines=min(log_of.lines, MOST_LINES),
            dropped=(finished.dropped if finished else 0) + max(0, log_of.lines - MOST_LINES),
            sent=result.sent,
            next_attempt_at=None,
            altered=log_of.altered,
            result_from=log_of.result_from,
        )
        if ended.death is not None and self.stopping is not None:
            self.deaths.append((host.name, ended.death))
        self._under_way.discard((host.name, run.step))
        tail = tuple(log_of.tail)
        if result.ok:
            self.done += 1
            self.away.discard(host.name)
        pause = self._pause(host.name, run.step, step, result)
        event: Event = StepFinished(execution=self.execution, step=ended, tail=tail, look=result.look)
        if pause is not None:
            tries = self._tries.get((host.name, run.step), 0)
            ended = replace(ended, next_attempt_at=self.tools.clock.now() + timedelta(seconds=pause))
            event = StepRetried(
                execution=self.execution,
                step=ended,
                reason=result.reason or "its outcome was lost",
                seconds=pause,
                attempt=tries + 2,
                most=1 + (step.retries if isinstance(step, Run | Call) and not result.unreached else MOST_RETRIES),
            )

        def end(connection: Connection) -> None:
            executions.end_step(connection, ended)
            log_of.keep_lines(connection)  # the group is among what has just been kept
            self.tools.reporter.report(connection, event, ended.ended_at or ended.started_at)

        def kept() -> None:
            log_of.kept()
            if ended.token is not None and ended.state is not StepState.INTERRUPTED:
                self.tools.remote.forget(host, ended.token)

        self._remember(ended)
        self.owe(host.name, Owed(write=end, kept=kept))
        if not (goes_on and result.ok):
            await self.settle(host.name)
        return replace(result, tail=tail), ended

    async def _look(self, host: Host, argv: Sequence[str]) -> str:
        """What a daemon says of the work it was handed."""
        said: list[str] = []
        command = RemoteCommand(line=shell_line(argv), timeout=10, max_lines=5)
        try:
            await self.tools.remote.run(host, command, on_line=lambda line: said.append(line.text))
        except HostError as error:
            return f"could not look: {error}"
        return f"`{shell_line(argv)}` says: {' '.join(said)[:300] or 'nothing'}"

    # --- what a step does ---------------------------------------------------------------------------------------------

    async def _perform(
        self, host: Host, step: Single, run: StepRun, cord: StopCord, log_of: "StepLog", deadline: float
    ) -> Result:
        if self.tools.clock.monotonic() >= deadline:
            return Result(state=StepState.TIMED_OUT, reason=self._too_late(deadline), sent=False)
        try:
            match step:
                case Run():
                    return await self._run(host, step, run, cord, log_of, deadline)
                case Expect():
                    return await self._expect(host, step, cord, log_of, deadline)
                case Require():
                    return await self._require(host, step, cord, log_of, deadline)
                case Call():
                    return await self._call(step, cord, log_of, deadline)
                case Wait():
                    return await self._wait(step, cord, deadline)
                case _:
                    assert_never(step)
        except ConnectionLost as error:
            return Result(state=StepState.INTERRUPTED, reason=str(error))
        except HostError as error:
            if cord.pulled:
                return Result(state=StepState.STOPPED, reason=cord.reason, sent=False)
            self.away.add(host.name)
            unreached = isinstance(error, HostUnreachable)
            return Result(state=StepState.FAILED, reason=str(error), sent=False, unreached=unreached)

    def _too_late(self, deadline: float) -> str:
        return self._groups.get(deadline, f"the execution's {words(self.execution.timeout)} were over")

    async def _run(
        self, host: Host, step: Run, run: StepRun, cord: StopCord, log_of: "StepLog", deadline: float
    ) -> Result:
        if step.unless is not None:
            unless = step.unless
            perform = self._expect if isinstance(unless, Expect) else self._require
            result = await perform(host, unless, cord, log_of, deadline)  # type: ignore[arg-type]
            if result.state is StepState.SUCCEEDED:
                return Result(state=StepState.SKIPPED, reason=f"not needed: {unless.title}", sent=False)
            if result.state is not StepState.FAILED or result.blind:
                return result
        try:
            stdin = await self._input(step)
        except SecretUnavailable as error:
            return Result(state=StepState.FAILED, reason=error.message, sent=False)
        finished = await self._remote(
            host, step.argv, step.sudo, step.timeout, cord, log_of, deadline, stdin=stdin, token=run.token
        )
        if finished.ended is Ended.LOST and step.reboots:
            return Result(state=StepState.SUCCEEDED, reason=REBOOTING, finished=finished)
        if finished.ended is Ended.LOST:
            return await self._attend(host, step, run, LOST, cord, log_of, deadline)
        return self._judge_run(finished, step.allow_exit, cord)

    async def _input(self, step: Run) -> bytes | None:
        """The secret the step names, looked up now, as a line."""
        if step.secret is None:
            return None
        return f"{await self._secret(step.secret)}\n".encode("utf-8", "surrogatepass")

    async def _secret(self, name: str) -> str:
        secret = await surely(lambda: self.tools.vault.open(name), sleep=self.tools.clock.sleep)
        return secret.reveal()

    def _judge_run(self, finished: Finished, allow_exit: Sequence[int], cord: StopCord) -> Result:
        match finished.ended:
            case Ended.EXITED:
                if finished.exit_status in allow_exit:
                    return Result(state=StepState.SUCCEEDED, finished=finished)
                named = f"signal {finished.signal}" if finished.signal else ""
                ending = f"exit status {finished.exit_status}" if finished.exit_status is not None else named
                if named and named != ending:
                    ending += f" ({named})"
                return Result(state=StepState.FAILED, reason=f"ended with {ending}", finished=finished)
            case Ended.TIMED_OUT:
                return self._ended_by_us(StepState.TIMED_OUT, "it took too long", finished)
            case Ended.STOPPED:
                return self._ended_by_us(StepState.STOPPED, cord.reason or "it was stopped", finished)
            case Ended.LOST:
                reason = f"{LOST}: it may have run, or be running still"
                return Result(state=StepState.INTERRUPTED, reason=reason, finished=finished)
            case _:
                assert_never(finished.ended)

    def _ended_by_us(self, state: StepState, why: str, finished: Finished) -> Result:
        """Only what was confirmed dead is stopped or timed out; all else is interrupted."""
        if why == LET_GO and self.over is None and finished.death is Death.STOPPED:
            return Result(state=StepState.INTERRUPTED, reason=LET_GO, finished=finished)
        pids = f" (pid {', '.join(map(str, finished.survivors))})" if finished.survivors else ""
        reason = f"{why}; the command is {finished.death or Death.UNKNOWN}{pids}"
        if finished.death is not Death.STOPPED:
            return Result(state=StepState.INTERRUPTED, reason=reason, finished=finished)
        return Result(state=state, reason=reason, finished=finished)

    async def _expect(self, host: Host, step: Expect, cord: StopCord, log_of: "StepLog", deadline: float) -> Result:
        """Asked until it is met, then until it has stayed so for the settle time."""
        clock = self.tools.clock
        give_up = clock.monotonic() + step.within
        held_since: float | None = None
        while True:
            answer = await self._ask_expected(host, step, cord, log_of, deadline)
            if answer.state not in {StepState.SUCCEEDED, StepState.FAILED}:
                return answer
            now = clock.monotonic()
            if answer.ok:
                held_since = now if held_since is None else held_since
                if now - held_since >= step.settle:
                    return answer
                pause = min(step.every, max(0.05, step.settle - (now - held_since)))
            elif held_since is not None:
                return replace(answer, reason=f"was so, but did not stay so: {answer.reason}")
            else:
                pause = step.every
            if now >= deadline:
                reason = self._too_late(deadline)
                reason += f" ({answer.reason})" if answer.reason else ""
                return replace(answer, state=StepState.TIMED_OUT, reason=reason)
            if not answer.ok and now >= give_up:
                late = f"not within {words(step.within)}: {answer.reason}" if step.patient else answer.reason
                return replace(answer, reason=late)
            if await until_pulled(clock.sleep(min(pause, deadline - now)), cord):
                last = f"; when it was asked last: {answer.reason}" if step.patient and answer.reason else ""
                return Result(state=StepState.STOPPED, reason=f"{cord.reason}{last}")

    async def _ask_expected(
        self, host: Host, step: Expect, cord: StopCord, log_of: "StepLog", deadline: float
    ) -> Result:
        """The answer now; a patient check takes a host that is away, or lets nobody in yet, for one that is not met."""
        if not step.patient:
            return await self._ask(host, step, cord, log_of, deadline)
        try:
            answer = await self._ask(host, step, cord, log_of, deadline)
        except (HostUnreachable, ConnectionLost, LoginRefused) as error:
            if cord.pulled:
                return Result(state=StepState.STOPPED, reason=cord.reason)
            self.away.add(host.name)
            return Result(state=StepState.FAILED, reason=str(error), blind=True)
        self.away.discard(host.name)
        if answer.finished is not None and answer.finished.ended is Ended.TIMED_OUT:
            return replace(answer, state=StepState.FAILED, reason=f"no answer within {words(step.timeout)}", blind=True)
        return answer

    async def _require(self, host: Host, step: Require, cord: StopCord, log_of: "StepLog", deadline: float) -> Result:
        answer = await self._ask(host, step, cord, log_of, deadline)
        if answer.state is StepState.FAILED:
            return replace(answer, reason=f"no longer as planned ({answer.reason}): nothing was changed after this")
        return answer

    async def _ask(self, host: Host, step: Check, cord: StopCord, log_of: "StepLog", deadline: float) -> Result:
        printed: list[Line] = []
        finished = await self._remote(host, step.argv, step.sudo, step.timeout, cord, log_of, deadline, printed)
        if finished.ended is Ended.LOST:
            reason = "the connection broke while it was asked"
            return Result(state=StepState.FAILED, reason=reason, finished=finished, blind=True)
        if finished.ended is not Ended.EXITED:
            result = self._judge_run(finished, step.allow_exit, cord)
            # It only reads: one that still lives changes nothing on the host, so nothing is unknown.
            states = {Ended.TIMED_OUT: StepState.TIMED_OUT, Ended.STOPPED: StepState.STOPPED}
            return replace(result, state=states.get(finished.ended, result.state))
        looks = step.output is not None or step.pattern is not None
        if looks and (finished.dropped or finished.cut or any(line.altered for line in printed)):
            reason = "what it printed was masked or cut, so it proves nothing"
            return Result(state=StepState.FAILED, reason=reason, finished=finished, blind=True)
        unmet = step.unmet("\n".join(line.text for line in printed), finished.exit_status)
        if unmet is None:
            return Result(state=StepState.SUCCEEDED, finished=finished)
        return Result(state=StepState.FAILED, reason=unmet, finished=finished)

    async def _remote(
        self,
        host: Host,
        argv: Sequence[str],
        sudo: bool,
        timeout: float,
        cord: StopCord,
        log_of: "StepLog",
        deadline: float,
        printed: list[Line] | None = None,
        stdin: bytes | None = None,
        token: str | None = None,
    ) -> Finished:
        left = max(0.1, deadline - self.tools.clock.monotonic())

        log_of.begin_result()

        def on_line(line: Line) -> None:
            log_of.add(line)
            if printed is not None and line.stream is Stream.OUT:
                printed.append(line)

        line = shell_line(argv, sudo=sudo)
        return await self.tools.remote.run(
            host,
            RemoteCommand(
                line=line,
                timeout=min(timeout, left),
                max_lines=MOST_LINES,
                stdin=stdin,
                patient=False,
                token=token,
            ),
            cord=cord,
            on_line=on_line,
            on_group=log_of.note_group,
        )

    async def _wait(self, step: Wait, cord: StopCord, deadline: float) -> Result:
        if step.seconds <= 0:
            return Result(state=StepState.SUCCEEDED)
        left = deadline - self.tools.clock.monotonic()
        if await until_pulled(self.tools.clock.sleep(min(step.seconds, left)), cord):
            return Result(state=StepState.STOPPED, reason=cord.reason)
        if step.seconds > left:
            return Result(state=StepState.TIMED_OUT, reason=self._too_late(deadline))
        return Result(state=StepState.SUCCEEDED)

    async def _call(self, step: Call, cord: StopCord, log_of: "StepLog", deadline: float) -> Result:
        """An HTTP call to an allowed host, given up when it must stop."""
        host = URL(step.url).host
        if host not in self.tools.call_hosts:
            reason = f"{host} is not under calls: in handrail.yml, so it is not called"
            return Result(state=StepState.FAILED, reason=reason, sent=False)
        try:
            secret = await self._secret(step.secret) if step.secret is not None else ""
        except SecretUnavailable as error:
            return Result(state=StepState.FAILED, reason=error.message, sent=False)
        headers = {name: value.replace(PLACE, secret) for name, value in step.headers}
        if any(not value.isprintable() for value in headers.values()):
            reason = f"the secret '{step.secret}' has characters that no header may have"
            return Result(state=StepState.FAILED, reason=reason, sent=False)
        seconds = min(step.timeout, max(0.1, deadline - self.tools.clock.monotonic()))
        calling = asyncio.ensure_future(self._answer(step, headers, seconds, log_of))
        pulling = asyncio.ensure_future(cord.wait())
        try:
            await asyncio.wait({calling, pulling}, return_when=asyncio.FIRST_COMPLETED)
            if calling.done():
                return calling.result()
        finally:
            for task in (calling, pulling):
                task.cancel()
            await asyncio.gather(calling, pulling, return_exceptions=True)
        if step.idempotent:
            return Result(state=StepState.STOPPED, reason=cord.reason)
        return Result(state=StepState.INTERRUPTED, reason=f"{cord.reason}; whether {host} acted on the call is unknown")

    async def _answer(self, step: Call, headers: Mapping[str, str], seconds: float, log_of: "StepLog") -> Result:
        """What the endpoint says, without following redirects (they may lead elsewhere)."""
        url = URL(step.url)
        try:
            timeout = aiohttp.ClientTimeout(total=seconds)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                # It would send PUT and DELETE again by itself when the connection breaks; there is no public way to
                # forbid that, and what may be repeated is the runbook's to say.
                session._retry_connection = False
                async with session.request(
                    step.method, url, data=step.body, headers=headers, allow_redirects=False
                ) as response:
                    status = response.status
                    said = await _beginning(response.content)
        except aiohttp.ClientConnectorError as error:
            reason = f"{url.host} cannot be reached: {error}"
            return Result(state=StepState.FAILED, reason=reason, sent=False, unreached=True)
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = f"no answer from {url.host} ({type(error).__name__})"
            if step.idempotent:
                return Result(state=StepState.FAILED, reason=reason, unanswered=True)
            return Result(state=StepState.INTERRUPTED, reason=reason)
        self._keep_answer(said, log_of)
        if status in step.allow_status:
            return Result(state=StepState.SUCCEEDED)
        return Result(state=StepState.FAILED, reason=f"{url.host} answered {status}")

    def _keep_answer(self, said: bytes, log_of: "StepLog") -> None:
        """The answer as output: clean, redacted, and marked where it is not what was sent."""
        text = said[:MOST_ANSWER].decode("utf-8", "replace")
        cut = len(said) > MOST_ANSWER
        if cut:  # half a line could be half a secret, which nobody would recognise
            text = text.rpartition("\n")[0]
        log_of.begin_result()
        stream = self.tools.redactor.stream()
        for raw in text.splitlines():
            clean = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in raw)
            for line in stream.feed(f"{clean}\n"):
                self._answered(line, log_of)
        for line in stream.close():
            self._answered(line, log_of)
        log_of.altered = log_of.altered or cut or "\ufffd" in text

    def _answered(self, line: Redacted, log_of: "StepLog") -> None:
        altered = line.altered or "\ufffd" in line.text or len(line.text) > LONGEST_ANSWER
        log_of.add(Line(stream=Stream.OUT, text=line.text[:LONGEST_ANSWER], altered=altered))

    # --- storage ------------------------------------------------------------------------------------------------------

    async def _write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Through an outage; every function used here is safe to repeat."""
        return await surely(lambda: self.tools.database.write(function, *args, **kwargs), sleep=self.tools.clock.sleep)

    async def _read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await surely(lambda: self.tools.database.read(function, *args, **kwargs), sleep=self.tools.clock.sleep)

    async def _report(self, event: Event) -> None:
        now = self.tools.clock.now()

        def report(connection: Connection) -> None:
            executions.hold(connection, self.execution.id, self.execution.epoch)
            self.tools.reporter.report(connection, event, now)

        await self._write(report)


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """At most one byte more than is kept, so that it shows where there was more."""
    said = b""
    while len(said) <= MOST_ANSWER and (chunk := await content.read(MOST_ANSWER + 1 - len(said))):
        said += chunk
    return said


async def side_by_side(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All results, in order. When one breaks, the rest is let go (what runs on hosts goes on) before that is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as broken:
        raise broken.exceptions[0] from broken
    return [task.result() for task in tasks]


class StepLog:
    """Keeps a running step's output and process group: committed in batches, told with each batch.

    `kept`: the newest lines that are there already.
    """

    def __init__(self, steps: Steps, run: StepRun, kept: Sequence[OutputLine] = ()) -> None:
        self._steps, self._run = steps, run
        self.lines = kept[-1].seq if kept else 0
        self.altered = False  # its result was masked, cut or lost in part
        self.result_from = run.result_from
        self.tail: deque[OutputLine] = deque(kept, maxlen=TAIL)
        self.group: int | None = None
        self._pending: list[OutputLine] = []
        self._untold = False  # lines came since what was printed was told
        self._tell_at = 0.0  # monotonic; not before
        self._group: int | None = None  # not kept yet
        self._keeping: tuple[list[OutputLine], int | None] = ([], None)  # being written
        self._closing = asyncio.Event()
        self._soon_at: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def begin_result(self) -> None:
        """What was printed so far belonged to an earlier question."""
        self.result_from, self.altered = self.lines + 1, False

    def add(self, line: Line) -> None:
        """One more line."""
        self.lines += 1
        self.altered = self.altered or (line.altered and line.stream is Stream.OUT)
        kept = OutputLine(
            host=self._run.host,
            step=self._run.step,
            attempt=self._run.attempt,
            seq=self.lines,
            stream=line.stream.value,
            text=line.text,
            at=self._steps.tools.clock.now(),
        )
        self.tail.append(kept)
        self._untold = True
        if self.lines <= MOST_LINES:
            self._pending.append(kept)
        self._soon()

    def note_group(self, group: int) -> None:
        """The remote process group, kept soon, so that anybody can end it."""
        self.group = self._group = group
        self._soon()

    def keep(self, connection: Connection) -> None:
        """Write down what is not kept yet. Raises LeaseLost. Then `kept`, once committed."""
        executions.hold(connection, self._run.execution_id, self._steps.execution.epoch)
        group = self._group
        if group is not None:
            executions.note_group(connection, self._run, group)
        self.keep_lines(connection)

    def keep_lines(self, connection: Connection) -> None:
        """Only the lines, by who holds the execution."""
        lines, _ = self._keeping = (list(self._pending), self._group)
        executions.keep_output(connection, self._run.execution_id, lines)

    def kept(self) -> None:
        """What `keep` wrote is committed."""
        lines, group = self._keeping
        self._keeping = ([], None)
        del self._pending[: len(lines)]
        if self._group == group:
            self._group = None

    async def __aenter__(self) -> None:
        """Lines may come."""

    async def __aexit__(self, *broken: object) -> None:
        """No more lines come. The last ones are kept with the step's ending, or now, where none will follow."""
        self._closing.set()
        if self._soon_at is not None:
            self._soon_at.cancel()
        if self._task is not None:
            await self._task
        if broken[0] is not None:
            await self._flush()

    def _soon(self) -> None:
        # Most commands are over before this timer is, and leave all this to their ending.
        if self._soon_at is None and (self._task is None or self._task.done()):
            pause = FLUSH if self._group is None else GROUP
            self._soon_at = asyncio.get_running_loop().call_later(pause, self._begin_to_flush)

    def _begin_to_flush(self) -> None:
        self._soon_at = None
        self._task = asyncio.create_task(self._flush_while_printing())

    async def _flush_while_printing(self) -> None:
        while not self._closing.is_set() and (self._is_unkept or self._untold):
            if self._is_unkept or self._is_due:
                await self._flush()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), FLUSH)

    @property
    def _is_unkept(self) -> bool:
        return bool(self._pending) or self._group is not None

    @property
    def _is_due(self) -> bool:
        return self._untold and self._steps.tools.clock.monotonic() >= self._tell_at

    async def _flush(self) -> None:
        steps, clock = self._steps, self._steps.tools.clock
        due, now = self._is_due, clock.now()
        event = StepPrinted(execution=steps.execution, step=self._run, tail=tuple(self.tail), lines=self.lines)

        def keep(connection: Connection) -> None:
            self.keep(connection)
            if due:
                steps.tools.reporter.report(connection, event, now)

        if due:
            self._untold, self._tell_at = False, clock.monotonic() + TELL
        with contextlib.suppress(LeaseLost):  # nothing was kept; the step's ending finds out as well
            await steps._write(keep)
            self.kept()


def may_repeat(step: Single) -> bool:
    """Whether a step whose outcome is unknown may run again by itself: it only reads, or is declared idempotent."""
    return not step.changing or getattr(step, "idempotent", False)
