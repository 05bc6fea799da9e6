"""The audit: append-only, hash-chained, written in the transaction of what it witnesses.

Each entry's hash covers the whole entry and the hash before it. The head row remembers the newest hash, so that
entries cut off at the end are noticed too. The database's own triggers refuse changes (see the migrations).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from storage import tables as t
from storage.canonical import canonical, sha256
from storage.records import Actor, AuditEntry, Origin

FIRST = "0" * 64
"""What the first entry calls its predecessor."""


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
    head = connection.execute(select(t.audit_head.c.seq, t.audit_head.c.hash).with_for_update()).one()
    at = at.astimezone(UTC)
    text = canonical(data)
    entry = AuditEntry(
        seq=head.seq + 1,
        at=at,
        kind=kind,
        actor=actor.id,
        origin=origin.value,
        execution_id=execution_id,
        data=json.loads(text),
        previous=head.hash,
        hash=digest(head.seq + 1, at, kind, actor.id, origin.value, execution_id, text, head.hash),
    )
    connection.execute(
        insert(t.audit).values(
            seq=entry.seq,
            at=at,
            kind=kind,
            actor=actor.id,
            origin=origin.value,
            execution_id=execution_id,
            data=text,
            previous=head.hash,
            hash=entry.hash,
        )
    )
    connection.execute(update(t.audit_head).values(seq=entry.seq, hash=entry.hash))
    return entry


def digest(
    seq: int, at: datetime, kind: str, actor: str, origin: str, execution_id: int | None, data: str, previous: str
) -> str:
    """The hash of one entry; `data` is its canonical JSON text."""
    return sha256(
        {
            "seq": seq,
            "at": at.astimezone(UTC).isoformat(timespec="microseconds"),
            "kind": kind,
            "actor": actor,
            "origin": origin,
            "execution_id": execution_id,
            "data": data,
            "previous": previous,
        }
    )


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a walk over the whole chain found. `problems` names rows; none means that it verifies."""

    entries: int
    head: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the chain is whole."""
        return not self.problems


def verify(connection: Connection, *, against: str | None = None, most: int = 20) -> Verification:
    """Walk the chain. `against` is a head noted earlier: it must still be one of the entries' hashes."""
    problems: list[str] = []
    before = _head(connection)
    noted = None if before is None else (before.seq, before.hash)
    previous, expected, count, seen, met = FIRST, 1, 0, against is None, noted == (0, FIRST)
    for row in _all(connection):
        count += 1
        if row.seq != expected:
            missing = f"entry {expected} is" if row.seq == expected + 1 else f"entries {expected} to {row.seq - 1} are"
            problems.append(f"{missing} missing")
        elif row.previous != previous:
            problems.append(f"entry {row.seq} does not follow entry {row.seq - 1}: its link was changed")
        if row.hash != digest(
            row.seq, row.at, row.kind, row.actor, row.origin, row.execution_id, row.data, row.previous
        ):
            problems.append(f"entry {row.seq} ({row.kind}, {row.at:%Y-%m-%d %H:%M:%S} UTC) was changed")
        seen = seen or row.hash == against
        met = met or (row.seq, row.hash) == noted
        previous, expected = row.hash, row.seq + 1
    # Others write while we walk: the head of before must be on the way, and that of afterwards not behind its end.
    after = _head(connection)
    if before is None or after is None:
        problems.append("the head of the audit is missing")
    elif not met or after.seq < expected - 1 or (after.seq == expected - 1 and after.hash != previous):
        named = after if met else before
        problems.append(
            f"the newest entries are missing: the head names entry {named.seq}, the last one is {expected - 1}"
        )
    if not seen:
        problems.append(f"no entry has the given head {against}: history was rewritten, or it is another database")
    return Verification(entries=count, head=previous, problems=tuple(problems[:most]))


def _head(connection: Connection) -> Row[Any, Any] | None:
    return connection.execute(select(t.audit_head.c.seq, t.audit_head.c.hash)).one_or_none()


def _all(connection: Connection, page: int = 5_000) -> Iterator[Any]:
    after = -1
    while True:
        rows = connection.execute(
            select(t.audit).where(t.audit.c.seq > after).order_by(t.audit.c.seq).limit(page)
        ).all()
        yield from rows
        if len(rows) < page:
            return
        after = rows[-1].seq


def search(
    connection: Connection,
    *,
    words: tuple[str, ...] = (),
    execution_id: int | None = None,
    before: int | None = None,
    limit: int = 20,
) -> list[AuditEntry]:
    """The newest entries that hold all the words (in kind, actor or data), newest first; page on with `before`."""
    query = select(t.audit).order_by(t.audit.c.seq.desc()).limit(limit)
    if execution_id is not None:
        query = query.where(t.audit.c.execution_id == execution_id)
    if before is not None:
        query = query.where(t.audit.c.seq < before)
    for word in words:
        like = f"%{_escaped(word)}%"
        query = query.where(
            or_(*(column.ilike(like, escape="!") for column in (t.audit.c.kind, t.audit.c.actor, t.audit.c.data)))
        )
    return [_entry(row) for row in connection.execute(query)]


def _escaped(word: str) -> str:
    return word.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def head(connection: Connection) -> tuple[int, str]:
    """The newest entry's number and hash."""
    row = connection.execute(select(t.audit_head.c.seq, t.audit_head.c.hash)).one()
    return row.seq, row.hash


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(**{**row._mapping, "data": json.loads(row.data)})
