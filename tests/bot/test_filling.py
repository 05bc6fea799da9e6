"""Forms being filled in: what opens, what is offered, what is wrong, and what *Run* runs."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bot import forms
from bot.blocks import Message
from bot.commands import Commands
from bot.filling import TOLD_AFTER, Forms
from bot.forms import Draft
from bot.inbox import NOT_STORED, Inbox, keep
from bot.modals import Shown
from bot.request import RunCommand, parse_runbook
from bot.slack import _Submission
from runbooks import Danger, Facts, Parameters, Plan, Probe, Run, Runbook, ServiceName, positional
from runbooks.catalog import bind
from runbooks.inventory import Inventory
from runbooks.remote import Host
from safety.clock import Clock
from safety.redaction import MASK, Redactor
from safety.review import Policy
from safety.roles import PERMISSIONS, Can, Permission, Role
from storage import approvals, audit, executions, inbox, outbox
from storage import tables as t
from storage.database import Database
from storage.errors import Invalid, NotFound, NotPermitted, OperatorError, TooLate
from storage.records import Actor, ApprovalState, Origin, Platform, Received, Scope, State
from tests.builders import ALICE, BOB, CAROL, DAVE, House, a_house, catalog_with
from tests.fakes import FakeClock, FakeViews, Reply
from tests.safety.test_roles import Groups


class Stamp(Runbook):
    """Leave a file with the time of day in its name: planned twice, it is never the same."""

    name, danger, cooldown = "stamp", Danger.HIGH, timedelta(0)

    class Params(Parameters):
        """For which service."""

        service: ServiceName = positional("which service")

    async def probe(self, host: Probe, params: Params) -> Facts:
        """What time it is."""
        return Facts(time=str(await host.read("date", "+%s")))

    def plan(self, params: Params, facts: Facts) -> Plan:
        """One file."""
        return Plan(Run("Stamp it", "touch", f"/tmp/{params.service}.{facts.time}"))


def host(name: str, *services: str, platform: Platform = Platform.LINUX, tags: tuple[str, ...] = ("web",)) -> Host:
    """One of the inventory."""
    return Host(
        name=name,
        address="127.0.0.1",
        port=22,
        user="ops",
        platform=platform,
        tags=frozenset(tags),
        services=frozenset(services),
    )


HOSTS = Inventory(
    hosts=(
        host("web-01", "nginx", "celery@1"),
        host("web-02", "nginx"),
        host("db-01", "postgresql", tags=("db",)),
        host("win-01", "iis", platform=Platform.WINDOWS),
    )
)


@dataclass
class Desk:
    """A house in which forms are filled in; time goes on by itself only a little with each look at the clock."""

    house: House
    views: FakeViews
    forms: Forms
    commands: Commands
    number: int = 0

    def received(self, text: str, *, by: Actor = BOB, kind: str = "command", **payload: Any) -> Received:
        """Something that came in now."""
        self.number += 1
        return Received(
            id=f"{self.number:032}",
            key=f"{kind}:{self.number}",
            kind=kind,
            actor=by,
            channel="C0INC",
            text=text,
            payload={"command": "/runbook", "trigger_id": "1.2.3", **payload},
            received_at=self.house.engine.tools.clock.now(),
        )

    async def say(self, text: str, *, by: Actor = BOB, **payload: Any) -> str:
        """Type it; what is said back."""
        return said(await self.answer(self.received(text, by=by, **payload)))

    async def answer(self, received: Received) -> Message | None:
        """What comes of it."""
        await self.house.database.write(keep, received, Origin.COMMAND)
        return await self.commands.answer(
            received, origin=Origin.MODAL, handled=lambda connection: inbox.handled(connection, received.id)
        )

    def fill(self, runbook: str, *, by: Actor = BOB, options: tuple[str, ...] = (), **answers: Any) -> Any:
        """Submit a form; what is to be acknowledged, or the errors by block."""
        return self.forms.submitted(by, self.filled(runbook, options=options, **answers))

    def filled(
        self, runbook: str, *, hosts: tuple[str, ...] = (), options: tuple[str, ...] = (), **answers: Any
    ) -> dict[str, Any]:
        """A form in which somebody has answered; `service="nginx"` for a parameter."""
        view = forms.form(self.house.engine.catalog.get(runbook), Draft(runbook=runbook, channel="C0INC"))
        values = {
            (name if name in {"reason", "template"} else f"parameter:{name}"): {"value": {"type": "x", "value": value}}
            for name, value in answers.items()
        }
        values["hosts"] = {"x": {"type": "x", "selected_options": [forms.option(name, name) for name in hosts]}}
        values["options"] = {"value": {"type": "x", "selected_options": [forms.option(o, o) for o in options]}}
        return {**view, "id": "V1", "state": {"values": values}}

    async def look(self, runbook: str, *, by: Actor = BOB, **answers: Any) -> Mapping[str, Any]:
        """Submit a form that has no errors; the plan page that comes of it."""
        heard = self.fill(runbook, by=by, **answers)
        assert heard.errors == {}
        received = self.received(heard.text, by=by, kind=heard.kind, **heard.payload)
        await self.house.database.write(keep, received, Origin.MODAL)
        await self.forms.look(received)
        return self.views.shown[-1]

    async def run(self, page: Mapping[str, Any], *, by: Actor = BOB, **changed: Any) -> str:
        """Press *Run* on a plan page; what is said back."""
        heard = self.forms.submitted(by, page)
        assert heard is not None
        assert heard.then == {"response_action": "clear"}
        received = self.received(heard.text, by=by, kind=heard.kind, **heard.payload)
        return said(await self.answer(replace(received, **changed)))


def said(message: Message | None) -> str:
    """In words; empty for nothing."""
    return message.text if message is not None else ""


@asynccontextmanager
async def a_desk(database: Database, clock: Clock | None = None) -> AsyncIterator[Desk]:
    """Its remote answers `date` with another second each time."""
    seconds = iter(range(1_000, 10_000))

    def narrowed(policy: Policy) -> Policy:
        can = {"UCAROL": (Can(rule="roles:UCAROL can", runbooks=("stamp",), hosts=("web-02",), max_hosts=1),)}
        return replace(policy, people=replace(policy.people, can=can))

    replies = {"date": lambda line: Reply(out=str(next(seconds))), "touch": Reply()}
    catalog = catalog_with(Stamp)
    made_of = {"replies": replies, "catalog": catalog, "inventory": HOSTS, "clock": clock}
    async with a_house(database, change=narrowed, **made_of) as house:
        views = FakeViews()
        made = Forms(house.engine, Redactor(()), views)
        yield Desk(house=house, views=views, forms=made, commands=Commands(house.engine, made))


@pytest.fixture
async def desk(sqlite: Database) -> AsyncIterator[Desk]:
    """Where the database behind does not matter."""
    async with a_desk(sqlite) as desk:
        yield desk


@pytest.fixture
async def any_desk(database: Database) -> AsyncIterator[Desk]:
    """On each database."""
    async with a_desk(database) as desk:
        yield desk


def values_of(options: Mapping[str, Any]) -> list[str]:
    """What a menu offers, in its order."""
    groups = options.get("option_groups", [options])
    return [one["value"] for group in groups for one in group["options"]]


# --- opening ----------------------------------------------------------------------------------------------------------


async def test_a_request_with_something_missing_opens_its_form_with_what_was_typed(desk: Desk) -> None:
    assert await desk.say('stamp on web-01 --reason "disk is full" --priority high') == ""
    [view] = desk.views.shown
    assert view["title"]["text"] == "stamp"
    assert "web-01" in json.dumps(view["blocks"])
    assert "disk is full" in json.dumps(view["blocks"])
    assert "priority high" in json.dumps(view["blocks"])


async def test_what_is_wrong_with_what_was_typed_stands_on_top_of_the_form(desk: Desk) -> None:
    await desk.say("restart-service settle=900 on web-01")
    problem = desk.views.shown[0]["blocks"][1]["text"]["text"]
    assert problem == ":warning: 'settle': '900' is too much: at most 300 seconds."


async def test_nothing_that_was_typed_is_dropped_without_a_word(desk: Desk) -> None:
    await desk.say(f'stamp on web-9 --emergency --reason "{"x" * 700}"')
    shown = json.dumps(desk.views.shown[0]["blocks"])
    assert "No host matches 'web-9'" in shown
    assert "The reason is longer than 600 characters" in shown
    [options] = [block for block in desk.views.shown[0]["blocks"] if block.get("block_id") == "options"]
    assert [one["value"] for one in options["element"]["initial_options"]] == ["emergency"]


async def test_a_name_that_is_nearly_right_opens_no_form_before_somebody_says_that_it_was_meant(desk: Desk) -> None:
    assert "Did you mean `stamp`" in await desk.say("stmp nginx")
    assert desk.views.shown == []


@pytest.mark.parametrize("text", ["stamp nginx speed=9 on web-01", "stamp nginx apache", "stamp nginx service=nginx"])
async def test_where_no_form_can_help_the_answer_is_in_words(desk: Desk, text: str) -> None:
    with pytest.raises(OperatorError):
        await desk.say(text)
    assert desk.views.shown == []


async def test_where_slack_takes_no_view_any_more_the_answer_is_in_words(desk: Desk) -> None:
    desk.views.shows = Shown.NO
    with pytest.raises(Invalid, match="On which host"):
        await desk.say("stamp nginx")


async def test_the_command_alone_opens_the_picker_and_help_for_who_may_run_nothing(desk: Desk) -> None:
    assert await desk.say("") == ""
    assert desk.views.shown[0]["title"]["text"] == "Run a runbook"
    assert "You have no role here" in await desk.say("", by=DAVE)
    assert "*Handrail* shows" in await desk.say("", trigger_id=None)
    assert len(desk.views.shown) == 1


async def test_a_command_line_has_no_forms(desk: Desk) -> None:
    with pytest.raises(Invalid, match=r"'service' .* is missing"):
        await desk.say("stamp on web-01", trigger_id=None)


# --- searching --------------------------------------------------------------------------------------------------------


async def search(desk: Desk, action: str, typed: str = "", *, by: Actor = BOB, **answers: Any) -> list[str]:
    """What a menu of the form offers."""
    view = desk.filled("stamp", **answers)
    return values_of(await desk.forms.suggest(by, action, "parameter:service", typed, view))


async def test_hosts_are_offered_where_somebody_may_run_it_and_it_can_run(desk: Desk) -> None:
    assert await search(desk, forms.HOSTS) == ["web-01", "web-02", "db-01", "tag:db", "tag:web"]
    assert await search(desk, forms.HOSTS, by=CAROL) == ["web-02", "tag:web"]
    assert await search(desk, forms.HOSTS, by=DAVE) == []
    assert await search(desk, forms.HOSTS, "db") == ["db-01", "tag:db"]


async def test_tags_are_offered_however_many_hosts_there_are(desk: Desk) -> None:
    many = Inventory(hosts=tuple(host(f"web-{n:03}", "nginx") for n in range(300)))
    desk.house.engine.tools = replace(desk.house.engine.tools, inventory=many)
    desk.house.engine.govern(desk.house.engine.policy)
    offered = await search(desk, forms.HOSTS)
    assert (len(offered), offered[-1]) == (100, "tag:web")
    assert await search(desk, forms.HOSTS, "299") == ["web-299"]


async def test_hosts_that_run_the_chosen_service_come_first(desk: Desk) -> None:
    assert (await search(desk, forms.HOSTS, service="postgresql"))[0] == "db-01"


async def test_services_are_those_of_the_chosen_hosts_and_what_was_typed_if_it_could_be_one(desk: Desk) -> None:
    assert await search(desk, forms.SERVICES) == ["celery@1", "nginx", "postgresql"]
    assert await search(desk, forms.SERVICES, hosts=("web-02",)) == ["nginx"]
    assert await search(desk, forms.SERVICES, "haproxy") == ["haproxy"]
    assert await search(desk, forms.SERVICES, "ha proxy; rm") == []
    assert await search(desk, forms.SERVICES, by=CAROL) == ["nginx"]


async def test_runbooks_are_offered_to_whom_may_run_them_and_what_ran_here_comes_first(any_desk: Desk) -> None:
    desk = any_desk
    picker = forms.picker(channel="C0INC")
    await desk.house.ask("stamp nginx on web-01")
    await desk.house.ask("stamp nginx on web-02")
    offered = await desk.forms.suggest(BOB, forms.PICK, "pick", "", picker)
    assert offered["option_groups"][0]["label"]["text"] == "Run here last"
    assert values_of(offered)[:2] == ["last:2", "last:1"]
    assert "restart-service" in values_of(offered)
    elsewhere = await desk.forms.suggest(BOB, forms.PICK, "pick", "", forms.picker(channel="C0OTHER"))
    assert "last:2" not in values_of(elsewhere)
    assert "restart-service" not in values_of(await desk.forms.suggest(CAROL, forms.PICK, "pick", "", picker))


async def test_what_ran_here_is_offered_to_who_sees_executions_of_it_in_lists(desk: Desk) -> None:
    """May see those of `restart-service`, and run `stamp`."""
    engine = desk.house.engine
    people = replace(
        engine.policy.people,
        roles={"UBOB": Role.NOC, "UCAROL": Role.MANAGER, "SONE": Role.HELPDESK},
        permissions={**PERMISSIONS, Role.MANAGER: frozenset({Permission.EXECUTE})},
        can={"SONE": (Can(rule="roles:SONE can", runbooks=("restart-service",)),)},
    )
    engine.govern(replace(engine.policy, people=people, directory=Groups({"SONE": frozenset({"UBOB", "UCAROL"})})))
    await desk.house.ask("stamp nginx on web-01")
    picker = forms.picker(channel="C0INC")
    assert "last:1" in values_of(await desk.forms.suggest(BOB, forms.PICK, "pick", "", picker))
    assert engine.policy.may("UCAROL", Permission.EXECUTIONS_READ)
    carols = values_of(await desk.forms.suggest(CAROL, forms.PICK, "pick", "", picker))
    assert "stamp" in carols
    assert "last:1" not in carols


async def test_what_ran_here_last_fills_in_the_form(desk: Desk) -> None:
    await desk.house.ask("stamp nginx on web-01")
    await desk.forms.picked(desk.received("handrail:pick", kind="click", value="last:1", view_id="V1"))
    draft = json.dumps(desk.views.shown[-1]["blocks"])
    assert '"value": "nginx"' in draft
    assert '"value": "web-01"' in draft


async def test_a_choice_whose_form_slack_does_not_take_is_answered_in_words(desk: Desk) -> None:
    desk.views.shows = Shown.UNSURE
    with pytest.raises(TooLate, match="did not take the form"):
        await desk.forms.picked(desk.received("handrail:pick", kind="click", value="stamp", view_id="V1"))


@pytest.mark.parametrize("value", ["last:7", "last:x", "nothing", ""])
async def test_a_choice_that_leads_nowhere_is_answered_in_the_picker(desk: Desk, value: str) -> None:
    await desk.forms.picked(desk.received("handrail:pick", kind="click", value=value, view_id="V1"))
    assert "There is no runbook" in str(desk.views.shown) or "not there any more" in str(desk.views.shown)


# --- what is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("service", "ngi nx"), ("service", "-x"), ("settle", "900"), ("settle", "soon"), ("service", "")],
)
async def test_a_complaint_stands_beside_its_field_in_the_words_of_the_command_line(
    desk: Desk, name: str, value: str
) -> None:
    answers = {"service": "nginx", **({name: value} if value else {})}
    answers = {key: text for key, text in answers.items() if value or key != name}
    with pytest.raises(Invalid) as typed:
        bind(desk.house.engine.catalog.get("restart-service"), (), answers)
    errors = desk.fill("restart-service", hosts=("web-01",), **answers).errors
    assert list(errors) == [f"parameter:{name}"]
    assert typed.value.message.startswith(errors[f"parameter:{name}"])


async def test_hosts_and_reasons_have_their_complaints_too(desk: Desk) -> None:
    assert desk.fill("stamp", service="nginx", hosts=("web-9",)).errors["hosts"].startswith("No host matches 'web-9'")
    assert "does not support win-01" in desk.fill("stamp", service="nginx", hosts=("win-01",)).errors["hosts"]
    assert desk.fill("stamp", by=ALICE, service="nginx", hosts=("web-01",), options=("emergency",)).errors == {
        "reason": "An emergency needs its reason."
    }


async def test_a_secret_that_was_filled_in_is_refused_beside_its_field_and_kept_nowhere(desk: Desk) -> None:
    secret = "ghp_" + "a1B2c3D4e5" * 4
    errors = desk.fill("run-command", command=f"curl -H 'Authorization: token {secret}' x", hosts=("web-01",)).errors
    assert errors == {"parameter:command": forms.KEEP_OUT}
    assert desk.fill("stamp", service="nginx", hosts=("web-01",), reason=secret).errors == {"reason": forms.KEEP_OUT}
    masked = desk.fill("stamp", service="nginx", hosts=("web-01",), reason=f"it was {MASK}").errors
    assert masked == {"reason": forms.MASKED}


async def test_what_is_too_long_for_a_form_says_so(desk: Desk) -> None:
    fits = desk.fill("run-command", command="echo " + "x" * 900, hosts=("web-01",), reason="é" * 600)
    assert fits.errors == {}
    errors = desk.fill("run-command", command="echo " + "<" * 900, hosts=("web-01",)).errors
    assert errors == {"hosts": "Together this is more than a form can carry. Shorten it, or type it as a command."}


async def test_who_may_run_nothing_learns_nothing_from_a_form(desk: Desk) -> None:
    heard = desk.fill("stamp", by=DAVE, service="ngi nx", hosts=("web-9",))
    assert heard.errors == {}
    received = desk.received(heard.text, by=DAVE, kind=heard.kind, **heard.payload)
    with pytest.raises(NotPermitted):
        await desk.forms.look(received)
    assert "You may not run runbooks" in str(desk.views.shown[-1])


# --- the plan, and *Run* ----------------------------------------------------------------------------------------------


async def test_the_plan_that_was_seen_is_the_one_that_runs(any_desk: Desk) -> None:
    desk = any_desk
    page = await desk.look("stamp", service="nginx", hosts=("web-01",))
    assert "touch /tmp/nginx.1000" in str(page["blocks"])
    assert await desk.house.database.read(executions.newest, 5) == []
    assert await desk.run(page) == ""
    ended = await desk.house.reaches(1)
    assert (ended.state, ended.text) == (State.SUCCEEDED, "stamp nginx on web-01")
    assert [line for _, line in desk.house.remote.ran if "touch" in line] == ["touch /tmp/nginx.1000"]


async def test_having_seen_the_whole_plan_is_the_confirmation_that_a_harmful_one_asks_for(desk: Desk) -> None:
    await desk.run(await desk.look("stamp", service="nginx", hosts=("web-01",)))
    ended = await desk.house.reaches(1)
    given = await desk.house.database.read(approvals.latest, 1)
    assert given is not None
    assert (given.state, given.decided_by, given.fingerprint) == (ApprovalState.GIVEN, "UBOB", ended.fingerprint)
    kinds = [entry.kind for entry in await desk.house.database.read(audit.search, execution_id=1, limit=50)]
    assert "approval.given" in kinds
    assert "decision.allow" in kinds
    assert ended.state is State.SUCCEEDED


async def test_a_typed_one_still_asks_for_its_confirmation(desk: Desk) -> None:
    await desk.house.ask("stamp nginx on web-01")
    await desk.house.reaches(1, State.AWAITING_APPROVAL)


async def test_a_dry_run_is_not_confirmed_and_runs_nothing(desk: Desk) -> None:
    page = await desk.look("stamp", service="nginx", hosts=("web-01",), options=("dry_run",))
    assert page["submit"]["text"] == "Dry run"
    await desk.run(page)
    ended = await desk.house.reaches(1)
    assert (ended.state, ended.dry_run) == (State.SUCCEEDED, True)
    assert not [line for _, line in desk.house.remote.ran if "touch" in line]
    assert await desk.house.database.read(approvals.latest, 1) is None


async def test_a_kill_switch_is_obeyed_before_a_host_is_looked_at_and_again_at_run(desk: Desk) -> None:
    page = await desk.look("stamp", service="nginx", hosts=("web-01",))
    await desk.house.engine.engage(scope=Scope.GLOBAL, subject="", actor=ALICE)
    looked = len(desk.house.remote.ran)
    refused = await desk.look("stamp", service="nginx", hosts=("web-02",))
    assert "refused by the kill switch gate" in str(refused["blocks"])
    assert "submit" not in refused
    assert len(desk.house.remote.ran) == looked
    assert "Refused by the kill switch gate" in await desk.run(page)
    assert (await desk.house.reaches(1)).state is State.REFUSED
    assert len(desk.house.remote.ran) == looked


async def test_what_a_person_may_not_run_there_is_refused_on_the_page(desk: Desk) -> None:
    page = await desk.look("stamp", by=CAROL, service="nginx", hosts=("web-01",))
    assert "refused by the permission gate" in str(page["blocks"])
    assert desk.house.remote.ran == []


async def test_looks_have_a_bucket_of_their_own(sqlite: Database) -> None:
    async with a_desk(sqlite, FakeClock()) as desk:
        for _ in range(30):
            page = await desk.look("stamp", service="nginx", hosts=("web-01",))
        assert "submit" in page
        page = await desk.look("stamp", service="nginx", hosts=("web-01",))
        assert "You looked at hosts 30 times" in str(page["blocks"])
        assert "submit" not in page


async def test_what_can_t_be_planned_says_why_on_the_page(desk: Desk) -> None:
    desk.house.remote.replies["date"] = Reply(status=1, err="no such command")
    page = await desk.look("stamp", service="nginx", hosts=("web-01",))
    assert "ended with status 1: no such command" in str(page["blocks"])
    assert "submit" not in page


async def test_a_plan_is_good_for_as_long_as_an_approval_and_for_who_saw_it(desk: Desk) -> None:
    page = await desk.look("stamp", service="nginx", hosts=("web-01",))
    late = desk.house.engine.tools.clock.now() + timedelta(minutes=16)
    with pytest.raises(TooLate, match="older than 15 min"):
        await desk.run(page, received_at=late)
    with pytest.raises(Invalid, match="not the plan of this request"):
        await desk.run(page, by=ALICE)
    with pytest.raises(Invalid, match="not the plan of this request"):
        await desk.run(page, text="stamp nginx on web-02")
    with pytest.raises(TooLate, match="not kept any more"):
        await desk.run({**page, "private_metadata": json.dumps({"text": "stamp nginx on web-01", "planned": "x"})})
    assert await desk.house.database.read(executions.newest, 5) == []


async def test_a_kept_plan_that_was_changed_is_not_run(desk: Desk) -> None:
    page = await desk.look("stamp", service="nginx", hosts=("web-01",))
    kept = json.loads(page["private_metadata"])["planned"]

    def change(connection: Any) -> None:
        found = inbox.find(connection, kept)
        assert found is not None
        inbox.answered(connection, kept, (found[1] or "").replace("/tmp/nginx.1000", "/tmp/other"))

    await desk.house.database.write(change)
    with pytest.raises(TooLate, match="not what this would run any more"):
        await desk.run(page)


async def test_a_run_that_is_not_of_a_plan_is_read_and_judged_as_typed(desk: Desk) -> None:
    assert isinstance(parse_runbook("stamp nginx on web-01"), RunCommand)
    with pytest.raises(NotFound):
        await desk.run({"callback_id": forms.PLANNED, "id": "V2", "private_metadata": '{"text": "no-such on web-01"}'})


async def test_a_form_is_acknowledged_before_any_host_is_looked_at(desk: Desk) -> None:
    heard = desk.fill("stamp", service="nginx", hosts=("web-01",))
    assert heard.then["response_action"] == "push"
    assert "Looking at web-01 and making the plan" in str(heard.then["view"]["blocks"])
    assert desk.house.remote.ran == []


class Away:
    """An inbox whose database does not answer yet."""

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []

    async def receive(self, **given: Any) -> str:
        """Kept later."""
        self.given.append(given)
        return NOT_STORED


class Acknowledged:
    """What Slack is answered with."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []

    async def __call__(self, **given: Any) -> None:
        """As Bolt's `ack`."""
        self.answers.append(given)


async def submit(
    desk: Desk, view: Mapping[str, Any], inbox: Any, trigger: str = "1.2.3", *, by: Actor = BOB
) -> dict[str, Any]:
    """Send it through the listener; what is acknowledged."""
    ack = Acknowledged()
    body = {"user": {"id": by.id}, "view": view, "trigger_id": trigger}
    await _Submission(inbox, desk.forms).hear(ack, body)  # type: ignore[arg-type]
    [answer] = ack.answers
    return answer


async def test_what_could_not_be_stored_says_so_and_its_plan_comes_to_stand_there(desk: Desk) -> None:
    """Above the form, so that *Back* finds what was filled in."""
    away = Away()
    view = desk.filled("stamp", service=None, hosts=("web-01",))
    view["state"]["values"]["parameter:service"] = {"x": {"type": "x", "selected_option": {"value": "nginx"}}}
    answer = await submit(desk, view, away)
    assert answer["response_action"] == "push"
    assert "the database does not answer" in str(answer["view"])
    [given] = away.given
    received = desk.received(given["text"], kind=given["kind"], **given["payload"])
    await desk.house.database.write(keep, received, Origin.MODAL)
    await desk.forms.look(received)
    page = desk.views.shown[-1]
    assert "touch /tmp/nginx.1000" in str(page["blocks"])
    assert desk.views.updated == [answer["view"]["external_id"]]
    errors = (await submit(desk, desk.filled("stamp"), away))["errors"]
    assert set(errors) == {"parameter:service", "hosts"}
    kept = await submit(desk, page, away)
    assert kept["response_action"] == "update"
    assert "the database does not answer" in str(kept["view"])


def waiting(connection: Connection, moment: datetime) -> list[str]:
    """What may be said at that moment."""
    return [one.message.payload["text"] for one in outbox.ready(connection, moment)]


async def test_who_looks_is_told_how_to_go_on_when_slack_does_not_take_the_page(any_desk: Desk) -> None:
    desk, database = any_desk, any_desk.house.database
    await desk.look("stamp", service="nginx", hosts=("web-01",))
    soon, later = desk.house.engine.tools.clock.now(), desk.house.engine.tools.clock.now() + timedelta(hours=1)
    assert await database.read(waiting, later) == []
    desk.views.shows = Shown.UNSURE
    await desk.look("stamp", service="nginx", hosts=("web-01",))
    [said] = await database.read(waiting, soon + timedelta(seconds=30))
    assert "Slack did not take the page" in said
    assert "`/runbook stamp nginx on web-01 --dry-run` shows the plan" in said
    desk.views.shows = Shown.NO  # they closed it, and want nothing more
    await desk.look("stamp", service="nginx", hosts=("web-02",))
    assert await database.read(waiting, later) == [said]


async def test_whose_look_was_cut_off_is_told_once_it_is_restarted_or_after_some_minutes(any_desk: Desk) -> None:
    desk, database, clock = any_desk, any_desk.house.database, any_desk.house.engine.tools.clock

    class Gone(FakeViews):
        async def update(self, view: Mapping[str, Any], **where: Any) -> Shown:
            raise asyncio.CancelledError  # as when the process ends meanwhile

    desk.forms.views = Gone()
    with pytest.raises(asyncio.CancelledError):
        await desk.look("stamp", service="nginx", hosts=("web-01",))
    assert await database.read(waiting, clock.now()) == []
    [said] = await database.read(waiting, clock.now() + TOLD_AFTER)
    assert "Handrail was restarted" in said
    assert "`/runbook stamp nginx on web-01 --dry-run` shows the plan" in said
    assert await database.write(outbox.put_off_no_longer, clock.now()) == 1
    assert await database.read(waiting, clock.now()) == [said]


async def test_pressing_run_twice_is_one_request(any_desk: Desk) -> None:
    desk, database = any_desk, any_desk.house.database
    page = {**await desk.look("stamp", service="nginx", hosts=("web-01",)), "id": "V7"}

    async def work(received: Received) -> None:
        await desk.commands.answer(
            received, origin=Origin.MODAL, handled=lambda connection: inbox.handled(connection, received.id)
        )

    async def nothing(received: Received) -> str | None:
        return None

    here = Inbox(database, desk.house.engine.tools.clock, Redactor(()), work, nothing, work)
    for trigger in ("1.2.first", "1.2.second"):
        assert await submit(desk, page, here, trigger) == {"response_action": "clear"}
        await here.close()
        await desk.house.reaches(1)
    assert [one.id for one in await database.read(executions.newest, 5)] == [1]
    looks = [desk.fill("stamp", service="nginx", hosts=("web-01",)).key for _ in range(2)]
    assert looks[0] != looks[1]


# --- templates --------------------------------------------------------------------------------------------------------


async def test_a_filled_form_is_kept_under_a_name_and_found_in_the_picker_and_by_command(desk: Desk) -> None:
    page = await desk.look("stamp", service="nginx", hosts=("web-01",), reason="weekly", template="Weekly")
    assert "Template 'weekly' is saved" in str(page["blocks"])
    offered = await desk.forms.suggest(BOB, forms.PICK, "pick", "week", forms.picker(channel="C0INC"))
    assert values_of(offered) == ["template:weekly"]
    assert values_of(await desk.forms.suggest(DAVE, forms.PICK, "pick", "week", forms.picker(channel="C0INC"))) == []
    await desk.forms.picked(desk.received("handrail:pick", kind="click", value="template:weekly", view_id="V1"))
    assert '"value": "web-01"' in json.dumps(desk.views.shown[-1]["blocks"])
    assert '"initial_value": "weekly"' in json.dumps(desk.views.shown[-1]["blocks"])
    assert await desk.say("template run weekly") == ""
    assert (await desk.house.get(1)).hosts == ("web-01",)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [("two words", (), "name"), ("-x", (), "name"), ("a" * 65, (), "name"), ("x", ("emergency",), "emergency")],
)
async def test_what_is_no_template_is_said_beside_its_field(
    desk: Desk, name: str, options: tuple[str, ...], words: str
) -> None:
    heard = desk.fill("stamp", by=ALICE, service="nginx", hosts=("web-01",), reason="x", template=name, options=options)
    assert list(heard.errors) == ["template"]
    assert words in heard.errors["template"]


async def test_somebody_elses_template_is_left_alone(desk: Desk) -> None:
    await desk.look("stamp", by=ALICE, service="nginx", hosts=("web-01",), template="weekly")
    page = await desk.look("stamp", service="nginx", hosts=("web-02",), template="weekly")
    assert "is <@UALICE>'s" in str(page["blocks"])
    assert "submit" in page


async def test_the_message_it_was_asked_for_from_is_told(desk: Desk) -> None:
    page = await desk.look("stamp", service="nginx", hosts=("web-01",))
    kept = {**json.loads(page["private_metadata"]), "thread": "1700000000.000100"}
    await desk.run({**page, "private_metadata": json.dumps(kept)})
    told = [m for m in await desk.house.database.read(outbox_messages) if m.get("thread_ts")]
    assert [m["thread_ts"] for m in told] == ["1700000000.000100"]
    assert "asked for *#1 stamp" in told[0]["text"]


async def test_whoever_dies_before_it_is_told_has_not_taken_the_request_either(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = any_desk

    def dies(*_: object) -> None:
        raise RuntimeError("it died here")

    page = await desk.look("stamp", service="nginx", hosts=("web-01",))
    heard = desk.forms.submitted(BOB, page)
    assert heard is not None
    received = desk.received(heard.text, kind=heard.kind, **{**heard.payload, "thread": "1700000000.000100"})
    monkeypatch.setattr(desk.commands, "_tell_thread", dies)
    with pytest.raises(RuntimeError):
        await desk.answer(received)
    assert await desk.house.database.read(executions.newest, 5) == []
    assert received.id in [one.id for one in await desk.house.database.read(inbox.unhandled)]
    monkeypatch.undo()
    await desk.answer(received)
    told = [m for m in await desk.house.database.read(outbox_messages) if m.get("thread_ts")]
    assert ["stamp nginx" in one["text"] for one in told] == [True]


def outbox_messages(connection: Any) -> list[Mapping[str, Any]]:
    """Everything that waits to be said."""
    return [row.payload for row in connection.execute(select(t.outbox.c.payload))]
