"""App Home: each person sees what they may, with the buttons they may press, and again when something has changed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Connection, update

from bot.blocks import clock_time
from bot.home import APART, OPEN_FOR, Homes, home_view, read_home
from bot.playground.block_kit import check_view
from bot.playground.state import View
from bot.playground.words import read_blocks
from bot.playground.workspace import Workspace
from runbooks import Danger, Facts, Parameters, Plan, Run, Runbook
from runbooks.incidents import Opening, open_incident, open_one, resolve
from safety.roles import Can, People, Permission, Role
from storage import controls, schedules
from storage import tables as t
from storage.database import Database
from storage.records import Actor, Breaker, BreakerState, KillSwitch, Origin, Schedule, Scope, State
from tests.builders import ALICE, BOB, CAROL, DAVE, House, a_house, catalog_with
from tests.fakes import START, FakeClock, Reply


class Risky(Runbook):
    """Something that somebody else must approve."""

    name, danger, cooldown = "risky", Danger.DANGEROUS, timedelta(0)

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """Touch."""
        return Plan(Run("Touch", "touch", "/tmp/x"))


class Easy(Risky):
    """The same, at once."""

    name, danger = "easy", Danger.LOW


@pytest.fixture
async def house(sqlite: Database) -> AsyncIterator[House]:
    async with a_house(sqlite, replies={"touch": Reply()}, catalog=catalog_with(Risky, Easy)) as house:
        yield house


async def seen(house: House, who: Actor) -> str:
    """What this person would read, buttons as `[Approve]`, without what is kept for machines."""
    home = await house.database.read(read_home, house.engine, who)
    view = home_view(home, START)
    assert check_view(dict(view)) == []
    return read_blocks(Workspace().state, view["blocks"])


async def waiting(house: House, by: Actor = BOB) -> int:
    """The number of one that waits for approval."""
    answer = await house.ask("risky on web-01", by=by)
    assert answer.execution is not None
    await house.reaches(answer.execution.id, State.AWAITING_APPROVAL)
    return answer.execution.id


async def test_what_waits_for_somebody_has_its_buttons_for_those_alone_who_may_decide(house: House) -> None:
    await waiting(house)
    carols = await seen(house, CAROL)
    assert "Waiting for you (1)" in carols
    assert "[Approve] [Deny] [Show plan]" in carols
    bobs = await seen(house, BOB)
    assert "Waiting for you" not in bobs
    assert "Awaiting approval" in bobs
    assert "[Approve]" not in bobs
    assert "[Cancel]" in bobs


async def test_who_has_no_role_learns_nothing_of_what_others_do(house: House) -> None:
    await waiting(house)
    await house.database.write(
        controls.engage,
        KillSwitch(scope=Scope.GLOBAL, subject="", engaged_by=ALICE, engaged_at=START, now=False, reason="fire"),
    )
    said = await seen(house, DAVE)
    assert "no role in Handrail is yours yet" in said
    assert "risky" not in said
    assert "fire" not in said
    assert "web-01" not in said


@pytest.mark.parametrize("permission", sorted(set(Permission) - {Permission.EMERGENCY}))
async def test_who_has_a_role_is_never_told_that_there_is_none(house: House, permission: Permission) -> None:
    people = People(roles={"UDAVE": Role.HELPDESK}, permissions={Role.HELPDESK: frozenset({permission})})
    house.engine.govern(replace(house.engine.policy, people=people))
    said = await seen(house, DAVE)
    assert "no role" not in said
    assert len(said.splitlines()) > 2  # more than a line and the time below it


async def test_only_who_may_release_a_switch_has_its_button_and_nobody_approves_under_it(house: House) -> None:
    await waiting(house)
    switch = KillSwitch(scope=Scope.GLOBAL, subject="", engaged_by=BOB, engaged_at=START, now=False, reason="fire")
    await house.database.write(controls.engage, switch)
    admin, manager = await seen(house, ALICE), await seen(house, CAROL)
    assert "Kill switches engaged (1)" in admin
    assert "fire" in admin
    assert "[Release]" in admin
    assert "fire" in manager
    assert "[Release]" not in manager
    assert "[Approve]" not in manager


async def test_a_list_shows_the_runbooks_of_ones_own_entries_only(house: House) -> None:
    limited = People(
        roles={"UBOB": Role.NOC, "UALICE": Role.ADMIN, "UDAVE": Role.NOC},
        can={"UDAVE": (Can(rule="UDAVE", runbooks=frozenset({"easy"})),)},
    )
    await waiting(house)
    house.engine.govern(replace(house.engine.policy, people=limited))
    assert "risky" not in await seen(house, DAVE)
    assert "risky" in await seen(house, ALICE)


async def test_schedules_stand_in_the_order_in_which_they_fire(house: House) -> None:
    for name, days in (("later", 2), ("sooner", 1)):
        schedule = Schedule(
            id=0,
            name=name,
            text="easy on web-01",
            cron="0 2 * * *",
            timezone="UTC",
            channel=None,
            made_by=ALICE,
            made_at=START,
            next_at=START + timedelta(days=days),
        )
        await house.database.write(schedules.add, schedule)
    said = await seen(house, CAROL)
    assert "Schedules (2)" in said
    assert said.index("sooner") < said.index("later")
    assert "Schedules" not in await seen(house, DAVE)


def opening(title: str, severity: int) -> Opening:
    """An incident in a channel of its own kind."""
    return Opening(
        title=title, actor=BOB, origin=Origin.COMMAND, severity=severity, asked_in=f"C0SEV{severity}", here=True
    )


async def test_open_incidents_stand_there_the_worst_first_for_who_sees_them(house: House) -> None:
    for title, severity in (("mail is <!here> late", 4), ("checkout is down", 1)):
        await house.database.write(open_incident, opening(title, severity), START)
    said = await seen(house, CAROL)
    assert "Open incidents (2)" in said
    assert said.index("sev1 checkout is down, investigating") < said.index("mail is <!here> late")
    assert said.count("since") == 2
    assert "<#C0SEV1>" in str(home_view(await house.database.read(read_home, house.engine, CAROL), START))
    assert "incident" not in await seen(house, DAVE)
    await house.database.write(
        lambda c: resolve(c, open_one(c, 2), "done", actor=BOB, origin=Origin.COMMAND, now=START)
    )
    assert "Open incidents (1)" in await seen(house, CAROL)


async def test_with_much_of_everything_it_is_still_one_that_slack_takes(house: House) -> None:
    for number in range(12):
        await house.database.write(open_incident, replace(opening(f"it is {number}", 1), asked_in=f"C0{number}"), START)
    await waiting(house)
    home = await house.database.read(read_home, house.engine, CAROL)
    full = replace(
        home,
        waiting=home.waiting * 9,
        running=home.running * 30,
        stoppable=frozenset(one.id for one in home.running),
        switches=tuple(
            KillSwitch(scope=Scope.HOST, subject=f"h{n}", engaged_by=BOB, engaged_at=START, now=False, reason=None)
            for n in range(9)
        ),
        may_release=True,
        may_schedule=True,
    )
    view = home_view(full, START)
    assert "7 more. `/incident list` lists them." in str(view)
    assert len(view["blocks"]) < 80


async def test_who_may_have_schedules_has_the_button_for_a_new_one(house: House) -> None:
    assert "Nothing is scheduled yet." in await seen(house, CAROL)
    assert "[New schedule]" in await seen(house, CAROL)
    assert "[New schedule]" not in await seen(house, BOB)
    assert "Schedules" not in await seen(house, BOB)


async def test_hosts_with_trouble_are_named_and_the_others_counted(house: House) -> None:
    await house.ends(await house.ask("easy on web-01"))
    house.remote.replies["touch"] = Reply(status=1)
    failed = await house.ends(await house.ask("easy on web-02"))
    tripped = Breaker(runbook="easy", host="web-02", state=BreakerState.OPEN, failures=5, opened_at=START)
    await house.database.write(controls.set_breakers, [tripped])
    said = await seen(house, CAROL)
    assert "1 with trouble · :white_check_mark: 1 well the last time" in said.replace("✅", ":white_check_mark:")
    assert "web-02" in said
    assert "breaker of easy open after 5 failures" in said
    assert f"easy failed (#{failed.id}" in said
    bobs = await seen(house, BOB)
    assert "Your recent runs" in bobs
    assert "[Retry]" in bobs
    assert "Your recent runs" not in said


# --- publishing -------------------------------------------------------------------------------------------------------


class Tabs:
    """The publisher between a house and a local workspace, and one clock."""

    def __init__(self, house: House, workspace: Workspace) -> None:
        self.house, self.workspace, self.clock = house, workspace, FakeClock()
        client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
        self.homes = Homes(engine=house.engine, client=client, clock=self.clock)
        self.running = asyncio.create_task(self.homes.run())

    def of(self, person: str) -> View | None:
        """What stands there now."""
        return self.workspace.home(person)

    def text(self, person: str) -> str:
        """The same, as it is read."""
        view = self.of(person)
        return self.workspace.read(view) if view is not None else ""

    @property
    def published(self) -> int:
        """How many views Slack was given."""
        return sum(1 for call in self.workspace.calls if call.method == "views.publish")

    async def until(self, what: Any, *, seconds: float = 30) -> float:
        """Let time pass until it is so; returns how much has."""
        began = self.clock.monotonic()
        while not what():
            assert self.clock.monotonic() - began < seconds, self.text("carol")
            await asyncio.sleep(0.01)
            if self.clock.sleepers:
                await self.clock.advance(0.5)
        return self.clock.monotonic() - began


@pytest.fixture
async def tabs(house: House) -> AsyncIterator[Tabs]:
    async with Workspace(rate_limits=False) as workspace:
        tabs = Tabs(house, workspace)
        yield tabs
        tabs.running.cancel()
        await asyncio.gather(tabs.running, return_exceptions=True)


async def test_it_is_shown_when_it_is_opened_and_again_when_something_in_it_changed(tabs: Tabs) -> None:
    tabs.homes.opened(CAROL)
    await tabs.until(lambda: "Nothing runs or waits" in tabs.text("carol"), seconds=1)
    number = await waiting(tabs.house)
    took = await tabs.until(lambda: "[Approve]" in tabs.text("carol"))
    assert took >= APART - 2
    await tabs.house.engine.approve(number, CAROL)
    await tabs.house.reaches(number)
    await tabs.until(lambda: "Waiting for you" not in tabs.text("carol"))
    assert tabs.of("bob") is None


async def test_while_nothing_changes_nothing_is_published(tabs: Tabs) -> None:
    tabs.homes.opened(CAROL)
    await tabs.until(lambda: tabs.published == 1)
    end = tabs.clock.monotonic() + 120
    await tabs.until(lambda: tabs.clock.monotonic() >= end, seconds=130)
    assert tabs.published == 1


async def test_what_nobody_sees_publishes_nothing(tabs: Tabs) -> None:
    """Whoever runs something renews the lease on it all the time."""
    tabs.house.remote.replies["touch"] = Reply(hangs=True)
    answer = await tabs.house.ask("easy on web-01")
    assert answer.execution is not None
    await tabs.house.remote.until("touch", 1)
    await tabs.house.reaches(answer.execution.id, State.RUNNING)
    tabs.homes.opened(CAROL)
    await tabs.until(lambda: "easy" in tabs.text("carol"))
    before, database = tabs.published, tabs.house.database
    for renewed in range(1, 6):
        await database.write(_lease, answer.execution.id, START + timedelta(minutes=renewed))
        end = tabs.clock.monotonic() + 2 * APART
        await tabs.until(lambda end=end: tabs.clock.monotonic() >= end)  # type: ignore[misc]
    assert tabs.published == before
    await tabs.house.engine.cancel(answer.execution.id, ALICE)
    await tabs.until(lambda: tabs.published > before)


def _lease(connection: Connection, execution_id: int, until: datetime) -> None:
    values = {"lease_until": until, "owner": "somebody else"}
    connection.execute(update(t.executions).where(t.executions.c.id == execution_id).values(**values))


async def test_opened_over_and_over_it_is_published_at_the_pace_slack_takes(tabs: Tabs) -> None:
    for number in range(40):
        tabs.homes.opened(Actor(id=f"U{number}"))
    tabs.workspace.faults.refused("invalid_arguments", "views.publish")
    end = tabs.clock.monotonic() + 10
    await tabs.until(lambda: tabs.clock.monotonic() >= end, seconds=12)
    assert 10 + 8 <= tabs.published <= 10 + 12


async def test_slack_asking_to_wait_is_waited_for(tabs: Tabs) -> None:
    tabs.workspace.faults.rate_limited(20, "views.publish", times=1)
    tabs.homes.opened(CAROL)
    took = await tabs.until(lambda: tabs.of("carol") is not None)
    assert took >= 19
    assert tabs.published == 2


async def test_it_says_until_when_it_changes_by_itself(tabs: Tabs) -> None:
    """An hour after it was opened, however often it is published in that hour."""
    tabs.homes.opened(CAROL)
    await tabs.until(lambda: tabs.published == 1)
    until = clock_time(START + timedelta(seconds=OPEN_FOR))
    assert f"by itself until {until}, or until Handrail is restarted" in str(tabs.of("carol"))
    await tabs.clock.advance(60)
    await waiting(tabs.house)
    await tabs.until(lambda: tabs.published == 2)
    assert f"by itself until {until}" in str(tabs.of("carol"))


async def test_after_an_hour_it_is_left_as_it_is(tabs: Tabs) -> None:
    tabs.homes.opened(CAROL)
    await tabs.until(lambda: tabs.published == 1)
    await tabs.clock.advance(OPEN_FOR)
    await waiting(tabs.house)
    end = tabs.clock.monotonic() + 30
    await asyncio.sleep(0.05)
    while tabs.clock.monotonic() < end:
        await asyncio.sleep(0.01)
        await tabs.clock.advance(5)
    assert tabs.published == 1
