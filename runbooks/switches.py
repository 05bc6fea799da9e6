"""Kill switches, engaged and released within a transaction that the caller owns.

The engine does it in its writer, the command line in a short transaction beside it; both leave the same rows, the same
audit entry and the same announcement.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from typing import assert_never

from sqlalchemy import Connection

from runbooks.catalog import Catalog
from runbooks.inventory import Inventory
from runbooks.parameters import shown
from runbooks.progress import Reporter, SwitchEngaged, SwitchReleased, SwitchReminded
from safety import kill_switch
from storage import audit, controls, executions
from storage.errors import TooLate
from storage.records import Actor, KillSwitch, Origin, Scope, State


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a switch can be about."""

    catalog: Catalog
    inventory: Inventory

    def meant(self, scope: Scope, typed: str) -> str:
        """The subject as it is kept: an alias leads to its runbook. Raises Invalid."""
        subject = kill_switch.subject_of(scope, typed)
        return self.catalog.aliases.get(subject, subject) if scope is Scope.RUNBOOK else subject

    def doubt(self, scope: Scope, subject: str, suggested: Callable[[], "Known"]) -> str | None:
        """What to say of a name that is not known; None of one that is, and where nothing is known at all.

        Such a switch is engaged all the same: what carries the name later is held. `suggested`: what may be named.
        """
        known = self._names(scope)
        if not known or subject in known:
            return None
        near = suggested().near(scope, subject)
        meant = f"; did you mean {' or '.join(near)}?" if near else "."
        match scope:
            case Scope.GLOBAL:
                return None
            case Scope.HOST:
                return f"No host {shown(subject)} is known{meant} Nothing that is known is held."
            case Scope.RUNBOOK:
                return f"No runbook {shown(subject)} is known{meant} Nothing that is known is held."
            case Scope.TAG:
                return f"No host has the tag {shown(subject)}{meant} Nothing that is known is held."
            case Scope.SERVICE:  # any unit can be named in a request, whether a host lists it or not
                said = f"No host lists the service {shown(subject)}{meant} Only what names it is held."
                return said if near else None
            case _:
                assert_never(scope)

    def near(self, scope: Scope, subject: str) -> list[str]:
        """Names like this one."""
        if scope is Scope.RUNBOOK:
            return self.catalog.near(subject)
        return get_close_matches(subject, sorted(self._names(scope)), n=3)

    def _names(self, scope: Scope) -> frozenset[str]:
        hosts = self.inventory.hosts
        match scope:
            case Scope.GLOBAL:
                return frozenset()
            case Scope.RUNBOOK:
                return frozenset(self.catalog.entries)
            case Scope.HOST:
                return frozenset(host.name.lower() for host in hosts)
            case Scope.TAG:
                return frozenset(kill_switch.tag_names(tag for host in hosts for tag in host.tags))
            case Scope.SERVICE:
                return frozenset(kill_switch.all_service_names(unit for host in hosts for unit in host.services))
            case _:
                assert_never(scope)


def engage(
    connection: Connection,
    switch: KillSwitch,
    *,
    origin: Origin,
    channel: str | None,
    reporter: Reporter,
    now: datetime,
    doubt: str | None = None,
) -> str:
    """Nothing it covers starts any more; what to tell the person. `channel` is where it was asked, an id.

    `doubt`: what `Known.doubt` says.
    """
    fresh = not controls.is_engaged(connection, switch.scope, switch.subject)
    stands = controls.engage(connection, switch)
    audit.append(
        connection,
        at=now,
        kind="killswitch.engaged" if fresh else "killswitch.engaged_again",
        actor=switch.engaged_by,
        origin=origin,
        scope=switch.scope.value,
        subject=switch.subject,
        now=switch.now,
        reason=switch.reason,
        channel=channel,
    )
    held = [
        e
        for e in executions.in_states(connection, (State.RUNNING, State.PENDING, State.AWAITING_APPROVAL))
        if kill_switch.holds(stands, e)
    ]
    running = tuple(e for e in held if e.state is State.RUNNING)
    waiting = tuple(e for e in held if e.state is not State.RUNNING)
    event = SwitchEngaged(switch=stands, actor=switch.engaged_by, running=running, waiting=waiting, channel=channel)
    reporter.report(connection, event, now)
    starts = "Nothing new starts." if switch.scope is Scope.GLOBAL else f"Nothing new starts for {switch.words}."
    said = f"The kill switch ({switch.words}) is {'engaged' if fresh else 'engaged already'}. "
    said += f"{_stopping(len(running), now=stands.now)}. " if running else ""
    said += doubt or starts
    said += _spared(connection, stands)
    if stands.reason is None:
        said += f" Why? `/killswitch {switch.words} on REASON` adds it."
    return said


def _stopping(number: int, *, now: bool) -> str:
    """What becomes of so many executions that run."""
    if number == 1:
        return f"1 running execution {'is being ended now' if now else 'stops after its current step'}"
    return f"{number} running executions {'are being ended now' if now else 'stop after their current step'}"


def _spared(connection: Connection, switch: KillSwitch) -> str:
    """What runs in spite of it, and what would end that."""
    running = executions.in_states(connection, (State.RUNNING,))
    spared = [
        f"#{one.id}"
        for one in running
        if not kill_switch.holds(switch, one) and kill_switch.holds(switch, replace(one, emergency_at=None))
    ]
    if not spared:
        return ""
    return f" An emergency runs in spite of it ({', '.join(spared)}): `/killswitch {switch.words} on --now` ends it."


def release(
    connection: Connection,
    scope: Scope,
    subject: str,
    *,
    known: Known,
    actor: Actor,
    reason: str,
    origin: Origin,
    channel: str | None,
    reporter: Reporter,
    now: datetime,
) -> str | TooLate:
    """What it held may go on; what to tell the person. TooLate, as a value, when it was not engaged."""
    exact = kill_switch.subject_of(scope, subject)
    switch = controls.release(connection, scope, exact) or controls.release(
        connection, scope, known.meant(scope, exact)
    )
    if switch is None:
        return TooLate("That kill switch is not engaged. `/killswitch status` lists those that are.")
    audit.append(
        connection,
        at=now,
        kind="killswitch.released",
        actor=actor,
        origin=origin,
        scope=scope.value,
        subject=switch.subject,
        reason=reason,
        channel=channel,
    )
    reporter.report(connection, SwitchReleased(switch=switch, actor=actor, reason=reason, channel=channel), now)
    return f"The kill switch ({switch.words}) is off. Waiting approvals can be given again."


def remind(connection: Connection, *, reporter: Reporter, now: datetime) -> int:
    """Tell of each switch that was engaged, or told of, an hour ago; how many. Whoever comes first does it."""
    due = [switch for switch in controls.engaged(connection) if kill_switch.is_due(switch, now)]
    for switch in due:
        controls.mark_reminded(connection, switch, now)
        reporter.report(connection, SwitchReminded(switch=switch), now)
    return len(due)
