"""Slack answering 429, 500 or nothing for a while: the execution goes on, and every ending is said afterwards, once."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.playground.faults import Fault, Faults
from bot.playground.workspace import Workspace
from storage import dead_letters, executions
from storage.records import State
from tests.system.serving import Bot, counted, everything, sees, until

OUTAGE = 4.0
"""Seconds Slack stays away."""
ENDED = "count folder"

TROUBLES: dict[str, Callable[[Faults], Fault]] = {
    "429": lambda faults: faults.rate_limited(1),
    "500": lambda faults: faults.server_error(),
    "no answer": lambda faults: faults.hang(),
}


def _endings(workspace: Workspace) -> list[str]:
    """What is said of an ending in the threads, without what the bot marked as perhaps said before."""
    said = [workspace.read(m) for m in everything(workspace) if m.thread_ts is not None]
    return [text for text in said if "succeeded in" in text and "#1 " in text and "(repeated)" not in text]


async def _succeeded(bot: Bot, number: int = 1) -> bool:
    async with bot.database() as database:
        return number in {e.id for e in await database.read(executions.in_states, (State.SUCCEEDED,))}


@pytest.mark.parametrize("trouble", sorted(TROUBLES))
async def test_an_execution_goes_on_while_slack_is_away_and_its_ending_is_said_once(
    sqlite_bot: Bot, workspace: Workspace, counting: Path, trouble: str
) -> None:
    TROUBLES[trouble](workspace.faults)
    ack = await workspace.command("bob", "incidents", f"/runbook count {counting} on web-01")
    assert ack.ok
    await until(lambda: len(counted(counting)) == 6, "six steps without Slack", sqlite_bot.log)
    await until(lambda: _succeeded(sqlite_bot), "the ending being recorded", sqlite_bot.log)
    await asyncio.sleep(OUTAGE)
    assert _endings(workspace) == []
    workspace.faults.clear()
    await workspace.wait_for(_endings, timeout=45)
    await asyncio.sleep(1.5)
    assert len(_endings(workspace)) == 1
    assert len(workspace.messages("incidents")) == 1, "one headline"


@pytest.mark.parametrize("lost", ["drop_after_effect", "hang_after_effect"])
async def test_a_post_whose_answer_was_lost_is_marked_when_it_comes_again(
    sqlite_bot: Bot, workspace: Workspace, counting: Path, lost: str
) -> None:
    if lost == "drop_after_effect":
        workspace.faults.drop_after_effect("chat.postMessage", times=3)
    else:
        workspace.faults.hang_after_effect("chat.postMessage", times=1)
    await workspace.command("bob", "incidents", f"/runbook count {counting} on web-01")
    await until(lambda: _succeeded(sqlite_bot), "the ending being recorded", sqlite_bot.log)
    await asyncio.sleep(2)
    workspace.faults.clear()
    await workspace.wait_for(_endings, timeout=45)
    await asyncio.sleep(1.5)
    assert len(_endings(workspace)) == 1
    headlines = [workspace.read(m) for m in workspace.messages("incidents")]
    assert sum("(repeated)" not in text for text in headlines) == 1


async def test_what_waits_for_slack_outlives_a_restart(sqlite_bot: Bot, workspace: Workspace, counting: Path) -> None:
    workspace.faults.server_error()
    await workspace.command("bob", "incidents", f"/runbook count {counting} on web-01")
    await until(lambda: _succeeded(sqlite_bot), "the ending being recorded", sqlite_bot.log)
    sqlite_bot.kill()
    await sqlite_bot.start()
    workspace.faults.clear()
    await workspace.wait_for(_endings, timeout=45)
    assert len(_endings(workspace)) == 1
    assert len(counted(counting)) == 6


async def test_where_the_bot_cannot_post_it_reports_in_the_alerts_channel_and_the_requester_gets_the_link(
    sqlite_bot: Bot, workspace: Workspace, counting: Path
) -> None:
    workspace.remove_bot("incidents")
    workspace.faults.server_error("chat.postMessage", times=2)
    await workspace.command("bob", "incidents", f"/runbook count {counting} on web-01")
    await sees(workspace, ENDED, "succeeded in", channel="ops")
    assert len(counted(counting)) == 6
    assert ENDED not in workspace.transcript("incidents")

    def link(here: Workspace) -> bool:
        direct = [m for name in here.state.channels if name.startswith("D") for m in here.state.all_messages(name)]
        return any("I cannot post in" in m.text and "/archives/C0OPS/" in f"{m.text} {m.blocks}" for m in direct)

    await workspace.wait_for(link, timeout=30)


async def test_nothing_runs_before_a_headline_stands_where_the_channel_cannot_be_posted_to(
    sqlite_bot: Bot, workspace: Workspace, counting: Path
) -> None:
    workspace.remove_bot("incidents")
    stood: list[bool] = []

    def look() -> bool:
        if counted(counting) and not stood:
            stood.append(ENDED in workspace.transcript("ops"))
        return len(counted(counting)) == 6

    await workspace.command("bob", "incidents", f"/runbook count {counting} on web-01")
    await until(look, "six steps", sqlite_bot.log)
    assert stood == [True]


async def test_what_can_never_be_delivered_becomes_a_dead_letter(
    sqlite_bot: Bot, workspace: Workspace, counting: Path
) -> None:
    workspace.remove_bot("incidents")
    workspace.remove_bot("ops")
    await workspace.command("bob", "incidents", f"/runbook count {counting} on web-01")
    await until(lambda: _dead(sqlite_bot), "a dead letter", sqlite_bot.log)


async def _dead(bot: Bot) -> int:
    async with bot.database() as database:
        return len(await database.read(dead_letters.newest))
