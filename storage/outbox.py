"""What must be said: messages that wait until Slack took them, across restarts.

Progress is coalesced (a waiting message with the same `coalesce_key` is replaced), the most important is said first,
what can't be delivered stays as a dead letter. Threads and channels are here too: where an execution reports, and
where we learned that we can't.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from storage import tables as t
from storage.records import OutboxKind, OutboxMessage, OutboxState, Thread

_OPEN = (OutboxState.WAITING.value, OutboxState.SENDING.value)


def put(
    connection: Connection,
    *,
    id: str,
    kind: OutboxKind,
    method: str,
    payload: Mapping[str, Any],
    now: datetime,
    channel: str | None = None,
    execution_id: int | None = None,
    coalesce_key: str | None = None,
) -> None:
    """Something to say. With a `coalesce_key`, it takes the place of what waits under the same key."""
    if coalesce_key is not None:
        replaced = connection.execute(
            update(t.outbox)
            .where(t.outbox.c.coalesce_key == coalesce_key, t.outbox.c.state == OutboxState.WAITING.value)
            .values(payload=dict(payload))
            .returning(t.outbox.c.id)
        ).first()
        if replaced is not None:
            return
    position = (connection.scalar(select(func.max(t.outbox.c.position))) or 0) + 1
    connection.execute(
        insert(t.outbox).values(
            id=id,
            kind=kind.value,
            kind_rank=kind.rank,
            method=method,
            channel=channel,
            execution_id=execution_id,
            coalesce_key=coalesce_key,
            payload=dict(payload),
            created_at=now,
            position=position,
            state=OutboxState.WAITING.value,
            attempts=0,
            unsure=False,
        )
    )


def due(connection: Connection, now: datetime, limit: int = 100) -> list[OutboxMessage]:
    """What waits and may be said now, the most important first."""
    rows = connection.execute(
        select(t.outbox)
        .where(
            t.outbox.c.state == OutboxState.WAITING.value,
            or_(t.outbox.c.next_attempt_at.is_(None), t.outbox.c.next_attempt_at <= now),
        )
        .order_by(t.outbox.c.kind_rank, t.outbox.c.position)
        .limit(limit)
    )
    return [_message(row) for row in rows]


def begin(connection: Connection, message_id: str) -> OutboxMessage | None:
    """Mark it as being said, before it is; None when somebody else does. Returns the newest payload."""
    row = connection.execute(
        update(t.outbox)
        .where(t.outbox.c.id == message_id, t.outbox.c.state == OutboxState.WAITING.value)
        .values(state=OutboxState.SENDING.value, attempts=t.outbox.c.attempts + 1)
        .returning(t.outbox)
    ).first()
    return None if row is None else _message(row)


def sent(connection: Connection, message_id: str, *, now: datetime, ts: str | None) -> None:
    """Slack took it."""
    connection.execute(
        update(t.outbox)
        .where(t.outbox.c.id == message_id)
        .values(state=OutboxState.SENT.value, sent_at=now, ts=ts, error=None)
    )


def again(
    connection: Connection, message_id: str, *, at: datetime, error: str, unsure: bool, channel: str | None = None
) -> None:
    """To be tried again. If something newer waits under its key, that one speaks for it."""
    row = connection.execute(select(t.outbox).where(t.outbox.c.id == message_id)).one()
    if row.coalesce_key is not None:
        newer = connection.scalar(
            select(t.outbox.c.id).where(
                t.outbox.c.coalesce_key == row.coalesce_key,
                t.outbox.c.state == OutboxState.WAITING.value,
                t.outbox.c.id != message_id,
            )
        )
        if newer is not None:
            connection.execute(delete(t.outbox).where(t.outbox.c.id == message_id))
            connection.execute(update(t.outbox).where(t.outbox.c.id == newer).values(next_attempt_at=at))
            return
    connection.execute(
        update(t.outbox)
        .where(t.outbox.c.id == message_id)
        .values(
            state=OutboxState.WAITING.value,
            next_attempt_at=at,
            error=error,
            unsure=row.unsure or unsure,
            channel=channel or row.channel,
        )
    )


def bury(connection: Connection, message_id: str, *, now: datetime, error: str) -> None:
    """A dead letter: a person must see it."""
    connection.execute(
        update(t.outbox)
        .where(t.outbox.c.id == message_id)
        .values(state=OutboxState.DEAD.value, error=error, sent_at=now)
    )


def recover(connection: Connection, now: datetime) -> int:
    """After a start: what was being said when we died may have been delivered."""
    rows = connection.execute(select(t.outbox.c.id).where(t.outbox.c.state == OutboxState.SENDING.value)).all()
    for row in rows:
        again(connection, row.id, at=now, error="the process ended while it was being said", unsure=True)
    return len(rows)


def dead_letters(connection: Connection, limit: int = 50) -> list[OutboxMessage]:
    """What we gave up delivering, newest first."""
    rows = connection.execute(
        select(t.outbox)
        .where(t.outbox.c.state == OutboxState.DEAD.value)
        .order_by(t.outbox.c.position.desc())
        .limit(limit)
    )
    return [_message(row) for row in rows]


def revive(connection: Connection, message_id: str, now: datetime) -> bool:
    """Try a dead letter again."""
    row = connection.execute(
        update(t.outbox)
        .where(t.outbox.c.id == message_id, t.outbox.c.state == OutboxState.DEAD.value)
        .values(state=OutboxState.WAITING.value, attempts=0, next_attempt_at=now)
        .returning(t.outbox.c.id)
    ).first()
    return row is not None


def discard(connection: Connection, message_id: str) -> bool:
    """Take a dead letter away."""
    row = connection.execute(
        delete(t.outbox)
        .where(t.outbox.c.id == message_id, t.outbox.c.state == OutboxState.DEAD.value)
        .returning(t.outbox.c.id)
    ).first()
    return row is not None


def open_messages(connection: Connection) -> int:
    """How many still wait."""
    return int(connection.scalar(select(func.count()).select_from(t.outbox).where(t.outbox.c.state.in_(_OPEN))) or 0)


def prune(connection: Connection, *, before: datetime, limit: int = 500) -> int:
    """Forget what was said long ago, a small batch at a time."""
    old = (
        select(t.outbox.c.id)
        .where(t.outbox.c.state == OutboxState.SENT.value, t.outbox.c.sent_at < before)
        .limit(limit)
    )
    return connection.execute(delete(t.outbox).where(t.outbox.c.id.in_(old))).rowcount


# --- threads and channels ---------------------------------------------------------------------------------------------


def thread_of(connection: Connection, execution_id: int) -> Thread | None:
    """Where an execution reports, once its headline stands."""
    row = connection.execute(select(t.threads).where(t.threads.c.execution_id == execution_id)).first()
    return None if row is None else Thread(**row._mapping)


def set_thread(connection: Connection, thread: Thread) -> None:
    """The headline stands."""
    connection.execute(delete(t.threads).where(t.threads.c.execution_id == thread.execution_id))
    connection.execute(
        insert(t.threads).values(
            execution_id=thread.execution_id, channel=thread.channel, ts=thread.ts, asked_in=thread.asked_in
        )
    )


def channel_is_postable(connection: Connection, channel: str) -> bool | None:
    """What we learned about posting there; None when we never tried."""
    value: bool | None = connection.scalar(select(t.channels.c.postable).where(t.channels.c.id == channel))
    return value


def set_channel(connection: Connection, channel: str, *, postable: bool, error: str | None, now: datetime) -> None:
    """Remember whether we can post there."""
    values = {"postable": postable, "error": error, "checked_at": now}
    changed = connection.execute(
        update(t.channels).where(t.channels.c.id == channel).values(**values).returning(t.channels.c.id)
    ).first()
    if changed is None:
        connection.execute(insert(t.channels).values(id=channel, **values))


def _message(row: Row[Any]) -> OutboxMessage:
    values = {k: v for k, v in row._mapping.items() if k not in {"kind_rank", "position"}}
    return OutboxMessage(**{**values, "kind": OutboxKind(row.kind), "state": OutboxState(row.state)})
