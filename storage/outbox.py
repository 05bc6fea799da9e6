"""What must be said: messages that wait until Slack took them, across restarts.

Progress is coalesced (a waiting message with the same `coalesce_key` is replaced), the most important is said first,
what can't be delivered stays as a dead letter. All messages with one key are one message in Slack: the first posts it,
the others edit it, and only one of them is being said at a time. What shows rows has no words while it waits (`show`):
whoever says it reads the rows at that moment, so that an event costs a mark, however often its words would change.
Threads and channels are here too: where an execution reports, and where we learned that we can't. What becomes of dead
letters is in `storage/dead_letters.py`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from types import ModuleType
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    ScalarSelect,
    and_,
    bindparam,
    case,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from storage import tables as t
from storage.database import Bell, at_the_end, moment, ring
from storage.prepared import Prepared
from storage.records import OutboxKind, OutboxMessage, OutboxState, Thread

_OPEN = (OutboxState.WAITING.value, OutboxState.SENDING.value)
# Spelled out, because neither database uses a partial index for a condition whose values it doesn't know yet.
_IS_OPEN = text("outbox.state IN ('waiting', 'sending')")
_IS_DEAD = text("outbox.state = 'dead'")
# These stand by themselves; whatever else belongs to an execution is said in its thread, once that exists.
_APART = (OutboxKind.HEADLINE.value, OutboxKind.ALERT.value, OutboxKind.ANSWER.value)

# Somebody waits for these, and the process that speaks may be another.
_CANNOT_WAIT = {OutboxKind.APPROVAL, OutboxKind.ANSWER, OutboxKind.ALERT, OutboxKind.HEADLINE}

# Built once: these are asked for with every event of every execution.
_NOW = bindparam("microseconds", type_=t.outbox.c.position.type)
_LAST = (
    select(t.outbox.c.position)
    .where(_IS_OPEN, t.outbox.c.kind_rank == bindparam("rank", type_=Integer))
    .order_by(t.outbox.c.position.desc())
    .limit(1)
    .scalar_subquery()
)
# The position orders what waits with the same rank: microseconds, so that it grows even when nothing waits.
_AFTER_ALL = case((_LAST >= _NOW, _LAST + 1), else_=_NOW)
_ADD = Prepared(insert(t.outbox).values(position=_AFTER_ALL))
_IS_HEADLINE = t.outbox.c.kind == OutboxKind.HEADLINE.value
_NEW_RANK = bindparam("new_rank", type_=Integer)
_RANK = case((t.outbox.c.kind_rank <= _NEW_RANK, t.outbox.c.kind_rank), else_=_NEW_RANK)
_REPLACE = Prepared(
    update(t.outbox)
    .where(
        t.outbox.c.coalesce_key == bindparam("of_key"),
        text("outbox.state = 'waiting' AND outbox.coalesce_key IS NOT NULL"),
    )
    .values(
        kind=case(
            (or_(_IS_HEADLINE, t.outbox.c.kind_rank <= _NEW_RANK), t.outbox.c.kind),
            else_=bindparam("new_kind", type_=t.outbox.c.kind.type),
        ),
        kind_rank=_RANK,
    )
)
_LOOKED_UP = 100
"""Of how many of one kind in one channel it is looked up whether they edit what was posted before."""
_PEOPLE = 100
"""Of how many people in one channel the next answer is seen, however much waits for each of them."""
REROUTED = "rerouted"
"""The key in the payload of what is said elsewhere: its kind, channel and coalesce_key before that."""
ELSEWHERE = "@"
LONGEST_KEY = 120
SHOWS = "shows"
"""The key in the payload of what shows rows: which ones, as whoever renders it understands it."""


def _mark(dialect: ModuleType) -> Prepared:
    """What waits already stays as it is, but for a kind that is more important, and words that would be said as is."""
    made = dialect.insert(t.outbox).values(position=_AFTER_ALL)
    new = made.excluded
    has_words = t.outbox.c.payload[SHOWS].as_string().is_(None)
    rises = t.outbox.c.kind_rank > new.kind_rank
    marked = made.on_conflict_do_update(
        index_elements=[t.outbox.c.coalesce_key],
        index_where=text("state = 'waiting' AND coalesce_key IS NOT NULL"),
        set_={
            "kind": case((and_(rises, ~_IS_HEADLINE), new.kind), else_=t.outbox.c.kind),
            "kind_rank": case((rises, new.kind_rank), else_=t.outbox.c.kind_rank),
            "payload": case((has_words, new.payload), else_=t.outbox.c.payload),
        },
        where=or_(rises, has_words),
    )
    return Prepared(marked)


_MARK = {"sqlite": _mark(sqlite), "postgresql": _mark(postgresql)}
_SET_DEAD_HEADLINE = Prepared(
    update(t.outbox).where(
        _IS_DEAD, t.outbox.c.coalesce_key == bindparam("of_key"), t.outbox.c.kind == OutboxKind.HEADLINE.value
    )
)
_SET_WORDS = Prepared(update(t.outbox).where(t.outbox.c.id == bindparam("of_message")))
_KEYS_BEING_SAID = Prepared(
    select(t.outbox.c.coalesce_key).where(
        _IS_OPEN, t.outbox.c.state == OutboxState.SENDING.value, t.outbox.c.coalesce_key.is_not(None)
    )
)
_HEADLINE = Prepared(
    select(t.outbox)
    .where(t.outbox.c.execution_id == bindparam("of_id"), t.outbox.c.kind == OutboxKind.HEADLINE.value)
    .order_by(t.outbox.c.position.desc())
    .limit(1)
)
_THREAD = Prepared(select(t.threads).where(t.threads.c.execution_id == bindparam("of_id")))
_POSTABLE = Prepared(select(t.channels.c.postable).where(t.channels.c.id == bindparam("of_id")))


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A message that may be said now: where, in which thread, and which earlier message it edits, if any."""

    message: OutboxMessage
    channel: str | None
    thread: Thread | None  # None for what stands by itself, and where a headline will never stand
    edits: str | None  # the ts of the message it is an edit of


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
    not_before: datetime | None = None,
) -> None:
    """Something to say. With a `coalesce_key`, it takes the place of what waits under the same key.

    With `not_before` it is said then, unless somebody has taken it back (`take_back`). The place stays the older one's,
    and its kind becomes the more important of both; but a headline stays a headline, since a thread hangs on it. It is
    said as early as what waits for that thread.
    """
    if kind in _CANNOT_WAIT:
        ring(connection, Bell.OUTBOX)
    values = _new(id, kind, method, payload, now, channel, execution_id, coalesce_key, not_before)
    if coalesce_key is None:
        _unwritten(connection, lambda unwritten: unwritten.added.append(values))
        return
    write_down(connection)
    if not _replace_waiting(connection, coalesce_key, kind, payload):
        _ADD.run(connection, values)


def show(
    connection: Connection,
    *,
    id: str,
    kind: OutboxKind,
    method: str,
    shows: Mapping[str, Any],
    coalesce_key: str,
    now: datetime,
    channel: str | None,
    execution_id: int,
) -> None:
    """These rows have changed, and what shows them must be said (again): with the words of the moment it is said at.

    Otherwise as `put`. `shows` says which rows, for whoever renders it (`begin` returns it in the payload).
    """
    if kind in _CANNOT_WAIT:
        ring(connection, Bell.OUTBOX)
    values = _new(id, kind, method, {SHOWS: dict(shows)}, now, channel, execution_id, coalesce_key)
    _unwritten(connection, lambda unwritten: unwritten.show(values))


_UNWRITTEN = "outbox"


@dataclass(frozen=True)
class _Unwritten:
    """What this transaction adds; calling it writes it down."""

    added: list[dict[str, Any]] = field(default_factory=list)
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)

    def show(self, values: dict[str, Any]) -> None:
        """One message under each key, as the table would have it."""
        known = self.shown.setdefault(values["coalesce_key"], values)
        if known["kind_rank"] > values["kind_rank"]:
            names = (
                ("kind_rank", "rank") if known["kind"] == OutboxKind.HEADLINE.value else ("kind", "kind_rank", "rank")
            )
            known.update({name: values[name] for name in names})

    def __call__(self, connection: Connection) -> None:
        _ADD.run_each(connection, self.added)
        _MARK[connection.dialect.name].run_each(connection, list(self.shown.values()))


def _unwritten(connection: Connection, change: Callable[[_Unwritten], None]) -> None:
    later = at_the_end(connection)
    found = later.get(_UNWRITTEN) if later is not None else None
    unwritten = found if isinstance(found, _Unwritten) else _Unwritten()
    change(unwritten)
    if later is None:
        unwritten(connection)
    else:
        later[_UNWRITTEN] = unwritten


def write_down(connection: Connection) -> None:
    """What this transaction has added so far is there; for whoever looks at it, or changes it, in the same one."""
    write = (at_the_end(connection) or {}).pop(_UNWRITTEN, None)
    if write is not None:
        write(connection)


def set_words(connection: Connection, message: OutboxMessage) -> None:
    """Keep the words that are about to be said, so that a dead letter has them."""
    _SET_WORDS.run(connection, {"of_message": message.id, "payload": dict(message.payload)})


def _new(
    id: str,
    kind: OutboxKind,
    method: str,
    payload: Mapping[str, Any],
    now: datetime,
    channel: str | None,
    execution_id: int | None,
    coalesce_key: str | None,
    not_before: datetime | None = None,
) -> dict[str, Any]:
    return {
        "id": id,
        "kind": kind.value,
        "kind_rank": kind.rank,
        "rank": kind.rank,
        "method": method,
        "channel": channel,
        "execution_id": execution_id,
        "coalesce_key": coalesce_key,
        "payload": dict(payload),
        "created_at": now,
        "microseconds": int(now.timestamp() * 1_000_000),
        "state": OutboxState.WAITING.value,
        "attempts": 0,
        "next_attempt_at": not_before,
        "unsure": False,
    }


def take_back(connection: Connection, message_id: str) -> bool:
    """It is not said; False when somebody says it, or has said it."""
    write_down(connection)
    mine = (t.outbox.c.id == message_id, t.outbox.c.state == OutboxState.WAITING.value)
    return connection.execute(delete(t.outbox).where(*mine).returning(t.outbox.c.id)).first() is not None


def put_off_no_longer(connection: Connection, now: datetime) -> int:
    """What was to be said later unless somebody took it back is due: they are gone. How many such there are."""
    write_down(connection)
    put_off = (t.outbox.c.attempts == 0, t.outbox.c.error.is_(None), t.outbox.c.next_attempt_at > now)
    waits = (_IS_OPEN, t.outbox.c.state == OutboxState.WAITING.value)
    return connection.execute(update(t.outbox).where(*waits, *put_off).values(next_attempt_at=now)).rowcount


def _replace_waiting(connection: Connection, key: str, kind: OutboxKind, payload: Mapping[str, Any]) -> bool:
    words = {"of_key": key, "payload": dict(payload), "new_kind": kind.value, "new_rank": kind.rank}
    return _REPLACE.run(connection, words) > 0


def ready(connection: Connection, now: datetime, *, per_channel: int = 10) -> list[Ready]:
    """What may be said now, the most important first.

    At most so many new messages per channel, and as many edits, files and answers again: each has limits of its own,
    and what waits for one of them must not hide what needn't. The first answer to each person is among them, however
    much waits for somebody else. What belongs into a thread waits for its headline as long as that waits itself; with
    no headline to come, it is said by itself.
    """
    write_down(connection)
    asked = {"moment": now, "most": per_channel, "of_keys": _keys_being_said(connection)}
    return [_ready(row) for row in _ready_rows().all(connection, asked)]


@cache
def _ready_rows() -> Prepared:
    belongs = and_(t.outbox.c.execution_id.is_not(None), t.outbox.c.kind.not_in(_APART))
    in_thread = and_(belongs, t.threads.c.ts.is_not(None))
    headline = t.outbox.alias("headline")
    # Asked for once and not for every row: with thousands that wait, PostgreSQL would read all of them for each.
    to_come = select(headline.c.execution_id).where(
        text("headline.state IN ('waiting', 'sending')"),
        headline.c.kind_rank <= OutboxKind.HEADLINE.rank,
        headline.c.kind == OutboxKind.HEADLINE.value,
        headline.c.execution_id.is_not(None),
    )
    where = case((in_thread, t.threads.c.channel), else_=t.outbox.c.channel)
    keys: BindParameter[list[str]] = bindparam("of_keys", expanding=True)
    order = (t.outbox.c.kind_rank, t.outbox.c.position)
    # Only answers have one: to look for it in all that waits would cost more than all the rest.
    person = case((t.outbox.c.kind == OutboxKind.ANSWER.value, t.outbox.c.payload["user"].as_string()))
    alike = (where, t.outbox.c.kind, t.outbox.c.method, person)
    in_line = func.row_number().over(partition_by=alike, order_by=order)
    waiting = (
        select(
            t.outbox,
            t.threads.c.channel.label("thread_channel"),
            t.threads.c.ts.label("thread_ts"),
            t.threads.c.asked_in,
            in_thread.label("in_thread"),
            where.label("where"),
            in_line.label("in_line"),
        )
        .select_from(t.outbox.outerjoin(t.threads, t.threads.c.execution_id == t.outbox.c.execution_id))
        .where(
            _IS_OPEN,
            t.outbox.c.state == OutboxState.WAITING.value,
            or_(t.outbox.c.next_attempt_at.is_(None), t.outbox.c.next_attempt_at <= bindparam("moment")),
            or_(~belongs, t.threads.c.ts.is_not(None), t.outbox.c.execution_id.not_in(to_come)),
            or_(t.outbox.c.coalesce_key.is_(None), t.outbox.c.coalesce_key.not_in(keys)),
        )
        .subquery()
    )
    most = bindparam("most", type_=Integer)
    is_answer = waiting.c.kind == OutboxKind.ANSWER.value
    turn = case((is_answer, waiting.c.in_line), else_=0)
    # What was posted before is looked up for the first of each line alone: with thousands that wait, it would cost more
    # than all the rest.
    first = (
        select(waiting, _said_as(waiting).label("edits"), turn.label("turn"))
        .where(waiting.c.in_line <= case((is_answer, most), else_=_LOOKED_UP))
        .subquery()
    )
    sort = case(
        (and_(first.c.turn > 0, first.c.method == "respond"), "respond"),
        (first.c.turn > 0, "answer"),
        (first.c.method == "upload", "file"),
        (or_(first.c.method == "update", first.c.edits.is_not(None)), "edit"),
        else_="post",
    )
    place = func.row_number().over(
        partition_by=(first.c.where, sort), order_by=(first.c.kind_rank, first.c.turn, first.c.position)
    )
    placed = select(first, place.label("place")).subquery()
    return Prepared(
        select(placed)
        .where(or_(placed.c.place <= most, and_(placed.c.turn == 1, placed.c.place <= _PEOPLE)))
        .order_by(placed.c.kind_rank, placed.c.position)
    )


def _said_as(waiting: FromClause) -> ScalarSelect[Any]:
    """The message in Slack that was posted under the same key before."""
    said = t.outbox.alias("said")
    return (
        select(said.c.ts)
        .where(
            waiting.c.method == "post",
            said.c.execution_id == waiting.c.execution_id,
            said.c.coalesce_key == waiting.c.coalesce_key,
            said.c.state == OutboxState.SENT.value,
            said.c.ts.is_not(None),
        )
        .order_by(said.c.position.desc())
        .limit(1)
        .scalar_subquery()
    )


def _ready(row: Any) -> Ready:
    message = message_of(row)
    thread = None
    if row.in_thread:
        thread = Thread(
            execution_id=row.execution_id, channel=row.thread_channel, ts=row.thread_ts, asked_in=row.asked_in
        )
    channel = message.channel if thread is None else thread.channel
    edits: str | None = row.edits
    if message.method == "update":
        edits = str(message.payload["ts"]) if "ts" in message.payload else (thread.ts if thread else None)
    return Ready(message=message, channel=channel, thread=thread, edits=edits)


def begin(
    connection: Connection, message_id: str, *, now: datetime | None = None, lease: timedelta | None = None
) -> OutboxMessage | None:
    """Mark it as being said, before it is; None when somebody else does. Returns the newest payload.

    With a `lease`, others may take it that we died when that has run out; see `extend`.
    """
    write_down(connection)
    until = moment(connection, now) + lease if now is not None and lease is not None else None
    row = connection.execute(
        update(t.outbox)
        .where(
            t.outbox.c.id == message_id,
            t.outbox.c.state == OutboxState.WAITING.value,
            or_(t.outbox.c.coalesce_key.is_(None), t.outbox.c.coalesce_key.not_in(_keys_being_said(connection))),
        )
        .values(state=OutboxState.SENDING.value, attempts=t.outbox.c.attempts + 1, next_attempt_at=until)
        .returning(t.outbox)
    ).first()
    return None if row is None else message_of(row)


def _mine(message_id: str, attempts: int | None) -> ColumnElement[bool]:
    """The message while it is being said; in this try, if one is named: another may have been begun meanwhile."""
    found = and_(t.outbox.c.id == message_id, t.outbox.c.state == OutboxState.SENDING.value)
    return found if attempts is None else and_(found, t.outbox.c.attempts == attempts)


def extend(connection: Connection, ids: Collection[str], *, now: datetime, lease: timedelta) -> None:
    """Whoever says these lives, and is still saying them."""
    if not ids:
        return
    connection.execute(
        update(t.outbox)
        .where(t.outbox.c.id.in_(sorted(ids)), t.outbox.c.state == OutboxState.SENDING.value)
        .values(next_attempt_at=moment(connection, now) + lease)
    )


def _keys_being_said(connection: Connection) -> list[str]:
    return [row.coalesce_key for row in _KEYS_BEING_SAID.all(connection)]


def sent(
    connection: Connection, said: OutboxMessage, *, now: datetime, ts: str | None, channel: str | None = None
) -> bool:
    """Slack took it, as `begin` gave it. `channel`: where it stands, if that may be another than it was written for.

    False, and nothing is changed, if somebody took it back meanwhile because its time to be said had passed, and it is
    to be said with other words, or being said: what stands is looked for then.
    """
    write_down(connection)
    row = connection.execute(select(t.outbox).where(t.outbox.c.id == said.id)).first()
    if row is None or row.attempts != said.attempts:
        return False
    is_waiting_as_it_was = row.state == OutboxState.WAITING.value and row.payload == dict(said.payload)
    if row.state != OutboxState.SENDING.value and not is_waiting_as_it_was:
        return False
    where = {"channel": channel} if channel is not None else {}
    connection.execute(
        update(t.outbox)
        .where(t.outbox.c.id == said.id)
        .values(state=OutboxState.SENT.value, sent_at=now, ts=ts, error=None, next_attempt_at=None, **where)
    )
    return True


def sent_before(connection: Connection, said: OutboxMessage, *, id: str, now: datetime, ts: str) -> bool:
    """It stands already: an earlier try had come through, perhaps with older words. Otherwise as `sent`.

    These words follow as an edit, with this id, unless newer ones wait already.
    """
    if not sent(connection, said, now=now, ts=ts):
        return False
    key = said.coalesce_key
    waits = select(t.outbox.c.id).where(
        t.outbox.c.coalesce_key == key, text("outbox.state = 'waiting' AND outbox.coalesce_key IS NOT NULL")
    )
    if key is None or connection.execute(waits).first() is not None:
        return True
    is_headline = said.kind is OutboxKind.HEADLINE
    kind, method, payload = OutboxKind.CARD if is_headline else said.kind, said.method, said.payload
    if is_headline or said.execution_id is None:
        method = "update"
    if said.execution_id is None:  # only the messages of executions are known by their keys
        key, payload = None, {**said.payload, "ts": ts}
    _ADD.run(connection, _new(id, kind, method, payload, now, said.channel, said.execution_id, key))
    return True


def again(
    connection: Connection,
    message_id: str,
    *,
    at: datetime,
    error: str,
    unsure: bool,
    is_counted: bool = True,
    attempts: int | None = None,
) -> None:
    """To be tried again at `at`. If something newer waits under its key, its words take the place of these.

    `is_counted`: whether the try counts; one that Slack asked us to postpone doesn't. `attempts`: of which try that is
    said, as `begin` counted it; if that isn't the one under way any more, nothing is changed. So for all that follow.
    """
    write_down(connection)
    row = connection.execute(select(t.outbox).where(_mine(message_id, attempts))).first()
    if row is None:
        return
    # The older row stays, because a post that may have been delivered carries its id.
    newer = _newer_than(connection, row)
    connection.execute(
        update(t.outbox)
        .where(t.outbox.c.id == message_id)
        .values(
            **newer,
            state=OutboxState.WAITING.value,
            next_attempt_at=at,
            error=error,
            unsure=row.unsure or unsure,
            attempts=row.attempts if is_counted else max(row.attempts - 1, 0),
        )
    )


def take_newer(connection: Connection, message_id: str, kind: OutboxKind, key: str | None) -> dict[str, Any]:
    """Columns for this message from what waited under its key, whose words take its place and which waits no more."""
    write_down(connection)
    if key is None:
        return {}
    newer = connection.execute(
        delete(t.outbox)
        .where(
            t.outbox.c.coalesce_key == key,
            t.outbox.c.state == OutboxState.WAITING.value,
            t.outbox.c.id != message_id,
        )
        .returning(t.outbox.c.payload, t.outbox.c.kind)
    ).first()
    if newer is None:
        return {}
    most = min((kind, OutboxKind(newer.kind)), key=lambda one: one.rank)
    stays = kind if kind is OutboxKind.HEADLINE else most
    return {"payload": newer.payload, "kind": stays.value, "kind_rank": most.rank}


def _newer_than(connection: Connection, row: Any) -> dict[str, Any]:
    newer = take_newer(connection, row.id, OutboxKind(row.kind), row.coalesce_key)
    if newer and REROUTED in row.payload:
        newer["payload"] = {REROUTED: row.payload[REROUTED], **newer["payload"]}
    return newer


def reroute(
    connection: Connection,
    message_id: str,
    *,
    channel: str,
    now: datetime,
    kind: OutboxKind | None = None,
    attempts: int | None = None,
) -> None:
    """To be said in another channel, at once. With a `kind`, as that kind, and by itself.

    What it was is kept in its payload (`REROUTED`), for when a person has it said again; of what belongs to an
    execution and stays of its kind, the execution knows. Its key gets the channel's name (`elsewhere`), so that what
    follows it there is an edit of it; where an older one of that key waits still, that one is said with these words.
    """
    write_down(connection)
    row = connection.execute(select(t.outbox).where(_mine(message_id, attempts))).first()
    if row is None:
        return
    values = _newer_than(connection, row)
    if kind is not None or row.execution_id is None:
        was = {"kind": row.kind, "channel": row.channel, "coalesce_key": row.coalesce_key}
        # The first place counts, if there were several.
        values["payload"] = {REROUTED: was, **values.get("payload", row.payload)}
    if kind is not None:
        key = elsewhere(values["payload"][REROUTED]["coalesce_key"], channel)
        values |= {"kind": kind.value, "kind_rank": kind.rank, "coalesce_key": key, "method": "post"}
        if key is not None and _replace_waiting(connection, key, kind, values["payload"]):
            connection.execute(delete(t.outbox).where(t.outbox.c.id == message_id))
            return
    connection.execute(
        update(t.outbox)
        .where(t.outbox.c.id == message_id)
        .values(
            **values,
            channel=channel,
            state=OutboxState.WAITING.value,
            next_attempt_at=now,
            error=None,
            unsure=False,
            attempts=0,
        )
    )


def elsewhere(key: str | None, channel: str) -> str | None:
    """The key of what was to be said under this one and is said in another channel instead."""
    longer = f"{key}{ELSEWHERE}{channel}"
    return longer if key is not None and len(longer) <= LONGEST_KEY else None


def set_dead_words(connection: Connection, message_id: str, payload: Mapping[str, Any]) -> None:
    """A dead letter has these words now, for when a person has it said again; nothing else changes."""
    row = connection.execute(select(t.outbox.c.payload).where(_IS_DEAD, t.outbox.c.id == message_id)).first()
    if row is None:
        return
    was = {REROUTED: row.payload[REROUTED]} if REROUTED in row.payload else {}
    connection.execute(update(t.outbox).where(_IS_DEAD, t.outbox.c.id == message_id).values(payload={**was, **payload}))


def anew(connection: Connection, message_id: str, *, now: datetime, attempts: int | None = None) -> None:
    """The message it was to edit isn't there any more, or can't be edited: to be said as a new one, at once."""
    write_down(connection)
    row = connection.execute(select(t.outbox).where(_mine(message_id, attempts))).first()
    if row is None:
        return
    connection.execute(
        update(t.outbox)
        .where(
            t.outbox.c.execution_id == row.execution_id,
            t.outbox.c.coalesce_key == row.coalesce_key,
            t.outbox.c.state == OutboxState.SENT.value,
        )
        .values(ts=None)
    )
    connection.execute(update(t.outbox).where(t.outbox.c.id == row.id).values(unsure=False))
    again(connection, message_id, at=now, error="the message it was to edit is gone", unsure=False, is_counted=False)


def out_of_thread(connection: Connection, message_id: str, *, now: datetime, attempts: int | None = None) -> None:
    """The message under which it was to stand isn't there any more: to be said in the channel by itself, at once."""
    write_down(connection)
    row = connection.execute(select(t.outbox).where(_mine(message_id, attempts))).first()
    if row is None:
        return
    payload = {name: value for name, value in row.payload.items() if name != "thread_ts"}
    connection.execute(update(t.outbox).where(t.outbox.c.id == row.id).values(payload=payload))
    again(connection, row.id, at=now, error="the message it was to stand under is gone", unsure=False, is_counted=False)


def drop(connection: Connection, message: OutboxMessage) -> None:
    """It needn't be said any more, being said as `begin` gave it. A dead headline takes the words of its edits."""
    write_down(connection)
    gone = delete(t.outbox).where(_mine(message.id, message.attempts)).returning(t.outbox.c.id)
    if connection.execute(gone).first() is None:
        return
    if message.method == "update" and message.coalesce_key is not None:
        edited = {"of_key": message.coalesce_key, "payload": dict(message.payload)}
        _SET_DEAD_HEADLINE.run(connection, edited)


def bury(connection: Connection, message_id: str, *, now: datetime, error: str, attempts: int | None = None) -> None:
    """A dead letter: a person must see it. Nothing else becomes one: what was said meanwhile stays said."""
    write_down(connection)
    open_ = and_(t.outbox.c.id == message_id, t.outbox.c.state.in_(_OPEN))
    its = open_ if attempts is None else _mine(message_id, attempts)
    row = connection.execute(select(t.outbox).where(its)).first()
    if row is None:
        return
    newer = _newer_than(connection, row) if row.kind == OutboxKind.HEADLINE.value else {}
    connection.execute(
        update(t.outbox)
        .where(t.outbox.c.id == message_id)
        .values(
            **newer,
            state=OutboxState.DEAD.value,
            error=error,
            sent_at=now,
            next_attempt_at=None,
            announced_at=None,
        )
    )


def recover(connection: Connection, now: datetime, *, everything: bool = True, but: Collection[str] = ()) -> int:
    """What was being said by a process that died may have been delivered.

    `everything` right after the start of the only process that speaks; else only what is past its lease. `but`: what
    the caller says itself, however long the database was away.
    """
    write_down(connection)
    died = select(t.outbox.c.id).where(_IS_OPEN, t.outbox.c.state == OutboxState.SENDING.value)
    if not everything:
        died = died.where(t.outbox.c.next_attempt_at <= moment(connection, now))
    ids = sorted(set(connection.scalars(died)) - set(but))
    for message_id in ids:
        again(connection, message_id, at=now, error="the process ended while it was being said", unsure=True)
    return len(ids)


def open_messages(connection: Connection) -> int:
    """How many still wait."""
    write_down(connection)
    return int(connection.scalar(select(func.count()).select_from(t.outbox).where(t.outbox.c.state.in_(_OPEN))) or 0)


@dataclass(frozen=True, kw_only=True)
class Held:
    """What waits although Slack was tried: how many, since when the oldest, and what Slack said to it last."""

    number: int
    since: datetime
    error: str


def held(connection: Connection) -> Held | None:
    """What Slack keeps us from saying now; None when nothing was refused or lost."""
    write_down(connection)
    tried = (_IS_OPEN, t.outbox.c.error.is_not(None))
    oldest = connection.execute(
        select(t.outbox.c.created_at, t.outbox.c.error).where(*tried).order_by(t.outbox.c.created_at).limit(1)
    ).first()
    if oldest is None:
        return None
    number = connection.scalar(select(func.count()).select_from(t.outbox).where(*tried))
    return Held(number=int(number or 0), since=oldest.created_at, error=oldest.error)


def find(connection: Connection, message_id: str) -> OutboxMessage | None:
    """One message, or None when it is there no more."""
    write_down(connection)
    row = connection.execute(select(t.outbox).where(t.outbox.c.id == message_id)).first()
    return None if row is None else message_of(row)


def attached(connection: Connection, thread: Thread, *, since: datetime | None) -> bool:
    """Whether the full log waits to be attached to an execution's thread, or stands there since it ended (`since`).

    `since` is None while it has not ended. What one person got directly is not in the thread.
    """
    write_down(connection)
    c = t.outbox.c
    said = c.state == OutboxState.SENT.value
    stands = and_(said, c.sent_at >= since, c.channel == thread.channel) if since is not None else false()
    there = or_(c.state.in_(_OPEN), stands)
    found = select(c.id).where(c.execution_id == thread.execution_id, c.method == "upload", there).limit(1)
    return connection.scalar(found) is not None


def headline_of(connection: Connection, execution_id: int) -> OutboxMessage | None:
    """The newest message that is, or is to become, an execution's headline."""
    write_down(connection)
    row = _HEADLINE.first(connection, {"of_id": execution_id})
    return None if row is None else message_of(row)


def prune(connection: Connection, *, before: datetime, limit: int = 500) -> int:
    """Forget what was said long ago, a small batch at a time."""
    old = (
        select(t.outbox.c.id)
        .where(t.outbox.c.state == OutboxState.SENT.value, t.outbox.c.sent_at < before)
        .limit(limit)
    )
    return connection.execute(delete(t.outbox).where(t.outbox.c.id.in_(old))).rowcount


# --- who speaks -------------------------------------------------------------------------------------------------------


def speak(connection: Connection, saying: Collection[str], *, process: str, now: datetime, lease: timedelta) -> bool:
    """Whether this process is the one that speaks for all, for so long from now on; asked again, for longer.

    What it is `saying` (ids) stays its own for as long, whoever speaks.
    """
    at, c = moment(connection, now), t.speaker.c
    extend(connection, saying, now=now, lease=lease)
    mine = update(t.speaker).where(or_(c.process == process, c.until <= at))
    return connection.execute(mine.values(process=process, until=at + lease)).rowcount == 1


def fall_silent(connection: Connection, *, process: str, now: datetime) -> None:
    """Another may speak at once, if this process did."""
    at = moment(connection, now)
    connection.execute(update(t.speaker).where(t.speaker.c.process == process).values(until=at))


# --- threads and channels ---------------------------------------------------------------------------------------------


def thread_of(connection: Connection, execution_id: int) -> Thread | None:
    """Where an execution reports, once its headline stands."""
    row = _THREAD.first(connection, {"of_id": execution_id})
    return None if row is None else Thread(**row._asdict())


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
    value: bool | None = _POSTABLE.scalar(connection, {"of_id": channel})
    return value


def set_channel(connection: Connection, channel: str, *, postable: bool, error: str | None, now: datetime) -> None:
    """Remember whether we can post there."""
    values = {"postable": postable, "error": error, "checked_at": now}
    changed = connection.execute(
        update(t.channels).where(t.channels.c.id == channel).values(**values).returning(t.channels.c.id)
    ).first()
    if changed is None:
        connection.execute(insert(t.channels).values(id=channel, **values))


def message_of(row: Any) -> OutboxMessage:
    """The record in a row of the table."""
    known = row._asdict()
    values = {column.name: known[column.name] for column in t.outbox.c}
    del values["kind_rank"], values["position"], values["announced_at"]
    return OutboxMessage(**{**values, "kind": OutboxKind(row.kind), "state": OutboxState(row.state)})
