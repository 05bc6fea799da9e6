"""How the app hears of things over HTTP: signatures, fields, escaping, events and their retries."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.delivery import Sort, sign
from bot.playground.workspace import Workspace

Listen = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]

KNOWN_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)


def test_the_signature_is_the_one_slack_publishes() -> None:
    signature = sign("8f742231b10e8888abcd99yyyzzz85a5", 1531420618, KNOWN_BODY)
    assert signature == "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"


async def test_a_command_brings_slacks_fields_and_a_good_signature(workspace: Workspace, listen: Listen) -> None:
    heard: list[tuple[bytes, dict[str, str], dict[str, Any]]] = []

    async def receive(request: web.Request) -> web.Response:
        heard.append((await request.read(), dict(request.headers), dict(await request.post())))
        return web.Response()

    workspace.events_url = await listen(receive)
    ack = await workspace.command("alice", "incidents", "/runbook restart nginx on web-01")

    [(body, headers, form)] = heard
    assert SignatureVerifier(workspace.signing_secret).is_valid_request(body, headers)
    assert (form["command"], form["text"]) == ("/runbook", "restart nginx on web-01")
    assert (form["user_id"], form["channel_id"], form["channel_name"]) == ("UALICE", "C0INC", "incidents")
    assert (form["trigger_id"], form["response_url"]) == (ack.trigger_id, ack.response_url)
    assert form["response_url"].startswith(workspace.url)
    assert workspace.ephemeral("alice", "incidents") == []


async def test_mentions_in_an_escaped_command_become_ids(workspace: Workspace, listen: Listen) -> None:
    texts: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        texts.append(str((await request.post())["text"]))
        return web.Response()

    workspace.events_url = await listen(receive)
    await workspace.command("alice", "incidents", "/runbook can @bob in #ops see https://example.com/x?a=1&b=2 or @who")
    assert texts == ["can <@UBOB> in <#C0OPS|ops> see <https://example.com/x?a=1&amp;b=2> or @who"]


async def test_the_same_trigger_can_be_delivered_twice(workspace: Workspace, listen: Listen) -> None:
    triggers: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        triggers.append(str((await request.post())["trigger_id"]))
        return web.Response()

    workspace.events_url = await listen(receive)
    first = await workspace.command("alice", "incidents", "/runbook list")
    await workspace.command("alice", "incidents", "/runbook list", trigger_id=first.trigger_id)
    assert triggers == [first.trigger_id] * 2


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"text": "hi"}, [("ephemeral", "hi")]),
        ({"response_type": "in_channel"}, [("channel", "/runbook list")]),
        ({"response_type": "in_channel", "text": "hi"}, [("channel", "/runbook list"), ("channel", "hi")]),
    ],
)
async def test_the_answer_to_a_command_is_shown_to_whom_it_says(
    workspace: Workspace, listen: Listen, body: dict[str, str], shown: list[tuple[str, str]]
) -> None:
    async def receive(request: web.Request) -> web.Response:
        return web.json_response(body)

    workspace.events_url = await listen(receive)
    await workspace.command("alice", "incidents", "/runbook list")
    there = [("channel", message.text) for message in workspace.messages("incidents")]
    there += [("ephemeral", message.text) for message in workspace.ephemeral("alice", "incidents")]
    assert there == shown


@pytest.mark.parametrize("status", [404, 500])
async def test_a_failed_command_is_shown_and_not_repeated(workspace: Workspace, listen: Listen, status: int) -> None:
    async def receive(request: web.Request) -> web.Response:
        return web.Response(status=status)

    workspace.events_url = await listen(receive)
    ack = await workspace.command("alice", "incidents", "/runbook list")
    assert (ack.status, ack.error) == (status, "dispatch_failed")
    assert len(workspace.deliveries) == 1


async def test_an_unacknowledged_event_comes_again_three_times(
    workspace: Workspace, listen: Listen, clock: Any
) -> None:
    heard: list[tuple[str | None, str | None, str]] = []

    async def receive(request: web.Request) -> web.Response:
        body = await request.json()
        headers = request.headers
        heard.append((headers.get("x-slack-retry-num"), headers.get("x-slack-retry-reason"), body["event_id"]))
        return web.Response(status=500)

    workspace.events_url = await listen(receive)
    await workspace.say("alice", "incidents", "hello @handrail")
    await workspace.wait_for(lambda w: len(w.deliveries) == 4)

    assert [number for number, _, _ in heard] == [None, "1", "2", "3"]
    assert {reason for _, reason, _ in heard[1:]} == {"http_error"}
    assert len({event_id for _, _, event_id in heard}) == 1
    assert clock.slept == [60.0, 300.0]


async def test_an_event_sent_round_in_circles_says_so_when_it_comes_again(workspace: Workspace, listen: Listen) -> None:
    async def receive(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": str(request.url)})

    workspace.events_url = await listen(receive)
    await workspace.open_home("alice")
    await workspace.wait_for(lambda w: len(w.deliveries) == 4)
    assert {delivery.ack.reason for delivery in workspace.deliveries} == {"too_many_redirects"}


async def test_the_app_can_forbid_repeating(workspace: Workspace, listen: Listen) -> None:
    async def receive(request: web.Request) -> web.Response:
        return web.Response(status=500, headers={"x-slack-no-retry": "1"})

    workspace.events_url = await listen(receive)
    await workspace.say("alice", "incidents", "hello @handrail")
    await workspace.wait_for(lambda w: w.deliveries)
    await workspace.open_home("alice")
    await workspace.wait_for(lambda w: len(w.deliveries) == 2)
    assert [delivery.attempt for delivery in workspace.deliveries] == [0, 0]


async def test_a_mention_is_told_in_addition_to_the_message(listen: Listen) -> None:
    async def receive(request: web.Request) -> web.Response:
        return web.Response()

    async with Workspace(subscriptions=frozenset({"message.channels", "app_mention"})) as workspace:
        workspace.events_url = await listen(receive)
        await workspace.say("bob", "ops", "@handrail status?")
        await workspace.wait_for(lambda w: len(w.deliveries) == 2)
        events = {delivery.payload["event"]["type"]: delivery.payload["event"] for delivery in workspace.deliveries}
        assert set(events) == {"message", "app_mention"}
        assert events["message"]["channel_type"] == "channel"
        assert events["app_mention"]["text"] == f"<@{workspace.state.identity.bot_user}> status?"
        assert all(delivery.sort is Sort.EVENT for delivery in workspace.deliveries)


async def test_a_changed_group_and_a_shared_file_are_told_to_who_asked(listen: Listen) -> None:
    async def receive(request: web.Request) -> web.Response:
        return web.Response()

    wanted = frozenset({"subteam_updated", "subteam_members_changed", "file_shared"})
    async with Workspace(subscriptions=wanted) as workspace:
        workspace.events_url = await listen(receive)
        workspace.change_group("oncall", ["carol", "dave"])
        client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
        await client.files_upload_v2(channel="C0INC", filename="run.log", content="done")
        await workspace.wait_for(lambda w: len(w.deliveries) == 3)
        events = {delivery.payload["event"]["type"]: delivery.payload["event"] for delivery in workspace.deliveries}
        changed = events["subteam_members_changed"]
        assert (changed["added_users"], changed["removed_users"]) == (["UDAVE"], ["UBOB"])
        assert events["subteam_updated"]["subteam"]["users"] == ["UCAROL", "UDAVE"]
        assert events["file_shared"]["channel_id"] == "C0INC"


async def test_a_persons_file_is_told_as_a_message_and_as_a_file(listen: Listen) -> None:
    async def receive(request: web.Request) -> web.Response:
        return web.Response()

    async with Workspace(subscriptions=frozenset({"message.channels", "file_shared"})) as workspace:
        workspace.events_url = await listen(receive)
        await workspace.upload("bob", "ops", "top.txt", b"load 12", text="see @alice")
        await workspace.wait_for(lambda w: len(w.deliveries) == 2)
        events = {delivery.payload["event"]["type"]: delivery.payload["event"] for delivery in workspace.deliveries}
        assert (events["message"]["subtype"], events["message"]["text"]) == ("file_share", "see <@UALICE>")
        assert events["message"]["files"][0]["user"] == "UBOB"
        assert events["file_shared"]["user_id"] == "UBOB"
        client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
        assert (await client.files_info(file=events["file_shared"]["file_id"]))["file"]["name"] == "top.txt"


async def test_what_the_app_did_not_subscribe_to_is_not_told(workspace: Workspace, listen: Listen) -> None:
    async def receive(request: web.Request) -> web.Response:
        return web.Response()

    workspace.events_url = await listen(receive)
    message = await workspace.say("alice", "incidents", "just talking")
    workspace.react("bob", message, "eyes")
    await workspace.wait_for(lambda w: w.deliveries)
    assert [delivery.payload["event"]["type"] for delivery in workspace.deliveries] == ["reaction_added"]


async def test_an_address_for_events_is_verified_by_a_challenge(
    workspace: Workspace, bolt: Any, listen: Listen
) -> None:
    assert await workspace.verify_events_url()

    async def receive(request: web.Request) -> web.Response:
        return web.Response(text="something else")

    workspace.events_url = await listen(receive)
    assert not await workspace.verify_events_url()


async def test_a_closed_port_fails_at_once(workspace: Workspace) -> None:
    workspace.events_url = "http://127.0.0.1:1/slack/events"
    ack = await workspace.command("alice", "incidents", "/runbook list")
    assert (ack.status, ack.error) == (None, "dispatch_failed")


async def test_an_interaction_is_one_form_field_of_json(workspace: Workspace, listen: Listen, client: Any) -> None:
    payloads: list[dict[str, Any]] = []

    async def receive(request: web.Request) -> web.Response:
        form = await request.post()
        assert set(form) == {"payload"}
        payloads.append(json.loads(str(form["payload"])))
        return web.Response()

    workspace.events_url = await listen(receive)
    button = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}
    await client.chat_postMessage(channel="C0INC", text="x", blocks=[{"type": "actions", "elements": [button]}])
    await workspace.click("bob", workspace.messages("incidents")[0], "Go")
    [payload] = payloads
    assert payload["type"] == "block_actions"
    assert payload["user"]["id"] == "UBOB"
    assert payload["container"]["type"] == "message"
    assert payload["actions"][0]["action_id"] == "go"
    assert payload["message"]["ts"] == workspace.messages("incidents")[0].ts
