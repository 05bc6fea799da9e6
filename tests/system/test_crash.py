"""kill -9 of the bot at chosen instants, and a start afterwards: nothing runs twice, nothing is lost.

At random instants, with many executions in flight: `tests/chaos`.
"""

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from bot.playground.workspace import Workspace
from storage import audit, executions, inbox
from storage import tables as t
from storage.records import Actor, Received
from tests.system.serving import Bot, button, counted, executing, sees, sleepers, told, until

RECORDS = [f"{folder}/handrail-{os.geteuid()}" for folder in ("/run/lock", "/tmp", "/dev/shm")]


async def _forget_records(bot: Bot) -> None:
    """As if the host had lost them."""
    async with bot.database() as database:
        tokens = [step.token for step in await database.read(executions.steps_of, 1) if step.token]
    assert tokens
    for record in [Path(folder) / token for folder in RECORDS for token in tokens]:
        record.unlink(missing_ok=True)


async def _running_and_noted(bot: Bot, seconds: int) -> None:
    """The command runs on the host, and its process group is kept: what a look after the crash needs."""
    await until(lambda: sleepers(seconds), "the step running on the host", bot.log)
    async with bot.database() as database, asyncio.timeout(20):
        while not any(step.pgid for step in await database.read(executions.steps_of, 1)):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("ends", ["while nobody lives", "after the next start"])
async def test_a_step_in_flight_is_found_again_after_a_crash_with_its_true_end(
    bot: Bot, workspace: Workspace, counting: Path, ends: str
) -> None:
    """It waits for one word from a pipe: a second run of it would never end."""
    pipe = counting / "pipe"
    os.mkfifo(pipe)
    await workspace.command("bob", "incidents", f"/runbook take {pipe} on web-01")
    await until(lambda: executing("cp", str(pipe)), "the step running on the host", bot.log)
    bot.kill()
    if ends == "while nobody lives":
        await asyncio.to_thread(pipe.write_text, "word")
        await asyncio.sleep(1)
    began = time.monotonic()
    await bot.start()
    if ends == "after the next start":
        await sees(workspace, "asks web-01 what became of step 1")
        await asyncio.to_thread(pipe.write_text, "word")
    await sees(workspace, "asks web-01 what became of step 1", "is lost")
    print(f"its end was told {time.monotonic() - began:.1f} s after the start")
    await until(
        lambda: counted(counting) == ["", "pipe", "pipe.after"], "the step behind", lambda: str(counted(counting))
    )
    assert (counting / "pipe.taken").read_text() == "word"
    shown = await sees(workspace, "succeeded")
    assert "interrupted" not in shown
    async with bot.database() as database:
        assert (await database.read(audit.verify)).ok


async def test_a_request_that_every_process_died_of_is_answered_and_not_tried_again(
    installation: Bot, workspace: Workspace
) -> None:
    await installation.start()
    installation.kill()
    back_then = datetime.now(UTC) - timedelta(minutes=1)
    url = f"{workspace.url}/respond/{workspace.state.new_response_url(user='UBOB', channel='C0INC')}"
    deadly = Received(
        id="1" * 32,
        key="command:1",
        kind="command",
        actor=Actor(id="UBOB", name="bob"),
        channel="C0INC",
        text="take /tmp/never on web-01",
        payload={"command": "/runbook", "response_url": url},
        received_at=back_then,
    )
    async with installation.database() as database:
        assert await database.write(inbox.receive, deadly)
        found = {"starts": inbox.MOST_STARTS - 1, "started_at": back_then}
        await database.write(lambda c: c.execute(update(t.requests).values(**found)))
    await installation.start()
    await until(lambda: workspace.ephemeral("bob", "C0INC"), "an answer", installation.log)
    (answer,) = workspace.ephemeral("bob", "C0INC")
    assert answer.text.startswith(
        "Handrail ended 5 times before it could answer `take /tmp/never on web-01`, so it is not"
    )
    async with installation.database() as database:
        assert await database.read(inbox.unhandled) == []
        assert await database.read(executions.newest, 5) == []
        assert (await database.read(audit.newest_of, "request.put-aside")).data["text"] == "take /tmp/never on web-01"
        assert (await database.read(audit.verify)).ok
    installation.kill()


async def test_a_step_that_failed_while_nobody_lived_has_failed(bot: Bot, workspace: Workspace) -> None:
    seconds = 29_815
    await workspace.command("bob", "incidents", f"/runbook give-up {seconds} on web-01")
    await _running_and_noted(bot, seconds)
    bot.kill()
    await until(lambda: not sleepers(seconds), "the command being over")
    await bot.start()
    shown = await sees(workspace, "exit status 124", "failed")
    assert "interrupted" not in shown
    assert sleepers(seconds) == []


async def test_a_step_that_runs_on_is_followed_and_can_be_cancelled_by_the_next_owner(
    bot: Bot, workspace: Workspace
) -> None:
    seconds = 29_814
    await workspace.command("bob", "incidents", f"/runbook hold {seconds} on web-01")
    await _running_and_noted(bot, seconds)
    bot.kill()
    await bot.start()
    await sees(workspace, "asks web-01 what became of step 1")
    assert len(sleepers(seconds)) == 1
    await workspace.command("bob", "incidents", "/runbook cancel 1")
    await sees(workspace, "cancelled by", "stopped")
    assert sleepers(seconds) == []


async def test_a_step_of_which_no_record_is_left_is_interrupted_by_a_crash_and_not_run_again(
    bot: Bot, workspace: Workspace
) -> None:
    seconds = 29_811
    await workspace.command("bob", "incidents", f"/runbook hold {seconds} on web-01")
    await _running_and_noted(bot, seconds)
    bot.kill()
    await _forget_records(bot)
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
    await _forget_records(bot)
    await bot.start()
    await sees(workspace, "asks web-01 what became of step 1", "succeeded")
    async with bot.database() as database:
        assert [step.attempt for step in await database.read(executions.steps_of, 1)] == [1, 2]
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
