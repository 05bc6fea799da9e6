"""Secrets as they are kept: names, envelopes that only `safety` can open, and when each was sealed with which key."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from storage import tables as t
from storage.records import Actor, Credential


def get(connection: Connection, name: str) -> Credential | None:
    """One of them."""
    row = connection.execute(select(t.credentials).where(t.credentials.c.name == name)).first()
    return _credential(row) if row is not None else None


def every(connection: Connection) -> list[Credential]:
    """All of them, by name."""
    return [_credential(row) for row in connection.execute(select(t.credentials).order_by(t.credentials.c.name))]


def missing(connection: Connection, names: set[str]) -> list[str]:
    """Which of these names none is kept under."""
    known = set(connection.scalars(select(t.credentials.c.name).where(t.credentials.c.name.in_(names))))
    return sorted(names - known)


def put(connection: Connection, name: str, sealed: str, key_id: str, *, by: Actor, now: datetime) -> bool:
    """Keep it under this name, in place of what was there; whether it is new."""
    values = {"sealed": sealed, "key_id": key_id, "created_by": by.id, "sealed_at": now}
    if connection.execute(update(t.credentials).where(t.credentials.c.name == name).values(**values)).rowcount:
        return False
    connection.execute(insert(t.credentials).values(name=name, created_at=now, **values))
    return True


def reseal(connection: Connection, name: str, sealed: str, key_id: str, now: datetime) -> None:
    """The same value in another envelope."""
    values = {"sealed": sealed, "key_id": key_id, "sealed_at": now}
    connection.execute(update(t.credentials).where(t.credentials.c.name == name).values(**values))


def remove(connection: Connection, name: str) -> bool:
    """Forget it; whether there was one."""
    return connection.execute(delete(t.credentials).where(t.credentials.c.name == name)).rowcount == 1


def _credential(row: Row[Any]) -> Credential:
    return Credential(**row._mapping)
