"""Pictures of the first ten minutes: `python -m tests.system.first_minutes_pictures` makes them anew."""

import asyncio
import sys
from pathlib import Path

from playwright.async_api import Locator, Page, async_playwright, expect

from bot.demo import FIRST_LINE, demo
from tests.needs import CHROMIUM
from tests.system.forms_pictures import ARGUMENTS, IMAGES, say

WIDE, PHONE = (900, 640), (390, 700)


async def be(page: Page, name: str) -> None:
    """Become somebody else."""
    await page.get_by_label("Who you are").select_option(label=name)


async def take(page: Page, name: str, into: Path | None, *sizes: tuple[int, int]) -> None:
    """The page as it is now; nothing on it needs scrolling sideways."""
    await page.mouse.move(5, 5)
    for width, height in sizes:
        await page.set_viewport_size({"width": width, "height": height})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, name
        if into is not None:
            await page.wait_for_timeout(500)
            await page.screenshot(path=into / f"{name}{'-phone' if (width, height) == PHONE else ''}.png")
    await page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})


async def story(page: Page, into: Path | None) -> None:
    """As docs/first-ten-minutes.md tells it, from the empty page to the terminal."""
    messages, thread = page.locator("#messages"), page.locator("#thread-messages")
    dialog = page.get_by_role("dialog")
    await expect(messages).to_contain_text("To begin, take one of these")
    await take(page, "first-page", into, WIDE, PHONE)

    await messages.get_by_role("button", name=FIRST_LINE).click()
    await page.keyboard.press("Enter")
    await expect(messages).to_contain_text("Succeeded after")
    await messages.get_by_role("button", name="replies").click()
    await expect(thread).to_contain_text("succeeded in")
    await thread.evaluate("list => list.scrollTo(0, 0)")
    await take(page, "first-thread", into, WIDE)
    await page.get_by_role("button", name="Close thread").click()

    await say(page, "/runbook restrat nginx on web-02")
    await expect(messages).to_contain_text("There is no runbook 'restrat'")
    await say(page, "/runbook restart nginx on web-2")
    await expect(messages).to_contain_text("No host matches 'web-2'")
    await say(page, FIRST_LINE)
    await expect(messages).to_contain_text("by the cooldown gate")
    await take(page, "first-mistakes", into, PHONE)

    await be(page, "Bob Brandt")
    await say(page, "/runbook kill report-worker on web-02 --reason 'it eats the memory'")
    waiting = _card(messages, "kill-process")
    await waiting.get_by_role("button", name="Approve").click()
    await expect(messages).to_contain_text("You asked for #3 yourself: somebody else must approve it. Those who may")
    await be(page, "Carol Chen")
    await expect(waiting).to_contain_text("Waiting for approval")
    await waiting.evaluate("card => card.scrollIntoView({ block: 'end' })")
    await take(page, "first-approval", into, PHONE)
    await waiting.get_by_role("button", name="Approve").click()
    await expect(waiting).to_contain_text("approved by @carol")

    await be(page, "Bob Brandt")
    await say(page, "/runbook restart app settle=60 on web-02")
    running = _card(messages, "restart-service app")
    await expect(running).to_contain_text("Running, step 2")
    await running.get_by_role("button", name="Cancel").click()
    await dialog.get_by_role("button", name="Yes, cancel it").click()
    await expect(running).to_contain_text("by @bob (during: It is active, and stays so")

    await say(page, "/killswitch global on looking into it")
    await expect(messages).to_contain_text("Kill switch engaged: global")
    await say(page, "/runbook restart cron on web-02")
    await expect(messages).to_contain_text("by the kill switch gate")
    await take(page, "first-switch", into, PHONE)
    await be(page, "Alice Adams")
    await say(page, "/killswitch global off all is well")
    await expect(messages).to_contain_text("Kill switch released: global")

    for line, said in (
        ("/runbook history", "History"),
        ("/runbook why 2", "cooldown: refuse"),
        ("/runbook digest", "Digest: the last 7 d"),
        ("/audit", "text: digest; what: command"),
        ('/incident open "checkout is slow" sev2 service=nginx', "Incident 1 (checkout is slow) is open"),
    ):
        await say(page, line)
        await expect(messages).to_contain_text(said)
    await expect(page.get_by_role("button", name="-checkout-slow")).to_be_visible()
    await be(page, "Dave Diaz")
    await say(page, "/runbook restart cron on web-01")
    await expect(messages).to_contain_text("You may not run runbooks: you have no role")


def _card(messages: Locator, words: str) -> Locator:
    """The headline of what was asked for with these words."""
    return messages.locator(".message:not(.only-you)").filter(has_text=words).last


async def main(into: Path) -> None:
    """All of them, into a folder that is there."""
    async with demo(rate_limits=False) as running, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page(
            viewport={"width": WIDE[0], "height": WIDE[1]}, locale="en-GB", timezone_id="Europe/Berlin"
        )
        page.set_default_timeout(30_000)
        expect.set_options(timeout=30_000)
        await page.goto(running.url)
        await story(page, into)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES))
