"""Everything that can be typed, pressed, chosen, filled in or opened, done once against the real process, by each door.

The register is read off the code: the grammar's vocabulary, the topics of the help, the handlers of buttons, menus and
forms, what a form can ask for, the menus that are searched, shortcuts, events, and whatever App Home shows. At the end
the bot must have handled all of it: a new command or button without a step here fails by its name.
"""

import asyncio
import os
import re
import shutil
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bot import help_on
from bot.actions import PREFIX, Actions
from bot.demo import SHORTCUTS
from bot.forms import SUGGESTED, Draft, form
from bot.manifest import EVENTS
from bot.modals import Shown
from bot.playground.state import Message, NotPossible
from bot.playground.workspace import Workspace
from bot.request import vocabulary
from bot.timing import Timing
from runbooks.parameters import Asks
from runbooks.parameters import questions as questions_of
from storage import audit, outbox
from storage.database import Database
from storage.records import OutboxKind
from tests.builders import a_house, catalog_with, commands_of, forms_of
from tests.fakes import FakeViews
from tests.postgres import Postgres
from tests.system.openssh import OpenSsh, Wire, wire
from tests.system.serving import Bot, configuration, sleepers, until
from tests.system.tour import Tour, to_press_at_home, unheard, used
from tests.system.tour_runbooks import AskForAll

CHANNELS = ("runs", "consent", "forms", "cuts", "words", "switches", "schedules", "late")
"""One for each part of the story: parts go on side by side, each with people of its own to whom forms are shown."""


# Not the same in two processes: everything that runs on this machine is looked through for them.
CANCELLED, TWICE, STOPPED, *CUT = (40_000 + os.getpid() % 900 * 6 + number for number in range(6))
"""Seconds that commands of this file sleep, by which they are found on the host."""


@dataclass(kw_only=True)
class Doors(Tour):
    """A tour with a wire that can be cut between the bot and some of its hosts."""

    wire: Wire


@pytest.fixture
async def heard(sqlite: Database) -> dict[str, frozenset[str]]:
    """What the handlers understand."""
    async with a_house(sqlite) as house:
        views = FakeViews(shows=Shown.NO)
        found = Actions(house.engine, commands_of(house.engine), views, forms_of(house.engine, views)).heard()
    return dict(found)


@pytest.fixture(params=["Socket Mode", "HTTP"])
async def tour(request: pytest.FixtureRequest, web_01: OpenSsh, tmp_path: Path) -> AsyncIterator[Doors]:
    """The real process: on SQLite reached by Socket Mode, on PostgreSQL over HTTP."""
    workspace = Workspace(rate_limits=False, shortcut_specs=SHORTCUTS, subscriptions=frozenset(EVENTS), ack_seconds=10)
    workspace.add_person(id="UERIN", name="erin", display_name="Erin Ek")
    for number, name in enumerate(CHANNELS):
        workspace.add_channel(id=f"C0{number}TOUR", name=name)
    installed, folder = tmp_path / "installation", tmp_path / "marks"
    installed.mkdir()
    folder.mkdir()
    url = f"sqlite+aiosqlite:///{installed}/handrail.db"
    if request.param == "HTTP":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database(f"t_{uuid.uuid4().hex[:12]}")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(workspace)
        cut = await stack.enter_async_context(wire(web_01.port))
        bot = Bot(
            folder=installed,
            slack=workspace,
            database_url=url,
            config=_config(web_01, cut, installed),
            module="tests.system.unpaced",
            app_token=workspace.app_token if request.param == "Socket Mode" else None,
        )
        stack.callback(end, *CUT, CANCELLED, STOPPED)
        stack.callback(bot.kill)
        await bot.start()
        if bot.app_token is None:
            workspace.events_url = bot.events_url
        else:
            await workspace.wait_for(lambda here: here.sockets.count > 0, timeout=30)
        yield Doors(workspace=workspace, bot=bot, folder=folder, wire=cut)


def end(*seconds: int) -> None:
    """The commands that sleep so long, on the host."""
    for pid in [pid for one in seconds for pid in sleepers(one)]:
        os.kill(pid, signal.SIGKILL)


def _config(server: OpenSsh, cut: Wire, folder: Path) -> dict[str, Any]:
    """Three hosts with a service, three behind the wire, and thirty that are only planned for."""
    config = configuration({"web-01": server}, folder)
    shutil.copy(Path(__file__).with_name("tour_runbooks.py"), folder / "library")
    (folder / "known_hosts").write_bytes(cut.known_hosts(server))
    direct = {"address": "127.0.0.1", "port": server.port}
    config["hosts"] = {f"web-0{n}": {**direct, "tags": ["web"], "services": ["queue"]} for n in (1, 2, 3)}
    config["hosts"] |= {f"cut-{n}": {**direct, "port": cut.port} for n in (1, 2, 3)}
    config["hosts"] |= {f"many-{n:02}": {**direct, "tags": ["many"]} for n in range(1, 31)}
    return config


def register(heard: dict[str, frozenset[str]]) -> Iterator[str]:
    """All that there is, as `used` names it."""
    yield from vocabulary()
    yield from (f"/runbook help {topic}" for topic in help_on.TOPICS)
    yield from (f"press {verb}" for how in ("click", "choice") for verb in heard[how])
    yield from (f"submit {verb}" for verb in (*heard["view"], "planned"))
    yield from (f"search {one.removeprefix(PREFIX)}" for one in SUGGESTED)
    yield from (f"shortcut {verb}" for verb in heard["shortcut"])
    yield from (f"event {event}" for event in EVENTS)
    for timing in (None, Timing()):
        asked = form(catalog_with(AskForAll).get(AskForAll.name), Draft(runbook=AskForAll.name, timing=timing))
        yield from (f"fill in {block['block_id']}" for block in asked["blocks"] if block["type"] == "input")


def test_the_form_of_the_tour_asks_in_every_way() -> None:
    assert {one.asks for one in questions_of(AskForAll.Params)} == set(Asks)


async def test_everything_there_is_is_used_end_to_end(tour: Doors, heard: dict[str, frozenset[str]]) -> None:
    async with asyncio.TaskGroup() as group:
        for scene in (runs, consent, filled_in, interrupted, incidents, templates, switches, schedules):
            group.create_task(scene(tour))
    await questions(tour)
    await at_home(tour)
    await scheduled(tour)
    done, there = await used(tour), {*register(heard), *to_press_at_home(tour.workspace)}
    assert there - done == set(), "nobody used these: give each a step here"
    assert unheard(tour.workspace, there) == set(), "nobody hears these"
    async with tour.bot.database() as database:
        assert (await database.read(audit.verify)).ok
    assert "Traceback" not in (tour.bot.folder / "bot.log").read_text()


# --- runs, and what follows them --------------------------------------------------------------------------------------


async def runs(tour: Doors) -> None:
    """Run, look at it, fail on one host, retry, take back, cancel."""
    here, marks = "runs", tour.folder / "runs"
    marks.mkdir()
    number = await tour.starts("bob", f"/runbook mark {marks} on web-01", "Succeeded", channel=here)
    assert (marks / "web-01.mark").is_dir()
    await tour.presses("bob", await tour.card(number, channel=here), "Show plan", "Make the mark", "mkdir -p")
    before = set(tour.numbers(here))
    await tour.press("bob", await tour.card(number, "[Roll back]", channel=here), "Roll back")
    await tour.started(before, "Succeeded", channel=here)
    await tour.card(number, "Rolled back", channel=here)
    assert not (marks / "web-01.mark").exists()

    (marks / "web-02.stone").touch()
    text = f'/runbook mark {marks} on web-01,web-02,web-03 --waves 1,rest --pause 1s --max-failures 1 --reason "a try"'
    some = await tour.starts("bob", text, "Failed", "2 of 3 hosts succeeded", "reason: a try", channel=here)
    card = await tour.card(some, "[Retry failed hosts]", channel=here)
    before = set(tour.numbers(here))
    await tour.press("bob", card, "Retry failed hosts")
    await tour.started(before, "Failed", "on web-02", f"continues #{some}", channel=here)
    (marks / "web-02.stone").unlink()
    again = await tour.starts("bob", f"/runbook retry {some} failed", "Succeeded", "on web-02", channel=here)
    assert f"continues #{some}" in tour.workspace.read(await tour.card(again, channel=here))
    before = set(tour.numbers(here))
    await tour.press("bob", card, "Retry")
    await tour.started(before, "Succeeded", "web-01, web-02", f"continues #{some}", channel=here)
    text = f'/runbook retry {some} --emergency --reason "once more"'
    whole = await tour.starts("alice", text, "Succeeded", "reason: once more", "emergency", channel=here)
    await tour.starts("alice", f"/runbook rollback {whole}", "Succeeded", f"roll back #{whole}", channel=here)
    assert list(marks.iterdir()) == []

    held = await tour.starts("bob", f"/runbook hold {CANCELLED} on web-01 --priority high", "Running", channel=here)
    await until(lambda: sleepers(CANCELLED), "the command running")
    await tour.presses("bob", await tour.card(held, "[Cancel]", channel=here), "Cancel", f"Stopping #{held}")
    await tour.card(held, "Cancelled", channel=here)
    for text in ("wrong host", '--reason "wrong host"'):
        held = await tour.starts("bob", f"/runbook hold {CANCELLED} on web-01", "Running", channel=here)
        await tour.types("bob", f"/runbook cancel {held} {text}", f"Stopping #{held}", channel=here)
        await tour.card(held, "Cancelled", "wrong host", channel=here)
    assert sleepers(CANCELLED) == []

    said = await tour.starts("bob", "/runbook recite on web-01", "Succeeded", "[Full log]", channel=here)
    await tour.presses("bob", await tour.card(said, channel=here), "Full log", f"full log of #{said}")
    await tour.workspace.wait_for(lambda w: any(f"Full log of #{said}" in f.title for f in w.state.files.values()))
    newest = await tour.types("bob", f"/runbook logs {said}", "lines 62 to 101 of 101", channel=here)
    older = await tour.presses("bob", newest, "Older", "lines 22 to 61 of 101")
    await tour.presses("bob", older, "Newer", "lines 62 to 101 of 101")
    await tour.types("bob", f"/runbook logs {said} on web-01 step=1 from=1", "hello from the host", channel=here)
    await tour.types("bob", f"/runbook why {said}", "permission: allow", "approval: allow", channel=here)


async def consent(tour: Doors) -> None:
    """Approve, deny and confirm, by buttons and by words."""
    here, marks = "consent", tour.folder
    asked = f"/runbook careful {marks} on web-01"
    number = await tour.starts("bob", asked, "Waiting for approval", channel=here)
    card = await tour.card(number, "[Approve]", channel=here)
    await tour.presses("bob", card, "Approve", "somebody else must approve")
    await tour.press("erin", card, "Approve")
    await tour.card(number, "Succeeded", "approved by @erin", channel=here)
    number = await tour.starts("bob", asked, "Waiting for approval", channel=here)
    await tour.types("erin", f"/runbook approve {number}", "You approved", "The plan was", channel=here)
    await tour.card(number, "Succeeded", "approved by @erin", channel=here)

    number = await tour.starts("bob", asked, "Waiting for approval", channel=here)
    await tour.press("erin", await tour.card(number, "[Deny]", channel=here), "Deny")
    await tour.modal("erin", f"Deny #{number}", "will not be run")
    await tour.submit("erin", {"Reason": "not today"})
    await tour.card(number, "Denied", "not today", channel=here)
    for reason in ("not now", '--reason "not now"'):
        number = await tour.starts("bob", asked, "Waiting for approval", channel=here)
        await tour.types("erin", f"/runbook deny {number} {reason}", "You denied", channel=here)
        await tour.card(number, "Denied", "not now", channel=here)

    number = await tour.starts("bob", f"/runbook mend {marks} on web-02", "Waiting for your confirmation", channel=here)
    await tour.press("bob", await tour.card(number, "[Confirm]", channel=here), "Confirm")
    await tour.card(number, "Succeeded", "confirmed by @bob", channel=here)


# --- forms ------------------------------------------------------------------------------------------------------------


async def filled_in(tour: Doors) -> None:
    """The picker, the form and the plan, from a command and from both shortcuts."""
    here, place = "forms", tour.workspace
    await place.command("bob", here, "/runbook")
    picker = await tour.modal("bob", "Run a runbook", "Which runbook?")
    await place.choose("bob", picker, "handrail:pick", await tour.offered("bob", picker, "handrail:pick", "ask-for"))
    form = await tour.modal("bob", "ask-for-all", "Ask for one value of every kind")
    hosts = [await tour.offered("bob", form, "handrail:hosts", "web-02")]
    place.type_into("bob", {"hosts": hosts})
    service = await tour.offered("bob", form, "handrail:services")
    assert service["value"] == "queue"
    shade = await tour.offered("bob", form, "handrail:choices", "149")
    filled = {
        "parameter:service": service,
        "parameter:note": "some words",
        "parameter:times": "10",
        "parameter:share": "0.25",
        "parameter:loud": ["yes"],
        "parameter:colour": "blue",
        "parameter:shade": shade,
        "options": ["dry_run"],
        "reason": "to see it",
        "template": "everything",
    }
    with pytest.raises(NotPossible, match="'Times'"):
        await tour.submit("bob", filled)
    await tour.submit("bob", {"parameter:times": "7"})
    await tour.modal("bob", "The plan", "A dry run", "It is some words, 7, 0.25, True, blue, shade-149", "everything")
    before = set(tour.numbers(here))
    await tour.submit("bob")
    await tour.started(before, "dry run of ask-for-all", "reason: to see it", channel=here)

    await place.command("bob", here, "/runbook mark on web-01 --reason 'a form'")
    form = await tour.modal("bob", "mark", "Leave a mark")
    assert form.values["reason"]["value"]["value"] == "a form"
    await tour.submit("bob", {"parameter:folder": "no folder"})
    await place.wait_for(lambda w: w.views("bob")[-1].errors, timeout=10)
    assert list(place.views("bob")[-1].errors) == ["parameter:folder"]
    await tour.submit("bob", {"parameter:folder": str(tour.folder / "forms")})
    await tour.modal("bob", "The plan", "It runs as soon as you press *Run*.")
    before = set(tour.numbers(here))
    await tour.submit("bob")
    await tour.started(before, "Succeeded", channel=here)
    assert (tour.folder / "forms" / "web-01.mark").is_dir()

    alert = await place.say("carol", here, "the queue on web-03 is slow")
    await place.message_shortcut("bob", alert, "handrail:run_here")
    picker = await tour.modal("bob", "Run a runbook")
    await place.choose("bob", picker, "handrail:pick", await tour.offered("bob", picker, "handrail:pick", "glance"))
    form = await tour.modal("bob", "glance")
    await tour.submit(
        "bob", {"hosts": [await tour.offered("bob", form, "handrail:hosts", "web-03")], "parameter:seconds": "1"}
    )
    await tour.modal("bob", "The plan", "It runs as soon as you press *Run*.")
    await tour.submit("bob")
    await tour.sees("@bob asked for *#", channel=here)

    await place.shortcut("bob", "handrail:run", looking_at="ops")
    picker = await tour.modal("bob", "Run a runbook")
    await place.choose("bob", picker, "handrail:pick", await tour.offered("bob", picker, "handrail:pick", "glance"))
    form = await tour.modal("bob", "glance")
    hosts = [await tour.offered("bob", form, "handrail:hosts", "web-02")]
    filled = {"hosts": hosts, "parameter:seconds": "1", "Channel it reports in": place.state.channel(here).id}
    await tour.submit("bob", filled)
    await tour.modal("bob", "The plan", "It runs as soon as you press *Run*.")
    before = set(tour.numbers(here))
    await tour.submit("bob")
    await tour.started(before, "Succeeded", "on web-02", channel=here)


# --- after an interruption --------------------------------------------------------------------------------------------


async def interrupted(tour: Doors) -> None:
    """Three that were stopped out of our sight: one is run again, one goes on after it, one is given up."""
    here = "cuts"
    asked = [f"/runbook hold {one} on cut-{n}" for n, one in enumerate(CUT, 1)]
    again, after, never = [await tour.starts("bob", text, "Running", channel=here) for text in asked]
    await until(lambda: all(map(sleepers, CUT)), "three commands running", tour.bot.log)
    tour.wire.cut()
    for number in (again, after, never):
        await tour.types("bob", f"/runbook cancel {number}", f"Stopping #{number}", channel=here)
    for number in (again, after, never):
        await tour.card(number, "Interrupted", "[Give up]", channel=here)
    tour.wire.mend()
    end(*CUT)
    found = await tour.presses("bob", await tour.card(again, channel=here), "Resume", "Hold it", "[Run step 1 again]")
    await tour.press("bob", found, "Run step 1 again")
    await until(lambda: sleepers(CUT[0]), "the command running again", tour.bot.log)
    await tour.types("bob", f"/runbook cancel {again}", f"Stopping #{again}", channel=here)
    await tour.card(again, "Cancelled", channel=here)
    found = await tour.types("bob", f"/runbook resume {after}", "Hold it", "[Continue after step 1]", channel=here)
    await tour.press("bob", found, "Continue after step 1")
    await tour.card(after, "Succeeded", channel=here)
    await tour.press("bob", await tour.card(never, channel=here), "Give up")
    await tour.card(never, "Cancelled", "given up by @bob", channel=here)
    assert not any(map(sleepers, CUT))


# --- incidents --------------------------------------------------------------------------------------------------------


async def incidents(tour: Doors) -> None:
    """One with a channel of its own, by its buttons; one bound to a channel, by words."""
    place = tour.workspace
    await tour.types("carol", "/incident", "This channel is about no incident")
    text = '/incident open "checkout is slow" sev2 service=queue'
    await tour.types("carol", text, "is open; its channel is on its way")

    def pinned(here: Workspace) -> Message | None:
        rooms = [room for room in here.state.channels.values() if room.name.startswith("inc-")]
        return next((m for room in rooms for m in here.state.all_messages(room.id) if m.pinned), None)

    headline = await place.wait_for(pinned, timeout=30)
    room = place.state.channels[headline.channel].name
    await tour.press("carol", headline, "Take command")
    await tour.sees("commander @carol", channel=room)
    before = set(tour.numbers(room))
    await tour.press("carol", headline, "ask-after")
    await tour.started(before, "Succeeded", "3 of 3 hosts", channel=room)
    offer = await tour.presses("carol", headline, "Plan nudge", "is being shown in", "[Run it]")
    await tour.sees("dry run of nudge", "Nudge it", channel=room)
    before = set(tour.numbers(room))
    await tour.press("carol", offer, "Run it")
    await tour.started(before, "Succeeded", channel=room)
    await tour.press("carol", headline, "Identified")
    await tour.sees("investigating → identified", channel=room)
    await tour.presses("carol", headline, "Timeline", "*Timeline of incident 1*", "commander", "identified")
    await tour.press("carol", headline, "Resolve")
    await tour.modal("carol", "Resolve", "What was it, and what helped?")
    await tour.submit("carol", {"Summary": "the queue was full"})
    await tour.sees("*Resolved* by @carol: the queue was full", "[Postmortem]", channel=room)
    await tour.presses("carol", headline, "Postmortem", "postmortem")
    await tour.sees("postmortem-1-", channel=room)

    here = "late"
    await tour.types("carol", '/incident bind "mail is late" sev4 service=queue', "is open", channel=here)
    await tour.sees("sev4 · mail is late", channel=here)
    for text, said in (
        ("severity sev3", "sev4 → sev3"),
        ("status monitoring", "investigating → monitoring"),
        ("role scribe @bob", "scribe @bob"),
        ('note it\'s the "relay"', 'it\'s the "relay"'),
    ):
        await place.command("carol", here, f"/incident {text}")
        await tour.sees(said, channel=here)
    for text, said in (
        ("show", "mail is late"),
        ("list", "*1 open incident*"),
        ("timeline", "*Timeline of incident 2*"),
        ("runbooks", "ask-after"),
        ("help", "`/incident open"),
        ("postmortem 2", "postmortem"),
    ):
        await tour.types("carol", f"/incident {text}", said, channel=here)
    await place.command("carol", here, "/incident resolve the relay was down")
    await tour.sees("*Resolved* by @carol: the relay was down", channel=here)


# --- what is kept -----------------------------------------------------------------------------------------------------


async def templates(tour: Doors) -> None:
    """A request under a name."""
    here = "words"
    await tour.types("bob", f"/runbook template save daily mark {tour.folder}/t on web-03", "daily", channel=here)
    await tour.types("bob", "/runbook template list", "• `daily`: `/runbook mark", channel=here)
    await tour.types("bob", "/runbook template show daily", "saved by @bob", channel=here)
    await tour.starts("bob", "/runbook template run daily --dry-run", "dry run of mark", "on web-03", channel=here)
    await tour.types("bob", "/runbook template delete daily", "daily", channel=here)
    await tour.types("bob", "/runbook template show daily", "There is no template 'daily'", channel=here)


async def schedules(tour: Doors) -> None:
    """A dangerous one, with a standing approval."""
    here = "schedules"
    text = f'"0 2 * * *" careful {tour.folder} on web-03 tz Europe/Berlin as "nightly care"'
    await tour.types("carol", f"/runbook schedule {text}", "nightly care", "*Next*", "Europe/Berlin", channel=here)
    await tour.types("carol", "/runbook schedule list", "*nightly care*", "made by @carol", channel=here)
    shown = await tour.types(
        "erin", "/runbook schedule approve nightly care limit=20", "Say yes to exactly this", channel=here
    )
    mark = re.search(r"mark=[0-9a-f]{8}", tour.workspace.read(shown))
    assert mark is not None
    await tour.types(
        "erin", f"/runbook schedule approve nightly care limit=20 {mark[0]}", "has a standing approval", channel=here
    )
    await tour.types("bob", "/runbook schedule show nightly care", "Standing approval by @erin", channel=here)
    await tour.types("erin", "/runbook schedule revoke nightly care", "is revoked", channel=here)
    await tour.types("carol", "/runbook schedule pause nightly care", "pause", channel=here)
    await tour.types("bob", "/runbook schedule list", "*paused*", channel=here)
    await tour.types("carol", "/runbook schedule resume nightly care", "was resumed", channel=here)
    number = await tour.starts("bob", "/runbook schedule run nightly care", "Waiting for approval", channel=here)
    await tour.types("bob", f"/runbook cancel {number} only looking", "#", channel=here)
    await tour.card(number, "Cancelled", channel=here)
    await tour.types("carol", "/runbook schedule delete nightly care", "nightly care", channel=here)
    await tour.types("carol", "/runbook schedule list", "There are no schedules yet", channel=here)

    await tour.types("carol", f"/runbook schedule {text}", "nightly care", channel=here)
    listed = await tour.types("carol", "/runbook schedule list page=2", "*nightly care*", "[Pause]", channel=here)
    await tour.presses("carol", listed, "Show", "*Next*")
    paused = await tour.presses("carol", listed, "Pause", "was paused", "[Resume]")
    await tour.presses("carol", paused, "Resume", "was resumed", "[Pause]")
    of_bob = await tour.types("bob", "/runbook schedule list", "[Run now]", channel=here)
    before = set(tour.numbers(here))
    await tour.press("bob", of_bob, "Run now")
    number = await tour.started(before, "Waiting for approval", channel=here)
    await tour.types("bob", f"/runbook cancel {number} only looking", "#", channel=here)
    await tour.card(number, "Cancelled", channel=here)
    await tour.presses("carol", listed, "Delete", "was deleted")
    await tour.presses("carol", listed, "Show", "There is no schedule")


# --- what stops -------------------------------------------------------------------------------------------------------


async def switches(tour: Doors) -> None:
    """Of each kind, engaged and released; one by its button. Breakers and dead letters."""
    here = "switches"
    for subject in ("service other", "runbook reboot-host", "host many-30", "tag other"):
        await tour.types("bob", f"/killswitch {subject} on", "is engaged", channel=here)
        await tour.types("bob", "/killswitch status", subject, "[Release]", channel=here)
        await tour.types("alice", f'/killswitch {subject} off --reason "all clear"', "is off", channel=here)
    await tour.types("bob", "/killswitch service other on looking into it", "is engaged", channel=here)
    status = await tour.types("alice", "/killswitch status", "looking into it", channel=here)
    await tour.press("alice", status, "Release")
    await tour.modal("alice", "Release a kill switch", "service other")
    await tour.submits("alice", {"Reason": "all clear"}, "(service other) is off", channel=here)
    await tour.types("alice", "/killswitch status", "No kill switch is engaged.", channel=here)

    await tour.starts("bob", f"/runbook give-up {TWICE} on web-02", "Failed", channel=here)
    await tour.types("bob", "/runbook breaker", "give-up", "1 failure", channel=here)
    await tour.types("alice", "/runbook breaker reset give-up on web-02", "give-up", channel=here)
    left = await tour.types("bob", "/runbook breaker list", channel=here)
    assert "give-up" not in tour.workspace.read(left)

    place = tour.workspace
    place.add_channel(id="C0NONE", name="none", private=True, bot_is_member=False)
    async with tour.bot.database() as database:
        await database.write(bury, "aaaaaaaa01", "the disk is full")
        await database.write(bury, "bbbbbbbb02", "the disk is fuller")
    await tour.types("bob", "/runbook dead-letters", "2 dead letters", channel=here)
    await tour.types("bob", "/runbook dead-letters show aaaaaa", "the disk is full", channel=here)
    place.invite("C0NONE", "handrail")
    await tour.types("alice", "/runbook dead-letters requeue aaaaaa", "1 dead letter will be said again", channel=here)
    await tour.sees("the disk is full", channel="none")
    await tour.types("alice", "/runbook dead-letters discard bbbbbb", "1 dead letter discarded", channel=here)


def bury(connection: Connection, number: str, text: str) -> None:
    """A dead letter for a channel that cannot be written to."""
    now = datetime.now(UTC)
    outbox.put(
        connection,
        id=number,
        kind=OutboxKind.ALERT,
        method="post",
        payload={"text": text},
        now=now,
        channel="C0NONE",
    )
    outbox.begin(connection, number)
    outbox.bury(connection, number, now=now, error="channel_not_found")


# --- questions --------------------------------------------------------------------------------------------------------


async def questions(tour: Doors) -> None:
    """Whatever only shows something, once enough has happened for several pages."""
    here = "words"
    await tour.types("bob", "/runbook help", "`/runbook list` the runbooks", channel=here)
    for name, topic in help_on.TOPICS.items():
        await tour.types("bob", f"/runbook help {name}", topic.usage, *topic.examples[:1], channel=here)
    first = await tour.types("bob", "/runbook list", "1 to 25 of", "[Next]", channel=here)
    second = await tour.presses("bob", first, "Next", "26 to", "[Previous]")
    await tour.presses("bob", second, "Previous", "1 to 25 of")
    await tour.types("bob", "/runbook list page=2", "26 to", channel=here)
    await tour.types("bob", "/runbook list hundred lines", "*Diagnostics*", "`recite`: Print a hundred", channel=here)
    await tour.types("bob", "/runbook show recite", "Print a hundred lines.", "timeout 5 min", channel=here)
    await tour.types("bob", "/runbook can", "You have NOC", "Runs:", channel=here)
    await tour.types("alice", "/runbook can @carol", "has MANAGER", channel=here)
    await tour.types("bob", "/runbook can nudge queue on web-01", "would *run*", "blast radius", channel=here)

    many = await tour.starts("bob", "/runbook plan mark /nowhere on tag:many", "dry run of mark", channel=here)
    status = await tour.types("bob", f"/runbook status {many}", "[All 30 hosts]", channel=here)
    await tour.presses("bob", status, "All 30 hosts", "1 to 25 of 30 hosts")
    await tour.types("bob", f"/runbook status {many} from=26", "26 to 30 of 30 hosts", channel=here)
    dry = await tour.starts("bob", "/runbook nudge queue on web-01 --dry-run", "dry run of nudge", channel=here)
    before = set(tour.numbers(here))
    await tour.press("bob", await tour.card(dry, "Planned", "[Run it]", channel=here), "Run it")
    await tour.started(before, f"continues #{dry}", channel=here)
    waits = await tour.starts("bob", f"/runbook careful {tour.folder} on web-03", "Waiting", channel=here)
    await tour.types("bob", "/runbook status on web-03", f"#{waits}", channel=here)
    await tour.types("bob", f"/runbook status after={waits - 1}", f"#{waits}", channel=here)
    await tour.types("bob", f"/runbook cancel {waits}", f"#{waits}", channel=here)
    await tour.card(waits, "Cancelled", channel=here)

    page = await tour.types("bob", "/runbook history", f"#{waits}", "[Older]", channel=here)
    page = await tour.presses("bob", page, "Older", "[Newer]")
    assert f"#{waits} " not in tour.workspace.read(page)
    for text, said in (
        ("runbook=mark", "`mark`"),
        ("mark failed", "failed"),
        ("on web-02", "web-02"),
        ("@alice", "@alice"),
        ("since=1h dry=yes", "`mark`"),
        ("until=2026-01-01", "Nothing in the history is like that"),
        ("before=2", "#1"),
        (f"after={waits - 1}", f"#{waits}"),
    ):
        await tour.types("bob", f"/runbook history {text}", said, channel=here)
    digest = await tour.types("bob", "/runbook digest 1d", "Digest", "`mark`", "[Show]", channel=here)
    await tour.presses("bob", digest, "Show", "*History*", "dry=no")
    await tour.presses("bob", digest, "Chart", "The chart comes as a direct message.")
    await tour.workspace.wait_for(lambda w: any(f.name.endswith(".png") for f in w.state.files.values()), timeout=30)
    for text, said in (
        ("", "request"),
        ("who=@erin", "@erin"),
        ("runbook=careful", "careful"),
        ("host=web-02", "execution."),
        ("kind=approval.given", "*approval.given*"),
        ("id=1", "#1"),
        ("incident=#late", "incident."),
        ("since=1h", "request"),
        ("until=2026-01-01", "No audit entry is like that."),
        ("page=3", "`2`"),
    ):
        await tour.types("alice", f"/audit {text}".strip(), said, channel=here)
    near = await tour.types("bob", "/runbook nudgee queue on web-01", "[Show nudge queue on web-01]", channel=here)
    before = set(tour.numbers(here))
    await tour.press("bob", near, "Show nudge queue on web-01")
    await tour.started(before, "dry run of nudge", channel=here)


# --- App Home ---------------------------------------------------------------------------------------------------------


async def at_home(tour: Doors) -> None:
    """App Home, with a button of each kind, and the switch that stops everything."""
    here, marks = "ops", tour.folder
    (marks / "web-01.stone").touch()
    failed = await tour.starts("alice", f"/runbook mark {marks} on web-01", "Failed", channel=here)
    (marks / "web-01.stone").unlink()
    view = await tour.home("alice", "Your recent runs", f"#{failed}", "[Retry]", "Hosts")
    before = set(tour.numbers(here))
    await tour.press("alice", view, "Retry")
    await tour.started(before, "Succeeded", f"continues #{failed}", channel=here)

    yes = await tour.starts("bob", f"/runbook careful {marks} on web-02", "Waiting for approval", channel=here)
    view = await tour.home("alice", "Waiting for you (1)", f"#{yes}", "[Approve] [Deny] [Show plan]")
    await tour.press("alice", view, "Show plan")
    await tour.direct("alice", "Plan of", f"#{yes}")
    await tour.press("alice", view, "Approve")
    await tour.card(yes, "Succeeded", "approved by @alice", channel=here)
    no = await tour.starts("bob", f"/runbook careful {marks} on web-02", "Waiting for approval", channel=here)
    await tour.press("alice", await tour.home("alice", f"#{no}", "[Deny]"), "Deny")
    await tour.modal("alice", f"Deny #{no}")
    await tour.submit("alice", {"Reason": "not from home"})
    await tour.card(no, "Denied", "not from home", channel=here)
    sure = await tour.starts("alice", f"/runbook mend {marks} on web-03", "Waiting for your", channel=here)
    await tour.press("alice", await tour.home("alice", f"#{sure}", "[Confirm]"), "Confirm")
    await tour.card(sure, "Succeeded", "confirmed by @alice", channel=here)

    held = await tour.starts("alice", f"/runbook hold {STOPPED} on web-01 --priority low", "Running", channel=here)
    await tour.press("alice", await tour.home("alice", "Running (1)", "[Cancel]"), "Cancel")
    await tour.card(held, "Cancelled", channel=here)
    held = await tour.starts("alice", f"/runbook hold {STOPPED} on web-01", "Running", channel=here)
    await until(lambda: sleepers(STOPPED), "the command running", tour.bot.log)
    await tour.types("bob", "/killswitch global on --now", "is engaged", channel=here)
    await tour.card(held, "Cancelled", "kill switch", channel=here)
    assert sleepers(STOPPED) == []
    text = f'/runbook mark {marks} on web-01 --emergency --reason "it burns"'
    await tour.starts("alice", text, "Succeeded", "emergency", channel=here)
    await tour.press("alice", await tour.home("alice", "Kill switches engaged (1)", "[Release]"), "Release")
    await tour.modal("alice", "Release a kill switch", "global")
    await tour.submit("alice", {"Reason": "the fire is out"})
    await tour.direct("alice", "is off")
    await tour.home("alice", "Nothing runs or waits.")
    await tour.types("bob", "/killswitch global on", "is engaged", channel=here)
    await tour.types("alice", "/killswitch global off only a drill", "is off", channel=here)


async def scheduled(tour: Doors) -> None:
    """A schedule by its form, from App Home and from the command."""
    here, place = "schedules", tour.workspace
    await place.command("alice", here, "/runbook schedule new")
    await tour.modal("alice", "New schedule", "Which runbook?")
    await place.close_view("alice")
    await tour.press("alice", await tour.home("alice", "[New schedule]"), "New schedule")
    picker = await tour.modal("alice", "New schedule", "Which runbook?")
    await place.choose("alice", picker, "handrail:pick", await tour.offered("alice", picker, "handrail:pick", "glance"))
    form = await tour.modal("alice", "glance", "How often")
    filled = {
        "often": "Every Monday",
        "at": "04:30",
        "line": "30 4 * * mon-fri",
        "timezone": await tour.offered("alice", form, "handrail:zones", "berlin"),
        "name": "a look",
        "hosts": [await tour.offered("alice", form, "handrail:hosts", "web-02")],
        "parameter:seconds": "1",
        "Channel it reports in": place.state.channel(here).id,
    }
    await tour.submit("alice", filled)
    await place.wait_for(lambda w: w.views("alice")[-1].errors, timeout=10)
    assert list(place.views("alice")[-1].errors) == ["line"]
    await tour.submit("alice", {"often": "The cron line below"})
    await tour.modal("alice", "The schedule", "a look", "04:30 Europe/Berlin", "If it came now")
    await tour.submits("alice", {}, "*a look* (#", channel=here)
    await tour.sees("*Schedule a look* was made", channel=here)
    await tour.types("alice", "/runbook schedule show a look", "Monday through Friday", channel=here)
