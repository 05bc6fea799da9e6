"""The local workspace before a stranger: an app of Slack's own JavaScript framework, over HTTP and over Socket Mode.

What a person does here is done by the workspace's people; what is looked at is what the app made of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.playground.gestures import CommandSpec, ShortcutSpec
from bot.playground.state import Message, View
from bot.playground.workspace import SUBSCRIPTIONS, Workspace
from tests.needs import node_packages

HERE = Path(__file__).parent / "bolt_js"
COMMANDS = ("/deploy", "/form", "/twice", "/wrong", "/chatter", "/upload", "/whisper")
SHORTCUTS = (
    ShortcutSpec(name="Deploy", callback_id="open-form"),
    ShortcutSpec(name="Keep this", callback_id="keep", on_message=True),
)
PATIENCE = 20.0  # seconds; a busy machine answers slowly


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bolt for JavaScript in the one version that is listed, with all that it stands on."""
    return node_packages(HERE, tmp_path_factory.mktemp("bolt-js"))


@pytest.fixture(scope="module", params=["http", "socket"])
async def workspace(request: pytest.FixtureRequest, node_modules: Path) -> AsyncIterator[Workspace]:
    """A workspace with the stranger in it, reached in one of the two ways."""
    specs = [CommandSpec(command=name, should_escape=True) for name in COMMANDS]
    async with Workspace(command_specs=specs, shortcut_specs=SHORTCUTS, subscriptions=SUBSCRIPTIONS) as started:
        app = await _started(started, over=request.param, node_modules=node_modules)
        yield started
        app.kill()
        await app.wait()


@pytest.fixture(autouse=True)
def unhurried(workspace: Workspace) -> None:
    """Each test has its own minute of Slack's patience, and nothing open before anybody."""
    workspace.limits.forget()
    for stack in list(workspace.state.stacks):
        workspace.state.stacks.pop(stack)


async def _started(workspace: Workspace, *, over: str, node_modules: Path) -> asyncio.subprocess.Process:
    shutil.copy(HERE / "app.js", node_modules.parent)
    environment = {
        "PATH": os.environ["PATH"],
        "SLACK_API_URL": workspace.api_url,
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_SIGNING_SECRET": workspace.signing_secret,
        "SLACK_APP_TOKEN": workspace.app_token,
        "OVER": over,
    }
    app = await asyncio.create_subprocess_exec(
        "node", "app.js", cwd=node_modules.parent, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert app.stdout is not None
    async with asyncio.timeout(PATIENCE):
        line = await app.stdout.readline()
        assert line, f"the app ended with {await app.wait()}"
        port = json.loads(line)["port"]
    if over == "http":
        workspace.events_url = f"http://127.0.0.1:{port}/slack/events"
    else:
        await workspace.wait_for(lambda w: w.sockets.count == 1, PATIENCE)
    return app


async def message(workspace: Workspace, words: str, *, where: str = "incidents", thread: str | None = None) -> Message:
    """The message of the channel or thread that says this, once it is there."""
    return await workspace.wait_for(
        lambda w: next((one for one in w.messages(where, thread) if words in w.read(one)), None), PATIENCE
    )


async def whispered(workspace: Workspace, person: str, words: str) -> None:
    """Wait until that person alone is told this."""
    await workspace.wait_for(lambda w: any(words in one.text for one in w.ephemeral(person, "incidents")), PATIENCE)


async def modal(workspace: Workspace, person: str, title: str) -> View:
    """The modal of that title, once it is on top."""
    return await workspace.wait_for(
        lambda w: next((view for view in w.views(person)[-1:] if view.title == title), None), PATIENCE
    )


async def test_a_command_is_acknowledged_asked_about_and_approved(workspace: Workspace) -> None:
    ack = await workspace.command("alice", "incidents", "/deploy shop")
    assert ack.ok
    await whispered(workspace, "alice", "Looking at shop.")
    await whispered(workspace, "alice", "Asked.")
    asked = await message(workspace, "Deploy *shop*?")
    assert workspace.buttons(asked) == ["Approve"]
    assert (await workspace.click("bob", asked, "Approve")).ok
    approved = await message(workspace, "shop was approved by @bob")
    assert approved.ts == asked.ts
    assert workspace.buttons(approved) == []


async def test_a_modal_refuses_updates_pushes_and_submits(workspace: Workspace) -> None:
    assert (await workspace.command("alice", "incidents", "/form")).ok
    view = await modal(workspace, "alice", "Deploy")
    offered = await workspace.suggest("alice", view, "host", "web")
    assert [option["value"] for option in offered] == ["web-01", "web-02"]
    filled = {"Host": offered[1]}

    await workspace.submit_view("alice", {**filled, "Reason": "no"})
    assert (await modal(workspace, "alice", "Deploy")).errors == {"why": "Say more, please."}

    await workspace.submit_view("alice", {**filled, "Reason": "what else"})
    await modal(workspace, "alice", "Something else")
    await workspace.close_view("alice")
    await modal(workspace, "alice", "Deploy")

    await workspace.submit_view("alice", {**filled, "Reason": "it is slow"})
    await message(workspace, "@alice deploys to web-02: it is slow")
    assert workspace.views("alice") == []

    assert (await workspace.command("alice", "incidents", "/form")).ok
    await modal(workspace, "alice", "Deploy")
    await workspace.submit_view("alice", {**filled, "Reason": "show me"})
    await modal(workspace, "alice", "Shown")


async def test_a_view_is_pushed_on_a_view_and_an_old_hash_updates_nothing(workspace: Workspace) -> None:
    assert (await workspace.command("bob", "incidents", "/form")).ok
    view = await modal(workspace, "bob", "Deploy")
    assert (await workspace.click("bob", view, "More")).ok
    await modal(workspace, "bob", "More about it")
    await workspace.close_view("bob")
    workspace.type_into("bob", {"Reason": "typed before"})
    assert (await workspace.click("bob", await modal(workspace, "bob", "Deploy"), "Rename")).ok
    renamed = await modal(workspace, "bob", "Renamed")
    await message(workspace, "the second update: hash_conflict", where="ops")
    assert renamed.values["why"]["text"]["value"] == "typed before"
    await workspace.close_view("bob")
    await message(workspace, "the form was closed", where="ops")


async def test_its_address_for_events_answers_the_challenge(workspace: Workspace) -> None:
    assert await workspace.verify_events_url() == (workspace.events_url is not None)


async def test_a_trigger_opens_one_modal(workspace: Workspace) -> None:
    await workspace.command("dave", "incidents", "/twice")
    await whispered(workspace, "dave", "exchanged_trigger_id")
    assert len(workspace.views("dave")) == 1


async def test_a_block_too_long_is_refused_with_its_pointer(workspace: Workspace) -> None:
    await workspace.command("alice", "incidents", "/wrong")
    await whispered(
        workspace, "alice", "invalid_blocks: [ERROR] must be less than 3001 characters [json-pointer:/blocks/0"
    )


async def test_a_client_that_is_held_back_comes_again_when_told_to(workspace: Workspace) -> None:
    await workspace.command("alice", "ops", "/chatter")
    await message(workspace, "message 7", where="ops")
    posts = [call for call in workspace.calls_of("chat.postMessage") if call.arguments["text"].startswith("message ")]
    assert [call.status for call in posts].count(200) == 7
    assert {call.retry_after for call in posts if call.status == 429} == {1}


async def test_a_file_is_uploaded_and_shared(workspace: Workspace) -> None:
    await workspace.command("alice", "incidents", "/upload")
    shared = await message(workspace, "The log")
    [file] = (workspace.state.files[file_id] for file_id in shared.files)
    assert (file.name, file.content, file.channels) == ("run.log", b"all of it", ("C0INC",))


async def test_somebody_alone_is_told_who_is_on_call(workspace: Workspace) -> None:
    await workspace.command("carol", "incidents", "/whisper")
    await whispered(workspace, "carol", "oncall: 2")
    assert all("oncall" not in one.text for one in workspace.messages("incidents"))


async def test_a_global_shortcut_opens_a_modal(workspace: Workspace) -> None:
    assert (await workspace.shortcut("carol", "open-form")).ok
    await modal(workspace, "carol", "From a shortcut")


async def test_a_message_shortcut_pins_the_message_it_was_used_on(workspace: Workspace) -> None:
    said = await workspace.say("bob", "incidents", "the checkout is slow & <broken>")
    assert (await workspace.message_shortcut("alice", said, "keep")).ok
    await whispered(workspace, "alice", "Kept: the checkout is slow &amp; &lt;broken&gt;")
    kept = await workspace.wait_for(lambda w: [one for one in w.messages("incidents") if one.pinned], PATIENCE)
    assert kept[0].reactions == {"pushpin": (workspace.state.identity.bot_user,)}


async def test_a_mention_is_answered_in_its_thread_and_the_answer_changed(workspace: Workspace) -> None:
    said = await workspace.say("dave", "incidents", "@handrail status?")
    await message(workspace, "Done, @dave", thread=said.ts)


async def test_an_event_that_is_not_answered_comes_again(workspace: Workspace) -> None:
    said = await workspace.say("dave", "incidents", "@handrail are you busy?")
    await message(workspace, "Done, @dave (delivered again, 1: http_timeout)", thread=said.ts)
    mentions = [one for one in workspace.deliveries if one.payload.get("event", {}).get("ts") == said.ts]
    assert [one.attempt for one in mentions] == [0, 1]


async def test_the_home_tab_is_published_when_it_is_opened(workspace: Workspace) -> None:
    await workspace.open_home("carol")
    home = await workspace.wait_for(lambda w: w.home("carol"), PATIENCE)
    assert workspace.read(home) == "Your deployments"


@pytest.mark.parametrize("reason", ["warning", "refresh_requested", "cut"])
async def test_a_connection_that_ends_is_followed_by_another(workspace: Workspace, reason: str) -> None:
    over_sockets = workspace.events_url is None
    assert workspace.sockets.count == over_sockets
    opened = len(workspace.calls_of("apps.connections.open"))
    if reason == "cut":
        workspace.sockets.cut()
    else:
        await workspace.sockets.disconnect(reason, close_after=1)
    if over_sockets:
        await workspace.wait_for(
            lambda w: len(w.calls_of("apps.connections.open")) > opened and w.sockets.count == 1, PATIENCE
        )
    assert (await workspace.command("alice", "incidents", "/whisper")).ok
