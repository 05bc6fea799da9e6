"""Asking for what ran, in the channel: pages turned in place, numbers that open, near misses that only show."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bot.demo import Demo, demo
from bot.playground.state import Message
from storage import executions
from storage.records import State
from tests.bot import test_questions
from tests.bot.test_digest import ran

PATIENCE = 20.0


@pytest.fixture(params=["http", "sockets"])
async def running(request: pytest.FixtureRequest) -> AsyncIterator[Demo]:
    """Everything up, reached either way; no rate limits."""
    async with demo(rate_limits=False, over_sockets=request.param == "sockets") as running:
        yield running


async def asked(running: Demo, person: str, text: str, answer: str) -> Message:
    """Say it: the private answer that holds this."""
    assert (await running.workspace.command(person, "incidents", text)).ok
    return await shown(running, person, answer)


async def shown(running: Demo, person: str, text: str) -> Message:
    """The newest private message that holds this."""
    return await running.workspace.wait_for(
        lambda here: next((m for m in reversed(here.ephemeral(person, "incidents")) if text in here.read(m)), None),
        timeout=PATIENCE,
    )


async def test_pages_of_the_history_turn_in_place(running: Demo) -> None:
    workspace = running.workspace
    await running.app.database.write(test_questions.ran, 40)
    first = await asked(running, "bob", "/runbook history me", "#40")
    number = len(workspace.ephemeral("bob", "incidents"))
    await workspace.click("bob", first, "Older")
    second = await shown(running, "bob", "#25")
    assert "#40" not in workspace.read(second)
    assert len(workspace.ephemeral("bob", "incidents")) == number
    await workspace.click("bob", second, "Newer")
    await shown(running, "bob", "#40")
    assert len(workspace.ephemeral("bob", "incidents")) == number


async def test_a_number_of_the_digest_opens_what_is_behind_it_for_whoever_clicks(running: Demo) -> None:
    workspace, now = running.workspace, running.app.clock.now()
    for _ in range(2):
        await running.app.database.write(ran, now - timedelta(hours=1), State.FAILED)
    await running.app.database.write(ran, now - timedelta(hours=2))
    digest = await asked(running, "carol", "/runbook digest 24h", "33 % succeeded")
    await workspace.click("carol", digest, "Failed (2)")
    told = await shown(running, "carol", "state=failed")
    assert "#3" not in workspace.read(told)
    assert "33 % succeeded" in workspace.read(await shown(running, "carol", "Digest")), "the digest stays"


async def test_the_button_of_a_near_miss_shows_the_plan_and_runs_nothing(running: Demo) -> None:
    workspace = running.workspace
    before = running.hosts.hosts[0].system.services["nginx"].main_pid
    near = await asked(running, "bob", "/runbook restart-servise nginx on web-01", "Did you mean")
    button = next(label for label in workspace.buttons(near) if label.startswith("Show restart-service nginx"))
    await workspace.click("bob", near, button)
    await workspace.wait_for(
        lambda here: "dry run of restart-service" in here.transcript("incidents"), timeout=PATIENCE
    )

    def over(here: object) -> bool:
        return "dry run: " in workspace.transcript("incidents").lower()

    await workspace.wait_for(over, timeout=PATIENCE)
    [made] = await running.app.database.read(executions.newest, 5)
    assert made.dry_run
    planned = await workspace.wait_for(
        lambda here: next((m for m in here.messages("incidents") if "[Run it]" in here.read(m)), None), timeout=PATIENCE
    )
    assert "Planned" in workspace.read(planned)
    assert "succeeded" not in workspace.transcript("incidents").lower(), "nothing was done that could have"
    assert running.hosts.hosts[0].system.services["nginx"].main_pid == before
    await workspace.click("carol", planned, "Run it")
    ran = await workspace.wait_for(
        lambda here: next((m for m in here.messages("incidents") if f"continues #{made.id}" in here.read(m)), None),
        timeout=PATIENCE,
    )
    assert "dry run" not in workspace.read(ran)
    assert "asked by @carol" in workspace.read(ran), "it is hers, and judged as if she had typed it"
    real = next(one for one in await running.app.database.read(executions.newest, 5) if one.retry_of == made.id)
    assert real.text == f"Run it on #{made.id}", "the words of the dry run are not those of what ran"
