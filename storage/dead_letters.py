"""Dead letters: what we gave up delivering, kept in the outbox until a person has it said again or takes it away.

They are never pruned. The alerts channel is told of them by a message of its own, the *announcement*, which never
becomes one itself: when it can't be delivered, what it told of counts as untold again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, exists, func, insert, or_, select, text, update

from storage import executions, incidents
from storage import tables as t
from storage.outbox import ELSEWHERE, REROUTED, message_of, take_newer, write_down
from storage.records import OutboxKind, OutboxMessage, OutboxState

ANNOUNCEMENT = "dead-letters"
"""The coalesce key of the message that tells the alerts channel, and the name of that chore."""

_IS_DEAD = text("outbox.state = 'dead'")  # spelled out, so that the partial index serves it


@dataclass(frozen=True, kw_only=True)
class Count:
    """So many dead letters of one kind died of one error."""

    kind: OutboxKind
    error: str
    number: int


class Requeued(Enum):
    """What came of the wish to have one said again."""

    DONE = auto()
    OVERTAKEN = auto()  # newer words were said in its place, or wait as a dead letter; it stays one
    GONE = auto()  # it isn't a dead letter any more


# --- looking ----------------------------------------------------------------------------------------------------------


def newest(connection: Connection, limit: int = 50) -> list[OutboxMessage]:
    """The newest, newest first."""
    write_down(connection)
    rows = connection.execute(select(t.outbox).where(_IS_DEAD).order_by(t.outbox.c.position.desc()).limit(limit))
    return [message_of(row) for row in rows]


def ids(connection: Connection, limit: int = 10_000) -> list[str]:
    """The ids of the newest, newest first."""
    return list(
        connection.scalars(select(t.outbox.c.id).where(_IS_DEAD).order_by(t.outbox.c.position.desc()).limit(limit))
    )


def beginning_with(connection: Connection, start: str) -> list[OutboxMessage]:
    """The one with exactly this id, or up to three whose ids begin so."""
    exactly = connection.execute(select(t.outbox).where(_IS_DEAD, t.outbox.c.id == start)).first()
    if exactly is not None:
        return [message_of(exactly)]
    begins = t.outbox.c.id.startswith(start, autoescape=True)
    rows = connection.execute(select(t.outbox).where(_IS_DEAD, begins).order_by(t.outbox.c.id).limit(3))
    return [message_of(row) for row in rows]


def state_now(connection: Connection, start: str) -> OutboxState | None:
    """How a message stands whose id begins so, dead letter or not; None when there is none, or several."""
    found = connection.scalars(
        select(t.outbox.c.state).where(t.outbox.c.id.startswith(start, autoescape=True)).limit(2)
    ).all()
    return OutboxState(found[0]) if len(found) == 1 else None


def counts(connection: Connection) -> list[Count]:
    """How many there are, by kind and error; the most frequent first. One that was sent elsewhere is what it was."""
    was = t.outbox.c.payload[REROUTED]["kind"].as_string()
    dead = select(func.coalesce(was, t.outbox.c.kind).label("kind"), t.outbox.c.error).where(_IS_DEAD).subquery()
    number = func.count().label("number")
    rows = connection.execute(
        select(dead.c.kind, dead.c.error, number)
        .group_by(dead.c.kind, dead.c.error)
        .order_by(number.desc(), dead.c.kind, dead.c.error)
    )
    return [Count(kind=OutboxKind(row.kind), error=row.error or "", number=row.number) for row in rows]


def unannounced(connection: Connection) -> int:
    """How many the alerts channel was not told of."""
    write_down(connection)
    untold = select(func.count()).select_from(t.outbox).where(_IS_DEAD, t.outbox.c.announced_at.is_(None))
    return int(connection.scalar(untold) or 0)


# --- moving -----------------------------------------------------------------------------------------------------------


def requeue(connection: Connection, message_id: str, now: datetime) -> Requeued:
    """To be said again at once, where it was first to be said, with as many tries as a new one.

    If something newer waits under its key, that one's words take the place of its own.
    """
    write_down(connection)
    row = connection.execute(select(t.outbox).where(_IS_DEAD, t.outbox.c.id == message_id)).first()
    if row is None:
        return Requeued.GONE
    first = _as_it_was(connection, row)
    if _is_overtaken(connection, row, first["coalesce_key"]):
        return Requeued.OVERTAKEN
    newer = take_newer(connection, row.id, OutboxKind(first["kind"]), first["coalesce_key"])
    connection.execute(
        update(t.outbox)
        .where(t.outbox.c.id == message_id)
        .values(
            **{**first, **newer},
            state=OutboxState.WAITING.value,
            attempts=0,
            next_attempt_at=now,
            sent_at=None,
            error=None,
            announced_at=None,
        )
    )
    if first["kind"] == OutboxKind.HEADLINE.value and row.execution_id is None:
        incidents.headline_waits(connection, row.id, now)
    return Requeued.DONE


def _is_overtaken(connection: Connection, row: Row[Any], key: str | None) -> bool:
    """Whether newer words were said under its key, or died too: saying it would be an edit back to old ones.

    What waits under the key gives its words to this one; what waits to be said elsewhere instead does not.
    """
    if key is None:
        return False
    newer = exists().where(
        or_(
            and_(t.outbox.c.coalesce_key == key, t.outbox.c.state != OutboxState.WAITING.value),
            t.outbox.c.coalesce_key.startswith(key + ELSEWHERE, autoescape=True),
        ),
        t.outbox.c.execution_id == row.execution_id,
        t.outbox.c.position > row.position,
    )
    return bool(connection.scalar(select(newer)))


def _as_it_was(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    """Its columns before we tried other ways: what was sent elsewhere goes where it belongs."""
    payload: dict[str, Any] = dict(row.payload)
    was: Mapping[str, Any] = payload.pop(REROUTED, {})
    kind = OutboxKind(was.get("kind", row.kind))
    channel = was.get("channel", row.channel)
    if kind is OutboxKind.HEADLINE and row.execution_id is not None:
        execution = executions.find(connection, row.execution_id)
        channel = (execution.channel if execution is not None else None) or channel
    if kind is OutboxKind.ANSWER:
        # Its response URL has had its time, and its reader may not be looking: it comes as a direct message.
        payload.pop("response_url", None)
        payload["requeued"] = True
    return {
        "payload": payload,
        "kind": kind.value,
        "kind_rank": kind.rank,
        "channel": channel,
        "coalesce_key": was.get("coalesce_key", row.coalesce_key),
    }


def discard(connection: Connection, message_id: str) -> bool:
    """Take it away; False when it isn't a dead letter any more."""
    write_down(connection)
    gone = delete(t.outbox).where(_IS_DEAD, t.outbox.c.id == message_id).returning(t.outbox.c.id)
    return connection.execute(gone).first() is not None


# --- announcing -------------------------------------------------------------------------------------------------------


def may_be_announced(connection: Connection, *, every: timedelta, now: datetime) -> timedelta | None:
    """None when it may be done now, and then it counts as done; else after which time to ask again.

    At most once in `every`, whoever asks; never while there is nothing untold, or an announcement still waits.
    """
    write_down(connection)
    waits = exists().where(text("outbox.state IN ('waiting', 'sending')"), t.outbox.c.coalesce_key == ANNOUNCEMENT)
    if not unannounced(connection) or connection.scalar(select(waits)):
        return every
    mine = t.chores.c.name == ANNOUNCEMENT
    done_at: datetime | None = connection.scalar(select(t.chores.c.done_at).where(mine).with_for_update())
    if done_at is None:
        connection.execute(insert(t.chores).values(name=ANNOUNCEMENT, done_at=now))
        return None
    if now - done_at < every:
        return every - (now - done_at)
    connection.execute(update(t.chores).where(mine).values(done_at=now))
    return None


def announced(connection: Connection, now: datetime, limit: int = 50) -> tuple[int, list[OutboxMessage]]:
    """The alerts channel is told of all that it was not told of: how many they are, and the newest, newest first."""
    write_down(connection)
    untold = (_IS_DEAD, t.outbox.c.announced_at.is_(None))
    rows = connection.execute(select(t.outbox).where(*untold).order_by(t.outbox.c.sent_at.desc()).limit(limit)).all()
    number = connection.execute(update(t.outbox).where(*untold).values(announced_at=now)).rowcount
    return number, [message_of(row) for row in rows]


def not_announced(connection: Connection, announcement: OutboxMessage) -> int:
    """The announcement could not be delivered: it goes, and what it told of is untold. How many that are."""
    write_down(connection)
    connection.execute(delete(t.outbox).where(t.outbox.c.id == announcement.id))
    told = update(t.outbox).where(_IS_DEAD, t.outbox.c.announced_at == announcement.created_at)
    return connection.execute(told.values(announced_at=None)).rowcount
