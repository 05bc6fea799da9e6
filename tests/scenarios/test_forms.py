"""Forms, from the first click to what ran: over HTTP and over Socket Mode, as people use them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bot import app as bot_app
from bot.demo import Demo, _environment, _write_config, demo
from bot.playground.block_kit import check_view
from bot.playground.hosts import start_demo_hosts
from bot.playground.state import View
from bot.playground.workspace import Workspace
from bot.settings import load
from storage import audit, executions, outbox, schedules
from storage.records import Execution, Origin, OutboxKind, State

PATIENCE = 20.0


@pytest.fixture(params=["http", "sockets"], scope="module")
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


async def offers(running: Demo, person: str, view: View, action: str, typed: str) -> list[dict[str, Any]]:
    """What a menu offers, group after group."""
    found = await running.workspace.suggest(person, view, action, typed)
    return [one for group in found for one in group.get("options", [group])]


def option(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The first of them, as Slack sends a choice."""
    return found[0]


async def choose(running: Demo, person: str, view: View, action: str, typed: str) -> None:
    """Take the first that a menu offers."""
    await running.workspace.choose(person, view, action, option(await offers(running, person, view, action, typed)))


async def test_a_runbook_is_chosen_filled_in_looked_at_and_run(running: Demo) -> None:
    workspace = running.workspace
    await workspace.command("bob", "incidents", "/runbook")
    picker = await top(running, "bob", "Run a runbook")
    await choose(running, "bob", picker, "handrail:pick", "restart")
    form = await top(running, "bob", "restart-service", "Restart a systemd service")
    web_01 = option(await offers(running, "bob", form, "handrail:hosts", "web-01"))
    await workspace.choose("bob", form, "handrail:hosts", [web_01])
    services = [one["value"] for one in await offers(running, "bob", form, "handrail:services", "")]
    assert "nginx" in services
    await choose(running, "bob", form, "handrail:services", "nginx")
    await workspace.submit_view("bob", {"parameter:settle": "0"})
    plan = await top(running, "bob", "The plan", "systemctl restart nginx")
    assert "It runs as soon as you press *Run*." in workspace.read(plan)
    await workspace.submit_view("bob")
    assert workspace.views("bob") == []
    execution = await ended(running, "restart-service nginx settle=0 on web-01")
    assert (execution.state, execution.origin, execution.actor.id) == (State.SUCCEEDED, Origin.MODAL, "UBOB")


async def test_a_shortcut_on_a_message_runs_something_for_it_and_says_so_below_it(running: Demo) -> None:
    workspace = running.workspace
    alert = await workspace.say("carol", "ops", "nginx on web-02 is slow")
    await workspace.message_shortcut("alice", alert, "handrail:run_here")
    await choose(running, "alice", await top(running, "alice", "Run a runbook"), "handrail:pick", "health")
    form = await top(running, "alice", "health-check")
    workspace.type_into("alice", {"hosts": [option(await offers(running, "alice", form, "handrail:hosts", "web-02"))]})
    await workspace.submit_view("alice")
    await top(running, "alice", "The plan", "It runs as soon as you press *Run*.")
    await workspace.submit_view("alice")
    execution = await ended(running, "health-check on web-02")
    assert (execution.channel, execution.state) == ("C0OPS", State.SUCCEEDED)
    await workspace.wait_for(
        lambda here: "@alice asked for *#2 health-check" in here.read(here.messages("ops", thread_ts=alert.ts)[-1]),
        timeout=PATIENCE,
    )


async def test_the_global_shortcut_asks_for_the_channel_and_offers_what_ran_there_to_who_may(running: Demo) -> None:
    workspace = running.workspace
    await workspace.shortcut("bob", "handrail:run", looking_at="ops")
    await choose(running, "bob", await top(running, "bob", "Run a runbook"), "handrail:pick", "top")
    form = await top(running, "bob", "top")
    assert form.values["channel"]["value"]["selected_conversation"] == "C0OPS"
    hosts = [option(await offers(running, "bob", form, "handrail:hosts", "web-01"))]
    await workspace.submit_view("bob", {"hosts": hosts, "Channel it reports in": "C0INC"})
    await top(running, "bob", "The plan", "It runs as soon as you press *Run*.")
    await workspace.submit_view("bob")
    assert (await ended(running, "top on web-01")).channel == "C0INC"
    await workspace.shortcut("dave", "handrail:run")
    await workspace.wait_for(lambda here: here.messages(here.state.direct("UDAVE").id), timeout=PATIENCE)
    assert "You may not run runbooks" in workspace.read(workspace.messages(workspace.state.direct("UDAVE").id)[-1])
    assert workspace.views("dave") == []


async def test_what_is_missing_is_asked_for_and_what_is_wrong_is_said_beside_its_field(running: Demo) -> None:
    workspace = running.workspace
    await workspace.command("bob", "incidents", '/runbook cleanup /var/log on web-01 larger=lots --reason "disk full"')
    await workspace.wait_for(lambda here: here.ephemeral("bob", "incidents"), timeout=PATIENCE)
    by_word = workspace.read(workspace.ephemeral("bob", "incidents")[-1])
    await workspace.command("bob", "incidents", '/runbook cleanup /var/log older=0 --reason "disk full"')
    form = await top(running, "bob", "disk-cleanup")
    assert form.values["parameter:older"]["value"]["value"] == "0"
    assert form.values["reason"]["value"]["value"] == "disk full"
    hosts = [option(await offers(running, "bob", form, "handrail:hosts", "web-01"))]
    await workspace.submit_view("bob", {"hosts": hosts, "parameter:larger": "lots"})
    [form] = workspace.views("bob")
    assert list(form.errors) == ["parameter:larger"]
    assert by_word.startswith(form.errors["parameter:larger"])
    await workspace.submit_view("bob", {"parameter:larger": "1M"})
    await top(running, "bob", "The plan", "confirms that this is what you want")
    await workspace.close_view("bob")
    [form] = workspace.views("bob")
    assert form.values["parameter:larger"]["value"]["value"] == "1M"
    await workspace.submit_view("bob")
    await top(running, "bob", "The plan", "confirms that this is what you want")
    await workspace.submit_view("bob")
    execution = await ended(running, 'disk-cleanup larger=1M older=0 on web-01 --reason "disk full"')
    assert execution.state is State.SUCCEEDED
    entries = await running.app.database.read(audit.search, execution_id=execution.id, limit=100)
    assert "approval.given" in [entry.kind for entry in entries]


async def test_an_approval_is_asked_for_by_the_button_of_the_page(running: Demo) -> None:
    workspace = running.workspace
    await workspace.command("bob", "incidents", "/runbook kill report-worker grace=1")
    form = await top(running, "bob", "kill-process")
    hosts = [option(await offers(running, "bob", form, "handrail:hosts", "web-02"))]
    await workspace.submit_view("bob", {"hosts": hosts})
    plan = await top(running, "bob", "The plan", "It waits for the approval of somebody else")
    assert plan.content["submit"]["text"] == "Ask for approval"
    await workspace.submit_view("bob")
    await workspace.wait_for(lambda here: "needs an approval" in said_in(here), timeout=PATIENCE)
    asked = await newest(running)
    assert asked is not None
    await workspace.command("carol", "incidents", f"/runbook deny {asked.id} wrong host")
    denied = await ended(running, "kill-process report-worker grace=1 on web-02")
    assert (denied.state, denied.ending) == (State.DENIED, "denied by <@UCAROL>: wrong host")


async def test_a_schedule_is_chosen_timed_looked_at_and_created(running: Demo) -> None:
    workspace = running.workspace
    await workspace.command("carol", "incidents", "/runbook schedule")
    await choose(running, "carol", await top(running, "carol", "New schedule"), "handrail:pick", "health")
    form = await top(running, "carol", "health-check")
    assert form.content["submit"]["text"] == "See when it fires"
    berlin = option(await offers(running, "carol", form, "handrail:zones", "berlin"))
    hosts = [option(await offers(running, "carol", form, "handrail:hosts", "web-01"))]
    answers = {"often": "Every Monday", "at": "04:30", "timezone": berlin, "hosts": hosts}
    await workspace.submit_view("carol", {"name": "list", **answers})
    [form] = workspace.views("carol")
    assert list(form.errors) == ["name"]
    await workspace.submit_view("carol", {"name": "nightly look"})
    page = await top(running, "carol", "The schedule", "nightly look")
    shown = workspace.read(page)
    assert "At 04:30 on Monday (Europe/Berlin)" in shown
    assert shown.count("04:30 Europe/Berlin") == 5
    assert page.content["submit"]["text"] == "Create"
    await workspace.submit_view("carol")
    assert workspace.views("carol") == []
    await workspace.wait_for(lambda here: "Schedule nightly look* was made" in said_in(here), timeout=PATIENCE)
    made = await running.app.database.read(schedules.find, "nightly look")
    assert made is not None
    assert (made.cron, made.timezone, made.text) == ("30 4 * * 1", "Europe/Berlin", "health-check on web-01")


def said_in(workspace: Any) -> str:
    """Everything that stands in the channel and its threads."""
    return "\n".join(workspace.read(m) for m in workspace.state.all_messages("C0INC"))


async def newest(running: Demo) -> Execution | None:
    """The last that was asked for."""
    return next(iter(await running.app.database.read(executions.newest, 1)), None)


async def ended(running: Demo, text: str) -> Execution:
    """The newest execution, once it is one of this text and has ended."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        found = await newest(running)
        if found is not None and found.text == text and found.state.is_final:
            return found
        assert asyncio.get_running_loop().time() < deadline, f"{found and (found.text, found.state)}"
        await asyncio.sleep(0.05)


async def test_what_was_put_off_in_case_a_process_dies_is_said_when_it_starts_again(tmp_path: Path) -> None:
    async with Workspace(rate_limits=False) as workspace, contextlib.AsyncExitStack() as stack:
        hosts = await start_demo_hosts(tmp_path)
        stack.push_async_callback(hosts.close)
        _write_config(tmp_path, hosts, None)
        settings = load(environment=_environment(tmp_path, workspace, 0, over_sockets=False))
        assert settings.slack is not None

        def put_off(connection: Connection) -> None:
            now = datetime.now(UTC)
            outbox.put(
                connection,
                id="look",
                kind=OutboxKind.ANSWER,
                method="respond",
                payload={"text": "the plan is not shown yet", "user": "UBOB"},
                now=now,
                channel="C0INC",
                not_before=now + timedelta(minutes=6),
            )

        async with bot_app.running(settings, settings.slack) as first:
            await first.started.wait()
            await first.database.write(put_off)
        assert workspace.ephemeral("bob", "incidents") == []
        async with bot_app.running(settings, settings.slack):
            await workspace.wait_for(lambda here: here.ephemeral("bob", "incidents"), timeout=20)
