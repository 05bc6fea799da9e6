"""Schedules by a form: what opens, what is wrong, what its last page says, and what *Create* makes, once."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from bot import forms
from bot.forms import Draft
from bot.inbox import Inbox, keep
from bot.modals import Shown
from bot.timing import LINE, Timing
from safety.redaction import Redactor
from storage import audit, executions, inbox, schedules
from storage.errors import NotPermitted, OperatorError
from storage.records import Actor, Origin, Received, Scope
from tests.bot.test_filling import Away, Desk, any_desk, desk, submit, values_of, waiting
from tests.builders import ALICE, BOB, CAROL, DAVE
from tests.fakes import Reply

__all__ = ["any_desk", "desk"]  # fixtures

NIGHTLY = {"often": "day", "at": "02:00", "timezone": "Europe/Berlin", "name": "nightly stamp"}


def a_form(desk: Desk, hosts: tuple[str, ...] = ("web-02",), **answers: Any) -> dict[str, Any]:
    """A schedule's form in which somebody has answered; of the times what is not said is NIGHTLY."""
    times = {**NIGHTLY, **{key: answers.pop(key) for key in forms.TIMES if key in answers}}
    view = desk.filled("stamp", hosts=hosts, **answers)
    entry = desk.house.engine.catalog.get("stamp")
    view |= forms.form(entry, Draft(runbook="stamp", channel="C0INC", timing=Timing()))
    view["state"]["values"] |= {
        "often": {"value": {"type": "static_select", "selected_option": {"value": times["often"]}}},
        "at": {"value": {"type": "timepicker", "selected_time": times["at"]}},
        "line": {"value": {"type": "plain_text_input", "value": times.get("line")}},
        "timezone": {"handrail:zones": {"type": "external_select", "selected_option": {"value": times["timezone"]}}},
        "name": {"value": {"type": "plain_text_input", "value": times["name"]}},
    }
    return view


async def look(desk: Desk, view: Mapping[str, Any], *, by: Actor = CAROL) -> Mapping[str, Any]:
    """Submit a form that has no errors; the last page."""
    heard = desk.forms.submitted(by, view)
    assert heard is not None
    assert heard.errors == {}
    received = desk.received(heard.text, by=by, kind=heard.kind, **heard.payload)
    await desk.house.database.write(keep, received, Origin.MODAL)
    await desk.forms.look(received)
    return desk.views.shown[-1]


def read(page: Mapping[str, Any]) -> str:
    """What stands on it."""
    return json.dumps(page["blocks"], ensure_ascii=False)


def errors(desk: Desk, view: Mapping[str, Any], *, by: Actor = CAROL) -> Mapping[str, str]:
    """The complaints, by block."""
    heard = desk.forms.submitted(by, view)
    assert heard is not None
    return heard.errors


# --- opening ----------------------------------------------------------------------------------------------------------


async def test_the_command_alone_opens_the_picker_for_who_may_have_schedules_and_lists_them_for_others(
    desk: Desk,
) -> None:
    assert await desk.say("schedule", by=CAROL) == ""
    assert await desk.say('schedule "30 4 * * *"', by=CAROL) == ""
    assert [view["title"]["text"] for view in desk.views.shown] == ["New schedule"] * 2
    assert "There are no schedules yet" in await desk.say("schedule", by=BOB)
    assert "There are no schedules yet" in await desk.say("schedule", by=CAROL, trigger_id=None)
    with pytest.raises(NotPermitted):
        await desk.say("schedule", by=DAVE)
    with pytest.raises(OperatorError, match="What should be run then"):
        await desk.say('schedule "30 4 * * *"', by=CAROL, trigger_id=None)
    assert len(desk.views.shown) == 2


async def test_what_is_chosen_in_the_picker_opens_its_form_with_the_times_that_were_typed(desk: Desk) -> None:
    await desk.say('schedule "30 4 * * *"', by=CAROL)
    carried = desk.views.shown[-1]["private_metadata"]
    click = desk.received("handrail:pick", by=CAROL, kind="click", value="stamp", view_id="V1", metadata=carried)
    await desk.forms.picked(click)
    form = desk.views.shown[-1]
    assert form["submit"]["text"] == "See when it fires"
    start = {block["block_id"]: block["element"] for block in form["blocks"] if block["type"] == "input"}
    assert start["often"]["initial_option"]["value"] == "day"
    assert start["at"]["initial_time"] == "04:30"
    assert start["timezone"]["initial_option"]["value"] == "UTC"
    assert "template" not in start
    with pytest.raises(NotPermitted, match=r"schedules\.manage"):
        await desk.forms.picked(
            desk.received("handrail:pick", by=BOB, kind="click", value="stamp", view_id="V1", metadata=carried)
        )


async def test_a_schedule_of_something_with_values_missing_opens_its_form_with_what_was_typed(desk: Desk) -> None:
    typed = 'schedule "*/5 * * * *" stamp on web-02 tz europe/berlin as "often" --reason "to see"'
    assert await desk.say(typed, by=CAROL) == ""
    [form] = desk.views.shown
    start = {block["block_id"]: block["element"] for block in form["blocks"] if block["type"] == "input"}
    assert (start["often"]["initial_option"]["value"], start["line"]["initial_value"]) == (LINE, "*/5 * * * *")
    assert start["timezone"]["initial_option"]["value"] == "Europe/Berlin"
    assert (start["name"]["initial_value"], start["reason"]["initial_value"]) == ("often", "to see")
    assert start["hosts"]["initial_options"][0]["value"] == "web-02"
    with pytest.raises(OperatorError):
        await desk.say(typed, by=BOB)  # who may have none is answered as if no form were there
    assert len(desk.views.shown) == 1


async def test_what_is_wrong_with_the_times_that_were_typed_stands_on_top_of_the_form(desk: Desk) -> None:
    await desk.say('schedule "0 0 31 2 *" stamp on web-02 tz Berlim', by=CAROL)
    problems = desk.views.shown[0]["blocks"][1]["text"]["text"]
    assert "never comes" in problems
    assert "'Berlim' is no time zone" in problems


async def test_time_zones_are_searched_and_the_usual_ones_come_first(desk: Desk) -> None:
    view = a_form(desk)

    async def offered(typed: str, by: Actor = CAROL) -> list[str]:
        return values_of(await desk.forms.suggest(by, forms.ZONES, "timezone", typed, view))

    assert (await offered(""))[0] == "UTC"
    assert len(await offered("")) == 100
    assert await offered("berlin") == ["Europe/Berlin"]
    assert "America/New_York" in await offered("new york")
    assert await offered("berlin", by=DAVE) == []


# --- what is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "field", "words"),
    [
        ({"often": ""}, "often", "Choose one"),
        ({"often": LINE}, "line", "no cron line"),
        ({"often": LINE, "line": "0 0 31 2 *"}, "line", "never comes"),
        ({"line": "0 3 * * *"}, "line", "choose the cron line there"),
        ({"timezone": "Mars/Base"}, "timezone", "no time zone"),
        ({"name": "list"}, "name", "is an action"),
        ({"name": "7"}, "name", "cannot be the name"),
        ({"name": 'a"b'}, "name", "cannot be the name"),
        ({"name": "ghp_" + "a1B2c3D4e5" * 4}, "name", forms.KEEP_OUT),
        ({"service": "ngi nx"}, "parameter:service", "service"),
        ({"hosts": ("web-9",)}, "hosts", "No host matches"),
        ({"hosts": ()}, "hosts", "host"),
    ],
)
async def test_a_complaint_stands_beside_its_field(desk: Desk, answers: dict[str, Any], field: str, words: str) -> None:
    found = errors(desk, a_form(desk, **{"service": "nginx", **answers}))
    assert list(found) == [field]
    assert words in found[field]


@pytest.mark.parametrize("line", ["0 2 * * 1–5", f"{','.join(map(str, range(30)))} 2 * * *", "0 2 * * MON"])
async def test_a_cron_line_is_taken_as_it_would_be_typed(desk: Desk, line: str) -> None:
    assert errors(desk, a_form(desk, service="nginx", often=LINE, line=line)) == {}


async def test_several_complaints_come_at_once(desk: Desk) -> None:
    found = errors(desk, a_form(desk, often="", name="list", hosts=("web-9",)))
    assert set(found) == {"often", "name", "hosts", "parameter:service"}


# --- the last page, and *Create* --------------------------------------------------------------------------------------


async def test_the_last_page_says_when_it_fires_and_what_it_would_do_and_create_makes_it_as_typed(
    any_desk: Desk,
) -> None:
    desk, database = any_desk, any_desk.house.database
    page = await look(desk, a_form(desk, service="nginx", reason="to see"))
    shown = read(page)
    assert "*nightly stamp*: At 02:00 every day (Europe/Berlin)" in shown
    assert shown.count("02:00 Europe/Berlin)") == 5
    assert "`/runbook stamp nginx on web-02 --reason" in shown
    assert "touch /tmp/nginx.1000" in shown
    assert "Each time it waits for the consent of" in shown
    assert "caught up with for 1 h" in shown
    assert page["submit"]["text"] == "Create"
    assert await database.read(schedules.every) == []

    said = await desk.run(page, by=CAROL)
    assert "*nightly stamp* (#1)" in said
    [made] = await database.read(schedules.every)
    typed = 'schedule "0 2 * * *" stamp nginx on web-02 --reason "to see" tz Europe/Berlin as "typed"'
    await desk.say(typed, by=CAROL, trigger_id=None)
    other = await database.read(schedules.find, "typed")
    assert other is not None
    for name in ("text", "cron", "timezone", "channel", "made_by", "next_at"):
        assert getattr(made, name) == getattr(other, name), name
    assert [entry.origin for entry in await database.read(audit.search, kind="schedule.made", limit=5)] == [
        "modal",
        "modal",
    ]
    assert await database.read(executions.newest, 5) == []


async def test_pressing_create_twice_makes_one(any_desk: Desk) -> None:
    desk, database = any_desk, any_desk.house.database
    page = {**await look(desk, a_form(desk, service="nginx", name=None)), "id": "V7"}

    async def work(received: Received) -> None:
        await desk.commands.answer(
            received, origin=Origin.MODAL, handled=lambda connection: inbox.handled(connection, received.id)
        )

    async def nothing(received: Received) -> str | None:
        return None

    here = Inbox(database, desk.house.engine.tools.clock, Redactor(()), work, nothing, work)
    for trigger in ("1.2.first", "1.2.second"):
        assert await submit(desk, page, here, trigger, by=CAROL) == {"response_action": "clear"}
        await here.close()
    assert [one.name for one in await database.read(schedules.every)] == ["stamp"]


async def test_who_may_have_no_schedules_is_told_so_on_the_last_page_and_makes_none(desk: Desk) -> None:
    page = await look(desk, a_form(desk, service="nginx"), by=BOB)
    assert "You may not make schedules" in read(page)
    assert "submit" not in page
    assert desk.house.remote.ran == []
    text = "schedule @daily stamp nginx on web-01"
    forged = {"callback_id": forms.PLANNED, "id": "V2", "private_metadata": json.dumps({"text": text})}
    with pytest.raises(NotPermitted):
        await desk.run(forged, by=BOB)
    assert await desk.house.database.read(schedules.every) == []


async def test_where_somebody_may_not_run_it_the_last_page_has_no_button(desk: Desk) -> None:
    page = await look(desk, a_form(desk, service="nginx", hosts=("web-01",)))
    assert "roles:UCAROL can" in read(page)
    assert "submit" not in page


async def test_a_kill_switch_of_now_is_said_and_keeps_nobody_from_it(desk: Desk) -> None:
    await desk.house.engine.engage(scope=Scope.GLOBAL, subject="", actor=ALICE)
    page = await look(desk, a_form(desk, service="nginx"))
    assert "If it came now, it would be refused by the kill switch gate" in read(page)
    assert page["submit"]["text"] == "Create"
    assert desk.house.remote.ran == []


async def test_a_host_that_does_not_answer_now_is_said_and_keeps_nobody_from_it(desk: Desk) -> None:
    desk.house.remote.replies["date"] = Reply(status=1, err="no such command")
    page = await look(desk, a_form(desk, service="nginx"))
    assert "What it would do now is not known" in read(page)
    assert "no such command" in read(page)
    assert page["submit"]["text"] == "Create"


async def test_a_name_that_is_taken_is_said_before_it_is_replaced(desk: Desk) -> None:
    await desk.say('schedule @hourly stamp nginx on web-02 as "Nightly Stamp"', by=CAROL, trigger_id=None)
    page = await look(desk, a_form(desk, service="nginx"))
    assert "It replaces *Nightly Stamp* (#1)" in read(page)
    assert page["submit"]["text"] == "Replace"
    await desk.run(page, by=CAROL)
    [kept] = await desk.house.database.read(schedules.every)
    assert (kept.id, kept.cron) == (1, "0 2 * * *")


async def test_a_name_that_is_somebody_elses_is_not_offered_to_be_replaced(desk: Desk) -> None:
    await desk.say("schedule @hourly stamp nginx on web-01 as nightly", by=ALICE, trigger_id=None)
    page = await look(desk, a_form(desk, service="nginx", name="nightly"))
    assert "not yours to change" in read(page)
    assert "submit" not in page


async def test_what_could_not_be_stored_says_so_and_what_was_filled_in_stays(desk: Desk) -> None:
    away = Away()
    answer = await submit(desk, a_form(desk, service="nginx"), away, by=CAROL)
    assert answer["response_action"] == "push"
    assert "the database does not answer" in str(answer["view"])
    [given] = away.given
    received = desk.received(given["text"], by=CAROL, kind=given["kind"], **given["payload"])
    await desk.house.database.write(keep, received, Origin.MODAL)
    await desk.forms.look(received)
    assert "*nightly stamp*" in read(desk.views.shown[-1])
    assert desk.views.updated == [answer["view"]["external_id"]]


async def test_who_looks_is_told_how_to_make_the_schedule_when_slack_does_not_take_the_page(desk: Desk) -> None:
    await look(desk, a_form(desk, service="nginx"))
    desk.views.shows = Shown.UNSURE
    await look(desk, a_form(desk, service="nginx"))
    later = desk.house.engine.tools.clock.now() + timedelta(seconds=1)
    [said] = await desk.house.database.read(waiting, later)
    assert "Nothing was scheduled. `/runbook schedule" in said
    assert "on web-02" in said
    assert "--dry-run" not in said
