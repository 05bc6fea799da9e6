"""Rate limits by the clock, and trouble on demand."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.workspace import Workspace


class Clock(Protocol):
    slept: list[float]

    def advance(self, seconds: float) -> None: ...


@pytest.fixture
def bare(workspace: Workspace) -> AsyncWebClient:
    """A client that tries once, and gives up soon."""
    return AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url, retry_handlers=[], timeout=1)


async def post(client: AsyncWebClient, channel: str = "C0INC", text: str = "x") -> Any:
    return await client.chat_postMessage(channel=channel, text=text)


async def test_a_channel_takes_a_burst_and_then_one_message_a_second(
    workspace: Workspace, bare: AsyncWebClient, clock: Clock
) -> None:
    for _ in range(5):
        await post(bare)
    with pytest.raises(SlackApiError) as caught:
        await post(bare)
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "1"
    assert caught.value.response["error"] == "rate_limited"
    assert (await post(bare, channel="C0OPS"))["ok"]
    clock.advance(1)
    assert (await post(bare))["ok"]
    assert len(workspace.messages("incidents")) == 6


@pytest.mark.parametrize("names", [("C0INC", "incidents", "#incidents"), ("UALICE", "DALICE", "DALICE")])
async def test_a_channel_counts_once_however_it_is_named(clock: Any, names: tuple[str, ...]) -> None:
    async with Workspace(now=clock.now, subscriptions=frozenset()) as workspace:
        client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])
        for where in (*names, *names[1:]):
            await post(client, channel=where)
        for where in names:
            with pytest.raises(SlackApiError, match="rate_limited"):
                await post(client, channel=where)


async def test_a_tier_holds_back_one_method_for_the_rest_of_its_minute(
    workspace: Workspace, bare: AsyncWebClient, clock: Clock
) -> None:
    for _ in range(20):
        await bare.conversations_list()
        clock.advance(1)
    with pytest.raises(SlackApiError) as caught:
        await bare.conversations_list()
    assert caught.value.response["error"] == "ratelimited"
    assert caught.value.response.headers["Retry-After"] == "40"
    assert (await bare.auth_test())["ok"]
    clock.advance(40)
    assert (await bare.conversations_list())["ok"]


async def test_limits_can_be_switched_off() -> None:
    async with Workspace(rate_limits=False) as workspace:
        client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
        for _ in range(30):
            await post(client)
        assert len(workspace.messages("incidents")) == 30


async def test_limits_can_be_scaled(clock: Any) -> None:
    async with Workspace(rate_scale=2.0, now=clock.now) as workspace:
        client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])
        for _ in range(10):
            await post(client)
        with pytest.raises(SlackApiError):
            await post(client)


async def test_a_429_on_demand_carries_its_retry_after_and_ends_by_itself(
    workspace: Workspace, bare: AsyncWebClient
) -> None:
    workspace.faults.rate_limited(7, "chat.postMessage", times=1)
    with pytest.raises(SlackApiError) as caught:
        await post(bare)
    assert caught.value.response.headers["Retry-After"] == "7"
    assert workspace.messages("incidents") == []
    assert (await post(bare))["ok"]
    assert [call.status for call in workspace.calls] == [429, 200]


async def test_a_server_error_hits_every_method_until_cleared(workspace: Workspace, bare: AsyncWebClient) -> None:
    workspace.faults.server_error()
    for _ in range(2):
        with pytest.raises(SlackApiError) as caught:
            await bare.auth_test()
        assert caught.value.response.status_code == 500
    workspace.faults.clear()
    assert (await bare.auth_test())["ok"]


async def test_a_slow_answer_waits_by_the_given_clock(workspace: Workspace, bare: AsyncWebClient, clock: Clock) -> None:
    workspace.faults.slow(2.5, "auth.test", times=1)
    assert (await bare.auth_test())["ok"]
    assert clock.slept == [2.5]


async def test_a_dropped_answer_leaves_its_effect(workspace: Workspace, bare: AsyncWebClient) -> None:
    workspace.faults.drop_after_effect("chat.postMessage", times=1)
    with pytest.raises(aiohttp.ClientError):
        await post(bare, text="said, but who knows")
    assert [message.text for message in workspace.messages("incidents")] == ["said, but who knows"]
    assert workspace.calls[-1].status is None
    assert workspace.calls[-1].ok


async def test_a_hanging_call_does_nothing_and_is_cut_when_cleared(workspace: Workspace, bare: AsyncWebClient) -> None:
    workspace.faults.hang("chat.postMessage")
    call = asyncio.create_task(post(bare))
    await workspace.wait_for(lambda w: w.calls_of("chat.postMessage"))
    assert not call.done()
    workspace.faults.clear()
    with pytest.raises(aiohttp.ClientError):
        await call
    assert workspace.messages("incidents") == []


async def test_an_answer_that_never_comes_may_have_had_its_effect(workspace: Workspace, bare: AsyncWebClient) -> None:
    workspace.faults.hang_after_effect("chat.postMessage", times=1)
    call = asyncio.create_task(post(bare))
    await workspace.wait_for(lambda w: w.messages("incidents"))
    assert not call.done()
    workspace.faults.clear()
    with pytest.raises(aiohttp.ClientError):
        await call
