"""Schedules in the channel: made, fired by the running bot, missed, approved for good by somebody else."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot.demo import Demo
from bot.playground.state import Message
from storage import executions, schedules
from storage.records import Origin, State
from tests.scenarios.test_people import PATIENCE, seen, told


async def due(running: Demo, name: str, *, ago: timedelta = timedelta(0)) -> None:
    """Its next moment is now, or was so long ago."""
    found = await running.app.database.read(schedules.find, name)
    assert found is not None
    moved = replace(found, next_at=running.app.clock.now() - ago)
    await running.app.database.write(schedules.change, moved)


async def test_a_schedule_is_made_fires_and_is_missed_in_its_channel(running: Demo) -> None:
    hour = (running.app.clock.now().hour + 12) % 24  # so that it does not come by itself meanwhile
    said = await told(
        running, "alice", f'/runbook schedule "0 {hour} * * *" restart nginx settle=0 on web-01 as "nightly nginx"'
    )
    assert "nightly nginx" in said
    assert f"At {hour:02}:00 every day (UTC)" in said
    await seen(running, "*Schedule nightly nginx* was made")

    await due(running, "nightly nginx")
    await seen(running, "scheduled as 'nightly nginx' for")
    async with asyncio.timeout(PATIENCE):
        while not (made := (await running.app.database.read(executions.newest, 1))[0]).state.is_final:
            await asyncio.sleep(0.05)
    assert (made.origin, made.actor.id, made.state) == (Origin.SCHEDULE, "UALICE", State.SUCCEEDED)

    await due(running, "nightly nginx", ago=timedelta(hours=2))
    await seen(running, "nothing could start it within 1 h")
    shown = await told(running, "bob", "/runbook schedule show nightly nginx")
    assert "missed, nothing could start it" in shown
    assert f"#{made.id} succeeded" in shown


async def test_a_schedule_is_paused_resumed_and_deleted_by_its_buttons(running: Demo) -> None:
    workspace = running.workspace
    await told(running, "alice", '/runbook schedule "30 1 1 1 *" health-check on web-01 as "yearly look"')

    async def newest_says(text: str) -> Message:
        def found(here: Any) -> Message | None:
            last = here.ephemeral("alice", "incidents")[-1]
            return last if text in here.read(last) else None

        return await workspace.wait_for(found, timeout=PATIENCE)

    await told(running, "alice", "/runbook schedule show yearly look")
    for label, becomes in (("Pause", "was paused"), ("Resume", "was resumed"), ("Delete", "was deleted")):
        shown = workspace.ephemeral("alice", "incidents")[-1]
        ack = await workspace.click("alice", shown, label)
        assert ack.ok, ack.error
        await newest_says(f"'yearly look' {becomes}")
    assert await running.app.database.read(schedules.find, "yearly look") is None


async def test_app_home_opens_the_form_of_a_new_schedule_which_asks_for_its_channel(running: Demo) -> None:
    workspace = running.workspace
    await workspace.open_home("carol")
    await workspace.wait_for(lambda here: here.home("carol") is not None, timeout=PATIENCE)
    home = workspace.home("carol")
    assert home is not None
    await workspace.click("carol", home, "New schedule")
    await workspace.wait_for(lambda here: here.views("carol"), timeout=PATIENCE)
    picker = workspace.views("carol")[-1]
    assert picker.title == "New schedule"
    offered = await workspace.suggest("carol", picker, "handrail:pick", "health")
    await workspace.choose("carol", picker, "handrail:pick", offered[-1]["options"][0])
    form = await workspace.wait_for(
        lambda here: next((v for v in here.views("carol") if v.title == "health-check"), None), timeout=PATIENCE
    )
    assert "channel" in form.values
    await workspace.close_view("carol")
