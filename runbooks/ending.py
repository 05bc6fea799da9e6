"""What goes with the ending of an execution, in one transaction of its caller's: see `end_execution`."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from runbooks.definition import Call, Run
from runbooks.plans import StoredPlan, from_json, numbered
from runbooks.progress import (
    ApprovalDecided,
    BreakerMoved,
    ExecutionEnded,
    ExecutionInterrupted,
    Reporter,
)
from safety import circuit_breaker
from storage import approvals, audit, controls, executions
from storage.records import (
    HANDRAIL,
    TRANSPORT,
    Actor,
    ApprovalState,
    Execution,
    HostRun,
    HostState,
    Origin,
    OutputLine,
    State,
    StepRun,
    StepState,
)


def cancel_words(execution: Execution) -> str:
    """Who cancelled and why, for the ending."""
    by = execution.cancel_by or "somebody"
    who = f"<@{by}>" if by.startswith(("U", "W")) else by
    return f"cancelled by {who}" + (f": {execution.cancel_reason}" if execution.cancel_reason else "")


def end_execution(
    connection: Connection,
    reporter: Reporter,
    execution: Execution,
    *,
    to: State,
    reason: str | None,
    now: datetime,
    plan: StoredPlan | None = None,
    leaving: Sequence[State] = (State.PENDING, State.AWAITING_APPROVAL, State.RUNNING),
    by: Actor | None = None,
    origin: Origin = Origin.ENGINE,
    epoch: int | None = None,
    tail: Sequence[OutputLine] = (),
    gate: str | None = None,
    reached: Mapping[str, bool] | None = None,
    rollback: Execution | None = None,
) -> Execution:
    """Everything that goes with an ending, in one transaction: state, audit, locks, cooldowns, breakers, words.

    *Interrupted* keeps its locks and its budgets, because what it did is unknown. `reached`: which hosts could be
    connected to, and which could not. `rollback`: what begins by itself to take it back. Raises TooLate and LeaseLost.
    """
    if execution.stage > 1 and State.RUNNING not in leaving and State.INTERRUPTED not in leaving:
        plan = plan or from_json(executions.plan_of(connection, execution.id) or {})
        reason = _between_stages(connection, execution, reason, now)
    steps = tuple(executions.steps_of(connection, execution.id))
    ended = executions.move(
        connection,
        execution.id,
        leaving=leaving,
        to=to,
        now=now,
        actor=by or HANDRAIL,
        origin=origin,
        epoch=epoch,
        reason=reason,
        steps=steps,
        **({"ending": reason} if to is State.INTERRUPTED else {}),
    )
    hosts = tuple(executions.hosts_of(connection, execution.id))
    undoable = plan is not None and bool(undo_steps(plan, steps))
    if to is State.INTERRUPTED:
        unknown = tuple(step for step in steps if step.state in {StepState.INTERRUPTED, StepState.STARTED})
        event = ExecutionInterrupted(
            execution=ended, steps=unknown, reason=reason or "", resumable=plan is not None, undoable=undoable
        )
        reporter.report(connection, event, now)
        return ended
    if execution.rolls_back is not None and to is not State.SUCCEEDED:
        _give_hosts_back(connection, execution)
    if ended.danger.changes_hosts:
        controls.free_locks(connection, execution.id)
    _return_cooldowns(connection, ended, steps)
    _breakers_of(connection, reporter, ended, hosts, reached or {}, now)
    waiting = approvals.decide(connection, execution.id, to=ApprovalState.WITHDRAWN, by="handrail", now=now)
    if waiting is not None:
        reporter.report(connection, ApprovalDecided(execution=ended, approval=waiting, actor=by), now)
    if to is State.SUCCEEDED and execution.rolls_back is not None:
        _rolled_back(connection, reporter, execution, now)
    retriable = to in {State.FAILED, State.TIMED_OUT, State.CANCELLED} and ended.started_at is not None
    reporter.report(
        connection,
        ExecutionEnded(
            execution=ended,
            hosts=hosts,
            steps=steps,
            tail=tail,
            gate=gate,
            undoable=undoable and to is not State.ROLLED_BACK,
            retriable=retriable,
            rollback=rollback,
        ),
        now,
    )
    return ended


def _between_stages(connection: Connection, execution: Execution, reason: str | None, now: datetime) -> str:
    """What ended before a further stage began: what the earlier ones did is there, and the hosts say so."""
    said = f"{reason or 'it ended'} (before stage {execution.stage}; what was done until then stays)"
    for host in executions.hosts_of(connection, execution.id):
        if host.state in {HostState.WAITING, HostState.RUNNING}:
            why = f"stage {execution.stage} was not begun"
            executions.set_host(connection, execution.id, host.host, state=HostState.SKIPPED, reason=why, ended_at=now)
    return said


def _give_hosts_back(connection: Connection, rollback: Execution) -> None:
    """What was to be taken back is as unknown as before: it keeps its hosts until somebody decides."""
    original = executions.get(connection, rollback.rolls_back or 0)
    if original.state is State.INTERRUPTED:
        controls.hand_over_locks(connection, rollback.id, to=original.id)


def _rolled_back(connection: Connection, reporter: Reporter, rollback: Execution, now: datetime) -> None:
    """What was taken back says so itself."""
    endings = (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.TIMED_OUT, State.INTERRUPTED)
    original = executions.move(
        connection,
        rollback.rolls_back or 0,
        leaving=endings,
        to=State.ROLLED_BACK,
        now=now,
        actor=rollback.actor,
        origin=rollback.origin,
        reason=f"rolled back by #{rollback.id}",
    )
    hosts = tuple(executions.hosts_of(connection, original.id))
    steps = tuple(executions.steps_of(connection, original.id))
    reporter.report(connection, ExecutionEnded(execution=original, hosts=hosts, steps=steps), now)


def undo_steps(plan: StoredPlan, steps: Sequence[StepRun]) -> dict[str, list[Run | Call]]:
    """Per host, what takes back the steps that were applied, last one first."""
    applied = {(s.host, s.step) for s in steps if s.state in {StepState.SUCCEEDED, StepState.INTERRUPTED}}
    found: dict[str, list[Run | Call]] = {}
    for part in plan.hosts:
        undos = [
            step.undo
            for place, step in numbered(part.steps)
            if isinstance(step, Run | Call) and step.undo is not None and (part.host, place) in applied
        ]
        if undos:
            found[part.host] = undos[::-1]
    return found


def _return_cooldowns(connection: Connection, execution: Execution, steps: Sequence[StepRun]) -> None:
    """A host where no changing step started has not used its cooldown; who was continued may have."""
    if not execution.danger.changes_hosts:
        return
    unused = set(execution.hosts) - _changed(steps)
    used: dict[str, int] = {}
    for former in executions.continued(connection, execution.id) if unused else ():
        for host in _changed(executions.steps_of(connection, former)) - set(used):
            used[host] = former
    controls.return_cooldowns(connection, execution.id, unused, used=used)


def _changed(steps: Sequence[StepRun]) -> set[str]:
    return {step.host for step in steps if step.changing and step.sent and step.state is not StepState.SKIPPED}


def _breakers_of(
    connection: Connection,
    reporter: Reporter,
    execution: Execution,
    hosts: Sequence[HostRun],
    reached: Mapping[str, bool],
    now: datetime,
) -> None:
    """What an ending says about the runbook on each host, and about the way there."""
    if not controls.was_admitted(connection, execution.id):
        return
    judged = {HostState.SUCCEEDED: True, HostState.FAILED: False, HostState.TIMED_OUT: False}
    outcomes = {host.host: judged[host.state] for host in hosts if host.state in judged}
    replay_breakers(connection, reporter, execution, {execution.runbook: outcomes, TRANSPORT: reached}, now)


def replay_breakers(
    connection: Connection,
    reporter: Reporter,
    execution: Execution,
    outcomes: Mapping[str, Mapping[str, bool]],
    now: datetime,
) -> None:
    """Count each host's outcome in its breaker of each runbook; a host without one gives its trial back."""
    for before in controls.breakers(connection, tuple(outcomes), execution.hosts):
        if before.host in outcomes[before.runbook]:
            succeeded = outcomes[before.runbook][before.host]
            after = circuit_breaker.after(before, succeeded=succeeded, execution_id=execution.id, now=now)
        else:
            after = circuit_breaker.given_back(before, execution.id)
        if after != before:
            controls.set_breakers(connection, [after])
        if after.state is before.state:
            continue
        reporter.report(connection, BreakerMoved(breaker=after, execution=execution), now)
        audit.append(
            connection,
            at=now,
            kind=f"breaker.{after.state.name.lower()}",
            actor=HANDRAIL,
            origin=Origin.ENGINE,
            execution_id=execution.id,
            breaker=circuit_breaker.name(after),
            before=before.state.value,
            failures=after.failures,
        )


def cancelled(connection: Connection, reporter: Reporter, execution: Execution, now: datetime) -> Execution:
    """End what somebody asked to cancel before it ran."""
    return end_execution(
        connection,
        reporter,
        execution,
        to=State.CANCELLED,
        reason=cancel_words(execution),
        now=now,
        leaving=(State.PENDING, State.AWAITING_APPROVAL),
        by=Actor(id=execution.cancel_by or HANDRAIL.id),
    )


def witness(
    connection: Connection,
    kind: str,
    execution: Execution,
    actor: Actor,
    origin: Origin,
    now: datetime,
    reason: str | None,
) -> None:
    """An audit entry about something a person did, or tried, with an execution."""
    audit.append(
        connection,
        at=now,
        kind=kind,
        actor=actor,
        origin=origin,
        execution_id=execution.id,
        fingerprint=execution.fingerprint,
        reason=reason,
        **({"stage": execution.stage} if execution.stage > 1 else {}),
    )
