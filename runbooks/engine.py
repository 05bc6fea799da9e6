"""The engine: everything anybody can ask for. Read first.

    submit -> (an owner claims it) -> make_plan -> review -> [approve] -> admit -> walk the plan -> the ending

Public operations are here: `submit`, `approve`, `deny`, `cancel`, `resume`, `give_up`, `roll_back`, `retry`, `engage`,
`release`. Each decides and records in one transaction and returns an `Answer` to say, or raises an `OperatorError`
whose message is safe to say. `owner.py` claims what is due and calls `carry`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection

from runbooks import switches as kill_switches
from runbooks.catalog import Catalog, Entry, bind, services_named
from runbooks.definition import Parameters
from runbooks.execution import Stop, Tools, Walk, cancel_words, end_execution, undo_steps
from runbooks.plans import HostPlan, StoredPlan, fingerprint, from_json, numbered, to_json
from runbooks.progress import (
    ApprovalAsked,
    ApprovalDecided,
    ApprovalReminded,
    EmergencyUsed,
    ExecutionContinued,
    ExecutionStarted,
    ExecutionSubmitted,
    ExecutionWaiting,
    PlanMade,
    SwitchStopped,
)
from runbooks.remote import Host, StopCord
from safety import kill_switch
from safety.clock import words
from safety.command_guard import Judgement
from safety.decision import Decision, Outcome
from safety.gates import BEFORE_PLANNING, Proposal
from safety.review import Policy, review, take_budgets, take_probe
from safety.roles import Permission
from storage import approvals, audit, controls, executions
from storage.canonical import sha256
from storage.database import surely
from storage.errors import Invalid, LeaseLost, NotPermitted, OperatorError, StorageUnavailable, TooLate
from storage.records import (
    HANDRAIL,
    Actor,
    ApprovalState,
    Consent,
    Danger,
    Execution,
    KillSwitch,
    Origin,
    Phase,
    RunRequest,
    Scope,
    State,
    StepState,
)

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

GRACE_NOW = 0.25
"""Seconds between TERM and KILL when a kill switch was engaged with --now."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What to tell the person who asked. `execution` when it is about one."""

    message: str
    execution: Execution | None = None
    decision: Decision | None = None
    duplicate: bool = False


class Engine:
    """One for a process; everything in it can be called from any task."""

    def __init__(self, *, tools: Tools, catalog: Catalog, policy: Policy) -> None:
        self.tools = replace(tools, closed=self._closed_here)
        self.catalog, self.policy = catalog, policy
        self.walks: dict[int, Walk] = {}
        self._looks: dict[int, tuple[Execution, StopCord]] = {}  # executions being planned here
        self.wake = asyncio.Event()  # set when something became claimable
        self._tasks: set[asyncio.Task[None]] = set()
        self._unrecorded: list[KillSwitch] = []  # engaged here while SQL did not answer

    # --- submit -------------------------------------------------------------------------------------------------------

    async def submit(self, request: RunRequest, *, also: Callable[[Connection], object] | None = None) -> Answer:
        """Accept a request: judge what needs no plan, keep it, let an owner carry it on.

        `also` runs in the same transaction (marking the inbox row handled). Raises OperatorError when the request makes
        no sense; a refusal is an Answer with its decision.
        """
        now = self.tools.clock.now()
        if not self.policy.may(request.actor.id, Permission.EXECUTE):
            return await self._write(self._refuse_stranger, request, now, also)
        entry = self.catalog.get(request.runbook)
        hosts = self._supported(entry, self.tools.inventory.resolve(request.targets))
        params = bind(entry, request.values, request.named)
        answer = await self._write(self._admit_request, request, entry, params, hosts, now, also)
        self.wake.set()
        return answer

    def _supported(self, entry: Entry, hosts: Sequence[Host]) -> Sequence[Host]:
        for host in hosts:
            if host.platform not in entry.runbook.platforms:
                supported = ", ".join(sorted(entry.runbook.platforms))
                raise Invalid(f"{entry.name} does not support {host.name}: it is {host.platform}, not {supported}.")
        return hosts

    def _refuse_stranger(
        self, connection: Connection, request: RunRequest, now: datetime, also: Callable[[Connection], object] | None
    ) -> Answer:
        """Who may run nothing learns nothing else either."""
        if also is not None:
            also(connection)
        proposal = Proposal(
            execution_id=None,
            actor=request.actor.id,
            runbook=request.runbook,
            danger=Danger.DANGEROUS,
            hosts=(),
            services=(),
            cooldown=timedelta(0),
            max_hosts=0,
        )
        decision = review(
            connection,
            proposal,
            self.policy,
            now=now,
            actor=request.actor,
            origin=request.origin,
            only=("permission",),
        )
        refusal = decision.refusal
        reason = refusal.reason if refusal else "Your role changed at this moment. Try again."
        return Answer(message=f"Refused {_refused('permission', reason)}", decision=decision)

    def _admit_request(
        self,
        connection: Connection,
        request: RunRequest,
        entry: Entry,
        params: Parameters,
        hosts: Sequence[Host],
        now: datetime,
        also: Callable[[Connection], object] | None,
    ) -> Answer:
        if also is not None:
            also(connection)
        names = tuple(host.name for host in hosts)
        values = params.model_dump(mode="json")
        same = sha256(
            [request.actor.id, request.channel, entry.name, values, names, request.dry_run, request.emergency]
        )
        duplicate = executions.duplicate_of(connection, same)
        if duplicate is not None:
            message = f"You asked for exactly this already: #{duplicate.id} is {duplicate.state.words}."
            return Answer(message=message, execution=duplicate, duplicate=True)
        services = kill_switch.all_service_names(services_named(params))
        proposal = Proposal(
            execution_id=None,
            actor=request.actor.id,
            runbook=entry.name,
            danger=entry.danger,
            hosts=names,
            services=services,
            cooldown=entry.cooldown,
            max_hosts=entry.max_hosts,
            dry_run=request.dry_run,
            emergency_at=now if request.emergency else None,
            emergency_reason=request.reason,
            continues=request.retry_of,
        )
        decision = review(
            connection,
            proposal,
            self.policy,
            now=now,
            actor=request.actor,
            origin=request.origin,
            only=BEFORE_PLANNING,
        )
        refusal = decision.refusal
        execution = executions.create(
            connection,
            runbook=entry.name,
            params=values,
            hosts=names,
            services=services,
            danger=entry.danger,
            actor=request.actor,
            origin=request.origin,
            channel=request.channel,
            text=request.text,
            normalised=same,
            reason=request.reason,
            dry_run=request.dry_run,
            priority=request.priority,
            state=State.PENDING,
            timeout=entry.timeout,
            now=now,
            emergency_at=proposal.emergency_at,
            retry_of=request.retry_of,
            request_id=request.request_id,
        )
        audit.append(
            connection,
            at=now,
            kind="execution.pending",
            actor=request.actor,
            origin=request.origin,
            execution_id=execution.id,
            runbook=entry.name,
            params=values,
            hosts=list(names),
            text=request.text,
            dry_run=request.dry_run,
            retry_of=request.retry_of,
            reason=request.reason,
        )
        self.tools.reporter.report(connection, ExecutionSubmitted(execution=execution), now)
        if refusal is not None:
            ended = self._refuse(connection, execution, decision, now)
            return Answer(
                message=f"Refused {_refused(refusal.gate, refusal.reason)}", execution=ended, decision=decision
            )
        if request.emergency:
            overridden = tuple(s for s in controls.engaged(connection) if _covers(s, proposal))
            self.tools.reporter.report(connection, EmergencyUsed(execution=execution, switches=overridden), now)
            audit.append(
                connection,
                at=now,
                kind="emergency.used",
                actor=request.actor,
                origin=request.origin,
                execution_id=execution.id,
                switches=[switch.words for switch in overridden],
                reason=request.reason,
            )
        return Answer(message=f"#{execution.id} {entry.name} is on its way.", execution=execution, decision=decision)

    def _refuse(
        self, connection: Connection, execution: Execution, decision: Decision, now: datetime, epoch: int | None = None
    ) -> Execution:
        refusal = decision.refusal
        if refusal is None:
            raise AssertionError("only a refused decision refuses")
        return end_execution(
            connection,
            self.tools.reporter,
            execution,
            to=State.REFUSED,
            reason=_refused(refusal.gate, refusal.reason),
            now=now,
            leaving=(State.PENDING,),
            epoch=epoch,
            gate=refusal.gate,
        )

    # --- carrying on: plan, review, admit, walk -----------------------------------------------------------------------

    async def carry(self, execution: Execution) -> None:
        """What an owner does with an execution it claimed: up to its ending, or to where it waits for a person."""
        try:
            await self.tools.reporter.headline_settled(execution)
            if execution.phase is Phase.PLAN:
                await self._plan(execution)
            else:
                await self._apply(execution)
        except LeaseLost:
            log.warning("lease_lost", execution=execution.id)
        except TooLate as error:
            log.info("moved_on", execution=execution.id, message=error.message)

    async def _plan(self, execution: Execution) -> None:
        now = self.tools.clock.now()
        wait = await self._write(take_probe, execution.actor.id, now)
        if wait > 0:
            reason = f"You have looked at hosts 30 times within a minute. The next look is free in {words(wait)}."
            await self._end(execution, State.REFUSED, _refused("rate limits", reason), gate="rate limits")
            return
        try:
            entry = self.catalog.get(execution.runbook)
            params = entry.runbook.Params.model_validate(dict(execution.params))
            hosts = [self.tools.inventory.host(name) for name in execution.hosts]
            plan = await self._look(execution, self.tools.planner.make_plan(entry, params, hosts))
        except (OperatorError, ValueError) as error:
            if isinstance(error, StorageUnavailable):
                raise
            words_ = (
                error.message if isinstance(error, OperatorError) else "Its parameters do not fit the runbook any more."
            )
            await self._end(execution, State.FAILED, words_)
            return
        if plan is None:
            await self._end(execution, State.CANCELLED, "stopped while it was being planned; nothing was run")
            return
        stored = await self._write(self._store_plan, execution, plan)
        await self._review(stored, plan, entry, params, hosts)

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

    def _store_plan(self, connection: Connection, execution: Execution, plan: StoredPlan) -> Execution:
        now = self.tools.clock.now()
        mark = fingerprint(runbook=execution.runbook, params=execution.params, plan=plan)
        services = kill_switch.all_service_names([*execution.services, *plan.services])
        stored = executions.set_values(
            connection,
            execution.id,
            epoch=execution.epoch,
            plan=to_json(plan),
            fingerprint=mark,
            services=list(services),
            steps_total=plan.steps_total,
        )
        self.tools.reporter.report(connection, PlanMade(execution=stored, plan=to_json(plan)), now)
        return stored

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
        judgements = self.tools.planner.judgements(plan, hosts)
        admitted = await self._write(self._review_and_admit, execution, plan, entry, judgements)
        if admitted is None:
            return
        walk = Walk(self.tools, admitted, plan, entry, params)
        self.walks[execution.id] = walk
        try:
            await walk.run()
        finally:
            del self.walks[execution.id]
            self.wake.set()

    def _review_and_admit(
        self,
        connection: Connection,
        execution: Execution,
        plan: StoredPlan,
        entry: Entry,
        judgements: tuple[Judgement, ...],
    ) -> Execution | None:
        """All gates, and what follows from them, in one transaction; the execution when it may run now."""
        now = self.tools.clock.now()
        found = executions.get(connection, execution.id)
        if found.epoch != execution.epoch:
            raise LeaseLost(f"execution {execution.id} has a new owner")
        if found.state is State.RUNNING:
            return found  # the answer to this very commit was lost
        if found.cancel_at is not None:
            self._cancelled(connection, found, now)
            return None
        proposal = self._proposal(found, entry, judgements)
        decision = review(connection, proposal, self.policy, now=now, actor=found.actor, origin=found.origin)
        if decision.outcome is Outcome.REFUSE:
            self._refuse(connection, found, decision, now, epoch=found.epoch)
            return None
        if found.dry_run:
            self._show(connection, found, plan, decision, now)
            return None
        if decision.outcome is Outcome.ASK:
            self._ask(connection, found, plan, decision, now)
            return None
        return self._admit(connection, found, plan, proposal, now)

    def _proposal(self, execution: Execution, entry: Entry, judgements: tuple[Judgement, ...]) -> Proposal:
        return Proposal(
            execution_id=execution.id,
            actor=execution.actor.id,
            runbook=execution.runbook,
            danger=execution.danger,
            hosts=execution.hosts,
            services=execution.services,
            cooldown=entry.cooldown,
            max_hosts=entry.max_hosts,
            dry_run=execution.dry_run,
            emergency_at=execution.emergency_at,
            emergency_reason=execution.reason,
            fingerprint=execution.fingerprint,
            commands=judgements,
            continues=execution.retry_of,
        )

    def _show(
        self, connection: Connection, execution: Execution, plan: StoredPlan, decision: Decision, now: datetime
    ) -> None:
        ask = decision.ask
        needs = f" To run it, {ask.consent.value} is needed: {ask.reason}" if ask is not None else ""
        reason = f"dry run: {plan.steps_total} steps planned, nothing was executed.{needs}"
        end_execution(
            connection,
            self.tools.reporter,
            execution,
            to=State.SUCCEEDED,
            reason=reason,
            now=now,
            leaving=(State.PENDING,),
            epoch=execution.epoch,
        )

    def _ask(
        self, connection: Connection, execution: Execution, plan: StoredPlan, decision: Decision, now: datetime
    ) -> None:
        ask = decision.ask
        if ask is None or execution.fingerprint is None:
            raise AssertionError("only a planned execution that needs consent asks for it")
        approval = approvals.ask(
            connection,
            execution.id,
            fingerprint=execution.fingerprint,
            kind=ask.consent,
            now=now,
            expire=self.policy.expire,
        )
        waiting = executions.move(
            connection,
            execution.id,
            leaving=(State.PENDING,),
            to=State.AWAITING_APPROVAL,
            now=now,
            epoch=execution.epoch,
            reason=ask.reason,
            note=None,
        )
        event = ApprovalAsked(
            execution=waiting,
            approval=approval,
            plan=to_json(plan),
            why=ask.reason,
            notify=self.policy.notify if ask.consent is Consent.APPROVE else None,
            approvers=self.policy.approvers() if ask.consent is Consent.APPROVE else (),
        )
        self.tools.reporter.report(connection, event, now)

    def _admit(
        self, connection: Connection, execution: Execution, plan: StoredPlan, proposal: Proposal, now: datetime
    ) -> Execution | None:
        if execution.danger.changes_hosts:
            held = controls.take_locks(connection, execution.id, execution.hosts, now)
            if held:
                self._wait_for(connection, execution, now)
                return None
        take_budgets(connection, proposal, self.policy, now=now)
        running = executions.move(
            connection,
            execution.id,
            leaving=(State.PENDING,),
            to=State.RUNNING,
            now=now,
            epoch=execution.epoch,
            phase=Phase.APPLY.value,
            note=None,
        )
        event = ExecutionStarted(execution=running, steps_total=plan.steps_total)
        self.tools.reporter.report(connection, event, now)
        return running

    def _wait_for(self, connection: Connection, execution: Execution, now: datetime) -> None:
        locks = tuple(controls.locks(connection, execution.hosts))
        holders = tuple(executions.get(connection, holder) for holder in sorted({lock.execution_id for lock in locks}))
        names = "; ".join(
            f"{lock.host} is held by #{lock.execution_id} since {lock.since:%H:%M:%S} UTC" for lock in locks
        )
        waiting = executions.set_values(
            connection,
            execution.id,
            epoch=execution.epoch,
            owner=None,
            lease_until=None,
            phase=Phase.APPLY.value,
            note=f"waiting: {names}",
        )
        if waiting.note != execution.note:
            event = ExecutionWaiting(execution=waiting, locks=locks, holders=holders)
            self.tools.reporter.report(connection, event, now)

    # --- consent ------------------------------------------------------------------------------------------------------

    async def approve(
        self, execution_id: int, actor: Actor, *, mark: str | None = None, origin: Origin = Origin.BUTTON
    ) -> Answer:
        """Give the consent that is waited for. `mark`: the beginning of the fingerprint the person saw.

        Raises NotPermitted, TooLate; a denied attempt is in the audit.
        """
        answer = await self._write(self._approve, execution_id, actor, mark, origin)
        self.wake.set()
        return _said(answer)

    def _approve(
        self, connection: Connection, execution_id: int, actor: Actor, mark: str | None, origin: Origin
    ) -> "Answer | OperatorError":
        now = self.tools.clock.now()
        execution = executions.get(connection, execution_id)
        waiting = approvals.find_waiting(connection, execution_id)
        if waiting is None or execution.state is not State.AWAITING_APPROVAL:
            return TooLate(
                f"#{execution_id} waits for nobody: it is {execution.state.words}.{_decided(connection, execution_id)}"
            )
        wrong = self._may_not_consent(connection, execution, waiting.kind, actor)
        if wrong is None and mark is not None and not waiting.fingerprint.startswith(mark):
            wrong = TooLate(f"#{execution_id} has a new plan since you looked. Read it, then decide about that one.")
        if wrong is not None:
            self._witness_attempt(connection, "approval.refused", execution, actor, origin, now, wrong.message)
            return wrong
        given = approvals.decide(connection, execution_id, to=ApprovalState.GIVEN, by=actor.id, now=now)
        if given is None:
            return TooLate(f"The time to approve #{execution_id} is over. Ask for it again.")
        moved = executions.move(
            connection,
            execution_id,
            leaving=(State.AWAITING_APPROVAL,),
            to=State.PENDING,
            now=now,
            actor=actor,
            origin=origin,
            reason="approved",
            phase=Phase.APPLY.value,
            queued_at=now,
        )
        self._witness_attempt(connection, "approval.given", moved, actor, origin, now, None)
        self.tools.reporter.report(connection, ApprovalDecided(execution=moved, approval=given, actor=actor), now)
        verb = "approved" if given.kind is Consent.APPROVE else "confirmed"
        return Answer(message=f"You {verb} #{execution_id}.", execution=moved)

    def _may_not_consent(
        self, connection: Connection, execution: Execution, kind: Consent, actor: Actor
    ) -> OperatorError | None:
        for switch in controls.engaged(connection):
            if kill_switch.holds(switch, execution):
                return NotPermitted(
                    f"The kill switch ({switch.words}) is engaged: #{execution.id} keeps waiting, but nobody can "
                    "approve it until the switch is released."
                )
        if kind is Consent.CONFIRM:
            if actor.id != execution.actor.id:
                return NotPermitted(f"Only <@{execution.actor.id}>, who asked for it, can confirm #{execution.id}.")
            return None
        if actor.id == execution.actor.id:
            return NotPermitted(f"You asked for #{execution.id} yourself: somebody else must approve it.")
        if not self.policy.may(actor.id, Permission.APPROVE):
            return NotPermitted(f"You may not approve: that takes a role with {Permission.APPROVE.value}.")
        return None

    def _witness_attempt(
        self,
        connection: Connection,
        kind: str,
        execution: Execution,
        actor: Actor,
        origin: Origin,
        now: datetime,
        reason: str | None,
    ) -> None:
        audit.append(
            connection,
            at=now,
            kind=kind,
            actor=actor,
            origin=origin,
            execution_id=execution.id,
            fingerprint=execution.fingerprint,
            reason=reason,
        )

    async def deny(
        self, execution_id: int, actor: Actor, *, reason: str | None = None, origin: Origin = Origin.BUTTON
    ) -> Answer:
        """Say no to what waits for approval. The requester's own no is a cancel."""
        return _said(await self._write(self._deny, execution_id, actor, reason, origin))

    def _deny(
        self, connection: Connection, execution_id: int, actor: Actor, reason: str | None, origin: Origin
    ) -> "Answer | OperatorError":
        now = self.tools.clock.now()
        execution = executions.get(connection, execution_id)
        if execution.state is not State.AWAITING_APPROVAL:
            return TooLate(
                f"#{execution_id} waits for nobody: it is {execution.state.words}.{_decided(connection, execution_id)}"
            )
        if actor.id != execution.actor.id and not self.policy.may(actor.id, Permission.APPROVE):
            wrong = NotPermitted(f"You may not deny: that takes a role with {Permission.APPROVE.value}.")
            self._witness_attempt(connection, "approval.refused", execution, actor, origin, now, wrong.message)
            return wrong
        denied = approvals.decide(
            connection, execution_id, to=ApprovalState.DENIED, by=actor.id, now=now, reason=reason
        )
        if denied is None:
            return TooLate(f"The time to decide about #{execution_id} is over.")
        words_ = f"denied by {_mention(actor)}" + (f": {reason}" if reason else "")
        ended = end_execution(
            connection,
            self.tools.reporter,
            execution,
            to=State.DENIED,
            reason=words_,
            now=now,
            leaving=(State.AWAITING_APPROVAL,),
            by=actor,
            origin=origin,
        )
        self.tools.reporter.report(connection, ApprovalDecided(execution=ended, approval=denied, actor=actor), now)
        return Answer(message=f"You denied #{execution_id}.", execution=ended)

    async def expire_approvals(self) -> None:
        """End what nobody approved in time, and remind once at half time."""
        now = self.tools.clock.now()
        waiting = await self._read(approvals.waiting)
        late = [a for a in waiting if a.expires_at <= now]
        half = [
            a for a in waiting if a not in late and a.reminded_at is None and _half(a.requested_at, a.expires_at) <= now
        ]
        if late or half:
            await self._write(self._expire, [a.execution_id for a in late], [a.execution_id for a in half])

    def _expire(self, connection: Connection, late: Sequence[int], half: Sequence[int]) -> None:
        now = self.tools.clock.now()
        for execution_id in late:
            expired = approvals.decide(connection, execution_id, to=ApprovalState.EXPIRED, by="handrail", now=now)
            if expired is None:
                continue
            execution = executions.get(connection, execution_id)
            length = words((expired.expires_at - expired.requested_at).total_seconds())
            ended = end_execution(
                connection,
                self.tools.reporter,
                execution,
                to=State.EXPIRED,
                reason=f"nobody decided within {length}; nothing was run",
                now=now,
                leaving=(State.AWAITING_APPROVAL,),
            )
            self.tools.reporter.report(connection, ApprovalDecided(execution=ended, approval=expired, actor=None), now)
        for execution_id in half:
            waiting = approvals.find_waiting(connection, execution_id)
            if waiting is None or waiting.reminded_at is not None or waiting.kind is not Consent.APPROVE:
                continue
            approvals.mark_reminded(connection, [waiting.id], now)
            event = ApprovalReminded(
                execution=executions.get(connection, execution_id),
                approval=waiting,
                notify=self.policy.notify,
                approvers=self.policy.approvers(),
            )
            self.tools.reporter.report(connection, event, now)

    # --- cancel, retry, resume, give up, roll back --------------------------------------------------------------------

    async def cancel(
        self, execution_id: int, actor: Actor, *, reason: str | None = None, origin: Origin = Origin.BUTTON
    ) -> Answer:
        """Stop it wherever it is. What is running is ended on the host, and looked at."""
        answer = await self._write(self._cancel, execution_id, actor, reason, origin)
        await self.watch_controls()
        return _said(answer)

    def _cancel(
        self, connection: Connection, execution_id: int, actor: Actor, reason: str | None, origin: Origin
    ) -> "Answer | OperatorError":
        now = self.tools.clock.now()
        execution = executions.get(connection, execution_id)
        if actor.id != execution.actor.id and not self.policy.may(actor.id, Permission.CANCEL):
            wrong = NotPermitted(f"You may not cancel #{execution_id}: that takes {Permission.CANCEL.value}.")
            self._witness_attempt(connection, "cancel.refused", execution, actor, origin, now, wrong.message)
            return wrong
        if execution.state is State.INTERRUPTED:
            return TooLate(
                f"#{execution_id} is interrupted, nothing of it is being run by Handrail. *Give up* ends it."
            )
        if execution.state.is_final:
            return TooLate(f"#{execution_id} is {execution.state.words} already.")
        executions.ask_to_cancel(connection, execution_id, by=actor, at=now, reason=reason)
        controls.bump(connection)
        self._witness_attempt(connection, "cancel.asked", execution, actor, origin, now, reason)
        asked = executions.get(connection, execution_id)
        if execution.state is State.RUNNING or execution.owner is not None:
            return Answer(message=f"Stopping #{execution_id}; the thread will say how it ended.", execution=asked)
        return Answer(message=f"You cancelled #{execution_id}.", execution=self._cancelled(connection, asked, now))

    def _cancelled(self, connection: Connection, execution: Execution, now: datetime) -> Execution:
        return end_execution(
            connection,
            self.tools.reporter,
            execution,
            to=State.CANCELLED,
            reason=cancel_words(execution),
            now=now,
            leaving=(State.PENDING, State.AWAITING_APPROVAL),
            by=Actor(id=execution.cancel_by or HANDRAIL.id),
        )

    async def retry(
        self, execution_id: int, actor: Actor, *, origin: Origin = Origin.BUTTON, channel: str | None = None
    ) -> Answer:
        """The same again as a new execution, linked, from fresh facts."""
        execution = await self._read(executions.get, execution_id)
        if not execution.state.is_final:
            raise TooLate(f"#{execution_id} is {execution.state.words}: it can be retried once it has ended.")
        return await self.submit(
            RunRequest(
                actor=actor,
                origin=origin,
                runbook=execution.runbook,
                named=dict(execution.params),
                targets=execution.hosts,
                channel=channel or execution.channel,
                text=execution.text,
                reason=execution.reason,
                dry_run=execution.dry_run,
                priority=execution.priority,
                retry_of=execution_id,
            )
        )

    async def look_before_resuming(self, execution_id: int, actor: Actor) -> tuple[Execution, str, str, str]:
        """What *Resume* shows first: the execution, what was found on the host, and the step, host in question.

        Raises TooLate when it is not interrupted, NotPermitted, or HostError when the host can't be asked.
        """
        execution, plan, host, place = await self._interrupted_at(execution_id, actor)
        steps = await self._read(executions.steps_of, execution_id)
        earlier = [s for s in steps if s.host == host and s.step.split(".")[0] == place]
        title = dict(numbered(plan.of(host).steps)).get(place)
        said = [f"Step {place} on {host}: {title.title if title else earlier[-1].title if earlier else '?'}."]
        groups = [s.pgid for s in earlier if s.pgid is not None and s.state is StepState.INTERRUPTED]
        if groups:
            alive = await self.tools.remote.look(self.tools.inventory.host(host), groups)
            pids = [str(pid) for found in alive.values() for pid in found]
            said.append(f"Its command is still running (pid {', '.join(pids)})." if pids else "Its command is over.")
        entry = self.catalog.get(execution.runbook)
        params = entry.runbook.Params.model_validate(dict(execution.params))
        try:
            facts = await self.tools.planner.probe(entry, params, self.tools.inventory.host(host))
            shown = ", ".join(f"{k}={v}" for k, v in facts.items() if k != "host")
            said.append(f"The probe finds: {shown[:1_000] or 'nothing to say'}.")
        except OperatorError as error:
            said.append(f"The probe finds no facts: {error.message}")
        return execution, " ".join(said), host, place

    async def _interrupted_at(self, execution_id: int, actor: Actor) -> tuple[Execution, StoredPlan, str, str]:
        execution = await self._read(executions.get, execution_id)
        if execution.state is not State.INTERRUPTED:
            raise TooLate(f"#{execution_id} is {execution.state.words}, not interrupted.")
        await self.require(actor, Permission.EXECUTE, f"resume #{execution_id}", Origin.BUTTON)
        raw = await self._read(executions.plan_of, execution_id)
        if raw is None:
            raise TooLate(f"#{execution_id} has no plan to resume. Give it up and ask again.")
        plan = from_json(raw)
        host, place = await self._read(_where_it_stopped, execution_id, plan)
        return execution, plan, host, place

    async def resume(self, execution_id: int, actor: Actor, *, again: bool, origin: Origin = Origin.BUTTON) -> Answer:
        """Go on after an interruption, through a new review: run the step in question again, or continue after it."""
        _, _, host, place = await self._interrupted_at(execution_id, actor)
        first = place if again else str(int(place) + 1)
        answer = await self._write(self._resume, execution_id, actor, host, first, again, origin)
        self.wake.set()
        return _said(answer)

    def _resume(
        self,
        connection: Connection,
        execution_id: int,
        actor: Actor,
        host: str,
        first: str,
        again: bool,
        origin: Origin,
    ) -> "Answer | OperatorError":
        now = self.tools.clock.now()
        words_ = f"{_mention(actor)} resumes it: " + (
            f"step {first} again" if again else f"after step {int(first) - 1}"
        )
        moved = executions.move(
            connection,
            execution_id,
            leaving=(State.INTERRUPTED,),
            to=State.PENDING,
            now=now,
            actor=actor,
            origin=origin,
            reason=words_,
            phase=Phase.APPLY.value,
            queued_at=now,
            ended_at=None,
            ending=None,
            resume={host: first},
            cancel_at=None,
            cancel_by=None,
            cancel_reason=None,
        )
        event = ExecutionContinued(execution=moved, actor=actor, words=words_)
        self.tools.reporter.report(connection, event, now)
        return Answer(message=f"#{execution_id} goes on.", execution=moved)

    async def give_up(self, execution_id: int, actor: Actor, *, origin: Origin = Origin.BUTTON) -> Answer:
        """End an interrupted execution: its hosts are free again, its outcome stays unknown."""
        return _said(await self._write(self._give_up, execution_id, actor, origin))

    def _give_up(
        self, connection: Connection, execution_id: int, actor: Actor, origin: Origin
    ) -> "Answer | OperatorError":
        now = self.tools.clock.now()
        execution = executions.get(connection, execution_id)
        if actor.id != execution.actor.id and not self.policy.may(actor.id, Permission.CANCEL):
            wrong = NotPermitted(f"You may not give up #{execution_id}: that takes {Permission.CANCEL.value}.")
            self._witness_attempt(connection, "cancel.refused", execution, actor, origin, now, wrong.message)
            return wrong
        if execution.state is not State.INTERRUPTED:
            return TooLate(f"#{execution_id} is {execution.state.words}, not interrupted.")
        reason = f"given up by {_mention(actor)}; what it did is unknown ({execution.ending})"
        ended = end_execution(
            connection,
            self.tools.reporter,
            execution,
            to=State.CANCELLED,
            reason=reason,
            now=now,
            leaving=(State.INTERRUPTED,),
            by=actor,
            origin=origin,
        )
        self.wake.set()
        return Answer(message=f"You gave up #{execution_id}; its hosts are free.", execution=ended)

    async def roll_back(self, execution_id: int, actor: Actor, *, origin: Origin = Origin.BUTTON) -> Answer:
        """Take back the applied steps, last one first, as an execution of its own with its own review."""
        await self.require(actor, Permission.EXECUTE, f"roll back #{execution_id}", origin)
        answer = await self._write(self._roll_back, execution_id, actor, origin)
        self.wake.set()
        return _said(answer)

    def _roll_back(
        self, connection: Connection, execution_id: int, actor: Actor, origin: Origin
    ) -> "Answer | OperatorError":
        now = self.tools.clock.now()
        execution = executions.get(connection, execution_id)
        raw = executions.plan_of(connection, execution_id)
        if raw is None or not (execution.state.is_final or execution.state is State.INTERRUPTED):
            return TooLate(f"#{execution_id} is {execution.state.words}: there is nothing to roll back.")
        undo = undo_steps(from_json(raw), executions.steps_of(connection, execution_id))
        if not undo:
            return TooLate(f"Nothing to roll back: no applied step of #{execution_id} can be undone.")
        plan = StoredPlan(hosts=tuple(HostPlan(host=h, steps=tuple(s), facts={}) for h, s in undo.items()))
        if execution.state is State.INTERRUPTED:  # its locks go over to the rollback, within this transaction
            controls.free_locks(connection, execution_id)
        entry = self.catalog.get(execution.runbook)
        new = executions.create(
            connection,
            runbook=execution.runbook,
            params=execution.params,
            hosts=tuple(undo),
            services=execution.services,
            danger=execution.danger,
            actor=actor,
            origin=origin,
            channel=execution.channel,
            text=f"roll back #{execution_id}",
            normalised=sha256(["roll back", execution_id]),
            reason=f"roll back #{execution_id}",
            dry_run=False,
            priority=execution.priority,
            state=State.PENDING,
            timeout=entry.timeout,
            now=now,
            retry_of=execution_id,
        )
        mark = fingerprint(runbook=execution.runbook, params=execution.params, plan=plan)
        stored = executions.set_values(
            connection,
            new.id,
            plan=to_json(plan),
            fingerprint=mark,
            phase=Phase.APPLY.value,
            steps_total=plan.steps_total,
            rolls_back=execution_id,
        )
        if execution.state is State.INTERRUPTED:
            controls.take_locks(connection, new.id, tuple(undo), now)
        self._witness_attempt(connection, "execution.pending", stored, actor, origin, now, f"roll back #{execution_id}")
        self.tools.reporter.report(connection, ExecutionSubmitted(execution=stored), now)
        self.tools.reporter.report(connection, PlanMade(execution=stored, plan=to_json(plan)), now)
        return Answer(message=f"#{stored.id} rolls back #{execution_id}.", execution=stored)

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
    ) -> Answer:
        """Close admission at once; with `now`, end what runs. With SQL down it still does both here, and says so."""
        # Whoever can open the database from a shell could do anything to it; the audit says that it was them.
        if origin is not Origin.CLI:
            await self.require(actor, Permission.ENGAGE, "engage a kill switch", origin)
        switch = KillSwitch(
            scope=scope,
            subject=kill_switch.subject_of(scope, subject),
            engaged_by=actor,
            engaged_at=self.tools.clock.now(),
            now=now,
            reason=reason,
        )
        try:
            answer = await asyncio.wait_for(
                self.tools.database.write(self.engage_in, switch, origin, channel), timeout=1.0
            )
        except (StorageUnavailable, TimeoutError):
            return self._engage_without_storage(switch)
        if now:
            await self.watch_controls()
        return answer

    def engage_in(self, connection: Connection, switch: KillSwitch, origin: Origin, channel: str | None) -> Answer:
        """Engage it within a transaction."""
        said = kill_switches.engage(
            connection,
            switch,
            origin=origin,
            channel=channel,
            reporter=self.tools.reporter,
            now=self.tools.clock.now(),
        )
        return Answer(message=said)

    def _engage_without_storage(self, switch: KillSwitch) -> Answer:
        self._unrecorded.append(switch)
        stopped = self._stop_for([switch]) if switch.now else 0
        return Answer(
            message=(
                f"The database does not answer. The kill switch ({switch.words}) is engaged in this process only: "
                f"{stopped} executions here are being ended, nothing starts here. It could not be recorded and reaches "
                "no other process yet; it will be recorded as soon as the database answers."
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
        if origin is not Origin.CLI:
            await self.require(actor, Permission.RELEASE, "release a kill switch", origin)
        if not (reason or "").strip():
            what = "global" if scope is Scope.GLOBAL else f"{scope.value} {subject}"
            raise Invalid(f"Why is it safe again? Try `/killswitch {what} off all clear`.")
        answer = await self._write(self.release_in, scope, subject, actor, str(reason), origin, channel)
        self.wake.set()
        return _said(answer)

    def release_in(
        self,
        connection: Connection,
        scope: Scope,
        subject: str,
        actor: Actor,
        reason: str,
        origin: Origin,
        channel: str | None,
    ) -> "Answer | OperatorError":
        """Release it within a transaction."""
        said = kill_switches.release(
            connection,
            scope,
            subject,
            actor=actor,
            reason=reason,
            origin=origin,
            channel=channel,
            reporter=self.tools.reporter,
            now=self.tools.clock.now(),
        )
        return Answer(message=said) if isinstance(said, str) else said

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
            if walk is not None and walk.stopping is None:
                by = Actor(id=execution.cancel_by or HANDRAIL.id)
                walk.stop(Stop(words=cancel_words(execution), by=by))

    def _stop_for(self, switches: Iterable[KillSwitch]) -> int:
        stopped = 0
        for switch in switches:
            for planned, cord in self._looks.values():
                if kill_switch.holds(switch, planned):
                    cord.pull(f"the kill switch ({switch.words}) was engaged")
            walks = [w for w in self.walks.values() if w.stopping is None and kill_switch.holds(switch, w.execution)]
            for walk in walks:
                why = f"the kill switch ({switch.words}) was engaged"
                walk.stop(Stop(words=why, by=switch.engaged_by, grace=GRACE_NOW, kind="kill switch"))
            if walks:
                stopped += len(walks)
                self._tell_later(switch, walks)
        return stopped

    def _tell_later(self, switch: KillSwitch, walks: Sequence[Walk]) -> None:
        task = asyncio.create_task(self._tell_stopped(switch, walks))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_stopped(self, switch: KillSwitch, walks: Sequence[Walk]) -> None:
        """One message with what was found, once every stopped walk here has looked."""
        began = self.tools.clock.monotonic()
        while any(walk.execution.id in self.walks for walk in walks):
            await self.tools.clock.sleep(0.02)
        seconds = self.tools.clock.monotonic() - began
        found = tuple((walk.execution.id, host, death) for walk in walks for host, death in walk.deaths)
        event = SwitchStopped(switch=switch, found=found, seconds=seconds, channel=None)
        await self._write(self.tools.reporter.report, event, self.tools.clock.now())

    # --- what a dead owner left behind --------------------------------------------------------------------------------

    async def reap(self, *, owners: Sequence[str] | None = None) -> int:
        """Running executions without a living owner: continued if that is safe, else interrupted for a person."""
        now = self.tools.clock.now()
        left = await self._read(executions.ownerless, now=now, owners=owners)
        for execution in left:
            try:
                await self._write(self._reap_one, execution)
            except (TooLate, LeaseLost):
                continue  # another process was faster
        if left:
            self.wake.set()
        return len(left)

    def _reap_one(self, connection: Connection, execution: Execution) -> None:
        now = self.tools.clock.now()
        executions.seize(connection, execution)
        steps = executions.interrupt_steps(
            connection, execution.id, now=now, reason="Handrail stopped while it ran; its outcome is unknown"
        )
        raw = executions.plan_of(connection, execution.id)
        plan = from_json(raw) if raw is not None else None
        if plan is not None and execution.cancel_at is None and all(_may_repeat(plan, s.host, s.step) for s in steps):
            self._continue(connection, execution, plan, now, [s.step for s in steps])
            return
        names = ", ".join(f"step {s.step} on {s.host} ({s.title})" for s in steps) or "what it was doing"
        end_execution(
            connection,
            self.tools.reporter,
            execution,
            plan=plan,
            to=State.INTERRUPTED,
            reason=f"Handrail stopped in the middle of {names}; whether it happened is unknown",
            now=now,
            leaving=(State.RUNNING,),
        )

    def _continue(
        self, connection: Connection, execution: Execution, plan: StoredPlan, now: datetime, repeated: Sequence[str]
    ) -> None:
        resume = {part.host: _next_place(connection, execution.id, part) for part in plan.hosts}
        moved = executions.move(
            connection,
            execution.id,
            leaving=(State.RUNNING,),
            to=State.PENDING,
            now=now,
            reason="continued after an interruption",
            phase=Phase.APPLY.value,
            queued_at=now,
            resume=resume,
        )
        what = f"step {repeated[0]} runs again (it may be repeated)" if repeated else "nothing was in flight"
        event = ExecutionContinued(execution=moved, actor=None, words=f"Handrail was restarted and goes on: {what}")
        self.tools.reporter.report(connection, event, now)

    async def require(self, actor: Actor, permission: Permission, what: str, origin: Origin) -> None:
        """Raises NotPermitted, after the denial is in the audit (if the database answers)."""
        if self.policy.may(actor.id, permission):
            return
        with contextlib.suppress(StorageUnavailable, TimeoutError):
            await asyncio.wait_for(self._witness_denial(actor, permission, what, origin), timeout=1.0)
        raise NotPermitted(f"You may not {what}: that takes a role with {permission.value}. Ask an admin for one.")

    async def _witness_denial(self, actor: Actor, permission: Permission, what: str, origin: Origin) -> None:
        """Somebody asked for what their roles do not allow; the audit has denials too."""
        at = self.tools.clock.now()

        def witness(connection: Connection) -> None:
            audit.append(
                connection, at=at, kind="denied", actor=actor, origin=origin, permission=permission.value, what=what
            )

        await self.tools.database.write(witness)

    # --- small things -------------------------------------------------------------------------------------------------

    async def _end(self, execution: Execution, to: State, reason: str, *, gate: str | None = None) -> None:
        def end(connection: Connection) -> None:
            found = executions.get(connection, execution.id)
            if found.cancel_at is not None and found.epoch == execution.epoch:
                self._cancelled(connection, found, self.tools.clock.now())
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
            )

        await self._write(end)

    async def _write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Through a short outage; every function used here finds out by itself whether it already happened."""
        return await surely(
            lambda: self.tools.database.write(function, *args, **kwargs),
            sleep=self.tools.clock.sleep,
            give_up_after=timedelta(seconds=60),
        )

    async def _read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.tools.database.read(function, *args, **kwargs)


def _said(answer: "Answer | OperatorError") -> Answer:
    """An expected no is recorded in its transaction first, and raised after the commit."""
    if isinstance(answer, OperatorError):
        raise answer
    return answer


def _refused(gate: str, reason: str) -> str:
    return f"by the {gate} gate: {reason}"


def _covers(switch: KillSwitch, proposal: Proposal) -> bool:
    return kill_switch.covers(switch, runbook=proposal.runbook, hosts=proposal.hosts, services=proposal.services)


def _mention(actor: Actor) -> str:
    return f"<@{actor.id}>" if actor.is_slack else actor.id


def _half(start: datetime, end: datetime) -> datetime:
    return start + (end - start) / 2


def _decided(connection: Connection, execution_id: int) -> str:
    found = approvals.latest(connection, execution_id)
    if found is None or found.decided_by is None or found.state is ApprovalState.WAITING:
        return ""
    by = f"<@{found.decided_by}>" if found.decided_by.startswith(("U", "W")) else found.decided_by
    return f" It was {found.state.value} by {by}."


def _may_repeat(plan: StoredPlan, host: str, place: str) -> bool:
    """Whether an interrupted step may run again by itself: it only reads, or is declared idempotent."""
    step = dict(numbered(plan.of(host).steps)).get(place)
    return step is not None and (not step.changing or getattr(step, "idempotent", False))


def _next_place(connection: Connection, execution_id: int, part: HostPlan) -> str:
    """The first step of a host that has not ended well; one past the last when all have."""
    done = {
        s.step
        for s in executions.steps_of(connection, execution_id)
        if s.host == part.host and s.state in {StepState.SUCCEEDED, StepState.SKIPPED}
    }
    for place, _ in numbered(part.steps):
        if place not in done:
            return place.split(".")[0]
    return str(len(part.steps) + 1)


def _where_it_stopped(connection: Connection, execution_id: int, plan: StoredPlan) -> tuple[str, str]:
    for part in plan.hosts:
        place = _next_place(connection, execution_id, part)
        if int(place) <= len(part.steps):
            return part.host, place
    raise TooLate(f"#{execution_id} has no step left to run. *Give up* ends it.")
