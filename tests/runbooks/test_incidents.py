"""Incidents as rows: opened once, followed, resolved, and told with everything that belongs to them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from runbooks import incidents as core
from runbooks.incidents import PAGE, Opening, Outcome, channel_name, durations, offers, open_incident
from runbooks.switches import engage
from storage import approvals, audit, executions, incidents
from storage.database import Database
from storage.errors import Invalid, NotFound, TooLate
from storage.records import (
    Actor,
    ApprovalState,
    Consent,
    Danger,
    Incident,
    IncidentChange,
    IncidentRole,
    IncidentStatus,
    KillSwitch,
    Origin,
    Priority,
    Scope,
    State,
)
from tests.builders import BOB, CAROL, catalog_with, hosts
from tests.fakes import START, FakeReporter

HOW: dict[str, Any] = {"actor": BOB, "origin": Origin.COMMAND}
SLOW = Opening(title="checkout is slow", severity=2, service="nginx", asked_in="C0INC", **HOW)


def later(minutes: float) -> datetime:
    """So long after the start."""
    return START + timedelta(minutes=minutes)


async def opened(database: Database, opening: Opening = SLOW, now: datetime = START) -> Incident:
    """An incident that is new."""
    outcome = await database.write(open_incident, opening, now)
    assert isinstance(outcome, Outcome), outcome
    assert outcome.is_new
    return outcome.incident


def ran(connection: Connection, *, channel: str, at: datetime, state: State = State.SUCCEEDED) -> int:
    """An execution in a channel, ended a minute later."""
    made = executions.create(
        connection, runbook="restart-service", params={"service": "nginx"}, hosts=["web-01"], services=["nginx"],
        danger=Danger.DANGEROUS, actor=BOB, origin=Origin.COMMAND, channel=channel, text="restart nginx on web-01",
        normalised=None, reason=None, dry_run=False, priority=Priority.NORMAL, state=state,
        timeout=timedelta(minutes=5), now=at,
    )  # fmt: skip
    executions.set_values(
        connection, made.id, started_at=at + timedelta(seconds=5), ended_at=at + timedelta(minutes=1), ending="up again"
    )
    return made.id


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("checkout is slow", "inc-20261121-checkout-slow"),
        ("Payments: 500s on /api/v2!", "inc-20261121-payments-500s-api-v2"),
        ("Größe & Maße", "inc-20261121-groe-mae"),
        ("התשלום איטי", "inc-20261121"),
        ("<!channel> it's the end", "inc-20261121-channel-end"),
        ("word " * 60, "inc-20261121-word-word-word-word-word-word-word-word-word"),
    ],
)
def test_a_channel_is_named_after_the_day_and_what_is_wrong(title: str, name: str) -> None:
    assert channel_name(title, START) == name


@given(st.text(max_size=4_000))
def test_whatever_the_title_slack_takes_the_name(title: str) -> None:
    name = channel_name(title, datetime(2026, 11, 21, tzinfo=UTC))
    assert len(name) <= 70
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


async def test_the_same_is_not_opened_twice_while_it_is_open(database: Database) -> None:
    first = await opened(database)
    again = await database.write(open_incident, replace(SLOW, title="  Checkout is  SLOW ", actor=CAROL), later(1))
    assert isinstance(again, Outcome)
    assert (again.incident.id, again.is_new) == (first.id, False)
    assert "open already" in again.message
    await database.write(core.resolve, first, "the cache was full", **HOW, now=later(2))
    anew = await opened(database, now=later(3))
    assert anew.name == "inc-20261121-checkout-slow_2"
    assert await database.write(core.next_name, anew) == "inc-20261121-checkout-slow_3"


async def test_what_no_person_would_type_is_bounded_where_an_alert_opens_it(database: Database) -> None:
    opening = Opening(title="x " * 2_000, actor=Actor(id="alert:prom"), origin=Origin.ALERT)
    incident = await opened(database, opening)
    assert len(incident.title) <= 300
    assert incident.wants_channel
    assert isinstance(await database.write(open_incident, replace(opening, title=" \n "), START), Invalid)
    assert isinstance(await database.write(open_incident, replace(opening, severity=5), START), Invalid)


async def test_a_channel_is_about_one_thing_at_a_time(database: Database) -> None:
    first = await opened(database, replace(SLOW, here=True))
    assert first.channel == "C0INC"
    other = replace(SLOW, title="mail is late", here=True)
    assert isinstance(await database.write(open_incident, other, later(1)), TooLate)
    homeless = await opened(database, replace(other, here=False))
    assert isinstance(await database.write(core.bind_channel, homeless.id, "C0INC", **HOW, now=later(2)), TooLate)
    bound = await database.write(core.bind_channel, homeless.id, "C0OPS", **HOW, now=later(2))
    assert isinstance(bound, Outcome)
    assert (bound.incident.channel, bound.incident.wants_channel) == ("C0OPS", False)
    await database.write(core.resolve, first, "done", **HOW, now=later(3))
    assert isinstance(await database.write(open_incident, replace(SLOW, title="a third", here=True), later(4)), Outcome)


async def test_a_channel_that_may_exist_is_waited_for_before_another_is_bound(database: Database) -> None:
    incident = await opened(database)
    await database.write(incidents.set_values, incident.id, may_exist=True)
    assert isinstance(await database.write(core.bind_channel, incident.id, "C0OPS", **HOW, now=later(1)), TooLate)


async def test_times_are_kept_as_they_were_recorded(database: Database) -> None:
    incident = await opened(database)

    async def become(status: IncidentStatus, minutes: float) -> Incident:
        now = await database.read(incidents.find, incident.id)
        assert now is not None
        outcome = await database.write(core.set_status, now, status, **HOW, now=later(minutes))
        assert isinstance(outcome, Outcome), outcome
        return outcome.incident

    assert durations(await become(IncidentStatus.IDENTIFIED, 4)) == {"acknowledged": timedelta(minutes=4)}
    assert durations(await become(IncidentStatus.MONITORING, 20))["mitigated"] == timedelta(minutes=20)
    back = await become(IncidentStatus.INVESTIGATING, 25)  # it came back
    assert durations(back) == {"acknowledged": timedelta(minutes=4)}
    mitigated = await become(IncidentStatus.MONITORING, 40)
    ended = await database.write(core.resolve, mitigated, "the cache was full", **HOW, now=later(60))
    assert isinstance(ended, Outcome)
    assert {name: took.total_seconds() / 60 for name, took in durations(ended.incident).items()} == {
        "acknowledged": 4, "mitigated": 40, "resolved": 60,
    }  # fmt: skip
    assert "resolved after 1 h" in ended.message
    [entry] = await database.read(audit.search, kind="incident.resolved")
    assert entry.data["seconds"] == {"acknowledged": 240, "mitigated": 2400, "resolved": 3600}
    assert (await database.read(audit.verify)).ok


async def test_who_takes_command_acknowledges_it_and_a_new_commander_does_not_again(database: Database) -> None:
    incident = await opened(database)
    first = await database.write(core.give_role, incident, IncidentRole.COMMANDER, "UBOB", **HOW, now=later(3))
    assert isinstance(first, Outcome)
    second = await database.write(core.give_role, first.incident, IncidentRole.COMMANDER, "UCAROL", **HOW, now=later(9))
    assert isinstance(second, Outcome)
    assert second.incident.roles == {"commander": "UCAROL"}
    assert second.incident.acknowledged_at == later(3)
    same = await database.write(core.give_role, second.incident, IncidentRole.COMMANDER, "UCAROL", **HOW, now=later(9))
    assert isinstance(same, Outcome)
    assert not same.is_new
    none = await database.write(core.give_role, second.incident, IncidentRole.COMMANDER, None, **HOW, now=later(10))
    assert isinstance(none, Outcome)
    assert none.incident.roles == {}


async def test_what_is_resolved_changes_no_more(database: Database) -> None:
    incident = await opened(database, replace(SLOW, here=True))
    assert isinstance(await database.write(core.resolve, incident, "  ", **HOW, now=later(1)), Invalid)
    await database.write(core.resolve, incident, "done", **HOW, now=later(1))
    with pytest.raises(TooLate, match="is resolved"):
        await database.write(core.current, "C0INC")
    with pytest.raises(TooLate, match="is resolved"):
        await database.write(core.open_one, incident.id)
    with pytest.raises(NotFound, match="is about no incident"):
        await database.write(core.current, "C0NEW")
    with pytest.raises(NotFound, match="no incident 99"):
        await database.write(core.open_one, 99)


async def test_the_timeline_holds_what_belongs_to_it_in_its_order_and_nothing_else(database: Database) -> None:
    incident = await opened(database, replace(SLOW, here=True))

    def happen(connection: Connection) -> None:
        ran(connection, channel="C0INC", at=START - timedelta(minutes=1))  # before it was opened
        ran(connection, channel="C0OPS", at=later(1))  # elsewhere
        mine = ran(connection, channel="C0INC", at=later(2))
        approvals.ask(
            connection, mine, fingerprint="f" * 64, kind=Consent.APPROVE, now=later(2.1), expire=timedelta(minutes=15)
        )
        approvals.decide(connection, mine, to=ApprovalState.GIVEN, by="UCAROL", now=later(2.2))
        for scope, subject, channel in (
            (Scope.GLOBAL, "", "C0OPS"),
            (Scope.SERVICE, "nginx", None),
            (Scope.HOST, "web-09", "C0OPS"),
            (Scope.HOST, "web-02", "C0INC"),
        ):
            switch = KillSwitch(
                scope=scope, subject=subject, engaged_by=CAROL, engaged_at=later(4), now=False, reason="<!channel> stop"
            )
            engage(connection, switch, origin=Origin.COMMAND, channel=channel, reporter=FakeReporter(), now=later(4))
        held = core.current(connection, "C0INC")
        core.note(connection, held, "it is the <!channel> cache", **HOW, now=later(3))
        core.resolve(connection, held, "the cache was full", **HOW, now=later(5))
        ran(connection, channel="C0INC", at=later(6))  # after its end

    await database.write(happen)
    found = await database.read(incidents.find, incident.id)
    assert found is not None
    moments = (await database.read(core.story, found)).moments
    assert [moment.at for moment in moments] == sorted(moment.at for moment in moments)
    said = [f"{one.what}|{one.quoted}" for one in moments]
    assert said[0].startswith("opened|checkout is slow (sev2, nginx)")
    assert said[-1] == "resolved|the cache was full"
    assert "#3 restart-service on web-01: asked for|" in said
    assert "#3 succeeded: up again|" in said
    assert "#3 approved|" in said
    assert "note|it is the <!channel> cache" in said
    switched = sorted(line for line in said if "kill switch" in line)
    assert [line.partition("|")[0] for line in switched] == [
        "kill switch global engaged", "kill switch host web-02 engaged", "kill switch service nginx engaged",
    ]  # fmt: skip
    assert not [line for line in said if line.startswith(("#1 ", "#2 ", "#4 "))]
    ids = [one.id for one in await database.read(incidents.executions_of, found)]
    assert ids == [3]
    third = await database.read(executions.get, 3)
    fourth = await database.read(executions.get, 4)
    assert await database.read(incidents.of_execution, third) == found
    assert await database.read(incidents.of_execution, fourth) is None


async def test_a_long_story_loses_nothing_without_a_word(database: Database) -> None:
    """More executions, notes and kill switches than are read at once; what does not concern it comes last."""
    incident = await opened(database, replace(SLOW, here=True))

    def happen(connection: Connection) -> None:
        for kind, scope in (("engaged", "global"), ("released", "global"), *[("engaged", "host")] * (2 * PAGE)):
            audit.append(
                connection, at=later(1), kind=f"killswitch.{kind}", actor=CAROL, origin=Origin.COMMAND, scope=scope,
                subject="" if scope == "global" else "web-09", channel="C0OPS",
            )  # fmt: skip
        for _ in range(205):
            ran(connection, channel="C0INC", at=later(2))
        for number in range(1_005):
            incidents.add_entry(
                connection, incident.id, at=later(3), actor=BOB, change=IncidentChange.NOTE, text=f"note {number}"
            )

    await database.write(happen)
    some, whole = await database.read(core.story, incident), await database.read(core.story, incident, most=500)
    assert (len(some.ran), some.earlier) == (200, 5)
    assert some.ran == whole.ran[5:]
    assert (len(whole.ran), whole.earlier) == (205, 0)
    assert sum(one.what == "note" for one in some.moments) == 1_005
    assert sum(one.what.endswith(": asked for") for one in whole.moments) == 205
    assert [one.what for one in some.moments if "kill switch" in one.what] == [
        "kill switch global engaged",
        "kill switch global released",
    ]


async def test_every_change_is_in_the_audit_and_found_by_its_channel(database: Database) -> None:
    incident = await opened(database, replace(SLOW, here=True))
    await database.write(core.set_severity, incident, 1, **HOW, now=later(1))
    await database.write(core.note, incident, "seen", **HOW, now=later(2))
    kinds = [one.kind for one in await database.read(audit.search, incident="C0INC")]
    assert kinds == ["incident.note", "incident.severity", "incident.opened"]


async def test_runbooks_for_its_service_are_offered_with_those_that_only_read_first(database: Database) -> None:
    incident = await opened(database)
    found = offers(catalog_with(), hosts(), incident)
    assert [one.danger.rank for one in found] == sorted(one.danger.rank for one in found)
    assert found[0].words == "health-check nginx on web-01,web-02"
    assert "restart-service nginx on web-01,web-02" in [one.words for one in found]
    mild = offers(catalog_with(), hosts(), replace(incident, severity=3))
    assert {one.danger for one in mild} <= {Danger.READ, Danger.LOW}
    assert offers(catalog_with(), hosts(), replace(incident, service=None)) == []
    assert offers(catalog_with(), hosts(), replace(incident, service="unheard-of")) == []
    assert offers(catalog_with(), hosts(), replace(incident, service="nginx.service")) != []
