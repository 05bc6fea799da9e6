"""What becomes of an execution whose owner died, or whose outcome is unknown. Inside one transaction of its caller's.

What may be repeated goes on by itself; anything else waits for a person, who resumes it, rolls it back, or gives it up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from runbooks.answer import Answer, mention
from runbooks.catalog import Catalog
from runbooks.ending import cancel_words, end_execution, keep_undecided, plan_of, settle_hosts, witness
from runbooks.plans import HostPlan, StoredPlan, numbered
from runbooks.progress import ExecutionContinued, StepFinished
from runbooks.rollback import begin_rollback, rollback_plan, way_back
from runbooks.steps import DIED, TAIL, Tools, may_repeat
from safety.review import Policy
from safety.roles import Permission
from storage import executions
from storage.canonical import sha256
from storage.database import moment
from storage.errors import NotPermitted, OperatorError, TooLate
from storage.records import HANDRAIL, Actor, Execution, HostState, Origin, Phase, State, StepRun, StepState

_DECIDED = {HostState.SUCCEEDED, HostState.FAILED, HostState.TIMED_OUT}
"""How a host ended for good, whatever becomes of the others."""
STALE = timedelta(seconds=2)
"""For so long a look at leases says who lives."""


@dataclass(frozen=True, kw_only=True)
class Interruptions:
    """What takes up again what was interrupted."""

    tools: Tools
    catalog: Catalog
    policy: Policy

    def reap(
        self,
        connection: Connection,
        execution: Execution,
        *,
        found_at: datetime,
        owner: str | None,
        lease: timedelta,
        is_sure: Callable[[], bool] = lambda: True,
    ) -> Execution | None:
        """Take what a dead owner left. The execution, now `owner`'s, where hosts can be asked what became of it.

        Without an `owner` nobody asks them.

        Raises TooLate when it was found too long ago: where this had to wait, its owner could not renew either.
        """
        now = self.tools.clock.now()
        if now - found_at > STALE or not is_sure():
            raise TooLate(f"#{execution.id} was found without an owner before the database could be written.")
        started = [s for s in executions.steps_of(connection, execution.id) if s.state is StepState.STARTED]
        asked = [step for step in started if step.token is not None]
        if owner is None or not asked or executions.plan_of(connection, execution.id) is None:
            executions.seize(connection, execution)
            self.interrupt(connection, execution)
            return None
        taken = executions.take_over(connection, execution, owner=owner, now=moment(connection, now), lease=lease)
        names = ", ".join(f"{step.host} what became of step {step.step} ({step.title})" for step in asked)
        event = ExecutionContinued(execution=taken, actor=None, words=f"Handrail was restarted and asks {names}")
        self.tools.reporter.report(connection, event, now)
        return taken

    def interrupt(self, connection: Connection, execution: Execution) -> None:
        """What can't be asked about: it goes on where every step may be repeated, else it waits for a person."""
        now = self.tools.clock.now()
        steps = self._interrupt_steps(connection, execution, f"{DIED}; its outcome is unknown", now)
        plan = plan_of(connection, execution)
        if plan is not None and execution.cancel_at is None and all(_may_repeat(plan, s.host, s.step) for s in steps):
            self._continue(connection, execution, now, [s.step for s in steps])
            return
        if plan is not None and execution.cancel_at is not None and not self._keep_undecided(connection, execution):
            self._cancel(connection, execution, plan, now)
            return
        lost = [s for s in steps if plan is None or not _may_repeat(plan, s.host, s.step)]
        for step in lost:
            why = f"{step.title}: {step.reason}"
            executions.set_host(
                connection, execution.id, step.host, state=HostState.INTERRUPTED, reason=why, ended_at=now
            )
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

    def _keep_undecided(self, connection: Connection, execution: Execution) -> bool:
        """Whether there are hosts of which nobody knows what was done there; each says so itself then."""
        steps = executions.steps_of(connection, execution.id)
        return bool(keep_undecided(connection, execution, steps, self.tools.clock.now()))

    def _cancel(self, connection: Connection, execution: Execution, plan: StoredPlan, now: datetime) -> None:
        """What somebody asked to stop was only looking when its owner died: nothing is unknown, and it has stopped."""
        why = cancel_words(execution)
        settle_hosts(connection, execution, executions.hosts_of(connection, execution.id), why, now)
        end_execution(
            connection,
            self.tools.reporter,
            execution,
            plan=plan,
            to=State.CANCELLED,
            reason=why,
            now=now,
            leaving=(State.RUNNING,),
            by=Actor(id=execution.cancel_by or HANDRAIL.id),
        )

    def break_off(self, connection: Connection, execution: Execution, why: str) -> None:
        """A running one that its owner can't carry any further: nothing goes on by itself, since that broke it."""
        now = self.tools.clock.now()
        executions.hold(connection, execution.id, execution.epoch)
        steps = self._interrupt_steps(connection, execution, f"{why}; its outcome is unknown", now)
        rows = executions.hosts_of(connection, execution.id)
        lost = {step.host for step in steps} | {row.host for row in rows if row.state is HostState.RUNNING}
        for host in lost:
            executions.set_host(connection, execution.id, host, state=HostState.INTERRUPTED, reason=why, ended_at=now)
        end_execution(
            connection,
            self.tools.reporter,
            execution,
            plan=plan_of(connection, execution),
            to=State.INTERRUPTED,
            reason=why,
            now=now,
            leaving=(State.RUNNING,),
            epoch=execution.epoch,
        )

    def _interrupt_steps(
        self, connection: Connection, execution: Execution, reason: str, now: datetime
    ) -> list[StepRun]:
        """What nobody follows any more is unknown, and its messages in the thread don't go on saying that it runs."""
        steps = executions.interrupt_steps(connection, execution.id, now=now, reason=reason)
        for step in steps:
            tail = executions.output_of(connection, execution.id, host=step.host, step=step.step, last=TAIL)
            event = StepFinished(execution=execution, step=step, tail=tail)
            self.tools.reporter.report(connection, event, now)
        return steps

    def _continue(self, connection: Connection, execution: Execution, now: datetime, repeated: Sequence[str]) -> None:
        moved = executions.move(
            connection,
            execution.id,
            leaving=(State.RUNNING,),
            to=State.PENDING,
            now=now,
            reason="continued after an interruption",
            phase=Phase.APPLY.value,
            queued_at=now,
        )
        what = f"step {repeated[0]} runs again (it may be repeated)" if repeated else "nothing was in flight"
        event = ExecutionContinued(execution=moved, actor=None, words=f"Handrail was restarted and goes on: {what}")
        self.tools.reporter.report(connection, event, now)

    def resume(
        self,
        connection: Connection,
        execution_id: int,
        actor: Actor,
        again: bool,
        mark: str | None,
        origin: Origin,
    ) -> Answer | OperatorError:
        now = self.tools.clock.now()
        former = executions.get(connection, execution_id)
        stopped = where_it_stopped(connection, former)
        back = way_back(connection, execution_id)
        if back is not None:
            return TooLate(f"#{execution_id} is being rolled back by #{back.id}, which is {back.state.words}.")
        if mark is not None and mark != stopped.mark:
            return TooLate(
                f"#{execution_id} went on since you looked, and stopped again at step {stopped.place} on "
                f"{stopped.host}. Press *Resume* and decide about that."
            )
        first = stopped.place if again else str(int(stopped.place) + 1)
        if again:
            executions.order_again(connection, execution_id, host=stopped.host, place=first, now=now)
        # Other hosts that were interrupted stay so, until somebody decides about each.
        for host in [stopped.host, *_with_nothing_left(connection, former)]:
            executions.set_host(connection, execution_id, host, state=HostState.RUNNING, reason=None, ended_at=None)
        how = f"step {stopped.place} again" if again else f"after step {stopped.place}"
        how += f" on {stopped.host}" if len(former.hosts) > 1 else ""
        words_ = f"{mention(actor)} resumes it: {how}"
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
            resume={**(former.resume or {}), stopped.host: first},
            cancel_at=None,
            cancel_by=None,
            cancel_reason=None,
        )
        event = ExecutionContinued(execution=moved, actor=actor, words=how)
        self.tools.reporter.report(connection, event, now)
        return Answer(message=f"#{execution_id} goes on.", execution=moved)

    def give_up(
        self, connection: Connection, execution_id: int, actor: Actor, origin: Origin
    ) -> Answer | OperatorError:
        now = self.tools.clock.now()
        execution = executions.get(connection, execution_id)
        if actor.id != execution.actor.id and not self.policy.may(actor.id, Permission.CANCEL):
            wrong = NotPermitted(f"You may not give up #{execution_id}: that takes {Permission.CANCEL.value}.")
            witness(connection, "cancel.refused", execution, actor, origin, now, wrong.message)
            return wrong
        if execution.state is not State.INTERRUPTED:
            return TooLate(f"#{execution_id} is {execution.state.words}, not interrupted.")
        back = way_back(connection, execution_id)
        if back is not None:
            ends = "*Give up* there" if back.state is State.INTERRUPTED else f"`/runbook cancel {back.id}`"
            return TooLate(
                f"#{execution_id} is being rolled back by #{back.id}, which is {back.state.words} and has its hosts. "
                f"{ends} ends that."
            )
        self._keep_undecided(connection, execution)
        settle_hosts(connection, execution, executions.hosts_of(connection, execution_id), "given up", now)
        reason = f"given up by {mention(actor)}; what it did is unknown ({execution.ending})"
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
        return Answer(message=f"You gave up #{execution_id}; its hosts are free.", execution=ended)

    def roll_back(
        self, connection: Connection, execution_id: int, actor: Actor, origin: Origin
    ) -> Answer | OperatorError:
        now = self.tools.clock.now()
        execution = executions.get(connection, execution_id)
        taken = plan_of(connection, execution)
        if taken is None or not (execution.state.is_final or execution.state is State.INTERRUPTED):
            return TooLate(f"#{execution_id} is {execution.state.words}: there is nothing to roll back.")
        back = way_back(connection, execution_id)
        if back is not None or execution.state is State.ROLLED_BACK:
            by = f"#{back.id} does that, it is {back.state.words}" if back else "it was rolled back already"
            return TooLate(f"#{execution_id} is not rolled back twice: {by}.")
        plan = rollback_plan(connection, execution, taken)
        if plan is None:
            return TooLate(f"Nothing to roll back: no applied step of #{execution_id} can be undone.")
        stored = begin_rollback(
            connection,
            self.tools.reporter,
            execution,
            plan,
            timeout=self.catalog.get(execution.runbook).timeout,
            actor=actor,
            origin=origin,
            now=now,
            # An interrupted one's hosts go to its rollback, and back again unless that succeeds.
            keeps_hosts=execution.state is State.INTERRUPTED,
        )
        return Answer(message=f"#{stored.id} rolls back #{execution_id}.", execution=stored)


def _may_repeat(plan: StoredPlan, host: str, place: str) -> bool:
    """Whether an interrupted step may run again by itself: it only reads, or is declared idempotent."""
    step = plan.of(host).at(place)
    return step is not None and may_repeat(step)


def _next_place(connection: Connection, execution_id: int, part: HostPlan) -> str:
    """The first step of a host that has not ended well; one past the last when all have.

    What a person has once decided to leave behind is not looked at again.
    """
    done = {
        s.step
        for s in executions.steps_of(connection, execution_id)
        if s.host == part.host and s.state in {StepState.SUCCEEDED, StepState.SKIPPED}
    }
    first = int((executions.get(connection, execution_id).resume or {}).get(part.host, 1))
    for place, _ in numbered(part.steps):
        if place not in done and int(place.split(".")[0]) >= first:
            return place.split(".")[0]
    return str(len(part.steps) + 1)


def _with_nothing_left(connection: Connection, execution: Execution) -> list[str]:
    """Interrupted hosts whose steps have all ended well: nothing is to be decided about them."""
    plan = plan_of(connection, execution)
    if plan is None:
        return []
    rows = [row for row in executions.hosts_of(connection, execution.id) if row.state is HostState.INTERRUPTED]
    parts = [plan.of(row.host) for row in rows]
    return [part.host for part in parts if int(_next_place(connection, execution.id, part)) > len(part.steps)]


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """Where an interrupted execution stopped. `mark`: 16 characters that change as soon as it stops anywhere else, or
    there once more; a decision is about one mark."""

    host: str
    place: str
    mark: str


def where_it_stopped(connection: Connection, execution: Execution) -> Stopped:
    """Raises TooLate when it is not interrupted, or nothing is left of it to run."""
    if execution.state is not State.INTERRUPTED:
        raise TooLate(f"#{execution.id} is {execution.state.words}, not interrupted.")
    plan = plan_of(connection, execution)
    if plan is None:
        raise TooLate(f"#{execution.id} has no plan to resume. Give it up and ask again.")
    # One that was interrupted is asked about first; rows of an owner that died say of none that it was.
    rows = {row.host: row.state for row in executions.hosts_of(connection, execution.id)}
    steps = executions.steps_of(connection, execution.id)
    newest = {step.host: step.started_at for step in steps}
    back = executions.taken_back(connection, execution.id)
    undone = {host for host, at in back.items() if host not in newest or newest[host] <= at}
    parts = [part for part in plan.hosts if rows[part.host] not in _DECIDED and part.host not in undone]
    for part in sorted(parts, key=lambda part: rows[part.host] is not HostState.INTERRUPTED):
        place = _next_place(connection, execution.id, part)
        if int(place) <= len(part.steps):
            mark = sha256([execution.id, part.host, place, len(steps)])[:16]
            return Stopped(host=part.host, place=place, mark=mark)
    raise TooLate(f"#{execution.id} has no step left to run. *Give up* ends it.")
