"""An incident from its opening to its postmortem, as people see it, over HTTP and over Socket Mode alike."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.demo import Demo, demo
from bot.playground.state import Channel, Message
from bot.playground.workspace import Workspace
from storage import audit, executions, incidents
from storage.records import State

PATIENCE = 30.0
OPEN = '/incident open "checkout is slow" sev2 service=nginx'


@pytest.fixture(params=["HTTP", "Socket Mode"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[Demo]:
    """Everything up, reached in each way; no rate limits."""
    async with demo(rate_limits=False, over_sockets=request.param == "Socket Mode") as running:
        yield running


def rooms(here: Workspace) -> list[Channel]:
    """The channels that were made for incidents."""
    return [channel for channel in here.state.channels.values() if channel.name.startswith("inc-")]


async def opened(here: Workspace, by: str = "bob") -> str:
    """Open one; the name of its channel once its headline is pinned."""
    assert (await here.command(by, "incidents", OPEN)).ok

    def stands(here: Workspace) -> str | None:
        found = [room for room in rooms(here) if any(one.pinned for one in here.state.all_messages(room.id))]
        return found[0].name if found else None

    return await here.wait_for(stands, timeout=PATIENCE)


def headline(here: Workspace, name: str) -> Message:
    """What is pinned."""
    [pinned] = [one for one in here.state.all_messages(here.state.channel(name).id) if one.pinned]
    return pinned


async def sees(here: Workspace, name: str, *words: str) -> None:
    """Until everybody in the channel reads all of this."""
    await here.wait_for(lambda here: all(word in here.transcript(name) for word in words), timeout=PATIENCE)


async def told(here: Workspace, person: str, name: str, words: str) -> Message:
    """Until this person alone is told so."""

    def heard(here: Workspace) -> Message | None:
        return next((one for one in here.ephemeral(person, name) if words in here.read(one)), None)

    return await here.wait_for(heard, timeout=PATIENCE)


async def test_from_its_opening_to_its_postmortem(either: Demo) -> None:
    here = either.workspace
    name = await opened(here)
    assert name.endswith("-checkout-slow")
    assert here.state.channel(name).topic == "sev2 · investigating · nginx · checkout is slow"
    await sees(here, "incidents", "*sev2*: checkout is slow", "opened by @bob")

    await here.click("bob", headline(here, name), "Take command")
    await sees(here, name, "Roles: commander @bob", "commander: @bob")
    await here.command("bob", name, "/incident role comms @carol")
    await sees(here, name, "communications @carol")
    await here.wait_for(lambda here: "UCAROL" in here.state.channel(name).members, timeout=PATIENCE)
    await here.command("bob", name, '/incident note it\'s the "cache" <!channel> & @alice')
    await sees(here, name, ":memo: @bob: it's the")

    await here.click("bob", headline(here, name), "health-check")
    await sees(here, name, "2 of 2 hosts succeeded")
    await here.click("bob", headline(here, name), "Plan start-service")
    offer = await told(here, "bob", name, "is being shown in")
    assert here.buttons(offer) == ["Run it"]
    await sees(here, name, "dry run of start-service")
    async with asyncio.timeout(PATIENCE):
        while not (await either.app.database.read(executions.newest, 1))[0].state.is_final:
            await asyncio.sleep(0.02)

    await here.click("carol", headline(here, name), "Monitoring")
    await sees(here, name, "investigating → monitoring")
    await here.click("carol", headline(here, name), "Resolve")
    await here.wait_for(lambda here: here.views("carol"), timeout=PATIENCE)
    await here.submit_view("carol", {"Summary": "the cache was full"})
    await sees(here, name, "*Resolved* by @carol: the cache was full", "resolved after")
    await here.wait_for(lambda here: here.buttons(headline(here, name)) == ["Timeline", "Postmortem"], timeout=PATIENCE)

    await here.click("bob", headline(here, name), "Timeline")
    shown = here.read(await told(here, "bob", name, "*Timeline of incident 1*"))
    lines = ("opened", "channel #inc-", "commander", "note", "asked for", "succeeded", "monitoring", "resolved")
    places = [shown.index(line) for line in lines]
    assert places == sorted(places), shown
    await here.click("carol", headline(here, name), "Postmortem")
    await here.wait_for(lambda here: [one for one in here.state.files.values() if one.channels], timeout=PATIENCE)
    [file] = here.state.files.values()
    draft = (file.content or b"").decode()
    assert file.name.startswith("postmortem-1-")
    assert file.name.endswith(".md")
    for part in ("# checkout is slow", "| resolved | after", "the cache was full", "start-service on web-01, web-02"):
        assert part in draft, draft
    assert "<!channel>" not in draft

    database = either.app.database
    [incident] = await database.read(incidents.newest)
    ran = await database.read(incidents.executions_of, incident)
    assert [one.state for one in ran] == [State.SUCCEEDED] * 2
    assert (await database.read(audit.verify)).ok
    kinds = {entry.kind for entry in await database.read(audit.search, incident=incident.channel, limit=200)}
    assert {"incident.channel", "incident.role", "incident.note", "incident.resolved", "incident.postmortem"} <= kinds
    assert not any(room.members & {"UDAVE"} for room in rooms(here))


async def test_a_button_runs_nothing_that_its_presser_may_not_run(running: Demo) -> None:
    here = running.workspace
    name = await opened(here)
    here.state.join(here.state.channel(name), "UDAVE")
    for label in ("Plan restart-service", "Take command", "Resolve", "Timeline", "Monitoring"):
        before = len(here.ephemeral("dave", name))
        await here.click("dave", headline(here, name), label)
        await here.wait_for(lambda here, n=before: len(here.ephemeral("dave", name)) > n, timeout=PATIENCE)
        assert "You may not" in here.read(here.ephemeral("dave", name)[-1])
    assert await running.app.database.read(executions.newest, 5) == []
    assert here.views("dave") == []


async def test_a_dangerous_one_waits_for_somebody_else_also_from_a_button(running: Demo) -> None:
    here = running.workspace
    name = await opened(here)
    await here.click("bob", headline(here, name), "Plan stop-service")
    offer = await told(here, "bob", name, "is being shown in")
    await here.click("bob", offer, "Run it")
    await sees(here, name, "somebody else must approve it")
    newest = (await running.app.database.read(executions.newest, 1))[0]
    assert newest.state is State.AWAITING_APPROVAL


async def test_the_same_said_twice_opens_one(running: Demo) -> None:
    here = running.workspace
    name = await opened(here)
    await here.command("carol", "ops", OPEN)
    await told(here, "carol", "ops", "open already")
    assert [room.name for room in rooms(here)] == [name]


async def test_a_channel_of_ones_own_can_be_bound_and_what_it_is_about_is_shown(running: Demo) -> None:
    here = running.workspace
    await here.command("bob", "incidents", "/incident")
    await told(here, "bob", "incidents", "This channel is about no incident")
    await here.command("bob", "incidents", "/incident bind 'mail is late' sev4")
    await sees(here, "incidents", "*sev4 · mail is late*")
    await here.command("carol", "incidents", "/incident")
    await told(here, "carol", "incidents", "*sev4 · mail is late*")
    await here.command("bob", "incidents", "/incident status identified")
    await sees(here, "incidents", "investigating → identified")
    assert rooms(here) == []
    await here.command("bob", "incidents", "/incident sev1")
    await told(here, "bob", "incidents", "Should the severity become sev1?")
    await here.command("bob", "incidents", "/incident list")
    await told(here, "bob", "incidents", "*1 open incident*")


HOSTILE = (
    "<!channel> <@UALICE> <!here>",
    "שלום < > &amp; \u05d0",
    "😀" * 140,
    "`*_~" * 70,
    "&lt;!everyone&gt;",
    "x" * 300,
)


async def test_a_hostile_title_pings_nobody_and_is_taken(running: Demo) -> None:
    here = running.workspace
    for number, title in enumerate(HOSTILE, 1):
        await here.command("bob", "incidents", f"/incident open '{title}' sev3")

        def stands(here: Workspace, number: int = number) -> bool:
            pinned = [one for room in rooms(here) for one in here.state.all_messages(room.id) if one.pinned]
            return len(pinned) == number

        await here.wait_for(stands, timeout=PATIENCE)
    for room in (*rooms(here), here.state.channel("incidents"), here.state.channel("ops")):
        for message in here.state.all_messages(room.id):
            said = str([message.text, message.blocks])
            assert not [ping for ping in ("<!channel>", "<!here>", "<!everyone>", "<@UALICE>") if ping in said]
        assert len(room.topic) <= 250
