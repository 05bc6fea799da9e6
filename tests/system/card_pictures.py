"""Pictures of cards, App Home and incidents: `python -m tests.system.card_pictures` makes those of docs/images anew."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from bot.demo import Demo, demo
from bot.playground.machine.services import Breakage
from bot.playground.state import Message
from bot.playground.workspace import Workspace
from tests.needs import CHROMIUM
from tests.system.forms_pictures import ARGUMENTS, IMAGES

WIDE, PHONE = "", "-phone"
SIZES = {WIDE: (1100, 760), PHONE: (390, 844)}
ON_A_PHONE = {PHONE: SIZES[PHONE]}
CHANNEL, HOME = "C0INC", "app-home"


async def say(here: Workspace, person: str, text: str) -> None:
    """Type it, as that person."""
    assert (await here.command(person, "incidents", text)).ok


async def card(here: Workspace, number: int, *words: str) -> Message:
    """The headline of this execution once it says all of this."""

    def there(here: Workspace) -> Message | None:
        found = here.state.history(CHANNEL)
        one = next((message for message in found if message.text.startswith(f"#{number} ")), None)
        return one if one is not None and all(word in here.read(one) for word in words) else None

    return await here.wait_for(there, timeout=60)


async def take(
    browser: Browser,
    running: Demo,
    name: str,
    into: Path,
    *,
    person: str,
    place: str = CHANNEL,
    thread: bool = False,
    sizes: Mapping[str, tuple[int, int]] = SIZES,
    from_top: bool = False,
) -> None:
    """What that person sees there, or in the newest thread: wide, on a phone, or as the sizes say."""
    for suffix, (width, height) in sizes.items():
        page = await browser.new_page(
            viewport={"width": width, "height": height},
            locale="en-GB",
            timezone_id="Europe/Berlin",
        )
        await page.goto(f"{running.url}/?person={person}&channel={place}")
        if thread:
            await page.get_by_role("button", name="replies").last.click()
        await page.wait_for_timeout(1_000)
        if thread:
            await page.locator("#thread-messages .file").first.evaluate("file => file.scrollIntoView()")
            await page.mouse.move(5, 5)
        if from_top:
            await page.locator("#messages").evaluate("shown => shown.scrollTo(0, 0)")
            await page.wait_for_timeout(300)
        await page.screenshot(path=into / f"{name}{suffix}.png")
        await page.close()


async def runs(browser: Browser, running: Demo, into: Path) -> None:
    """One that takes long, after one that did not."""
    here = running.workspace
    await say(here, "bob", "/runbook restart nginx settle=2 on web-01")
    await card(here, 1, "Succeeded")
    await say(here, "alice", "/runbook restart nginx settle=60 on web-02 --reason 'pool exhausted'")
    await card(here, 2, "step 3 of", "turtle")
    await take(browser, running, "card-running", into, person="UALICE")


async def waits_and_ends(browser: Browser, running: Demo, into: Path) -> None:
    """One that waits for somebody else, and what became of it."""
    here = running.workspace
    await say(here, "bob", "/runbook kill report-worker on web-02 grace=1 --reason 'it eats the memory'")
    waiting = await card(here, 1, "[Approve]")
    await take(browser, running, "card-waiting", into, person="UCAROL", sizes=ON_A_PHONE)
    await here.click("carol", waiting, "Approve")
    await card(here, 1, "Succeeded", "[Full log]")
    await say(here, "bob", "/runbook restart nginx settle=1 on web-01")
    await card(here, 2, "Succeeded", "Changed")
    await take(browser, running, "card-ended", into, person="UBOB", sizes=ON_A_PHONE)


async def prints_much(browser: Browser, running: Demo, into: Path) -> None:
    """More than the thread shows."""
    here = running.workspace
    await say(here, "alice", '/runbook run-command "cat /var/log/app/report.log" on web-01')
    done = await card(here, 1, "Succeeded", "[Full log]")
    await here.wait_for(
        lambda here: (
            len(replies := here.messages("incidents", thread_ts=done.ts)) == 4 and any(m.files for m in replies)
        ),
        timeout=60,
    )
    await take(browser, running, "full-log", into, person="UALICE", thread=True, sizes={WIDE: SIZES[WIDE]})


async def fails_on_one(browser: Browser, running: Demo, into: Path) -> None:
    """One of two hosts fails; then App Home with a switch, trouble and something to approve."""
    here = running.workspace
    running.hosts.host("web-02").system.services["nginx"].broken = Breakage.CRASHES
    await say(here, "alice", "/runbook restart nginx settle=1 on web-01,web-02 --max-failures 2")
    await card(here, 1, "Failed", "[Retry failed hosts]")
    await take(browser, running, "card-failed", into, person="UBOB", sizes=ON_A_PHONE)
    await say(here, "bob", "/runbook kill report-worker on web-02 grace=1 --reason 'it eats the memory'")
    await card(here, 2, "[Approve]")
    await say(here, "bob", "/killswitch service postgresql on migration at work")
    await asyncio.sleep(1)
    await here.open_home("alice")
    await here.wait_for(lambda here: here.home("alice"), timeout=60)
    await take(browser, running, "home", into, person="UALICE", place=HOME)


async def incident(browser: Browser, running: Demo, into: Path) -> None:
    """An incident's channel in the middle of it, with the timeline that one person asked for."""
    here = running.workspace
    await say(here, "bob", '/incident open "checkout is slow" sev2 service=nginx')

    def stands(here: Workspace) -> Message | None:
        found = [one for one in here.state.channels.values() if one.name.startswith("inc-")]
        pinned = [one for room in found for one in here.state.all_messages(room.id) if one.pinned]
        return pinned[0] if pinned else None

    headline = await here.wait_for(stands, timeout=60)
    room = here.state.channels[headline.channel].name
    await here.click("bob", headline, "Take command")
    for text in ("/incident note p99 went up with the deploy at 02:40", "/runbook restart nginx settle=1 on web-01"):
        await here.command("bob", room, text)
    await here.wait_for(lambda here: "Changed" in here.transcript(room), timeout=60)
    await here.command("bob", room, "/incident status monitoring")
    await here.wait_for(lambda here: "*Monitoring*" in here.transcript(room), timeout=60)
    await here.command("bob", room, "/incident timeline")
    await here.wait_for(lambda here: here.ephemeral("bob", room), timeout=60)
    whole = {WIDE: (1280, 1240)}
    await take(browser, running, "incident", into, person="UBOB", place=headline.channel, sizes=whole)
    await take(
        browser, running, "incident", into, person="UBOB", place=headline.channel, sizes=ON_A_PHONE, from_top=True
    )


Scene = Callable[[Browser, Demo, Path], Awaitable[None]]
SCENES: tuple[Scene, ...] = (runs, waits_and_ends, prints_much, fails_on_one, incident)


async def main(into: Path) -> None:
    """All of them, into a folder that is there."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for scene in SCENES:
            async with demo(rate_limits=False) as running:
                await scene(browser, running, into)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES))
