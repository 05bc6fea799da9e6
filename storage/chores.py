"""What is done once a while by whichever process comes first: when each was done last."""

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from storage import tables as t


def last(connection: Connection, name: str) -> datetime | None:
    """When it was done last; None when its time has not begun."""
    found: datetime | None = connection.scalar(select(t.chores.c.done_at).where(t.chores.c.name == name))
    return found


def claim(connection: Connection, name: str, *, due: datetime, now: datetime) -> bool:
    """Whether it was last done before `due`; it counts as done now, then. One of several processes is told so.

    One that was never done is not due: its time begins now.
    """
    if last(connection, name) is None:
        connection.execute(insert(t.chores).values(name=name, done_at=now))
        return False
    late = update(t.chores).where(t.chores.c.name == name, t.chores.c.done_at < due).values(done_at=now)
    return connection.execute(late).rowcount == 1


def claim_anew(connection: Connection, name: str, *, unless_since: datetime, now: datetime) -> bool:
    """Whether nobody has done it since then; it counts as done now. One of several processes is told so."""
    done = last(connection, name)
    if done is None:
        connection.execute(insert(t.chores).values(name=name, done_at=now))
    elif done < unless_since:
        connection.execute(update(t.chores).where(t.chores.c.name == name).values(done_at=now))
    return done is None or done < unless_since
