"""Socket Mode with the real client: envelopes, acknowledgements, reconnecting, several connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.workspace import Workspace


@pytest.fixture
async def connected(workspace: Workspace, app: AsyncApp) -> AsyncIterator[AsyncApp]:
    handler = AsyncSocketModeHandler(app, workspace.app_token)
    await handler.connect_async()  # type: ignore[no-untyped-call]  # bolt leaves it untyped
    await workspace.wait_for(lambda w: w.sockets.count == 1)
    yield app
    await handler.close_async()  # type: ignore[no-untyped-call]


async def open_socket(workspace: Workspace, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
    url = (await client.apps_connections_open(app_token=workspace.app_token))["url"]
    return await session.ws_connect(url)


async def test_a_command_travels_as_an_envelope_and_its_words_come_back(
    workspace: Workspace, connected: AsyncApp
) -> None:
    @connected.command("/runbook")
    async def runbook(ack: Any, command: Any) -> None:
        await ack(f"Planning {command['text']}.")

    ack = await workspace.command("alice", "incidents", "/runbook list")

    assert ack.body == {"text": "Planning list."}
    assert [message.text for message in workspace.ephemeral("alice", "incidents")] == ["Planning list."]


async def test_an_unhandled_command_is_never_acknowledged(workspace: Workspace, connected: AsyncApp) -> None:
    ack = await workspace.command("alice", "incidents", "/audit last")
    assert ack.error == "operation_timeout"


async def test_without_a_connection_the_person_is_told(workspace: Workspace) -> None:
    ack = await workspace.command("alice", "incidents", "/runbook list")
    assert ack.error == "dispatch_failed"
    assert "dispatch_failed" in workspace.ephemeral("alice", "incidents")[0].text


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_the_client_comes_again_when_told_to(workspace: Workspace, connected: AsyncApp, reason: str) -> None:
    @connected.command("/runbook")
    async def runbook(ack: Any) -> None:
        await ack("still here")

    await workspace.sockets.disconnect(reason, close_after=0.01)
    await workspace.wait_for(lambda w: len(w.calls_of("apps.connections.open")) == 2 and w.sockets.count >= 1)
    await workspace.wait_for(lambda w: w.sockets.count == 1)
    ack = await workspace.command("alice", "incidents", "/runbook list")
    assert ack.body == {"text": "still here"}


@pytest.mark.parametrize(("ending", "life"), [("", 3600), ("&debug_reconnects=true", 360)])
async def test_a_connection_grows_old_by_the_clock_and_is_replaced(clock: Any, ending: str, life: int) -> None:
    async with Workspace(now=clock.now, ping_seconds=0.1) as workspace, aiohttp.ClientSession() as session:
        opener = AsyncWebClient(base_url=workspace.api_url)
        url = (await opener.apps_connections_open(app_token=workspace.app_token))["url"]
        async with session.ws_connect(url + ending) as socket:
            assert (await socket.receive_json())["debug_info"]["approximate_connection_time"] == life
            clock.advance(life - 11)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(socket.receive(), 0.25)  # pings alone, which start its own time-out anew
            clock.advance(1)
            assert (await socket.receive_json(timeout=5))["reason"] == "warning"
            assert workspace.sockets.count == 1
            clock.advance(10)
            assert (await socket.receive_json(timeout=5))["reason"] == "refresh_requested"
            assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
            assert workspace.sockets.count == 0


async def test_the_first_frame_says_hello_and_a_ping_is_echoed(workspace: Workspace) -> None:
    async with aiohttp.ClientSession() as session:
        socket = await open_socket(workspace, session)
        hello = await socket.receive_json()
        assert (hello["type"], hello["num_connections"]) == ("hello", 1)
        async with session.ws_connect(
            (await AsyncWebClient(base_url=workspace.api_url).apps_connections_open(app_token=workspace.app_token))[
                "url"
            ],
            autoping=False,
        ) as second:
            assert (await second.receive_json())["num_connections"] == 2
            await second.ping(b"sdk-ping-pong:12.5")
            pong = await second.receive()
            assert (pong.type, bytes(pong.data)) == (aiohttp.WSMsgType.PONG, b"sdk-ping-pong:12.5")
        await socket.close()


async def test_each_envelope_goes_to_one_connection_and_any_may_acknowledge(workspace: Workspace) -> None:
    async with aiohttp.ClientSession() as session:
        one, two = await open_socket(workspace, session), await open_socket(workspace, session)
        await one.receive_json()
        await two.receive_json()
        command = asyncio.create_task(workspace.command("alice", "incidents", "/runbook list"))
        heard = {asyncio.create_task(socket.receive_json()): socket for socket in (one, two)}
        done, still = await asyncio.wait(heard, return_when=asyncio.FIRST_COMPLETED)
        [arrived] = done
        [other] = [heard[task] for task in still]
        envelope = arrived.result()
        assert (envelope["type"], envelope["accepts_response_payload"]) == ("slash_commands", True)
        for task in still:
            task.cancel()
        await asyncio.gather(*still, return_exceptions=True)
        await other.send_json({"envelope_id": envelope["envelope_id"], "payload": {"text": "from the other"}})
        assert (await command).body == {"text": "from the other"}
        await one.close()
        await two.close()


async def test_a_ticket_opens_one_connection(workspace: Workspace, client: AsyncWebClient) -> None:
    url = (await client.apps_connections_open(app_token=workspace.app_token))["url"]
    async with aiohttp.ClientSession() as session, session.ws_connect(url):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)


async def test_the_eleventh_connection_is_one_too_many(workspace: Workspace) -> None:
    async with aiohttp.ClientSession() as session:
        sockets = [await open_socket(workspace, session) for _ in range(10)]
        await workspace.wait_for(lambda w: w.sockets.count == 10)
        eleventh = await open_socket(workspace, session)
        assert (await eleventh.receive_json())["reason"] == "too_many_websockets"
        for socket in sockets:
            await socket.close()


async def test_a_cut_connection_ends_without_a_word(workspace: Workspace) -> None:
    async with aiohttp.ClientSession() as session:
        socket = await open_socket(workspace, session)
        await socket.receive_json()
        workspace.sockets.cut()
        assert (await socket.receive()).type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
        assert workspace.sockets.count == 0


async def test_a_disabled_link_opens_no_more_connections(workspace: Workspace) -> None:
    async with aiohttp.ClientSession() as session:
        socket = await open_socket(workspace, session)
        await socket.receive_json()
        await workspace.sockets.disconnect("link_disabled")
        assert (await socket.receive_json())["reason"] == "link_disabled"
        client = AsyncWebClient(base_url=workspace.api_url)
        with pytest.raises(SlackApiError, match="access_denied"):
            await client.apps_connections_open(app_token=workspace.app_token)


async def test_the_server_pings_by_itself() -> None:
    async with Workspace(ping_seconds=0.02) as workspace, aiohttp.ClientSession() as session:
        opener = AsyncWebClient(base_url=workspace.api_url)
        url = (await opener.apps_connections_open(app_token=workspace.app_token))["url"]
        async with session.ws_connect(url, autoping=False) as socket:
            await socket.receive_json()
            assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.PING


async def test_an_unacknowledged_event_comes_again_with_its_number_and_reason(workspace: Workspace) -> None:
    async with aiohttp.ClientSession() as session:
        socket = await open_socket(workspace, session)
        await socket.receive_json()
        await workspace.open_home("alice")
        first, second = await socket.receive_json(), await socket.receive_json()
        assert (first["type"], first["accepts_response_payload"]) == ("events_api", False)
        assert "retry_attempt" not in first
        assert (second["retry_attempt"], second["retry_reason"]) == (1, "http_timeout")
        assert first["payload"]["event_id"] == second["payload"]["event_id"]
        assert first["envelope_id"] != second["envelope_id"]
        await socket.close()
