"""What Slack sent and we acknowledged: one row each, handled once, also across a restart."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from storage import tables as t
from storage.prepared import Prepared
from storage.records import Actor, InboxState, Received

MOST_STARTS = 5
"""Starts of a process that find a request not handled, after which it is taken for what ends them."""
BETWEEN_STARTS = timedelta(seconds=10)

_KEEP = Prepared(insert(t.requests))
_KEEP_ONE = {
    "sqlite": Prepared(sqlite.insert(t.requests).on_conflict_do_nothing().returning(t.requests.c.id)),
    "postgresql": Prepared(postgresql.insert(t.requests).on_conflict_do_nothing().returning(t.requests.c.id)),
}
_KNOWN = Prepared(select(t.requests.c.key).where(t.requests.c.key.in_(bindparam("keys", expanding=True))))
_NEW = (t.requests.c.id == bindparam("of_id"), t.requests.c.state == InboxState.NEW.value)
_HANDLED = Prepared(update(t.requests).where(*_NEW).returning(t.requests.c.id))
_ANSWERED = Prepared(update(t.requests).where(t.requests.c.id == bindparam("of_id")))


def receive(connection: Connection, received: Received) -> bool:
    """Keep it. False when one with the same key was received before: a repeated delivery."""
    return _KEEP_ONE[connection.dialect.name].first(connection, _row(received)) is not None


def receive_all(connection: Connection, arrived: Sequence[Received]) -> list[Received]:
    """Keep them; those of them that are no repeated deliveries. Writers take turns, so that nobody comes between."""
    if len(arrived) == 1:
        return [one for one in arrived if receive(connection, one)]
    known = {row.key for row in _KNOWN.all(connection, {"keys": [received.key for received in arrived]})}
    first = {received.key: received for received in reversed(arrived)}
    fresh = [one for one in arrived if one.key not in known and first[one.key] is one]
    _KEEP.run_each(connection, [_row(received) for received in fresh])
    return fresh


def _row(received: Received) -> dict[str, Any]:
    return {
        "id": received.id,
        "key": received.key,
        "kind": received.kind,
        "actor_id": received.actor.id,
        "actor_name": received.actor.name,
        "channel": received.channel,
        "text": received.text,
        "payload": dict(received.payload),
        "received_at": received.received_at,
        "state": InboxState.NEW.value,
    }


def handled(connection: Connection, request_id: str, answer: str | None = None) -> bool:
    """Mark it handled, in the transaction of what came of it. False when it was already."""
    done = {"of_id": request_id, "state": InboxState.HANDLED.value, "answer": answer}
    return _HANDLED.first(connection, done) is not None


def answered(connection: Connection, request_id: str, answer: str) -> None:
    """Keep what was said back about a request that is handled already."""
    _ANSWERED.run(connection, {"of_id": request_id, "answer": answer})


def answer_to(connection: Connection, request_id: str) -> tuple[bool, str | None]:
    """Whether a request was handled, and what was said back."""
    row = connection.execute(
        select(t.requests.c.state, t.requests.c.answer).where(t.requests.c.id == request_id)
    ).first()
    return (False, None) if row is None else (row.state == InboxState.HANDLED.value, row.answer)


def name_of(connection: Connection, person: str) -> str | None:
    """What somebody was called when they last asked for something; None when they never did, as far as it is kept."""
    r = t.requests.c
    named = select(r.actor_name).where(r.actor_id == person, r.actor_name != "")
    return connection.scalar(named.order_by(r.received_at.desc()).limit(1))


def find(connection: Connection, request_id: str) -> tuple[Received, str | None] | None:
    """A request, and what was said back or kept with it; None when it is not there (any more)."""
    row = connection.execute(select(t.requests).where(t.requests.c.id == request_id)).first()
    return None if row is None else (_received(row), row.answer)


def unhandled(connection: Connection, limit: int = 100) -> list[Received]:
    """What was acknowledged and not yet handled, oldest first."""
    rows = connection.execute(
        select(t.requests)
        .where(t.requests.c.state == InboxState.NEW.value)
        .order_by(t.requests.c.received_at)
        .limit(limit)
    )
    return [_received(row) for row in rows]


def found_at_start(connection: Connection, *, before: datetime, now: datetime) -> list[Received]:
    """Count the start of a process that finds these not handled; those that MOST_STARTS have found.

    Several processes that start together count once.
    """
    c = t.requests.c
    new = (c.state == InboxState.NEW.value, c.received_at < before)
    alone = or_(c.started_at.is_(None), c.started_at < now - BETWEEN_STARTS)
    connection.execute(update(t.requests).where(*new, alone).values(starts=c.starts + 1, started_at=now))
    rows = connection.execute(select(t.requests).where(*new, c.starts >= MOST_STARTS).order_by(c.received_at))
    return [_received(row) for row in rows]


def waits_since(connection: Connection, moment: datetime) -> bool:
    """Whether anything received until then is not handled yet."""
    new = (t.requests.c.state == InboxState.NEW.value, t.requests.c.received_at <= moment)
    return connection.execute(select(t.requests.c.id).where(*new).limit(1)).first() is not None


def prune(connection: Connection, *, before: datetime, limit: int = 500) -> int:
    """Forget handled ones older than `before`, a small batch at a time."""
    old = (
        select(t.requests.c.id)
        .where(t.requests.c.state == InboxState.HANDLED.value, t.requests.c.received_at < before)
        .limit(limit)
    )
    return connection.execute(delete(t.requests).where(t.requests.c.id.in_(old))).rowcount


def _received(row: Row[Any]) -> Received:
    values = {k: v for k, v in row._asdict().items() if k not in {"answer", "starts", "started_at"}}
    actor = Actor(id=values.pop("actor_id"), name=values.pop("actor_name"))
    return Received(actor=actor, **{**values, "state": InboxState(values["state"])})
