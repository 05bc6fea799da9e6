"""kill -9 while an incident's channel is being made: the next start leaves one, and nobody waits in vain."""

import asyncio

import pytest

from bot.playground.workspace import Workspace
from storage import audit, incidents
from tests.system.serving import Bot, sees, until

OPEN = '/incident open "checkout is slow" sev2'


@pytest.mark.parametrize("method", ["conversations.create", "chat.postMessage"])
async def test_a_crash_in_the_middle_of_opening_leaves_one_channel_with_one_headline(
    sqlite_bot: Bot, workspace: Workspace, method: str
) -> None:
    """Slack has done it, and we die before we hear of it."""
    workspace.faults.hang_after_effect(method, times=1)
    await workspace.command("bob", "incidents", OPEN)
    await until(lambda: not workspace.faults.all(), f"{method} being called", sqlite_bot.log)
    sqlite_bot.kill()
    workspace.faults.clear()
    await sqlite_bot.start()
    await sees(workspace, "*sev2*: checkout is slow")
    rooms = [one for one in workspace.state.channels.values() if one.name.startswith("inc-")]
    assert len(rooms) == 1

    def stands(here: Workspace) -> bool:
        return any(one.pinned for one in here.state.all_messages(rooms[0].id))

    await workspace.wait_for(stands, timeout=30)
    await asyncio.sleep(0.5)
    said = [workspace.read(one) for one in workspace.state.all_messages(rooms[0].id)]
    assert len([one for one in said if "checkout is slow" in one]) == 1, said
    async with sqlite_bot.database() as database:
        [incident] = await database.read(incidents.newest)
        assert (incident.channel, incident.may_exist) == (rooms[0].id, False)
        assert (await database.read(audit.verify)).ok
