"""Kill switches, engaged and released within a transaction that the caller owns.

The engine does it in its writer, the command line in a short transaction beside it; both leave the same rows, the same
audit entry and the same announcement.
"""

from datetime import datetime

from sqlalchemy import Connection

from runbooks.progress import Reporter, SwitchEngaged, SwitchReleased, SwitchReminded
from safety import kill_switch
from storage import audit, controls, executions
from storage.errors import TooLate
from storage.records import Actor, KillSwitch, Origin, Scope, State


def engage(
    connection: Connection,
    switch: KillSwitch,
    *,
    origin: Origin,
    channel: str | None,
    reporter: Reporter,
    now: datetime,
) -> str:
    """Nothing it covers starts any more; what to tell the person. `channel` is where it was asked, an id."""
    fresh = controls.engage(connection, switch)
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
        if kill_switch.holds(switch, e)
    ]
    running = tuple(e for e in held if e.state is State.RUNNING)
    waiting = tuple(e for e in held if e.state is not State.RUNNING)
    event = SwitchEngaged(switch=switch, actor=switch.engaged_by, running=running, waiting=waiting, channel=channel)
    reporter.report(connection, event, now)
    starts = "nothing new starts" if switch.scope is Scope.GLOBAL else f"nothing new starts for {switch.words}"
    how = "be ended now" if switch.now else "stop after the current step"
    count = f"{len(running)} running {'execution' if len(running) == 1 else 'executions'}"
    said = f"The kill switch ({switch.words}) is {'engaged' if fresh else 'engaged already'}. "
    said += f"{count} will {how}; {starts}." if running else f"N{starts[1:]}."
    if switch.reason is None:
        said += f" Why? `/killswitch {switch.words} on REASON` adds it."
    return said


def release(
    connection: Connection,
    scope: Scope,
    subject: str,
    *,
    actor: Actor,
    reason: str,
    origin: Origin,
    channel: str | None,
    reporter: Reporter,
    now: datetime,
) -> str | TooLate:
    """What it held may go on; what to tell the person. TooLate, as a value, when it was not engaged."""
    switch = controls.release(connection, scope, kill_switch.subject_of(scope, subject))
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
