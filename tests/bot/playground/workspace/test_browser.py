"""The door of the page: what it shows to whom, what it refuses, and what it ships."""

from __future__ import annotations

import json
import re
from typing import Any

import aiohttp
import pytest

from bot.playground.browser import FILES
from bot.playground.workspace import Workspace


async def fetch(url: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, await response.text()


async def do(workspace: Workspace, gesture: str, **given: Any) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{workspace.url}/ui/do/{gesture}", json=given) as response,
    ):
        answer: dict[str, Any] = await response.json()
        return answer


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "192.0.2.1:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
async def test_other_pages_and_other_names_are_kept_out(workspace: Workspace, headers: dict[str, str]) -> None:
    status, _ = await fetch(f"{workspace.url}/ui/state", **headers)
    assert status == 403


async def test_the_page_itself_comes_in(workspace: Workspace) -> None:
    origin = workspace.url
    assert (await fetch(f"{workspace.url}/ui/state", Origin=origin))[0] == 200
    assert (await fetch(f"{workspace.url}/", **{"Sec-Fetch-Site": "cross-site"}))[0] == 200


async def test_a_form_from_elsewhere_does_nothing(workspace: Workspace) -> None:
    given = {"person": "UALICE", "channel": "C0INC", "text": "hello"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{workspace.url}/ui/do/send", data=given) as response,
    ):
        assert response.status == 415
    assert workspace.messages("incidents") == []


@pytest.mark.parametrize("name", ["../browser.py", "..%2Fbrowser.py", "secret.js"])
async def test_only_the_pages_own_files_are_served(workspace: Workspace, name: str) -> None:
    assert (await fetch(f"{workspace.url}/page/{name}"))[0] == 404


def test_the_page_loads_nothing_from_elsewhere_and_parses_no_html() -> None:
    for path in FILES.iterdir():
        text = path.read_text()
        assert not re.search(r"""(src|href|from|url\()\s*=?\s*["'(]?https?://""", text), path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text), path.name


async def test_the_page_says_that_it_is_simulated(workspace: Workspace) -> None:
    status, text = await fetch(f"{workspace.url}/")
    assert status == 200
    assert "Simulated, on this machine only" in re.sub(r"<[^>]+>", "", text)


async def test_each_person_sees_their_own_ephemeral_messages_only(workspace: Workspace) -> None:
    await workspace.command("alice", "incidents", "/unknown")

    async def sees(person: str) -> bool:
        return "/unknown is not a valid command" in (await fetch(f"{workspace.url}/ui/state?person={person}"))[1]

    assert await sees("UALICE")
    assert not await sees("UBOB")


async def test_messages_come_for_the_channel_looked_at_and_of_others_only_when_and_whose(workspace: Workspace) -> None:
    said = [await workspace.say(who, "ops", "hello") for who in ("alice", "bob")]

    async def seen(channel: str) -> dict[str, Any]:
        state = json.loads((await fetch(f"{workspace.url}/ui/state?person=UALICE&channel={channel}"))[1])
        return {one["id"]: one for one in state["channels"]}

    there, elsewhere = await seen("C0OPS"), await seen("C0NOWHERE")
    assert [message["text"] for message in there["C0OPS"]["messages"]] == ["hello", "hello"]
    assert (there["C0INC"]["messages"], elsewhere["C0INC"]["messages"]) == (None, [])
    assert elsewhere["C0OPS"]["messages"] is None
    assert elsewhere["C0OPS"]["recent"] == [[said[0].ts, "UALICE"], [said[1].ts, "UBOB"]]


async def test_a_gesture_that_is_not_possible_is_explained(workspace: Workspace) -> None:
    workspace.add_channel(id="C0FEW", name="few", members=["alice"])
    answer = await do(workspace, "send", person="UBOB", channel="C0FEW", text="hello")
    assert answer == {"ok": False, "error": "bob is not in #few."}
    assert (await do(workspace, "send", person="UBOB"))["ok"] is False


async def test_faults_are_switched_from_the_page(workspace: Workspace, client: Any) -> None:
    await do(workspace, "add_fault", mode="server_error", method="auth.test", times="1")
    assert [fault.words for fault in workspace.faults.all()] == ["auth.test answers 500, 1 more"]
    await do(workspace, "clear_faults", id=workspace.faults.all()[0].id)
    assert workspace.faults.all() == []
    assert (await client.auth_test())["ok"]
    await do(workspace, "limits", enabled=False)
    assert not workspace.limits.enabled


async def test_the_wire_shows_both_ways(workspace: Workspace, client: Any) -> None:
    await client.chat_postMessage(channel="C0INC", text="hello")
    await workspace.command("alice", "incidents", "/runbook list")
    _, text = await fetch(f"{workspace.url}/ui/wire")
    assert '"chat.postMessage"' in text
    assert '"/runbook"' in text
    assert workspace.bot_token not in text


async def test_an_upload_is_a_line_of_the_wire_without_the_secret_of_its_address(
    workspace: Workspace, client: Any
) -> None:
    await client.files_upload_v2(channel="C0INC", filename="run.log", content="done")
    entries = json.loads((await fetch(f"{workspace.url}/ui/wire"))[1])["entries"]
    assert [entry["name"] for entry in entries] == [
        "files.getUploadURLExternal",
        "upload_url",
        "files.completeUploadExternal",
    ]
    assert entries[0]["answer"]["upload_url"].endswith("/…")
    assert entries[1]["sent"] == f"4 bytes of {entries[0]['answer']['file_id']}"


async def test_the_wire_gives_only_the_lines_asked_for(workspace: Workspace, client: Any) -> None:
    async def numbers(query: str) -> list[int]:
        return [entry["n"] for entry in json.loads((await fetch(f"{workspace.url}/ui/wire{query}"))[1])["entries"]]

    for _ in range(3):
        await client.auth_test()
    assert await numbers("") == [0, 1, 2]
    assert await numbers("?after=0") == [1, 2]
    assert await numbers("?after=2") == await numbers("?after=99") == []
    assert (await fetch(f"{workspace.url}/ui/wire?after=x"))[0] == 400


async def test_a_change_is_told_at_once(workspace: Workspace) -> None:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
        session.get(f"{workspace.url}/ui/changes") as response,
    ):
        assert await response.content.readline() == b"data: changed\n"
        await response.content.readline()
        await workspace.say("alice", "incidents", "hello")
        assert await response.content.readline() == b"data: changed\n"


async def test_the_page_is_told_when_the_app_can_be_reached(workspace: Workspace) -> None:
    told: list[bool] = []
    workspace.state.on_change.append(lambda: told.append(True))
    workspace.events_url = "http://127.0.0.1:9/slack/events"
    assert told == [True]
    assert json.loads((await fetch(f"{workspace.url}/ui/state"))[1])["app"]["reached"] == "reached over HTTP"
