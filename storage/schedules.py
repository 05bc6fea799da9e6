"""Schedules, their firings, and consent to all firings of one.

A firing is claimed by moving its schedule on in one conditional statement, so that of several processes one does, and
is kept under the schedule and the moment, so that the same moment never counts twice.
"""

import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from storage import tables as t
from storage.records import Actor, Firing, FiringOutcome, Schedule, StandingApproval, State

_OPEN = tuple(state.value for state in State if not state.is_final)


def key_of(name: str) -> str:
    """A name as it is compared: case and spaces do not count."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())[:80]


def get(connection: Connection, schedule_id: int) -> Schedule | None:
    """The one of this number, or None."""
    return _one(connection, select(t.schedules).where(t.schedules.c.id == schedule_id))


def find(connection: Connection, name: str) -> Schedule | None:
    """The one of this name, or of this number (`7`, `#7`); None where there is none."""
    number = name.removeprefix("#")
    if number.isascii() and number.isdigit():
        return get(connection, int(number)) if len(number) <= 15 else None
    return _one(connection, select(t.schedules).where(t.schedules.c.key == key_of(name)))


def every(connection: Connection) -> list[Schedule]:
    """All of them, by name."""
    return [_schedule(row) for row in connection.execute(select(t.schedules).order_by(t.schedules.c.key))]


def upcoming(connection: Connection, *, limit: int = 5) -> list[Schedule]:
    """Those that fire next, the soonest first. One that is paused is none of them."""
    rows = connection.execute(_by_time(limit))
    return [_schedule(row) for row in rows]


def due(connection: Connection, now: datetime, *, limit: int = 1_000) -> list[Schedule]:
    """Those whose moment has come, the oldest first."""
    return [_schedule(row) for row in connection.execute(_by_time(limit).where(t.schedules.c.next_at <= now))]


def _by_time(limit: int) -> Select[Any]:
    c = t.schedules.c
    return select(t.schedules).where(c.next_at.is_not(None)).order_by(c.next_at, c.id).limit(limit)


def count(connection: Connection) -> int:
    """How many there are."""
    return int(connection.scalar(select(func.count()).select_from(t.schedules)) or 0)


def add(connection: Connection, schedule: Schedule) -> Schedule:
    """Keep a new one; the one that is kept has a number of its own."""
    row = connection.execute(insert(t.schedules).values(**_values(schedule)).returning(t.schedules)).one()
    return _schedule(row)


def change(connection: Connection, schedule: Schedule) -> Schedule:
    """Keep what it is now; its revision grows."""
    row = connection.execute(
        update(t.schedules)
        .where(t.schedules.c.id == schedule.id)
        .values(**{**_values(schedule), "revision": t.schedules.c.revision + 1})
        .returning(t.schedules)
    ).one()
    return _schedule(row)


def remove(connection: Connection, schedule_id: int) -> None:
    """Forget it, with the consent to it; its firings stay."""
    remove_standing(connection, schedule_id)
    connection.execute(delete(t.schedules).where(t.schedules.c.id == schedule_id))


# --- firings ----------------------------------------------------------------------------------------------------------


def claim(connection: Connection, schedule: Schedule, *, next_at: datetime | None) -> bool:
    """Move it on to its next moment; False where somebody else did, or where it is not what it was any more."""
    c = t.schedules.c
    moved = connection.execute(
        update(t.schedules)
        .where(c.id == schedule.id, c.revision == schedule.revision, c.next_at == schedule.next_at)
        .values(next_at=next_at)
    )
    return moved.rowcount == 1


def firing(connection: Connection, schedule_id: int, due_at: datetime) -> Firing | None:
    """What became of this moment, or None."""
    c = t.firings.c
    row = connection.execute(select(t.firings).where(c.schedule_id == schedule_id, c.due_at == due_at)).first()
    return None if row is None else _firing(row)


def keep_firing(connection: Connection, kept: Firing) -> None:
    """Keep it. Its moment must not have been kept before."""
    connection.execute(insert(t.firings).values(**{**vars(kept), "outcome": kept.outcome.value}))


def firing_of(connection: Connection, execution_id: int) -> Firing | None:
    """The firing that this execution came of, or None."""
    row = connection.execute(select(t.firings).where(t.firings.c.execution_id == execution_id)).first()
    return None if row is None else _firing(row)


def firings(connection: Connection, schedule_id: int, *, limit: int = 5) -> list[Firing]:
    """The newest of one schedule."""
    c = t.firings.c
    rows = connection.execute(
        select(t.firings).where(c.schedule_id == schedule_id).order_by(c.due_at.desc()).limit(limit)
    )
    return [_firing(row) for row in rows]


def unfinished(connection: Connection, schedule_id: int) -> int | None:
    """The newest execution of this schedule, if it has not ended; as nothing overlaps, those before it have."""
    c = t.firings.c
    newest = (
        select(c.execution_id)
        .where(c.schedule_id == schedule_id, c.execution_id.is_not(None))
        .order_by(c.due_at.desc())
        .limit(1)
    )
    found: int | None = connection.scalar(
        select(t.executions.c.id).where(t.executions.c.id == newest.scalar_subquery(), t.executions.c.state.in_(_OPEN))
    )
    return found


def prune(connection: Connection, *, before: datetime, limit: int = 2_000) -> int:
    """Forget firings older than that, a batch; how many. Their executions and the audit stay."""
    c = t.firings.c
    old = connection.execute(select(c.schedule_id, c.due_at).where(c.at < before).order_by(c.at).limit(limit)).all()
    for row in old:
        connection.execute(delete(t.firings).where(c.schedule_id == row.schedule_id, c.due_at == row.due_at))
    return len(old)


# --- consent to all firings of one ------------------------------------------------------------------------------------


def standing(connection: Connection, schedule_id: int) -> StandingApproval | None:
    """The consent to every firing of this schedule, or None."""
    c = t.standing_approvals.c
    row = connection.execute(select(t.standing_approvals).where(c.schedule_id == schedule_id)).first()
    return None if row is None else _standing(row)


def standing_of(connection: Connection, execution_id: int) -> StandingApproval | None:
    """The consent to every firing of the schedule that this execution came of, as it is now; or None."""
    row = connection.execute(
        select(t.standing_approvals)
        .join(t.firings, t.firings.c.schedule_id == t.standing_approvals.c.schedule_id)
        .where(t.firings.c.execution_id == execution_id)
    ).first()
    return None if row is None else _standing(row)


def put_standing(connection: Connection, given: StandingApproval) -> None:
    """Keep it in place of what was there."""
    remove_standing(connection, given.schedule_id)
    connection.execute(insert(t.standing_approvals).values(**{**vars(given), "votes": list(given.votes)}))


def remove_standing(connection: Connection, schedule_id: int) -> None:
    """Forget it."""
    connection.execute(delete(t.standing_approvals).where(t.standing_approvals.c.schedule_id == schedule_id))


# --- rows -------------------------------------------------------------------------------------------------------------


def _values(schedule: Schedule) -> Mapping[str, Any]:
    return {
        "name": schedule.name,
        "key": key_of(schedule.name),
        "text": schedule.text,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "channel": schedule.channel,
        "made_by": schedule.made_by.id,
        "made_by_name": schedule.made_by.name,
        "made_at": schedule.made_at,
        "next_at": schedule.next_at,
        "paused_by": schedule.paused_by,
        "paused_at": schedule.paused_at,
    }


def _one(connection: Connection, query: Select[Any]) -> Schedule | None:
    row = connection.execute(query).first()
    return None if row is None else _schedule(row)


def _schedule(row: Row[Any]) -> Schedule:
    return Schedule(
        id=row.id,
        name=row.name,
        text=row.text,
        cron=row.cron,
        timezone=row.timezone,
        channel=row.channel,
        made_by=Actor(id=row.made_by, name=row.made_by_name),
        made_at=row.made_at,
        revision=row.revision,
        next_at=row.next_at,
        paused_by=row.paused_by,
        paused_at=row.paused_at,
    )


def _firing(row: Row[Any]) -> Firing:
    return Firing(**{**row._mapping, "outcome": FiringOutcome(row.outcome)})


def _standing(row: Row[Any]) -> StandingApproval:
    return StandingApproval(**{**row._mapping, "votes": tuple(row.votes)})
