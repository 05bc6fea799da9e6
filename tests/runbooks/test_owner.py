"""Owners of executions: leases, fences, who is claimed first, and what becomes of what a dead one left."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, update
from structlog.testing import capture_logs

from runbooks import Danger, Facts, Parameters, Plan, Run, Runbook
from runbooks.owner import LEASE, OVERDUE, RENEW, SILENCE, SURE, Owner
from runbooks.plans import HostPlan, StoredPlan
from runbooks.progress import Event, ExecutionContinued, ExecutionEnded, ExecutionInterrupted, PlanMade
from runbooks.remote import Ended, Finished
from storage import controls, executions
from storage import tables as t
from storage.database import Bell, Database, moment, ring
from storage.errors import LeaseLost, StorageUnavailable, TooLate
from storage.records import Execution, HostState, KillSwitch, Origin, Phase, Priority, Scope, State, StepRun, StepState
from tests.builders import BOB, House, a_house, admit, catalog_with
from tests.fakes import START, FakeClock, FakeRemote, Reply

SECOND = timedelta(seconds=1)
only_on_postgresql = pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)


class Touching(Runbook):
    """Touches something, once."""

    name, danger, cooldown = "touching", Danger.LOW, timedelta(0)

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """One change that may not be repeated."""
        return Plan(Run("Touch", "touch", "/tmp/a"))


class Looking(Runbook):
    """Touches nothing, in the end."""

    name, danger, cooldown = "syncing", Danger.LOW, timedelta(0)

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """One change that may be repeated."""
        return Plan(Run("Touch", "touch", "/tmp/b", idempotent=True))


CATALOG = catalog_with(Touching, Looking)
TOUCH = {"touch": Reply()}


def pending(
    connection: Connection,
    *,
    priority: Priority = Priority.NORMAL,
    queued: float = 0,
    hosts: tuple[str, ...] = ("web-01",),
    phase: Phase = Phase.PLAN,
    danger: Danger = Danger.LOW,
) -> int:
    """An execution that waits to be claimed, queued so many seconds after the start."""
    values: dict[str, Any] = {
        "params": {}, "services": (), "actor": BOB, "channel": None, "text": "", "normalised": None,
        "reason": None, "dry_run": False, "timeout": timedelta(minutes=5),
    }  # fmt: skip
    made = executions.create(
        connection,
        runbook="touching",
        hosts=hosts,
        danger=danger,
        origin=Origin.COMMAND,
        priority=priority,
        state=State.PENDING,
        now=START + queued * SECOND,
        **values,
    )
    executions.set_values(connection, made.id, phase=phase.value)
    return made.id


def claim(
    connection: Connection, *, at: float = 0, owner: str = "us", limit: int = 10, carried: tuple[int, ...] = ()
) -> list[Execution]:
    """What an owner gets at that second."""
    now = START + at * SECOND
    return executions.claim(connection, owner=owner, now=now, lease=LEASE, limit=limit, carried=carried)


# --- claims -----------------------------------------------------------------------------------------------------------


async def test_the_highest_priority_is_claimed_first_and_then_who_waits_longest(database: Database) -> None:
    late = await database.write(pending, priority=Priority.NORMAL, queued=9)
    low = await database.write(pending, priority=Priority.LOW, queued=0)
    early = await database.write(pending, priority=Priority.NORMAL, queued=3)
    high = await database.write(pending, priority=Priority.HIGH, queued=20)
    claimed = [await database.write(claim, at=30, limit=1) for _ in range(4)]
    assert [one[0].id for one in claimed] == [high, early, late, low]
    assert await database.write(claim, at=30) == []


async def test_a_claim_is_a_lease_under_a_new_epoch(database: Database) -> None:
    await database.write(pending)
    [first] = await database.write(claim)
    assert (first.owner, first.epoch, first.lease_until) == ("us", 1, START + LEASE)
    assert await database.write(claim, at=LEASE.total_seconds(), owner="them") == []
    [second] = await database.write(claim, at=LEASE.total_seconds() + 0.1, owner="them")
    assert (second.id, second.owner, second.epoch) == (first.id, "them", 2)


async def test_of_two_owners_one_gets_it(database: Database) -> None:
    for _ in range(5):
        await database.write(pending)
    ours, theirs = await asyncio.gather(
        database.write(claim, owner="us", limit=3), database.write(claim, owner="them", limit=3)
    )
    ids = [execution.id for execution in (*ours, *theirs)]
    assert len(ids) == len(set(ids)) == 5


async def test_nothing_is_claimed_without_room_for_it(database: Database) -> None:
    await database.write(pending)
    assert await database.write(claim, limit=0) == []


async def test_what_waits_for_a_host_is_not_claimed_until_the_lock_is_free(database: Database) -> None:
    holder = await database.write(pending, hosts=("web-01",))
    await database.write(claim)
    await database.write(controls.take_locks, holder, ("web-01",), START)
    blocked = await database.write(pending, hosts=("web-02", "web-01"), phase=Phase.APPLY)
    planning = await database.write(pending, hosts=("web-01",), phase=Phase.PLAN)
    reading = await database.write(pending, hosts=("web-01",), phase=Phase.APPLY, danger=Danger.READ)
    elsewhere = await database.write(pending, hosts=("web-03",), phase=Phase.APPLY)
    assert [e.id for e in await database.write(claim)] == [planning, reading, elsewhere]
    await database.write(controls.free_locks, holder)
    assert [e.id for e in await database.write(claim)] == [blocked]


# --- leases and fences ------------------------------------------------------------------------------------------------


async def test_a_lease_is_renewed_only_by_the_owner_and_epoch_that_hold_it(database: Database) -> None:
    await database.write(pending)
    [held] = await database.write(claim)

    def renew(connection: Connection, owner: str, epoch: int) -> set[int]:
        epochs = {held.id: epoch}
        return executions.renew(connection, owner=owner, epochs=epochs, now=START + 3 * SECOND, lease=LEASE)

    assert await database.write(renew, "them", held.epoch) == set()
    assert await database.write(renew, "us", held.epoch + 1) == set()
    assert (await database.read(executions.get, held.id)).lease_until == START + LEASE
    assert await database.write(renew, "us", held.epoch) == {held.id}
    assert (await database.read(executions.get, held.id)).lease_until == START + 3 * SECOND + LEASE


async def running(database: Database, *, owner_lives: float = 6) -> Execution:
    """A running execution whose lease lasts so many seconds from the start."""
    entry = CATALOG.get("touching")
    plan = StoredPlan(hosts=(HostPlan(host="web-01", steps=(Run("Touch", "touch", "/tmp/a"),), facts={}),))
    made = await database.write(admit, entry, plan, now=START)
    until = START + owner_lives * SECOND
    return await database.write(_set, made.id, {"lease_until": until, "owner": "frozen"})


def _set(connection: Connection, execution_id: int, values: dict[str, Any]) -> Execution:
    return executions.set_values(connection, execution_id, **values)


def step_of(execution: Execution, *, state: StepState = StepState.STARTED, attempt: int = 1) -> StepRun:
    """Its only step."""
    return StepRun(
        execution_id=execution.id,
        host="web-01",
        step="1",
        attempt=attempt,
        title="Touch",
        state=state,
        started_at=START,
        ended_at=None if state is StepState.STARTED else START,
    )


LATE_WRITES: dict[str, Callable[[Connection, Execution], Any]] = {
    "begin a step": lambda connection, execution: executions.begin_step(
        connection, step_of(execution, attempt=2), execution=execution, services=(), tags=(), words="Touch"
    ),
    "end a step": lambda connection, execution: (
        executions.end_step(connection, step_of(execution, state=StepState.SUCCEEDED)),
        executions.count(connection, execution, 1),
    ),
    "end it": lambda connection, execution: executions.move(
        connection,
        execution.id,
        leaving=(State.RUNNING,),
        to=State.SUCCEEDED,
        now=START,
        epoch=execution.epoch,
    ),
    "finish a host": lambda connection, execution: (
        executions.count(connection, execution, 1),
        executions.set_host(connection, execution.id, "web-01", state=HostState.SUCCEEDED),
    ),
    "set a value": lambda connection, execution: executions.set_values(
        connection, execution.id, epoch=execution.epoch, note="late"
    ),
    "hold it": lambda connection, execution: executions.hold(connection, execution.id, execution.epoch),
}


async def test_a_frozen_owner_that_wakes_up_changes_nothing(database: Database) -> None:
    execution = await running(database)

    def begin(connection: Connection) -> bool:
        return executions.begin_step(
            connection, step_of(execution), execution=execution, services=(), tags=(), words="Touch"
        )

    assert await database.write(begin)
    await database.write(executions.seize, execution)

    async def everything() -> Any:
        return (
            await database.read(executions.get, execution.id),
            await database.read(executions.steps_of, execution.id),
            await database.read(executions.hosts_of, execution.id),
        )

    before = await everything()
    for what, write in LATE_WRITES.items():
        with pytest.raises(LeaseLost):
            await database.write(write, execution)
        assert await everything() == before, what


async def test_a_step_is_marked_once_and_the_same_one_again_is_told_so(database: Database) -> None:
    execution = await running(database)
    step = step_of(execution)

    async def begun(step: StepRun) -> bool:
        return await database.write(
            executions.begin_step, step, execution=execution, services=(), tags=(), words="Touch"
        )

    switch = KillSwitch(
        scope=Scope.GLOBAL, subject="", engaged_by=execution.actor, engaged_at=START, now=False, reason=None
    )
    assert await begun(step)
    assert await begun(step)  # the answer to the first was lost
    assert not await begun(replace(step, started_at=START + SECOND))  # somebody else's
    await database.write(controls.engage, switch)
    assert await begun(step)  # it was marked before the switch was engaged
    assert not await begun(replace(step, attempt=2))
    assert await database.read(executions.steps_of, execution.id) == [step]


async def test_a_step_whose_ending_is_kept_twice_is_counted_once(database: Database) -> None:
    execution = await running(database)
    step = step_of(execution)
    await database.write(executions.begin_step, step, execution=execution, services=(), tags=(), words="Touch")
    ended = replace(step, state=StepState.SUCCEEDED, ended_at=START + SECOND, exit_status=0)
    for _ in range(2):  # the answer to the first was lost
        await database.write(executions.end_step, ended)
        await database.write(executions.count, execution, 1)
    assert (await database.read(executions.get, execution.id)).steps_done == 1
    assert await database.read(executions.steps_of, execution.id) == [ended]


async def test_only_one_takes_over_from_a_dead_owner(database: Database) -> None:
    execution = await running(database)
    results = await asyncio.gather(
        *(database.write(executions.seize, execution) for _ in range(3)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["NoneType", "TooLate", "TooLate"]
    found = await database.read(executions.get, execution.id)
    assert (found.epoch, found.owner, found.lease_until) == (execution.epoch + 1, None, None)
    with pytest.raises(TooLate):
        await database.write(executions.seize, execution)


async def test_only_what_runs_under_an_expired_lease_is_ownerless(database: Database) -> None:
    execution = await running(database, owner_lives=6)
    await database.write(pending)
    look = executions.ownerless
    assert await database.read(look, now=START + 6 * SECOND) == []
    assert [e.id for e in await database.read(look, now=START + 6.1 * SECOND)] == [execution.id]
    assert await database.read(look, now=START, owners=["frozen"]) == []
    assert [e.id for e in await database.read(look, now=START, owners=["me"])] == [execution.id]


async def test_an_owner_that_renewed_between_the_look_and_the_seizure_is_not_replaced(database: Database) -> None:
    execution = await running(database)
    [seen] = await database.read(executions.ownerless, now=START + 7 * SECOND)
    epochs = {execution.id: execution.epoch}
    later = START + 7 * SECOND
    assert await database.write(executions.renew, owner="frozen", epochs=epochs, now=later, lease=LEASE) == set(epochs)
    with pytest.raises(TooLate):
        await database.write(executions.seize, seen)
    found = await database.read(executions.get, execution.id)
    assert (found.owner, found.epoch) == ("frozen", execution.epoch)


async def test_what_an_owner_carries_is_not_claimed_a_second_time(database: Database) -> None:
    first, second = await database.write(pending), await database.write(pending)
    [held] = await database.write(claim, limit=1)
    assert held.id == first
    assert [e.id for e in await database.write(claim, at=60, carried=(first,))] == [second]
    assert [e.id for e in await database.write(claim, at=60)] == [first]


# --- the owner at work ------------------------------------------------------------------------------------------------


async def pass_time(clock: FakeClock, seconds: float) -> None:
    """Let it pass in small steps, with the storage keeping up."""
    for _ in range(round(seconds / 0.1)):
        await clock.advance(0.1)
        await asyncio.sleep(0.01)


async def until(condition: Callable[[], Any], clock: FakeClock | None = None) -> None:
    """Return once it holds."""
    async with asyncio.timeout(8):
        while not condition():
            if clock is not None:
                await clock.advance(0.05)
            await asyncio.sleep(0.005)


async def test_leases_of_what_is_carried_are_renewed_while_it_runs(sqlite: Database) -> None:
    clock, held = FakeClock(), Reply(hangs=True)
    async with a_house(sqlite, replies={"touch": held}, catalog=CATALOG, clock=clock) as house:
        answer = await house.ask("touching on web-01")
        await until(lambda: house.remote.count("touch"), clock)
        await pass_time(clock, LEASE.total_seconds() + 3 * RENEW)
        found = await house.get(answer.execution.id)
        assert (found.state, found.owner) == (State.RUNNING, house.owner.id)
        assert found.lease_until > clock.now() + (LEASE - (RENEW + 1) * SECOND)
        assert house.owner.carrying == 1
        held.release.set()
        await until(lambda: not house.owner.carrying, clock)
        assert (await house.get(found.id)).state is State.SUCCEEDED


async def test_an_owner_does_not_take_itself_for_dead_after_it_could_not_renew(database: Database) -> None:
    held = Reply(hangs=True)
    async with a_house(database, replies={"touch": held}, catalog=CATALOG) as house:
        answer = await house.ask("touching on web-01")
        await house.remote.until("touch")
        long_ago = {"lease_until": house.engine.tools.clock.now() - 60 * SECOND}
        await database.write(_set, answer.execution.id, long_ago)
        house.owner._seen_since = 0.0
        await house.owner._reap()
        assert (await house.get(answer.execution.id)).state is State.RUNNING
        held.release.set()
        assert (await house.ends(answer)).state is State.SUCCEEDED


async def test_what_was_found_ownerless_before_an_outage_is_looked_at_again(database: Database) -> None:
    clock = FakeClock()
    async with a_house(database, replies=TOUCH, catalog=CATALOG, clock=clock) as house:
        await house.die()  # only its transaction is looked at here
        execution = await running(database, owner_lives=-60)
        reap = house.engine._interruptions.reap
        with pytest.raises(TooLate):
            await database.write(reap, execution, owner="another", lease=LEASE, found_at=clock.now() - 5 * SECOND)
        assert (await house.get(execution.id)).epoch == execution.epoch
        await database.write(reap, execution, owner="another", lease=LEASE, found_at=clock.now())
        assert (await house.get(execution.id)).epoch == execution.epoch + 1


@only_on_postgresql
async def test_a_dead_owner_is_given_one_whole_lease_from_when_the_database_was_seen(database: Database) -> None:
    clock = FakeClock()
    execution = await running(database, owner_lives=-60)
    async with a_house(database, replies=TOUCH, catalog=CATALOG, clock=clock) as house:
        await pass_time(clock, LEASE.total_seconds() - 0.5)
        assert (await house.get(execution.id)).epoch == execution.epoch
        await pass_time(clock, 3)
        assert (await house.get(execution.id)).epoch > execution.epoch


@only_on_postgresql
async def test_after_an_outage_everybody_has_a_whole_lease_to_come_back(database: Database) -> None:
    clock, real = FakeClock(), database.read
    async with a_house(database, replies=TOUCH, catalog=CATALOG, clock=clock) as house:
        await pass_time(clock, LEASE.total_seconds() + 1)  # seen for long enough

        async def gone(*args: Any, **kwargs: Any) -> Any:
            raise StorageUnavailable("The database does not answer (test).")

        # An outage for this process alone, which the server cannot be asked for.
        database.read = gone  # type: ignore[method-assign]
        await pass_time(clock, 2.5)
        database.read = real  # type: ignore[method-assign]
        execution = await running(database, owner_lives=0)
        await pass_time(clock, LEASE.total_seconds() - 2)
        assert (await house.get(execution.id)).epoch == execution.epoch
        await pass_time(clock, 6)
        assert (await house.get(execution.id)).epoch > execution.epoch


async def left_behind(house: House, text: str) -> int:
    """An execution in the middle of its step when its owner dies."""
    answer = await house.ask(text)
    assert answer.execution is not None
    await house.remote.until("touch")
    await until(lambda: house.reporter.events)
    await house.die()
    return answer.execution.id


async def test_at_its_start_the_only_owner_reaps_at_once(sqlite: Database) -> None:
    async with a_house(sqlite, replies={"touch": Reply(hangs=True)}, catalog=CATALOG) as house:
        execution_id = await left_behind(house, "touching on web-01")
    epoch = (await sqlite.read(executions.get, execution_id)).epoch
    clock = FakeClock()  # in which no time passes
    async with a_house(sqlite, replies=TOUCH, catalog=CATALOG, clock=clock) as house:
        await until(lambda: house.remote.attended)
        taken = await house.get(execution_id)
        assert (taken.owner, taken.epoch, taken.state) == (house.owner.id, epoch + 1, State.RUNNING)
        await until(lambda: house.reporter.of(ExecutionInterrupted), clock)
        found = await house.reaches(execution_id, State.INTERRUPTED)
        assert (found.owner, found.epoch, len(house.reporter.of(ExecutionInterrupted))) == (None, epoch + 1, 1)
        assert [s.state for s in await sqlite.read(executions.steps_of, execution_id)] == [StepState.INTERRUPTED]
        assert house.remote.ran == []


async def test_what_may_be_repeated_goes_on_by_itself_under_a_new_epoch(sqlite: Database) -> None:
    async with a_house(sqlite, replies={"touch": Reply(hangs=True)}, catalog=CATALOG) as house:
        execution_id = await left_behind(house, "syncing on web-01")
    epoch = (await sqlite.read(executions.get, execution_id)).epoch
    async with a_house(sqlite, replies=TOUCH, catalog=CATALOG) as house:
        ended = await house.reaches(execution_id)
        assert (ended.state, ended.epoch) == (State.SUCCEEDED, epoch + 1)
        assert len(house.reporter.of(ExecutionContinued)) == 1


async def test_a_claimed_but_unstarted_execution_is_let_go_for_the_next_owner(sqlite: Database) -> None:
    execution_id = await sqlite.write(pending)
    [claimed] = await sqlite.write(claim, owner="dead")
    await sqlite.write(executions.disown, owner="me")
    found = await sqlite.read(executions.get, execution_id)
    assert (found.owner, found.epoch) == (None, claimed.epoch + 1)
    [again] = await sqlite.write(claim, owner="me")
    assert again.id == execution_id


async def test_an_owner_carries_no_more_than_it_may(sqlite: Database) -> None:
    held = Reply(hangs=True)
    async with a_house(sqlite, replies={"touch": held}, catalog=CATALOG) as house:
        house.owner.at_once = 1
        first, second = await house.ask("touching on web-01"), await house.ask("touching on web-02")
        await house.remote.until("touch")
        await asyncio.sleep(0.02)
        assert (house.owner.carrying, house.remote.count("touch")) == (1, 1)
        held.release.set()
        assert (await house.ends(first)).state is (await house.ends(second)).state is State.SUCCEEDED


async def test_a_closing_owner_claims_nothing_more_and_lets_what_runs_end(sqlite: Database) -> None:
    held = Reply(hangs=True)
    async with a_house(sqlite, replies={"touch": held}, catalog=CATALOG) as house:
        first = await house.ask("touching on web-01")
        await house.remote.until("touch")
        closing = asyncio.create_task(house.owner.close(patience=5))
        await asyncio.sleep(0)
        second = await house.ask("touching on web-02")
        await asyncio.sleep(0.02)
        assert not closing.done()
        held.release.set()
        await closing
        assert (await house.ends(first)).state is State.SUCCEEDED
        assert (await house.get(second.execution.id)).state is State.PENDING


async def test_a_closing_owner_does_not_wait_for_ever(sqlite: Database) -> None:
    async with a_house(sqlite, replies={"touch": Reply(hangs=True)}, catalog=CATALOG) as house:
        answer = await house.ask("touching on web-01")
        await house.remote.until("touch")
        await house.owner.close(patience=0.01)
        assert house.owner.carrying == 0
        assert (await house.get(answer.execution.id)).state is State.RUNNING


async def test_one_bad_round_does_not_end_the_owner(sqlite: Database) -> None:
    clock = FakeClock()
    async with a_house(sqlite, replies=TOUCH, catalog=CATALOG, clock=clock) as house:
        real, rounds = house.engine.expire_approvals, iter(range(100))

        async def failing() -> Any:
            if next(rounds) == 0:
                raise RuntimeError("a bug")
            return await real()

        await house.die()
        house.engine.expire_approvals = failing
        owner = Owner(house.engine)
        house.running.append(asyncio.create_task(owner.run()))
        await until(lambda: next(rounds) > 5, clock)
        answer = await house.ask("touching on web-01")
        await until(lambda: house.remote.count("touch"), clock)
        assert answer.execution is not None


def reporting_breaks(house: House, monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    """In the transaction that tells something of this kind."""
    report = house.reporter.report

    def breaks(connection: Connection, event: Event, now: datetime) -> None:
        if isinstance(event, kind):
            raise TypeError("a bug")
        report(connection, event, now)

    monkeypatch.setattr(house.reporter, "report", breaks)


async def test_what_breaks_before_it_runs_ends_in_words_and_is_not_claimed_again(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_house(sqlite, replies=TOUCH, catalog=CATALOG) as house:
        reporting_breaks(house, monkeypatch, PlanMade)
        with capture_logs():  # putting the traceback into words takes seconds
            ended = await house.ends(await house.ask("touching on web-01"))
        assert ended.state is State.FAILED
        assert ended.ending == "Handrail itself failed here (TypeError); its log says more"
        assert (ended.epoch, house.remote.ran) == (1, [])


async def test_what_breaks_while_it_runs_is_left_to_a_person(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_house(sqlite, replies=TOUCH, catalog=CATALOG) as house:
        reporting_breaks(house, monkeypatch, ExecutionEnded)
        with capture_logs():  # putting the traceback into words takes seconds
            found = await house.ends(await house.ask("touching on web-01"))
        assert found.state is State.INTERRUPTED
        assert found.ending == "Handrail itself failed here (TypeError); its log says more"
        assert (found.owner, found.epoch) == (None, 1)
        (row,) = await sqlite.read(executions.hosts_of, found.id)
        assert row.state is HostState.INTERRUPTED
        assert [lock.execution_id for lock in await sqlite.read(controls.locks)] == [found.id]
        assert house.reporter.of(ExecutionInterrupted)


# --- several machines -------------------------------------------------------------------------------------------------


@only_on_postgresql
async def test_leases_are_counted_by_the_databases_clock_whatever_a_machine_takes_for_the_time(
    database: Database,
) -> None:
    lost = FakeClock(START - timedelta(days=900))
    async with a_house(database, replies={"touch": Reply(hangs=True)}, catalog=CATALOG, clock=lost) as house:
        answer = await house.ask("touching on web-01")
        await until(lambda: house.remote.count("touch"), lost)
        found = await house.get(answer.execution.id)
        theirs = await database.read(moment, START)
        assert timedelta(0) < found.lease_until - theirs <= LEASE


@only_on_postgresql
async def test_a_request_wakes_owners_elsewhere_at_once(database: Database, migrated_url: str) -> None:
    other = Database(migrated_url)
    await other.start()
    heard: list[Bell] = []
    listening = asyncio.create_task(other.listen(heard.append))
    try:
        await until(lambda: sorted(heard) == sorted(Bell))  # what rang before it listened
        heard.clear()
        await other.write(pending)  # its own bell
        await database.write(pending)
        await until(lambda: heard)
        assert heard == [Bell.QUEUE]
        await database.write(controls.bump)
        await until(lambda: len(heard) > 1)
        assert heard == [Bell.QUEUE, Bell.CONTROLS]
        woken = asyncio.Event()
        other.heed(Bell.OUTBOX, woken.set)
        await database.write(lambda connection: ring(connection, Bell.OUTBOX))
        await until(woken.is_set)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await other.close()


@only_on_postgresql
async def test_a_broken_line_is_listened_on_again(database: Database) -> None:
    async with a_house(database, replies=TOUCH, catalog=CATALOG) as house:
        real, calls = database.listen, []

        async def listen(heard: Callable[[Bell], None]) -> None:
            calls.append(heard)
            if len(calls) == 1:
                raise StorageUnavailable("The database ended the connection (test).")
            await real(heard)

        await house.die()
        database.listen = listen  # type: ignore[method-assign]
        owner = Owner(house.engine)
        house.running.append(asyncio.create_task(owner.run()))
        await until(lambda: len(calls) == 2)
        await asyncio.sleep(0.05)
        assert owner._seen_since is not None  # a line that broke says nothing of leases


async def test_what_a_closing_owner_leaves_is_taken_up_at_once_by_another(database: Database) -> None:
    remote = FakeRemote(replies={"touch": Reply(hangs=True)})
    async with a_house(database, remote=remote, catalog=CATALOG) as first:
        answer = await first.ask("touching on web-01")
        await remote.until("touch")
        await first.owner.close(patience=0.01)
        left = await first.get(answer.execution.id)
        now = await database.read(moment, first.engine.tools.clock.now())
        assert left.state is State.RUNNING
        assert left.owner is None
        assert left.lease_until > now  # until then, those who only serve leave it to who executes
        await first.die()
        async with a_house(database, remote=remote, catalog=CATALOG) as second:
            second.owner._seen_since = second.owner._answered = second.engine.tools.clock.monotonic() - 100
            second.owner._answered += 100  # it has been here all the time
            await second.owner._reap()
            taken = await second.get(answer.execution.id)
            assert (taken.owner, taken.state) == (second.owner.id, State.RUNNING)
            assert remote.count("touch") == 1


async def test_nobody_is_replaced_after_the_database_stood_still(sqlite: Database) -> None:
    clock = FakeClock()
    async with a_house(sqlite, replies=TOUCH, catalog=CATALOG, clock=clock) as house:
        await pass_time(clock, LEASE.total_seconds() + 1)
        assert house.owner._is_sure
        house.owner._answered = clock.monotonic() - SURE - 0.1  # it took our renewal, but has not answered since
        assert not house.owner._is_sure
        execution = await running(sqlite, owner_lives=-60)
        await house.owner._reap()
        assert (await house.get(execution.id)).epoch == execution.epoch


async def test_an_owner_that_cannot_renew_ends_what_may_be_repeated_and_runs_it_again_when_it_can(
    database: Database,
) -> None:
    ended = Finished(ended=Ended.EXITED, exit_status=143, signal="TERM")  # as its host has it
    replies = {"touch": Reply(hangs=True, left=[ended])}
    async with a_house(database, replies=replies, catalog=CATALOG) as house:
        repeatable = await house.ask("syncing on web-01")
        other = await house.ask("touching on web-02")
        await house.remote.until("touch", times=2)
        house.engine.let_go_of_what_may_be_repeated()
        await house.remote.until("touch", times=3)
        assert house.remote.ran[-1] == ("web-01", "touch /tmp/b")
        steps = await database.read(executions.steps_of, repeatable.execution.id)
        assert [(s.state, s.attempt) for s in steps] == [(StepState.INTERRUPTED, 1), (StepState.STARTED, 2)]
        replies["touch"].release.set()
        assert (await house.ends(repeatable)).state is (await house.ends(other)).state is State.SUCCEEDED
        assert house.remote.count("touch /tmp/a") == 1


async def test_what_its_owner_had_to_end_is_run_again_by_the_next_one(sqlite: Database) -> None:
    async with a_house(sqlite, replies={"touch": Reply(hangs=True)}, catalog=CATALOG) as house:
        repeatable = await left_behind(house, "syncing on web-01")
    async with a_house(sqlite, replies={"touch": Reply(hangs=True)}, catalog=CATALOG) as house:
        other = await house.ask("touching on web-02")
        await house.remote.until("touch /tmp/a")
        await house.die()
    async with a_house(sqlite, replies=TOUCH, catalog=CATALOG) as house:
        for execution_id in (repeatable, other.execution.id):
            for step in await sqlite.read(executions.steps_of, execution_id):
                house.remote.left[step.token] = [Finished(ended=Ended.EXITED, exit_status=143, signal="TERM")]
        assert (await house.reaches(repeatable)).state is State.SUCCEEDED
        assert (await house.reaches(other.execution.id)).state is State.FAILED
        assert [line for _, line in house.remote.ran] == ["touch /tmp/b"]


@only_on_postgresql
async def test_the_fence_falls_when_renewals_fail_for_too_long(database: Database) -> None:
    async with a_house(database, replies=TOUCH, catalog=CATALOG, clock=FakeClock()) as house:
        await house.die()
        fallen: list[bool] = []
        house.engine.let_go_of_what_may_be_repeated = lambda: fallen.append(True)  # type: ignore[method-assign]
        now = house.engine.tools.clock.monotonic()
        for silent_for in (0.0, SILENCE - 0.1, SILENCE + 0.1):
            house.owner._answered = now - silent_for
            await house.owner._fence()
        assert fallen == [True]


async def test_one_that_does_not_execute_claims_nothing_but_lets_approvals_expire(database: Database) -> None:
    clock = FakeClock()
    async with a_house(database, replies=TOUCH, catalog=CATALOG, clock=clock) as house:
        await house.die()
        expired: list[bool] = []

        async def expire() -> None:
            expired.append(True)

        house.engine.expire_approvals = expire  # type: ignore[method-assign]
        owner = Owner(house.engine, executes=False)
        house.running.append(asyncio.create_task(owner.run()))
        answer = await house.ask("touching on web-01")
        await pass_time(clock, 3)
        assert expired
        found = await house.get(answer.execution.id)
        assert (found.state, found.owner) == (State.PENDING, None)


@only_on_postgresql
async def test_with_no_worker_left_one_that_only_serves_says_that_it_is_interrupted(database: Database) -> None:
    async with a_house(database, replies={"touch": Reply(hangs=True)}, catalog=CATALOG) as house:
        answer = await house.ask("touching on web-01")
        repeatable = await house.ask("syncing on web-02")
        await house.remote.until("touch", times=2)
        await house.die()
        serving = Owner(house.engine, executes=False)
        serving._seen_since = house.engine.tools.clock.monotonic() - 100
        serving._answered = serving._seen_since + 100

        async def lease_ended(seconds_ago: float) -> None:
            def end(connection: Connection) -> None:
                until = moment(connection, house.engine.tools.clock.now()) - timedelta(seconds=seconds_ago)
                connection.execute(update(t.executions).values(lease_until=until))

            await database.write(end)

        await lease_ended(0.5)
        await serving._reap()
        assert (await house.get(answer.execution.id)).state is State.RUNNING  # a worker may still come
        await lease_ended(OVERDUE.total_seconds() + 0.1)
        await serving._reap()
        found = await house.get(answer.execution.id)
        assert (found.state, found.owner) == (State.INTERRUPTED, None)
        assert "whether it happened is unknown" in found.ending
        again = await house.get(repeatable.execution.id)
        assert (again.state, again.owner) == (State.PENDING, None)
        assert serving.carrying == 0


async def test_who_is_asked_twice_to_stop_does_not_wait_for_what_runs(sqlite: Database) -> None:
    async with a_house(sqlite, replies={"touch": Reply(hangs=True)}, catalog=CATALOG) as house:
        answer = await house.ask("touching on web-01")
        await house.remote.until("touch")
        closing = asyncio.create_task(house.owner.close(patience=600))
        await asyncio.sleep(0.02)
        assert not closing.done()
        house.owner.hurry()
        await asyncio.wait_for(closing, 5)
        assert house.owner.carrying == 0
        assert (await house.get(answer.execution.id)).state is State.RUNNING
