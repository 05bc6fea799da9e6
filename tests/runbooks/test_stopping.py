"""What runs and is to stop: by a cancel, by a kill switch, by both, here and from another process."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from runbooks import Danger, Facts, Parameters, Plan, Run, Runbook
from runbooks import switches as kill_switches
from runbooks.answer import Answer
from runbooks.progress import SwitchStopped
from safety.roles import Can
from storage import audit, controls, executions
from storage.database import Database
from storage.errors import StorageUnavailable
from storage.records import Death, HostState, KillSwitch, Origin, Scope, State, StepState
from tests.builders import ALICE, BOB, CAROL, House, a_house, catalog_with, hosts
from tests.fakes import Reply


class Pair(Runbook):
    """Two changes on each host, two hosts at once."""

    name, danger, cooldown, waves = "pair", Danger.LOW, timedelta(0), "2"

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """Commands that name their host."""
        return Plan(
            Run("First", "touch", f"/tmp/{facts.host}"),
            Run("Second", "mkdir", f"/tmp/{facts.host}-b"),
        )


OURS = catalog_with(Pair)


async def _engage(house: House, *, now: bool = False) -> Answer:
    return await house.engine.engage(scope=Scope.GLOBAL, subject="", actor=BOB, now=now, reason="look", patience=30)


async def _states(house: House, execution_id: int) -> dict[tuple[str, str], StepState]:
    steps = await house.database.read(executions.steps_of, execution_id)
    return {(step.host, step.step): step.state for step in steps}


async def _is_held(house: House, execution_id: int) -> None:
    """Return once a step of it was refused."""
    async with asyncio.timeout(10):
        while house.engine.walks[execution_id].over is None:
            await asyncio.sleep(0.01)


async def _found(house: House) -> tuple[tuple[int, str, Death], ...]:
    """What is told of what a switch has ended, once it is."""
    async with asyncio.timeout(10):
        while not house.reporter.of(SwitchStopped):
            await asyncio.sleep(0.01)
    (told,) = house.reporter.of(SwitchStopped)
    return tuple(told.found)


@pytest.mark.parametrize("how", ["now", "cancel"])
async def test_what_a_plain_switch_lets_end_can_still_be_ended(database: Database, how: str) -> None:
    first, second = Reply(hangs=True), Reply(hangs=True)
    replies = {"touch /tmp/web-01": first, "touch /tmp/web-02": second, "mkdir": Reply()}
    async with a_house(database, replies=replies, catalog=OURS) as house:
        asked = await house.ask("pair on web-01,web-02")
        await house.remote.until("touch", 2)
        await _engage(house)
        first.release.set()
        await _is_held(house, asked.execution.id)
        assert (await _states(house, asked.execution.id))[("web-02", "1")] is StepState.STARTED

        await (_engage(house, now=True) if how == "now" else house.engine.cancel(asked.execution.id, CAROL))

        ended = await house.ends(asked)
        assert ended.state is State.CANCELLED
        assert not second.release.is_set()
        states = await _states(house, asked.execution.id)
        assert states == {("web-01", "1"): StepState.SUCCEEDED, ("web-02", "1"): StepState.STOPPED}
        if how == "now":
            assert await _found(house) == ((ended.id, "web-02", Death.STOPPED),)
        else:
            rows = {row.host: row.reason for row in await database.read(executions.hosts_of, ended.id)}
            assert "cancelled by <@UCAROL>" in rows["web-02"]


@pytest.mark.parametrize("how", ["now", "cancel"])
async def test_a_stop_from_another_process_is_not_lost_to_a_step_that_was_about_to_start(
    database: Database, how: str
) -> None:
    first, second = Reply(hangs=True), Reply(hangs=True)
    replies = {"touch /tmp/web-01": first, "touch /tmp/web-02": second, "mkdir": Reply()}
    async with a_house(database, replies=replies, catalog=OURS) as house:
        asked = await house.ask("pair on web-01,web-02")
        await house.remote.until("touch", 2)
        first.release.set()
        await database.write(_from_elsewhere(house, asked.execution.id, how))
        ended = await house.ends(asked, seconds=5)
        assert ended.state is State.CANCELLED
        assert (await _states(house, ended.id))[("web-02", "1")] is StepState.STOPPED
        if how == "now":
            assert (ended.id, "web-02", Death.STOPPED) in await _found(house)


def _from_elsewhere(house: House, execution_id: int, how: str) -> Callable[[Connection], object]:
    """The rows that another process leaves; this one hears of them by its own watching."""
    at = house.engine.tools.clock.now()
    switch = KillSwitch(scope=Scope.GLOBAL, subject="", engaged_by=BOB, engaged_at=at, now=True, reason="look")

    def write(connection: Connection) -> None:
        if how == "now":
            kill_switches.engage(connection, switch, origin=Origin.CLI, channel=None, reporter=house.reporter, now=at)
        else:
            house.engine._cancel(connection, execution_id, CAROL, None, Origin.BUTTON)

    return write


async def test_now_hurries_what_a_cancel_is_ending_already_and_tells_what_was_found(database: Database) -> None:
    slow = Reply(hangs=True, needs_hurry=True)
    async with a_house(database, replies={"touch": slow}, catalog=OURS) as house:
        asked = await house.ask("pair on web-01")
        await house.remote.until("touch")
        await house.engine.cancel(asked.execution.id, CAROL)
        await asyncio.sleep(0.1)
        assert (await house.get(asked.execution.id)).state is State.RUNNING

        await _engage(house, now=True)

        ended = await house.ends(asked)
        assert ended.state is State.CANCELLED
        assert "cancelled by <@UCAROL>" in (ended.ending or "")
        assert await _found(house) == ((ended.id, "web-01", Death.STOPPED),)


async def test_a_plain_switch_lets_the_other_hosts_steps_end_by_themselves(database: Database) -> None:
    first, second = Reply(hangs=True), Reply(hangs=True)
    replies = {"touch /tmp/web-01": first, "touch /tmp/web-02": second, "mkdir": Reply()}
    async with a_house(database, replies=replies, catalog=OURS) as house:
        asked = await house.ask("pair on web-01,web-02")
        await house.remote.until("touch", 2)
        await _engage(house)
        first.release.set()
        await _is_held(house, asked.execution.id)
        second.release.set()
        ended = await house.ends(asked)
        assert ended.state is State.CANCELLED
        assert (await _states(house, ended.id))[("web-02", "1")] is StepState.SUCCEEDED
        rows = await database.read(executions.hosts_of, ended.id)
        assert {row.state for row in rows} == {HostState.CANCELLED}
        assert house.remote.count("mkdir") == 0


@pytest.mark.parametrize("how", ["switch", "switch kept here", "cancel"])
async def test_what_was_engaged_before_a_lost_answer_came_again_holds_the_step(database: Database, how: str) -> None:
    first, write, write_first = Reply(hangs=True), database.write, database.write_first
    away = StorageUnavailable("The database does not answer (test).")

    async def gone(*args: Any, **kwargs: Any) -> Any:
        raise away

    async with a_house(database, replies={"touch": first, "mkdir": Reply()}, catalog=OURS) as house:
        asked = await house.ask("pair on web-01")
        await house.remote.until("touch")

        async def lost(function: Any, *args: Any, **kwargs: Any) -> Any:
            done = await write(function, *args, **kwargs)
            if getattr(function, "__name__", "") != "begin":
                return done
            database.write = write  # type: ignore[method-assign]
            if how == "cancel":
                await house.engine.cancel(asked.execution.id, CAROL)
            elif how == "switch":
                await _engage(house)
            else:
                database.write_first = gone  # type: ignore[method-assign]
                assert "nothing starts here" in (await _engage(house)).message
                database.write_first = write_first  # type: ignore[method-assign]
            raise away

        database.write = lost  # type: ignore[method-assign]
        first.release.set()
        ended = await house.ends(asked)
        assert ended.state is State.CANCELLED
        assert house.remote.count("mkdir") == 0
        steps = await database.read(executions.steps_of, ended.id)
        assert [(step.step, step.state, step.sent) for step in steps] == [
            ("1", StepState.SUCCEEDED, True),
            ("2", StepState.STOPPED, False),
        ]


async def test_a_lost_answer_alone_stops_nothing(database: Database) -> None:
    first, write = Reply(hangs=True), database.write
    async with a_house(database, replies={"touch": first, "mkdir": Reply()}, catalog=OURS) as house:
        asked = await house.ask("pair on web-01")
        await house.remote.until("touch")

        async def lost(function: Any, *args: Any, **kwargs: Any) -> Any:
            done = await write(function, *args, **kwargs)
            if getattr(function, "__name__", "") != "begin":
                return done
            database.write = write  # type: ignore[method-assign]
            raise StorageUnavailable("The database does not answer (test).")

        database.write = lost  # type: ignore[method-assign]
        first.release.set()
        assert (await house.ends(asked)).state is State.SUCCEEDED
        assert house.remote.count("mkdir") == 1
        assert database.write == write, "an answer was lost"


async def test_now_in_an_outage_tells_what_it_found_once_the_database_is_back(database: Database) -> None:
    real, tried = (database.read, database.write, database.write_first), set()

    async def gone(function: Any, *args: Any, **kwargs: Any) -> Any:
        tried.add(getattr(function, "__name__", ""))
        raise StorageUnavailable("The database does not answer (test).")

    def put(*doors: Any) -> None:
        database.read, database.write, database.write_first = doors  # type: ignore[method-assign]

    async with a_house(database, replies={"touch": Reply(hangs=True)}, catalog=OURS) as house:
        asked = await house.ask("pair on web-01")
        await house.remote.until("touch")
        put(gone, gone, gone)
        assert "1 executions here are being ended" in (await _engage(house, now=True)).message
        async with asyncio.timeout(5):
            while "_report_stopped" not in tried:
                await asyncio.sleep(0.01)
        put(*real)
        ended = await house.ends(asked)
        assert ended.state is State.CANCELLED
        assert await _found(house) == ((ended.id, "web-01", Death.STOPPED),)


async def test_a_switch_holds_a_host_whatever_the_case_of_its_name(database: Database) -> None:
    first = Reply(hangs=True)
    replies = {"touch": first, "mkdir": Reply()}
    async with a_house(database, replies=replies, catalog=OURS, inventory=hosts("Web-01")) as house:
        running = await house.ask("pair on Web-01")
        await house.remote.until("touch")
        answer = await house.engine.engage(scope=Scope.HOST, subject="Web-01", actor=BOB, reason="look", patience=30)
        assert "1 running execution stops after its current step" in answer.message
        first.release.set()
        assert (await house.ends(running)).state is State.CANCELLED
        assert house.remote.count("mkdir") == 0
        refused = await house.ask("pair on Web-01")
        assert refused.decision.refusal.gate == "kill switch"


async def test_a_switch_for_an_alias_holds_the_runbook(database: Database) -> None:
    async with a_house(database) as house:
        answer = await house.engine.engage(
            scope=Scope.RUNBOOK, subject="Restart", actor=BOB, reason="look", patience=30
        )
        assert (
            answer.message
            == "The kill switch (runbook restart-service) is engaged. Nothing new starts for runbook restart-service."
        )
        refused = await house.ask("restart nginx on web-01")
        assert refused.decision.refusal.gate == "kill switch"
        await house.engine.release(scope=Scope.RUNBOOK, subject="restart", actor=ALICE, reason="all clear")
        assert await database.read(controls.engaged) == []


@pytest.mark.parametrize(
    ("scope", "subject", "said"),
    [
        (Scope.HOST, "web01", "No host 'web01' is known; did you mean web-01"),
        (Scope.RUNBOOK, "restart-servce", "No runbook 'restart-servce' is known; did you mean restart-service"),
        (Scope.TAG, "wbe", "No host has the tag 'wbe'; did you mean web?"),
        (Scope.HOST, "quite-another", "No host 'quite-another' is known. Nothing that is known is held."),
    ],
)
async def test_a_switch_for_a_name_that_is_not_known_is_engaged_and_says_so(
    sqlite: Database, scope: Scope, subject: str, said: str
) -> None:
    async with a_house(sqlite) as house:
        answer = await house.engine.engage(scope=scope, subject=subject, actor=BOB, reason="look", patience=30)
        assert said in answer.message
        assert "Nothing new starts" not in answer.message
        assert [switch.subject for switch in await sqlite.read(controls.engaged)] == [subject]


async def test_near_misses_of_a_switch_name_only_hosts_where_one_may_run_something(sqlite: Database) -> None:
    can = {"UBOB": (Can(rule="can of UBOB", hosts=("web-02",)),)}
    async with a_house(sqlite, change=lambda policy: replace(policy, people=replace(policy.people, can=can))) as house:
        answer = await house.engine.engage(scope=Scope.HOST, subject="web01", actor=BOB, reason="look", patience=30)
        assert "did you mean web-02?" in answer.message
        assert "web-01" not in answer.message


async def test_now_also_ends_the_emergency_that_runs_in_spite_of_the_switch(database: Database) -> None:
    first = Reply(hangs=True)
    async with a_house(database, replies={"touch": first, "mkdir": Reply()}, catalog=OURS) as house:
        await house.engine.engage(scope=Scope.GLOBAL, subject="", actor=CAROL, reason="deploy", patience=30)
        running = await house.ask("pair on web-01", by=ALICE, emergency=True, reason="the site is down")
        await house.remote.until("touch")

        plain = (await _engage(house)).message
        assert "executions" not in plain
        assert f"in spite of it (#{running.execution.id}): `/killswitch global on --now` ends it." in plain
        assert (await house.get(running.execution.id)).state is State.RUNNING

        answer = await _engage(house, now=True)
        assert "engaged already. 1 running execution is being ended now" in answer.message
        ended = await house.ends(running)
        assert ended.state is State.CANCELLED
        assert not first.release.is_set()
        (switch,) = await database.read(controls.engaged)
        assert (switch.engaged_by, switch.now, switch.reason) == (BOB, True, "look")
        kinds = [entry.kind for entry in await database.read(audit.search, words=("killswitch",))]
        assert kinds == ["killswitch.engaged_again", "killswitch.engaged_again", "killswitch.engaged"]


async def test_a_reason_that_is_added_does_not_hold_the_emergency_that_runs(database: Database) -> None:
    first = Reply(hangs=True)
    async with a_house(database, replies={"touch": first, "mkdir": Reply()}, catalog=OURS) as house:
        await house.engine.engage(scope=Scope.GLOBAL, subject="", actor=CAROL)
        running = await house.ask("pair on web-01", by=ALICE, emergency=True, reason="the site is down")
        await house.remote.until("touch")
        await _engage(house)
        first.release.set()
        assert (await house.ends(running)).state is State.SUCCEEDED
        (switch,) = await database.read(controls.engaged)
        assert (switch.engaged_by, switch.reason) == (CAROL, "look")
