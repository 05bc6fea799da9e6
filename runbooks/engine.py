"""The engine: everything anybody can ask for. Read first.

    submit -> (an owner claims it) -> make_plan -> review -> [approve] -> admit -> walk the plan -> the ending

Public operations are here: `submit`, `approve`, `deny`, `cancel`, `resume`, `give_up`, `roll_back`, `retry`, `engage`,
`release`. Each decides and records in one transaction and returns an `Answer` to say, or raises an `OperatorError`
whose message is safe to say. What happens inside those transactions is in `admission.py`, `consent.py`,
`interruption.py` and `switches.py`. `owner.py` claims what is due and calls `carry`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection

from runbooks import queue
from runbooks import switches as kill_switches
from runbooks.admission import Admission, Waiting
from runbooks.answer import Answer, Prospect, Seen, mention, said
from runbooks.catalog import Catalog, Entry, bind
from runbooks.consent import Consents, half_time
from runbooks.ending import cancel_words, cancelled, end_execution, undecided, witness
from runbooks.execution import Walk
from runbooks.interruption import Interruptions, Stopped, where_it_stopped
from runbooks.inventory import Inventory
from runbooks.parameters import Parameters
from runbooks.planning import RESULT_LINES, results
from runbooks.plans import StoredPlan, called_by, fingerprint, from_json, numbered, secrets_of
from runbooks.progress import BreakerMoved, LookRetried, SwitchStopped
from runbooks.queue import Length
from runbooks.remote import Finished, Host, StillRunning, StopCord, Unreached
from runbooks.rollback import begin_rollback, rollback_plan, way_back
from runbooks.steps import Stop, Tools
from runbooks.waves import checked, in_waves
from safety import circuit_breaker, kill_switch
from safety.command_guard import Judgement
from safety.decision import Decision
from safety.review import Policy
from safety.roles import Lack, Permission
from storage import approvals, audit, chores, controls, credentials, executions
from storage.canonical import sha256
from storage.database import moment, surely
from storage.errors import (
    HostError,
    Invalid,
    LeaseLost,
    NotFound,
    NotPermitted,
    OperatorError,
    PlanningFailed,
    StorageUnavailable,
    TooLate,
)
from storage.records import (
    HANDRAIL,
    TRANSPORT,
    UNSAID,
    USUAL_CAPS,
    Actor,
    Approval,
    Breaker,
    BreakerState,
    Caps,
    Danger,
    Execution,
    HostState,
    KillSwitch,
    Origin,
    Phase,
    Rollout,
    RunRequest,
    Scope,
    State,
    StepState,
)

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

COMMITTED_WITHIN = timedelta(seconds=1)
"""What is acknowledged as stored was committed so soon after it was received."""
ELSEWHERE = 2.0
"""Seconds that other processes get to end what a kill switch stops, before it is told what was found."""
TOGETHER = timedelta(seconds=2)
"""What was looked at by several processes within so long is one message."""
SOONEST, LATEST = 0.2, 5.0
"""Seconds until what waits for a token is asked about again: as long as it takes, yet a cancel is noticed."""
GRACE_NOW = 0.25
"""Seconds between TERM and KILL when a kill switch was engaged with --now."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """A runbook, where it runs, and the runbooks that are a part of it: what a right must cover."""

    runbook: str
    hosts: tuple[str, ...]
    includes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a request comes to: the runbook, validated values, the hosts that were meant, how dangerous it is."""

    entry: Entry
    params: Mapping[str, Any]
    hosts: tuple[str, ...]
    danger: Danger

    @property
    def runbook(self) -> str:
        """Its runbook's name."""
        return self.entry.name

    @property
    def includes(self) -> tuple[str, ...]:
        """The names of the runbooks that are a part of it."""
        return tuple(one.name for one in self.entry.includes)


@dataclass(frozen=True, kw_only=True)
class Ready:
    """What takes a request inside a transaction. `wanted`: None of somebody who may run nothing."""

    accept: Callable[[Connection, Callable[[Connection], object] | None], Answer]
    wanted: Wanted | None = None


class Engine:
    """One for a process; everything in it can be called from any task."""

    def __init__(self, *, tools: Tools, catalog: Catalog, policy: Policy, caps: Caps = USUAL_CAPS) -> None:
        self.tools = replace(tools, closed=self._closed_here)
        self.catalog, self.caps = catalog, caps
        self._length = Length(tools.clock)
        self.govern(policy)
        self.walks: dict[int, Walk] = {}
        self._looks: dict[int, tuple[Execution, StopCord]] = {}  # executions being planned here
        self.wake = asyncio.Event()  # set when something became claimable
        self._tasks: set[asyncio.Task[None]] = set()
        self._unrecorded: list[KillSwitch] = []  # engaged here while SQL did not answer

    def govern(self, policy: Policy) -> None:
        """Judge by this policy from now on, on the hosts of the inventory."""
        policy = self.policy = replace(policy, places=self.tools.inventory.places())
        self._admission = Admission(tools=self.tools, policy=policy, caps=self.caps, length=self._length)
        self._consents = Consents(tools=self.tools, policy=policy)
        self._interruptions = Interruptions(tools=self.tools, catalog=self.catalog, policy=policy)

    # --- submit -------------------------------------------------------------------------------------------------------

    async def submit(
        self,
        request: RunRequest,
        *,
        also: Callable[[Connection], object] | None = None,
        then: Callable[[Connection, Answer], object] | None = None,
        seen: Seen | None = None,
    ) -> Answer:
        """Accept a request: judge what needs no plan, keep it, let an owner carry it on.

        `also` runs in the same transaction (marking the inbox row handled), and so does `then`, which is told what came
        of it. `seen`: the plan that whoever asks was shown and wants to run, which is not made again; it is judged like
        any other. Raises OperatorError when the request makes no sense, or is not what was planned; a refusal is an
        Answer with its decision.
        """
        ready = self.ready(request, seen=seen)

        def take(connection: Connection) -> Answer:
            answer = ready.accept(connection, also)
            if then is not None:
                then(connection, answer)
            return answer

        answer = await self._write(take)
        self.wake.set()
        return answer

    def ready(self, request: RunRequest, *, seen: Seen | None = None) -> "Ready":
        """A request that makes sense now, for the transaction that takes it. Raises OperatorError if it makes none.

        `seen`: see `submit`.
        """
        now = self.tools.clock.now()
        if not self.policy.may(request.actor.id, Permission.EXECUTE):
            return Ready(accept=lambda c, also: self._admission.refuse_stranger(c, request, now, also))
        wanted, entry, params, hosts = self.understand(request)
        if seen is not None:
            _require_same(seen, entry, params, hosts)
        return Ready(
            accept=lambda c, also: self._admission.accept(c, wanted, entry, params, hosts, now, also, seen),
            wanted=Wanted(
                entry=entry,
                params=params.model_dump(mode="json"),
                hosts=tuple(h.name for h in hosts),
                danger=self.tools.planner.danger(entry, params, hosts),
            ),
        )

    def understand(self, request: RunRequest) -> tuple[RunRequest, Entry, Parameters, Sequence[Host]]:
        """A request with what its words mean; raises OperatorError when it makes no sense."""
        entry = self.runbook(request.runbook, request.actor)
        hosts = self.hosts_meant(request.targets, request.actor, entry)
        params = bind(entry, request.values, request.named)
        reads = not self.tools.planner.danger(entry, params, hosts).changes_hosts
        return replace(request, rollout=_rollout(entry, request.rollout, reads=reads)), entry, params, hosts

    def hosts_meant(self, targets: Sequence[str], actor: Actor, entry: Entry) -> Sequence[Host]:
        """The hosts of typed targets; raises NotFound or Invalid, naming only hosts where this person may run it."""
        return self._supported(entry, self._hosts(targets, actor, entry))

    async def look_ahead(self, request: RunRequest) -> Prospect:
        """Exactly what would run, and what every gate says to it now. Hosts are looked at; no execution is kept.

        Raises OperatorError when the request makes no sense, or can't be planned.
        """
        if not self.policy.may(request.actor.id, Permission.EXECUTE):
            refused = await self._write(self._admission.refuse_stranger, request, self.tools.clock.now(), None)
            return Prospect(runbook=request.runbook, hosts=(), decision=refused.decision or Decision(verdicts=()))
        request, entry, params, hosts = self.understand(request)
        refusal = await self._write(self._admission.may_look, request, entry, params, hosts)
        if refusal is not None:
            return Prospect(runbook=entry.name, hosts=tuple(host.name for host in hosts), decision=refusal)
        plan = await self.tools.planner.make_plan(entry, params, hosts)
        await self._require_means(plan)
        if self.tools.planner.danger(entry, params, hosts).changes_hosts:
            plan = replace(in_waves(plan, request.rollout, entry.rollout), rollback=entry.rollback)
        judgements = self._judgements(plan, entry, params, hosts)
        return await self._read(self._admission.prospect, request, entry, params, hosts, plan, judgements)

    def runbook(self, name: str, actor: Actor) -> Entry:
        """A runbook by name; raises NotFound, with near misses this person may know of."""
        try:
            return self.catalog.get(name)
        except NotFound:
            return self.catalog.only(lambda known: self._knows(actor, known)).get(name)

    def near_runbooks(self, name: str, actor: Actor) -> list[str]:
        """Names and aliases like this one, of runbooks this person may know of."""
        return self.catalog.only(lambda known: self._knows(actor, known)).near(name)

    def near_hosts(self, name: str, actor: Actor, entry: Entry) -> list[str]:
        """Hosts like this one, of those on which this person may run it; none for a host that is there, or a tag."""
        return [] if self._is_target(name) or ":" in name else self.where(actor, entry).near(name)

    def _knows(self, actor: Actor, runbook: str) -> bool:
        return any(self.policy.sees(actor.id, p, runbook) for p in (Permission.READ, Permission.EXECUTE))

    def _hosts(self, targets: Sequence[str], actor: Actor, entry: Entry) -> Sequence[Host]:
        try:
            return self.tools.inventory.resolve(targets)
        except (NotFound, Invalid):
            mine = self.where(actor, entry)
            return mine.resolve([target for target in targets if not self._is_target(target)])

    def where(self, actor: Actor, entry: Entry) -> Inventory:
        """The hosts that it supports, and on which this person may run it with all that is a part of it."""
        includes = tuple(one.name for one in entry.includes)
        may = partial(self.policy.decide, actor.id, Permission.EXECUTE, runbook=entry.name, includes=includes)
        return self.tools.inventory.only(
            lambda host: host.platform in entry.platforms and may(hosts=(host.name,)).allowed
        )

    def _is_target(self, target: str) -> bool:
        try:
            return bool(self.tools.inventory.resolve([target]))
        except (NotFound, Invalid):
            return False

    async def preview(self, request: RunRequest) -> Decision:
        """What every gate that needs no plan says to this request now, and what would have to be approved.

        Nothing is run or kept. Who may run nothing learns nothing else. Raises OperatorError when it makes no sense.
        """
        if not self.policy.may(request.actor.id, Permission.EXECUTE):
            return await self._read(self._admission.judge_stranger, request, self.tools.clock.now())
        _, entry, params, hosts = self.understand(request)
        return await self._read(self._admission.preview, request, entry, params, hosts, self.tools.clock.now())

    def _supported(self, entry: Entry, hosts: Sequence[Host]) -> Sequence[Host]:
        for host in hosts:
            if host.platform not in entry.platforms:
                supported = ", ".join(sorted(entry.platforms))
                raise Invalid(f"{entry.name} does not support {host.name}: it is {host.platform}, not {supported}.")
        return hosts

    # --- carrying on: plan, review, admit, walk -----------------------------------------------------------------------

    async def carry(self, execution: Execution) -> None:
        """What an owner does with an execution it claimed: up to its ending, or to where it waits for a person."""
        try:
            await self.tools.reporter.headline_settled(execution)
            if execution.state is State.RUNNING:
                await self._take_up(execution)
            elif execution.phase is Phase.PLAN:
                await self._plan(execution)
            else:
                await self._apply(execution)
        except LeaseLost:
            log.warning("lease_lost", execution=execution.id)
        except TooLate as error:
            log.info("moved_on", execution=execution.id, message=error.message)

    async def break_off(self, execution: Execution, error: Exception) -> None:
        """Whatever broke while it was carried is our own fault: what had not begun has failed, and of what runs nothing
        is known, so that a person decides.
        """
        why = f"Handrail itself failed here ({type(error).__name__}); its log says more"
        found = await self._read(executions.get, execution.id)
        if found.epoch != execution.epoch:
            return
        if found.state is State.PENDING:
            await self._end(found, State.FAILED, why)
        elif found.state is State.RUNNING:
            await self._write(self._interruptions.break_off, found, why)

    async def _plan(self, execution: Execution) -> None:
        looks = self._looks_at_hosts(execution)
        if looks and not await self._once_there_is_a_token(self._admission.begin_look, execution):
            return
        try:
            entry = self.catalog.get(execution.runbook)
            params = entry.runbook.Params.model_validate(dict(execution.params))
            hosts = [self.tools.inventory.host(name) for name in execution.hosts]
            planned = self._planned(execution, entry, params, hosts)
            plan = await (self._look(execution, planned) if looks else planned)
            await self._require_means(plan)
        except (OperatorError, ValueError, KeyError) as error:
            if isinstance(error, StorageUnavailable):
                raise
            unreached = error.host if isinstance(error, HostError) else None
            await self._write(self._admission.looked, execution, {unreached: False} if unreached else {})
            words_ = (
                error.message if isinstance(error, OperatorError) else "Its parameters do not fit the runbook any more."
            )
            await self._end(execution, State.FAILED, words_)
            return
        if plan is None:
            await self._write(self._admission.looked, execution, {})
            words_ = "stopped while it was being planned" + ("; nothing was run" if execution.stage == 1 else "")
            await self._end(execution, State.CANCELLED, words_)
            return
        if execution.danger.changes_hosts:
            plan = replace(in_waves(plan, execution.rollout, entry.rollout), rollback=entry.rollback)
        judgements = self._judgements(plan.stage(execution.stage), entry, params, hosts)
        made = self._admission.plan_made
        admitted = await self._write(made, execution, plan, entry, judgements, looked=looks)
        if isinstance(admitted, Waiting):
            await self._review(execution, plan, entry, params, hosts)
            return
        if admitted is not None:
            await self._walk(Walk(self.tools, admitted, plan, entry, params))

    def _looks_at_hosts(self, execution: Execution) -> bool:
        """Whether hosts are looked at before it is planned; a dry run and a later stage count as if they were."""
        entry = self.catalog.entries.get(execution.runbook)
        return entry is None or entry.looks or execution.dry_run or execution.stage > 1

    async def _planned(
        self, execution: Execution, entry: Entry, params: Parameters, hosts: Sequence[Host]
    ) -> StoredPlan:
        """What would run; of a further stage, from what the hosts are like now and what their steps printed."""
        planner, tell = self.tools.planner, partial(self._tell_retry, execution)
        if execution.stage == 1:
            return await planner.make_plan(entry, params, hosts, tell)
        raw = await self._read(executions.plan_of, execution.id)
        former = from_json(raw or {})
        if any(len(part.later) >= execution.stage - 1 for part in former.hosts):
            return former  # it was planned and kept, and whoever planned it died before it was judged
        printed = await self._read(executions.results_of, execution.id, most=RESULT_LINES)
        return await planner.next_stage(entry, params, hosts, former, results(printed), tell)

    async def _require_means(self, plan: StoredPlan | None) -> None:
        """Raises PlanningFailed rather than let a run end half way, at the first step that lacks what it takes.

        That is a stored secret, or a host that may be called.
        """
        if plan is None:
            return
        strange = called_by(plan) - self.tools.call_hosts
        if strange:
            names = ", ".join(f"'{name}'" for name in sorted(strange))
            raise PlanningFailed(f"The plan calls what is not under `calls:` in handrail.yml: {names}. Add it there.")
        wanted = secrets_of(plan)
        gone = await self._read(credentials.missing, wanted) if wanted else []
        if gone:
            names = ", ".join(f"'{name}'" for name in gone)
            raise PlanningFailed(
                f"The plan needs secrets that are not stored: {names}. Try `handrail secrets set NAME`."
            )

    def _tell_retry(self, execution: Execution, unreached: Unreached) -> None:
        """The headline says why planning takes so long."""

        def note(connection: Connection) -> None:
            if executions.get(connection, execution.id).fingerprint is not None:
                return  # the host was reached meanwhile
            noted = executions.set_values(connection, execution.id, epoch=execution.epoch, note=unreached.words)
            self.tools.reporter.report(connection, LookRetried(execution=noted), self.tools.clock.now())

        async def write() -> None:
            with contextlib.suppress(LeaseLost, StorageUnavailable):
                await self.tools.database.write(note)

        self._later(write())

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self, execution: Execution, planning: Coroutine[Any, Any, StoredPlan]) -> StoredPlan | None:
        """The plan; None when somebody stopped it first. A probe only reads, so it is simply left alone."""
        cord = StopCord()
        self._looks[execution.id] = (execution, cord)
        looking, pulled = asyncio.ensure_future(planning), asyncio.ensure_future(cord.wait())
        try:
            await asyncio.wait({looking, pulled}, return_when=asyncio.FIRST_COMPLETED)
            return await looking if looking.done() else None
        finally:
            del self._looks[execution.id]
            for task in (looking, pulled):
                task.cancel()
            await asyncio.gather(looking, pulled, return_exceptions=True)

    async def _apply(self, execution: Execution) -> None:
        """The stored plan is carried out, never silently re-planned."""
        raw = await self._read(executions.plan_of, execution.id)
        try:
            plan = from_json(raw or {})
            entry = self.catalog.get(execution.runbook)
            params = entry.runbook.Params.model_validate(dict(execution.params))
            hosts = [self.tools.inventory.host(name) for name in execution.hosts]
        except (KeyError, ValueError, OperatorError) as error:
            if isinstance(error, StorageUnavailable):
                raise
            words_ = error.message if isinstance(error, OperatorError) else type(error).__name__
            await self._end(execution, State.FAILED, f"The stored plan cannot be carried out any more: {words_}")
            return
        await self._review(execution, plan, entry, params, hosts)

    async def _review(
        self, execution: Execution, plan: StoredPlan, entry: Entry, params: Parameters, hosts: Sequence[Host]
    ) -> None:
        judgements = self._judgements(plan.stage(execution.stage), entry, params, hosts)
        admitted = await self._once_there_is_a_token(
            self._admission.review_and_admit, execution, plan, entry, judgements
        )
        if admitted is not None:
            await self._walk(Walk(self.tools, admitted, plan, entry, params))

    def _judgements(
        self, plan: StoredPlan, entry: Entry, params: Parameters, hosts: Sequence[Host]
    ) -> tuple[Judgement, ...]:
        """What the guard says to every command."""
        typed = entry.runbook.typed_command(params) is not None
        return self.tools.planner.judgements(plan, hosts, typed=typed)

    async def _once_there_is_a_token(
        self, ask: Callable[Concatenate[Connection, P], T | Waiting], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What it says once it says anything but to wait, which it only does to schedules."""
        clock = self.tools.clock
        while isinstance(answer := await self._write(ask, *args, **kwargs), Waiting):
            seconds = (answer.until - clock.now()).total_seconds()
            await clock.sleep(min(max(seconds, SOONEST), LATEST))
        return answer

    async def _take_up(self, execution: Execution) -> None:
        """Go on with a running execution whose owner died: its hosts are asked what became of what was started.

        It was admitted already, and what runs must be followed whatever the gates say now; each further step asks the
        kill switch as ever.
        """
        try:
            raw = await self._read(executions.plan_of, execution.id)
            plan = from_json(raw or {})
            entry = self.catalog.get(execution.runbook)
            params = entry.runbook.Params.model_validate(dict(execution.params))
            for name in execution.hosts:
                self.tools.inventory.host(name)
        except (KeyError, ValueError, OperatorError) as error:
            if isinstance(error, StorageUnavailable):
                raise
            log.warning("not_taken_up", execution=execution.id, error=str(error))
            await self._write(self._give_to_a_person, execution)
            return
        await self._walk(Walk(self.tools, execution, plan, entry, params), watched=True)

    def _give_to_a_person(self, connection: Connection, execution: Execution) -> None:
        executions.seize(connection, execution)
        self._interruptions.interrupt(connection, execution)

    async def _walk(self, walk: Walk, *, watched: bool = False) -> None:
        """`watched`: what was asked to stop while nobody carried it is stopped now."""
        execution = walk.execution
        self.walks[execution.id] = walk
        try:
            if watched:
                await self.watch_controls()
            await walk.run()
        finally:
            if self.walks.get(execution.id) is walk:
                del self.walks[execution.id]
            self.wake.set()

    # --- consent ------------------------------------------------------------------------------------------------------

    async def approve(
        self,
        execution_id: int,
        actor: Actor,
        *,
        mark: str | None = None,
        said_at: datetime | None = None,
        origin: Origin = Origin.BUTTON,
    ) -> Answer:
        """Give the consent that is waited for. `mark`: the beginning of the fingerprint the person saw. `said_at`: when
        it was received; what was in time counts, however late somebody comes to it.

        Raises NotPermitted, TooLate; a denied attempt is in the audit.
        """
        answer = await self._write(self._consents.approve, execution_id, actor, mark, said_at, origin)
        self.wake.set()
        return said(answer)

    async def deny(
        self, execution_id: int, actor: Actor, *, reason: str | None = None, origin: Origin = Origin.BUTTON
    ) -> Answer:
        """Say no to what waits for approval. The requester's own no is a cancel."""
        return said(await self._write(self._consents.deny, execution_id, actor, reason, origin))

    def awaiting(self, connection: Connection, actor: Actor) -> list[tuple[Execution, Approval]]:
        """What waits for consent this person can give now, soonest to expire first; `approve` judges again."""
        found = ((executions.get(connection, one.execution_id), one) for one in approvals.waiting(connection))
        return [(one, waits) for one, waits in found if self._consents.may_consent(connection, one, waits, actor)]

    def may_deny(self, execution: Execution, actor: Actor) -> bool:
        """Whether this person could say no to it now; `deny` judges again."""
        return self._consents.may_deny(execution, actor)

    async def expire_approvals(self) -> None:
        """End what nobody approved in time, and remind once at half time."""
        now = self.tools.clock.now()
        waiting = await self._read(approvals.waiting)
        late = [a for a in waiting if a.expires_at + COMMITTED_WITHIN <= now]
        half = [
            a
            for a in waiting
            if a not in late and a.reminded_at is None and half_time(a.requested_at, a.expires_at) <= now
        ]
        if late or half:
            await self._write(self._consents.expire, [a.execution_id for a in late], [a.execution_id for a in half])

    # --- cancel, retry, resume, give up, roll back --------------------------------------------------------------------

    async def cancel(
        self, execution_id: int, actor: Actor, *, reason: str | None = None, origin: Origin = Origin.BUTTON
    ) -> Answer:
        """Stop it wherever it is. What is running is ended on the host, and looked at."""
        answer = await self._write(self._cancel, execution_id, actor, reason, origin)
        await self.watch_controls()
        return said(answer)

    def _cancel(
        self, connection: Connection, execution_id: int, actor: Actor, reason: str | None, origin: Origin
    ) -> Answer | OperatorError:
        now = self.tools.clock.now()
        execution = executions.get(connection, execution_id)
        if actor.id != execution.actor.id and not self.policy.may(actor.id, Permission.CANCEL):
            wrong = NotPermitted(f"You may not cancel #{execution_id}: that takes {Permission.CANCEL.value}.")
            witness(connection, "cancel.refused", execution, actor, origin, now, wrong.message)
            return wrong
        if execution.state is State.INTERRUPTED:
            return TooLate(
                f"#{execution_id} is interrupted, nothing of it is being run by Handrail. *Give up* ends it."
            )
        if execution.state.is_final:
            return TooLate(f"#{execution_id} has ended already ({execution.state.words}): there is nothing to cancel.")
        executions.ask_to_cancel(connection, execution_id, by=actor, at=now, reason=reason)
        controls.bump(connection)
        witness(connection, "cancel.asked", execution, actor, origin, now, reason)
        asked = executions.get(connection, execution_id)
        if execution.state is State.RUNNING or execution.owner is not None:
            return Answer(message=f"Stopping #{execution_id}; the thread will say how it ended.", execution=asked)
        ended = cancelled(connection, self.tools.reporter, asked, now)
        still = " It is interrupted as before: *Give up* ends it." if ended.state is State.INTERRUPTED else ""
        return Answer(message=f"You cancelled #{execution_id}.{still}", execution=ended)

    async def retry(
        self,
        execution_id: int,
        actor: Actor,
        *,
        only_failed: bool = False,
        for_real: bool = False,
        reason: str | None = None,
        emergency: bool = False,
        origin: Origin = Origin.BUTTON,
        channel: str | None = None,
        also: Callable[[Connection], object] | None = None,
    ) -> Answer:
        """The same again as a new execution, linked, from fresh facts; `only_failed`: on the hosts without success.

        `for_real`: what was a dry run is none this time; it is planned and judged anew like any request.
        Without a `reason` of its own it has the former one; an emergency is never taken over. A rollback is retried by
        rolling back once more what it took back. `also`: as for `submit`. Raises TooLate while it has not ended, while
        it is being taken back, and while somebody else's retry of it has not ended.
        """
        execution = await self._read(executions.get, execution_id)
        # Who may run nothing is refused by the gate below, and learns nothing else.
        if self.policy.may(actor.id, Permission.EXECUTE) and not execution.state.is_final:
            raise TooLate(f"#{execution_id} is {execution.state.words}: it can be retried once it has ended.")
        known = self.policy.may(actor.id, Permission.EXECUTE)
        if execution.rolls_back is not None:
            if known and (reason is not None or emergency):
                raise Invalid(
                    f"#{execution_id} rolls back #{execution.rolls_back}: that has no reason or emergency of its own. "
                    f"Try `/runbook rollback {execution.rolls_back}`."
                )
            return await self.roll_back(execution.rolls_back, actor, origin=origin, also=also)
        targets = await self._failed_hosts(execution) if only_failed and known else execution.hosts

        def first(connection: Connection) -> None:
            back = way_back(connection, execution_id)
            if known and back is not None:
                raise TooLate(
                    f"#{execution_id} is being rolled back by #{back.id}, which is {back.state.words}: "
                    "it can be retried once that has ended."
                )
            other = executions.retried_by(connection, execution_id)
            if known and other is not None and other.actor.id != actor.id:
                who = mention(other.actor)
                raise TooLate(f"{who} retries #{execution_id} already: #{other.id} is {other.state.words}.")
            if also is not None:
                also(connection)

        return await self.submit(
            RunRequest(
                actor=actor,
                origin=origin,
                runbook=execution.runbook,
                named=dict(execution.params),
                targets=targets,
                channel=channel or execution.channel,
                text=f"Run it on #{execution_id}" if for_real else execution.text,
                reason=reason or execution.reason,
                dry_run=execution.dry_run and not for_real,
                emergency=emergency,
                priority=execution.priority,
                rollout=execution.rollout,
                retry_of=execution_id,
            ),
            also=first,
        )

    async def _failed_hosts(self, execution: Execution) -> tuple[str, ...]:
        """Those on which it did not succeed, or was not begun; raises TooLate when there are none."""
        if execution.state is State.ROLLED_BACK:
            raise TooLate(f"#{execution.id} was rolled back on every host. Retry the whole of it.")
        rows = await self._read(executions.hosts_of, execution.id)
        failed = tuple(row.host for row in rows if row.state is not HostState.SUCCEEDED)
        if not failed:
            raise TooLate(f"#{execution.id} succeeded on every host: there is nothing left to retry.")
        return failed

    async def look_before_resuming(self, execution_id: int, actor: Actor) -> tuple[Execution, str, Stopped]:
        """What *Resume* shows first: the execution, what was found on the host, and where it stopped.

        Raises TooLate when it is not interrupted, NotPermitted, or HostError when the host can't be asked.
        """
        execution = await self._read(executions.get, execution_id)
        await self.require(actor, Permission.EXECUTE, f"resume #{execution_id}", Origin.BUTTON, about=execution)
        stopped = await self._read(where_it_stopped, execution)
        host, place = stopped.host, stopped.place
        raw = await self._read(executions.plan_of, execution_id)
        plan = from_json(raw or {})
        steps = await self._read(executions.steps_of, execution_id)
        earlier = [s for s in steps if s.host == host and s.step.split(".")[0] == place]
        title = dict(numbered(plan.of(host).steps)).get(place)
        said = [f"Step {place} on {host}: {title.title if title else earlier[-1].title if earlier else '?'}."]
        records = [s.token for s in earlier if s.token is not None and s.state is StepState.INTERRUPTED]
        groups = [s.pgid for s in earlier if s.pgid is not None and s.state is StepState.INTERRUPTED]
        asked = await self.tools.remote.attend(self.tools.inventory.host(host), records[-1]) if records else None
        if isinstance(asked, Finished):
            ending = f" ({asked.signal})" if asked.signal is not None else ""
            said.append(f"Its command is over: it ended with exit status {asked.exit_status}{ending}.")
        elif isinstance(asked, StillRunning):
            said.append(f"Its command is still running (pid {asked.group}).")
        elif groups:
            alive = await self.tools.remote.look(self.tools.inventory.host(host), groups)
            pids = [str(pid) for found in alive.values() for pid in found]
            over = "Its command is over; how it ended is unknown."
            said.append(f"Its command is still running (pid {', '.join(pids)})." if pids else over)
        elif any(s.changing and s.state is StepState.INTERRUPTED for s in earlier):
            said.append(
                "Whether its command still runs is unknown: Handrail died before it noted the process group. "
                f"Look on {host} before you run it again."
            )
        rows = await self._read(executions.hosts_of, execution_id)
        others = [row.host for row in rows if row.state is HostState.INTERRUPTED and row.host != host]
        if others:
            said.append(f"Interrupted as well, and asked about afterwards: {', '.join(others)}.")
        entry = self.catalog.get(execution.runbook)
        params = entry.runbook.Params.model_validate(dict(execution.params))
        try:
            facts = await self.tools.planner.probe(entry, params, self.tools.inventory.host(host))
            shown = ", ".join(f"{k}={v}" for k, v in facts.items() if k != "host")
            said.append(f"The probe finds: {shown[:1_000] or 'nothing to say'}.")
        except OperatorError as error:
            said.append(f"The probe finds no facts: {error.message}")
        return execution, " ".join(said), stopped

    async def resume(
        self,
        execution_id: int,
        actor: Actor,
        *,
        again: bool,
        mark: str | None = None,
        origin: Origin = Origin.BUTTON,
    ) -> Answer:
        """Go on after an interruption, through a new review: run the step in question again, or continue after it.

        `mark`: of what the person was shown; TooLate when it has stopped elsewhere, or once more, since then.
        """
        execution = await self._read(executions.get, execution_id)
        await self.require(actor, Permission.EXECUTE, f"resume #{execution_id}", origin, about=execution)
        answer = await self._write(self._interruptions.resume, execution_id, actor, again, mark, origin)
        self.wake.set()
        return said(answer)

    async def give_up(self, execution_id: int, actor: Actor, *, origin: Origin = Origin.BUTTON) -> Answer:
        """End an interrupted execution: its hosts are free again, its outcome stays unknown."""
        answer = await self._write(self._interruptions.give_up, execution_id, actor, origin)
        self.wake.set()
        return said(answer)

    async def roll_back(
        self,
        execution_id: int,
        actor: Actor,
        *,
        origin: Origin = Origin.BUTTON,
        also: Callable[[Connection], object] | None = None,
    ) -> Answer:
        """Take back the applied steps, last one first, as an execution of its own with its own review.

        `also`: as for `submit`.
        """
        execution = await self._read(executions.get, execution_id)
        await self.require(actor, Permission.EXECUTE, f"roll back #{execution_id}", origin, about=execution)

        def roll_back(connection: Connection) -> Answer | OperatorError:
            answer = self._interruptions.roll_back(connection, execution_id, actor, origin)
            if also is not None and isinstance(answer, Answer):
                also(connection)
            return answer

        answer = await self._write(roll_back)
        self.wake.set()
        return said(answer)

    # --- kill switches ------------------------------------------------------------------------------------------------

    async def engage(
        self,
        *,
        scope: Scope,
        subject: str,
        actor: Actor,
        now: bool = False,
        reason: str | None = None,
        origin: Origin = Origin.COMMAND,
        channel: str | None = None,
        patience: float = 1.0,
    ) -> Answer:
        """Close admission at once; with `now`, end what runs. With SQL down it still does both here, and says so.

        `patience`: how many seconds SQL gets to answer.
        """
        await self.require(actor, Permission.ENGAGE, "engage a kill switch", origin)
        known = self._known()
        switch = KillSwitch(
            scope=scope,
            subject=known.meant(scope, subject),
            engaged_by=actor,
            engaged_at=self.tools.clock.now(),
            now=now,
            reason=reason,
        )
        doubt = known.doubt(scope, switch.subject, partial(self._known_to, actor))
        try:
            answer = await asyncio.wait_for(
                self.tools.database.write_first(self.engage_in, switch, origin, channel, doubt), timeout=patience
            )
        except (StorageUnavailable, TimeoutError):
            return self._engage_without_storage(switch, doubt)
        if now:
            await self.watch_controls()
        return answer

    def _known(self) -> kill_switches.Known:
        return kill_switches.Known(catalog=self.catalog, inventory=self.tools.inventory)

    def _known_to(self, actor: Actor) -> kill_switches.Known:
        """What near misses may name to this person."""
        catalog = self.catalog.only(lambda name: self._knows(actor, name))
        may = partial(self.policy.decide, actor.id, Permission.EXECUTE)
        inventory = self.tools.inventory.only(
            lambda host: any(may(runbook=name, hosts=(host.name,)).allowed for name in catalog.entries)
        )
        return kill_switches.Known(catalog=catalog, inventory=inventory)

    def engage_in(
        self,
        connection: Connection,
        switch: KillSwitch,
        origin: Origin,
        channel: str | None,
        doubt: str | None = None,
    ) -> Answer:
        """Engage it within a transaction."""
        said = kill_switches.engage(
            connection,
            switch,
            origin=origin,
            channel=channel,
            reporter=self.tools.reporter,
            now=self.tools.clock.now(),
            doubt=doubt,
        )
        return Answer(message=said)

    def _engage_without_storage(self, switch: KillSwitch, doubt: str | None) -> Answer:
        self._unrecorded.append(switch)
        stopped = self._stop_for([switch]) if switch.now else 0
        return Answer(
            message=(
                f"The database does not answer. The kill switch ({switch.words}) is engaged in this process only: "
                f"{stopped} executions here are being ended, nothing starts here. It could not be recorded and reaches "
                "no other process yet; it will be recorded as soon as the database answers."
                + (f" {doubt}" if doubt else "")
            )
        )

    def _closed_here(self, execution: Execution) -> str | None:
        """Admission closed in this process while SQL could not be told."""
        for switch in self._unrecorded:
            if kill_switch.holds(switch, execution):
                return f"the kill switch ({switch.words}) was engaged"
        return None

    async def record_switches(self) -> None:
        """Write down what was engaged while the database did not answer."""
        while self._unrecorded:
            switch = self._unrecorded[0]
            await self.tools.database.write(self.engage_in, switch, Origin.ENGINE, None)
            self._unrecorded.remove(switch)

    async def release(
        self,
        *,
        scope: Scope,
        subject: str,
        actor: Actor,
        reason: str | None,
        origin: Origin = Origin.COMMAND,
        channel: str | None = None,
    ) -> Answer:
        """Let things run again; needs a reason, and the right to."""
        await self.require(actor, Permission.RELEASE, "release a kill switch", origin)
        if not (reason or "").strip():
            what = "global" if scope is Scope.GLOBAL else f"{scope.value} {subject}"
            raise Invalid(f"Why is it safe again? Try `/killswitch {what} off all clear`.")
        answer = await self._write(self.release_in, scope, subject, actor, str(reason), origin, channel)
        self.wake.set()
        return said(answer)

    def release_in(
        self,
        connection: Connection,
        scope: Scope,
        subject: str,
        actor: Actor,
        reason: str,
        origin: Origin,
        channel: str | None,
    ) -> Answer | OperatorError:
        """Release it within a transaction."""
        said = kill_switches.release(
            connection,
            scope,
            subject,
            known=self._known(),
            actor=actor,
            reason=reason,
            origin=origin,
            channel=channel,
            reporter=self.tools.reporter,
            now=self.tools.clock.now(),
        )
        return Answer(message=said) if isinstance(said, str) else said

    async def remind_of_switches(self) -> None:
        """Once an hour, the alerts channel is told of what is still engaged."""
        now = self.tools.clock.now()
        engaged = await self._read(controls.engaged)
        if any(kill_switch.is_due(switch, now) for switch in engaged):
            await self._write(kill_switches.remind, reporter=self.tools.reporter, now=now)

    # --- the queue ----------------------------------------------------------------------------------------------------

    async def tell_places(self) -> None:
        """Whoever waits for a place is told which it is, and when it is likely to be theirs."""
        if await self._read(executions.count_waiting):
            await self._write(queue.tell, self.caps, self.tools.reporter, self.tools.clock.now())

    async def in_their_places(self, shown: Sequence[Execution]) -> list[Execution]:
        """The same, with the place in the queue noted of each that waits there."""
        if not any(one.state is State.PENDING and one.owner is None for one in shown):
            return list(shown)
        found = await self._read(queue.places, self.caps, self.tools.clock.now())
        return [replace(one, note=found[one.id].words) if one.id in found else one for one in shown]

    # --- circuit breakers ---------------------------------------------------------------------------------------------

    async def reset_breaker(
        self, runbook: str | None, host: str | None, actor: Actor, *, origin: Origin = Origin.COMMAND
    ) -> Answer:
        """Close the breakers of a runbook, on one host or all; `ssh` names the way to a host. Takes killswitch.release.

        Raises NotPermitted, NotFound for a runbook or host that isn't there, TooLate when none is open.
        """
        await self.require(actor, Permission.RELEASE, "reset a circuit breaker", origin)
        name = None
        if runbook is not None:
            name = TRANSPORT if runbook.lower() == circuit_breaker.WAY else self.catalog.get(runbook).name
        where = self.tools.inventory.host(host).name if host is not None else None
        return said(await self._write(self._reset_breakers, name, where, actor, origin))

    def _reset_breakers(
        self, connection: Connection, runbook: str | None, host: str | None, actor: Actor, origin: Origin
    ) -> Answer | OperatorError:
        now = self.tools.clock.now()
        found = controls.used_breakers(connection, runbook=runbook, host=host)
        if not found:
            return TooLate("No circuit breaker like that is open. `/runbook breaker list` shows those that are.")
        closed = [Breaker(runbook=one.runbook, host=one.host) for one in found]
        controls.set_breakers(connection, closed)
        for before, after in zip(found, closed, strict=True):
            audit.append(
                connection,
                at=now,
                kind="breaker.reset",
                actor=actor,
                origin=origin,
                breaker=circuit_breaker.name(before),
                before=before.state.value,
                failures=before.failures,
            )
            if before.state is not BreakerState.CLOSED:
                self.tools.reporter.report(connection, BreakerMoved(breaker=after, actor=actor), now)
        return Answer(message=f"Closed: {', '.join(circuit_breaker.name(one) for one in closed)}.")

    # --- switches and cancels that concern what runs here -------------------------------------------------------------

    async def watch_controls(self) -> None:
        """Act on switches and cancels that concern what runs here; also those that other processes wrote."""
        if not self.walks and not self._looks:
            return
        switches = [s for s in await self.tools.database.read(controls.engaged) if s.now]
        self._stop_for(switches)
        here = [*self.walks, *self._looks]
        for execution in await self.tools.database.read(executions.cancelled_among, here):
            if execution.id in self._looks:
                self._looks[execution.id][1].pull(cancel_words(execution))
            walk = self.walks.get(execution.id)
            if walk is not None:
                by = Actor(id=execution.cancel_by or HANDRAIL.id)
                walk.stop(Stop(words=cancel_words(execution), by=by))

    def _stop_for(self, switches: Iterable[KillSwitch]) -> int:
        stopped = 0
        for switch in switches:
            why = f"the kill switch ({switch.words}) was engaged"
            for planned, cord in self._looks.values():
                if kill_switch.holds(switch, planned):
                    cord.pull(why)
            stop = Stop(words=why, by=switch.engaged_by, grace=GRACE_NOW)
            walks = [w for w in self.walks.values() if kill_switch.holds(switch, w.execution) and w.stop(stop)]
            if walks:
                stopped += len(walks)
                self._later(self._tell_stopped(switch, walks))
        return stopped

    def let_go_of_what_may_be_repeated(self) -> None:
        """End the running steps that somebody else may repeat: the database is out of reach, and our leases run out."""
        for walk in self.walks.values():
            walk.let_go()

    async def _tell_stopped(self, switch: KillSwitch, walks: Sequence[Walk]) -> None:
        """One message with what all processes found, once everything that was stopped was looked at.

        What was found here is known before it is written down, and is said first. In an outage nobody knows who else
        has heard of the switch, or when: each process then says what it found itself.
        """
        clock, alone = self.tools.clock, False
        began, asked_at = clock.monotonic(), clock.now()
        while any(walk.is_under_way and walk.execution.id in self.walks for walk in walks):
            await clock.sleep(0.01)
        seconds = clock.monotonic() - began
        here = {walk.execution.id for walk in walks}
        try:
            while clock.monotonic() - began < ELSEWHERE and await self._read(self._is_running, switch, here):
                await clock.sleep(0.05)
        except StorageUnavailable:
            alone = True
        await surely(
            lambda: self.tools.database.write_first(
                self._report_stopped, switch, walks, asked_at, seconds, alone=alone
            ),
            sleep=clock.sleep,
        )

    def _is_running(self, connection: Connection, switch: KillSwitch, here: Collection[int]) -> bool:
        """Whether other processes still end something."""
        running = executions.in_states(connection, (State.RUNNING,), limit=10_000)
        return any(kill_switch.holds(switch, execution) for execution in running if execution.id not in here)

    def _report_stopped(
        self,
        connection: Connection,
        switch: KillSwitch,
        walks: Sequence[Walk],
        asked_at: datetime,
        seconds: float,
        *,
        alone: bool,
    ) -> None:
        """Unless another process has: whoever is last to look says it for all. `alone`: for this process only."""
        here = {walk.execution.id for walk in walks}
        name = sha256(["stopped", switch.scope.value, switch.subject, *(sorted(here) if alone else [])])[:40]
        if not chores.claim_anew(connection, name, unless_since=asked_at - TOGETHER, now=self.tools.clock.now()):
            return
        held = [(walk.execution.id, host, death) for walk in walks for host, death in walk.deaths]
        elsewhere = [] if alone else executions.looked_at_since(connection, asked_at - TOGETHER)
        for one, host, death in elsewhere:
            # What somebody cancelled a moment before was not ended by the switch.
            if one.id not in here and one.cancel_at is None and kill_switch.holds(switch, one):
                held.append((one.id, host, death))
        event = SwitchStopped(switch=switch, found=tuple(held), seconds=seconds, channel=None)
        self.tools.reporter.report(connection, event, self.tools.clock.now())

    # --- what a dead owner left behind --------------------------------------------------------------------------------

    async def reap(
        self,
        *,
        owner: str | None,
        lease: timedelta,
        owners: Sequence[str] | None = None,
        overdue: timedelta | None = None,
        sparing: Collection[int] = (),
        is_sure: Callable[[], bool] = lambda: True,
    ) -> list[Execution]:
        """Running executions without a living owner: continued if that is safe, else interrupted for a person.

        `sparing`: what is being carried right here, whatever its lease says. `is_sure`: asked again when each is taken,
        whether an expired lease says anything. Returns those that are `owner`'s from now on: it is to `carry` them,
        which asks their hosts what became of them. Without an `owner`, who carries nothing, there are none. `overdue`:
        see `executions.ownerless`.
        """
        now = self.tools.clock.now()

        def look(connection: Connection) -> list[Execution]:
            return executions.ownerless(connection, now=moment(connection, now), owners=owners, overdue=overdue)

        found = await self._read(look)
        left = [execution for execution in found if execution.id not in sparing]
        reap = self._interruptions.reap
        # Tried once: what was read before an outage says nothing of who lives after it.
        tries = (
            self.tools.database.write_first(reap, execution, found_at=now, owner=owner, lease=lease, is_sure=is_sure)
            for execution in left
        )
        taken: list[Execution] = []
        broken: list[BaseException] = []
        for outcome in await asyncio.gather(*tries, return_exceptions=True):
            if isinstance(outcome, Execution):
                taken.append(outcome)
            elif isinstance(outcome, BaseException) and not isinstance(outcome, TooLate | LeaseLost):
                broken.append(outcome)  # those two: another process was faster, or its owner lives
        if left:
            self.wake.set()
        for error in broken:
            if not taken:
                raise error  # what was taken over is carried first: this one is met again in the next round
            log.error("not_reaped", exc_info=error)
        return taken

    async def require(
        self,
        actor: Actor,
        permission: Permission,
        what: str,
        origin: Origin,
        *,
        about: Execution | Wanted | Reach | None = None,
    ) -> None:
        """Raises NotPermitted, after the denial is in the audit (if the database answers).

        With `about`, the right must cover that runbook on those hosts.
        """
        runbook, hosts = (about.runbook, about.hosts) if about is not None else (None, ())
        includes = about.includes if about is not None else ()
        right = self.policy.decide(actor.id, permission, runbook=runbook, hosts=hosts, includes=includes)
        if right.allowed:
            return
        with contextlib.suppress(StorageUnavailable, TimeoutError):
            await asyncio.wait_for(self._witness_denial(actor, permission, what, origin, right.rule), timeout=1.0)
        if right.lacks is Lack.PERMISSION:
            reason = right.reason[:1].lower() + right.reason[1:]
            raise NotPermitted(f"You may not {what}: {reason} Ask an admin for one.")
        raise NotPermitted(f"You may not {what}: {right.reason} ({right.rule})")

    async def witness_view(self, actor: Actor, what: str, origin: Origin, **data: Any) -> None:
        """Somebody looked at what is not everybody's to see."""
        at = self.tools.clock.now()
        await self._write(
            lambda connection: audit.append(
                connection, at=at, kind="view", actor=actor, origin=origin, what=what, **data
            )
        )

    async def _witness_denial(self, actor: Actor, permission: Permission, what: str, origin: Origin, rule: str) -> None:
        """Somebody asked for what their rights do not allow; the audit has denials too."""
        at = self.tools.clock.now()

        def witness(connection: Connection) -> None:
            audit.append(
                connection,
                at=at,
                kind="denied",
                actor=actor,
                origin=origin,
                permission=permission.value,
                what=what,
                rule=rule,
            )

        await self.tools.database.write(witness)

    # --- small things -------------------------------------------------------------------------------------------------

    async def _end(self, execution: Execution, to: State, reason: str, *, gate: str | None = None) -> None:
        def end(connection: Connection) -> None:
            found = executions.get(connection, execution.id)
            if found.cancel_at is not None and found.epoch == execution.epoch:
                cancelled(connection, self.tools.reporter, found, self.tools.clock.now())
                return
            end_execution(
                connection,
                self.tools.reporter,
                execution,
                to=to,
                reason=reason,
                now=self.tools.clock.now(),
                leaving=(State.PENDING,),
                epoch=execution.epoch,
                gate=gate,
                rollback=self._take_back(connection, found) if to is State.FAILED else None,
            )

        await self._write(end)

    def _take_back(self, connection: Connection, execution: Execution) -> Execution | None:
        """What begins by itself when a further stage can't be planned, where the plan says so."""
        steps = executions.steps_of(connection, execution.id)
        if execution.stage == 1 or undecided(connection, execution, steps):
            return None
        whole = from_json(executions.plan_of(connection, execution.id) or {})
        plan = rollback_plan(connection, execution, whole) if whole.rollback else None
        if plan is None:
            return None
        return begin_rollback(
            connection,
            self.tools.reporter,
            execution,
            plan,
            timeout=timedelta(seconds=execution.timeout),
            actor=execution.actor,
            origin=Origin.ENGINE,
            now=self.tools.clock.now(),
            keeps_hosts=True,
        )

    async def _write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Through a short outage; every function used here finds out by itself whether it already happened."""
        return await surely(
            lambda: self.tools.database.write(function, *args, **kwargs),
            sleep=self.tools.clock.sleep,
            give_up_after=timedelta(seconds=60),
        )

    async def _read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.tools.database.read(function, *args, **kwargs)


def _require_same(seen: Seen, entry: Entry, params: Parameters, hosts: Sequence[Host]) -> None:
    """Raises TooLate when the plan that was shown is not one of this request."""
    mark = fingerprint(runbook=entry.name, params=params.model_dump(mode="json"), plan=seen.plan)
    if mark != seen.fingerprint or [part.host for part in seen.plan.hosts] != [host.name for host in hosts]:
        raise TooLate("What you saw is not what this would run any more, so nothing was run. Ask for a new plan.")


def _rollout(entry: Entry, asked: Rollout, *, reads: bool) -> Rollout:
    """What was asked, in one spelling; raises Invalid where it makes no sense."""
    if asked != UNSAID and reads:
        raise Invalid(
            f"{entry.name} only reads: it looks at all its hosts side by side. Leave `--waves`, `--pause` and "
            "`--max-failures` out."
        )
    return checked(asked)
