"""Forms, from the first click to what ran: over HTTP and over Socket Mode, as people use them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.demo import Demo, demo
from bot.playground.block_kit import check_view
from bot.playground.state import View
from storage import executions
from storage.records import Origin, State

PATIENCE = 20.0


@pytest.fixture(params=["http", "sockets"])
async def running(request: pytest.FixtureRequest) -> AsyncIterator[Demo]:
    """Everything up, reached either way; no rate limits."""
    async with demo(rate_limits=False, over_sockets=request.param == "sockets") as running:
        yield running


async def top(running: Demo, person: str, title: str, saying: str = "") -> View:
    """Their top modal, once it has this title and says this."""

    def found(here: Any) -> View | None:
        views = here.views(person)
        return views[-1] if views and views[-1].title == title and saying in here.read(views[-1]) else None

    try:
        view = await running.workspace.wait_for(found, timeout=PATIENCE)
    except TimeoutError as error:
        views = running.workspace.views(person)
        shown = running.workspace.read(views[-1]) if views else "nothing"
        raise AssertionError(f"{person} sees {shown}") from error
    assert check_view(view.content) == []
    return view


async def offered(running: Demo, person: str, view: View, action: str, typed: str) -> list[str]:
    """What a menu offers, group after group."""
    found = await running.workspace.suggest(person, view, action, typed)
    options = [one for group in found for one in group.get("options", [group])]
    return [one["text"]["text"] for one in options]


async def choose(running: Demo, person: str, view: View, action: str, typed: str) -> None:
    """Take the first that a menu offers."""
    found = await running.workspace.suggest(person, view, action, typed)
    options = [one for group in found for one in group.get("options", [group])]
    await running.workspace.choose(person, view, action, options[0])


async def test_a_runbook_is_chosen_filled_in_looked_at_and_run(running: Demo) -> None:
    workspace = running.workspace
    await workspace.command("bob", "incidents", "/runbook")
    picker = await top(running, "bob", "Run a runbook")
    await choose(running, "bob", picker, "handrail:pick", "restart")
    form = await top(running, "bob", "restart-service", "Restart a systemd service")
    hosts = await workspace.suggest("bob", form, "handrail:hosts", "web-01")
    assert hosts[0]["options"][0]["value"] == "web-01"
    await workspace.choose("bob", form, "handrail:hosts", [hosts[0]["options"][0]])
    assert "nginx" in await offered(running, "bob", form, "handrail:services", "")
    await choose(running, "bob", form, "handrail:services", "nginx")
    await workspace.submit_view("bob")
    plan = await top(running, "bob", "The plan", "systemctl restart nginx")
    assert "It runs at once." in workspace.read(plan)
    assert await running.app.database.read(executions.newest, 5) == []
    await workspace.submit_view("bob")
    assert workspace.views("bob") == []
    await workspace.wait_for(lambda here: "Succeeded" in here.transcript("incidents"), timeout=PATIENCE)
    [execution] = await running.app.database.read(executions.newest, 5)
    assert (execution.text, execution.origin) == ("restart-service nginx on web-01", Origin.MODAL)
    assert (execution.state, execution.actor.id) == (State.SUCCEEDED, "UBOB")
