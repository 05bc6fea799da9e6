"""What holds executions back: kill switches, host locks, cooldowns, token buckets, breakers.

Budgets are *taken* here, once per execution, all or none, in the transaction that admits it. The arithmetic of the
buckets is `safety.token_bucket`'s and of the breakers `safety.circuit_breaker`'s; this module only keeps their numbers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from storage import tables as t
from storage.database import Bell, ring
from storage.prepared import Prepared
from storage.records import Actor, Breaker, BreakerState, HostLock, KillSwitch, Scope

_ENGAGED = Prepared(select(t.kill_switches).order_by(t.kill_switches.c.engaged_at))
_VERSION = Prepared(select(t.controls.c.version))
_THESE: BindParameter[list[str]] = bindparam("of_hosts", expanding=True)
_LOCKS = Prepared(select(t.host_locks).order_by(t.host_locks.c.host))
_LOCKS_OF = Prepared(_LOCKS.statement.where(t.host_locks.c.host.in_(_THESE)))
_FREE = Prepared(delete(t.host_locks).where(t.host_locks.c.execution_id == bindparam("of_id")))
_COOLDOWNS = Prepared(
    select(t.cooldowns).where(
        t.cooldowns.c.runbook == bindparam("of_runbook"),
        t.cooldowns.c.host.in_(_THESE),
        t.cooldowns.c.until > bindparam("moment"),
    )
)
_END_COOLDOWN = Prepared(
    delete(t.cooldowns).where(
        t.cooldowns.c.runbook == bindparam("of_runbook"), t.cooldowns.c.host == bindparam("of_host")
    )
)
_RETURN_COOLDOWNS = Prepared(
    delete(t.cooldowns)
    .where(t.cooldowns.c.execution_id == bindparam("of_id"), t.cooldowns.c.host.in_(_THESE))
    .returning(t.cooldowns.c.runbook, t.cooldowns.c.host, t.cooldowns.c.until)
)
_BUCKETS = Prepared(select(t.token_buckets).where(t.token_buckets.c.key.in_(bindparam("of_keys", expanding=True))))
_SET_BUCKET = Prepared(
    update(t.token_buckets).where(t.token_buckets.c.key == bindparam("of_key")).returning(t.token_buckets.c.key)
)
_ADMITTED = Prepared(select(t.admissions.c.at).where(t.admissions.c.execution_id == bindparam("of_id")))
_BREAKERS_OF = select(t.breakers).where(
    t.breakers.c.runbook.in_(bindparam("of_runbooks", expanding=True)), t.breakers.c.host.in_(_THESE)
)
_BREAKERS, _HELD_BREAKERS = Prepared(_BREAKERS_OF), Prepared(_BREAKERS_OF.with_for_update())
_END_BREAKER = Prepared(
    delete(t.breakers).where(t.breakers.c.runbook == bindparam("of_runbook"), t.breakers.c.host == bindparam("of_host"))
)
# An insert that is made anew costs more than it takes to run it.
_TAKE_LOCK = Prepared(insert(t.host_locks))
_BEGIN_COOLDOWN = Prepared(insert(t.cooldowns))
_NEW_BUCKET = Prepared(insert(t.token_buckets))
_ADMIT = {
    "sqlite": Prepared(sqlite.insert(t.admissions).on_conflict_do_nothing().returning(t.admissions.c.execution_id)),
    "postgresql": Prepared(
        postgresql.insert(t.admissions).on_conflict_do_nothing().returning(t.admissions.c.execution_id)
    ),
}
_NEW_BREAKER = Prepared(insert(t.breakers))

# --- kill switches ----------------------------------------------------------------------------------------------------


def engage(connection: Connection, switch: KillSwitch) -> KillSwitch:
    """Engage it; as it stands now. When it was engaged already, a missing reason is added.

    With `now` it is engaged anew, by whom and when, so that it also holds what began in spite of it.
    """
    key = (t.kill_switches.c.scope == switch.scope.value, t.kill_switches.c.subject == switch.subject)
    known = connection.execute(select(t.kill_switches).where(*key)).first()
    bump(connection)
    if known is not None:
        before = _switch(known)
        after = replace(before, now=before.now or switch.now, reason=before.reason or switch.reason)
        if switch.now:
            at = max(before.engaged_at, switch.engaged_at)
            after = replace(after, engaged_by=switch.engaged_by, engaged_at=at, reason=switch.reason or before.reason)
        connection.execute(
            update(t.kill_switches)
            .where(*key)
            .values(
                engaged_by=after.engaged_by.id,
                engaged_by_name=after.engaged_by.name,
                engaged_at=after.engaged_at,
                now=after.now,
                reason=after.reason,
            )
        )
        return after
    connection.execute(
        insert(t.kill_switches).values(
            scope=switch.scope.value,
            subject=switch.subject,
            engaged_by=switch.engaged_by.id,
            engaged_by_name=switch.engaged_by.name,
            engaged_at=switch.engaged_at,
            now=switch.now,
            reason=switch.reason,
        )
    )
    return switch


def release(connection: Connection, scope: Scope, subject: str) -> KillSwitch | None:
    """Release it; None when it was not engaged."""
    row = connection.execute(
        delete(t.kill_switches)
        .where(t.kill_switches.c.scope == scope.value, t.kill_switches.c.subject == subject)
        .returning(t.kill_switches)
    ).first()
    bump(connection)
    return None if row is None else _switch(row)


def mark_reminded(connection: Connection, switch: KillSwitch, now: datetime) -> None:
    """Remember that people were reminded of it."""
    connection.execute(
        update(t.kill_switches)
        .where(t.kill_switches.c.scope == switch.scope.value, t.kill_switches.c.subject == switch.subject)
        .values(reminded_at=now)
    )


def is_engaged(connection: Connection, scope: Scope, subject: str) -> bool:
    """Whether this very switch is."""
    return any((one.scope, one.subject) == (scope, subject) for one in engaged(connection))


def engaged(connection: Connection) -> list[KillSwitch]:
    """Every engaged switch, oldest first."""
    return [_switch(row) for row in _ENGAGED.all(connection)]


def _switch(row: Row[Any]) -> KillSwitch:
    return KillSwitch(
        scope=Scope(row.scope),
        subject=row.subject,
        engaged_by=Actor(id=row.engaged_by, name=row.engaged_by_name),
        engaged_at=row.engaged_at,
        now=row.now,
        reason=row.reason,
        reminded_at=row.reminded_at,
    )


def bump(connection: Connection) -> None:
    """Tell the owners, in whatever process, that switches or cancels changed."""
    ring(connection, Bell.CONTROLS)
    connection.execute(update(t.controls).values(version=t.controls.c.version + 1))


def version(connection: Connection) -> int:
    """Grows with every change owners must look at."""
    return int(_VERSION.scalar(connection) or 0)


# --- host locks -------------------------------------------------------------------------------------------------------


def take_locks(connection: Connection, execution_id: int, hosts: Collection[str], now: datetime) -> list[HostLock]:
    """Lock these hosts for an execution, all or none; returns the locks of others that are in the way.

    Nobody comes between the two statements: all that write take turns.
    """
    held = locks(connection, hosts)
    others = [lock for lock in held if lock.execution_id != execution_id]
    if others:
        return others
    mine = {lock.host for lock in held}
    for host in sorted(set(hosts) - mine):
        _TAKE_LOCK.run(connection, {"host": host, "execution_id": execution_id, "since": now})
    return []


def hand_over_locks(connection: Connection, execution_id: int, *, to: int) -> None:
    """Let another execution hold what this one holds, without a moment between in which nobody does."""
    connection.execute(update(t.host_locks).where(t.host_locks.c.execution_id == execution_id).values(execution_id=to))


def free_locks(connection: Connection, execution_id: int) -> None:
    """Let the next execution have its hosts."""
    _FREE.run(connection, {"of_id": execution_id})


def locks(connection: Connection, hosts: Collection[str] | None = None) -> list[HostLock]:
    """Who holds these hosts (or any)."""
    rows = _LOCKS.all(connection) if hosts is None else _LOCKS_OF.all(connection, {"of_hosts": sorted(hosts)})
    return [HostLock(**row._asdict()) for row in rows]


# --- budgets ----------------------------------------------------------------------------------------------------------


def cooldowns(connection: Connection, runbook: str, hosts: Collection[str], now: datetime) -> dict[str, Row[Any]]:
    """The cooldowns still running, by host: rows with `until` and `execution_id`."""
    rows = _COOLDOWNS.all(connection, {"of_runbook": runbook, "of_hosts": sorted(hosts), "moment": now})
    return {row.host: row for row in rows}


def take_cooldowns(
    connection: Connection, execution_id: int, runbook: str, hosts: Collection[str], until: datetime
) -> None:
    """Start the cooldown of a runbook on these hosts."""
    for host in sorted(hosts):
        _END_COOLDOWN.run(connection, {"of_runbook": runbook, "of_host": host})
        values = {"runbook": runbook, "host": host, "execution_id": execution_id, "until": until}
        _BEGIN_COOLDOWN.run(connection, values)


def return_cooldowns(
    connection: Connection, execution_id: int, hosts: Collection[str], *, used: Mapping[str, int]
) -> None:
    """Give back what no changing step has used.

    `used`: by host, the execution it continues that has. Its cooldown, whose place this one had taken, runs on: as long
    after its own admission as this one would have after this one's.
    """
    if not hosts:
        return
    for row in _RETURN_COOLDOWNS.all(connection, {"of_id": execution_id, "of_hosts": sorted(hosts)}):
        former = used.get(row.host)
        began, ends = _admitted_at(connection, former), _admitted_at(connection, execution_id)
        if former is not None and began is not None and ends is not None:
            values = {"runbook": row.runbook, "host": row.host, "execution_id": former}
            _BEGIN_COOLDOWN.run(connection, values | {"until": row.until - (ends - began)})


def buckets(connection: Connection, keys: Collection[str]) -> dict[str, float]:
    """The theoretical arrival times of these buckets, seconds since 1970; a missing one is full."""
    rows = _BUCKETS.all(connection, {"of_keys": sorted(keys)})
    return {row.key: row.tat for row in rows}


def set_buckets(connection: Connection, times: Mapping[str, float]) -> None:
    """Keep new arrival times."""
    for key, tat in sorted(times.items()):
        changed = _SET_BUCKET.first(connection, {"of_key": key, "tat": tat})
        if changed is None:
            _NEW_BUCKET.run(connection, {"key": key, "tat": tat})


def was_admitted(connection: Connection, execution_id: int) -> bool:
    """Whether this execution took its budgets already."""
    return _admitted_at(connection, execution_id) is not None


def _admitted_at(connection: Connection, execution_id: int | None) -> datetime | None:
    at: datetime | None = _ADMITTED.scalar(connection, {"of_id": execution_id}) if execution_id is not None else None
    return at


def admit(connection: Connection, execution_id: int, now: datetime) -> bool:
    """Whether this execution takes its budgets now; False when it did before (it is continued)."""
    values = {"execution_id": execution_id, "at": now}
    return _ADMIT[connection.dialect.name].first(connection, values) is not None


def count_refusal(connection: Connection, rule: str, now: datetime, *, within: timedelta) -> int:
    """Note that a limit refused; how often it did within this time, this one included. Older ones are forgotten."""
    connection.execute(delete(t.refusals).where(t.refusals.c.at <= now - within))
    connection.execute(insert(t.refusals).values(rule=rule[:300], at=now, alerted=False))
    counted = select(func.count()).select_from(t.refusals).where(t.refusals.c.rule == rule[:300])
    return int(connection.scalar(counted) or 0)


def was_alerted(connection: Connection, rule: str, *, since: datetime) -> bool:
    """Whether people were told of this limit's refusals since then."""
    told = select(t.refusals.c.id).where(
        t.refusals.c.rule == rule[:300], t.refusals.c.alerted.is_(True), t.refusals.c.at > since
    )
    return connection.execute(told.limit(1)).first() is not None


def mark_alerted(connection: Connection, rule: str) -> None:
    """People are told of this limit's refusals now: its newest one remembers it."""
    newest = select(func.max(t.refusals.c.id)).where(t.refusals.c.rule == rule[:300]).scalar_subquery()
    connection.execute(update(t.refusals).where(t.refusals.c.id == newest).values(alerted=True))


# --- circuit breakers -------------------------------------------------------------------------------------------------


def breakers(
    connection: Connection, runbooks: Sequence[str], hosts: Collection[str], *, hold: bool = True
) -> list[Breaker]:
    """The breakers of each of these runbooks on these hosts, one runbook after the other; never used is closed.

    `hold`: nobody else changes them until the transaction ends, which one that only reads can't ask for.
    """
    asked = _HELD_BREAKERS if hold else _BREAKERS
    rows = asked.all(connection, {"of_runbooks": list(runbooks), "of_hosts": sorted(hosts)})
    known = {(row.runbook, row.host): _breaker(row) for row in rows}
    return [known.get((runbook, host)) or Breaker(runbook=runbook, host=host) for runbook in runbooks for host in hosts]


def used_breakers(connection: Connection, *, runbook: str | None = None, host: str | None = None) -> list[Breaker]:
    """Those that are not simply closed: open, half-open, or with failures counted."""
    query = select(t.breakers).where(or_(t.breakers.c.state != BreakerState.CLOSED.value, t.breakers.c.failures > 0))
    if runbook is not None:
        query = query.where(t.breakers.c.runbook == runbook)
    if host is not None:
        query = query.where(t.breakers.c.host == host)
    return [_breaker(row) for row in connection.execute(query.order_by(t.breakers.c.runbook, t.breakers.c.host))]


def _breaker(row: Row[Any]) -> Breaker:
    return Breaker(**{**row._asdict(), "state": BreakerState(row.state)})


def set_breakers(connection: Connection, changed: Sequence[Breaker]) -> None:
    """Keep their new states."""
    for breaker in changed:
        _END_BREAKER.run(connection, {"of_runbook": breaker.runbook, "of_host": breaker.host})
        values = {
            "runbook": breaker.runbook,
            "host": breaker.host,
            "state": breaker.state.value,
            "failures": breaker.failures,
            "successes": breaker.successes,
            "opened_at": breaker.opened_at,
            "probing": breaker.probing,
            "probing_until": breaker.probing_until,
        }
        _NEW_BREAKER.run(connection, values)
