"""The Web API as real clients use it: encodings, tokens, scopes, paging, threads, membership, files."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.web_api import METHODS
from bot.playground.workspace import Workspace

POST: dict[str, Any] = {"channel": "C0INC", "text": "hello"}
BLOCKS = [{"type": "divider"}]


async def refused(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


@pytest.mark.parametrize(
    "request_as",
    [
        lambda url, token: ("GET", url, {"params": {**POST, "token": token}}),
        lambda url, token: ("POST", url, {"params": {**POST, "token": token}}),
        lambda url, token: ("POST", url, {"data": {**POST, "token": token}}),
        lambda url, token: ("POST", url, {"json": POST, "headers": {"Authorization": f"Bearer {token}"}}),
        lambda url, token: ("POST", url, {"params": {"channel": "C0INC"}, "data": {"text": "hello", "token": token}}),
    ],
    ids=["query", "post with query", "form", "json", "query and form"],
)
async def test_every_encoding_slack_takes_is_understood(workspace: Workspace, request_as: Any) -> None:
    method, url, how = request_as(workspace.api_url + "chat.postMessage", workspace.bot_token)
    async with aiohttp.ClientSession() as session, session.request(method, url, **how) as response:
        body = await response.json()
    assert response.content_type == "application/json"
    assert body["ok"], body
    assert [message.text for message in workspace.messages("incidents")] == ["hello"]


async def test_blocks_may_come_as_a_json_string_in_a_form(workspace: Workspace) -> None:
    form = {**POST, "token": workspace.bot_token, "blocks": json.dumps(BLOCKS)}
    async with (
        aiohttp.ClientSession() as session,
        session.post(workspace.api_url + "chat.postMessage", data=form) as response,
    ):
        assert (await response.json())["ok"]
    assert workspace.messages("incidents")[0].blocks[0]["type"] == "divider"


@pytest.mark.parametrize(("body", "error"), [("{", "invalid_json"), ("[1]", "json_not_object")])
async def test_bad_json_is_refused_by_name(workspace: Workspace, body: str, error: str) -> None:
    headers = {"Authorization": f"Bearer {workspace.bot_token}", "Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(workspace.api_url + "chat.postMessage", data=body, headers=headers) as response,
    ):
        assert (await response.json())["error"] == error


async def test_the_synchronous_client_works_as_well(workspace: Workspace) -> None:
    client = WebClient(token=workspace.bot_token, base_url=workspace.api_url)
    await asyncio.to_thread(client.chat_postMessage, channel="C0INC", text="from a thread")
    history = await asyncio.to_thread(client.conversations_history, channel="C0INC")
    assert history["messages"][0]["text"] == "from a thread"


@pytest.mark.parametrize(
    ("token", "error"),
    [("", "not_authed"), ("xoxb-other", "invalid_auth"), ("xapp-local-workspace", "not_allowed_token_type")],
)
async def test_tokens_are_strict(workspace: Workspace, token: str, error: str) -> None:
    client = AsyncWebClient(token=token, base_url=workspace.api_url)
    assert await refused(client.auth_test()) == error


async def test_a_bot_token_opens_no_socket(workspace: Workspace, client: AsyncWebClient) -> None:
    assert await refused(client.apps_connections_open(app_token=workspace.bot_token)) == "not_allowed_token_type"
    assert (await client.apps_connections_open(app_token=workspace.app_token))["url"].startswith("ws://127.0.0.1")


async def test_a_missing_scope_names_what_is_needed_and_provided() -> None:
    async with Workspace(scopes=frozenset({"commands", "users:read"})) as workspace:
        client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
        with pytest.raises(SlackApiError) as caught:
            await client.chat_postMessage(channel="C0INC", text="hello")
        assert caught.value.response["error"] == "missing_scope"
        assert caught.value.response["needed"] == "chat:write"
        assert caught.value.response["provided"] == "commands,users:read"
        answer = await client.auth_test()
        assert answer.headers["x-oauth-scopes"] == "commands,users:read"


async def test_private_channels_and_other_kinds_need_scopes_of_their_own() -> None:
    async with Workspace(scopes=frozenset({"channels:manage", "channels:read"})) as workspace:
        client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
        assert (await client.conversations_create(name="inc-1"))["ok"]
        for call, needed in (
            (client.conversations_create(name="inc-2", is_private=True), "groups:write"),
            (client.conversations_list(types="public_channel,private_channel"), "groups:read"),
            (client.conversations_list(types="im"), "im:read"),
        ):
            with pytest.raises(SlackApiError) as caught:
                await call
            assert (caught.value.response["error"], caught.value.response["needed"]) == ("missing_scope", needed)


async def test_an_unknown_method_is_refused_and_recorded(workspace: Workspace, client: AsyncWebClient) -> None:
    assert await refused(client.api_call("chat.shout")) == "unknown_method"
    assert workspace.calls[-1].method == "chat.shout"
    assert workspace.calls[-1].error == "unknown_method"


async def test_the_token_is_never_recorded(workspace: Workspace) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(workspace.api_url + "auth.test", params={"token": workspace.bot_token}),
    ):
        pass
    assert workspace.bot_token not in repr(workspace.calls)


async def test_every_listed_method_answers_its_name(workspace: Workspace) -> None:
    headers = {"Authorization": f"Bearer {workspace.bot_token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for name in METHODS:
            async with session.post(workspace.api_url + name) as response:
                body = await response.json()
            assert response.status == 200, name
            assert body["ok"] or body["error"] != "unknown_method", name


async def test_pages_follow_the_cursor_to_the_end(workspace: Workspace, client: AsyncWebClient) -> None:
    names = [name async for page in await client.users_list(limit=2) for name in (m["name"] for m in page["members"])]
    assert names == ["alice", "bob", "carol", "dave", "handrail"]
    assert await refused(client.users_list(cursor="elsewhere")) == "invalid_cursor"


async def test_a_thread_has_its_parent_first_and_stays_out_of_the_history(
    workspace: Workspace, client: AsyncWebClient
) -> None:
    parent = await client.chat_postMessage(channel="C0INC", text="headline")
    first = await client.chat_postMessage(channel="C0INC", text="step 1", thread_ts=parent["ts"])
    await client.chat_postMessage(channel="C0INC", text="step 2", thread_ts=parent["ts"])

    history = (await client.conversations_history(channel="C0INC"))["messages"]
    replies = (await client.conversations_replies(channel="C0INC", ts=first["ts"]))["messages"]

    assert [(m["text"], m["reply_count"], m["thread_ts"] == m["ts"]) for m in history] == [("headline", 2, True)]
    assert [m["text"] for m in replies] == ["headline", "step 1", "step 2"]
    assert replies[1]["parent_user_id"] == replies[0]["user"]
    answer = client.chat_postMessage(channel="C0INC", text="x", thread_ts=first["ts"])
    assert await refused(answer) == "cannot_reply_to_message"
    assert await refused(client.conversations_replies(channel="C0INC", ts="1.000001")) == "thread_not_found"


async def test_metadata_comes_back_only_when_asked_for(workspace: Workspace, client: AsyncWebClient) -> None:
    metadata = {"event_type": "outbox", "event_payload": {"id": "42"}}
    await client.chat_postMessage(channel="C0INC", text="x", metadata=metadata)
    plain = (await client.conversations_history(channel="C0INC"))["messages"][0]
    full = (await client.conversations_history(channel="C0INC", include_all_metadata=True))["messages"][0]
    assert "metadata" not in plain
    assert full["metadata"] == metadata


async def test_time_stamps_are_unique_strings_even_while_the_clock_stands(
    workspace: Workspace, client: AsyncWebClient
) -> None:
    stamps = [(await client.chat_postMessage(channel="C0INC", text="x"))["ts"] for _ in range(3)]
    assert stamps == sorted(set(stamps))
    assert all(len(stamp.split(".")[1]) == 6 for stamp in stamps)


async def test_a_text_update_removes_blocks_and_a_bare_update_is_refused(
    workspace: Workspace, client: AsyncWebClient
) -> None:
    posted = await client.chat_postMessage(channel="C0INC", text="x", blocks=BLOCKS)
    changed = await client.chat_update(channel="C0INC", ts=posted["ts"], text="y")
    assert "blocks" not in changed["message"]
    assert await refused(client.api_call("chat.update", params={"channel": "C0INC", "ts": posted["ts"]})) == "no_text"
    assert await refused(client.chat_update(channel="C0INC", ts=posted["ts"], text="z" * 4001)) == "msg_too_long"


async def test_only_own_messages_can_be_changed(workspace: Workspace, client: AsyncWebClient) -> None:
    said = await workspace.say("alice", "incidents", "mine")
    assert await refused(client.chat_update(channel="C0INC", ts=said.ts, text="y")) == "cant_update_message"
    assert await refused(client.chat_delete(channel="C0INC", ts=said.ts)) == "cant_delete_message"


async def test_membership_decides_where_the_bot_may_post(workspace: Workspace, client: AsyncWebClient) -> None:
    workspace.add_channel(id="C0OUT", name="outside", bot_is_member=False)
    workspace.add_channel(id="C0OLD", name="old", archived=True)
    workspace.add_channel(id="G0SECRET", name="secret", private=True, bot_is_member=False)
    assert await refused(client.chat_postMessage(channel="C0OUT", text="x")) == "not_in_channel"
    assert await refused(client.conversations_history(channel="C0OUT")) == "not_in_channel"
    assert await refused(client.chat_postMessage(channel="C0OLD", text="x")) == "is_archived"
    assert await refused(client.chat_postMessage(channel="G0SECRET", text="x")) == "channel_not_found"
    assert await refused(client.chat_postMessage(channel="C0NONE", text="x")) == "channel_not_found"
    await client.conversations_join(channel="C0OUT")
    assert (await client.chat_postMessage(channel="C0OUT", text="x"))["ok"]


async def test_public_posting_needs_no_membership_with_its_own_scope() -> None:
    async with Workspace(scopes=frozenset({"chat:write", "chat:write.public"})) as workspace:
        workspace.add_channel(id="C0OUT", name="outside", bot_is_member=False)
        client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
        assert (await client.chat_postMessage(channel="#outside", text="x"))["channel"] == "C0OUT"


async def test_a_user_id_opens_the_direct_message(workspace: Workspace, client: AsyncWebClient) -> None:
    posted = await client.chat_postMessage(channel="UBOB", text="psst")
    opened = await client.conversations_open(users="UBOB")
    assert posted["channel"] == opened["channel"]["id"]
    assert posted["channel"].startswith("D")


async def test_an_ephemeral_message_needs_its_reader_in_the_channel(
    workspace: Workspace, client: AsyncWebClient
) -> None:
    workspace.add_channel(id="C0FEW", name="few", members=["alice"])
    assert await refused(client.chat_postEphemeral(channel="C0FEW", user="UBOB", text="x")) == "user_not_in_channel"


async def test_people_and_groups_are_found(workspace: Workspace, client: AsyncWebClient) -> None:
    assert (await client.users_info(user="UALICE"))["user"]["tz"] == "Europe/Berlin"
    assert (await client.users_lookupByEmail(email="bob@example.com"))["user"]["id"] == "UBOB"
    assert await refused(client.users_info(user="UNOBODY")) == "user_not_found"
    assert await refused(client.users_lookupByEmail(email="no@example.com")) == "users_not_found"
    assert (await client.usergroups_users_list(usergroup="S0ONCALL"))["users"] == ["UBOB", "UCAROL"]
    assert await refused(client.usergroups_users_list(usergroup="S0NONE")) == "no_such_subteam"


async def test_channels_are_created_filled_and_archived(workspace: Workspace, client: AsyncWebClient) -> None:
    made = await client.conversations_create(name="inc-42")
    channel = made["channel"]["id"]
    await client.conversations_invite(channel=channel, users="UALICE,UBOB")
    await client.conversations_setTopic(channel=channel, topic="disk full")
    members = (await client.conversations_members(channel=channel))["members"]
    assert {"UALICE", "UBOB"} < set(members)
    assert (await client.conversations_info(channel=channel))["channel"]["topic"]["value"] == "disk full"
    await client.conversations_archive(channel=channel)
    assert await refused(client.chat_postMessage(channel=channel, text="x")) == "is_archived"
    assert await refused(client.conversations_create(name="inc-42")) == "name_taken"


async def test_reactions_and_pins_count_once(workspace: Workspace, client: AsyncWebClient) -> None:
    ts = (await client.chat_postMessage(channel="C0INC", text="x"))["ts"]
    await client.reactions_add(channel="C0INC", timestamp=ts, name="eyes")
    assert await refused(client.reactions_add(channel="C0INC", timestamp=ts, name="eyes")) == "already_reacted"
    got = await client.reactions_get(channel="C0INC", timestamp=ts)
    assert got["message"]["reactions"][0]["name"] == "eyes"
    await client.reactions_remove(channel="C0INC", timestamp=ts, name="eyes")
    assert await refused(client.reactions_remove(channel="C0INC", timestamp=ts, name="eyes")) == "no_reaction"
    await client.pins_add(channel="C0INC", timestamp=ts)
    assert len((await client.pins_list(channel="C0INC"))["items"]) == 1


async def test_a_file_takes_three_steps_and_ends_in_the_thread(workspace: Workspace, client: AsyncWebClient) -> None:
    parent = await client.chat_postMessage(channel="C0INC", text="headline")
    await client.files_upload_v2(
        channel="C0INC", thread_ts=parent["ts"], filename="log.txt", content="lines", initial_comment="The log"
    )
    [message] = workspace.messages("incidents", parent["ts"])
    assert workspace.read(message) == "The log\n[file: log.txt]"
    file = workspace.state.files[message.files[0]]
    assert file.content == b"lines"
    assert (await client.files_info(file=file.id))["file"]["size"] == 5


async def test_a_file_is_read_with_the_token_and_gone_when_deleted(
    workspace: Workspace, client: AsyncWebClient
) -> None:
    uploaded = await client.files_upload_v2(channel="C0INC", filename="chart.png", content=b"\x89PNG", title="Chart")
    file = (await client.files_info(file=uploaded["file"]["id"]))["file"]
    assert (file["mimetype"], file["filetype"], file["channels"]) == ("image/png", "png", ["C0INC"])
    headers = {"Authorization": f"Bearer {workspace.bot_token}"}
    async with aiohttp.ClientSession() as session:
        async with session.get(file["url_private"]) as response:
            assert response.status == 403
        async with session.get(file["url_private"], headers=headers) as response:
            assert (response.status, await response.read()) == (200, b"\x89PNG")
        await client.files_delete(file=file["id"])
        async with session.get(file["url_private"], headers=headers) as response:
            assert response.status == 404
    assert workspace.messages("incidents") == []
    assert await refused(client.files_info(file=file["id"])) == "file_not_found"


async def test_a_permalink_is_written_as_slack_writes_it(workspace: Workspace, client: AsyncWebClient) -> None:
    ts = (await client.chat_postMessage(channel="C0INC", text="x"))["ts"]
    link = (await client.chat_getPermalink(channel="C0INC", message_ts=ts))["permalink"]
    assert link.endswith(f"/archives/C0INC/p{ts.replace('.', '')}")


async def test_the_history_is_newest_first_and_can_be_cut(workspace: Workspace, client: AsyncWebClient) -> None:
    stamps = [(await client.chat_postMessage(channel="C0INC", text=text))["ts"] for text in "abcd"]

    async def texts(**bounds: Any) -> str:
        page = await client.conversations_history(channel="C0INC", **bounds)
        return "".join(message["text"] for message in page["messages"])

    assert await texts() == "dcba"
    assert await texts(limit=2) == "dc"
    assert await texts(oldest=stamps[1]) == "dc"
    assert await texts(oldest=stamps[1], latest=stamps[3], inclusive=True) == "dcb"
