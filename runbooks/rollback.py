"""Taking back what an execution applied: a new execution of the undo steps, with its own plan and its own review."""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from runbooks.ending import undo_steps, witness
from runbooks.plans import HostPlan, StoredPlan, fingerprint, to_json
from runbooks.progress import ExecutionSubmitted, PlanMade, Reporter
from storage import controls, executions
from storage.canonical import sha256
from storage.records import Actor, Execution, Origin, Phase, State


def rollback_plan(connection: Connection, execution: Execution, plan: StoredPlan) -> StoredPlan | None:
    """The undo of every applied step, last one first, the last wave first; None where there is nothing to take back.

    There is no pause, and a host on which it fails doesn't keep the others from it. Where an earlier rollback has
    succeeded on a host, nothing is taken back twice.
    """
    back = executions.taken_back(connection, execution.id)
    steps = executions.steps_of(connection, execution.id)
    undo = undo_steps(plan, [step for step in steps if step.host not in back or step.started_at > back[step.host]])
    if not undo:
        return None
    waves = [tuple(host for host in wave if host in undo) for wave in plan.in_waves[::-1]]
    waves = [wave for wave in waves if wave]
    return StoredPlan(
        hosts=tuple(HostPlan(host=host, steps=tuple(undo[host]), facts={}) for wave in waves for host in wave),
        waves=tuple(waves) if len(undo) > 1 else (),
        max_failures=len(undo) if len(undo) > 1 else 0,
    )


def begin_rollback(
    connection: Connection,
    reporter: Reporter,
    execution: Execution,
    plan: StoredPlan,
    *,
    timeout: timedelta,
    actor: Actor,
    origin: Origin,
    now: datetime,
    keeps_hosts: bool,
) -> Execution:
    """A pending execution of this plan. `keeps_hosts`: it takes over the locks, so that nobody comes between.

    It continues the rollback before it, if there was one, whose cooldown does not count then.
    """
    said = f"roll back #{execution.id}"
    new = executions.create(
        connection,
        runbook=execution.runbook,
        params=execution.params,
        hosts=tuple(part.host for part in plan.hosts),
        services=execution.services,
        tags=execution.tags,
        danger=execution.danger,
        actor=actor,
        origin=origin,
        channel=execution.channel,
        text=said,
        normalised=mark_of_rollback(execution.id),
        reason=said,
        dry_run=False,
        priority=execution.priority,
        state=State.PENDING,
        timeout=timeout,
        now=now,
        retry_of=executions.newest_rollback(connection, execution.id) or execution.id,
        includes=execution.includes,
        unsaid=execution.unsaid,
    )
    stored = executions.set_values(
        connection,
        new.id,
        plan=to_json(plan),
        fingerprint=fingerprint(runbook=execution.runbook, params=execution.params, plan=plan),
        phase=Phase.APPLY.value,
        steps_total=plan.steps_total,
        rolls_back=execution.id,
    )
    executions.set_waves(connection, new.id, plan.waves)
    if keeps_hosts:
        controls.hand_over_locks(connection, execution.id, to=new.id)
    witness(connection, "execution.pending", stored, actor, origin, now, said)
    reporter.report(connection, ExecutionSubmitted(execution=stored), now)
    reporter.report(connection, PlanMade(execution=stored, plan=to_json(plan)), now)
    return stored


def mark_of_rollback(execution_id: int) -> str:
    """What a rollback is known by while it has not ended: there is one at a time."""
    return sha256(["roll back", execution_id])


def way_back(connection: Connection, execution_id: int) -> Execution | None:
    """What is rolling it back and has not ended."""
    return executions.duplicate_of(connection, mark_of_rollback(execution_id))
