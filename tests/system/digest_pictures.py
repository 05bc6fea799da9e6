"""Pictures of the digest: `python -m tests.system.digest_pictures` makes those of docs/images anew."""

import asyncio
import random
import sys
from datetime import timedelta
from pathlib import Path

from playwright.async_api import async_playwright, expect
from sqlalchemy import Connection

from bot.demo import Demo, demo
from bot.digest import ByHand, DigestPoster
from bot.settings import DigestPart
from storage import chores
from storage.records import HostState, State
from tests.bot.test_digest import ran
from tests.needs import CHROMIUM
from tests.system.forms_pictures import ARGUMENTS, IMAGES, say

MANY = {"restart-service": 44, "disk-cleanup": 21, "health-check": 17, "log-rotation": 8, "kill-process": 6}

CAME_OUT = {
    State.SUCCEEDED: HostState.SUCCEEDED,
    State.FAILED: HostState.FAILED,
    State.REFUSED: HostState.WAITING,
    State.CANCELLED: HostState.CANCELLED,
}


def a_fortnight(connection: Connection, running: Demo) -> None:
    """What a team of four does in two weeks."""
    chance, now = random.Random(7), running.app.clock.now()  # noqa: S311 - the same each time, not secret
    asked = [
        (timedelta(days=chance.random() * 7 + 7 * (number % 2)), name)
        for name, often in MANY.items()
        for number in range(2 * often)
    ]
    for ago, name in sorted(asked, reverse=True):
        weights = (88, 4 if ago < timedelta(days=7) else 12, 12 if name == "kill-process" else 2, 2)
        [state] = chance.choices(tuple(CAME_OUT), weights)
        took = timedelta(seconds=chance.lognormvariate(2.5, 1.1))
        host = f"web-0{chance.choice('112')}"
        ran(connection, now - ago, state, runbook=name, hosts={host: CAME_OUT[state]}, took=took)


async def posted(running: Demo) -> None:
    """The weekly digest, as if it were due now."""
    now = running.app.clock.now()
    app = running.app
    poster = DigestPoster(
        database=app.database,
        clock=app.clock,
        channel="C0INC",
        digest=DigestPart(cron="0 0 1 1 *", weekly=f"{now:%M %H} * * *"),
        by_hand=ByHand(),
    )
    await app.database.write(chores.claim, "weekly digest", due=now, now=now - timedelta(days=7))
    await app.database.write(chores.claim, "daily digest", due=now, now=now)
    assert await poster.post_what_is_due() == ["weekly digest"]
    app.outbox.wake()


async def main(into: Path) -> None:
    """Into a folder that is there: the digest with its chart, and the history that a number opens."""
    async with demo(rate_limits=False) as running, async_playwright() as playwright:
        await running.app.database.write(a_fortnight, running)
        await posted(running)
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 900, "height": 1420}, locale="en-GB", timezone_id="UTC")
        page.set_default_timeout(30_000)
        expect.set_options(timeout=30_000)
        await page.goto(running.url)
        await page.get_by_label("Who you are").select_option(label="Carol Chen")
        messages = page.locator("#messages")
        await expect(messages).to_contain_text("Digest: the week")
        await expect(messages.get_by_role("img").last).to_be_visible()
        await page.wait_for_timeout(1_000)
        await page.screenshot(path=into / "digest.png")
        await page.set_viewport_size({"width": 900, "height": 760})
        await say(page, "/runbook history 7d on web-01")
        await expect(messages).to_contain_text("host=web-01 since=7d")
        await messages.evaluate("shown => shown.scrollTo(0, shown.scrollHeight)")
        await page.wait_for_timeout(500)
        await page.screenshot(path=into / "history.png")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES))
