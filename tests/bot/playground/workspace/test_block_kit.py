"""Blocks and views at Slack's limits: what fits passes, one more is refused with the pointer to it."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.block_kit import Surface, check_blocks, check_view, with_ids
from bot.playground.workspace import Workspace

Block = dict[str, Any]


def plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}


def section(text: str = "x", **more: Any) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def button(**more: Any) -> Block:
    return {"type": "button", "text": plain("Go"), **more}


def actions(*elements: Block) -> Block:
    return {"type": "actions", "elements": list(elements)}


def select(count: int) -> Block:
    options = [{"text": plain(f"o{n}"), "value": str(n)} for n in range(count)]
    return {"type": "static_select", "placeholder": plain("which"), "options": options}


def confirm(**more: Any) -> Block:
    return {
        "title": plain("Sure?"),
        "text": plain("It restarts."),
        "confirm": plain("Yes"),
        "deny": plain("No"),
        **more,
    }


def problems(*blocks: Block, surface: Surface = Surface.MESSAGE) -> list[str]:
    return check_blocks(list(blocks), surface=surface)


FITTING = [
    section("x" * 3000),
    {"type": "section", "fields": [plain("f" * 2000)] * 10},
    {"type": "header", "text": plain("h" * 150)},
    {"type": "context", "elements": [plain("c")] * 10},
    {"type": "divider", "block_id": "b" * 255},
    actions(*[button() for _ in range(25)]),
    actions(button(text=plain("t" * 75), value="v" * 2000, style="danger", confirm=confirm())),
    actions(select(100)),
    actions({"type": "overflow", "options": select(5)["options"]}),
    section(accessory=button()),
    {"type": "markdown", "text": "m" * 12_000},
    {"type": "image", "image_url": "https://example.com/i.png", "alt_text": "a graph"},
    {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "x"}]}]},
    {"type": "input", "label": plain("Why"), "element": {"type": "plain_text_input", "action_id": "why"}},
    {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}] * 20] * 100},
]


@pytest.mark.parametrize("block", FITTING, ids=lambda block: block["type"])
def test_what_fits_passes(block: Block) -> None:
    assert problems(block) == []


TOO_MUCH = [
    (section("x" * 3001), "must be less than 3001 characters", "/blocks/0/text/text"),
    (section(""), "must be more than 0 characters", "/blocks/0/text/text"),
    ({"type": "section"}, "missing required field: text", "/blocks/0"),
    (
        {"type": "section", "fields": [plain("f" * 2001)]},
        "must be less than 2001 characters",
        "/blocks/0/fields/0/text",
    ),
    ({"type": "section", "fields": [plain("f")] * 11}, "no more than 10 items allowed", "/blocks/0/fields"),
    ({"type": "header", "text": plain("h" * 151)}, "must be less than 151 characters", "/blocks/0/text/text"),
    ({"type": "header", "text": {"type": "mrkdwn", "text": "h"}}, "must be a valid enum value", "/blocks/0/text/type"),
    ({"type": "context", "elements": [plain("c")] * 11}, "no more than 10 items allowed", "/blocks/0/elements"),
    (actions(), "must provide at least 1 items", "/blocks/0/elements"),
    (actions(*[button()] * 26), "no more than 25 items allowed", "/blocks/0/elements"),
    (
        actions(button(action_id="a"), button(action_id="a")),
        '`action_id` "a" already exists',
        "/blocks/0/elements/1/action_id",
    ),
    (actions(button(action_id="a" * 256)), "must be less than 256 characters", "/blocks/0/elements/0/action_id"),
    (actions(button(text=plain("t" * 76))), "must be less than 76 characters", "/blocks/0/elements/0/text/text"),
    (actions(button(value="v" * 2001)), "must be less than 2001 characters", "/blocks/0/elements/0/value"),
    (actions(button(style="loud")), "must be a valid enum value", "/blocks/0/elements/0/style"),
    (actions(button(confirm=confirm(deny=plain("d" * 31)))), "less than 31", "/blocks/0/elements/0/confirm/deny/text"),
    (actions(button(confirm={})), "missing required field: title", "/blocks/0/elements/0/confirm"),
    (actions(select(0)), "must provide at least 1 items", "/blocks/0/elements/0/options"),
    (actions(select(101)), "no more than 100 items allowed", "/blocks/0/elements/0/options"),
    (actions({"type": "overflow", "options": select(6)["options"]}), "no more than 5", "/blocks/0/elements/0/options"),
    (actions({"type": "plain_text_input"}), "unsupported type: plain_text_input", "/blocks/0/elements/0/type"),
    ({"type": "fancy"}, "unsupported type: fancy", "/blocks/0/type"),
    ({"type": "alert", "text": plain("x")}, "unsupported type: alert", "/blocks/0/type"),
    ({"type": "file", "external_id": "x"}, "unsupported type: file", "/blocks/0/type"),
    ({"text": "x"}, "missing required field: type", "/blocks/0"),
    ({"type": "image", "image_url": "https://example.com"}, "missing required field: alt_text", "/blocks/0"),
    ({"type": "input", "label": plain("Why")}, "missing required field: element", "/blocks/0"),
    ({"type": "divider", "text": plain("x")}, "invalid additional property: text", "/blocks/0"),
    (actions(button(colour="red")), "invalid additional property: colour", "/blocks/0/elements/0"),
    (
        {"type": "section", "text": {**plain("x"), "verbatim": True}},
        "invalid additional property: verbatim",
        "/blocks/0/text",
    ),
    (actions(button(url="not an address")), "invalid url", "/blocks/0/elements/0/url"),
    ({"type": "section", "text": "bare"}, "must provide an object", "/blocks/0/text"),
    (
        {
            "type": "input",
            "label": plain("n"),
            "element": {"type": "number_input", "is_decimal_allowed": False, "min_value": 1},
        },
        "must provide a string",
        "/blocks/0/element/min_value",
    ),
    (
        section(accessory={**select(2), "type": "checkboxes", "initial_options": [{"text": plain("?"), "value": "?"}]}),
        "must be one of the provided options",
        "/blocks/0/accessory/initial_options/0",
    ),
]


@pytest.mark.parametrize(("block", "text", "pointer"), TOO_MUCH)
def test_one_too_many_is_named_with_its_pointer(block: Block, text: str, pointer: str) -> None:
    found = problems(block)
    assert any(text in line and line.endswith(f"[json-pointer:{pointer}]") for line in found), found


def test_block_ids_are_unique_in_a_message() -> None:
    assert problems(section(block_id="a"), section(block_id="a")) == [
        '[ERROR] `block_id` "a" already exists [json-pointer:/blocks/1/block_id]'
    ]


def test_a_message_has_fifty_blocks_and_a_modal_a_hundred() -> None:
    assert problems(*[section()] * 50) == []
    assert problems(*[section()] * 51) == ["[ERROR] no more than 50 items allowed [json-pointer:/blocks]"]
    assert problems(*[section()] * 100, surface=Surface.MODAL) == []


def test_markdown_is_for_messages_only() -> None:
    assert problems({"type": "markdown", "text": "x"}, surface=Surface.MODAL) != []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"title": plain("t" * 25)}, "/view/title/text"),
        ({"submit": plain("t" * 25)}, "/view/submit/text"),
        ({"close": plain("t" * 25)}, "/view/close/text"),
        ({"private_metadata": "m" * 3001}, "/view/private_metadata"),
        ({"callback_id": "c" * 256}, "/view/callback_id"),
        ({"type": "popup"}, "/view/type"),
        (
            {"blocks": [{"type": "input", "label": plain("L"), "element": {"type": "plain_text_input"}}]},
            "/view/blocks/0/input",
        ),
    ],
)
def test_a_view_has_limits_of_its_own(change: Block, pointer: str) -> None:
    view = {"type": "modal", "title": plain("t" * 24), "blocks": [section()]}
    assert check_view(view) == []
    assert any(line.endswith(f"[json-pointer:{pointer}]") for line in check_view(view | change))


def test_a_home_tab_has_no_title() -> None:
    assert check_view({"type": "home", "blocks": [section()]}) == []
    assert check_view({"type": "home", "title": plain("Home"), "blocks": [section()]}) != []


def test_ids_are_made_up_where_missing_and_kept_where_given() -> None:
    first, second = with_ids([actions(button(), button(action_id="mine")), section(block_id="b0")])
    assert first["block_id"] != second["block_id"] == "b0"
    assert [element["action_id"] for element in first["elements"]] == ["a0", "mine"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, "no_text"),
        ({"text": ""}, "no_text"),
        ({"text": "x", "blocks": "not json"}, "invalid_blocks_format"),
        ({"text": "x", "blocks": [{"type": "fancy"}]}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("x" * 2700) for _ in range(5)]}, "msg_blocks_too_long"),
        ({"text": "x", "markdown_text": "y"}, "markdown_text_conflict"),
        ({"text": "x", "attachments": [{}] * 101}, "too_many_attachments"),
        ({"text": "x", "metadata": {"event_type": "t"}}, "invalid_metadata_schema"),
        ({"text": "x", "metadata": {"event_type": "t", "event_payload": {"a": "b" * 17_000}}}, "metadata_too_large"),
    ],
)
async def test_a_refused_message_is_refused_by_slacks_name(
    workspace: Workspace, client: AsyncWebClient, arguments: Block, error: str
) -> None:
    with pytest.raises(SlackApiError) as caught:
        await client.api_call("chat.postMessage", json={"channel": "C0INC", **arguments})
    assert caught.value.response["error"] == error
    assert workspace.messages("incidents") == []


async def test_a_refusal_carries_its_pointers(workspace: Workspace, client: AsyncWebClient) -> None:
    with pytest.raises(SlackApiError) as caught:
        await client.chat_postMessage(channel="C0INC", text="x", blocks=[section("x" * 3001)])
    assert caught.value.response["response_metadata"]["messages"] == [
        "[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
    ]
    assert caught.value.response["errors"] == ["must be less than 3001 characters [json-pointer:/blocks/0/text/text]"]
