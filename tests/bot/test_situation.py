"""The card is read from rows: the same at any later moment, in any process, on either database."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection, insert

from bot.situation import situation_of
from runbooks import Run
from runbooks.plans import HostPlan, StoredPlan, to_json
from storage import approvals, controls, executions
from storage import tables as t
from storage.database import Database
from storage.records import (
    ApprovalState,
    Consent,
    Danger,
    Execution,
    Origin,
    Phase,
    Priority,
    State,
    StepState,
)
from tests.builders import BOB
from tests.fakes import START

PLAN = to_json(
    StoredPlan(
        hosts=(
            HostPlan(
                host="web-01",
                facts={},
                steps=(Run("Touch", "touch", "/tmp/x", undo=Run("Undo", "rm", "/tmp/x")),),
            ),
        )
    )
)


def ran(
    connection: Connection, state: State, *, seconds: float = 10, hosts: tuple[str, ...] = ("web-01",)
) -> Execution:
    """One that began at the start, and ended so many seconds later if it has ended."""
    made = executions.create(
        connection,
        runbook="easy",
        params={},
        hosts=hosts,
        services=(),
        danger=Danger.LOW,
        actor=BOB,
        origin=Origin.COMMAND,
        channel="C0INC",
        text="easy",
        normalised=None,
        reason=None,
        dry_run=False,
        priority=Priority.NORMAL,
        state=state,
        timeout=timedelta(minutes=5),
        now=START,
    )
    ended_at = START + timedelta(seconds=seconds) if state.is_final else None
    return executions.set_values(connection, made.id, started_at=START, ended_at=ended_at)


async def test_usual_is_the_median_of_what_succeeded_before_on_as_many_hosts(database: Database) -> None:
    for seconds in (10, 30, 50):
        await database.write(ran, State.SUCCEEDED, seconds=seconds)
    await database.write(ran, State.FAILED, seconds=1)
    await database.write(ran, State.SUCCEEDED, seconds=900, hosts=("web-01", "web-02"))
    now = await database.write(ran, State.RUNNING)
    await database.write(ran, State.SUCCEEDED, seconds=1)  # asked for later
    assert (await database.read(situation_of, now)).usual == timedelta(seconds=30)
    assert (await database.read(situation_of, replace(now, id=1))).usual is None
    alone = replace(now, hosts=("web-01", "web-02", "web-03"))
    assert (await database.read(situation_of, alone)).usual is None


async def test_what_an_ended_one_offers_and_shows_is_in_its_rows(database: Database) -> None:
    failed = await database.write(ran, State.FAILED)

    def happened(connection: Connection) -> Execution:
        approvals.ask(
            connection,
            failed.id,
            fingerprint="f" * 64,
            kind=Consent.APPROVE,
            now=START,
            expire=timedelta(minutes=15),
        )
        approvals.decide(connection, failed.id, to=ApprovalState.GIVEN, by="UCAROL", now=START)
        connection.execute(
            insert(t.step_runs).values(
                execution_id=failed.id,
                host="web-01",
                step="1",
                attempt=1,
                title="Touch",
                changing=True,
                sent=True,
                state=StepState.SUCCEEDED.value,
                started_at=START,
                lines=7,
            )
        )
        return executions.set_values(connection, failed.id, plan=PLAN, fingerprint="f" * 64)

    planned = await database.write(happened)
    found = await database.read(situation_of, planned)
    assert (found.undoable, found.retriable, found.resumable, found.printed) == (True, True, False, 7)
    assert found.approval is not None
    assert found.approval.decided_by == "UCAROL"
    assert [host.host for host in found.hosts] == ["web-01"]
    other = {"hosts": [{"host": "web-01", "facts": {}, "steps": [{"kind": "run"}]}]}
    await database.write(executions.set_values, failed.id, plan=other)
    assert not (await database.read(situation_of, planned)).undoable
    await database.write(executions.set_values, failed.id, plan=PLAN)
    succeeded = await database.read(situation_of, replace(planned, state=State.SUCCEEDED))
    assert (succeeded.undoable, succeeded.retriable) == (True, False)
    back = await database.read(situation_of, replace(planned, state=State.ROLLED_BACK))
    assert (back.undoable, back.retriable) == (False, False)


async def test_who_waits_for_a_lock_shows_whose_it_is(database: Database) -> None:
    holder = await database.write(ran, State.INTERRUPTED)
    waits = await database.write(ran, State.PENDING)
    await database.write(controls.take_locks, holder.id, ["web-01"], START)
    waits = replace(waits, phase=Phase.APPLY, note="waiting: web-01 is held")
    found = await database.read(situation_of, waits)
    assert [lock.host for lock in found.locks] == ["web-01"]
    assert [one.id for one in found.holders] == [holder.id]
    assert (await database.read(situation_of, replace(waits, note=None))).locks == ()
