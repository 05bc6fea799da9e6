"""The kill switch on running processes: from Slack and from a shell, with Slack away, and with the database away."""

import asyncio
import time

import aiohttp

from bot.playground.workspace import Workspace
from storage import audit, controls, executions
from storage.records import State
from tests.system.serving import Bot, sees, sleepers, told, until


async def _holding(bot: Bot, workspace: Workspace, seconds: int) -> None:
    await workspace.command("bob", "incidents", f"/runbook hold {seconds} on web-01")
    await until(lambda: sleepers(seconds), "the command running on the host", bot.log)


async def _kinds(bot: Bot) -> list[str]:
    async with bot.database() as database:
        assert (await database.read(audit.verify)).ok
        found = await database.read(audit.search, words=("killswitch",), limit=100)
        return [entry.kind for entry in found if entry.kind.startswith("killswitch")]


async def test_now_ends_what_runs_and_off_lets_things_run_again(bot: Bot, workspace: Workspace) -> None:
    seconds = 29_821
    await _holding(bot, workspace, seconds)
    began = time.monotonic()
    await workspace.command("bob", "incidents", "/killswitch global on --now")
    await until(lambda: not sleepers(seconds), "the command being gone from the host", bot.log)
    print(f"gone after {time.monotonic() - began:.2f} s")
    await sees(workspace, "cancelled", "the kill switch (global) was engaged", "stopped")
    await sees(workspace, "Kill switch engaged: global", "1 command ended", channel="ops")

    await workspace.command("bob", "incidents", "/runbook hold 0 on web-01")
    await sees(workspace, "by the kill switch gate")
    await workspace.command("bob", "incidents", "/killswitch global off all clear")
    await told(workspace, "bob", "You may not release")
    await workspace.command("alice", "incidents", "/killswitch global off")
    await told(workspace, "alice", "Why is it safe again?")
    await workspace.command("alice", "incidents", "/killswitch global off all clear")
    await told(workspace, "alice", "is off")
    await workspace.command("bob", "incidents", "/runbook hold 0 on web-01")
    await sees(workspace, "succeeded")
    assert await _kinds(bot) == ["killswitch.released", "killswitch.engaged"]


async def test_without_now_the_running_step_ends_by_itself_and_the_next_does_not_start(
    bot: Bot, workspace: Workspace
) -> None:
    await _holding(bot, workspace, 3)
    await workspace.command("bob", "incidents", "/killswitch global on <!channel> & <@UALICE>")
    assert sleepers(3), "the running step is left alone"
    said = await sees(workspace, "cancelled", "kill switch")
    assert "step 1: Hold it" in said
    assert "step 2: Go on" not in said
    assert not sleepers(3)


async def test_it_works_from_a_shell_while_slack_is_away(sqlite_bot: Bot, workspace: Workspace) -> None:
    seconds = 29_822
    await _holding(sqlite_bot, workspace, seconds)
    workspace.faults.hang()
    began = time.monotonic()
    done = await sqlite_bot.handrail("killswitch", "global", "on", "--now")
    assert done.returncode == 0, done.stderr
    returned = time.monotonic() - began
    await until(lambda: not sleepers(seconds), "the command being gone from the host", sqlite_bot.log)
    print(f"gone after {time.monotonic() - began:.2f} s, of which the command line took {returned:.2f} s")
    workspace.faults.clear()
    await sees(workspace, "cancelled", "the kill switch (global) was engaged")
    refused = await sqlite_bot.handrail("killswitch", "global", "off")
    assert refused.returncode != 0
    off = await sqlite_bot.handrail("killswitch", "global", "off", "all", "clear")
    assert off.returncode == 0, off.stderr
    async with sqlite_bot.database() as database:
        assert await database.read(controls.engaged) == []
    assert await _kinds(sqlite_bot) == ["killswitch.released", "killswitch.engaged"]


async def test_it_works_from_a_shell_while_the_bot_is_down(sqlite_bot: Bot, workspace: Workspace) -> None:
    sqlite_bot.kill()
    done = await sqlite_bot.handrail("killswitch", "global", "on", "maintenance")
    assert done.returncode == 0, done.stderr
    await sqlite_bot.start()
    await workspace.command("bob", "incidents", "/runbook hold 0 on web-01")
    await sees(workspace, "by the kill switch gate")


async def test_a_switch_for_one_host_leaves_the_others_alone(sqlite_bot: Bot, workspace: Workspace) -> None:
    await workspace.command("bob", "incidents", "/killswitch host web-99 on")
    await told(workspace, "bob", "web-99")
    await workspace.command("bob", "incidents", "/runbook hold 0 on web-01")
    await sees(workspace, "succeeded")
    await workspace.command("bob", "incidents", "/killswitch host web-01 on")
    await told(workspace, "bob", "host web-01")
    await workspace.command("bob", "incidents", "/runbook hold 1 on web-01")
    await sees(workspace, "by the kill switch gate")


async def test_it_is_heard_while_a_process_that_stops_lets_what_runs_end(sqlite_bot: Bot, workspace: Workspace) -> None:
    seconds = 29_824
    await _holding(sqlite_bot, workspace, seconds)
    stopping = asyncio.create_task(sqlite_bot.stop())

    async def goes_elsewhere() -> bool:
        async with aiohttp.ClientSession() as session:
            answer = await session.get(f"http://127.0.0.1:{sqlite_bot.port}/readyz")
            return answer.status == 503 and "being stopped" in await answer.text()

    await until(goes_elsewhere, "a balancer being told to send requests elsewhere", sqlite_bot.log)
    assert sleepers(seconds)
    await workspace.command("bob", "incidents", "/killswitch global on --now")
    assert await stopping == 0
    assert not sleepers(seconds)
    async with sqlite_bot.database() as database:
        assert (await database.read(executions.get, 1)).state is State.CANCELLED
