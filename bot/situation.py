"""What the card shows beside the execution itself, read from its rows at whatever moment it is asked for."""

from sqlalchemy import Connection

from bot.cards import Situation
from runbooks.ending import plan_of
from runbooks.rollback import rollback_plan, way_back
from storage import approvals, controls, executions
from storage.records import Execution, HostLock, Phase, State

_RETRIABLE = {State.FAILED, State.TIMED_OUT, State.CANCELLED}
_UNDOABLE = {State.SUCCEEDED, State.FAILED, State.TIMED_OUT, State.CANCELLED, State.INTERRUPTED}


def situation_of(connection: Connection, execution: Execution) -> Situation:
    """As it stands now: the same rows give the same card, whichever process reads them and however late."""
    started = execution.started_at is not None
    stopped = execution.state.is_final or execution.state is State.INTERRUPTED
    locks = _in_the_way(connection, execution)
    holders = (executions.find(connection, number) for number in dict.fromkeys(lock.execution_id for lock in locks))
    back = way_back(connection, execution.id) if stopped and started else None
    return Situation(
        hosts=tuple(executions.hosts_of(connection, execution.id)),
        approval=approvals.latest(connection, execution.id),
        locks=locks,
        holders=tuple(holder for holder in holders if holder is not None),
        resumable=execution.state is State.INTERRUPTED and execution.fingerprint is not None,
        undoable=started and _is_undoable(connection, execution),
        retriable=started and back is None and _is_retriable(connection, execution),
        way_back=back,
        usual=executions.usual_for(connection, execution) if started else None,
        printed=executions.printed(connection, execution.id) if stopped and started else 0,
    )


def _in_the_way(connection: Connection, execution: Execution) -> tuple[HostLock, ...]:
    """The locks of others, where it says that it waits for something."""
    if execution.state is not State.PENDING or execution.phase is not Phase.APPLY or not execution.note:
        return ()
    held = controls.locks(connection, execution.hosts)
    return tuple(lock for lock in held if lock.execution_id != execution.id)


def _is_retriable(connection: Connection, execution: Execution) -> bool:
    """A rollback is, as long as what it was to take back is not taken back yet, and nothing is about to."""
    if execution.state not in _RETRIABLE:
        return False
    if execution.rolls_back is None:
        return True
    original = executions.get(connection, execution.rolls_back)
    return original.state is not State.ROLLED_BACK and way_back(connection, original.id) is None


def _is_undoable(connection: Connection, execution: Execution) -> bool:
    if execution.state not in _UNDOABLE:
        return False
    plan = plan_of(connection, execution)
    return plan is not None and rollback_plan(connection, execution, plan) is not None
