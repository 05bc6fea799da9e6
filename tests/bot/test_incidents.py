"""The door to incidents: once each, for those who may, and a draft that holds what was recorded and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from bot.actions import Actions
from bot.incident_cards import SCOPES, timeline
from bot.manifest import as_dict
from bot.modals import Shown
from bot.postmortem import draft, written
from runbooks import incidents as core
from runbooks.incidents import Moment, Opening, Outcome, Story, open_incident
from storage import audit, inbox, incidents, outbox
from storage.database import Database
from storage.errors import Invalid, NotFound, NotPermitted, TooLate
from storage.records import Actor, Incident, Origin, Received
from tests.builders import ALICE, BOB, CAROL, DAVE, House, a_house, commands_of, forms_of
from tests.fakes import START, FakeViews

HELEN = Actor(id="UHELEN", name="helen")


class AlreadyDoneError(Exception):
    """Handled before."""


def a_request(
    text: str, *, by: Actor = BOB, kind: str = "command", channel: str | None = "C0INC", **more: Any
) -> Received:
    """As the inbox keeps it."""
    number = f"{kind}-{by.id}-{text}-{sorted(more.items())}"[:39]
    payload = {"command": "/incident", "altered": False, **more}
    return Received(
        id=number, key=number, kind=kind, actor=by, channel=channel, text=text, payload=payload, received_at=START
    )


def once(received: Received) -> Callable[[Connection], object]:
    """As the desk marks it, inside the transaction of what comes of it."""

    def handled(connection: Connection) -> None:
        if not inbox.handled(connection, received.id):
            raise AlreadyDoneError

    return handled


async def says(house: House, text: str, *, by: Actor = BOB, channel: str | None = "C0INC") -> str:
    """What this person is told."""
    received = a_request(text, by=by, channel=channel)
    answer = await commands_of(house.engine).answer(received, origin=Origin.COMMAND, handled=lambda connection: None)
    return answer.text if answer is not None else ""


async def test_what_is_delivered_or_taken_up_twice_happens_once(database: Database) -> None:
    async with a_house(database) as house:
        commands = commands_of(house.engine)
        for text in ("open 'checkout is slow' sev2", "bind 'mail is late'", "note seen"):
            received = a_request(text)
            assert await database.write(inbox.receive, received)
            assert not await database.write(inbox.receive, received)  # Slack delivers again
            await commands.answer(received, origin=Origin.COMMAND, handled=once(received))
            with pytest.raises(AlreadyDoneError):  # we died before we had answered, and take it up again
                await commands.answer(received, origin=Origin.COMMAND, handled=once(received))
        found = await database.read(incidents.unresolved)
        assert sorted(one.title for one in found) == ["checkout is slow", "mail is late"]
        [bound] = [one for one in found if one.channel == "C0INC"]
        entries = await database.read(incidents.entries, bound.id)
        assert [one.text for one in entries] == ["opened: mail is late (sev3)", "seen"]


async def test_who_may_what(database: Database) -> None:
    async with a_house(database) as house:
        people = replace(house.engine.policy.people, roles={**house.engine.policy.people.roles, "UHELEN": "HELPDESK"})
        house.engine.govern(replace(house.engine.policy, people=people))
        await says(house, "bind 'checkout is slow' service=nginx")
        for text in ("", "list", "timeline", "note seen by a customer", "runbooks", "postmortem"):
            await says(house, text, by=HELEN)
            with pytest.raises(NotPermitted):
                await says(house, text, by=DAVE)
        for text in (
            "open x",
            "severity sev1",
            "status monitoring",
            "role commander <@UBOB>",
            "resolve done",
            "bind 1",
        ):
            for person in (HELEN, DAVE):
                with pytest.raises(NotPermitted, match=r"runbooks\.execute"):
                    await says(house, text, by=person)
        for text in ("severity sev1", "status monitoring", "role commander <@UCAROL>", "resolve done"):
            await says(house, text, by=CAROL)
        denied = await database.read(audit.search, kind="denied", limit=50)
        assert len(denied) == 6 + 12


async def test_where_nothing_is_what_to_do_is_said(database: Database) -> None:
    async with a_house(database) as house:
        for text in ("", "timeline", "runbooks", "note x", "status monitoring"):
            with pytest.raises(NotFound, match="is about no incident"):
                await says(house, text)
        with pytest.raises(NotFound, match="no incident 7"):
            await says(house, "show 7")
        with pytest.raises(Invalid, match="in the channel that you mean"):
            await says(house, "bind x", channel=None)
        assert "Should an incident be opened?" in await says(house, "checkout is slow")


async def test_a_summary_that_holds_a_secret_is_not_kept(database: Database) -> None:
    async with a_house(database) as house:
        commands = commands_of(house.engine)
        await says(house, "bind 'checkout is slow'")
        actions = Actions(house.engine, commands, FakeViews(shows=Shown.NO), forms_of(house.engine))
        sent = a_request(
            "the password was [redacted]", kind="view", verb="handrail:inc_resolve", value="1", altered=True
        )
        with pytest.raises(Invalid, match="looks like a secret"):
            await actions.answer(sent)
        [incident] = await database.read(incidents.unresolved)
        assert incident.is_open


async def test_command_is_not_taken_from_whoever_has_it(database: Database) -> None:
    async with a_house(database) as house:
        await says(house, "bind 'checkout is slow'")
        actions = Actions(house.engine, commands_of(house.engine), FakeViews(shows=Shown.NO), forms_of(house.engine))
        await actions.answer(a_request("handrail:inc_take", kind="click", value="1"))
        with pytest.raises(TooLate, match="<@UBOB> is in command already"):
            await actions.answer(a_request("handrail:inc_take", kind="click", value="1", by=CAROL))
        [incident] = await database.read(incidents.unresolved)
        assert incident.roles == {"commander": "UBOB"}


async def test_a_draft_waits_in_the_outbox_for_its_channel_and_is_witnessed(database: Database) -> None:
    async with a_house(database) as house:
        await says(house, "bind 'checkout is slow'")
        assert "is being attached" in await says(house, "postmortem", by=ALICE)
        await says(house, "postmortem", by=ALICE)
        [waiting] = [one.message for one in await database.read(outbox.ready, START) if one.message.method == "upload"]
        assert (waiting.channel, waiting.payload["postmortem"]) == ("C0INC", 1)
        actions = Actions(house.engine, commands_of(house.engine), FakeViews(shows=Shown.NO), forms_of(house.engine))
        await actions.answer(a_request("handrail:inc_postmortem", kind="click", value="1"))
        found = await database.read(audit.search, incident="C0INC", kind="incident.postmortem")
        assert [one.origin for one in found] == ["button", "command", "command"]


async def test_a_draft_of_one_without_a_channel_is_attached_where_it_was_asked_for(database: Database) -> None:
    async with a_house(database) as house:
        await says(house, "open 'checkout is slow'")
        assert "is being attached here, since it has no channel" in await says(house, "postmortem 1", channel="C0OPS")
        [waiting] = [one.message for one in await database.read(outbox.ready, START) if one.message.method == "upload"]
        assert waiting.channel == "C0OPS"
        [entry] = await database.read(audit.search, kind="incident.postmortem")
        assert entry.data["channel"] == "C0OPS"
        assert "has no channel to attach a draft to" in await says(house, "postmortem 1", channel=None)


async def test_a_draft_holds_nobody_elses_markup_and_no_secret(database: Database) -> None:
    opening = Opening(
        title="# <!channel> [x](http://evil.example)", actor=BOB, origin=Origin.ALERT, asked_in="C0INC", here=True
    )
    opened = await database.write(open_incident, opening, START)
    assert isinstance(opened, Outcome)
    note = "<@UALICE> said\n# done\npassword=hunter2hunter2 `x`"
    how: dict[str, Any] = {"actor": BOB, "origin": Origin.COMMAND, "now": START}
    await database.write(core.note, opened.incident, note, **how)
    text = (await database.read(draft, opened.incident.id)).content.decode()
    lines = text.splitlines()
    assert lines[0] == r"# \# \<\!channel\> \[x\]\(http://evil.example)".replace(r"\(", "(")
    assert [line for line in lines if line.startswith("# ")] == lines[:1]
    assert "hunter2" not in text
    assert "@UALICE said" in text
    with pytest.raises(NotFound):
        await database.read(draft, 99)


def test_a_long_history_is_in_the_draft_as_a_whole() -> None:
    incident = Incident(
        id=1, name="inc-1", title="t", severity=1, service=None, status=core.IncidentStatus.INVESTIGATING,
        opened_by=BOB, origin=Origin.COMMAND, opened_at=START, asked_in=None,
    )  # fmt: skip
    moments = [Moment(at=START, actor=None, what=f"line {number}") for number in range(2_000)]
    lines = list(written(incident, Story(moments=tuple(moments), ran=())))
    assert sum("line " in line for line in lines) == 2_000
    assert "Nothing was run in its channel." in lines


def test_what_is_too_much_for_the_draft_or_a_message_is_counted_there() -> None:
    incident = Incident(
        id=1, name="inc-1", title="t", severity=1, service=None, status=core.IncidentStatus.INVESTIGATING,
        opened_by=BOB, origin=Origin.COMMAND, opened_at=START, asked_in=None,
    )  # fmt: skip
    moments = tuple(Moment(at=START, actor=None, what=f"line {number}") for number in range(50))
    told = Story(moments=moments, ran=(), earlier=1_200)
    assert "1,200 earlier executions not listed, here and below: `/runbook history` has all." in written(incident, told)
    shown = str(timeline(incident, told).blocks)
    assert "_10 earlier lines: `/incident postmortem` has them._" in shown
    assert "_1,200 executions before those" in shown
    assert "before those" not in str(timeline(incident, replace(told, earlier=0)).blocks)


def test_the_manifest_has_what_an_incident_takes() -> None:
    assert set(SCOPES) <= set(as_dict()["oauth_config"]["scopes"]["bot"])
