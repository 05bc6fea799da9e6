"""User groups: looked up in the background, remembered across a restart, believed for an hour."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from slack_sdk.errors import SlackApiError

from bot.identity import FRESH, GOOD, SlackDirectory
from storage import user_groups
from storage.database import Database
from tests.fakes import START, FakeClock

GROUP = "S0ONCALL"


class Slack:
    """Answers, or does not."""

    def __init__(self, *members: str) -> None:
        self.members, self.error, self.asked = members, "", 0

    async def usergroups_users_list(self, *, usergroup: str) -> dict[str, Any]:
        """As Slack's client."""
        self.asked += 1
        if self.error == "away":
            raise TimeoutError
        if self.error:
            raise SlackApiError("no", {"ok": False, "error": self.error})
        return {"ok": True, "users": list(self.members)}


@asynccontextmanager
async def looking(slack: Slack, database: Database, clock: FakeClock) -> AsyncIterator[SlackDirectory]:
    """A directory whose loop has made its first round."""
    directory = SlackDirectory(slack, (GROUP,), clock, database)  # type: ignore[arg-type]
    task = asyncio.create_task(directory.run())
    try:
        await rounds(slack, directory, 1)
        yield directory
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def rounds(slack: Slack, directory: SlackDirectory, number: int) -> None:
    """Until so many looks were made and noted."""
    async with asyncio.timeout(10):
        while slack.asked < number or not directory._looked.is_set():
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)


async def test_members_are_known_after_the_first_look_and_kept(database: Database) -> None:
    async with looking(Slack("UBOB", "UCAROL"), database, FakeClock()) as directory:
        assert directory.members_of(GROUP) == {"UBOB", "UCAROL"}
        assert directory.groups_of("UBOB") == {GROUP}
        assert directory.groups_of("UDAVE") == frozenset()
        assert directory.members_of("S0OTHER") is None
    assert await database.read(user_groups.known, [GROUP]) == {GROUP: (frozenset({"UBOB", "UCAROL"}), START)}


async def test_a_restart_while_slack_is_away_takes_nobody_s_rights(database: Database) -> None:
    async with looking(Slack("UBOB"), database, FakeClock()):
        pass
    away = Slack()
    away.error = "away"
    async with looking(away, database, FakeClock(START + timedelta(minutes=30))) as directory:
        assert directory.groups_of("UBOB") == {GROUP}


async def test_an_hour_without_slack_ends_the_rights(database: Database) -> None:
    slack, clock = Slack("UBOB"), FakeClock()
    async with looking(slack, database, clock) as directory:
        slack.error = "away"
        await clock.advance(GOOD.total_seconds())
        assert directory.members_of(GROUP) == {"UBOB"}
        await clock.advance(1)
        assert directory.members_of(GROUP) is None
        assert directory.groups_of("UBOB") == frozenset()
    stale = Slack()
    stale.error = "away"
    async with looking(stale, database, FakeClock(START + GOOD + timedelta(seconds=1))) as directory:
        assert directory.groups_of("UBOB") == frozenset()


async def test_who_left_the_group_is_gone_after_the_next_look(database: Database) -> None:
    slack, clock = Slack("UBOB"), FakeClock()
    async with looking(slack, database, clock) as directory:
        slack.members = ("UCAROL",)
        asked = slack.asked
        await clock.advance(3)
        await clock.advance(FRESH.total_seconds())
        await rounds(slack, directory, asked + 1)
        assert directory.members_of(GROUP) == {"UCAROL"}


async def test_a_group_that_is_gone_has_no_members(database: Database) -> None:
    slack, clock = Slack("UBOB"), FakeClock()
    slack.error = "no_such_subteam"
    async with looking(slack, database, clock) as directory:
        assert directory.members_of(GROUP) == frozenset()


async def test_a_group_that_is_needed_and_not_known_is_looked_up_at_once(database: Database) -> None:
    slack, clock = Slack("UBOB"), FakeClock()
    slack.error = "away"
    async with looking(slack, database, clock) as directory:
        slack.error = ""
        await clock.advance(2)
        await asyncio.sleep(0.05)
        asked = slack.asked
        assert await asyncio.to_thread(directory.members_of, GROUP) is None, "asking never waits"
        await rounds(slack, directory, asked + 1)
        assert directory.members_of(GROUP) == {"UBOB"}
        assert slack.asked == asked + 1, "no time has passed"


async def test_what_another_process_found_is_taken_up(database: Database) -> None:
    slack, clock = Slack(), FakeClock()
    slack.error = "away"
    async with looking(slack, database, clock) as directory:
        await database.write(user_groups.keep, GROUP, ["UBOB"], START)
        asked = slack.asked
        await clock.advance(2)
        await clock.advance(15)
        await rounds(slack, directory, asked + 1)
        assert directory.members_of(GROUP) == {"UBOB"}


async def test_an_older_look_never_replaces_a_newer_one(database: Database) -> None:
    await database.write(user_groups.keep, GROUP, ["UBOB"], START)
    await database.write(user_groups.keep, GROUP, ["UEVE"], START - timedelta(seconds=1))
    assert (await database.read(user_groups.known, [GROUP]))[GROUP][0] == {"UBOB"}


async def test_a_request_waits_a_moment_for_the_first_look_and_never_again(database: Database) -> None:
    gate = asyncio.Event()

    class Slow(Slack):
        async def usergroups_users_list(self, *, usergroup: str) -> dict[str, Any]:
            await gate.wait()
            return await super().usergroups_users_list(usergroup=usergroup)

    slack = Slow("UBOB")
    directory = SlackDirectory(slack, (GROUP,), FakeClock(), database)  # type: ignore[arg-type]
    task = asyncio.create_task(directory.run())
    waiting = asyncio.create_task(directory.settled())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    gate.set()
    await asyncio.wait_for(waiting, 5)
    assert directory.groups_of("UBOB") == {GROUP}
    await asyncio.wait_for(directory.settled(), 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
