"""The demo as a newcomer meets it: the page in a browser, typed and clicked, with the real bot behind it."""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from bot.demo import FIRST_LINE, Demo, demo
from tests.needs import CHROMIUM, a_part
from tests.system import first_minutes_pictures
from tests.system.forms_pictures import story

PATIENCE = 30_000  # milliseconds; a busy machine draws slowly
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture
async def running() -> AsyncIterator[Demo]:
    """The demo, as `handrail demo` starts it."""
    async with demo() as started:
        yield started


@pytest.fixture
async def page(running: Demo) -> AsyncIterator[Page]:
    """Its page, in headless Chromium."""
    a_part(CHROMIUM, package="chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 1280, "height": 860}, locale="en-GB")
        page.set_default_timeout(PATIENCE)
        await page.goto(running.url)
        yield page
        await browser.close()


async def be(page: Page, name: str) -> None:
    """Switch to somebody else."""
    await page.get_by_label("Who you are").select_option(label=name)


async def say(page: Page, text: str) -> None:
    """Type into the channel."""
    await page.get_by_label("Message", exact=True).fill(text)
    await page.get_by_role("button", name="Send").click()


async def test_type_the_line_watch_the_thread_and_let_somebody_else_approve(page: Page) -> None:
    patience = PATIENCE
    await be(page, "Bob Brandt")
    await say(page, FIRST_LINE)
    messages = page.locator("#messages")
    await expect(messages).to_contain_text("restart-service nginx", timeout=patience)
    await page.get_by_role("button", name="replies").first.click()
    thread = page.locator("#thread-messages")
    await expect(thread).to_contain_text("sudo -n systemctl restart nginx", timeout=patience)
    await expect(messages).to_contain_text("Succeeded", timeout=patience)
    await expect(thread).to_contain_text("nginx pid", timeout=patience)

    await say(page, "/runbook kill report-worker on web-02 grace=1")
    await expect(messages).to_contain_text("Waiting for approval", timeout=patience)
    await messages.get_by_role("button", name="Approve").first.click()
    await expect(messages).to_contain_text("somebody else must approve it", timeout=patience)

    await be(page, "Carol Chen")
    await expect(messages).to_contain_text("Waiting for approval", timeout=patience)
    picture = os.environ.get("HANDRAIL_TEST_PICTURE")  # to make the README's picture anew
    if picture:
        await messages.get_by_role("button", name=re.compile("repl(y|ies)")).last.click()
        await expect(thread).to_contain_text("kill -TERM", timeout=patience)
        await page.screenshot(path=Path(picture))
    await messages.get_by_role("button", name="Approve").first.click()
    await expect(messages).to_contain_text("ended report-worker", timeout=patience)


async def test_where_nothing_was_said_the_page_says_what_to_begin_with_and_who_one_is(page: Page) -> None:
    messages, composer = page.locator("#messages"), page.get_by_label("Message", exact=True)
    await expect(messages).to_contain_text(
        "You are Alice Adams (admin). In the menu on top you become Bob Brandt (on call)"
    )
    await messages.get_by_role("button", name=FIRST_LINE).click()
    await expect(composer).to_have_value(FIRST_LINE)
    await expect(composer).to_be_focused()
    assert not await messages.locator(".message").count(), "it is sent by whoever reads it, not by the click"
    await be(page, "Dave Diaz")
    await expect(messages).to_contain_text("You are Dave Diaz (no role)")
    await page.get_by_role("button", name="@ Handrail").click()
    await expect(page.locator("#place")).to_contain_text("This app takes no messages here")
    await expect(composer).to_be_hidden()


async def test_a_field_that_is_being_mended_is_no_longer_complained_about(page: Page) -> None:
    await say(page, "/runbook restart")
    form = page.get_by_role("dialog", name="restart-service")
    await form.get_by_role("button", name="See the plan").click()
    await expect(form.get_by_role("alert")).to_have_count(2)
    service = form.get_by_role("combobox", name="Service")
    await service.fill("ng")
    await expect(form.get_by_role("alert")).to_have_count(1)
    await form.get_by_role("option", name="nginx").click()
    await form.get_by_role("combobox", name="On which hosts").click()
    await form.get_by_role("option", name="web-01").click()
    await expect(form.get_by_role("alert")).to_have_count(0)
    await form.get_by_role("combobox", name="On which hosts").fill("nowhere")
    await expect(form).to_contain_text("No results")


async def test_what_comes_of_a_line_is_seen_also_after_a_keyboard_took_half_of_the_room(page: Page) -> None:
    for word in ("list", "help", "history", "can"):
        await say(page, f"/runbook {word}")
    messages = page.locator("#messages")
    await expect(messages).to_contain_text("Allowed:")
    at_end = "list => list.scrollHeight - list.scrollTop - list.clientHeight < 2"
    await page.set_viewport_size({"width": 390, "height": 420})
    await page.wait_for_function(f"({at_end})(document.getElementById('messages'))")
    await messages.evaluate("list => list.scrollTo(0, 0)")
    await say(page, "/killswitch status")
    await expect(messages).to_contain_text("No kill switch is engaged")
    await page.wait_for_function(f"({at_end})(document.getElementById('messages'))")


async def test_a_form_is_chosen_filled_in_mended_and_its_plan_seen_also_on_a_phone(page: Page) -> None:
    await story(page, None)
    await page.get_by_role("dialog", name="The plan").get_by_role("button", name="Run", exact=True).click()
    await expect(page.get_by_role("dialog", name="The plan")).to_be_hidden(timeout=PATIENCE)
    await expect(page.locator("#messages")).to_contain_text("disk-cleanup", timeout=PATIENCE)


async def test_the_first_ten_minutes_go_as_they_are_written_down(page: Page) -> None:
    expect.set_options(timeout=PATIENCE)
    await first_minutes_pictures.story(page, None)
