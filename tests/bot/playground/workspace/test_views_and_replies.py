"""Modals, Home tabs, shortcuts, suggestions, and answers on a `response_url`, with a real Bolt app."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.gestures import ShortcutSpec
from bot.playground.state import NotPossible
from bot.playground.workspace import Workspace


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def modal(title: str = "Run", **more: Any) -> dict[str, Any]:
    reason = {"type": "plain_text_input", "action_id": "text"}
    service = {
        "type": "static_select",
        "action_id": "pick",
        "options": [{"text": plain(name), "value": name} for name in ("nginx", "redis")],
    }
    blocks = [
        {"type": "input", "block_id": "reason", "label": plain("Reason"), "element": reason},
        {"type": "input", "block_id": "service", "label": plain("Service"), "element": service, "optional": True},
        {
            "type": "actions",
            "block_id": "buttons",
            "elements": [{"type": "button", "action_id": "more", "text": plain("More")}],
        },
    ]
    return {
        "type": "modal",
        "callback_id": "run",
        "title": plain(title),
        "submit": plain("Run"),
        "blocks": blocks,
        **more,
    }


@pytest.fixture
def opening(bolt: AsyncApp) -> AsyncApp:
    """An app whose `/runbook` opens a modal."""

    @bolt.command("/runbook")
    async def runbook(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=modal())

    return bolt


async def opened(workspace: Workspace) -> None:
    await workspace.command("alice", "incidents", "/runbook")
    await workspace.wait_for(lambda w: w.views("alice"))


def pushed_more_than(count: int, workspace: Workspace) -> bool:
    return len(workspace.calls_of("views.push")) > count


async def test_a_submitted_modal_brings_what_was_typed_and_closes(workspace: Workspace, opening: AsyncApp) -> None:
    seen: list[Any] = []

    @opening.view("run")
    async def submitted(ack: Any, view: Any) -> None:
        await ack()
        seen.append(view["state"]["values"])

    await opened(workspace)
    ack = await workspace.submit_view("alice", {"Reason": "disk full", "Service": "nginx"})
    assert ack.ok
    assert workspace.views("alice") == []
    [values] = seen
    assert values["reason"]["text"]["value"] == "disk full"
    assert values["service"]["pick"]["selected_option"]["value"] == "nginx"


async def test_a_required_input_stops_the_person_before_the_app(workspace: Workspace, opening: AsyncApp) -> None:
    await opened(workspace)
    sent = len(workspace.deliveries)
    with pytest.raises(NotPossible, match="'Reason' is required"):
        await workspace.submit_view("alice")
    assert len(workspace.deliveries) == sent


@pytest.mark.parametrize(
    ("element", "typed", "why"),
    [
        ({"type": "number_input", "is_decimal_allowed": False, "min_value": "1"}, "0", "must be at least 1"),
        ({"type": "number_input", "is_decimal_allowed": False, "max_value": "30"}, "31", "must be at most 30"),
        ({"type": "number_input", "is_decimal_allowed": False}, "1.5", "must be a whole number"),
        ({"type": "number_input", "is_decimal_allowed": True}, "1e400000000", "must be a number"),
        ({"type": "email_text_input"}, "nobody", "must be an email address"),
        ({"type": "url_text_input"}, "example.com", "must be an address such as https://example.com"),
        ({"type": "plain_text_input", "max_length": 3}, "long", "is too long: at most 3 characters"),
        ({"type": "plain_text_input", "min_length": 3}, "no", "is too short: at least 3 characters"),
    ],
)
async def test_a_value_that_does_not_fit_is_named_beside_its_field(
    workspace: Workspace, client: AsyncWebClient, element: dict[str, Any], typed: str, why: str
) -> None:
    field = {"type": "input", "block_id": "field", "optional": True, "label": plain("Field"), "element": element}
    await client.views_open(trigger_id=workspace.state.new_trigger("UALICE"), view=modal(blocks=[field]))
    with pytest.raises(NotPossible, match=f"'Field' {why}"):
        await workspace.submit_view("alice", {"Field": typed})
    assert workspace.views("alice")[0].errors == {"field": f"This {why}."}
    assert workspace.deliveries == []


async def test_an_app_may_answer_a_submission_with_errors(workspace: Workspace, opening: AsyncApp) -> None:
    @opening.view("run")
    async def submitted(ack: Any) -> None:
        await ack(response_action="errors", errors={"reason": "Say more."})

    await opened(workspace)
    await workspace.submit_view("alice", {"reason": "x"})
    [view] = workspace.views("alice")
    assert view.errors == {"reason": "Say more."}
    assert view.values["reason"]["text"]["value"] == "x"


async def test_errors_for_a_block_that_is_not_there_are_refused(workspace: Workspace, opening: AsyncApp) -> None:
    @opening.view("run")
    async def submitted(ack: Any) -> None:
        await ack(response_action="errors", errors={"elsewhere": "Say more."})

    await opened(workspace)
    assert (await workspace.submit_view("alice", {"reason": "x"})).error == "invalid_errors"


async def test_views_stack_three_deep_and_close_one_by_one(workspace: Workspace, opening: AsyncApp) -> None:
    @opening.action("more")
    async def more(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.api_call("views.push", json={"trigger_id": body["trigger_id"], "view": modal("Deeper")})

    await opened(workspace)
    for _ in range(3):
        before = len(workspace.calls_of("views.push"))
        await workspace.click("alice", workspace.views("alice")[-1], "More")
        await workspace.wait_for(partial(pushed_more_than, before))
    assert [call.error for call in workspace.calls_of("views.push")] == ["", "", "push_limit_reached"]
    assert [view.title for view in workspace.views("alice")] == ["Run", "Deeper", "Deeper"]
    await workspace.close_view("alice")
    assert len(workspace.views("alice")) == 2
    await workspace.close_view("alice", whole_stack=True)
    assert workspace.views("alice") == []


@pytest.mark.parametrize(("action", "titles"), [("update", ["Next"]), ("push", ["Run", "Next"]), ("clear", [])])
async def test_a_submission_may_update_push_or_clear(
    workspace: Workspace, opening: AsyncApp, action: str, titles: list[str]
) -> None:
    @opening.view("run")
    async def submitted(ack: Any) -> None:
        view = {"view": modal("Next")} if action != "clear" else {}
        await ack(response_action=action, **view)

    await opened(workspace)
    await workspace.submit_view("alice", {"reason": "x"})
    assert [view.title for view in workspace.views("alice")] == titles


async def test_a_closed_view_is_told_where_asked_for(workspace: Workspace, bolt: AsyncApp, clock: Any) -> None:
    closed: list[bool] = []

    @bolt.view_closed("run")
    async def gone(ack: Any, body: Any) -> None:
        await ack()
        closed.append(body["is_cleared"])

    trigger = workspace.state.new_trigger("UALICE")
    await bolt.client.views_open(trigger_id=trigger, view=modal(notify_on_close=True))
    await workspace.close_view("alice")
    assert closed == [False]


async def test_a_trigger_lasts_three_seconds_and_one_use(
    workspace: Workspace, client: AsyncWebClient, clock: Any
) -> None:
    async def answer(trigger: str) -> str:
        try:
            await client.views_open(trigger_id=trigger, view=modal())
        except SlackApiError as error:
            return str(error.response["error"])
        return "ok"

    fresh, old = workspace.state.new_trigger("UALICE"), workspace.state.new_trigger("UALICE")
    assert await answer(fresh) == "ok"
    assert await answer(fresh) == "exchanged_trigger_id"
    clock.advance(3.1)
    assert await answer(old) == "expired_trigger_id"
    assert await answer("made-up") == "invalid_trigger_id"


async def test_an_update_needs_the_right_hash_and_keeps_what_was_typed(
    workspace: Workspace, client: AsyncWebClient
) -> None:
    trigger = workspace.state.new_trigger("UALICE")
    view = (await client.views_open(trigger_id=trigger, view=modal()))["view"]
    workspace.type_into("alice", {"Reason": "typing"})
    await client.views_update(view_id=view["id"], hash=view["hash"], view=modal("Newer"))
    [shown] = workspace.views("alice")
    assert (shown.title, shown.values["reason"]["text"]["value"]) == ("Newer", "typing")
    with pytest.raises(SlackApiError, match="hash_conflict"):
        await client.views_update(view_id=view["id"], hash=view["hash"], view=modal())
    with pytest.raises(SlackApiError, match="not_found"):
        await client.views_update(view_id="VNONE", view=modal())


async def test_a_bad_view_is_refused_with_its_pointer(workspace: Workspace, client: AsyncWebClient) -> None:
    trigger = workspace.state.new_trigger("UALICE")
    with pytest.raises(SlackApiError) as caught:
        await client.views_open(trigger_id=trigger, view=modal("A title that is far too long"))
    assert caught.value.response["error"] == "invalid_arguments"
    assert "[json-pointer:/view/title/text]" in caught.value.response["response_metadata"]["messages"][0]


async def test_the_home_tab_is_published_when_opened(workspace: Workspace, bolt: AsyncApp) -> None:
    @bolt.event("app_home_opened")
    async def home(event: Any, client: Any) -> None:
        block = {"type": "section", "text": plain(f"Hello {event['user']}")}
        await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [block]})

    await workspace.open_home("alice")
    view = await workspace.wait_for(lambda w: w.home("alice"))
    assert workspace.read(view) == "Hello UALICE"
    assert workspace.home("bob") is None


async def test_shortcuts_reach_the_app_from_the_menu_and_from_a_message() -> None:
    specs = [
        ShortcutSpec(name="New run", callback_id="new"),
        ShortcutSpec(name="Run on this", callback_id="this", on_message=True),
    ]
    async with Workspace(shortcut_specs=specs, ack_seconds=0.2) as workspace:
        message = await workspace.say("alice", "incidents", "web-01 is slow")
        await workspace.shortcut("alice", "new")
        await workspace.message_shortcut("alice", message, "this")
        kinds = [delivery.payload["type"] for delivery in workspace.deliveries]
        assert kinds == ["shortcut", "message_action"]
        assert workspace.deliveries[1].payload["message"]["text"] == "web-01 is slow"
        assert "response_url" not in workspace.deliveries[0].payload
        with pytest.raises(NotPossible):
            await workspace.shortcut("alice", "this")


async def test_an_external_select_is_filled_by_the_app(workspace: Workspace, bolt: AsyncApp) -> None:
    chosen: list[Any] = []

    @bolt.options("host")
    async def hosts(ack: Any, payload: Any) -> None:
        await ack(options=[{"text": plain(payload["value"] + "-01"), "value": "web-01"}])

    @bolt.action("host")
    async def host(ack: Any, action: Any) -> None:
        await ack()
        chosen.append(action["selected_option"]["value"])

    select = {"type": "external_select", "action_id": "host", "placeholder": plain("Host")}
    await bolt.client.chat_postMessage(channel="C0INC", text="x", blocks=[{"type": "actions", "elements": [select]}])
    [message] = workspace.messages("incidents")
    assert await workspace.suggest("alice", message, "host", "we") == []  # too little to ask the app for
    options = await workspace.suggest("alice", message, "host", "web")
    assert [option["text"]["text"] for option in options] == ["web-01"]
    await workspace.choose("alice", message, "host", options[0])
    assert chosen == ["web-01"]


@pytest.mark.parametrize(
    ("offered", "why"),
    [
        (None, "operation_timeout"),
        ([{"text": plain("w" * 76), "value": "w"}], "must be less than 76 characters"),
        ([{"text": plain("w"), "value": str(n)} for n in range(101)], "no more than 100 items allowed"),
    ],
)
async def test_options_that_come_late_or_are_too_much_are_not_shown(
    workspace: Workspace, bolt: AsyncApp, offered: Any, why: str
) -> None:
    @bolt.options("host")
    async def hosts(ack: Any) -> None:
        await (asyncio.sleep(1.2) if offered is None else ack(options=offered))

    select = {"type": "external_select", "action_id": "host", "placeholder": plain("Host")}
    await bolt.client.chat_postMessage(channel="C0INC", text="x", blocks=[{"type": "actions", "elements": [select]}])
    with pytest.raises(NotPossible, match=why):
        await workspace.suggest("alice", workspace.messages("incidents")[0], "host", "web")


async def test_closing_a_view_may_close_all_that_it_stands_on(workspace: Workspace, bolt: AsyncApp) -> None:
    closed: list[bool] = []

    @bolt.view_closed("run")
    async def gone(ack: Any, body: Any) -> None:
        await ack()
        closed.append(body["is_cleared"])

    await bolt.client.views_open(trigger_id=workspace.state.new_trigger("UALICE"), view=modal())
    trigger = workspace.state.new_trigger("UALICE", view=workspace.views("alice")[-1].id)
    top = modal(notify_on_close=True, clear_on_close=True)
    await bolt.client.views_push(trigger_id=trigger, view=top)
    await workspace.close_view("alice")
    assert (workspace.views("alice"), closed) == ([], [True])


async def answer(url: str, **body: Any) -> int:
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        return response.status


async def test_a_response_url_is_good_for_five_uses_within_half_an_hour(workspace: Workspace, clock: Any) -> None:
    url = (await workspace.command("alice", "incidents", "/runbook list")).response_url
    before = len(workspace.ephemeral("alice", "incidents"))
    assert [await answer(url, text=str(n)) for n in range(6)] == [200] * 5 + [404]
    assert len(workspace.ephemeral("alice", "incidents")) == before + 5
    assert workspace.messages("incidents") == []
    other = (await workspace.command("alice", "incidents", "/runbook list")).response_url
    clock.advance(30 * 60 + 1)
    assert await answer(other, text="late") == 404


async def test_a_response_url_posts_for_all_only_when_told_to(workspace: Workspace) -> None:
    url = (await workspace.command("alice", "incidents", "/runbook list")).response_url
    parent = await workspace.say("alice", "incidents", "headline")
    await answer(url, text="everybody", response_type="in_channel")
    await answer(url, text="in the thread", response_type="in_channel", thread_ts=parent.ts)
    assert workspace.transcript("incidents") == (
        "#incidents\nAlice Adams: headline\n    Handrail: in the thread\nHandrail: everybody\n"
    )


async def test_an_ephemeral_message_is_changed_and_deleted_through_its_response_url(
    workspace: Workspace, bolt: AsyncApp
) -> None:
    @bolt.action("more")
    async def more(ack: Any) -> None:
        await ack()

    blocks = modal()["blocks"][2:]
    await bolt.client.chat_postEphemeral(channel="C0INC", user="UALICE", text="x", blocks=blocks)
    [message] = workspace.ephemeral("alice", "incidents")
    with pytest.raises(NotPossible):
        await workspace.click("bob", message, "More")
    url = (await workspace.click("alice", message, "More")).response_url
    await answer(url, text="replaced", replace_original=True)
    assert [m.text for m in workspace.ephemeral("alice", "incidents")] == ["replaced"]
    await answer(url, delete_original=True)
    assert workspace.ephemeral("alice", "incidents") == []
