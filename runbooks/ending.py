"""What goes with the ending of an execution, in one transaction of its caller's: see `end_execution`."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from runbooks.answer import unmentioned
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

    *Interrupted* keeps its locks and its budgets, because what it did is unknown. What had begun, and waited to go on,
    ends by that as well where a host is undecided, and never says that it did not run. `reached`: which hosts could be
    connected to, and which could not. `rollback`: what begins by itself to take it back. Raises TooLate and LeaseLost.
    """
    steps = tuple(executions.steps_of(connection, execution.id))
    if has_begun(execution) and State.RUNNING not in leaving and State.INTERRUPTED not in leaving:
        plan = plan or plan_of(connection, execution)
        to, reason = _before_it_went_on(connection, execution, to, reason, steps, now)
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
        **({"ending": reason, "note": None} if to is State.INTERRUPTED else {}),
    )
    waiting = approvals.decide(connection, execution.id, to=ApprovalState.WITHDRAWN, by="handrail", now=now)
    if waiting is not None:
        reporter.report(connection, ApprovalDecided(execution=ended, approval=waiting, actor=by), now)
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
        _taken_back_in_part(connection, execution, hosts)
    if ended.danger.changes_hosts:
        controls.free_locks(connection, execution.id)
    _return_cooldowns(connection, ended, steps)
    _breakers_of(connection, reporter, ended, hosts, reached or {}, now)
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


def has_begun(execution: Execution) -> bool:
    """Whether any step of it was begun, of whatever stage."""
    return execution.started_at is not None or execution.stage > 1


def undecided(connection: Connection, execution: Execution, steps: Sequence[StepRun]) -> dict[str, str]:
    """The hosts of which nobody knows what was done there, and why: a change was in flight, no person has said since
    then to leave it behind, and it was not taken back.
    """
    back = executions.taken_back(connection, execution.id)
    lost: dict[tuple[str, str], StepRun] = {}
    for step in steps:
        if step.state in {StepState.INTERRUPTED, StepState.STARTED}:
            lost[step.host, step.step] = step
        elif step.sent:
            lost.pop((step.host, step.step), None)
    first = execution.resume or {}
    rows = executions.hosts_of(connection, execution.id)
    unknown = {row.host: row.reason or "" for row in rows if row.state is HostState.INTERRUPTED}
    for step in lost.values():
        if step.host in back and step.started_at <= back[step.host]:
            continue
        if step.changing and int(step.step.split(".")[0]) >= int(first.get(step.host, 1)):
            unknown[step.host] = unmentioned(f"{step.title}: {step.reason or 'its outcome is unknown'}")
    return unknown


def keep_undecided(
    connection: Connection, execution: Execution, steps: Sequence[StepRun], now: datetime
) -> dict[str, str]:
    """The undecided hosts say so themselves; see `undecided`."""
    unknown = undecided(connection, execution, steps)
    for host, why in unknown.items():
        executions.set_host(connection, execution.id, host, state=HostState.INTERRUPTED, reason=why, ended_at=now)
    return unknown


_NEVER_RAN = {State.REFUSED, State.DENIED, State.EXPIRED}
"""Endings of what was never begun."""


def _before_it_went_on(
    connection: Connection,
    execution: Execution,
    to: State,
    reason: str | None,
    steps: Sequence[StepRun],
    now: datetime,
) -> tuple[State, str]:
    """How something ends that had begun and waited to go on: a further stage, or after an interruption.

    What was done is there, and the hosts say so. Where that is unknown, it is interrupted once more.
    """
    said = f"refused {reason}" if to is State.REFUSED else reason or "it ended"
    unknown = keep_undecided(connection, execution, steps, now)
    if unknown:
        names = ", ".join(list(unknown)[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
        return State.INTERRUPTED, f"{said.rstrip('.')}; what was done on {names} is as unknown as before"
    rows = executions.hosts_of(connection, execution.id)
    settle_hosts(connection, execution, rows, "it did not go on", now)
    between_stages = any(row.state is HostState.WAITING and row.started_at for row in rows)
    before = f"stage {execution.stage}" if between_stages else "it went on"
    ended = State.CANCELLED if to in _NEVER_RAN else to
    return ended, f"{said} (before {before}; what was done until then stays)"


def settle_hosts(
    connection: Connection, execution: Execution, rows: Sequence[HostRun], why: str, now: datetime
) -> None:
    """No host says any more that it waits or runs; `why` those that ran do not."""
    for row in rows:
        if row.state is HostState.WAITING:
            said = f"stage {execution.stage} was not begun" if row.started_at else "not started"
            executions.set_host(connection, execution.id, row.host, state=HostState.SKIPPED, reason=said, ended_at=now)
        elif row.state is HostState.RUNNING:
            executions.set_host(connection, execution.id, row.host, state=HostState.CANCELLED, reason=why, ended_at=now)


def plan_of(connection: Connection, execution: Execution) -> StoredPlan | None:
    """Its stored plan; None where there is none, or it is of another version."""
    try:
        return from_json(executions.plan_of(connection, execution.id) or {})
    except KeyError:
        return None


def _give_hosts_back(connection: Connection, rollback: Execution) -> None:
    """What was to be taken back is as unknown as before: it keeps its hosts until somebody decides."""
    original = executions.get(connection, rollback.rolls_back or 0)
    if original.state is State.INTERRUPTED:
        controls.hand_over_locks(connection, rollback.id, to=original.id)


def _taken_back_in_part(connection: Connection, rollback: Execution, hosts: Sequence[HostRun]) -> None:
    """Where it did succeed, what it was to take back is not there any more, and nothing is left to be decided."""
    for row in hosts:
        if row.state is HostState.SUCCEEDED:
            executions.set_host(
                connection,
                rollback.rolls_back or 0,
                row.host,
                state=HostState.CANCELLED,
                reason=f"rolled back by #{rollback.id}",
                ended_at=row.ended_at,
            )


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
