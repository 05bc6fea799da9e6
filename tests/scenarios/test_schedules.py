"""Schedules in the channel: made, fired by the running bot, missed, approved for good by somebody else."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from bot.demo import Demo
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
