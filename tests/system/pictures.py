"""`python -m tests.system.pictures FOLDER`: makes the pictures of `docs/images/` anew, from the demo in a browser."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright, expect

from bot.demo import Demo, demo
from bot.playground.machine.services import Breakage
from bot.playground.state import Message
from bot.playground.workspace import Workspace
from tests.needs import CHROMIUM
from tests.system.test_demo_page import ARGUMENTS, PATIENCE, be

DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


@asynccontextmanager
async def page_of(browser: Browser, running: Demo, size: dict[str, int]) -> AsyncIterator[Page]:
    """The workspace in a window of this size, as somebody in Berlin sees it."""
    context = await browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        device_scale_factor=2,
        locale="en-GB",
        timezone_id="Europe/Berlin",
    )
    page = await context.new_page()
    page.set_default_timeout(PATIENCE)
    await page.goto(running.url)
    yield page
    await context.close()


async def say(here: Workspace, person: str, text: str) -> None:
    """Type it, as that person."""
    assert (await here.command(person, "incidents", text)).ok


async def card(here: Workspace, number: int, *words: str) -> Message:
    """The headline of this execution once it says all of this."""

    def there(here: Workspace) -> Message | None:
        found = here.state.history(here.state.channel("incidents").id)
        one = next((message for message in found if message.text.startswith(f"#{number} ")), None)
        return one if one is not None and all(word in here.read(one) for word in words) else None

    return await here.wait_for(there, timeout=60)


async def running_card(here: Workspace) -> None:
    """One that has run before, and takes long this time."""
    await say(here, "bob", "/runbook restart nginx settle=2 on web-01")
    await card(here, 1, "Succeeded")
    await say(here, "alice", "/runbook restart nginx settle=60 on web-02 --reason 'pool exhausted'")
    await card(here, 2, "step 3 of")


async def ended_card(here: Workspace) -> None:
    """One that somebody approved, with what changed."""
    await say(here, "bob", "/runbook kill report-worker on web-02 grace=1 --reason 'it eats the memory'")
    waiting = await card(here, 1, "[Approve]")
    await here.click("carol", waiting, "Approve")
    await card(here, 1, "Succeeded", "[Full log]")
    await say(here, "bob", "/runbook restart nginx settle=1 on web-01")
    await card(here, 2, "Succeeded", "Changed")


async def waiting_card(here: Workspace) -> None:
    """One that waits for somebody else."""
    await say(here, "bob", "/runbook kill report-worker on web-02 grace=1 --reason 'it eats the memory'")
    await card(here, 1, "[Approve]")


Scene = Callable[[Workspace], Awaitable[None]]
SCENES: dict[str, Scene] = {"running": running_card, "waiting": waiting_card, "ended": ended_card}


async def picture(browser: Browser, running: Demo, path: Path, size: dict[str, int], *, person: str = "") -> None:
    """What the channel shows, or the App Home of a person."""
    async with page_of(browser, running, size) as page:
        if person:
            await be(page, person)
            if size is PHONE:
                await page.get_by_label("Channels").select_option(label="App Home")
            else:
                await page.get_by_role("button", name="App Home").click()
            await expect(page.locator("#home")).to_contain_text("As of")
        await page.wait_for_timeout(700)
        await page.screenshot(path=path)


async def several_hosts(browser: Browser, folder: Path) -> None:
    """One failed of many, and App Home with a switch, trouble and something to approve."""
    async with demo(rate_limits=False) as running:
        here = running.workspace
        running.hosts.host("web-02").system.services["nginx"].broken = Breakage.CRASHES
        await say(here, "bob", "/runbook restart nginx settle=1 on web-01,web-02 --max-failures 2")
        await card(here, 1, "Failed", "[Retry failed hosts]")
        for name, size in (("", DESKTOP), ("-phone", PHONE)):
            await picture(browser, running, folder / f"card-failed{name}.png", size)
        await say(here, "bob", "/runbook kill report-worker on web-02 grace=1 --reason 'it eats the memory'")
        await card(here, 2, "[Approve]")
        await say(here, "bob", "/killswitch service postgresql on migration at work")
        for name, size in (("", DESKTOP), ("-phone", PHONE)):
            await picture(browser, running, folder / f"home{name}.png", size, person="Alice Adams")


async def make(folder: Path) -> None:
    """All of them."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for name, scene in SCENES.items():
            async with demo(rate_limits=False) as running:
                await scene(running.workspace)
                for suffix, size in (("", DESKTOP), ("-phone", PHONE)):
                    await picture(browser, running, folder / f"card-{name}{suffix}.png", size)
        await several_hosts(browser, folder)
        await browser.close()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(make(target))
