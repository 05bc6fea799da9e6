"""Executions, their hosts, their steps and their output. The `executions` table is also the queue.

A state change names where from and where to, in one statement, and fails if somebody was faster. Whatever an owner
writes carries its epoch: an owner that was replaced writes nothing any more (`LeaseLost`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, exists, func, insert, literal, or_, select, update

from storage import audit
from storage import tables as t
from storage.errors import LeaseLost, NotFound, TooLate
from storage.records import (
    HANDRAIL,
    Actor,
    Danger,
    Execution,
    HostRun,
    HostState,
    Origin,
    OutputLine,
    Phase,
    Priority,
    Scope,
    State,
    StepRun,
    StepState,
)

_COLUMNS = [c for c in t.executions.c if c.name not in {"plan", "normalised", "priority_rank", "request_id"}]
UNFINISHED = (State.PENDING, State.AWAITING_APPROVAL, State.RUNNING, State.INTERRUPTED)


# --- reading ----------------------------------------------------------------------------------------------------------


def find(connection: Connection, execution_id: int) -> Execution | None:
    """One execution, or None."""
    row = connection.execute(select(*_COLUMNS).where(t.executions.c.id == execution_id)).first()
    return None if row is None else _execution(row)


def get(connection: Connection, execution_id: int) -> Execution:
    """One execution; raises NotFound."""
    execution = find(connection, execution_id)
    if execution is None:
        raise NotFound(f"There is no execution #{execution_id}. `/runbook status` lists the newest.")
    return execution


def plan_of(connection: Connection, execution_id: int) -> Mapping[str, Any] | None:
    """The stored plan as JSON."""
    plan: Mapping[str, Any] | None = connection.scalar(
        select(t.executions.c.plan).where(t.executions.c.id == execution_id)
    )
    return plan


def in_states(connection: Connection, states: Collection[State], limit: int = 500) -> list[Execution]:
    """Executions in these states, oldest first."""
    rows = connection.execute(
        select(*_COLUMNS)
        .where(t.executions.c.state.in_([state.value for state in states]))
        .order_by(t.executions.c.id)
        .limit(limit)
    )
    return [_execution(row) for row in rows]


def newest(
    connection: Connection, limit: int = 10, *, runbook: str | None = None, among: Collection[str] | None = None
) -> list[Execution]:
    """The newest executions, newest first; `among`: of these runbooks only."""
    query = select(*_COLUMNS).order_by(t.executions.c.id.desc()).limit(limit)
    if among is not None:
        query = query.where(t.executions.c.runbook.in_(sorted(among)))
    if runbook is not None:
        query = query.where(t.executions.c.runbook == runbook)
    return [_execution(row) for row in connection.execute(query)]


_RAN = (State.SUCCEEDED, State.FAILED, State.TIMED_OUT, State.CANCELLED, State.INTERRUPTED, State.ROLLED_BACK)


def last_on(
    connection: Connection, runbook: str, hosts: Collection[str], *, before: int, limit: int = 3
) -> list[Execution]:
    """The newest that really ran this runbook on any of these hosts, before this one, newest first."""
    here = exists(
        select(literal(1))
        .select_from(t.host_runs)
        .where(t.host_runs.c.execution_id == t.executions.c.id, t.host_runs.c.host.in_(list(hosts)))
    )
    rows = connection.execute(
        select(*_COLUMNS)
        .where(
            t.executions.c.runbook == runbook,
            t.executions.c.id < before,
            t.executions.c.state.in_([state.value for state in _RAN]),
            t.executions.c.started_at.is_not(None),
            here,
        )
        .order_by(t.executions.c.id.desc())
        .limit(limit)
    )
    return [_execution(row) for row in rows]


def duplicate_of(connection: Connection, normalised: str) -> Execution | None:
    """The unfinished execution that the same person asked for with the same text in the same channel."""
    row = connection.execute(
        select(*_COLUMNS).where(
            t.executions.c.normalised == normalised, t.executions.c.state.in_([s.value for s in UNFINISHED])
        )
    ).first()
    return None if row is None else _execution(row)


def hosts_of(connection: Connection, execution_id: int) -> list[HostRun]:
    """Its hosts, in order."""
    rows = connection.execute(
        select(t.host_runs).where(t.host_runs.c.execution_id == execution_id).order_by(t.host_runs.c.position)
    )
    return [HostRun(**{**row._mapping, "state": HostState(row.state)}) for row in rows]


def steps_of(connection: Connection, execution_id: int) -> list[StepRun]:
    """Its step runs, in the order they started."""
    rows = connection.execute(
        select(t.step_runs)
        .where(t.step_runs.c.execution_id == execution_id)
        .order_by(t.step_runs.c.started_at, t.step_runs.c.host, t.step_runs.c.step, t.step_runs.c.attempt)
    )
    return [_step(row) for row in rows]


def output_of(
    connection: Connection, execution_id: int, *, host: str | None = None, step: str | None = None, last: int = 200
) -> list[OutputLine]:
    """The last lines of output, oldest of them first."""
    query = select(t.output).where(t.output.c.execution_id == execution_id)
    if host is not None:
        query = query.where(t.output.c.host == host)
    if step is not None:
        query = query.where(t.output.c.step == step)
    rows = connection.execute(query.order_by(t.output.c.at.desc(), t.output.c.seq.desc()).limit(last)).all()
    return [
        OutputLine(
            host=row.host,
            step=row.step,
            attempt=row.attempt,
            seq=row.seq,
            stream=row.stream,
            text=row.text,
            at=row.at,
        )
        for row in reversed(rows)
    ]


def results_of(connection: Connection, execution_id: int, *, most: int) -> list[tuple[StepRun, list[str]]]:
    """What its steps printed to standard output, in the order they started; the newest try of each.

    Of those whose result is longer than `most` lines, or was altered, no line is read.
    """
    newest = {(step.host, step.step): step for step in steps_of(connection, execution_id)}
    c, s = t.output.c, t.step_runs.c
    rows = connection.execute(
        select(c.host, c.step, c.attempt, c.text)
        .select_from(
            t.output.join(
                t.step_runs,
                and_(c.execution_id == s.execution_id, c.host == s.host, c.step == s.step, c.attempt == s.attempt),
            )
        )
        .where(
            c.execution_id == execution_id,
            c.stream == "stdout",
            c.seq >= s.result_from,
            s.lines - s.result_from < most,
            s.dropped == 0,
            s.altered.is_(False),
        )
        .order_by(c.host, c.step, c.attempt, c.seq)
    )
    printed: dict[tuple[str, str, int], list[str]] = {}
    for row in rows:
        printed.setdefault((row.host, row.step, row.attempt), []).append(row.text)
    return [(step, printed.get((step.host, step.step, step.attempt), [])) for step in newest.values()]


# --- creating and changing state --------------------------------------------------------------------------------------


def create(
    connection: Connection,
    *,
    runbook: str,
    params: Mapping[str, Any],
    hosts: Sequence[str],
    services: Sequence[str],
    danger: Danger,
    actor: Actor,
    origin: Origin,
    channel: str | None,
    text: str,
    normalised: str | None,
    reason: str | None,
    dry_run: bool,
    priority: Priority,
    state: State,
    timeout: timedelta,
    now: datetime,
    tags: Sequence[str] = (),
    emergency_at: datetime | None = None,
    ending: str | None = None,
    retry_of: int | None = None,
    request_id: str | None = None,
    includes: Sequence[str] = (),
) -> Execution:
    """A new execution, pending to be planned or refused at the door, with a row for each host."""
    row = connection.execute(
        insert(t.executions)
        .values(
            request_id=request_id,
            runbook=runbook,
            params=dict(params),
            hosts=list(hosts),
            services=list(services),
            tags=list(tags),
            danger=danger.value,
            actor_id=actor.id,
            actor_name=actor.name,
            origin=origin.value,
            channel=channel,
            text=text,
            normalised=normalised,
            reason=reason,
            dry_run=dry_run,
            priority=priority.value,
            priority_rank=priority.rank,
            state=state.value,
            phase=Phase.PLAN.value,
            created_at=now,
            queued_at=now,
            ended_at=now if state.is_final else None,
            timeout=timeout.total_seconds(),
            emergency_at=emergency_at,
            ending=ending,
            retry_of=retry_of,
            includes=list(includes),
        )
        .returning(*_COLUMNS)
    ).one()
    execution = _execution(row)
    for position, host in enumerate(hosts):
        connection.execute(
            insert(t.host_runs).values(
                execution_id=execution.id, host=host, position=position, state=HostState.WAITING.value
            )
        )
    return execution


def move(
    connection: Connection,
    execution_id: int,
    *,
    leaving: Collection[State],
    to: State,
    now: datetime,
    actor: Actor = HANDRAIL,
    origin: Origin = Origin.ENGINE,
    epoch: int | None = None,
    reason: str | None = None,
    **values: Any,
) -> Execution:
    """Change the state, and witness it. Raises TooLate, or LeaseLost when `epoch` is given and is not ours any more.

    An ending releases owner and lease; its audit entry carries a hash over the step runs.
    """
    before = _left_state(connection, execution_id, leaving)
    statement = (
        update(t.executions)
        .where(t.executions.c.id == execution_id, t.executions.c.state.in_([s.value for s in leaving]))
        .values(state=to.value, **values)
        .returning(*_COLUMNS)
    )
    if epoch is not None:
        statement = statement.where(t.executions.c.epoch == epoch)
    if to.is_final:
        statement = statement.values(ended_at=now, ending=reason, note=None, current=None)
    if to is not State.RUNNING:
        statement = statement.values(owner=None, lease_until=None)
    row = connection.execute(statement).first()
    if row is None:
        found = get(connection, execution_id)
        if epoch is not None and found.epoch != epoch:
            raise LeaseLost(f"execution {execution_id} has a new owner")
        raise TooLate(f"#{execution_id} is {found.state.words} already.")
    execution = _execution(row)
    proof: dict[str, Any] = {"stage": execution.stage} if execution.stage > 1 else {}
    if to.is_final or to is State.INTERRUPTED:
        proof["steps"] = steps_hash(connection, execution_id)
    audit.append(
        connection,
        at=now,
        kind=f"execution.{to.value}",
        actor=actor,
        origin=origin,
        execution_id=execution_id,
        before=before,
        runbook=execution.runbook,
        hosts=list(execution.hosts),
        fingerprint=execution.fingerprint,
        reason=reason,
        **proof,
    )
    return execution


def _left_state(connection: Connection, execution_id: int, leaving: Collection[State]) -> str | None:
    """The state it is about to leave; asked only where it may be one of several."""
    if len(leaving) == 1:
        return next(iter(leaving)).value
    found: str | None = connection.scalar(select(t.executions.c.state).where(t.executions.c.id == execution_id))
    return found


def steps_hash(connection: Connection, execution_id: int) -> str:
    """A hash over everything the step runs say, for the ending's audit entry."""
    return _hash_of(steps_of(connection, execution_id))


def _hash_of(steps: Iterable[StepRun]) -> str:
    from storage.canonical import sha256

    return sha256(
        [
            [
                step.host,
                step.step,
                step.attempt,
                step.title,
                step.state.value,
                step.started_at.isoformat(timespec="microseconds"),
                step.ended_at.isoformat(timespec="microseconds") if step.ended_at else None,
                step.exit_status,
                step.signal,
                step.death.value if step.death else None,
                step.lines,
            ]
            for step in steps
        ]
    )


# --- the queue: owners, leases, epochs --------------------------------------------------------------------------------


def claim(
    connection: Connection,
    *,
    owner: str,
    now: datetime,
    lease: timedelta,
    limit: int,
    carried: Collection[int] = (),
) -> list[Execution]:
    """Take pending executions for this owner, highest priority first; those that wait for a host's lock stay.

    So do those that it carries already, whose lease may have run out while the database was away.
    """
    if limit <= 0:
        return []
    rows = connection.execute(
        select(*_COLUMNS)
        .where(
            t.executions.c.state == State.PENDING.value,
            or_(t.executions.c.owner.is_(None), t.executions.c.lease_until < now),
            t.executions.c.id.not_in(list(carried)),
            ~and_(t.executions.c.phase == Phase.APPLY.value, _waits_for_a_lock()),
        )
        .order_by(t.executions.c.priority_rank, t.executions.c.queued_at, t.executions.c.id)
        .limit(limit)
    ).all()
    taken: list[Execution] = []
    for row in rows:
        fresh = connection.execute(
            update(t.executions)
            .where(t.executions.c.id == row.id, t.executions.c.epoch == row.epoch)
            .values(owner=owner, epoch=row.epoch + 1, lease_until=now + lease)
            .returning(*_COLUMNS)
        ).first()
        if fresh is not None:
            taken.append(_execution(fresh))
    return taken


def _waits_for_a_lock() -> Any:
    # READ executions take no locks, so only changing ones wait. `hosts` lives in host_runs for this join.
    return and_(
        t.executions.c.danger != Danger.READ.value,
        exists(
            select(literal(1))
            .select_from(t.host_locks.join(t.host_runs, t.host_runs.c.host == t.host_locks.c.host))
            .where(
                t.host_runs.c.execution_id == t.executions.c.id,
                t.host_locks.c.execution_id != t.executions.c.id,
            )
        ),
    )


def renew(
    connection: Connection, *, owner: str, epochs: Mapping[int, int], now: datetime, lease: timedelta
) -> set[int]:
    """Renew the leases of these executions; returns those that are still ours."""
    kept: set[int] = set()
    for execution_id, epoch in epochs.items():
        row = connection.execute(
            update(t.executions)
            .where(
                t.executions.c.id == execution_id,
                t.executions.c.owner == owner,
                t.executions.c.epoch == epoch,
                t.executions.c.state.in_([State.PENDING.value, State.RUNNING.value]),
            )
            .values(lease_until=now + lease)
            .returning(t.executions.c.id)
        ).first()
        if row is not None:
            kept.add(row.id)
    return kept


def ownerless(connection: Connection, *, now: datetime, owners: Collection[str] | None = None) -> list[Execution]:
    """Running executions whose lease ran out; with `owners`, also those of any owner not named there.

    On SQLite only one owner can live, so that at its start every other owner is known to be dead.
    """
    gone = t.executions.c.lease_until < now
    if owners is not None:
        gone = or_(gone, t.executions.c.owner.not_in(list(owners)), t.executions.c.owner.is_(None))
    rows = connection.execute(
        select(*_COLUMNS).where(t.executions.c.state == State.RUNNING.value, gone).order_by(t.executions.c.id)
    )
    return [_execution(row) for row in rows]


def disown(connection: Connection, *, owner: str) -> None:
    """Let pending executions go that any other owner had claimed: on SQLite, at the start of the only one."""
    connection.execute(
        update(t.executions)
        .where(t.executions.c.state == State.PENDING.value, t.executions.c.owner != owner)
        .values(owner=None, lease_until=None, epoch=t.executions.c.epoch + 1)
    )


def seize(connection: Connection, execution: Execution) -> None:
    """Fence the owner that died: whatever it still writes carries an old epoch.

    Raises TooLate when it has another owner since `execution` was read, or its own has renewed the lease: it lives.
    """
    row = connection.execute(
        update(t.executions)
        .where(
            t.executions.c.id == execution.id,
            t.executions.c.epoch == execution.epoch,
            t.executions.c.lease_until.is_not_distinct_from(execution.lease_until),
        )
        .values(epoch=execution.epoch + 1, owner=None, lease_until=None)
        .returning(t.executions.c.id)
    ).first()
    if row is None:
        raise TooLate(f"#{execution.id} has an owner again.")


def take_over(
    connection: Connection, execution: Execution, *, owner: str, now: datetime, lease: timedelta
) -> Execution:
    """Carry on a running execution whose owner died, which is fenced by that. Raises TooLate."""
    row = connection.execute(
        update(t.executions)
        .where(
            t.executions.c.id == execution.id,
            t.executions.c.epoch == execution.epoch,
            t.executions.c.state == State.RUNNING.value,
        )
        .values(owner=owner, epoch=execution.epoch + 1, lease_until=now + lease)
        .returning(*_COLUMNS)
    ).first()
    if row is None:
        raise TooLate(f"#{execution.id} has an owner again.")
    return _execution(row)


def hold(connection: Connection, execution_id: int, epoch: int) -> None:
    """Raises LeaseLost unless this owner still holds it."""
    row = connection.execute(
        select(t.executions.c.id).where(t.executions.c.id == execution_id, t.executions.c.epoch == epoch)
    ).first()
    if row is None:
        raise LeaseLost(f"execution {execution_id} has a new owner")


def set_values(connection: Connection, execution_id: int, *, epoch: int | None = None, **values: Any) -> Execution:
    """Set plain columns that are no state (plan, note, progress). With `epoch`, fenced."""
    statement = update(t.executions).where(t.executions.c.id == execution_id).values(**values).returning(*_COLUMNS)
    if epoch is not None:
        statement = statement.where(t.executions.c.epoch == epoch)
    row = connection.execute(statement).first()
    if row is None:
        raise LeaseLost(f"execution {execution_id} has a new owner")
    return _execution(row)


def ask_to_cancel(connection: Connection, execution_id: int, *, by: Actor, at: datetime, reason: str | None) -> bool:
    """Note that somebody wants it stopped; its owner sees it. False when somebody did before."""
    row = connection.execute(
        update(t.executions)
        .where(t.executions.c.id == execution_id, t.executions.c.cancel_at.is_(None))
        .values(cancel_by=by.id, cancel_at=at, cancel_reason=reason)
        .returning(t.executions.c.id)
    ).first()
    return row is not None


def cancelled_among(connection: Connection, ids: Collection[int]) -> list[Execution]:
    """Which of these somebody asked to cancel."""
    if not ids:
        return []
    rows = connection.execute(
        select(*_COLUMNS).where(t.executions.c.id.in_(list(ids)), t.executions.c.cancel_at.is_not(None))
    )
    return [_execution(row) for row in rows]


# --- hosts and steps --------------------------------------------------------------------------------------------------


def set_host(connection: Connection, execution_id: int, host: str, *, epoch: int | None = None, **values: Any) -> None:
    """Change one host's row. With `epoch`, fenced."""
    if epoch is not None:
        hold(connection, execution_id, epoch)
    if isinstance(values.get("state"), HostState):
        values["state"] = values["state"].value
    connection.execute(
        update(t.host_runs)
        .where(t.host_runs.c.execution_id == execution_id, t.host_runs.c.host == host)
        .values(**values)
    )


def begin_step(
    connection: Connection,
    step: StepRun,
    *,
    execution: Execution,
    services: Collection[str],
    tags: Collection[str],
    words: str,
) -> bool:
    """Mark a step started before it starts: the one statement that asks the kill switch, the fence and the cancel.

    False when something forbids it (`why_not` says what). Raises LeaseLost. Asked again with the very same step (after
    an outage in which the answer was lost) it says True once more.
    """
    known = connection.execute(
        select(t.step_runs.c.started_at).where(*_same_step(step.execution_id, step.host, step.step, step.attempt))
    ).first()
    hold(connection, execution.id, execution.epoch)
    if known is not None:
        return bool(known.started_at == step.started_at)
    columns = {
        "execution_id": step.execution_id,
        "host": step.host,
        "step": step.step,
        "attempt": step.attempt,
        "title": step.title,
        "changing": step.changing,
        "sent": True,
        "state": StepState.STARTED.value,
        "started_at": step.started_at,
        "lines": 0,
        "dropped": 0,
        "token": step.token,
    }
    allowed = and_(
        t.executions.c.id == execution.id,
        t.executions.c.epoch == execution.epoch,
        t.executions.c.state == State.RUNNING.value,
        t.executions.c.cancel_at.is_(None),
        ~exists(select(literal(1)).select_from(t.kill_switches).where(_holds(execution, step.host, services, tags))),
    )
    source = select(*(literal(value, t.step_runs.c[name].type).label(name) for name, value in columns.items())).where(
        exists(select(literal(1)).select_from(t.executions).where(allowed))
    )
    row = connection.execute(
        insert(t.step_runs).from_select(list(columns), source).returning(t.step_runs.c.execution_id)
    ).first()
    if row is None:
        return False
    connection.execute(
        update(t.executions)
        .where(t.executions.c.id == execution.id)
        .values(current=words, started_at=func.coalesce(t.executions.c.started_at, step.started_at))
    )
    return True


def _holds(execution: Execution, host: str, services: Collection[str], tags: Collection[str]) -> Any:
    """The condition under which an engaged switch holds this execution on this host."""
    switch = t.kill_switches.c
    covers = or_(
        switch.scope == Scope.GLOBAL.value,
        and_(switch.scope == Scope.RUNBOOK.value, switch.subject.in_([execution.runbook, *execution.includes])),
        and_(switch.scope == Scope.HOST.value, switch.subject == host),
        and_(switch.scope == Scope.SERVICE.value, switch.subject.in_(sorted(services))),
        and_(switch.scope == Scope.TAG.value, switch.subject.in_(sorted(tags))),
    )
    if execution.emergency_at is None:
        return covers
    return and_(covers, switch.engaged_at > execution.emergency_at)


def end_step(connection: Connection, step: StepRun, *, execution: Execution, done: int = 0) -> None:
    """Record how a started step ended. Raises LeaseLost when another owner took over meanwhile."""
    hold(connection, execution.id, execution.epoch)
    connection.execute(
        update(t.step_runs)
        .where(*_same_step(step.execution_id, step.host, step.step, step.attempt))
        .values(
            state=step.state.value,
            ended_at=step.ended_at,
            exit_status=step.exit_status,
            signal=step.signal,
            pgid=step.pgid,
            death=step.death.value if step.death else None,
            sent=step.sent,
            reason=step.reason,
            lines=step.lines,
            dropped=step.dropped,
            next_attempt_at=step.next_attempt_at,
            altered=step.altered,
            result_from=step.result_from,
        )
    )
    if done:
        connection.execute(
            update(t.executions)
            .where(t.executions.c.id == execution.id)
            .values(steps_done=t.executions.c.steps_done + done)
        )


def interrupt_steps(connection: Connection, execution_id: int, *, now: datetime, reason: str) -> list[StepRun]:
    """Started steps of a dead owner: we stopped, their outcome is unknown."""
    rows = connection.execute(
        update(t.step_runs)
        .where(t.step_runs.c.execution_id == execution_id, t.step_runs.c.state == StepState.STARTED.value)
        .values(state=StepState.INTERRUPTED.value, ended_at=now, reason=reason)
        .returning(t.step_runs)
    )
    return [_step(row) for row in rows]


def order_again(connection: Connection, execution_id: int, *, host: str, place: str, now: datetime) -> None:
    """A person wants this step, or what of its group has not ended well, tried once more: it is due now."""
    c = t.step_runs.c
    connection.execute(
        update(t.step_runs)
        .where(
            c.execution_id == execution_id,
            c.host == host,
            or_(c.step == place, c.step.like(f"{place}.%")),
            c.state.not_in([StepState.SUCCEEDED.value, StepState.SKIPPED.value]),
        )
        .values(next_attempt_at=now)
    )


def note_group(connection: Connection, step: StepRun, pgid: int) -> None:
    """Remember the remote process group as soon as it is known, so that anybody can end it."""
    connection.execute(
        update(t.step_runs).where(*_same_step(step.execution_id, step.host, step.step, step.attempt)).values(pgid=pgid)
    )


def keep_output(connection: Connection, execution_id: int, lines: Sequence[OutputLine]) -> None:
    """Append lines of output."""
    if lines:
        connection.execute(
            insert(t.output),
            [
                {
                    "execution_id": execution_id,
                    "host": line.host,
                    "step": line.step,
                    "attempt": line.attempt,
                    "seq": line.seq,
                    "stream": line.stream,
                    "text": line.text,
                    "at": line.at,
                }
                for line in lines
            ],
        )


def prune_output(connection: Connection, *, before: datetime, limit: int = 2_000) -> int:
    """Forget output older than `before`, a small batch at a time. Executions and steps are kept for ever."""
    oldest = connection.execute(
        select(t.output.c.at).where(t.output.c.at < before).order_by(t.output.c.at).limit(limit)
    ).all()
    if not oldest:
        return 0
    return connection.execute(delete(t.output).where(t.output.c.at <= oldest[-1].at)).rowcount


def _same_step(execution_id: int, host: str, step: str, attempt: int) -> tuple[Any, ...]:
    c = t.step_runs.c
    return (c.execution_id == execution_id, c.host == host, c.step == step, c.attempt == attempt)


def _step(row: Row[Any]) -> StepRun:
    from storage.records import Death

    values = dict(row._mapping)
    values["state"] = StepState(values["state"])
    values["death"] = Death(values["death"]) if values["death"] else None
    return StepRun(**values)


def _execution(row: Row[Any]) -> Execution:
    values = dict(row._mapping)
    values["actor"] = Actor(id=values.pop("actor_id"), name=values.pop("actor_name"))
    return Execution(
        **{
            **values,
            "hosts": tuple(values["hosts"]),
            "services": tuple(values["services"]),
            "tags": tuple(values["tags"]),
            "includes": tuple(values["includes"]),
            "danger": Danger(values["danger"]),
            "origin": Origin(values["origin"]),
            "priority": Priority(values["priority"]),
            "state": State(values["state"]),
            "phase": Phase(values["phase"]),
        }
    )
