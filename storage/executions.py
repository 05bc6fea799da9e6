"""Executions, their hosts, their steps and their output. The `executions` table is also the queue.

A state change names where from and where to, in one statement, and fails if somebody was faster. Whatever an owner
writes carries its epoch: an owner that was replaced writes nothing any more (`LeaseLost`).

What is asked many times for each execution is a `Prepared` statement.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from storage import audit
from storage import tables as t
from storage.canonical import sha256
from storage.database import Bell, ring
from storage.errors import LeaseLost, NotFound, TooLate
from storage.prepared import Prepared
from storage.records import (
    HANDRAIL,
    UNSAID,
    USUAL_CAPS,
    Actor,
    Caps,
    Danger,
    Death,
    Execution,
    HostRun,
    HostState,
    Origin,
    OutputLine,
    Phase,
    Priority,
    Rollout,
    Scope,
    State,
    StepRun,
    StepState,
)

_COLUMNS = [c for c in t.executions.c if c.name not in {"plan", "normalised", "priority_rank", "request_id"}]
UNFINISHED = (State.PENDING, State.AWAITING_APPROVAL, State.RUNNING, State.INTERRUPTED)
_IT = t.executions.c.id == bindparam("of_id")
_HELD = t.executions.c.epoch == bindparam("of_epoch")
_FIND = Prepared(select(*_COLUMNS).where(_IT))
_PLAN = Prepared(select(t.executions.c.plan).where(_IT))
_STATE = Prepared(select(t.executions.c.state).where(_IT))
_HOLD = Prepared(select(t.executions.c.id).where(_IT, _HELD))
_DUPLICATE = Prepared(select(*_COLUMNS).where(t.executions.c.normalised == bindparam("of_text"), t.is_open))
_CREATE = Prepared(insert(t.executions).returning(*_COLUMNS))
_SET = Prepared(update(t.executions).where(_IT).returning(*_COLUMNS))
_MOVE = Prepared(_SET.statement.where(t.executions.c.state.in_(bindparam("of_states", expanding=True))))
_MORE = case((t.executions.c.steps_done < bindparam("done"), bindparam("done")), else_=t.executions.c.steps_done)
_BEGUN = Prepared(
    update(t.executions)
    .where(_IT)
    .values(started_at=func.coalesce(t.executions.c.started_at, bindparam("began")), steps_done=_MORE)
)
_STEP_DONE = Prepared(update(t.executions).where(_IT, _HELD).values(steps_done=_MORE).returning(t.executions.c.id))
_HOSTS = Prepared(
    select(t.host_runs).where(t.host_runs.c.execution_id == bindparam("of_id")).order_by(t.host_runs.c.position)
)
_ADD_HOSTS = Prepared(insert(t.host_runs))
_SET_HOST = Prepared(
    update(t.host_runs).where(
        t.host_runs.c.execution_id == bindparam("of_id"), t.host_runs.c.host == bindparam("of_host")
    )
)
_STEPS = Prepared(
    select(t.step_runs)
    .where(t.step_runs.c.execution_id == bindparam("of_id"))
    .order_by(t.step_runs.c.started_at, t.step_runs.c.host, t.step_runs.c.step, t.step_runs.c.attempt)
)
_THIS_STEP = (
    t.step_runs.c.execution_id == bindparam("of_id"),
    t.step_runs.c.host == bindparam("of_host"),
    t.step_runs.c.step == bindparam("of_step"),
    t.step_runs.c.attempt == bindparam("of_attempt"),
)
_STEP_BEGAN = Prepared(select(t.step_runs.c.started_at).where(*_THIS_STEP))
_NEWEST_TRY = Prepared(
    select(t.step_runs)
    .where(
        t.step_runs.c.execution_id == bindparam("of_id"),
        t.step_runs.c.host == bindparam("of_host"),
        t.step_runs.c.step == bindparam("of_step"),
    )
    .order_by(t.step_runs.c.attempt.desc())
    .limit(1)
)
_SET_STEP = Prepared(update(t.step_runs).where(*_THIS_STEP))


# --- reading ----------------------------------------------------------------------------------------------------------


def find(connection: Connection, execution_id: int) -> Execution | None:
    """One execution, or None."""
    _BEGUN.catch_up(connection)
    row = _FIND.first(connection, {"of_id": execution_id})
    return None if row is None else _execution(row)


def get(connection: Connection, execution_id: int) -> Execution:
    """One execution; raises NotFound."""
    execution = find(connection, execution_id)
    if execution is None:
        raise NotFound(f"There is no execution #{execution_id}. `/runbook status` lists the newest.")
    return execution


def continued(connection: Connection, execution_id: int | None) -> list[int]:
    """What it continues, and what that one continued, and so on: the newest first."""
    found: list[int] = []
    while execution_id is not None:
        before = find(connection, execution_id)
        execution_id = before.retry_of if before is not None else None
        found += [execution_id] if execution_id is not None else []
    return found


def plan_of(connection: Connection, execution_id: int) -> Mapping[str, Any] | None:
    """The stored plan as JSON."""
    plan: Mapping[str, Any] | None = _PLAN.scalar(connection, {"of_id": execution_id})
    return plan


def in_states(connection: Connection, states: Collection[State], limit: int = 500) -> list[Execution]:
    """Executions in these states, oldest first."""
    query = select(*_COLUMNS).where(t.executions.c.state.in_([state.value for state in states]))
    if set(states) <= set(UNFINISHED):
        query = query.where(t.is_open)
    return [_execution(row) for row in connection.execute(query.order_by(t.executions.c.id).limit(limit))]


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


@dataclass(frozen=True, kw_only=True)
class Sought:
    """Which executions are looked for; None is no limit. `before` and `after` are numbers of executions."""

    runbook: str | None = None
    host: str | None = None
    person: str | None = None
    states: tuple[State, ...] = ()
    since: datetime | None = None  # when it was asked for
    until: datetime | None = None
    dry_runs: bool | None = None  # only them, or none of them
    before: int | None = None
    after: int | None = None
    among: Collection[str] | None = None  # of these runbooks only


@dataclass(frozen=True, kw_only=True)
class HistoryPage:
    """A page, newest first, and where the next begins on each side; None where there is nothing more."""

    found: list[Execution]
    older: int | None  # `before` for the older page
    newer: int | None  # `after` for the newer one
    looked_from: int  # the oldest number that was looked at


LOOK = 20_000
"""How many executions one page looks through for what no index knows, so that it takes the same time in any history."""


def history(connection: Connection, sought: Sought, *, limit: int = 15, look: int = LOOK) -> HistoryPage:
    """One page of what is sought. It may hold less than `limit` and still have an older one, which looks further."""
    c = t.executions.c
    lowest, highest = _numbers(connection, sought.since, sought.until)
    wanted = [
        *([c.runbook.in_(sorted(sought.among))] if sought.among is not None else []),
        *([c.runbook == sought.runbook] if sought.runbook is not None else []),
        *([c.actor_id == sought.person] if sought.person is not None else []),
        *([c.state.in_([state.value for state in sought.states])] if sought.states else []),
        # The numbers bound it: by the index of the times PostgreSQL would sort all of the window by number.
        *([(c.created_at >= sought.since).is_(true())] if sought.since is not None else []),
        *([(c.created_at < sought.until).is_(true())] if sought.until is not None else []),
        *([c.dry_run.is_(sought.dry_runs)] if sought.dry_runs is not None else []),
        *([_on_host(sought.host)] if sought.host is not None else []),
    ]
    if sought.after is not None:
        low = max(lowest, sought.after + 1)
        high = min(highest, low + look - 1)
    else:
        high = highest if sought.before is None else min(highest, sought.before - 1)
        low = max(lowest, high - look + 1)
    query = select(*_COLUMNS).where(*wanted, c.id.between(low, high)).limit(limit + 1)
    rows = connection.execute(query.order_by(c.id if sought.after is not None else c.id.desc())).all()
    found = [_execution(row) for row in rows[:limit]]
    if sought.after is not None:
        more = found[-1].id if len(rows) > limit else high if high < highest else None
        found.reverse()
        return HistoryPage(found=found, older=found[-1].id if found else sought.after + 1, newer=more, looked_from=low)
    more = found[-1].id if len(rows) > limit else low if low > lowest else None
    began = sought.before is not None and high < highest
    newer = (found[0].id if found else (sought.before or 1) - 1) if began else None
    return HistoryPage(found=found, older=more, newer=newer, looked_from=low)


def _on_host(host: str) -> ColumnElement[bool]:
    return exists(select(literal(1)).where(t.host_runs.c.execution_id == t.executions.c.id, t.host_runs.c.host == host))


SLACK = 200
"""Executions asked for at the same moment may have got their numbers in another order."""


def _numbers(connection: Connection, since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """The lowest and the highest number that can have been given between two moments; found by index."""
    c = t.executions.c
    lowest, highest = 1, int(connection.scalar(select(func.max(c.id))) or 0)
    if since is not None:
        first = connection.scalar(select(c.id).where(c.created_at >= since).order_by(c.created_at, c.id).limit(1))
        lowest = max(1, first - SLACK) if first is not None else highest + 1
    if until is not None:
        last = connection.scalar(
            select(c.id).where(c.created_at < until).order_by(c.created_at.desc(), c.id.desc()).limit(1)
        )
        highest = min(highest, last + SLACK) if last is not None else 0
    return lowest, highest


LOOKS_BACK = 1_000
"""How many of the newest executions are looked through for what nothing is indexed by."""
_LATEST = select(t.executions.c.id).order_by(t.executions.c.id.desc()).limit(LOOKS_BACK).subquery()


def newest_by(connection: Connection, person: str, limit: int = 5) -> list[Execution]:
    """The newest this person asked for, newest first, among the newest of all."""
    rows = connection.execute(
        select(*_COLUMNS)
        .where(t.executions.c.id.in_(select(_LATEST.c.id)), t.executions.c.actor_id == person)
        .order_by(t.executions.c.id.desc())
        .limit(limit)
    )
    return [_execution(row) for row in rows]


_NEWEST_HOSTS = select(t.host_runs).order_by(t.host_runs.c.execution_id.desc()).limit(5 * LOOKS_BACK).subquery()


def outcomes(connection: Connection, *, among: Collection[str] | None = None) -> dict[str, tuple[str, HostRun]]:
    """How each host came out in the newest execution that has ended there, and what that was, of these runbooks.

    Looks at the newest five thousand hosts of executions only.
    """
    h = _NEWEST_HOSTS.c
    query = (
        select(t.executions.c.runbook, _NEWEST_HOSTS)
        .join_from(_NEWEST_HOSTS, t.executions, t.executions.c.id == h.execution_id)
        .where(h.ended_at.is_not(None), h.state != HostState.SKIPPED.value)
        .order_by(h.execution_id)
    )
    if among is not None:
        query = query.where(t.executions.c.runbook.in_(sorted(among)))
    found: dict[str, tuple[str, HostRun]] = {}
    for row in connection.execute(query):
        values = {name: value for name, value in row._mapping.items() if name != "runbook"}
        found[row.host] = (row.runbook, HostRun(**{**values, "state": HostState(row.state)}))
    return found


def asked_in(
    connection: Connection, channel: str, *, among: Collection[str], limit: int = 5, of_the_newest: int = 2_000
) -> list[Execution]:
    """What was asked for in a channel lately, of these runbooks, newest first; what was asked for again is one."""
    newest_id = select(func.max(t.executions.c.id)).scalar_subquery()
    query = (
        select(*_COLUMNS)
        .where(
            t.executions.c.id > newest_id - of_the_newest,
            t.executions.c.channel == channel,
            t.executions.c.rolls_back.is_(None),
        )
        .order_by(t.executions.c.id.desc())
        .limit(20 * limit)
    )
    found: dict[str, Execution] = {}
    for one in map(_execution, connection.execute(query)):
        if one.runbook in among:
            found.setdefault(sha256([one.runbook, dict(one.params), list(one.hosts)]), one)
    return list(found.values())[:limit]


def in_channel(
    connection: Connection, channel: str, *, since: datetime, until: datetime | None, limit: int
) -> list[Execution]:
    """The newest that were asked for in a channel in that time, both ends included, oldest first."""
    query = select(*_COLUMNS).where(*_in_channel(channel, since, until))
    newest_first = query.order_by(t.executions.c.created_at.desc(), t.executions.c.id.desc()).limit(limit)
    return sorted(map(_execution, connection.execute(newest_first)), key=lambda one: one.id)


def count_in_channel(connection: Connection, channel: str, *, since: datetime, until: datetime | None) -> int:
    """How many were asked for in a channel in that time."""
    query = select(func.count()).select_from(t.executions).where(*_in_channel(channel, since, until))
    return int(connection.scalar(query) or 0)


def _in_channel(channel: str, since: datetime, until: datetime | None) -> list[ColumnElement[bool]]:
    c = t.executions.c
    return [c.channel == channel, c.created_at >= since, *([] if until is None else [c.created_at <= until])]


_RAN = (State.SUCCEEDED, State.FAILED, State.TIMED_OUT, State.CANCELLED, State.INTERRUPTED, State.ROLLED_BACK)


def last_on(
    connection: Connection, runbook: str, hosts: Collection[str], *, before: int, limit: int = 3
) -> list[Execution]:
    """The newest that really ran this runbook on any of these hosts, before this one, newest first.

    Looks at the runbook's newest thousand before it only.
    """
    c, h = t.executions.c, t.host_runs.c
    # A table of its own, which PostgreSQL walks from its newest row on until it has enough of them.
    newest = select(c.id).where(c.runbook == runbook, c.id < before).order_by(c.id.desc()).limit(LOOKS_BACK).subquery()
    here = exists(select(literal(1)).where(h.execution_id == newest.c.id, h.host.in_(list(hosts))))
    really = c.state.in_([state.value for state in _RAN]) & c.started_at.is_not(None)
    query = select(*_COLUMNS).where(c.id == newest.c.id, really, here).order_by(newest.c.id.desc()).limit(limit)
    rows = connection.execute(query)
    return [_execution(row) for row in rows]


def usual_duration(connection: Connection, runbook: str, *, last: int = 20) -> timedelta | None:
    """The median of how long the newest that succeeded took, from their first step on; None when none has.

    Looks at ten times as many of its newest only.
    """
    rows = connection.execute(
        select(t.executions.c.started_at, t.executions.c.ended_at)
        .where(
            _newest_of(runbook, 10 * last),
            t.executions.c.state == State.SUCCEEDED.value,
            t.executions.c.started_at.is_not(None),
        )
        .order_by(t.executions.c.id.desc())
        .limit(last)
    ).all()
    took = sorted(row.ended_at - row.started_at for row in rows)
    return took[len(took) // 2] if took else None


def _newest_of(runbook: str, number: int) -> ColumnElement[bool]:
    """So many of a runbook, by its index alone. As a list and not as a range, which has all others' between in it."""
    c = t.executions.c
    newest = select(c.id).where(c.runbook == runbook).order_by(c.id.desc()).limit(number)
    return c.id.in_(select(newest.subquery().c.id))


def _lately(how_many: Callable[..., ColumnElement[int]]) -> Select[Any]:
    c = t.executions.c
    return (
        select(c.state, how_many(c.hosts).label("hosts"), c.started_at, c.ended_at)
        .where(c.runbook == bindparam("of_runbook"), c.id < bindparam("of_id"))
        .order_by(c.id.desc())
        .limit(100)
    )


# Hosts are counted where they are: the names of three hundred, a hundred times, would take longer than all the rest.
_LATELY = {"sqlite": _lately(func.json_array_length), "postgresql": _lately(func.jsonb_array_length)}


def usual_for(connection: Connection, execution: Execution) -> timedelta | None:
    """The median of how long the runbook took before, on as many hosts, where it succeeded; None when it never did.

    Looks at its newest hundred only, so that it costs the same after years.
    """
    asked = {"of_runbook": execution.runbook, "of_id": execution.id}
    rows = connection.execute(_LATELY[connection.dialect.name], asked)
    took = sorted(
        row.ended_at - row.started_at
        for row in rows
        if row.state == State.SUCCEEDED.value
        and row.started_at is not None
        and row.ended_at is not None
        and row.hosts == len(execution.hosts)
    )
    return took[len(took) // 2] if took else None


def printed(connection: Connection, execution_id: int) -> int:
    """How many lines its steps have printed and we have kept, as far as their rows say."""
    _SET_STEP.catch_up(connection)
    return int(
        connection.scalar(
            select(func.coalesce(func.sum(t.step_runs.c.lines), 0)).where(t.step_runs.c.execution_id == execution_id)
        )
        or 0
    )


def duplicate_of(connection: Connection, normalised: str) -> Execution | None:
    """The unfinished execution that the same person asked for with the same text in the same channel."""
    row = _DUPLICATE.first(connection, {"of_text": normalised})
    return None if row is None else _execution(row)


def retried_by(connection: Connection, execution_id: int) -> Execution | None:
    """What retries it and has not ended. Whoever asks next waits until this transaction is over."""
    connection.execute(select(t.executions.c.id).where(t.executions.c.id == execution_id).with_for_update())
    row = connection.execute(
        select(*_COLUMNS)
        .where(
            t.is_open,
            t.executions.c.retry_of == execution_id,
            t.executions.c.rolls_back.is_(None),
        )
        .order_by(t.executions.c.id)
        .limit(1)
    ).first()
    return None if row is None else _execution(row)


def hosts_of(connection: Connection, execution_id: int) -> list[HostRun]:
    """Its hosts, in order."""
    rows = _HOSTS.all(connection, {"of_id": execution_id})
    return [HostRun(**{**row._asdict(), "state": HostState(row.state)}) for row in rows]


def taken_back(connection: Connection, execution_id: int) -> dict[str, datetime]:
    """The hosts on which a rollback of this execution has succeeded, and when it last did."""
    rows = connection.execute(
        select(t.host_runs.c.host, t.host_runs.c.ended_at)
        .join(t.executions, t.executions.c.id == t.host_runs.c.execution_id)
        .where(t.executions.c.rolls_back == execution_id, t.host_runs.c.state == HostState.SUCCEEDED.value)
        .order_by(t.host_runs.c.ended_at)
    )
    return {row.host: row.ended_at for row in rows if row.ended_at is not None}


def newest_rollback(connection: Connection, execution_id: int) -> int | None:
    """What took it back last, or tried to."""
    newest: int | None = connection.scalar(
        select(func.max(t.executions.c.id)).where(t.executions.c.rolls_back == execution_id)
    )
    return newest


def steps_of(connection: Connection, execution_id: int) -> list[StepRun]:
    """Its step runs, in the order they started."""
    _SET_STEP.catch_up(connection)
    rows = _STEPS.all(connection, {"of_id": execution_id})
    return [_step(row) for row in rows]


def step_of(connection: Connection, execution_id: int, host: str, step: str) -> StepRun:
    """The newest try of one step; raises NotFound."""
    _SET_STEP.catch_up(connection)
    asked = {"of_id": execution_id, "of_host": host, "of_step": step}
    row = _NEWEST_TRY.first(connection, asked)
    if row is None:
        raise NotFound(f"#{execution_id} has not begun step {step} on {host}.")
    return _step(row)


def looked_at_since(connection: Connection, since: datetime) -> list[tuple[Execution, str, Death]]:
    """What was found of every command that was stopped since then: its execution, its host, and whether it lives."""
    _SET_STEP.catch_up(connection)
    c = t.step_runs.c
    steps = connection.execute(
        select(c.execution_id, c.host, c.death)
        .where(c.death.is_not(None), c.ended_at >= since)
        .order_by(c.execution_id, c.host, c.started_at)
    ).all()
    ids = {step.execution_id for step in steps}
    rows = connection.execute(select(*_COLUMNS).where(t.executions.c.id.in_(ids)))
    stopped = {row.id: _execution(row) for row in rows}
    return [(stopped[step.execution_id], step.host, Death(step.death)) for step in steps]


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
    return [_line(row) for row in reversed(rows)]


@dataclass(frozen=True, kw_only=True)
class OutputPage:
    """Some lines of output. `start` is the number of the first, counted from 1 in the order they were printed."""

    lines: list[OutputLine]
    start: int
    total: int


def output_page(
    connection: Connection,
    execution_id: int,
    *,
    host: str | None = None,
    step: str | None = None,
    start: int | None = None,
    limit: int = 40,
) -> OutputPage:
    """The lines from `start` on, or the newest. What may be kept of an execution bounds what this costs."""
    c = t.output.c
    wanted = [c.execution_id == execution_id]
    wanted += [c.host == host] if host is not None else []
    wanted += [c.step == step] if step is not None else []
    total = int(connection.scalar(select(func.count()).select_from(t.output).where(*wanted)) or 0)
    newest = max(1, total - limit + 1)
    first = newest if start is None else min(max(1, start), max(1, total))
    rows = connection.execute(
        select(t.output).where(*wanted).order_by(c.at, c.host, c.step, c.attempt, c.seq).offset(first - 1).limit(limit)
    )
    return OutputPage(lines=[_line(row) for row in rows], start=first, total=total)


def _line(row: Row[Any]) -> OutputLine:
    return OutputLine(
        host=row.host,
        step=row.step,
        attempt=row.attempt,
        seq=row.seq,
        stream=row.stream,
        text=row.text,
        at=row.at,
    )


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
    rollout: Rollout = UNSAID,
    includes: Sequence[str] = (),
    unsaid: Sequence[str] = (),
) -> Execution:
    """A new execution, pending to be planned or refused at the door, with a row for each host."""
    row = _CREATE.first(
        connection,
        {
            "request_id": request_id,
            "runbook": runbook,
            "params": dict(params),
            "hosts": list(hosts),
            "services": list(services),
            "tags": list(tags),
            "danger": danger.value,
            "actor_id": actor.id,
            "actor_name": actor.name,
            "origin": origin.value,
            "channel": channel,
            "text": text,
            "normalised": normalised,
            "reason": reason,
            "dry_run": dry_run,
            "priority": priority.value,
            "priority_rank": priority.rank,
            "state": state.value,
            "phase": Phase.PLAN.value,
            "created_at": now,
            "queued_at": now,
            "ended_at": now if state.is_final else None,
            "timeout": timeout.total_seconds(),
            "emergency_at": emergency_at,
            "ending": ending,
            "retry_of": retry_of,
            "rollout": asdict(rollout) if rollout != UNSAID else None,
            "includes": list(includes),
            "unsaid": list(unsaid),
        },
    )
    execution = _execution(row)
    if state is State.PENDING:
        ring(connection, Bell.QUEUE)
    waiting = HostState.WAITING.value
    rows = [
        {"execution_id": execution.id, "host": host, "position": position, "state": waiting}
        for position, host in enumerate(hosts)
    ]
    if rows:
        _ADD_HOSTS.run_each(connection, rows)
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
    steps: Sequence[StepRun] | None = None,
    **values: Any,
) -> Execution:
    """Change the state, and witness it. Raises TooLate, or LeaseLost when `epoch` is given and is not ours any more.

    An ending releases owner and lease; its audit entry carries a hash over the step runs (`steps`, if they were read
    already).
    """
    before = _left_state(connection, execution_id, leaving)
    statement, known = _fenced(_MOVE, execution_id, epoch)
    values |= {"state": to.value}
    if to.is_final:
        values |= {"ended_at": now, "ending": reason, "note": None, "current": None}
    if to is not State.RUNNING:
        values |= {"owner": None, "lease_until": None}
    _BEGUN.catch_up(connection)
    row = statement.first(connection, {**known, "of_states": [s.value for s in leaving], **values})
    if row is None:
        found = get(connection, execution_id)
        if epoch is not None and found.epoch != epoch:
            raise LeaseLost(f"execution {execution_id} has a new owner")
        raise TooLate(f"#{execution_id} is {found.state.words} already.")
    execution = _execution(row)
    if to is State.PENDING:
        ring(connection, Bell.QUEUE)
    proof: dict[str, Any] = {"stage": execution.stage} if execution.stage > 1 else {}
    if to.is_final or to is State.INTERRUPTED:
        proof["steps"] = steps_hash(connection, execution_id) if steps is None else _hash_of(steps)
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
    found: str | None = _STATE.scalar(connection, {"of_id": execution_id})
    return found


def steps_hash(connection: Connection, execution_id: int) -> str:
    """A hash over everything the step runs say, for the ending's audit entry."""
    return _hash_of(steps_of(connection, execution_id))


def _hash_of(steps: Iterable[StepRun]) -> str:
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


AT_A_TIME = 50
"""Rows of the queue that are looked at together: of a hundred that wait for one host, one can be taken."""


def claim(
    connection: Connection,
    *,
    owner: str,
    now: datetime,
    lease: timedelta,
    limit: int,
    carried: Collection[int] = (),
    caps: Caps = USUAL_CAPS,
    expired: bool = True,
) -> list[Execution]:
    """Take pending executions for this owner, in their order, as many as may be carried at once.

    Those that wait for a host's lock stay, and those that it carries already, whose lease may have run out while the
    database was away. `expired`: also what another owner had claimed and has not renewed in time.
    """
    if limit <= 0:
        return []
    taken = _Taken(connection, caps)
    claimed: list[int] = []
    passed: list[int] = []
    while len(claimed) < limit and not taken.is_full:
        wanted = min(limit - len(claimed), AT_A_TIME)
        found = _next(connection, taken, wanted, without=[*carried, *claimed, *passed], before=now if expired else None)
        room = [row.id for row in found if taken.add(row)]
        claimed += room
        passed += [row.id for row in found if row.id not in room]
        if len(found) < wanted:
            break  # nobody else waits
    if not claimed:
        return []
    rows = connection.execute(
        update(t.executions)
        .where(t.executions.c.id.in_(claimed))
        .values(owner=owner, epoch=t.executions.c.epoch + 1, lease_until=now + lease, note=None)
        .returning(*_COLUMNS)
    )
    fresh = {row.id: _execution(row) for row in rows}
    return [fresh[execution_id] for execution_id in claimed]


_BY_RUNBOOK = Prepared(
    select(t.executions.c.runbook, func.count())
    .where(t.executions.c.owner.is_not(None))
    .group_by(t.executions.c.runbook)
)
_BY_HOST = Prepared(
    select(t.host_runs.c.host, func.count())
    .where(t.host_runs.c.execution_id.in_(select(t.executions.c.id).where(t.executions.c.owner.is_not(None))))
    .group_by(t.host_runs.c.host)
)


class _Taken:
    """What is carried by any owner, counted against the caps."""

    def __init__(self, connection: Connection, caps: Caps) -> None:
        self._caps = caps
        self._runbooks = Counter({row[0]: row[1] for row in _BY_RUNBOOK.all(connection)})
        self._hosts = Counter({row[0]: row[1] for row in _BY_HOST.all(connection)})
        self._next_there = set[str]()  # hosts whose lock one of them is about to take

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be carried at all."""
        return self._runbooks.total() >= self._caps.overall

    def full_runbooks(self) -> list[str]:
        """Those of which nothing more may be carried."""
        return sorted(name for name, number in self._runbooks.items() if number >= self._caps.of(name))

    def full_hosts(self) -> list[str]:
        """Those on which nothing more may be carried."""
        return sorted(name for name, number in self._hosts.items() if number >= self._caps.host)

    def taken_hosts(self) -> list[str]:
        """Those whose lock somebody who was just claimed is about to take."""
        return sorted(self._next_there)

    def add(self, row: Row[Any]) -> bool:
        """Count one more; False where there is no room for it."""
        crowded = any(self._hosts[host] >= self._caps.host for host in row.hosts)
        if self.is_full or crowded or self._runbooks[row.runbook] >= self._caps.of(row.runbook):
            return False
        if row.phase == Phase.APPLY.value and row.danger != Danger.READ.value:
            if self._next_there.intersection(row.hosts):
                return False  # it would only find the lock taken, and be judged once more for nothing
            self._next_there.update(row.hosts)
        self._runbooks[row.runbook] += 1
        self._hosts.update(row.hosts)
        return True


def _next(
    connection: Connection, taken: _Taken, limit: int, *, without: Collection[int], before: datetime | None
) -> list[Row[Any]]:
    """The next that may be claimed, in order; of each priority as many as are wanted, so that all can be compared."""
    asked = {
        "most": limit,
        "without": list(without),
        "before": before or _LONG_AGO,
        "full_runbooks": taken.full_runbooks(),
        "full_hosts": taken.full_hosts(),
        "taken_hosts": taken.taken_hosts(),
    }
    return sorted(_queue().all(connection, asked), key=_turn)[:limit]


_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@cache
def _queue() -> Prepared:
    c = t.executions.c
    conditions: list[ColumnElement[bool]] = [
        c.state == State.PENDING.value,
        or_(c.owner.is_(None), c.lease_until < bindparam("before")),
        c.id.not_in(bindparam("without", expanding=True)),
        c.runbook.not_in(bindparam("full_runbooks", expanding=True)),
        ~_on("full_hosts"),
        ~and_(
            c.phase == Phase.APPLY.value, c.danger != Danger.READ.value, or_(_on("taken_hosts"), _waits_for_a_lock())
        ),
    ]
    each = [
        select(
            select(c.id, c.runbook, c.hosts, c.phase, c.danger, c.priority, c.queued_at)
            .where(c.priority_rank == priority.rank, *conditions)
            .order_by(c.queued_at, c.id)
            .limit(bindparam("most", type_=Integer))
            .subquery()
        )
        for priority in Priority
    ]
    return Prepared(union_all(*each))


def _on(hosts: str) -> ColumnElement[bool]:
    here = t.host_runs.c
    return exists(
        select(literal(1)).where(
            here.execution_id == t.executions.c.id, here.host.in_(bindparam(hosts, expanding=True))
        )
    )


def _turn(row: Row[Any]) -> tuple[datetime, int]:
    return row.queued_at + Priority(row.priority).comes_later, row.id


def _waits_for_a_lock() -> Any:
    # `hosts` lives in host_runs for this join.
    mine, its, other = t.host_runs.alias("mine"), t.host_runs.alias("its"), t.executions.alias("other")
    held = exists(
        select(literal(1))
        .select_from(t.host_locks.join(mine, mine.c.host == t.host_locks.c.host))
        .where(mine.c.execution_id == t.executions.c.id, t.host_locks.c.execution_id != t.executions.c.id)
    )
    # Somebody has it in hand already and is about to take the lock.
    wanted = exists(
        select(literal(1))
        .select_from(other.join(its, its.c.execution_id == other.c.id).join(mine, mine.c.host == its.c.host))
        .where(
            other.c.owner.is_not(None),
            other.c.state == State.PENDING.value,
            other.c.phase == Phase.APPLY.value,
            other.c.danger != Danger.READ.value,
            other.c.id != t.executions.c.id,
            mine.c.execution_id == t.executions.c.id,
        )
    )
    return or_(held, wanted)


def renew(
    connection: Connection, *, owner: str, epochs: Mapping[int, int], now: datetime, lease: timedelta
) -> set[int]:
    """Renew the leases of these executions; returns those that are still ours."""
    if not epochs:
        return set()
    rows = connection.execute(
        update(t.executions)
        .where(
            tuple_(t.executions.c.id, t.executions.c.epoch).in_(sorted(epochs.items())),
            t.executions.c.owner == owner,
            t.executions.c.state.in_([State.PENDING.value, State.RUNNING.value]),
        )
        .values(lease_until=now + lease)
        .returning(t.executions.c.id)
    )
    return {row.id for row in rows}


def let_go(connection: Connection, *, owner: str, now: datetime, lease: timedelta) -> int:
    """An owner that stops leaves what it still carries to whoever comes first; how many.

    What was only claimed is free again; what runs is nobody's, and looked after as what a dead owner left, but at once.
    Its lease says until when somebody who executes may come.
    """
    ring(connection, Bell.QUEUE)
    mine = t.executions.c.owner == owner
    pending = connection.execute(
        update(t.executions)
        .where(mine, t.executions.c.state == State.PENDING.value)
        .values(owner=None, lease_until=None, epoch=t.executions.c.epoch + 1)
    )
    running = connection.execute(
        update(t.executions)
        .where(mine, t.executions.c.state == State.RUNNING.value)
        .values(owner=None, lease_until=now + lease, epoch=t.executions.c.epoch + 1)
    )
    return pending.rowcount + running.rowcount


def waiting(connection: Connection) -> list[Execution]:
    """What waits for an owner, in the order in which it would be claimed."""
    rows = connection.execute(
        select(*_COLUMNS).where(t.executions.c.state == State.PENDING.value, t.executions.c.owner.is_(None))
    )
    found = [_execution(row) for row in rows]
    return sorted(found, key=lambda one: (one.queued_at + one.priority.comes_later, one.id))


def count_waiting(connection: Connection) -> int:
    """How many wait for an owner."""
    number = select(func.count()).where(t.executions.c.state == State.PENDING.value, t.executions.c.owner.is_(None))
    return int(connection.scalar(number) or 0)


def ownerless(
    connection: Connection,
    *,
    now: datetime,
    owners: Collection[str] | None = None,
    overdue: timedelta | None = None,
) -> list[Execution]:
    """Running executions that nobody carries: let go, or with a lease that ran out.

    With `owners`, also those of any owner not named there: on SQLite only one can live, so that at its start every
    other one is known to be dead. With `overdue`, only what nobody has taken up for so long after the lease.
    """
    if overdue is not None:
        gone = t.executions.c.lease_until < now - overdue
    else:
        gone = or_(t.executions.c.lease_until < now, t.executions.c.owner.is_(None))
    if owners is not None:
        gone = or_(gone, t.executions.c.owner.not_in(list(owners)))
    rows = connection.execute(
        select(*_COLUMNS)
        .where(t.is_open, t.executions.c.state == State.RUNNING.value, gone)
        .order_by(t.executions.c.id)
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
    """Carry on a running execution whose owner died, which is fenced by that.

    Raises TooLate when it has another owner since `execution` was read, or its own has renewed the lease: it lives.
    """
    row = connection.execute(
        update(t.executions)
        .where(
            t.executions.c.id == execution.id,
            t.executions.c.epoch == execution.epoch,
            t.executions.c.lease_until.is_not_distinct_from(execution.lease_until),
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
    if _HOLD.first(connection, {"of_id": execution_id, "of_epoch": epoch}) is None:
        raise LeaseLost(f"execution {execution_id} has a new owner")


def set_values(connection: Connection, execution_id: int, *, epoch: int | None = None, **values: Any) -> Execution:
    """Set plain columns that are no state (plan, note, progress). With `epoch`, fenced."""
    statement, known = _fenced(_SET, execution_id, epoch)
    _BEGUN.catch_up(connection)
    row = statement.first(connection, {**known, **values})
    if row is None:
        raise LeaseLost(f"execution {execution_id} has a new owner")
    return _execution(row)


def _fenced(statement: Prepared, execution_id: int, epoch: int | None) -> tuple[Prepared, dict[str, Any]]:
    if epoch is None:
        return statement, {"of_id": execution_id}
    return _with_epoch(statement), {"of_id": execution_id, "of_epoch": epoch}


@cache
def _with_epoch(prepared: Prepared) -> Prepared:
    return Prepared(prepared.statement.where(_HELD))


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


def set_host(connection: Connection, execution_id: int, host: str, **values: Any) -> None:
    """Change one host's row, as whoever holds the execution; see `count`."""
    if isinstance(values.get("state"), HostState):
        values["state"] = values["state"].value
    _SET_HOST.run(connection, {"of_id": execution_id, "of_host": host, **values})


def set_waves(connection: Connection, execution_id: int, waves: Sequence[Sequence[str]]) -> None:
    """Note the wave of each host."""
    for number, hosts in enumerate(waves, 1):
        connection.execute(
            update(t.host_runs)
            .where(t.host_runs.c.execution_id == execution_id, t.host_runs.c.host.in_(list(hosts)))
            .values(wave=number)
        )


def begin_step(
    connection: Connection,
    step: StepRun,
    *,
    execution: Execution,
    services: Collection[str],
    tags: Collection[str],
    words: str,
    done: int = 0,
) -> bool:
    """Mark a step started before it starts: the one statement that asks the kill switch, the fence and the cancel.

    `done`: how many steps of the execution are. False when something forbids it. Raises LeaseLost. Asked again with the
    very same step (after an outage in which the answer was lost) it says True once more, whatever came between: that is
    the caller's to ask before anything is sent.
    """
    values = {
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
    asked = {
        "of_id": execution.id,
        "of_epoch": execution.epoch,
        "of_runbooks": [execution.runbook, *execution.includes],
        "of_host": step.host.lower(),  # as a switch's subject is kept
        "of_services": sorted(services),
        "of_tags": sorted(tags),
    }
    if execution.emergency_at is not None:
        asked["of_emergency"] = execution.emergency_at
    statement = _begin(connection.dialect.name, tuple(values), emergency=execution.emergency_at is not None)
    row = statement.first(connection, asked | {f"new_{name}": value for name, value in values.items()})
    if row is None:
        # Because another owner has it, which `count` raises, because this very step was marked before, or by refusal.
        count(connection, execution, done)
        known = _STEP_BEGAN.first(connection, _same_step(step))
        return known is not None and bool(known.started_at == step.started_at)
    _BEGUN.later(connection, {"of_id": execution.id, "current": words, "began": step.started_at, "done": done})
    return True


@cache
def _begin(dialect: str, columns: tuple[str, ...], *, emergency: bool) -> Prepared:
    allowed = and_(
        _IT,
        _HELD,
        t.executions.c.state == State.RUNNING.value,
        t.executions.c.cancel_at.is_(None),
        ~exists(select(literal(1)).select_from(t.kill_switches).where(_holds(emergency=emergency))),
    )
    values = (bindparam(f"new_{name}", type_=t.step_runs.c[name].type).label(name) for name in columns)
    source = select(*values).where(exists(select(literal(1)).select_from(t.executions).where(allowed)))
    # A step that is marked already stays as it is.
    made = (sqlite if dialect == "sqlite" else postgresql).insert(t.step_runs).from_select(list(columns), source)
    return Prepared(made.on_conflict_do_nothing().returning(t.step_runs.c.execution_id))


def _holds(*, emergency: bool) -> Any:
    """The condition under which an engaged switch holds an execution on a host."""
    switch = t.kill_switches.c
    covers = or_(
        switch.scope == Scope.GLOBAL.value,
        and_(switch.scope == Scope.RUNBOOK.value, switch.subject.in_(bindparam("of_runbooks", expanding=True))),
        and_(switch.scope == Scope.HOST.value, switch.subject == bindparam("of_host")),
        and_(switch.scope == Scope.SERVICE.value, switch.subject.in_(bindparam("of_services", expanding=True))),
        and_(switch.scope == Scope.TAG.value, switch.subject.in_(bindparam("of_tags", expanding=True))),
    )
    return and_(covers, switch.engaged_at > bindparam("of_emergency")) if emergency else covers


def end_step(connection: Connection, step: StepRun) -> None:
    """Record how a started step ended; safe to repeat. Who may is asked by `begin_step` or `count`, with it."""
    ended = {
        "state": step.state.value,
        "ended_at": step.ended_at,
        "exit_status": step.exit_status,
        "signal": step.signal,
        "pgid": step.pgid,
        "death": step.death.value if step.death else None,
        "sent": step.sent,
        "reason": step.reason,
        "lines": step.lines,
        "dropped": step.dropped,
        "next_attempt_at": step.next_attempt_at,
        "altered": step.altered,
        "result_from": step.result_from,
    }
    _SET_STEP.later(connection, _same_step(step) | ended)


def count(connection: Connection, execution: Execution, done: int) -> None:
    """So many of its steps are done. Raises LeaseLost unless this owner still holds it."""
    counted = {"of_id": execution.id, "of_epoch": execution.epoch, "done": done}
    if _STEP_DONE.first(connection, counted) is None:
        raise LeaseLost(f"execution {execution.id} has a new owner")


def interrupt_steps(connection: Connection, execution_id: int, *, now: datetime, reason: str) -> list[StepRun]:
    """Started steps of a dead owner: we stopped, their outcome is unknown."""
    _SET_STEP.catch_up(connection)
    rows = connection.execute(
        update(t.step_runs)
        .where(t.step_runs.c.execution_id == execution_id, t.step_runs.c.state == StepState.STARTED.value)
        .values(state=StepState.INTERRUPTED.value, ended_at=now, reason=reason)
        .returning(t.step_runs)
    )
    return [_step(row) for row in rows]


def order_again(connection: Connection, execution_id: int, *, host: str, place: str, now: datetime) -> None:
    """A person wants this step, or what of its group has not ended well, tried once more: it is due now."""
    _SET_STEP.catch_up(connection)
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
    _SET_STEP.run(connection, _same_step(step) | {"pgid": pgid})


_KEEP_OUTPUT = Prepared(sqlite.insert(t.output).on_conflict_do_nothing())
# Columns instead of rows, in binary: an eighth of what one statement for each line costs here, and half of it there.
_KEEP_COLUMNS = """
INSERT INTO output (execution_id, host, step, attempt, seq, stream, text, at)
SELECT %b, one.* FROM unnest(%b::text[], %b::text[], %b::int[], %b::int[], %b::text[], %b::text[], %b::timestamptz[])
AS one ON CONFLICT DO NOTHING
"""
_OF_A_LINE = attrgetter("host", "step", "attempt", "seq", "stream", "text", "at")


def keep_output(connection: Connection, execution_id: int, lines: Sequence[OutputLine]) -> None:
    """Append lines of output; those that are there already stay, since the answer to a commit may have been lost."""
    if not lines:
        return
    rows = map(_OF_A_LINE, lines)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_KEEP_COLUMNS, (execution_id, *map(list, zip(*rows, strict=True))))
    else:
        names = ("host", "step", "attempt", "seq", "stream", "text", "at")
        kept = [dict(zip(names, row, strict=True), execution_id=execution_id) for row in rows]
        _KEEP_OUTPUT.run_each(connection, kept)


def prune_output(connection: Connection, *, before: datetime, limit: int = 2_000) -> int:
    """Forget output older than `before`, a small batch at a time. Executions and steps are kept for ever."""
    oldest = connection.execute(
        select(t.output.c.at).where(t.output.c.at < before).order_by(t.output.c.at).limit(limit)
    ).all()
    if not oldest:
        return 0
    return connection.execute(delete(t.output).where(t.output.c.at <= oldest[-1].at)).rowcount


def _same_step(step: StepRun) -> dict[str, Any]:
    return {
        "of_id": step.execution_id,
        "of_host": step.host,
        "of_step": step.step,
        "of_attempt": step.attempt,
    }


def _step(row: Any) -> StepRun:
    values = dict(row._asdict())
    values["state"] = StepState(values["state"])
    values["death"] = Death(values["death"]) if values["death"] else None
    return StepRun(**values)


def _execution(row: Any) -> Execution:
    values = dict(row._asdict())
    values["actor"] = Actor(id=values.pop("actor_id"), name=values.pop("actor_name"))
    return Execution(
        **{
            **values,
            "hosts": tuple(values["hosts"]),
            "services": tuple(values["services"]),
            "tags": tuple(values["tags"]),
            "includes": tuple(values["includes"]),
            "unsaid": tuple(values["unsaid"]),
            "danger": Danger(values["danger"]),
            "origin": Origin(values["origin"]),
            "priority": Priority(values["priority"]),
            "state": State(values["state"]),
            "phase": Phase(values["phase"]),
            "rollout": Rollout(**values["rollout"]) if values["rollout"] else UNSAID,
        }
    )
