"""Whole conversations with a real Bolt app over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.state import NotPossible
from bot.playground.workspace import Workspace

BUTTONS: list[dict[str, Any]] = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "Restart *nginx* on web-01?"}},
    {
        "type": "actions",
        "elements": [
            {"type": "button", "action_id": "approve", "value": "7", "text": {"type": "plain_text", "text": "Approve"}},
            {"type": "button", "action_id": "deny", "value": "7", "text": {"type": "plain_text", "text": "Deny"}},
        ],
    },
]


async def test_a_command_is_acknowledged_and_answered_in_the_channel(workspace: Workspace, bolt: AsyncApp) -> None:
    @bolt.command("/runbook")
    async def runbook(ack: Any, command: Any, client: Any) -> None:
        await ack("Planning.")
        await client.chat_postMessage(channel=command["channel_id"], text=f"<@{command['user_id']}>: {command['text']}")

    ack = await workspace.command("alice", "incidents", "/runbook restart nginx on web-01")
    await workspace.wait_for(lambda w: w.messages("incidents"))

    assert ack.ok
    assert (ack.status, ack.body) == (200, "Planning.")
    assert workspace.transcript("incidents") == "#incidents\nHandrail: @alice: restart nginx on web-01\n"
    assert "Handrail (only visible to you): Planning." in workspace.transcript("incidents", reader="alice")
    assert workspace.ephemeral("bob", "incidents") == []


async def test_a_pressed_button_reaches_the_app_and_replaces_its_message(workspace: Workspace, bolt: AsyncApp) -> None:
    seen: list[Any] = []

    @bolt.action("approve")
    async def approve(ack: Any, body: Any, respond: Any) -> None:
        await ack()
        seen.append(body)
        await respond(text=f"Approved by <@{body['user']['id']}>", replace_original=True)

    await bolt.client.chat_postMessage(channel="C0INC", text="Restart?", blocks=BUTTONS)
    [message] = workspace.messages("incidents")
    assert workspace.buttons(message) == ["Approve", "Deny"]

    ack = await workspace.click("bob", message, "Approve")
    await workspace.wait_for(lambda w: "Approved by @bob" in w.transcript("incidents"))

    assert ack.ok
    assert seen[0]["actions"][0]["value"] == "7"
    assert seen[0]["container"]["channel_id"] == "C0INC"
    assert workspace.buttons(workspace.messages("incidents")[0]) == []


async def test_a_button_that_is_not_there_cannot_be_pressed(workspace: Workspace, client: AsyncWebClient) -> None:
    await client.chat_postMessage(channel="C0INC", text="Restart?", blocks=BUTTONS)
    with pytest.raises(NotPossible, match=r"'Retry'.*'Approve', 'Deny'"):
        await workspace.click("bob", workspace.messages("incidents")[0], "Retry")


async def test_an_app_that_does_not_answer_shows_operation_timeout(workspace: Workspace, bolt: AsyncApp) -> None:
    @bolt.command("/audit")
    async def audit(ack: Any) -> None:
        """Never acknowledges."""

    ack = await workspace.command("alice", "ops", "/audit last")

    assert (ack.status, ack.error) == (None, "operation_timeout")
    [notice] = workspace.ephemeral("alice", "ops")
    assert notice.text == '/audit failed with the error "operation_timeout"'
    assert len(workspace.deliveries) == 1


async def test_ephemeral_messages_never_stand_in_the_history(workspace: Workspace, client: AsyncWebClient) -> None:
    await client.chat_postEphemeral(channel="C0INC", user="UALICE", text="only you")
    history = await client.conversations_history(channel="C0INC")
    assert history["messages"] == []
    [message] = workspace.ephemeral("alice", "incidents")
    with pytest.raises(SlackApiError, match="message_not_found"):
        await client.chat_update(channel="C0INC", ts=message.ts, text="changed")


async def test_the_same_press_can_be_delivered_twice(workspace: Workspace, client: AsyncWebClient) -> None:
    await client.chat_postMessage(channel="C0INC", text="Restart?", blocks=BUTTONS)
    [message] = workspace.messages("incidents")
    first = await workspace.click("bob", message, "Approve")
    await workspace.click("bob", message, "Approve", trigger_id=first.trigger_id)
    assert [delivery.payload["trigger_id"] for delivery in workspace.deliveries] == [first.trigger_id] * 2


async def test_buttons_of_the_same_name_are_told_apart_by_their_block(
    workspace: Workspace, client: AsyncWebClient
) -> None:
    rows = [{**BUTTONS[1], "block_id": name} for name in ("one", "two")]
    await client.chat_postMessage(channel="C0INC", text="Restart?", blocks=rows)
    [message] = workspace.messages("incidents")
    await workspace.click("bob", message, "Approve", block_id="two")
    assert workspace.deliveries[0].payload["actions"][0]["block_id"] == "two"


async def test_a_failed_wait_shows_what_stands_there(workspace: Workspace) -> None:
    await workspace.say("alice", "incidents", "only this")
    with pytest.raises(TimeoutError, match="Alice Adams: only this"):
        await workspace.wait_for(lambda w: w.messages("ops"), timeout=0.01)


async def test_replies_and_reactions_are_told_in_the_transcript(workspace: Workspace, client: AsyncWebClient) -> None:
    parent = await workspace.say("alice", "incidents", "web-01 is slow")
    await workspace.say("bob", "incidents", "looking, see #ops", thread_ts=parent.ts)
    await client.chat_postMessage(channel="C0INC", thread_ts=parent.ts, text="Restart?", blocks=BUTTONS)
    workspace.react("carol", parent, "eyes")
    assert workspace.transcript("incidents") == (
        "#incidents\n"
        "Alice Adams: web-01 is slow\n"
        "  :eyes: 1\n"
        "    Bob Brandt: looking, see #ops\n"
        "    Handrail: Restart *nginx* on web-01?\n"
        "      [Approve] [Deny]\n"
    )


async def test_it_listens_on_loopback_only() -> None:
    with pytest.raises(ValueError, match="loopback"):
        await Workspace().start(host="0.0.0.0")


async def test_a_deleted_message_cannot_be_pressed(workspace: Workspace, client: AsyncWebClient) -> None:
    posted = await client.chat_postMessage(channel="C0INC", text="Restart?", blocks=BUTTONS)
    [message] = workspace.messages("incidents")
    await client.chat_delete(channel="C0INC", ts=posted["ts"])
    assert workspace.messages("incidents") == []
    with pytest.raises(NotPossible, match="gone"):
        await workspace.click("bob", message, "Approve")
