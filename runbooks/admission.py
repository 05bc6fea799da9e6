"""From a request to an execution that may run: accepted, planned, reviewed, and then admitted, asked about, or refused.

Everything here happens inside one transaction of its caller's: what is decided, what is recorded and what must be said
are committed together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from runbooks.answer import Answer, Prospect, Seen, refused
from runbooks.catalog import Entry, binding
from runbooks.consent import request_for
from runbooks.ending import cancelled, end_execution, replay_breakers, witness
from runbooks.parameters import Parameters, services_named, unsaid
from runbooks.plans import StoredPlan, fingerprint, to_json
from runbooks.progress import (
    EmergencyUsed,
    ExecutionStarted,
    ExecutionSubmitted,
    ExecutionWaiting,
    LimitRefuses,
    PlanMade,
)
from runbooks.queue import Length
from runbooks.remote import Host
from runbooks.steps import Tools
from safety import kill_switch
from safety.approval import together
from safety.command_guard import Judgement
from safety.decision import Decision, Outcome, Verdict
from safety.gates import BEFORE_PLANNING, GATES, Proposal, judge
from safety.review import LIMITING, Policy, begin_look, gather, refused_too_often, review, take_budgets
from storage import approvals, audit, controls, executions, schedules
from storage.canonical import sha256
from storage.errors import LeaseLost
from storage.records import (
    HANDRAIL,
    TRANSPORT,
    UNSAID,
    ApprovalState,
    Caps,
    Consent,
    Danger,
    Execution,
    KillSwitch,
    Origin,
    Phase,
    RunRequest,
    State,
)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """It came of a schedule, and waits for a token that will be there then; it is to be asked about again."""

    until: datetime


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What accepts, reviews and admits."""

    tools: Tools
    policy: Policy
    caps: Caps
    length: Length

    def refuse_stranger(
        self, connection: Connection, request: RunRequest, now: datetime, also: Callable[[Connection], object] | None
    ) -> Answer:
        """Who may run nothing learns nothing else either."""
        if also is not None:
            also(connection)
        decision = review(
            connection,
            _of_a_stranger(request),
            self.policy,
            now=now,
            actor=request.actor,
            origin=request.origin,
            only=("permission",),
        )
        refusal = decision.refusal
        reason = refusal.reason if refusal else "Your role changed at this moment. Try again."
        return Answer(message=f"Refused {refused('permission', reason)}", decision=decision)

    def accept(
        self,
        connection: Connection,
        request: RunRequest,
        entry: Entry,
        params: Parameters,
        hosts: Sequence[Host],
        now: datetime,
        also: Callable[[Connection], object] | None,
        seen: Seen | None = None,
    ) -> Answer:
        if also is not None:
            also(connection)
        names = tuple(host.name for host in hosts)
        values = params.model_dump(mode="json")
        asked = [request.actor.id, request.channel, entry.name, values, names, request.dry_run, request.emergency]
        same = sha256([*asked, *([asdict(request.rollout)] if request.rollout != UNSAID else [])])
        duplicate = executions.duplicate_of(connection, same)
        if duplicate is not None:
            message = f"You asked for exactly this already: #{duplicate.id} is {duplicate.state.words}."
            return Answer(message=message, execution=duplicate, duplicate=True)
        length = self.length.look(connection)
        if length >= self.caps.waiting and not request.emergency:
            return self._turn_away(connection, request, length, now)
        self.length.add()
        danger = self.tools.planner.danger(entry, params, hosts)
        proposal = _requested(request, entry, params, hosts, danger, now)
        execution = executions.create(
            connection,
            runbook=entry.name,
            params=values,
            hosts=names,
            services=proposal.services,
            tags=proposal.tags,
            danger=danger,
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
            includes=tuple(proposal.includes),
            unsaid=unsaid(params),
            rollout=request.rollout,
        )
        decision = review(
            connection,
            replace(proposal, execution_id=execution.id),  # so that `why` finds what was decided at the door
            self.policy,
            now=now,
            actor=request.actor,
            origin=request.origin,
            only=BEFORE_PLANNING,
        )
        refusal = decision.refusal
        audit.append(
            connection,
            at=now,
            kind="execution.pending",
            actor=request.actor,
            origin=request.origin,
            execution_id=execution.id,
            request=request.request_id,
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
                message=f"Refused {refused(refusal.gate, refusal.reason)}", execution=ended, decision=decision
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
        if seen is not None:
            execution = self._keep_seen(connection, execution, seen, request, now)
        return Answer(message=f"#{execution.id} {entry.name} is on its way.", execution=execution, decision=decision)

    def _keep_seen(
        self, connection: Connection, execution: Execution, seen: Seen, request: RunRequest, now: datetime
    ) -> Execution:
        """The plan that the requester was shown is the one that is reviewed, and carried out.

        Whoever saw all of it and wants it to run has confirmed it: a fact the review finds where it asks for one.
        """
        stored = self._keep_plan(connection, execution, seen.plan, now, phase=Phase.APPLY.value)
        demands = together(
            demand
            for runbook in (execution.runbook, *execution.includes)
            for demand in self.policy.demanded(execution.danger, runbook, execution.hosts)
        )
        confirms = bool(demands) and demands[0].consent is Consent.CONFIRM
        if stored.fingerprint is None or stored.dry_run or not seen.whole or not confirms:
            return stored
        approvals.ask(
            connection,
            stored.id,
            fingerprint=stored.fingerprint,
            kind=Consent.CONFIRM,
            now=now,
            expire=self.policy.expire,
        )
        approvals.decide(connection, stored.id, to=ApprovalState.GIVEN, by=request.actor.id, now=now)
        why = "asked for with the whole plan in view"
        witness(connection, "approval.given", stored, request.actor, request.origin, now, why)
        return stored

    def judge_stranger(self, connection: Connection, request: RunRequest, now: datetime) -> Decision:
        """What the permission gate says to somebody who may run nothing; nothing is written."""
        proposal = _of_a_stranger(request)
        return judge(proposal, gather(connection, proposal, self.policy, now, hold=False), only=("permission",))

    def preview(
        self,
        connection: Connection,
        request: RunRequest,
        entry: Entry,
        params: Parameters,
        hosts: Sequence[Host],
        now: datetime,
    ) -> Decision:
        """Every gate's answer, also after a refusal, as far as no plan is needed; nothing is written."""
        # An empty fingerprint lets the approval gate say what it would ask for: no approval is bound to it.
        danger = self.tools.planner.danger(entry, params, hosts)
        proposal = replace(_requested(request, entry, params, hosts, danger, now), fingerprint="")
        facts = gather(connection, proposal, self.policy, now, hold=False)
        return Decision(verdicts=tuple(v for name, _ in GATES for v in judge(proposal, facts, only=(name,)).verdicts))

    def may_look(
        self, connection: Connection, request: RunRequest, entry: Entry, params: Parameters, hosts: Sequence[Host]
    ) -> Decision | None:
        """None when the hosts may be looked at for a request, which takes one look of the person; else the refusal."""
        now = self.tools.clock.now()
        danger = self.tools.planner.danger(entry, params, hosts)
        proposal = _requested(request, entry, params, hosts, danger, now)
        decision = review(
            connection,
            proposal,
            self.policy,
            now=now,
            actor=request.actor,
            origin=request.origin,
            only=BEFORE_PLANNING,
        )
        if decision.refusal is not None:
            return decision
        refusal = begin_look(
            connection, self.policy, execution_id=None, person=request.actor.id, hosts=proposal.hosts, now=now
        )
        return None if refusal is None else Decision(verdicts=(*decision.verdicts, refusal))

    def prospect(
        self,
        connection: Connection,
        request: RunRequest,
        entry: Entry,
        params: Parameters,
        hosts: Sequence[Host],
        plan: StoredPlan,
        judgements: tuple[Judgement, ...],
    ) -> Prospect:
        """What every gate says to a plan, also after a refusal; nothing is written."""
        now = self.tools.clock.now()
        danger = self.tools.planner.danger(entry, params, hosts)
        mark = fingerprint(runbook=entry.name, params=params.model_dump(mode="json"), plan=plan)
        asked = _requested(request, entry, params, hosts, danger, now)
        services = kill_switch.all_service_names([*asked.services, *plan.services])
        proposal = replace(asked, fingerprint=mark, commands=judgements, services=services)
        facts = gather(connection, proposal, self.policy, now, hold=False)
        verdicts = tuple(v for name, _ in GATES for v in judge(proposal, facts, only=(name,)).verdicts)
        return Prospect(
            runbook=entry.name,
            hosts=asked.hosts,
            decision=Decision(verdicts=verdicts),
            plan=plan,
            fingerprint=mark,
        )

    def _turn_away(self, connection: Connection, request: RunRequest, length: int, now: datetime) -> Answer:
        """A full queue takes nothing more: what would wait for hours is better asked again by a person."""
        reason = f"{length} executions wait already, and no more than {self.caps.waiting} may. Try again later."
        audit.append(
            connection,
            at=now,
            kind="queue.full",
            actor=request.actor,
            origin=request.origin,
            runbook=request.runbook,
            text=request.text,
            waiting=length,
        )
        return Answer(message=f"Refused {refused('queue', reason)}")

    def _refuse(
        self, connection: Connection, execution: Execution, decision: Decision, now: datetime, epoch: int | None = None
    ) -> Execution:
        refusal = decision.refusal
        if refusal is None:
            raise AssertionError("only a refused decision refuses")
        return self.end_refused(connection, execution, refusal, now, epoch)

    def end_refused(
        self, connection: Connection, execution: Execution, refusal: Verdict, now: datetime, epoch: int | None
    ) -> Execution:
        """A limit that refuses too often is told to everybody: it is too low, or somebody tries too hard."""
        if refusal.gate in LIMITING and refusal.rule is not None:
            count = refused_too_often(connection, refusal.rule, now)
            if count is not None:
                event = LimitRefuses(execution=execution, rule=refusal.rule, reason=refusal.reason, count=count)
                self.tools.reporter.report(connection, event, now)
                audit.append(
                    connection,
                    at=now,
                    kind="limit.refuses",
                    actor=HANDRAIL,
                    origin=Origin.ENGINE,
                    execution_id=execution.id,
                    rule=refusal.rule,
                    count=count,
                )
        return end_execution(
            connection,
            self.tools.reporter,
            execution,
            to=State.REFUSED,
            reason=refused(refusal.gate, refusal.reason),
            now=now,
            leaving=(State.PENDING,),
            epoch=epoch,
            gate=refusal.gate,
        )

    def begin_look(self, connection: Connection, execution: Execution) -> bool | Waiting:
        """Whether the hosts may be looked at now; if not, the execution has ended, or waits for a token."""
        now = self.tools.clock.now()
        executions.hold(connection, execution.id, execution.epoch)
        if execution.stage > 1:
            return self._begin_stage(connection, execution, now)
        refusal = begin_look(
            connection,
            self.policy,
            execution_id=execution.id,
            person=execution.actor.id,
            hosts=execution.hosts,
            now=now,
        )
        if refusal is None:
            return True
        found = executions.get(connection, execution.id)
        if found.cancel_at is not None:
            cancelled(connection, self.tools.reporter, found, now)
            return False
        waiting = self._waits_for_a_token(connection, found, refusal, now)
        if waiting is not None:
            return waiting
        self.end_refused(connection, execution, refusal, now, execution.epoch)
        return False

    def _begin_stage(self, connection: Connection, execution: Execution, now: datetime) -> bool:
        """The gates that need no plan, judged anew. It was admitted, so that no budget is asked for."""
        found = executions.get(connection, execution.id)
        if found.cancel_at is not None:
            cancelled(connection, self.tools.reporter, found, now)
            return False
        proposal = Proposal(
            execution_id=found.id,
            actor=found.actor.id,
            runbook=found.runbook,
            danger=found.danger,
            hosts=found.hosts,
            services=found.services,
            tags=found.tags,
            cooldown=timedelta(0),
            max_hosts=len(found.hosts),
            emergency_at=found.emergency_at,
            emergency_reason=found.reason,
            stage=found.stage,
            includes=dict.fromkeys(found.includes, timedelta(0)),
        )
        only = ("permission", "kill switch")
        decision = review(connection, proposal, self.policy, now=now, actor=found.actor, origin=found.origin, only=only)
        if decision.outcome is not Outcome.REFUSE:
            return True
        self._refuse(connection, found, decision, now, epoch=found.epoch)
        return False

    def looked(self, connection: Connection, execution: Execution, reached: Mapping[str, bool]) -> None:
        """What the look says about the way to each host; where it says nothing, the trial is free again."""
        now = self.tools.clock.now()
        replay_breakers(connection, self.tools.reporter, execution, {TRANSPORT: reached}, now)

    def plan_made(
        self,
        connection: Connection,
        execution: Execution,
        plan: StoredPlan,
        entry: Entry,
        judgements: tuple[Judgement, ...],
        *,
        looked: bool,
    ) -> Execution | Waiting | None:
        """Keep a plan and judge it; the execution when it may run now. `looked`: its hosts were looked at for it."""
        if looked:
            self.looked(connection, execution, dict.fromkeys(execution.hosts, True))
        stored = self._keep_plan(connection, execution, plan, self.tools.clock.now())
        return self._judge_and_admit(connection, stored, plan, entry, judgements)

    def _keep_plan(
        self, connection: Connection, execution: Execution, plan: StoredPlan, now: datetime, **more: Any
    ) -> Execution:
        stage = execution.stage
        mark = fingerprint(runbook=execution.runbook, params=execution.params, plan=plan, stage=stage)
        services = kill_switch.all_service_names([*execution.services, *plan.services])
        stored = executions.set_values(
            connection,
            execution.id,
            epoch=execution.epoch,
            plan=to_json(plan),
            fingerprint=mark,
            services=list(services),
            steps_total=plan.steps_total,
            note=None,
            **more,
        )
        executions.set_waves(connection, execution.id, plan.waves)
        if plan.stage(stage).hosts:
            self.tools.reporter.report(connection, PlanMade(execution=stored, plan=to_json(plan.stage(stage))), now)
        return stored

    def review_and_admit(
        self,
        connection: Connection,
        execution: Execution,
        plan: StoredPlan,
        entry: Entry,
        judgements: tuple[Judgement, ...],
    ) -> Execution | Waiting | None:
        """All gates, and what follows from them, in one transaction; the execution when it may run now."""
        found = executions.get(connection, execution.id)
        if found.epoch != execution.epoch:
            raise LeaseLost(f"execution {execution.id} has a new owner")
        return self._judge_and_admit(connection, found, plan, entry, judgements)

    def _judge_and_admit(
        self,
        connection: Connection,
        found: Execution,
        plan: StoredPlan,
        entry: Entry,
        judgements: tuple[Judgement, ...],
    ) -> Execution | Waiting | None:
        now = self.tools.clock.now()
        if found.state is State.RUNNING:
            return found  # the answer to this very commit was lost
        if found.cancel_at is not None:
            cancelled(connection, self.tools.reporter, found, now)
            return None
        proposal = self._proposal(found, entry, judgements, plan)
        if not plan.stage(found.stage).hosts:
            return self._admit(connection, found, plan, proposal, now)  # nothing is left to run: it only ends
        if found.origin is Origin.SCHEDULE:
            refusal = judge(proposal, gather(connection, proposal, self.policy, now)).refusal
            waiting = self._waits_for_a_token(connection, found, refusal, now)
            if waiting is not None:
                return waiting
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

    def _waits_for_a_token(
        self, connection: Connection, execution: Execution, refusal: Verdict | None, now: datetime
    ) -> Waiting | None:
        """People are told to try again; what a schedule asks for waits, as long as its moment can be caught up with."""
        if execution.origin is not Origin.SCHEDULE or refusal is None or refusal.gate != "rate limits":
            return None
        firing = schedules.firing_of(connection, execution.id)
        latest = firing.wait_until if firing is not None else None
        if latest is None or refusal.until is None or refusal.until > latest:
            return None
        note = f"waiting for a token of {refusal.rule}, until {latest:%H:%M} UTC at the latest"
        if execution.note != note:
            noted = executions.set_values(connection, execution.id, epoch=execution.epoch, note=note)
            self.tools.reporter.report(connection, ExecutionWaiting(execution=noted, locks=(), holders=()), now)
            audit.append(
                connection,
                at=now,
                kind="schedule.waits",
                actor=execution.actor,
                origin=execution.origin,
                execution_id=execution.id,
                rule=refusal.rule,
                reason=refusal.reason,
                until=latest.isoformat(),
            )
        return Waiting(until=refusal.until)

    def _proposal(
        self, execution: Execution, entry: Entry, judgements: tuple[Judgement, ...], plan: StoredPlan
    ) -> Proposal:
        is_scheduled = execution.origin is Origin.SCHEDULE
        return Proposal(
            execution_id=execution.id,
            actor=execution.actor.id,
            runbook=execution.runbook,
            danger=execution.danger,
            hosts=execution.hosts,
            services=execution.services,
            tags=execution.tags,
            cooldown=entry.cooldown,
            max_hosts=entry.max_hosts,
            dry_run=execution.dry_run,
            emergency_at=execution.emergency_at,
            emergency_reason=execution.reason,
            fingerprint=execution.fingerprint,
            commands=judgements,
            continues=execution.retry_of,
            stage=execution.stage,
            includes={one.name: one.cooldown for one in entry.includes},
            standing=binding(entry, execution.params, execution.hosts) if is_scheduled else None,
            changes=plan.changes,
        )

    def _show(
        self, connection: Connection, execution: Execution, plan: StoredPlan, decision: Decision, now: datetime
    ) -> None:
        ask = decision.ask
        consent = "your confirmation" if ask is not None and ask.consent is Consent.CONFIRM else "an approval"
        needs = f" To run it, {consent} is needed: {ask.reason}" if ask is not None else ""
        more = " What follows them is planned once they have run." if plan.goes_on else ""
        steps = "1 step" if plan.steps_total == 1 else f"{plan.steps_total} steps"
        reason = f"dry run: {steps} planned, nothing was executed.{more}{needs}"
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
        demands = decision.demands
        rules = ", ".join(dict.fromkeys(demand.rule for demand in demands if demand.rule))
        why = f"{ask.reason} ({rules})" if rules else ask.reason
        approval = approvals.ask(
            connection,
            execution.id,
            fingerprint=execution.fingerprint,
            kind=demands[0].consent,
            now=now,
            expire=self.policy.expire,
            quorum=demands[0].quorum,
            group=demands[0].group,
        )
        if execution.rolls_back is not None:
            self._free_hosts(connection, execution)
        waiting = executions.move(
            connection,
            execution.id,
            leaving=(State.PENDING,),
            to=State.AWAITING_APPROVAL,
            now=now,
            epoch=execution.epoch,
            reason=why,
            note=why,
        )
        shown = to_json(plan.stage(execution.stage))
        event = request_for(connection, self.policy, waiting, approval, shown, why, demands)
        self.tools.reporter.report(connection, event, now)

    def _free_hosts(self, connection: Connection, rollback: Execution) -> None:
        """Nobody waits for a first approval with hosts held, unless what is taken back is unknown and holds them."""
        original = executions.get(connection, rollback.rolls_back or 0)
        if original.state is not State.INTERRUPTED:
            controls.free_locks(connection, rollback.id)

    def _admit(
        self, connection: Connection, execution: Execution, plan: StoredPlan, proposal: Proposal, now: datetime
    ) -> Execution | None:
        if execution.danger.changes_hosts:
            held = controls.take_locks(connection, execution.id, execution.hosts, now)
            if held:
                self._wait_for(connection, execution, now)
                return None
        pauses = timedelta(seconds=plan.pause) * len(plan.waves)
        trial = timedelta(seconds=execution.timeout) * len(execution.hosts) + pauses + timedelta(minutes=1)
        take_budgets(connection, proposal, self.policy, now=now, trial=trial)
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


def _of_a_stranger(request: RunRequest) -> Proposal:
    return Proposal(
        execution_id=None,
        actor=request.actor.id,
        runbook=request.runbook,
        danger=Danger.DANGEROUS,
        hosts=(),
        services=(),
        tags=(),
        cooldown=timedelta(0),
        max_hosts=0,
    )


def _requested(
    request: RunRequest, entry: Entry, params: Parameters, hosts: Sequence[Host], danger: Danger, now: datetime
) -> Proposal:
    return Proposal(
        execution_id=None,
        actor=request.actor.id,
        runbook=entry.name,
        danger=danger,
        hosts=tuple(host.name for host in hosts),
        services=kill_switch.all_service_names(services_named(params)),
        tags=kill_switch.tag_names(tag for host in hosts for tag in host.tags),
        cooldown=entry.cooldown,
        max_hosts=entry.max_hosts,
        dry_run=request.dry_run,
        emergency_at=now if request.emergency else None,
        emergency_reason=request.reason,
        continues=request.retry_of,
        includes={one.name: one.cooldown for one in entry.includes},
    )


def _covers(switch: KillSwitch, proposal: Proposal) -> bool:
    return kill_switch.covers(
        switch,
        runbook=proposal.runbook,
        includes=proposal.includes,
        hosts=proposal.hosts,
        services=proposal.services,
        tags=proposal.tags,
    )
