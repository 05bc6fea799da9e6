"""The workspace's page in a real browser: two people approve a plan, a modal is filled in, nothing untrusted runs."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, async_playwright, expect
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.workspace import Workspace
from tests.needs import CHROMIUM, a_part, node_packages

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PATIENCE = 20_000  # milliseconds; a busy machine draws slowly
NASTY = (
    "<img src=x onerror=\"document.title='owned'\"> <script>document.title='owned'</script> <javascript:alert(1)|go>"
)


expect.set_options(timeout=PATIENCE)


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def plan() -> list[dict[str, Any]]:
    sure = {
        "title": plain("Approve?"),
        "text": plain("It restarts nginx."),
        "confirm": plain("Yes"),
        "deny": plain("No"),
    }
    approve = {"type": "button", "action_id": "approve", "text": plain("Approve"), "style": "primary", "confirm": sure}
    entries = [{"text": plain("Show plan"), "value": "plan"}, {"text": plain("Why"), "value": "why"}]
    section = {
        "type": "section",
        "text": {"type": "mrkdwn", "text": "Restart *nginx* on `web-01`, asked by <@UALICE>"},
        "accessory": {"type": "overflow", "action_id": "more", "options": entries},
    }
    return [{"type": "header", "text": plain("Plan")}, section, {"type": "actions", "elements": [approve]}]


def modal() -> dict[str, Any]:
    names = [{"text": plain(name), "value": name} for name in ("restart-service", "uptime")]
    runbook = {"type": "static_select", "action_id": "pick", "options": names}
    host = {"type": "external_select", "action_id": "host", "min_query_length": 1}
    reason = {"type": "plain_text_input", "action_id": "text"}
    blocks = [
        {"type": "input", "block_id": "runbook", "label": plain("Runbook"), "element": runbook},
        {"type": "input", "block_id": "host", "label": plain("Host"), "element": host},
        {"type": "input", "block_id": "reason", "label": plain("Reason"), "element": reason},
    ]
    return {"type": "modal", "callback_id": "run", "title": plain("Run"), "submit": plain("Run"), "blocks": blocks}


def listen(app: AsyncApp) -> None:
    """A small app: a plan to approve, a modal that wants a longer reason, a Home tab."""

    @app.command("/runbook")
    async def runbook(ack: Any, body: Any, client: Any) -> None:
        await ack()
        if body["text"] == "form":
            await client.views_open(trigger_id=body["trigger_id"], view=modal())
        else:
            await client.chat_postMessage(channel=body["channel_id"], text="Plan", blocks=plan())

    @app.action("approve")
    async def approve(ack: Any, body: Any, respond: Any, client: Any) -> None:
        await ack()
        where = body["container"]
        await client.chat_postMessage(
            channel=where["channel_id"], thread_ts=where["message_ts"], text="nginx is active again"
        )
        await respond(text=f"Approved by <@{body['user']['id']}>", replace_original=True)

    @app.action("more")
    async def more(ack: Any, action: Any, respond: Any) -> None:
        await ack()
        await respond(text=f"You chose {action['selected_option']['value']}.", replace_original=False)

    @app.options("host")
    async def hosts(ack: Any, payload: Any) -> None:
        await ack(options=[{"text": plain(f"{payload['value']}-01"), "value": "web-01"}])

    @app.view("run")
    async def run(ack: Any, view: Any, body: Any, client: Any) -> None:
        values = view["state"]["values"]
        reason = values["reason"]["text"]["value"]
        if len(reason) < 5:
            await ack(response_action="errors", errors={"reason": "Please say more."})
            return
        await ack()
        host = values["host"]["host"]["selected_option"]["value"]
        name = values["runbook"]["pick"]["selected_option"]["value"]
        await client.chat_postMessage(channel="C0INC", text=f"{name} on {host}: {reason}")

    @app.event("app_home_opened")
    async def home(event: Any, client: Any) -> None:
        await client.views_publish(
            user_id=event["user"], view={"type": "home", "blocks": [{"type": "header", "text": plain("Your runs")}]}
        )


@pytest.fixture
async def workspace(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workspace]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SKIP_SLACK_SDK_WARNING", "1")
    async with Workspace() as started:
        client = AsyncWebClient(token=started.bot_token, base_url=started.api_url)
        app = AsyncApp(client=client, signing_secret=started.signing_secret)
        listen(app)
        runner = web.AppRunner(app.web_app(path="/slack/events"), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        started.events_url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
        yield started
        await runner.cleanup()


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    a_part(CHROMIUM, package="chromium")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        await started.close()


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The rules of axe-core, to be run in the page."""
    packages = node_packages(Path(__file__).parent / "axe", tmp_path_factory.mktemp("axe"))
    return (packages / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
async def page(workspace: Workspace, browser: Browser) -> AsyncIterator[Page]:
    """The page, which has to get through every test without an error in its console."""
    complaints: list[str] = []
    async with await browser.new_context(viewport={"width": 1200, "height": 800}) as context:
        shown = await context.new_page()
        shown.set_default_timeout(PATIENCE)
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        await shown.goto(workspace.url)
        await expect(shown.locator("#channels .place")).to_have_count(2)
        yield shown
    assert complaints == []


async def send(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


async def test_one_person_asks_and_another_approves(workspace: Workspace, page: Page) -> None:
    await send(page, "/runbook restart nginx on web-01")
    await expect(page.locator("#messages")).to_contain_text("Restart nginx on web-01, asked by @alice")
    await page.get_by_label("Who you are").select_option("UBOB")
    await page.get_by_role("button", name="Approve").click()
    await page.locator("#confirm").get_by_role("button", name="No").click()
    await page.get_by_role("button", name="Approve").click()
    await page.locator("#confirm").get_by_role("button", name="Yes").click()
    await expect(page.locator("#messages")).to_contain_text("Approved by @bob")
    await page.get_by_role("button", name="1 reply").click()
    await expect(page.locator("#thread-messages")).to_contain_text("nginx is active again")
    await page.keyboard.press("Escape")
    await expect(page.locator("#thread")).to_be_hidden()
    assert sum(delivery.payload.get("type") == "block_actions" for delivery in workspace.deliveries) == 1


async def test_an_overflow_menu_is_used_by_keyboard_and_answers_only_its_user(page: Page) -> None:
    await send(page, "/runbook restart nginx")
    await page.locator(".accessory").get_by_role("button").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.locator(".only-you")).to_contain_text("You chose why.")
    await expect(page.locator(".only-you")).to_contain_text("Only visible to you")
    await page.get_by_label("Who you are").select_option("UCAROL")
    await expect(page.locator("#messages")).not_to_contain_text("You chose why.")


async def test_a_modal_shows_errors_keeps_what_was_typed_and_submits(workspace: Workspace, page: Page) -> None:
    await send(page, "/runbook form")
    dialog = page.get_by_role("dialog", name="Run")
    await dialog.get_by_label("Runbook").select_option("uptime")
    await dialog.get_by_role("combobox", name="host").fill("web")
    await dialog.get_by_role("option", name="web-01").click()
    await dialog.get_by_label("Reason").fill("x")
    await dialog.get_by_role("button", name="Run").click()
    await expect(dialog.get_by_role("alert")).to_have_text("Please say more.")
    await expect(dialog.get_by_label("Runbook")).to_have_value("uptime")
    await expect(dialog.get_by_label("Reason")).to_be_focused()
    await dialog.get_by_label("Reason").fill("it was slow")
    await page.keyboard.press("Enter")
    await expect(page.locator("#messages")).to_contain_text("uptime on web-01: it was slow")
    await expect(dialog).to_be_hidden()


async def test_escape_closes_a_modal_for_the_workspace_too(workspace: Workspace, page: Page) -> None:
    await send(page, "/runbook form")
    await expect(page.get_by_role("dialog", name="Run")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog", name="Run")).to_be_hidden()
    assert workspace.views("alice") == []


async def test_nothing_untrusted_becomes_markup(workspace: Workspace, page: Page) -> None:
    client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": NASTY}},
        {"type": "header", "text": plain(NASTY)},
        {"type": "markdown", "text": f"**{NASTY}** [go](javascript:alert(1))"},
    ]
    await client.chat_postMessage(channel="C0INC", text=NASTY, blocks=blocks)
    await client.chat_postMessage(channel="C0INC", text=NASTY)
    await workspace.say("bob", "incidents", NASTY)
    await expect(page.locator("#messages .message")).to_have_count(3)
    assert await page.locator("#messages img, #messages script, #messages a[href^='javascript']").count() == 0
    assert "owned" not in await page.title()


async def test_a_slash_command_is_completed_by_keyboard(page: Page) -> None:
    box = page.get_by_label("Message", exact=True)
    await box.press_sequentially("/kill")
    await expect(page.locator("#completions").get_by_role("option")).to_contain_text("/killswitch")
    await page.keyboard.press("Tab")
    await expect(box).to_have_value("/killswitch ")


async def test_names_are_completed_by_keyboard(workspace: Workspace, page: Page) -> None:
    box = page.get_by_label("Message", exact=True)
    await box.press_sequentially("@ca")
    await page.keyboard.press("Enter")
    await box.press_sequentially("and @on")
    await expect(page.locator("#completions").get_by_role("option")).to_contain_text("@oncall user group")
    await page.keyboard.press("Tab")
    await box.press_sequentially("see #o")
    await page.keyboard.press("Tab")
    await expect(box).to_have_value("@carol and @oncall see #ops ")
    await page.keyboard.press("Enter")
    said = await workspace.wait_for(lambda w: w.messages("incidents"))
    assert said[0].text == "<@UCAROL> and <!subteam^S0ONCALL> see <#C0OPS|ops>"


async def test_a_field_left_empty_is_named_beside_it(workspace: Workspace, page: Page) -> None:
    await send(page, "/runbook form")
    dialog = page.get_by_role("dialog", name="Run")
    await dialog.get_by_label("Reason").fill("it was slow")
    await dialog.get_by_role("button", name="Run").click()
    await expect(dialog.get_by_role("alert")).to_have_text(["This is required.", "This is required."])
    await expect(dialog.get_by_label("Runbook")).to_be_focused()
    await expect(dialog.get_by_label("Reason")).to_have_value("it was slow")
    assert not any(
        delivery.payload["type"] == "view_submission" for delivery in workspace.deliveries if "type" in delivery.payload
    )


async def test_a_plan_is_asked_for_and_approved_without_a_mouse(workspace: Workspace, page: Page) -> None:
    keys = page.keyboard
    await keys.press("/")
    await keys.type("runbook restart nginx")
    await keys.press("Enter")
    await expect(page.locator("#messages")).to_contain_text("Restart nginx")
    await keys.press("Escape")
    await keys.press("2")  # Bob
    await expect(page.get_by_label("Who you are")).to_have_value("UBOB")
    await keys.press("]")
    await expect(page.locator("#place-name")).to_have_text("#ops")
    await keys.press("[")
    await expect(page.locator("#place-name")).to_have_text("#incidents")
    await keys.press("/")
    await keys.press("Backspace")
    await keys.press("ArrowUp")
    await expect(page.locator("#messages .message")).to_be_focused()
    for _ in range(2):  # past the menu beside the text
        await keys.press("Tab")
    await expect(page.get_by_role("button", name="Approve")).to_be_focused()
    await keys.press("Enter")
    await keys.press("Tab")
    await keys.press("Enter")
    await expect(page.locator("#messages")).to_contain_text("Approved by @bob")
    await keys.press("Escape")
    await keys.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    await keys.press("Escape")
    await keys.press("w")
    await expect(page.locator("#wire")).to_contain_text("chat.postMessage")
    await keys.press("Escape")
    await keys.press("h")
    await expect(page.locator("#home")).to_contain_text("Your runs")


async def test_single_keys_can_be_switched_off(page: Page) -> None:
    await page.get_by_role("button", name="Keyboard shortcuts").click()
    await page.get_by_role("checkbox", name="Single keys").uncheck()
    await page.keyboard.press("Escape")
    await page.keyboard.press("w")
    await page.keyboard.press("2")
    await expect(page.locator("#hood")).to_be_hidden()
    await expect(page.get_by_label("Who you are")).to_have_value("UALICE")


async def test_the_wire_shows_methods_statuses_times_and_no_secrets(workspace: Workspace, page: Page) -> None:
    workspace.faults.cut("reactions.add", times=1)
    client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])
    with pytest.raises(aiohttp.ClientError):
        await client.reactions_add(channel="C0INC", timestamp="1.2", name="eyes")
    await send(page, "/runbook restart nginx")
    await page.get_by_role("button", name="Wire & faults").click()
    wire = page.locator("#wire")
    await expect(wire).to_contain_text(re.compile(r"POST\s*chat\.postMessage\s*200\s*[\d.]+ ms"))
    await page.get_by_label("Only").fill("/runbook 200")
    await expect(wire.locator("li:visible")).to_have_count(1)
    await wire.locator("li:visible summary").click()
    await expect(wire.locator("pre").first).to_contain_text('/respond/…"')
    await expect(wire.locator("pre").first).to_contain_text('"token": "…"')
    await page.get_by_label("Only").fill("failed")
    await expect(wire.locator("li:visible")).to_contain_text("no answer")
    await expect(wire.locator("li:visible")).to_contain_text("reactions.add cuts the connection")


async def test_a_picture_is_shown_with_its_words_and_a_text_can_be_read(workspace: Workspace, page: Page) -> None:
    client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
    await client.files_upload_v2(channel="C0INC", filename="chart.png", content=PIXEL, title="Chart", alt_txt="Two up")
    await client.files_upload_v2(channel="C0INC", filename="run.log", content="<b>1204 lines</b>", title="Full log")
    picture = page.get_by_role("img", name="Two up")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
    address = await page.get_by_role("link", name="Full log").get_attribute("href")
    answer = await page.request.get(f"{workspace.url}{address}")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert await answer.text() == "<b>1204 lines</b>"


async def test_a_file_is_attached_with_the_words_in_the_box(workspace: Workspace, page: Page) -> None:
    await page.get_by_label("Message", exact=True).fill("the graph of @bob")
    await page.get_by_label("File to attach").set_input_files(
        {"name": "graph.png", "mimeType": "image/png", "buffer": PIXEL}
    )
    await expect(page.get_by_role("img", name="graph.png")).to_be_visible()
    await expect(page.locator("#messages")).to_contain_text("the graph of @bob")
    await expect(page.get_by_label("Message", exact=True)).to_have_value("")
    [file] = workspace.state.files.values()
    assert (file.content, file.user) == (PIXEL, "UALICE")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_stands_in_the_way_of_a_screen_reader_or_weak_eyes(page: Page, axe: str, scheme: str) -> None:
    async def nothing_found() -> None:
        await page.evaluate(axe)
        found = await page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(all => all.violations)")
        assert [(rule["id"], rule["nodes"][0]["failureSummary"]) for rule in found] == []

    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    await send(page, "/runbook restart nginx on web-01")
    await page.locator("#messages").get_by_role("button", name="More actions").first.click()
    await nothing_found()
    await page.keyboard.press("Enter")
    await expect(page.locator(".only-you")).to_be_visible()
    await send(page, "/runbook form")
    dialog = page.get_by_role("dialog", name="Run")
    await dialog.get_by_role("combobox", name="host").fill("web")
    await expect(dialog.get_by_role("option", name="web-01")).to_be_visible()
    await dialog.get_by_role("option", name="web-01").click()
    await dialog.get_by_label("Runbook").select_option("uptime")
    await dialog.get_by_label("Reason").fill("x")
    await dialog.get_by_role("button", name="Run").click()
    await expect(dialog.get_by_role("alert")).to_be_visible()
    await nothing_found()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Wire & faults").click()
    await page.locator("#wire summary").first.click()
    await nothing_found()
    await page.set_viewport_size({"width": 390, "height": 800})
    await nothing_found()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Channels", exact=True).click()
    await nothing_found()
    await page.get_by_role("button", name="App Home").click()
    await expect(page.locator("#home")).to_contain_text("Your runs")
    await nothing_found()


async def test_unread_channels_are_counted_until_looked_at(workspace: Workspace, page: Page) -> None:
    await workspace.say("bob", "ops", "disk is full")
    ops = page.get_by_role("button", name="ops")
    await expect(ops.locator(".count")).to_have_text("1")
    await ops.click()
    await expect(page.locator("#messages")).to_contain_text("disk is full")
    await expect(ops.locator(".count")).to_have_count(0)


async def test_the_home_tab_shows_what_the_app_published(page: Page) -> None:
    await page.get_by_role("button", name="App Home").click()
    await expect(page.locator("#home")).to_contain_text("Your runs")


async def test_a_fault_is_switched_on_seen_and_switched_off(workspace: Workspace, page: Page) -> None:
    await page.get_by_role("button", name="Wire & faults").click()
    await page.locator("#fault-mode").select_option("server_error")
    await page.get_by_role("button", name="Switch on").click()
    await expect(page.locator("#faults")).to_contain_text("every method answers 500")
    await page.get_by_role("button", name="Switch off").click()
    await expect(page.locator("#faults li")).to_have_count(0)
    assert workspace.faults.all() == []


@pytest.mark.parametrize("width", [360, 700])
async def test_a_narrow_window_needs_no_sideways_scrolling(page: Page, width: int) -> None:
    await send(page, "/runbook restart nginx on web-01")
    await page.set_viewport_size({"width": width, "height": 700})
    await expect(page.get_by_role("button", name="Approve")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
