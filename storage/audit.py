"""The audit: append-only, hash-chained, written in the transaction of what it witnesses.

Each entry's hash covers the whole entry and the hash before it. The head row remembers the newest hash, so that
entries cut off at the end are noticed too. The database's own triggers refuse changes (see the migrations). `export.py`
writes entries into a file that proves itself.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Any, NamedTuple, TypeAlias, TypedDict, Unpack

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    String,
    and_,
    false,
    func,
    insert,
    or_,
    select,
    true,
    type_coerce,
    update,
)

from storage import tables as t
from storage.canonical import canonical, storable
from storage.database import at_the_end
from storage.errors import Invalid
from storage.prepared import Prepared
from storage.records import Actor, AuditEntry, Origin

_THE_HEAD = Prepared(select(t.audit_head.c.seq, t.audit_head.c.hash).with_for_update())
_ADD = Prepared(insert(t.audit))
_SET_HEAD = Prepared(update(t.audit_head))

_UNWRITTEN = "audit"


@dataclass(frozen=True)
class _Unwritten:
    """Entries of this transaction, the newest of which is the head; calling it writes them."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def seq(self) -> int:
        return int(self.rows[-1]["seq"])

    @property
    def hash(self) -> str:
        return str(self.rows[-1]["hash"])

    def __call__(self, connection: Connection) -> None:
        _ADD.run_each(connection, self.rows)
        _SET_HEAD.run(connection, {"seq": self.seq, "hash": self.hash})


def _unwritten(connection: Connection) -> _Unwritten | None:
    found = (at_the_end(connection) or {}).get(_UNWRITTEN)
    return found if isinstance(found, _Unwritten) else None


FIRST = "0" * 64
"""What the first entry calls its predecessor."""
PAGE = 5_000
"""Rows read at once by what walks over all of them."""
SMALL_WINDOW = 10_000
"""Entries whose numbers are looked through in some milliseconds."""


def _write_down(connection: Connection) -> None:
    """What this transaction has witnessed so far is there, for whoever reads it in the same one."""
    if _unwritten(connection) is not None:
        (at_the_end(connection) or {}).pop(_UNWRITTEN)(connection)


def append(
    connection: Connection,
    *,
    at: datetime,
    kind: str,
    actor: Actor,
    origin: Origin,
    execution_id: int | None = None,
    **data: Any,
) -> AuditEntry:
    """Witness something. `data` must be JSON, already redacted."""
    unwritten = _unwritten(connection)
    head = unwritten or _THE_HEAD.first(connection)
    at = at.astimezone(UTC)
    text, by = storable(canonical(data)), storable(actor.id)  # what is hashed is what is kept
    seq = head.seq + 1
    mark = digest(seq, at, kind, by, origin.value, execution_id, text, head.hash)
    values = {
        "seq": seq,
        "at": at,
        "kind": kind,
        "actor": by,
        "origin": origin.value,
        "execution_id": execution_id,
        "data": text,
        "previous": head.hash,
        "hash": mark,
    }
    later = at_the_end(connection)
    if unwritten is None:
        unwritten = _Unwritten()
        if later is not None:
            later[_UNWRITTEN] = unwritten
    unwritten.rows.append(values)
    if later is None:
        unwritten(connection)
    return AuditEntry(**{**values, "data": json.loads(text)})


# --- what is hashed ---------------------------------------------------------------------------------------------------


def hashed_text(
    seq: int, at: datetime | str, kind: str, actor: str, origin: str, execution_id: int | None, data: str, previous: str
) -> str:
    """The text whose SHA-256 is an entry's hash: canonical JSON, made by hand because a long chain has millions.

    `data` is the canonical JSON text that is stored; `at` in UTC, as a datetime or as SQLite keeps it.
    """
    text = encode_basestring
    moment = f"{at[:10]}T{at[11:]}+00:00" if isinstance(at, str) else at.astimezone(UTC).isoformat(timespec=_MICRO)
    return (
        f'{{"actor":{text(actor)},"at":{text(moment)},"data":{text(data)},'
        f'"execution_id":{"null" if execution_id is None else execution_id},"kind":{text(kind)},'
        f'"origin":{text(origin)},"previous":{text(previous)},"seq":{seq}}}'
    )


_MICRO = "microseconds"


def hash_of(text: str) -> str:
    """SHA-256 in hex; half a surrogate pair, which has no UTF-8, still hashes to something stable."""
    return sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def digest(
    seq: int, at: datetime, kind: str, actor: str, origin: str, execution_id: int | None, data: str, previous: str
) -> str:
    """The hash of one entry; `data` is its canonical JSON text."""
    return hash_of(hashed_text(seq, at, kind, actor, origin, execution_id, data, previous))


# --- the chain --------------------------------------------------------------------------------------------------------


class Stored(NamedTuple):
    """One row as the database keeps it. `at`: a datetime on PostgreSQL, text on SQLite."""

    seq: int
    at: datetime | str
    kind: str
    actor: str
    origin: str
    execution_id: int | None
    data: str
    previous: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class Head:
    """The newest entry at some time: its hash, and its number where it was noted."""

    hash: str
    seq: int | None = None

    def __str__(self) -> str:
        return self.hash if self.seq is None else f"{self.seq}:{self.hash}"


_HEAD = re.compile(r"#?(?:([0-9]{1,18})[\s:]+)?`?([0-9a-f]{64})`?", re.IGNORECASE)


def parse_head(text: str) -> Head:
    """A head as `audit verify` prints it or as it was posted: HASH, SEQ:HASH or #SEQ HASH. Raises Invalid."""
    found = _HEAD.fullmatch(text.strip())
    if found is None:
        raise Invalid(
            f"'{text[:100]}' is no head of the audit. Write its 64 hexadecimal digits, or SEQ:HASH as it was posted."
        )
    return Head(hash=found[2].lower(), seq=int(found[1]) if found[1] else None)


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a walk over the whole chain found. `problems` names rows; none means that it verifies."""

    entries: int
    head: str
    problems: tuple[str, ...]
    last: int = 0

    @property
    def ok(self) -> bool:
        """Whether the chain is whole."""
        return not self.problems

    @property
    def words(self) -> str:
        """What to note down when it is."""
        return f"{self.entries} entries, head {self.head}"


class Chain:
    """Entries shown one after the other, by number: what is wrong with each, and with the links between them.

    `first` is the number that the first one must have, None for any. Keeps at most `most` problems.
    """

    def __init__(self, *, first: int | None, most: int, against: Head | None = None) -> None:
        self.problems: list[str] = []
        self.entries = 0
        self.last: int | None = None
        self.hash = FIRST
        # The head of a chain that has no entry yet.
        self.seen_head = against is not None and against.hash == FIRST and against.seq in (None, 0)
        self.gaps = 0
        self._first, self._most, self._against = first, most, against

    def take(self, seq: int, previous: str, mark: str, *, honest: bool) -> None:
        """The next entry; `honest`: its hash is that of its content."""
        self.entries += 1
        follows = self._first if self.last is None else self.last + 1
        if follows is not None and seq != follows:
            self.gaps += 1
            self._gap(follows, seq)
        elif previous != self.hash and follows is not None:
            self.add(f"entry {seq} does not follow entry {seq - 1}: its link was changed")
        if not honest:
            self.add(f"entry {seq} was changed")
        if self._against is not None and mark == self._against.hash:
            self.seen_head = True
            if self._against.seq not in (None, seq):
                self.add(f"the given head is that of entry {seq}, not of entry {self._against.seq}")
        self.last, self.hash = seq, mark

    def add(self, problem: str) -> None:
        """One more thing that is wrong."""
        if len(self.problems) < self._most:
            self.problems.append(problem)

    def _gap(self, follows: int, seq: int) -> None:
        if self._first is None and seq > follows:
            return  # a filtered export leaves out what was not asked for
        if seq < follows:
            self.add(f"entry {seq} stands where entry {follows} should: the order was changed")
        else:
            self.add(
                f"entry {follows} is missing" if seq == follows + 1 else f"entries {follows} to {seq - 1} are missing"
            )


def verify(connection: Connection, *, against: str | None = None, most: int = 20) -> Verification:
    """Walk the chain. `against` is a head noted earlier: it must still be one of the entries'. Raises Invalid for none.

    Entries that are appended meanwhile do no harm.
    """
    noted = parse_head(against) if against is not None else None
    before = _head(connection)
    chain = Chain(first=1, most=most, against=noted)
    at_head: str | None = FIRST
    for row in stored(connection):
        try:
            honest = hash_of(hashed_text(*row[:8])) == row.hash
        except (TypeError, AttributeError):  # SQLite keeps any type in any column
            honest = False
        chain.take(row.seq, row.previous, row.hash, honest=honest)
        if before is not None and row.seq == before.seq:
            at_head = row.hash
    last = chain.last or 0
    _check_head(chain, before, _head(connection), last, at_head)
    if noted is not None and not chain.seen_head:
        chain.add(_not_there(noted, last))
    return Verification(entries=chain.entries, head=chain.hash, last=last, problems=tuple(chain.problems))


def _check_head(chain: Chain, before: Any, after: Any, last: int, at_head: str | None) -> None:
    if before is None or after is None:
        chain.add("the head of the audit is missing")
    elif before.seq > last:
        chain.add(_cut_off("the head names", before.seq, last))
    elif before.hash != at_head:
        chain.add(f"the head of the audit was changed: it is not the hash of entry {before.seq}")
    elif last > after.seq:
        chain.add(f"the head of the audit was set back: it names entry {after.seq}, the last one is {last}")


def _not_there(noted: Head, last: int) -> str:
    if noted.seq is None:
        return (
            f"no entry has the given head {noted.hash}: history was rewritten, the newest entries were cut off, or it "
            "is another database"
        )
    if noted.seq > last:
        return f"{_cut_off('the given head is that of', noted.seq, last)}, or it is another database"
    return f"entry {noted.seq} is not the one of the given head: history was rewritten, or it is another database"


def _cut_off(how: str, named: int, last: int) -> str:
    missing = "newest entry is" if named == last + 1 else f"newest {named - last} entries are"
    return f"the {missing} missing: {how} entry {named}, the last one is {last}"


def _head(connection: Connection) -> Any:
    _write_down(connection)
    return connection.execute(select(t.audit_head.c.seq, t.audit_head.c.hash)).one_or_none()


# As text where the database keeps text: parsing and printing it again would take as long as the hash.
_COLUMNS = (t.audit.c.seq, type_coerce(t.audit.c.at, String).label("at"), *list(t.audit.c)[2:])


def stored(connection: Connection, *wanted: ColumnElement[bool], upto: int | None = None) -> Iterator[Stored]:
    """Rows in order, as they are kept, a page at a time: any number of them takes the memory of one page."""
    _write_down(connection)
    after = -1
    while True:
        query = select(*_COLUMNS).where(t.audit.c.seq > after, *wanted).order_by(t.audit.c.seq).limit(PAGE)
        if upto is not None:
            query = query.where(t.audit.c.seq <= upto)
        rows = connection.execute(query).all()
        yield from map(Stored._make, rows)
        if len(rows) < PAGE:
            return
        after = rows[-1].seq


# --- search -----------------------------------------------------------------------------------------------------------


class Wanted(TypedDict, total=False):
    """Which entries; what is left out does not matter.

    `kind` also finds the kinds below it (`decision` finds `decision.refuse`); `incident` is a channel id; `since` and
    `until` are aware, the second not included; each of `words` must stand in the kind, the actor or the data. A word
    that is an entry's id, or 8 digits of its beginning, finds that entry.
    """

    words: tuple[str, ...]
    execution_id: int | None
    incident: str | None
    actor: str | None
    runbook: str | None
    host: str | None
    kind: str | None
    since: datetime | None
    until: datetime | None


def search(
    connection: Connection, *, before: int | None = None, limit: int = 20, **wanted: Unpack[Wanted]
) -> list[AuditEntry]:
    """The newest entries that are wanted, newest first; page on with `before`, the number of the last one seen."""
    _write_down(connection)
    query = select(t.audit).where(*conditions(connection, wanted)).order_by(t.audit.c.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(t.audit.c.seq < before)
    return [_entry(row) for row in connection.execute(query)]


def newest_of(connection: Connection, kind: str) -> AuditEntry | None:
    """The newest entry of exactly this kind, however long ago that was."""
    _write_down(connection)
    query = select(t.audit).where(t.audit.c.kind == kind).order_by(t.audit.c.seq.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else _entry(row)


def conditions(connection: Connection, wanted: Wanted) -> list[ColumnElement[bool]]:
    """`wanted` in SQL. Whatever was typed is a value, never a pattern.

    What an execution must be is asked of each entry's own: a list of all such executions would grow for ever. Spelled
    as values, since PostgreSQL makes such lists of IN and EXISTS alike.
    """
    a, e = t.audit.c, t.executions.c
    # SQLite's LIKE does not mind the case; its ILIKE would be spelled with lower() around every text.
    like = _LIKE[connection.dialect.name]
    found: list[ColumnElement[bool]] = []
    if (execution_id := wanted.get("execution_id")) is not None:
        found.append(a.execution_id == execution_id)
    if actor := wanted.get("actor"):
        found.append(a.actor == actor)
    if kind := wanted.get("kind"):
        found.append(or_(a.kind == kind, a.kind.like(f"{_escaped(kind)}.%", escape="!")))
    if wanted.get("since") or wanted.get("until"):
        found += _in_window(connection, wanted, has_index=execution_id is not None or bool(actor))
    if incident := wanted.get("incident"):
        here = select(e.channel).where(e.id == a.execution_id).scalar_subquery() == incident
        found.append(or_(here, _holds("channel", incident)))
    if runbook := wanted.get("runbook"):
        of_it = select(e.runbook).where(e.id == a.execution_id).scalar_subquery() == runbook
        found.append(or_(of_it, _holds("runbook", runbook), _is_subject("runbook", runbook)))
    if host := wanted.get("host"):
        h = t.host_runs.c
        on_it = select(func.count()).where(h.execution_id == a.execution_id, func.lower(h.host) == host.lower())
        # Any value that is this name: under `host`, among `hosts`, as a switch's subject. Three patterns take seconds.
        found.append(or_(on_it.scalar_subquery() > 0, like(a.data, f"%{_escaped(_json(host))}%")))
    return [*found, *(_says(word, like) for word in wanted.get("words", ()))]


def _in_window(connection: Connection, wanted: Wanted, *, has_index: bool) -> list[ColumnElement[bool]]:
    """A window of time, with the lowest and the highest number in it, so that a page is found by walking down numbers.

    SQLite, without statistics, takes any window for a large one and would walk along all numbers there are. PostgreSQL
    judges all entries of a small one to sort them by number, unless it is told the numbers and can't use the times,
    whose index it prefers even so; a large one (and what `has_index` of its own) it finds well by itself.
    """
    a = t.audit.c
    window = [a.at >= since] if (since := wanted.get("since")) else []
    window += [a.at < until] if (until := wanted.get("until")) else []
    inside, is_sqlite = select(a.seq).where(*window), connection.dialect.name == "sqlite"
    if not is_sqlite:
        if has_index:
            return window
        inside = inside.limit(SMALL_WINDOW + 1)
    seq = inside.subquery().c.seq
    # Counted as well, since for the two alone SQLite would walk along all numbers here too.
    lowest, highest, count = connection.execute(select(func.min(seq), func.max(seq), func.count(seq))).one()
    if not count:
        return [false()]
    if is_sqlite:
        return [*window, a.seq.between(lowest, highest)]
    if count > SMALL_WINDOW:
        return window
    return [*(condition.is_(true()) for condition in window), a.seq.between(lowest, highest)]


Like: TypeAlias = Callable[[ColumnElement[str], str], ColumnElement[bool]]
_LIKE: dict[str, Like] = {
    "sqlite": lambda column, pattern: column.like(pattern, escape="!"),
    "postgresql": lambda column, pattern: column.ilike(pattern, escape="!"),
}
ENTRY_ID = re.compile(r"a-([0-9a-f]{8,16})", re.IGNORECASE)


def _says(word: str, like: Like) -> ColumnElement[bool]:
    number = ENTRY_ID.fullmatch(word)
    if number is None:
        text = f"%{_escaped(word)}%"
        return or_(*(like(column, text) for column in (t.audit.c.kind, t.audit.c.actor, t.audit.c.data)))
    beginning = number[1].lower()
    # A range, because neither database uses the index of `hash` for LIKE as it stands; g follows every digit.
    return and_(t.audit.c.hash >= beginning, t.audit.c.hash < f"{beginning}g")


def _holds(name: str, value: str) -> ColumnElement[bool]:
    """Data with this value under this name. Quotes inside of strings are escaped in JSON, so no text looks like it."""
    return t.audit.c.data.like(f'%"{name}":{_escaped(_json(value))}%', escape="!")


def _is_subject(scope: str, value: str) -> ColumnElement[bool]:
    """Data of a kill switch over it; canonical JSON puts these two side by side."""
    return t.audit.c.data.like(f'%"scope":"{scope}","subject":{_escaped(_json(value))}%', escape="!")


def _json(value: str) -> str:
    return encode_basestring(value)


def _escaped(word: str) -> str:
    return word.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def head(connection: Connection) -> tuple[int, str]:
    """The newest entry's number and hash."""
    _write_down(connection)
    row = connection.execute(select(t.audit_head.c.seq, t.audit_head.c.hash)).one()
    return row.seq, row.hash


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(**{**row._asdict(), "data": json.loads(row.data)})
