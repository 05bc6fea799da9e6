"""What stands in the channel, its thread and App Home while something runs, over HTTP and over Socket Mode alike."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.demo import Demo, demo
from bot.playground.machine.services import Breakage
from bot.playground.state import Message
from bot.playground.workspace import Workspace

PATIENCE = 30.0


@pytest.fixture(params=["HTTP", "Socket Mode"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[Demo]:
    """Everything up, reached in each way; no rate limits."""
    async with demo(rate_limits=False, over_sockets=request.param == "Socket Mode") as running:
        yield running


def card(here: Workspace, number: int) -> Message | None:
    """The headline of this execution, as it stands."""
    found = here.state.history(here.state.channel("incidents").id)
    return next((message for message in found if message.text.startswith(f"#{number} ")), None)


async def until(here: Workspace, number: int, *words: str) -> Message:
    """Its headline, once it says all of this."""

    def there(here: Workspace) -> Message | None:
        message = card(here, number)
        return message if message is not None and all(word in here.read(message) for word in words) else None

    return await here.wait_for(there, timeout=PATIENCE)


def direct(here: Workspace, person: str) -> list[Message]:
    """What the bot has written to that person."""
    return list(here.state.all_messages(here.state.direct(person).id))


async def answered(here: Workspace, person: str, words: str) -> None:
    """Once this was said to that person alone."""
    await here.wait_for(
        lambda here: any(words in m.text for m in here.ephemeral(person, "incidents")), timeout=PATIENCE
    )


async def test_a_card_goes_from_consent_to_its_whole_log_and_answers_wrong_clicks_privately(either: Demo) -> None:
    here = either.workspace
    assert (await here.command("bob", "incidents", "/runbook kill report-worker on web-02 grace=1")).ok
    waiting = await until(here, 1, "Waiting for approval", "[Approve] [Deny] [Cancel] [Show plan]")

    await here.open_home("carol")
    home = await here.wait_for(lambda here: here.home("carol"), timeout=PATIENCE)
    assert "Waiting for you (1)" in here.read(home)
    assert "[Approve] [Deny] [Show plan]" in here.read(home)
    await here.open_home("dave")
    daves = await here.wait_for(lambda here: here.home("dave"), timeout=PATIENCE)
    assert "kill-process" not in here.read(daves)

    await here.click("bob", waiting, "Approve")
    await answered(here, "bob", "somebody else must approve it")
    await here.click("dave", waiting, "Approve")
    await answered(here, "dave", "may not")
    # Two at the same moment: one counts, and is told by the card alone; the other is answered to whoever was late.
    await asyncio.gather(here.click("carol", home, "Approve"), here.click("alice", waiting, "Approve"))
    await until(here, 1, "Succeeded", "approved by @", "[Full log]")
    late = await here.wait_for(lambda here: [*direct(here, "UCAROL"), *here.ephemeral("alice", "incidents")])
    assert [message.text for message in late if "waits for nobody's approval (" in message.text]
    assert len(late) == 1

    await here.click("alice", await until(here, 1, "Succeeded"), "Full log")
    await answered(here, "alice", "The full log of #1")

    def log(here: Workspace) -> str | None:
        replies = here.messages("incidents", thread_ts=waiting.ts)
        found = [here.state.files[file] for message in replies for file in message.files]
        return (found[0].content or b"").decode() if found else None

    text = await here.wait_for(log, timeout=PATIENCE)
    assert text.startswith("#1 kill-process on web-02: succeeded\nasked by bob")
    assert "== web-02, step 1" in text


async def test_a_failed_host_of_two_is_seen_at_once_and_the_second_of_two_clicks_is_answered(running: Demo) -> None:
    here = running.workspace
    nginx = running.hosts.host("web-02").system.services["nginx"]
    nginx.broken = Breakage.CRASHES
    asked = "/runbook restart nginx settle=1 on web-01,web-02 --max-failures 2"
    assert (await here.command("bob", "incidents", asked)).ok
    failed = await until(here, 1, "Failed", "1 of 2 hosts succeeded", "[Retry failed hosts]")
    said = here.read(failed)
    assert said.index("web-02 failed") < said.index("web-01 succeeded")
    assert "Changed on web-01: main_pid" in said
    assert ":large_green_square:" in str(failed.blocks)
    assert ":large_red_square:" in str(failed.blocks)
    nginx.broken = None
    await asyncio.gather(*(here.click("bob", failed, "Retry failed hosts") for _ in range(2)))
    await answered(here, "bob", "You asked for exactly this already")
    await until(here, 2, "Succeeded")


async def test_what_takes_a_restart_back_says_so_and_breaks_nothing(
    either: Demo, caplog: pytest.LogCaptureFixture
) -> None:
    here = either.workspace
    await here.command("alice", "incidents", "/runbook restart nginx settle=0 on web-01")
    await here.click("alice", await until(here, 1, "Succeeded", "[Roll back]"), "Roll back")
    back = await until(here, 2, "Succeeded", "what #1 changed is taken back")
    assert "#2 roll back of #1: restart-service nginx" in back.text
    assert "outcome_broke" not in caplog.text


async def test_the_list_of_runbooks_is_told_by_category(either: Demo) -> None:
    here = either.workspace
    await here.command("bob", "incidents", "/runbook list")
    found = await here.wait_for(lambda here: here.ephemeral("bob", "incidents"), timeout=PATIENCE)
    lines = here.read(found[-1]).splitlines()
    assert lines.index("*Diagnostics*") < lines.index("*Maintenance*") < lines.index("*Recovery*")
    assert any(line.startswith("• `restart-service`: Restart a systemd service") for line in lines)
