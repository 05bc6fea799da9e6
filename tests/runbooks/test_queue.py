"""The queue: whose turn it is, how much is carried at once, what a full one says, what people hear of their place."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from runbooks import Danger, Facts, Parameters, Plan, Run, Runbook
from runbooks.owner import LEASE
from runbooks.progress import ExecutionWaiting
from runbooks.queue import Place, forecast, tell
from storage import controls, executions
from storage.database import Database
from storage.records import Caps, Execution, HostLock, Origin, Phase, Priority, State
from tests.builders import BOB, a_house, catalog_with
from tests.fakes import START, FakeClock, FakeReporter, Reply

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def queued(
    connection: Connection,
    *,
    runbook: str = "touching",
    at: float = 0,
    hosts: tuple[str, ...] = ("web-01",),
    priority: Priority = Priority.NORMAL,
    danger: Danger = Danger.READ,
    **more: Any,
) -> Execution:
    """An execution that waits to be claimed since so many seconds after the start."""
    values: dict[str, Any] = {
        "params": {}, "services": (), "actor": BOB, "channel": "C0INC", "text": "", "normalised": None,
        "reason": None, "dry_run": False, "timeout": timedelta(minutes=5), "origin": Origin.COMMAND,
    }  # fmt: skip
    made = executions.create(
        connection,
        runbook=runbook,
        hosts=hosts,
        danger=danger,
        priority=priority,
        state=State.PENDING,
        now=START + at * SECOND,
        **values,
    )
    return executions.set_values(connection, made.id, **more) if more else made


def claim(connection: Connection, caps: Caps, limit: int = 100) -> list[int]:
    """What an owner gets an hour after the start, when no lease of before counts any more."""
    now = START + timedelta(hours=1)
    found = executions.claim(connection, owner="us", now=now, lease=LEASE, limit=limit, caps=caps)
    return [execution.id for execution in found]


# --- whose turn it is -------------------------------------------------------------------------------------------------


async def test_the_more_urgent_goes_first_but_not_for_ever(database: Database) -> None:
    def fill(connection: Connection) -> list[int]:
        low = queued(connection, priority=Priority.LOW, at=0)
        normal = queued(connection, priority=Priority.NORMAL, at=0)
        soon = queued(connection, priority=Priority.HIGH, at=299)
        late = queued(connection, priority=Priority.HIGH, at=301)
        last = queued(connection, priority=Priority.HIGH, at=1_801)
        return [soon.id, normal.id, late.id, low.id, last.id]

    in_turn = await database.write(fill)
    assert [e.id for e in await database.read(executions.waiting)] == in_turn
    assert [(await database.write(claim, Caps(), limit=1))[0] for _ in in_turn] == in_turn


# --- caps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caps", "expected"),
    [
        (Caps(overall=3), [0, 1, 2]),
        (Caps(runbook=2), [0, 1, 4]),
        (Caps(runbooks={"touching": 1}), [0, 4]),
        (Caps(host=1), [0, 2]),
        (Caps(host=2, runbook=3), [0, 1, 2, 4]),
    ],
)
async def test_no_more_is_carried_than_may_be(database: Database, caps: Caps, expected: list[int]) -> None:
    def fill(connection: Connection) -> list[int]:
        where = [("web-01",), ("web-01",), ("web-02",), ("web-02", "web-01")]
        touching = [queued(connection, at=n, hosts=hosts).id for n, hosts in enumerate(where)]
        return [*touching, queued(connection, runbook="other", at=9, hosts=("web-02",)).id]

    made = await database.write(fill)
    assert await database.write(claim, caps) == [made[n] for n in expected]
    assert await database.write(claim, caps) == []


async def test_a_place_is_free_again_once_one_has_ended(database: Database) -> None:
    first, second = await database.write(queued), await database.write(queued)
    caps = Caps(host=1)
    assert await database.write(claim, caps) == [first.id]
    await database.write(executions.move, first.id, leaving=(State.PENDING,), to=State.FAILED, now=START)
    assert await database.write(claim, caps) == [second.id]


async def test_who_waits_for_consent_takes_no_place(database: Database) -> None:
    first, second = await database.write(queued), await database.write(queued)
    assert await database.write(claim, Caps(overall=1)) == [first.id]
    await database.write(executions.move, first.id, leaving=(State.PENDING,), to=State.AWAITING_APPROVAL, now=START)
    assert await database.write(claim, Caps(overall=1)) == [second.id]


class Touching(Runbook):
    """Touches something."""

    name, danger, cooldown = "touching", Danger.LOW, timedelta(0)

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """One step."""
        return Plan(Run("Touch", "touch", "/tmp/a"))


async def test_a_full_queue_refuses_and_says_how_long_it_is(database: Database) -> None:
    replies, catalog = {"touch": Reply()}, catalog_with(Touching)
    async with a_house(database, replies=replies, catalog=catalog, caps=Caps(waiting=1)) as house:
        await house.die()  # nobody claims
        await house.ask("touching on web-01")
        refused = await house.ask("touching on web-02")
        assert refused.execution is None
        assert "1 executions wait already, and no more than 1 may" in refused.message
        urgent = await house.ask("touching on web-02", emergency=True, reason="it burns")
        assert "wait already" not in urgent.message


# --- what people hear -------------------------------------------------------------------------------------------------


def ahead(number: int, *, hosts: tuple[str, ...] = ("web-01",), **more: Any) -> Execution:
    """An execution that nothing but its place is asked of."""
    values: Mapping[str, Any] = {
        "runbook": "slow", "params": {}, "services": (), "danger": Danger.LOW, "actor": BOB, "origin": Origin.COMMAND,
        "channel": None, "text": "", "reason": None, "dry_run": False, "priority": Priority.NORMAL,
        "state": State.PENDING, "phase": Phase.PLAN, "created_at": START, "queued_at": START, "timeout": 60.0,
    }  # fmt: skip
    return Execution(**{"id": number, "hosts": hosts, **values, **more})


def test_who_waits_for_a_host_starts_when_those_before_usually_have_ended() -> None:
    running = ahead(1, state=State.RUNNING, started_at=START)
    queue = [ahead(2), ahead(3), ahead(4, hosts=("web-02",))]
    found = forecast(queue, [running], {"slow": 2 * MINUTE}, Caps(), START + 30 * SECOND)
    assert [found[n].starts_in for n in (2, 3, 4)] == [90 * SECOND, 210 * SECOND, timedelta(0)]
    assert [found[n].number for n in (2, 3, 4)] == [1, 2, 3]


def test_who_waits_for_a_place_starts_when_the_next_one_ends() -> None:
    running = [ahead(n, state=State.RUNNING, started_at=START, hosts=(f"h{n}",)) for n in (1, 2)]
    queue = [ahead(n, hosts=(f"h{n}",)) for n in (3, 4, 5)]
    found = forecast(queue, running, {"slow": MINUTE}, Caps(overall=2), START)
    assert [found[n].starts_in for n in (3, 4, 5)] == [MINUTE, MINUTE, 2 * MINUTE]


def test_nothing_is_promised_where_nothing_is_known() -> None:
    interrupted = ahead(1, state=State.INTERRUPTED, started_at=START)
    queue = [ahead(2), ahead(3, hosts=("web-02",), runbook="new"), ahead(4, hosts=("web-02",))]
    found = forecast(queue, [interrupted], {"slow": MINUTE, "new": None}, Caps(), START)
    assert [found[n].starts_in for n in (2, 3, 4)] == [None, timedelta(0), None]


@pytest.mark.parametrize(
    ("number", "seconds", "words"),
    [
        (1, 3, "1st in the queue, starts any moment"),
        (3, 118, "3rd in the queue, starts in about 2 min"),
        (12, 41, "12th in the queue, starts in about 50 s"),
        (22, None, "22nd in the queue"),
    ],
)
def test_a_place_is_said_in_words(number: int, seconds: int | None, words: str) -> None:
    starts_in = timedelta(seconds=seconds) if seconds is not None else None
    assert Place(number=number, starts_in=starts_in).words == words


def _ended(connection: Connection, seconds: float) -> None:
    made = queued(connection, danger=Danger.LOW, state=State.SUCCEEDED.value)
    took = {"started_at": START, "ended_at": START + seconds * SECOND}
    executions.set_values(connection, made.id, **took)


async def test_headlines_say_the_place_once_until_it_changes(database: Database) -> None:
    reporter = FakeReporter()

    def look(connection: Connection, at: float) -> int:
        return tell(connection, Caps(), reporter, START + at * SECOND)

    for seconds in (50, 60, 600):
        await database.write(_ended, seconds)
    holder = await database.write(queued, state=State.RUNNING.value, danger=Danger.LOW, started_at=START)
    await database.write(controls.take_locks, holder.id, ("web-01",), START)
    first, second = [(await database.write(queued, danger=Danger.LOW, at=n)).id for n in (1, 2)]
    assert await database.write(look, 0) == 0  # its time has only begun
    assert await database.write(look, 20) == 2
    said = {e.execution.id: (e.execution.note, e.locks) for e in reporter.of(ExecutionWaiting)}  # type: ignore[attr-defined]
    lock = HostLock(host="web-01", execution_id=holder.id, since=START)
    assert said[first] == ("1st in the queue, starts in about 40 s", (lock,))
    assert said[second] == ("2nd in the queue, starts in about 1 min 40 s", (lock,))
    assert await database.write(look, 25) == 0  # somebody did it a moment ago
    assert await database.write(look, 31) == 2
    assert (await database.read(executions.get, first)).note == "1st in the queue, starts in about 30 s"


async def test_status_says_the_place(database: Database) -> None:
    async with a_house(database, catalog=catalog_with(Touching), clock=FakeClock()) as house:
        await house.die()
        answer = await house.ask("touching on web-01")
        [shown] = await house.engine.in_their_places([answer.execution])
        assert shown.note == "1st in the queue, starts any moment"
