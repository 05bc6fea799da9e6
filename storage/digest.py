"""What a period was like, in numbers: what was asked for in it, and what became of that.

Everything is found through the index on when it was asked for, so that a digest costs what its period holds, however
long the history is. Dry runs are counted apart and are in no other number.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select

from storage import audit, controls, dead_letters
from storage import tables as t
from storage.records import ApprovalState, Consent, FiringOutcome, HostState, KillSwitch, State

FAILURES = (State.FAILED, State.TIMED_OUT, State.INTERRUPTED, State.ROLLED_BACK)
"""What ran and did not do what it was asked for."""
REFUSALS = (State.REFUSED, State.DENIED, State.EXPIRED)
"""What was never run, since somebody or something said no, or nobody said yes."""
OPEN = (State.PENDING, State.AWAITING_APPROVAL, State.RUNNING)
MOST_WAITS = 20_000


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """How many executions are in each state."""

    of: Mapping[State, int]

    def count(self, *states: State) -> int:
        """How many are in one of these."""
        return sum(self.of.get(state, 0) for state in states)

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.of.values())

    @property
    def succeeded(self) -> int:
        """Those that did what they were asked for."""
        return self.count(State.SUCCEEDED)

    @property
    def failed(self) -> int:
        """Those that ran and did not."""
        return self.count(*FAILURES)

    @property
    def refused(self) -> int:
        """Those that were never run."""
        return self.count(*REFUSALS)

    @property
    def rate(self) -> float | None:
        """The share that succeeded, of those that ran to an end of their own; None when none did."""
        ended = self.succeeded + self.failed
        return self.succeeded / ended if ended else None


@dataclass(frozen=True, kw_only=True)
class HostOutcomes:
    """How one host came out, over all executions that reached it."""

    host: str
    succeeded: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class Slow:
    """An execution that took long, from its first step to its end."""

    id: int
    runbook: str
    hosts: tuple[str, ...]
    took: timedelta


@dataclass(frozen=True, kw_only=True)
class Waits:
    """How long approvals by somebody else were waited for. `of`: how many came out how."""

    of: Mapping[ApprovalState, int]
    median: timedelta | None  # of those that were decided
    longest: timedelta | None
    longest_id: int | None  # its execution


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A part of the period."""

    since: datetime
    outcomes: Outcomes


@dataclass(frozen=True, kw_only=True)
class Digest:
    """A period from `since` to just before `until`, and the one of the same length before it."""

    since: datetime
    until: datetime
    outcomes: Outcomes
    before: Outcomes
    dry_runs: int
    runbooks: Mapping[str, Outcomes]  # those asked for most come first
    hosts: Sequence[HostOutcomes]  # those that failed most come first
    done: Mapping[str, int]  # by runbook: on how many hosts it succeeded
    series: Sequence[Bucket]
    slowest: Sequence[Slow]
    waits: Waits
    switches: Sequence[KillSwitch]  # engaged now
    dead_letters: int  # there now
    firings: Mapping[FiringOutcome, int]
    missed: Sequence[str]  # the names of schedules that were
    head: tuple[int, str]  # of the audit


def gather(
    connection: Connection,
    since: datetime,
    until: datetime,
    *,
    among: Collection[str] | None = None,
    slowest: int = 3,
) -> Digest:
    """The digest of a period. `among`: of these runbooks only; then nothing is said of what has no runbook."""
    runbooks = _by_runbook(connection, since, until, among)
    return Digest(
        since=since,
        until=until,
        outcomes=_sum(runbooks.values()),
        before=_sum(_by_runbook(connection, since - (until - since), since, among).values()),
        dry_runs=_dry_runs(connection, since, until, among),
        runbooks=runbooks,
        hosts=_by_host(connection, since, until, among),
        done=_done(connection, since, until, among),
        series=series(connection, since, until, among=among),
        slowest=_slowest(connection, since, until, among, slowest),
        waits=_waits(connection, since, until, among),
        switches=controls.engaged(connection),
        dead_letters=sum(count.number for count in dead_letters.counts(connection)) if among is None else 0,
        firings=_firings(connection, since, until) if among is None else {},
        missed=_missed(connection, since, until) if among is None else (),
        head=audit.head(connection),
    )


def series(
    connection: Connection, since: datetime, until: datetime, *, among: Collection[str] | None = None
) -> list[Bucket]:
    """The period in parts of one length: hours of a day or two, days of a month, else thirty parts."""
    length = until - since
    step = timedelta(hours=2) if length <= timedelta(hours=48) else timedelta(days=1)
    step = step if length / step <= 31 else length / 30
    edges = [since + step * number for number in range(-(-length // step))]
    return [
        Bucket(since=edge, outcomes=_sum(_by_runbook(connection, edge, min(edge + step, until), among).values()))
        for edge in edges
    ]


def _asked(since: datetime, until: datetime, among: Collection[str] | None) -> ColumnElement[bool]:
    c = t.executions.c
    within = and_(c.created_at >= since, c.created_at < until, c.dry_run.is_(False))
    return within if among is None else and_(within, c.runbook.in_(sorted(among)))


def _numbers(connection: Connection, since: datetime, until: datetime) -> tuple[int, int]:
    """The lowest and the highest number of what was asked for, so that what hangs on it is found by a range.

    Counted as well, since for the two alone PostgreSQL would walk along all numbers until it meets the period.
    """
    c = t.executions.c
    query = select(func.min(c.id), func.max(c.id), func.count()).where(c.created_at >= since, c.created_at < until)
    lowest, highest, _ = connection.execute(query).one()
    return lowest or 0, highest or 0


def _by_runbook(
    connection: Connection, since: datetime, until: datetime, among: Collection[str] | None
) -> dict[str, Outcomes]:
    c = t.executions.c
    rows = connection.execute(
        select(c.runbook, c.state, func.count()).where(_asked(since, until, among)).group_by(c.runbook, c.state)
    ).all()
    found: dict[str, dict[State, int]] = {}
    for runbook, state, number in rows:
        found.setdefault(runbook, {})[State(state)] = number
    outcomes = {runbook: Outcomes(of=of) for runbook, of in found.items()}
    return dict(sorted(outcomes.items(), key=lambda item: (-item[1].total, item[0])))


def _sum(several: Collection[Outcomes]) -> Outcomes:
    total: Counter[State] = Counter()
    for one in several:
        total.update(one.of)
    return Outcomes(of=dict(total))


def _dry_runs(connection: Connection, since: datetime, until: datetime, among: Collection[str] | None) -> int:
    c = t.executions.c
    within = [c.created_at >= since, c.created_at < until, c.dry_run.is_(True)]
    within += [c.runbook.in_(sorted(among))] if among is not None else []
    return int(connection.scalar(select(func.count()).select_from(t.executions).where(*within)) or 0)


_HOST_FAILURES = (HostState.FAILED, HostState.TIMED_OUT, HostState.INTERRUPTED)


def _by_host(
    connection: Connection, since: datetime, until: datetime, among: Collection[str] | None
) -> list[HostOutcomes]:
    h = t.host_runs.c
    rows = connection.execute(
        select(h.host, h.state, func.count())
        .select_from(t.executions.join(t.host_runs, h.execution_id == t.executions.c.id))
        .where(
            h.execution_id.between(*_numbers(connection, since, until)),
            _asked(since, until, among),
            h.state.in_([state.value for state in (HostState.SUCCEEDED, *_HOST_FAILURES)]),
        )
        .group_by(h.host, h.state)
    ).all()
    found: dict[str, Counter[bool]] = {}
    for host, state, number in rows:
        found.setdefault(host, Counter())[state == HostState.SUCCEEDED.value] += number
    hosts = [HostOutcomes(host=host, succeeded=of[True], failed=of[False]) for host, of in found.items()]
    return sorted(hosts, key=lambda one: (-one.failed, -one.succeeded, one.host))


def _done(connection: Connection, since: datetime, until: datetime, among: Collection[str] | None) -> dict[str, int]:
    h = t.host_runs.c
    rows = connection.execute(
        select(t.executions.c.runbook, func.count())
        .select_from(t.executions.join(t.host_runs, h.execution_id == t.executions.c.id))
        .where(
            h.execution_id.between(*_numbers(connection, since, until)),
            _asked(since, until, among),
            h.state == HostState.SUCCEEDED.value,
        )
        .group_by(t.executions.c.runbook)
    ).all()
    return {row[0]: row[1] for row in rows}


def _slowest(
    connection: Connection, since: datetime, until: datetime, among: Collection[str] | None, limit: int
) -> list[Slow]:
    c = t.executions.c
    took: ColumnElement[Any] = c.ended_at - c.started_at
    if connection.dialect.name == "sqlite":
        took = func.julianday(c.ended_at) - func.julianday(c.started_at)
    rows = connection.execute(
        select(c.id, c.runbook, c.hosts, c.started_at, c.ended_at)
        .where(_asked(since, until, among), c.started_at.is_not(None), c.ended_at.is_not(None))
        .order_by(took.desc(), c.id)
        .limit(limit)
    ).all()
    return [
        Slow(id=row.id, runbook=row.runbook, hosts=tuple(row.hosts), took=row.ended_at - row.started_at) for row in rows
    ]


def _waits(connection: Connection, since: datetime, until: datetime, among: Collection[str] | None) -> Waits:
    a = t.approvals.c
    rows = connection.execute(
        select(a.execution_id, a.state, a.requested_at, a.decided_at)
        .select_from(t.executions.join(t.approvals, a.execution_id == t.executions.c.id))
        .where(
            a.execution_id.between(*_numbers(connection, since, until)),
            _asked(since, until, among),
            a.kind == Consent.APPROVE.value,
        )
        .order_by(a.id.desc())
        .limit(MOST_WAITS)
    ).all()
    decided = sorted(
        (row.decided_at - row.requested_at, row.execution_id)
        for row in rows
        if row.decided_at is not None and row.state in {ApprovalState.GIVEN.value, ApprovalState.DENIED.value}
    )
    return Waits(
        of=dict(Counter(ApprovalState(row.state) for row in rows)),
        median=decided[(len(decided) - 1) // 2][0] if decided else None,
        longest=decided[-1][0] if decided else None,
        longest_id=decided[-1][1] if decided else None,
    )


def _firings(connection: Connection, since: datetime, until: datetime) -> dict[FiringOutcome, int]:
    f = t.firings.c
    rows = connection.execute(
        select(f.outcome, func.sum(f.count)).where(f.at >= since, f.at < until).group_by(f.outcome)
    ).all()
    return {FiringOutcome(outcome): int(number) for outcome, number in rows}


def _missed(connection: Connection, since: datetime, until: datetime, limit: int = 5) -> list[str]:
    f = t.firings.c
    rows = connection.execute(
        select(f.name)
        .where(f.at >= since, f.at < until, f.outcome == FiringOutcome.MISSED.value)
        .group_by(f.name)
        .order_by(f.name)
        .limit(limit)
    )
    return [row.name for row in rows]
