"""Approvals: one waiting at most per execution; a decision is a single conditional statement, so only one counts."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from storage import tables as t
from storage.records import Approval, ApprovalState, Consent


def ask(
    connection: Connection, execution_id: int, *, fingerprint: str, kind: Consent, now: datetime, expire: timedelta
) -> Approval:
    """A new waiting approval, bound to a plan."""
    row = connection.execute(
        insert(t.approvals)
        .values(
            execution_id=execution_id,
            fingerprint=fingerprint,
            kind=kind.value,
            state=ApprovalState.WAITING.value,
            requested_at=now,
            expires_at=now + expire,
        )
        .returning(t.approvals)
    ).one()
    return _approval(row)


def decide(
    connection: Connection,
    execution_id: int,
    *,
    to: ApprovalState,
    by: str,
    now: datetime,
    reason: str | None = None,
) -> Approval | None:
    """Settle the waiting approval. None when none waits (any more), or its time is over.

    One that was given is good for as long again as it could be waited for.
    """
    waiting = find_waiting(connection, execution_id)
    if waiting is None or (to is ApprovalState.GIVEN and waiting.expires_at <= now):
        return None
    good = now + (waiting.expires_at - waiting.requested_at) if to is ApprovalState.GIVEN else None
    row = connection.execute(
        update(t.approvals)
        .where(t.approvals.c.id == waiting.id, t.approvals.c.state == ApprovalState.WAITING.value)
        .values(state=to.value, decided_by=by, decided_at=now, good_until=good, reason=reason)
        .returning(t.approvals)
    ).first()
    return None if row is None else _approval(row)


def find_waiting(connection: Connection, execution_id: int) -> Approval | None:
    """The approval this execution waits for."""
    return _first(
        connection, t.approvals.c.execution_id == execution_id, t.approvals.c.state == ApprovalState.WAITING.value
    )


def latest(connection: Connection, execution_id: int) -> Approval | None:
    """The newest approval of an execution, whatever its state."""
    return _first(connection, t.approvals.c.execution_id == execution_id)


def waiting(connection: Connection) -> list[Approval]:
    """Everything that waits, soonest to expire first."""
    rows = connection.execute(
        select(t.approvals).where(t.approvals.c.state == ApprovalState.WAITING.value).order_by(t.approvals.c.expires_at)
    )
    return [_approval(row) for row in rows]


def mark_reminded(connection: Connection, ids: Collection[int], now: datetime) -> None:
    """Remember that those who may approve were reminded."""
    connection.execute(update(t.approvals).where(t.approvals.c.id.in_(list(ids))).values(reminded_at=now))


def _first(connection: Connection, *conditions: Any) -> Approval | None:
    row = connection.execute(select(t.approvals).where(*conditions).order_by(t.approvals.c.id.desc()).limit(1)).first()
    return None if row is None else _approval(row)


def _approval(row: Row[Any]) -> Approval:
    return Approval(**{**row._mapping, "kind": Consent(row.kind), "state": ApprovalState(row.state)})
