"""What is to be there for an incident is there in the end: once, whatever Slack does and wherever we die."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Connection, func, select

from bot.incident_channels import DEAD_HEADLINE, IncidentChannels, Step, next_step
from bot.incidents import Customs, Incidents
from bot.outbox import Outbox
from bot.pace import PaceSettings
from bot.playground.state import Channel, Message
from bot.playground.workspace import Workspace
from runbooks import incidents as core
from runbooks.incidents import Opening, Outcome, open_incident
from safety.clock import SystemClock
from storage import audit, dead_letters, incidents
from storage import tables as t
from storage.database import Database
from storage.dead_letters import Requeued
from storage.records import Actor, Incident, IncidentStatus, Origin, OutboxState
from tests.builders import BOB, House, a_house

UNHURRIED = PaceSettings(
    posts_per_channel=1_000.0, posts=1_000.0, edits=1_000.0, progress_edits=1_000.0, answers=1_000.0,
    seconds_between_edits_of_one=0.0,
)  # fmt: skip
OPENING = Opening(
    title="checkout is slow",
    actor=BOB,
    origin=Origin.COMMAND,
    severity=2,
    service="nginx",
    asked_in="C0INC",
    invite=("UBOB", "UCAROL"),
)
PATIENCE = 15.0


class _Died(BaseException):
    """The process is gone, in the middle of whatever it was doing."""


@dataclass(kw_only=True)
class Life:
    """Ends with the so many-th thing that is done: a committed transaction, or a call that Slack carried out."""

    ends_at: int | None = None
    done: int = 0

    def pass_(self) -> None:
        """One more thing is done."""
        self.done += 1
        if self.ends_at is not None and self.done >= self.ends_at:
            raise _Died


class LateClock(SystemClock):
    """The machine's, but so many seconds later for who waits."""

    late = 0.0

    def monotonic(self) -> float:
        """Later than it is."""
        return super().monotonic() + self.late


class MortalDatabase:
    """A database whose user dies right after a commit."""

    def __init__(self, database: Database, life: Life) -> None:
        self._database, self._life = database, life

    async def read(self, *args: Any, **kwargs: Any) -> Any:
        """As ever."""
        return await self._database.read(*args, **kwargs)

    async def write(self, *args: Any, **kwargs: Any) -> Any:
        """Committed, and then perhaps death."""
        found = await self._database.write(*args, **kwargs)
        self._life.pass_()
        return found


class MortalClient(AsyncWebClient):
    """A client whose user dies right after Slack has carried out a call."""

    life = Life()

    async def api_call(self, *args: Any, **kwargs: Any) -> Any:
        """Carried out, and then perhaps death."""
        answer = await super().api_call(*args, **kwargs)
        self.life.pass_()
        return answer


@dataclass
class Room:
    """A workspace, a database, a sender and somebody who sees to channels."""

    workspace: Workspace
    database: Database
    house: House
    sender: Outbox
    customs: Customs = field(default_factory=Customs)
    clock: LateClock = field(default_factory=LateClock)

    def channels(self, life: Life | None = None) -> IncidentChannels:
        """As the app would make it; with a life that ends, if one is given."""
        client = MortalClient(token=self.workspace.bot_token, base_url=self.workspace.api_url, retry_handlers=[])
        client.life = life or Life()
        database: Any = MortalDatabase(self.database, client.life)
        return IncidentChannels(
            database=database,
            client=client,
            clock=self.clock,
            incidents=Incidents(engine=self.house.engine, customs=self.customs),
            alerts="C0OPS",
            wake=self.sender.wake,
            is_alone=True,
        )

    async def open(self, opening: Opening = OPENING) -> Incident:
        """Open one; nobody has seen to it yet."""
        outcome = await self.database.write(open_incident, opening, SystemClock().now())
        assert isinstance(outcome, Outcome), outcome
        return outcome.incident

    async def settled(self, incident: Incident, channels: IncidentChannels | None = None) -> Incident:
        """As it is when nothing is left to do."""
        seeing = channels or self.channels()
        async with asyncio.timeout(PATIENCE):
            while True:
                # Nobody waits here for the time after which it is tried again.
                self.clock.late += 60
                await self.database.write(incidents.release_all, SystemClock().now())
                pause = await seeing.look()
                now = await self.database.read(incidents.find, incident.id)
                assert now is not None
                if now.due_at is None:
                    break
                await asyncio.sleep(min(pause, 0.05))
            await self.sender.drain(PATIENCE)
        return now

    async def look(self, channels: IncidentChannels) -> None:
        """One round of what is due, and all that is said of it; who was put off still waits."""
        await channels.look()

        def unsaid(connection: Connection) -> int:
            waiting = t.outbox.c.state.in_([OutboxState.WAITING.value, OutboxState.SENDING.value])
            return connection.scalar(select(func.count()).where(waiting)) or 0

        async with asyncio.timeout(PATIENCE):
            while await self.database.read(unsaid):
                await self.sender.drain(PATIENCE)

    def made(self) -> list[Channel]:
        """The channels that were made by us."""
        state = self.workspace.state
        ours = [one for one in state.channels.values() if one.creator == state.identity.bot_user]
        return [one for one in ours if one.name.startswith("inc-")]

    def said(self, channel: str, words: str) -> list[Message]:
        """The messages that everybody in a channel reads and that say this."""
        seen = [one for one in self.workspace.state.all_messages(channel) if not one.is_ephemeral]
        return [one for one in seen if words in self.workspace.read(one)]


@asynccontextmanager
async def a_room(database: Database) -> AsyncIterator[Room]:
    """Everything but somebody who sees to channels."""
    workspace = Workspace(rate_limits=False)
    async with workspace, a_house(database) as house:
        client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
        sender = Outbox(database=database, client=client, alerts="C0OPS", pace=UNHURRIED, poll=0.05)
        task = asyncio.create_task(sender.run())
        yield Room(workspace=workspace, database=database, house=house, sender=sender)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    """On each database."""
    async with a_room(database) as found:
        yield found


@pytest.fixture
async def one_room(sqlite: Database) -> AsyncIterator[Room]:
    """Where it does not matter which database is behind."""
    async with a_room(sqlite) as found:
        yield found


def how() -> dict[str, Any]:
    """Whose change, now."""
    return {"actor": BOB, "origin": Origin.COMMAND, "now": SystemClock().now()}


def assert_stands_once(room: Room, incident: Incident) -> None:
    """One channel, one pinned headline in it, one announcement at each place elsewhere."""
    [channel] = [one for one in room.made() if one.id == incident.channel]
    assert channel.name == incident.name
    assert {"UBOB", "UCAROL"} <= channel.members
    assert channel.topic == f"sev2 · investigating · nginx · {incident.title}"
    [headline] = room.said(channel.id, incident.title)
    assert headline.pinned
    for place in ("C0INC", "C0OPS"):
        assert len(room.said(place, f"<#{channel.id}>") or room.said(place, incident.title)) == 1, place


async def test_a_channel_is_made_with_people_topic_and_a_pinned_headline(room: Room) -> None:
    incident = await room.settled(await room.open())
    assert_stands_once(room, incident)
    assert len(room.made()) == 1
    kinds = [one.kind for one in await room.database.read(audit.search, kind="incident")]
    assert kinds == ["incident.channel", "incident.opened"]


async def test_wherever_we_die_the_next_start_leaves_one_channel_and_one_headline(room: Room) -> None:
    """Each round dies one thing later than the one before, until one lives to the end."""
    deaths = 0
    for ends_at in range(1, 80):
        incident = await room.open(replace(OPENING, title=f"checkout is slow in shop {ends_at}"))
        life = Life(ends_at=ends_at)
        try:
            await room.settled(incident, room.channels(life))
        except _Died:
            deaths += 1
        else:
            break
        await room.database.write(incidents.release_all, SystemClock().now())
        assert_stands_once(room, await room.settled(incident))
    else:
        raise AssertionError("no life was long enough")
    assert deaths > 12
    assert len(room.made()) == deaths + 1


@pytest.mark.parametrize("fault", ["lost", "hangs up later", "fails"])
async def test_a_lost_answer_makes_no_second_channel(one_room: Room, fault: str) -> None:
    for method in ("conversations.create", "conversations.invite", "conversations.setTopic", "pins.add"):
        match fault:
            case "lost":
                one_room.workspace.faults.drop_after_effect(method, times=1)
            case "hangs up later":
                one_room.workspace.faults.rate_limited(1, method, times=1)
            case _:
                one_room.workspace.faults.server_error(method, times=1)
    incident = await one_room.settled(await one_room.open())
    assert_stands_once(one_room, incident)
    assert len(one_room.made()) == 1
    assert incident.name == "inc-" + incident.opened_at.strftime("%Y%m%d") + "-checkout-slow"


@pytest.mark.parametrize("answer", ["comes", "is lost"])
async def test_a_name_that_somebody_else_has_is_not_taken_from_them(one_room: Room, answer: str) -> None:
    incident = await one_room.open()
    one_room.workspace.add_channel(id="C0THEIRS", name=incident.name)
    if answer == "is lost":  # whether it was we who made it, nobody knows
        one_room.workspace.faults.drop_after_effect("conversations.create", times=1)
    settled = await one_room.settled(incident)
    assert settled.name == f"{incident.name}_2"
    assert_stands_once(one_room, settled)
    assert one_room.workspace.state.all_messages("C0THEIRS") == []


@pytest.mark.parametrize(
    ("error", "why"),
    [("missing_scope", "lacks the scope channels:manage"), ("restricted_action", "does not let the app make channels")],
)
async def test_where_no_channel_may_be_made_it_lives_where_it_was_asked_for_and_says_so(
    one_room: Room, error: str, why: str
) -> None:
    one_room.workspace.faults.refused(error, "conversations.create")
    incident = await one_room.settled(await one_room.open())
    assert (incident.channel, incident.is_ours) == ("C0INC", False)
    [headline] = one_room.said("C0INC", "*sev2 · checkout is slow*")
    assert headline.pinned
    [line] = one_room.said("C0INC", why)
    assert line.thread_ts == headline.ts
    assert one_room.made() == []
    told = [one_room.workspace.read(one) for one in one_room.workspace.ephemeral("bob", "incidents")]
    assert any(why in one for one in told), told
    assert len(one_room.said("C0OPS", "checkout is slow")) == 1


async def test_where_every_place_is_taken_it_has_no_channel_until_somebody_gives_it_one(room: Room) -> None:
    room.workspace.faults.refused("restricted_action", "conversations.create")
    for number, title in enumerate(("first", "second")):
        incident = await room.settled(await room.open(replace(OPENING, title=title)))
        assert incident.channel == ("C0INC", "C0OPS")[number]
    third = await room.settled(await room.open(replace(OPENING, title="third")))
    assert third.channel is None
    told = [room.workspace.read(one) for one in room.workspace.ephemeral("bob", "incidents")]
    assert any(f"`/incident bind {third.id}` gives it one" in one for one in told), told
    general = room.workspace.add_channel(id="C0MORE", name="more")
    outcome = await room.database.write(core.bind_channel, third.id, general.id, **how())
    assert isinstance(outcome, Outcome)
    await room.settled(third)
    assert len(room.said(general.id, "*sev2 · third*")) == 1


async def test_whether_it_was_made_cannot_be_looked_up_and_so_no_second_one_is_made(one_room: Room) -> None:
    one_room.workspace.faults.drop_after_effect("conversations.create", times=1)
    one_room.workspace.faults.refused("missing_scope", "users.conversations")
    incident = await one_room.settled(await one_room.open())
    assert (incident.channel, len(one_room.made())) == ("C0INC", 1)
    assert len(one_room.said("C0INC", "cannot be looked up")) == 1


async def test_what_slack_refuses_for_good_is_told_and_it_goes_on_without(one_room: Room) -> None:
    for method, error in (("pins.add", "missing_scope"), ("conversations.setTopic", "restricted_action")):
        one_room.workspace.faults.refused(error, method)
    incident = await one_room.settled(await one_room.open(replace(OPENING, invite=("UBOB", "UNOBODY", "UCAROL"))))
    assert incident.channel is not None
    channel = one_room.workspace.state.channels[incident.channel]
    assert {"UBOB", "UCAROL"} <= channel.members
    for words in ("could not be invited", "could not be pinned: missing_scope", "could not be set: restricted_action"):
        assert len(one_room.said(channel.id, words)) == 1, words


async def test_two_who_see_to_it_at_once_make_one(room: Room) -> None:
    incident = await room.open()
    await asyncio.gather(*(room.settled(incident, room.channels()) for _ in range(3)))
    now = await room.database.read(incidents.find, incident.id)
    assert now is not None
    assert_stands_once(room, now)
    assert len(room.made()) == 1


async def test_a_channel_that_is_bound_at_that_moment_is_the_only_one(room: Room) -> None:
    incident, seeing = await room.open(), room.channels()
    step = await room.database.write(seeing._settle, incident.id)
    assert step is not None
    assert step[1] is Step.CREATE
    bound = await room.database.write(core.bind_channel, incident.id, "C0INC", **how())
    assert isinstance(bound, Outcome)
    await seeing._do(*step)
    settled = await room.settled(incident)
    assert (settled.channel, settled.may_exist, room.made()) == ("C0INC", False, [])


async def test_no_channel_is_made_for_what_is_resolved_already(room: Room) -> None:
    incident = await room.open()
    await room.database.write(core.resolve, incident, "the cache was full", **how())
    settled = await room.settled(incident)
    assert (settled.channel, room.made()) == (None, [])
    assert room.said("C0OPS", "checkout") == []


async def test_a_channel_whose_making_was_not_answered_is_seen_to_also_when_it_is_resolved(one_room: Room) -> None:
    one_room.workspace.faults.drop_after_effect("conversations.create", times=1)
    incident, seeing = await one_room.open(), one_room.channels()
    await one_room.look(seeing)
    await one_room.database.write(core.resolve, incident, "the cache was full", **how())
    settled = await one_room.settled(incident)
    assert [one.id for one in one_room.made()] == [settled.channel]
    for place in ("C0INC", "C0OPS"):
        assert len(one_room.said(place, "is resolved; it was worked on in")) == 1, place


async def test_a_change_is_told_while_slack_puts_the_topic_off_and_the_topic_is_not_asked_for_before_its_time(
    one_room: Room,
) -> None:
    incident, seeing = await one_room.settled(await one_room.open()), one_room.channels()
    asked = len(one_room.workspace.calls_of("conversations.setTopic"))
    one_room.workspace.faults.rate_limited(30, "conversations.setTopic", times=1)
    for number, severity in enumerate((1, 3, 4), 1):
        now = await one_room.database.read(incidents.find, incident.id)
        assert now is not None
        await one_room.database.write(core.set_severity, now, severity, **how())
        await one_room.look(seeing)
        assert len(one_room.said(str(incident.channel), f"sev{now.severity} → sev{severity}")) == 1
        [headline] = [one for one in one_room.workspace.state.all_messages(str(incident.channel)) if one.pinned]
        assert f"*sev{severity} ·" in one_room.workspace.read(headline)
        assert len(one_room.workspace.calls_of("conversations.setTopic")) == asked + 1, number
    one_room.clock.late += 31
    await one_room.database.write(incidents.release_all, SystemClock().now())
    await one_room.look(seeing)
    assert one_room.workspace.state.channels[str(incident.channel)].topic.startswith("sev4")


async def test_an_alert_opens_one_as_a_person_does(one_room: Room) -> None:
    alert = Opening(title="CPU <!channel> & <@UALICE>", actor=Actor(id="alert:prometheus"), origin=Origin.ALERT)
    incident = await one_room.settled(await one_room.open(alert))
    assert incident.channel is not None
    [headline] = one_room.said(incident.channel, "CPU")
    assert "<!channel>" not in str(headline.blocks)
    assert "&lt;!channel&gt;" in headline.text


async def test_a_change_is_told_and_the_headline_shows_it(one_room: Room) -> None:
    incident = await one_room.settled(await one_room.open())
    await one_room.database.write(core.set_status, incident, IncidentStatus.MONITORING, **how())
    await one_room.database.write(core.note, incident, "<!channel> look", **how())
    await one_room.settled(incident)
    assert incident.channel is not None
    [headline] = [one for one in one_room.workspace.state.all_messages(incident.channel) if one.pinned]
    assert "*Monitoring*" in one_room.workspace.read(headline)
    assert len(one_room.said(incident.channel, "investigating → monitoring")) == 1
    [note] = one_room.said(incident.channel, ":memo:")
    assert "&lt;!channel&gt; look" in note.text
    assert one_room.workspace.state.channels[incident.channel].topic.startswith("sev2 · monitoring")


async def test_a_headline_that_is_said_after_all_says_what_is_so_now_and_is_edited(room: Room) -> None:
    """Its own channel and the alerts channel took nothing, and then a person has it said again."""
    room.workspace.faults.refused("is_archived", "chat.postMessage")
    incident = await room.settled(await room.open())
    assert incident.headline_ts == DEAD_HEADLINE
    room.workspace.faults.clear()
    await room.database.write(core.set_status, incident, IncidentStatus.MONITORING, **how())
    await room.settled(incident)
    requeued = await room.database.write(dead_letters.requeue, str(incident.headline_id), SystemClock().now())
    assert requeued is Requeued.DONE
    room.sender.wake()
    incident = await room.settled(incident)
    [headline] = room.said(str(incident.channel), incident.title)
    assert (headline.ts, headline.pinned) == (incident.headline_ts, True)
    assert "*Monitoring*" in room.workspace.read(headline)
    await room.database.write(core.set_status, incident, IncidentStatus.IDENTIFIED, **how())
    await room.settled(incident)
    [headline] = room.said(str(incident.channel), incident.title)
    assert "*Identified*" in room.workspace.read(headline)


async def test_a_private_channel_is_made_where_the_settings_say_so(one_room: Room) -> None:
    one_room.customs = Customs(private=True)
    one_room.workspace.faults.drop_after_effect("conversations.create", times=1)
    incident = await one_room.settled(await one_room.open())
    [channel] = one_room.made()
    assert channel.kind.value == "groups"
    assert incident.channel == channel.id


def test_what_is_missing_is_named_in_the_order_in_which_it_is_done() -> None:
    bare = Incident(
        id=1, name="inc-1", title="t", severity=1, service=None, status=IncidentStatus.INVESTIGATING, opened_by=BOB,
        origin=Origin.COMMAND, opened_at=SystemClock().now(), asked_in=None, wants_channel=True, to_invite=("UBOB",),
    )  # fmt: skip
    seen = [next_step(bare, 2)]
    for change in (
        {"channel": "C1", "is_ours": True},
        {"headline_id": "m"},
        {"to_invite": ()},
        {"topic": "sev1 · investigating · t"},
        {"headline_ts": "1.2", "version": 1},
        {"told": 2},
        {"shown": 1},
        {"pinned": True},
    ):
        bare = replace(bare, **change)
        seen.append(next_step(bare, 2))
    assert seen == [
        Step.CREATE, Step.HEADLINE, Step.INVITE, Step.TOPIC, Step.STANDS, Step.TELL, Step.SHOW, Step.PIN, Step.NOTHING,
    ]  # fmt: skip
    assert next_step(replace(bare, channel=None, wants_channel=False), 2) is Step.NOTHING
    # What needs the outbox alone waits for nothing that Slack may put off.
    behind = replace(bare, to_invite=("UBOB",), topic="another", pinned=False)
    assert next_step(behind, 3) is Step.TELL
    assert next_step(replace(behind, version=2), 2) is Step.SHOW
