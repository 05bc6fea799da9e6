"""kill -9 of the bot at chosen instants, and a start afterwards: nothing runs twice, nothing is lost.

At random instants, with many executions in flight: `tests/chaos`.
"""

import asyncio
import os
import time
from pathlib import Path

from bot.playground.workspace import Workspace
from storage import audit, executions
from tests.system.serving import Bot, button, counted, sees, sleepers, told, until


async def _running_and_noted(bot: Bot, seconds: int) -> None:
    """The command runs on the host, and its process group is kept: what a look after the crash needs."""
    await until(lambda: sleepers(seconds), "the step running on the host", bot.log)
    async with bot.database() as database, asyncio.timeout(20):
        while not any(step.pgid for step in await database.read(executions.steps_of, 1)):
            await asyncio.sleep(0.02)


async def test_a_step_in_flight_is_interrupted_by_a_crash_and_not_run_again(bot: Bot, workspace: Workspace) -> None:
    seconds = 29_811
    await workspace.command("bob", "incidents", f"/runbook hold {seconds} on web-01")
    await _running_and_noted(bot, seconds)
    bot.kill()
    began = time.monotonic()
    await bot.start()
    try:
        said = await sees(workspace, "interrupted")
        print(f"interrupted {time.monotonic() - began:.1f} s after the start")
        assert len(sleepers(seconds)) == 1, "the command of before is still the only one"
        assert "Give up" in workspace.buttons(await button(workspace, "Resume"))
        assert "unknown" in said

        await workspace.command("bob", "incidents", "/runbook count-once /tmp on web-01")
        await sees(workspace, "is held by #1")
        await workspace.click("bob", await button(workspace, "Resume"), "Resume")
        await told(workspace, "bob", "still running")
        await workspace.click("bob", await button(workspace, "Give up"), "Give up")
        await sees(workspace, "given up by")
    finally:
        for pid in sleepers(seconds):
            os.kill(pid, 9)
    async with bot.database() as database:
        assert (await database.read(audit.verify)).ok


async def test_a_step_that_may_be_repeated_goes_on_by_itself_after_a_crash(bot: Bot, workspace: Workspace) -> None:
    seconds = 2
    await workspace.command("bob", "incidents", f"/runbook hold-safely {seconds} on web-01")
    await _running_and_noted(bot, seconds)
    bot.kill()
    await until(lambda: not sleepers(seconds), "the command of before being over")
    await bot.start()
    await sees(workspace, "goes on", "succeeded")
    async with bot.database() as database:
        assert (await database.read(audit.verify)).ok


async def test_an_approval_and_a_cooldown_outlive_a_crash(bot: Bot, workspace: Workspace, counting: Path) -> None:
    await workspace.command("bob", "incidents", f"/runbook count-once {counting} on web-01")
    await sees(workspace, "succeeded")
    await workspace.command("bob", "incidents", f"/runbook careful {counting} on web-01")
    await button(workspace, "Approve")
    bot.kill()
    await bot.start()
    await workspace.command("bob", "incidents", f"/runbook count-once {counting} on web-01")
    await sees(workspace, "refused", "cooldown")
    await workspace.click("carol", await button(workspace, "Approve"), "Approve")
    await until(lambda: counted(counting) == ["careful", "once"], "the approved step", lambda: str(counted(counting)))
