"""Pictures of the forms: `python -m tests.system.forms_pictures` makes those of docs/images anew."""

import asyncio
import sys
from collections.abc import Collection
from pathlib import Path

from playwright.async_api import Locator, Page, async_playwright, expect

from bot.demo import demo
from tests.needs import CHROMIUM

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTHS = {"": (900, 760), "-phone": (390, 780)}


async def say(page: Page, text: str) -> None:
    """Type into the channel."""
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


async def take(
    page: Page, name: str, into: Path | None, *, shown: Collection[str] = tuple(WIDTHS), at: Locator | None = None
) -> None:
    """The page as it is now, wide and on a phone; nothing on it needs scrolling sideways.

    `shown`: what is kept. `at`: what is to be in sight.
    """
    for suffix, (width, height) in WIDTHS.items():
        await page.set_viewport_size({"width": width, "height": height})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, name
        if at is not None:
            await at.scroll_into_view_if_needed()
        if into is not None and suffix in shown:
            await page.wait_for_timeout(400)
            await page.screenshot(path=into / f"{name}{suffix}.png")
    await page.set_viewport_size({"width": 900, "height": 760})


async def story(page: Page, into: Path | None) -> None:
    """Bob restarts nginx, then cleans up with a form: picker, form with a complaint, plan."""
    await page.get_by_label("Who you are").select_option(label="Bob Brandt")
    await say(page, "/runbook restart nginx settle=0 on web-01")
    await expect(page.locator("#messages")).to_contain_text("Succeeded")
    await say(page, "/runbook")
    picker = page.get_by_role("dialog", name="Run a runbook")
    await picker.get_by_role("combobox").click()
    await expect(picker.get_by_role("option", name="disk-cleanup")).to_be_visible()
    await take(page, "form-picker", into)
    await picker.get_by_role("combobox").fill("disk")
    await picker.get_by_role("option", name="disk-cleanup").click()
    form = page.get_by_role("dialog", name="disk-cleanup")
    await form.get_by_role("combobox", name="On which hosts").click()
    await form.get_by_role("option", name="web-01").first.click()
    await form.get_by_label("Larger", exact=True).fill("lots")
    await form.get_by_role("button", name="See the plan").click()
    await expect(form.get_by_role("alert")).to_contain_text("is not a size")
    await take(page, "form-error", into, shown=("-phone",))
    await form.get_by_label("Larger", exact=True).fill("1M")
    await form.get_by_label("Older", exact=True).fill("0")
    await form.get_by_role("button", name="See the plan").click()
    plan = page.get_by_role("dialog", name="The plan")
    await expect(plan.get_by_role("button", name="Run", exact=True)).to_be_visible()
    await take(page, "form-plan", into)


async def schedule_story(page: Page, into: Path | None) -> None:
    """Carol has a disk cleaned up each night: the form, its last page, and the list with its buttons."""
    await page.get_by_label("Who you are").select_option(label="Carol Chen")
    await say(page, '/runbook schedule "30 2 * * mon-fri" disk-cleanup /var/log older=0 as "nightly cleanup"')
    form = page.get_by_role("dialog", name="disk-cleanup")
    await form.get_by_role("combobox", name="On which hosts").click()
    await form.get_by_role("option", name="web-01").first.click()
    await take(page, "schedule-form", into, shown=[""], at=form.get_by_label("How often"))
    await form.get_by_role("button", name="See when it fires").click()
    last = page.get_by_role("dialog", name="The schedule")
    await expect(last.get_by_role("button", name="Create")).to_be_visible()
    await take(page, "schedule-page", into, shown=["-phone"])
    await last.get_by_role("button", name="Create").click()
    await expect(page.locator("#messages")).to_contain_text("was made")
    await say(page, "/runbook schedule list")
    delete = page.locator("#messages").get_by_role("button", name="Delete")
    await expect(delete).to_be_visible()
    await take(page, "schedule-list", into, shown=["-phone"], at=delete)


async def main(into: Path) -> None:
    """All of them, into a folder that is there."""
    async with demo(rate_limits=False) as running, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 900, "height": 760}, locale="en-GB", timezone_id="UTC")
        page.set_default_timeout(30_000)
        expect.set_options(timeout=30_000)
        await page.goto(running.url)
        await story(page, into)
        await page.keyboard.press("Escape")
        await page.keyboard.press("Escape")
        await schedule_story(page, into)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES))
