"""Incidents: each with its channel, how far that is set up, and its own history."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, insert, or_, select, update

from storage import executions
from storage import tables as t
from storage.database import moment
from storage.records import (
    Actor,
    Execution,
    Incident,
    IncidentChange,
    IncidentEntry,
    IncidentStatus,
    Origin,
)

_I = t.incidents.c
_OPEN = _I.status != IncidentStatus.RESOLVED.value


def create(
    connection: Connection,
    *,
    name: str,
    title: str,
    severity: int,
    service: str | None,
    opened_by: Actor,
    origin: Origin,
    now: datetime,
    asked_in: str | None,
    channel: str | None,
    wants_channel: bool,
    to_invite: Sequence[str],
) -> Incident:
    """One that begins now, and whose channel is to be seen to at once."""
    row = connection.execute(
        insert(t.incidents)
        .values(
            name=name,
            title=title,
            severity=severity,
            service=service,
            status=IncidentStatus.INVESTIGATING.value,
            opened_by=opened_by.id,
            opened_by_name=opened_by.name,
            origin=origin.value,
            opened_at=now,
            asked_in=asked_in,
            channel=channel,
            wants_channel=wants_channel,
            to_invite=list(to_invite),
            due_at=moment(connection, now),
        )
        .returning(t.incidents)
    ).one()
    return _incident(row)


def find(connection: Connection, incident_id: int, *, hold: bool = False) -> Incident | None:
    """One incident, or None. `hold`: nobody else changes it until the transaction ends."""
    query = select(t.incidents).where(_I.id == incident_id)
    row = connection.execute(query.with_for_update() if hold else query).first()
    return None if row is None else _incident(row)


def of_channel(connection: Connection, channel: str | None, *, hold: bool = False) -> Incident | None:
    """The open incident that this channel is about; without one, the newest that it was about; else None."""
    if channel is None:
        return None
    query = select(t.incidents).where(_I.channel == channel).order_by(_OPEN.desc(), _I.id.desc()).limit(1)
    row = connection.execute(query.with_for_update() if hold else query).first()
    return None if row is None else _incident(row)


def unresolved(connection: Connection, limit: int = 200) -> list[Incident]:
    """Those that are dealt with, the worst first, then the oldest."""
    rows = connection.execute(select(t.incidents).where(_OPEN).order_by(_I.severity, _I.id).limit(limit))
    return [_incident(row) for row in rows]


def newest(connection: Connection, limit: int = 20) -> list[Incident]:
    """The newest of all, newest first."""
    return [_incident(row) for row in connection.execute(select(t.incidents).order_by(_I.id.desc()).limit(limit))]


def has_name(connection: Connection, name: str) -> bool:
    """Whether an incident uses this channel name, or did."""
    return connection.execute(select(_I.id).where(_I.name == name)).first() is not None


def change(connection: Connection, incident_id: int, *, now: datetime, **values: Any) -> Incident:
    """The incident with these columns changed, which its headline is to show and its channel may have to be told."""
    seen = {"version": _I.version + 1, "due_at": moment(connection, now), "attempts": 0}
    return set_values(connection, incident_id, **seen, **values)


def set_values(connection: Connection, incident_id: int, /, **values: Any) -> Incident:
    """The incident with these columns changed."""
    row = connection.execute(
        update(t.incidents).where(_I.id == incident_id).values(**values).returning(t.incidents)
    ).one()
    return _incident(row)


# --- seeing to its channel --------------------------------------------------------------------------------------------


def due(connection: Connection, now: datetime, limit: int = 20) -> list[int]:
    """The ids of those that are to be seen to, the longest waiting first."""
    at = moment(connection, now)
    query = select(_I.id).where(_I.due_at.is_not(None), _I.due_at <= at).order_by(_I.due_at).limit(limit)
    return list(connection.scalars(query))


def claim(connection: Connection, incident_id: int, *, now: datetime, lease: timedelta) -> Incident | None:
    """Whoever gets it sees to it, until the lease is over; None when somebody else does, or nothing is left to do."""
    at = moment(connection, now)
    row = connection.execute(
        update(t.incidents)
        .where(_I.id == incident_id, _I.due_at.is_not(None), _I.due_at <= at)
        .values(due_at=at + lease)
        .returning(t.incidents)
    ).first()
    return None if row is None else _incident(row)


def again(
    connection: Connection, incident_id: int, *, now: datetime, after: timedelta | None, attempts: int = 0
) -> None:
    """To be seen to after so long; `after` None: nothing is left to do until it changes."""
    due_at = None if after is None else moment(connection, now) + after
    set_values(connection, incident_id, due_at=due_at, attempts=attempts)


def release_all(connection: Connection, now: datetime) -> None:
    """Whoever saw to some of them is dead."""
    connection.execute(update(t.incidents).where(_I.due_at.is_not(None)).values(due_at=moment(connection, now)))


def headline_waits(connection: Connection, message_id: str, now: datetime) -> None:
    """The headline that could not be said, this message, is to be said after all: where it stands is seen to again."""
    anew = {"headline_ts": None, "headline_channel": None, "pinned": False}
    due_at = moment(connection, now)
    connection.execute(
        update(t.incidents).where(_I.headline_id == message_id).values(due_at=due_at, attempts=0, **anew)
    )


# --- its history ------------------------------------------------------------------------------------------------------


def add_entry(
    connection: Connection, incident_id: int, *, at: datetime, actor: Actor, change: IncidentChange, text: str
) -> int:
    """One more line; its number. The caller holds the incident."""
    newest = newest_entry(connection, incident_id)
    connection.execute(
        insert(t.incident_entries).values(
            incident_id=incident_id,
            seq=newest + 1,
            at=at,
            actor=actor.id,
            actor_name=actor.name,
            change=change.value,
            text=text,
        )
    )
    return newest + 1


def entries(connection: Connection, incident_id: int, *, after: int = 0, limit: int = 1_000) -> list[IncidentEntry]:
    """Its own history, oldest first."""
    e = t.incident_entries.c
    rows = connection.execute(
        select(t.incident_entries).where(e.incident_id == incident_id, e.seq > after).order_by(e.seq).limit(limit)
    )
    return [_entry(row) for row in rows]


def newest_entry(connection: Connection, incident_id: int) -> int:
    """The number of the last line of its history; 0 for none."""
    e = t.incident_entries.c
    return connection.scalar(select(func.max(e.seq)).where(e.incident_id == incident_id)) or 0


def executions_of(connection: Connection, incident: Incident, limit: int = 200) -> list[Execution]:
    """What was asked for in its channel while it was open, the newest of it, oldest first."""
    if incident.channel is None:
        return []
    return executions.in_channel(
        connection, incident.channel, since=incident.opened_at, until=incident.resolved_at, limit=limit
    )


def count_executions_of(connection: Connection, incident: Incident) -> int:
    """How many those are in all."""
    if incident.channel is None:
        return 0
    return executions.count_in_channel(
        connection, incident.channel, since=incident.opened_at, until=incident.resolved_at
    )


def of_execution(connection: Connection, execution: Execution) -> Incident | None:
    """The incident an execution belongs to: its channel was about it when it was asked for."""
    if execution.channel is None:
        return None
    row = connection.execute(
        select(t.incidents)
        .where(
            _I.channel == execution.channel,
            _I.opened_at <= execution.created_at,
            or_(_I.resolved_at.is_(None), _I.resolved_at >= execution.created_at),
        )
        .order_by(_I.id.desc())
        .limit(1)
    ).first()
    return None if row is None else _incident(row)


def _incident(row: Row[Any]) -> Incident:
    values = dict(row._mapping)
    opened_by = Actor(id=values.pop("opened_by"), name=values.pop("opened_by_name"))
    values |= {
        "status": IncidentStatus(row.status),
        "origin": Origin(row.origin),
        "roles": dict(row.roles),
        "to_invite": tuple(row.to_invite),
    }
    return Incident(opened_by=opened_by, **values)


def _entry(row: Row[Any]) -> IncidentEntry:
    return IncidentEntry(
        incident_id=row.incident_id,
        seq=row.seq,
        at=row.at,
        actor=Actor(id=row.actor, name=row.actor_name),
        change=IncidentChange(row.change),
        text=row.text,
    )
