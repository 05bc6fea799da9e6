"""Approvals: one waiting at most per execution; a decision is a single conditional statement, so only one counts.

A yes is a row of its own, one a person; how many are enough is decided by who reads them, in the same transaction.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, exists, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from storage import tables as t
from storage.prepared import Prepared
from storage.records import Approval, ApprovalState, Consent

_NEWEST = Prepared(
    select(t.approvals)
    .where(t.approvals.c.execution_id == bindparam("of_id"))
    .order_by(t.approvals.c.id.desc())
    .limit(1)
)
_WAITING = Prepared(_NEWEST.statement.where(t.approvals.c.state == ApprovalState.WAITING.value))
_VOTES = Prepared(
    select(t.approval_votes.c.approval_id, t.approval_votes.c.person)
    .where(t.approval_votes.c.approval_id.in_(bindparam("of_ids", expanding=True)))
    .order_by(t.approval_votes.c.at, t.approval_votes.c.person)
)


def ask(
    connection: Connection,
    execution_id: int,
    *,
    fingerprint: str,
    kind: Consent,
    now: datetime,
    expire: timedelta,
    quorum: int = 1,
    group: str | None = None,
) -> Approval:
    """A new waiting approval, bound to a plan; `quorum` and `group` say what was asked for."""
    row = connection.execute(
        insert(t.approvals)
        .values(
            execution_id=execution_id,
            fingerprint=fingerprint,
            kind=kind.value,
            state=ApprovalState.WAITING.value,
            requested_at=now,
            expires_at=now + expire,
            quorum=quorum,
            group=group,
        )
        .returning(t.approvals)
    ).one()
    return _approval(row, ())


def vote(connection: Connection, approval_id: int, *, by: str, said_at: datetime) -> bool:
    """Keep one person's yes. False when they said it before, when it waits no more, or when it was said too late."""
    waits = exists(
        select(literal(1))
        .select_from(t.approvals)
        .where(
            t.approvals.c.id == approval_id,
            t.approvals.c.state == ApprovalState.WAITING.value,
            t.approvals.c.expires_at > said_at,
        )
    )
    columns = t.approval_votes.c
    values = (
        literal(approval_id, columns.approval_id.type).label("approval_id"),
        literal(by, columns.person.type).label("person"),
        literal(said_at, columns.at.type).label("at"),
    )
    try:
        with connection.begin_nested():
            row = connection.execute(
                insert(t.approval_votes)
                .from_select(["approval_id", "person", "at"], select(*values).where(waits))
                .returning(columns.person)
            ).first()
    except IntegrityError:
        return False
    return row is not None


def decide(
    connection: Connection,
    execution_id: int,
    *,
    to: ApprovalState,
    by: str,
    now: datetime,
    said_at: datetime | None = None,
    reason: str | None = None,
) -> Approval | None:
    """Settle the waiting approval. None when none waits (any more), or its time was over when it was said (`said_at`).

    One that was given is good for as long again as it could be waited for.
    """
    waiting = find_waiting(connection, execution_id)
    if waiting is None or (to is ApprovalState.GIVEN and waiting.expires_at <= (said_at or now)):
        return None
    good = now + (waiting.expires_at - waiting.requested_at) if to is ApprovalState.GIVEN else None
    row = connection.execute(
        update(t.approvals)
        .where(t.approvals.c.id == waiting.id, t.approvals.c.state == ApprovalState.WAITING.value)
        .values(state=to.value, decided_by=by, decided_at=now, good_until=good, reason=reason)
        .returning(t.approvals)
    ).first()
    return None if row is None else _approval(row, _votes(connection, [row.id]).get(row.id, ()))


def find_waiting(connection: Connection, execution_id: int) -> Approval | None:
    """The approval this execution waits for."""
    return _first(connection, _WAITING, execution_id)


def latest(connection: Connection, execution_id: int) -> Approval | None:
    """The newest approval of an execution, whatever its state."""
    return _first(connection, _NEWEST, execution_id)


def of_executions(connection: Connection, ids: Collection[int]) -> list[Approval]:
    """Every approval that these executions asked for, in that order."""
    rows = connection.execute(
        select(t.approvals).where(t.approvals.c.execution_id.in_(list(ids))).order_by(t.approvals.c.id)
    ).all()
    votes = _votes(connection, [row.id for row in rows])
    return [_approval(row, votes.get(row.id, ())) for row in rows]


def waiting(connection: Connection) -> list[Approval]:
    """Everything that waits, soonest to expire first."""
    rows = connection.execute(
        select(t.approvals).where(t.approvals.c.state == ApprovalState.WAITING.value).order_by(t.approvals.c.expires_at)
    ).all()
    votes = _votes(connection, [row.id for row in rows])
    return [_approval(row, votes.get(row.id, ())) for row in rows]


def mark_reminded(connection: Connection, ids: Collection[int], now: datetime) -> None:
    """Remember that those who may approve were reminded."""
    connection.execute(update(t.approvals).where(t.approvals.c.id.in_(list(ids))).values(reminded_at=now))


def _first(connection: Connection, asked: Prepared, execution_id: int) -> Approval | None:
    row = asked.first(connection, {"of_id": execution_id})
    return None if row is None else _approval(row, _votes(connection, [row.id]).get(row.id, ()))


def _votes(connection: Connection, ids: Collection[int]) -> dict[int, tuple[str, ...]]:
    """Who said yes to each, in that order."""
    rows = _VOTES.all(connection, {"of_ids": list(ids)})
    found: dict[int, tuple[str, ...]] = {}
    for row in rows:
        found[row.approval_id] = (*found.get(row.approval_id, ()), row.person)
    return found


def _approval(row: Any, votes: Iterable[str]) -> Approval:
    values = {**row._asdict(), "kind": Consent(row.kind), "state": ApprovalState(row.state), "votes": tuple(votes)}
    return Approval(**values)
