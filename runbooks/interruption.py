"""What becomes of an execution whose owner died, or whose outcome is unknown. Inside one transaction of its caller's.

What may be repeated goes on by itself; anything else waits for a person, who resumes it, rolls it back, or gives it up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from runbooks.answer import Answer, mention
from runbooks.catalog import Catalog
from runbooks.ending import end_execution, undo_steps, witness
from runbooks.plans import HostPlan, StoredPlan, fingerprint, from_json, numbered, to_json
from runbooks.progress import ExecutionContinued, ExecutionSubmitted, PlanMade, StepFinished
from runbooks.steps import DIED, TAIL, Tools, may_repeat
from safety.review import Policy
from safety.roles import Permission
from storage import controls, executions
from storage.canonical import sha256
from storage.database import moment
from storage.errors import NotPermitted, OperatorError, TooLate
from storage.records import Actor, Execution, Origin, Phase, State, StepState

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
        owner: str,
        lease: timedelta,
        is_sure: Callable[[], bool] = lambda: True,
    ) -> Execution | None:
        """Take what a dead owner left. The execution, now `owner`'s, where hosts can be asked what became of it.

        Raises TooLate when it was found too long ago: where this had to wait, its owner could not renew either.
        """
        now = self.tools.clock.now()
        if now - found_at > STALE or not is_sure():
            raise TooLate(f"#{execution.id} was found without an owner before the database could be written.")
        started = [s for s in executions.steps_of(connection, execution.id) if s.state is StepState.STARTED]
        asked = [step for step in started if step.token is not None]
        if not asked or executions.plan_of(connection, execution.id) is None:
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
        steps = executions.interrupt_steps(connection, execution.id, now=now, reason=f"{DIED}; its outcome is unknown")
        for step in steps:  # its message in the thread must not go on saying that it runs
            tail = executions.output_of(connection, execution.id, host=step.host, step=step.step, last=TAIL)
            event = StepFinished(execution=execution, step=step, tail=tail)
            self.tools.reporter.report(connection, event, now)
        raw = executions.plan_of(connection, execution.id)
        plan = from_json(raw) if raw is not None else None
        if plan is not None and execution.cancel_at is None and all(_may_repeat(plan, s.host, s.step) for s in steps):
            self._continue(connection, execution, now, [s.step for s in steps])
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
        back = _way_back(connection, execution_id)
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
        how = f"step {stopped.place} again" if again else f"after step {stopped.place}"
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
        event = ExecutionContinued(execution=moved, actor=actor, words=words_)
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
        raw = executions.plan_of(connection, execution_id)
        if raw is None or not (execution.state.is_final or execution.state is State.INTERRUPTED):
            return TooLate(f"#{execution_id} is {execution.state.words}: there is nothing to roll back.")
        back = _way_back(connection, execution_id)
        if back is not None or execution.state is State.ROLLED_BACK:
            by = f"#{back.id} does that, it is {back.state.words}" if back else "it was rolled back already"
            return TooLate(f"#{execution_id} is not rolled back twice: {by}.")
        undo = undo_steps(from_json(raw), executions.steps_of(connection, execution_id))
        if not undo:
            return TooLate(f"Nothing to roll back: no applied step of #{execution_id} can be undone.")
        plan = StoredPlan(hosts=tuple(HostPlan(host=h, steps=tuple(s), facts={}) for h, s in undo.items()))
        entry = self.catalog.get(execution.runbook)
        new = executions.create(
            connection,
            runbook=execution.runbook,
            params=execution.params,
            hosts=tuple(undo),
            services=execution.services,
            tags=execution.tags,
            danger=execution.danger,
            actor=actor,
            origin=origin,
            channel=execution.channel,
            text=f"roll back #{execution_id}",
            normalised=_back(execution_id),
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
        if execution.state is State.INTERRUPTED:  # and back again, unless the rollback succeeds
            controls.hand_over_locks(connection, execution_id, to=new.id)
        witness(connection, "execution.pending", stored, actor, origin, now, f"roll back #{execution_id}")
        self.tools.reporter.report(connection, ExecutionSubmitted(execution=stored), now)
        self.tools.reporter.report(connection, PlanMade(execution=stored, plan=to_json(plan)), now)
        return Answer(message=f"#{stored.id} rolls back #{execution_id}.", execution=stored)


def _may_repeat(plan: StoredPlan, host: str, place: str) -> bool:
    """Whether an interrupted step may run again by itself: it only reads, or is declared idempotent."""
    step = dict(numbered(plan.of(host).steps)).get(place)
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
    raw = executions.plan_of(connection, execution.id)
    if raw is None:
        raise TooLate(f"#{execution.id} has no plan to resume. Give it up and ask again.")
    for part in from_json(raw).hosts:
        place = _next_place(connection, execution.id, part)
        if int(place) <= len(part.steps):
            tries = len(executions.steps_of(connection, execution.id))
            mark = sha256([execution.id, part.host, place, tries])[:16]
            return Stopped(host=part.host, place=place, mark=mark)
    raise TooLate(f"#{execution.id} has no step left to run. *Give up* ends it.")


def _back(execution_id: int) -> str:
    return sha256(["roll back", execution_id])


def _way_back(connection: Connection, execution_id: int) -> Execution | None:
    """What is rolling it back and has not ended."""
    return executions.duplicate_of(connection, _back(execution_id))
