"""Answers to one person: which way they go when their response URL is of no use, and whose turn it is."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.pace import PaceSettings, Turns
from storage import outbox
from storage.records import OutboxKind, OutboxState
from tests.bot.outbox.conftest import Desk


def url_of(desk: Desk, user: str = "UBOB") -> str:
    """A response URL that Slack would hand out."""
    return f"{desk.workspace.url}/respond/{desk.workspace.state.new_response_url(user=user, channel='C0INC')}"


async def answer(desk: Desk, text: str, *, user: str = "UBOB", url: Any = None) -> str:
    """An answer that waits; returns its id."""
    method = "ephemeral" if url is None else "respond"
    more = {} if url is None else {"response_url": url}
    return await desk.put(text, kind=OutboxKind.ANSWER, method=method, user=user, **more)


def told(desk: Desk, who: str = "bob") -> list[str]:
    """What they alone have seen."""
    return [message.text for message in desk.workspace.ephemeral(who, "C0INC")]


def refusing() -> str:
    """A response URL at an address where nobody listens."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{nobody.getsockname()[1]}/commands/1"


@contextlib.asynccontextmanager
async def listening(says: bytes | None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port where whatever comes is kept and answered with this; with None, with silence."""
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(65_536))
        if says is None:
            await reader.read()
        else:
            writer.write(says)
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()


def http(status: str, *headers: str, body: bytes = b"") -> bytes:
    """An answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


# --- which way --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["not a url", "file:///etc/passwd", "http://[::1", "http://a..b/", "https://", 42])
async def test_an_answer_whose_response_url_is_none_is_said_in_the_channel_at_once(desk: Desk, url: Any) -> None:
    row_id = await answer(desk, "for you", url=url)
    desk.start()
    assert await desk.until(lambda: told(desk) == ["for you"], within=30) < 1
    await desk.settle()
    row = await desk.row(row_id)
    assert (row.state, row.attempts) == (OutboxState.SENT, 1)


async def test_an_answer_whose_response_url_is_out_of_reach_is_said_in_the_channel_soon(desk: Desk) -> None:
    await answer(desk, "for you", url=refusing())
    desk.start()
    assert 2 < await desk.until(lambda: bool(told(desk)), within=60) < 10
    await desk.settle()
    assert told(desk) == ["for you"]


async def test_a_connection_that_never_comes_about_has_said_nothing(desk: Desk) -> None:
    async with listening(None) as (port, _):
        row_id = await answer(desk, "for you", url=f"https://127.0.0.1:{port}/commands/1")
        desk.start(call_timeout=1.0)
        assert await desk.until(lambda: bool(told(desk)), within=60) < 10
        await desk.settle()
        assert told(desk) == ["for you"]
        assert not (await desk.row(row_id)).unsure


@pytest.mark.parametrize(
    "says",
    [
        b"",
        http("307 Temporary Redirect", "Location: http://[::1"),
        http("200 OK", "Content-Type: text/plain; charset=utf-8", body=b"\xff"),
    ],
)
async def test_an_answer_that_may_have_been_said_goes_no_other_way(desk: Desk, says: bytes) -> None:
    async with listening(says) as (port, heard):
        await answer(desk, "for you", url=f"http://127.0.0.1:{port}/commands/1")
        desk.start()
        await desk.wait(20)
        assert len(heard) > 3
        assert b"(repeated)" not in heard[0]
        assert all(b"(repeated)" in later for later in heard[1:])
    assert desk.workspace.calls == []


async def test_an_answer_that_may_have_been_said_before_its_url_went_out_of_reach_is_marked(desk: Desk) -> None:
    async with listening(b"") as (port, heard):
        await answer(desk, "for you", url=f"http://127.0.0.1:{port}/commands/1")
        desk.start()
        await desk.until(lambda: bool(heard))
    await desk.until(lambda: bool(told(desk)), within=60)
    await desk.settle()
    assert told(desk) == ["*(repeated)* for you"]


async def test_an_answer_that_a_proxy_lets_not_through_is_said_the_other_way(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK reads the environment when a client is made: what calls methods was made before there was a proxy."""
    async with listening(http("403 Forbidden")) as (port, heard):
        await answer(desk, "for you", url="https://hooks.slack.example/commands/1")
        desk.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        assert await desk.until(lambda: bool(told(desk)), within=60) < 10
        assert told(desk) == ["for you"]
        assert [one.split(b" ")[0] for one in heard] == [b"CONNECT"] * 3


# --- whose turn -------------------------------------------------------------------------------------------------------


async def test_who_types_two_hundred_lines_keeps_nobody_else_waiting(any_desk: Desk) -> None:
    for number in range(200):
        await answer(any_desk, f"line {number}", user="UALICE", url=url_of(any_desk, "UALICE"))
    any_desk.start(pace=PaceSettings())
    await any_desk.until(lambda: bool(told(any_desk, "alice")))
    await answer(any_desk, "the status", url=url_of(any_desk))
    assert await any_desk.until(lambda: told(any_desk) == ["the status"], within=240) < 3
    assert len(told(any_desk, "alice")) < 200


async def test_answers_by_response_urls_do_not_wait_for_the_pace_of_a_method(desk: Desk) -> None:
    for number in range(60):
        await answer(desk, f"line {number}", url=url_of(desk))
    desk.start(pace=PaceSettings())
    assert await desk.until(lambda: len(told(desk)) == 60) < 5
    assert told(desk) == [f"line {number}" for number in range(60)]
    assert desk.workspace.calls == []


async def test_where_answers_have_a_pace_people_take_turns(any_desk: Desk) -> None:
    for number in range(60):
        await answer(any_desk, f"line {number}", user="UALICE")
    any_desk.start(pace=PaceSettings())
    await any_desk.until(lambda: len(told(any_desk, "alice")) >= 20)
    for number in range(3):
        await answer(any_desk, f"number {number}")
    assert await any_desk.until(lambda: len(told(any_desk)) == 3, within=60) < 6
    assert told(any_desk) == ["number 0", "number 1", "number 2"]
    assert 20 <= len(told(any_desk, "alice")) <= 27
    assert all(call.ok for call in any_desk.workspace.calls)


async def test_what_waits_for_some_people_hides_no_answer_to_another(any_desk: Desk) -> None:
    for number in range(200):
        await answer(any_desk, f"line {number}", user=f"U{number % 15}")
    last = await answer(any_desk, "the last")
    found = await any_desk.database.read(outbox.ready, any_desk.clock.now())
    assert last in [one.message.id for one in found]
    assert len({one.message.payload["user"] for one in found}) == len(found) == 16


async def test_answers_whose_urls_are_used_up_keep_the_pace_of_the_method_that_is_left(desk: Desk) -> None:
    for number in range(40):
        await answer(desk, f"line {number}", url=f"{desk.workspace.url}/respond/no-such-key")
    desk.start(pace=PaceSettings())
    assert 15 <= await desk.until(lambda: len(told(desk)) == 40, within=60) <= 25
    assert all(call.ok for call in desk.workspace.calls)
    assert len(desk.workspace.replies) == 40
    assert all(row.attempts == 1 and not row.unsure for row in await desk.rows())


async def test_a_response_url_that_is_limited_holds_up_no_other_answer(desk: Desk) -> None:
    async with listening(http("429 Too Many Requests", "Retry-After: 60")) as (port, heard):
        await answer(desk, "later", user="UALICE", url=f"http://127.0.0.1:{port}/commands/1")
        desk.start()
        await desk.until(lambda: len(heard) == 1)
        await answer(desk, "now", url=url_of(desk))
        await answer(desk, "now, too", user="UCAROL")
        assert await desk.until(lambda: bool(told(desk) and told(desk, "carol")), within=30) < 3
        await desk.wait(50)
        assert len(heard) == 1


def test_whose_turn_was_longest_ago_is_known_of_so_many_people() -> None:
    turns = Turns(most=2)
    for person in ("ana", "ben", "ana", "cem"):
        turns.take(person)
    assert sorted(("ana", "ben", "cem", "dan"), key=turns.last) == ["ben", "dan", "ana", "cem"]
