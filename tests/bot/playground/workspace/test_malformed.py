"""Malformed arguments, over the wire: every method answers JSON with one of Slack's error names, and never breaks."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from bot.playground.web_api import METHODS
from bot.playground.workspace import Workspace

NASTY: tuple[Any, ...] = (
    None, True, 0, -1, 10**30, "", " ", "x" * 5_000, "\u0000", "²", "१", "9" * 5_000, "[" * 4_000, "{", "[]", "{}",
    "null", "next:²", "1.²", [], {}, [None], [[]], [{}], {"type": []}, {"type": {}}, {"type": "modal"},
    {"type": "modal", "title": 1, "blocks": [1]}, {"type": "home", "blocks": [{"type": []}]},
    [{"type": "section", "text": {"type": [], "text": 1}, "fields": [1], "accessory": {"type": {}}}],
    [{"type": "actions", "elements": [{"type": "button", "text": [], "confirm": 1, "style": []}]}],
    [{"type": "actions", "elements": [{"type": "static_select", "options": [1], "option_groups": [1]}]}],
    [{"type": "input", "label": 1, "element": {"type": "plain_text_input", "min_length": "1", "max_length": None}}],
    [{"type": "rich_text", "elements": [1, {"type": []}, {"type": "rich_text_section", "elements": [1]}]}],
    [{"type": "table", "rows": [1]}], [{"type": "card", "actions": 1, "title": {}}],
    [{"type": "context", "elements": [[]]}], {"event_type": 1, "event_payload": {}},
)  # fmt: skip
ALSO = {
    "chat.postMessage": ("text", "blocks", "attachments", "metadata", "markdown_text", "thread_ts"),
    "chat.update": ("blocks",),
    "conversations.history": ("limit", "cursor", "oldest", "latest"),
    "conversations.list": ("types", "limit", "cursor"),
    "conversations.open": ("users", "channel"),
    "conversations.setTopic": ("topic",),
    "views.publish": ("hash",),
    "views.update": ("view_id", "external_id", "hash"),
}
GOOD = {"channel": "C0INC", "text": "x", "ts": "1.2", "user": "UALICE", "user_id": "UALICE", "users": "UBOB"}


async def test_nothing_an_app_sends_breaks_a_method() -> None:
    async with Workspace(rate_limits=False) as workspace, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {workspace.bot_token}"}

        async def call(method: str, name: str, value: Any) -> None:
            given = {**GOOD, name: value}
            how: dict[str, Any] = {"json": given}
            if isinstance(value, str) or not METHODS[method].takes_json:
                how = {"data": {key: v if isinstance(v, str) else json.dumps(v) for key, v in given.items()}}
            async with session.post(workspace.api_url + method, headers=headers, **how) as response:
                assert response.status == 200, (method, name, value, await response.text())
                answer = await response.json()
                assert answer["ok"] or answer["error"], (method, name, value)

        for method in sorted(METHODS):
            names = {*METHODS[method].required, *ALSO.get(method, ())}
            await asyncio.gather(*(call(method, name, value) for name in names for value in NASTY))


@pytest.mark.parametrize(
    ("content_type", "body", "error"),
    [
        ("application/json", b"\xff\xfe", "invalid_json"),
        ("application/json", b"[" * 100_000, "invalid_json"),
        ("application/x-www-form-urlencoded; charset=klingon", b"channel=C0INC", "invalid_form_data"),
        ("multipart/form-data", b"no boundary", "invalid_form_data"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused_by_name(
    workspace: Workspace, content_type: str, body: bytes, error: str
) -> None:
    headers = {"Authorization": f"Bearer {workspace.bot_token}", "Content-Type": content_type}
    async with (
        aiohttp.ClientSession() as session,
        session.post(workspace.api_url + "chat.postMessage", data=body, headers=headers) as response,
    ):
        assert (response.status, (await response.json())["error"]) == (200, error)


async def test_a_time_that_is_none_is_refused_by_name(workspace: Workspace, client: Any) -> None:
    answer = await client.api_call("api.test")
    assert answer["ok"]
    for name in ("oldest", "latest"):
        with pytest.raises(Exception, match=f"invalid_ts_{name}"):
            await client.api_call("conversations.history", params={"channel": "C0INC", name: "yesterday"})
