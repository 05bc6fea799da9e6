"""Forms: what Slack takes whatever is in them, and what is read back from them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import Field, create_model

from bot import forms
from bot.blocks import inline, units
from bot.forms import TIMES, Draft, command_of, filled, form, picker, plan_page
from bot.playground.block_kit import VIEW_BYTES, check_view
from bot.request import RunCommand, ScheduleCommand, parse_runbook, schedule_spelling, spelling
from bot.timing import LINE, Timing
from runbooks import (
    AbsolutePath,
    Danger,
    Facts,
    Parameters,
    Percent,
    Pid,
    Plan,
    Run,
    Runbook,
    Seconds,
    ServiceName,
    Size,
    Text,
    positional,
)
from runbooks.answer import Prospect
from runbooks.catalog import Entry, bind
from runbooks.engine import Engine
from runbooks.parameters import Asks, Secret, questions, written
from runbooks.planning import Planner
from runbooks.plans import HostPlan, StoredPlan
from runbooks.steps import Tools
from safety.approval import Demand
from safety.clock import SystemClock
from safety.command_guard import CommandGuard
from safety.decision import Decision, Outcome, Verdict
from safety.review import Policy
from safety.roles import People
from storage.database import Database
from storage.errors import Invalid
from storage.records import Consent, Priority, Rollout
from tests.builders import BOB, ROLES, catalog_with, forms_of, hosts
from tests.fakes import FakeRemote, FakeReporter

NASTY = st.text(max_size=80) | st.sampled_from(
    [
        "<!channel>",
        "<@UALICE>",
        "😀" * 80,
        "\u202eexe.gpj",
        "a" * 4_000,
        "`" * 9,
        "x\ny",
        " ",
        "&lt;",
        "\x00",
        "-rf",
        "é",
    ]
)
MANY = Literal[tuple(f"c{n}" for n in range(150))]  # type: ignore[valid-type]


class Colour(StrEnum):
    """What a menu offers."""

    RED = "red"
    BLUE = "blue"


class Everything(Runbook):
    """A runbook that asks for one of each: <!channel> & "quotes" `code` *stars*."""

    name, danger = "everything-there-is-to-ask-for", Danger.HIGH

    class Params(Parameters):
        """One of each kind."""

        service: ServiceName = positional("systemd unit")
        path: AbsolutePath = positional("a <folder> & its *files*")
        colour: Colour = Field(Colour.RED, description="which")
        level: Literal[1, 2, 3] = Field(2, description="how much")
        sort: MANY = Field("c3", description="one of very many")
        loud: bool = Field(False, description="whether it says so")
        safe: bool = Field(True, description="whether it looks first")
        sure: bool = Field(description="whether you are sure")
        count: int = Field(3, ge=1, le=9, description="how often")
        below: int = Field(-1, ge=-5, le=5, description="how cold")
        share: float = Field(0.5, gt=0, lt=1, description="how much of it")
        pid: Pid | None = Field(None, description="which process")
        full: Percent = Field(85, description="how full")
        larger: Size = Field(100 * 1024**2, description="files larger than this")
        settle: Seconds = Field(90, ge=0, le=300, description="how long to watch")
        note: Text | None = Field(None, description="😀" * 3_000)
        token: Secret = Field("deploy-token", description="what it logs in with")

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """Nothing of note."""
        return Plan(Run("Go", "true"))


CATALOG = catalog_with(Everything)
ENTRY = CATALOG.get(Everything.name)


def slack_takes(view: Mapping[str, Any]) -> bool:
    """Whether Slack would, by all its limits; an AssertionError says why not."""
    assert check_view(view) == []
    assert len(json.dumps(view).encode()) < VIEW_BYTES
    assert units(view.get("private_metadata", "")) <= 3_000
    return True


def elements(view: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each input's block id and element."""
    yield from ((block["block_id"], block["element"]) for block in view["blocks"] if block["type"] == "input")


def left_as_is(view: Mapping[str, Any]) -> dict[str, Any]:
    """The view as Slack submits it when nobody changed anything."""
    values: dict[str, Any] = {}
    for block_id, element in elements(view):
        held: dict[str, Any] = {"type": element["type"]}
        names = {"initial_value": "value", "initial_option": "selected_option", "initial_options": "selected_options"}
        names["initial_time"] = "selected_time"
        held |= {name: element[start] for start, name in names.items() if start in element}
        values[block_id] = {element["action_id"]: held}
    return {**view, "id": "V1", "state": {"values": values}}


def kinds(view: Mapping[str, Any]) -> dict[str, str]:
    """Parameter -> type of its element."""
    return {block.partition(":")[2]: e["type"] for block, e in elements(view) if block.startswith("parameter:")}


def test_each_kind_of_parameter_gets_the_input_that_fits_it() -> None:
    shown = kinds(form(ENTRY, Draft(runbook=ENTRY.name)))
    assert shown == {
        "service": "external_select",
        "path": "plain_text_input",
        "colour": "static_select",
        "level": "static_select",
        "sort": "external_select",
        "loud": "checkboxes",
        "safe": "checkboxes",
        "sure": "static_select",
        "count": "number_input",
        "below": "number_input",
        "share": "number_input",
        "pid": "number_input",
        "full": "plain_text_input",
        "larger": "plain_text_input",
        "settle": "plain_text_input",
        "note": "plain_text_input",
    }


def test_numbers_have_their_bounds_and_defaults_are_filled_in_as_they_would_be_typed() -> None:
    inputs = dict(elements(form(ENTRY, Draft(runbook=ENTRY.name))))
    count, settle = inputs["parameter:count"], inputs["parameter:settle"]
    assert (count["min_value"], count["max_value"], count["initial_value"]) == ("1", "9", "3")
    assert (inputs["parameter:pid"]["min_value"], inputs["parameter:pid"]["max_value"]) == ("2", "4194304")
    assert (settle["initial_value"], inputs["parameter:larger"]["initial_value"]) == ("1m30s", "100M")
    assert inputs["parameter:share"]["is_decimal_allowed"] is True
    assert inputs["parameter:colour"]["initial_option"]["value"] == "red"
    assert "initial_options" in inputs["parameter:safe"]
    assert "initial_options" not in inputs["parameter:loud"]


def test_nobody_is_asked_for_a_secret_but_told_which_it_gets() -> None:
    view = form(ENTRY, Draft(runbook=ENTRY.name, values={"token": "hunter2"}))
    assert "parameter:token" not in dict(elements(view))
    assert "deploy-token" in str(view["blocks"])
    assert "hunter2" not in str(view)


def test_an_author_who_asks_for_more_than_a_form_holds_leaves_it_to_typing() -> None:
    fields = {f"p{n}": (int, Field(n, description="x")) for n in range(forms.MOST_QUESTIONS + 1)}
    long = Entry(
        **{
            **vars(ENTRY),
            "runbook": type("Long", (Everything,), {"Params": create_model("P", __base__=Parameters, **fields)})(),
        }
    )  # type: ignore[call-overload]
    with pytest.raises(Invalid, match="more than a form can hold"):
        form(long, Draft(runbook=long.name))


@pytest.mark.parametrize("name", sorted(CATALOG.entries))
def test_the_form_of_every_runbook_is_one_slack_takes_and_reads_back_as_its_defaults(name: str) -> None:
    entry = CATALOG.get(name)
    view = form(entry, Draft(runbook=name, targets=("web-01",), channel="C0INC"), may_override=True)
    assert slack_takes(view)
    command = command_of(entry, filled(left_as_is(view)))
    # What nobody touched is as it is anyway, and so is not said.
    assert (command.runbook, command.named, command.values) == (name, {}, ())
    assert command.targets == ("web-01",)


@pytest.mark.parametrize("name", sorted(CATALOG.entries))
def test_what_stands_there_as_a_default_is_read_as_that_default(name: str) -> None:
    kind = CATALOG.get(name).runbook.Params
    for one in questions(kind):
        if one.default is not None:
            door = kind._doors[one.name]
            assert written(kind.model_fields[one.name], kind.model_fields[one.name].default) == one.default
            door.read(one.default)


VALUES = st.dictionaries(st.sampled_from(sorted(Everything.Params.model_fields)), NASTY, max_size=8)


@settings(deadline=None)
@given(
    values=VALUES,
    targets=st.lists(NASTY.filter(bool), max_size=120),
    reason=st.none() | NASTY,
    problems=st.lists(NASTY, max_size=5),
    waves=st.none() | NASTY,
    channel=st.none() | st.just("C0INC"),
)
def test_whatever_was_typed_the_form_is_one_slack_takes(
    values: Mapping[str, str],
    targets: list[str],
    reason: str | None,
    problems: list[str],
    waves: str | None,
    channel: str | None,
) -> None:
    draft = Draft(
        runbook=ENTRY.name,
        values=values,
        targets=tuple(dict.fromkeys(targets)),
        reason=reason,
        channel=channel,
        priority=Priority.HIGH,
        rollout=Rollout(waves=waves),
    )
    try:
        view = form(ENTRY, draft, may_override=True, problems=problems)
    except Invalid:
        assert waves is not None
        assert len(waves) > 500
        return
    assert slack_takes(view)
    back = filled(left_as_is(view))
    assert (back.runbook, back.priority, back.channel) == (ENTRY.name, Priority.HIGH, channel)
    assert "<!channel>" not in str([block for block in view["blocks"] if block["type"] == "section"])


NIGHTLY = Timing(often="day", at="04:30", timezone="Europe/Berlin", name="nightly")


@pytest.mark.parametrize("name", sorted(CATALOG.entries))
def test_a_schedule_of_every_runbook_has_a_form_that_reads_back_as_what_would_be_typed(name: str) -> None:
    entry = CATALOG.get(name)
    draft = Draft(runbook=name, targets=("web-01",), timing=NIGHTLY)
    view = form(entry, draft, may_override=True, problems=["x"])
    assert slack_takes(view)
    assert "Emergency" not in str(view)
    back = filled(left_as_is(view))
    assert back.timing == NIGHTLY
    text = schedule_spelling(forms.schedule_of(entry, back, NIGHTLY))
    assert text == f'schedule "30 4 * * *" {name} on web-01 tz Europe/Berlin as nightly'
    assert parse_runbook(text) == forms.schedule_of(entry, back, NIGHTLY)


TIMINGS = st.builds(
    Timing,
    often=NASTY | st.sampled_from(["day", LINE]),
    at=NASTY | st.just("02:00"),
    line=NASTY,
    timezone=NASTY,
    name=NASTY,
)


@settings(deadline=None, max_examples=50)
@given(timing=TIMINGS)
def test_whatever_times_were_typed_picker_and_form_are_ones_slack_takes(timing: Timing) -> None:
    assert slack_takes(picker(channel=None, timing=timing))
    assert slack_takes(form(ENTRY, Draft(runbook=ENTRY.name, timing=timing), problems=["x"]))


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | NASTY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NASTY, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    view=st.fixed_dictionaries(
        {},
        optional={
            "private_metadata": ODD
            | st.sampled_from(['{"runbook": 3, "pause": "x", "priority": []}', '{"timing": {"cron": [], "name": 3}}']),
            "state": ODD
            | st.fixed_dictionaries(
                {"values": ODD | st.dictionaries(st.sampled_from(["hosts", "reason", "parameter:x", *TIMES]), ODD)}
            ),
        },
    )
)
def test_reading_a_view_never_raises(view: Mapping[str, Any]) -> None:
    assert isinstance(filled(view), Draft)
    assert isinstance(forms.wanted(view), forms.Wanted)


FORMS = forms_of(
    Engine(
        tools=Tools(
            database=Database("sqlite:///unused.db"),
            remote=FakeRemote(replies={}),
            inventory=hosts(),
            planner=Planner(remote=FakeRemote(replies={}), guard=CommandGuard()),
            reporter=FakeReporter(),
            clock=SystemClock(),
        ),
        catalog=CATALOG,
        policy=Policy(people=People(roles=ROLES)),
    )
)


GOOD = {"service": "nginx", "path": "/srv", "sure": "yes"}
HERE = json.dumps({"runbook": ENTRY.name})


@settings(deadline=None)
@example(values=GOOD, targets=["web-01"], reason=None, template=None, metadata=HERE)
@example(values={**GOOD, "note": "<" * 500}, targets=["web-01"], reason="<" * 600, template="a", metadata=HERE)
@given(
    values=VALUES.map(lambda odd: {**GOOD, **odd}) | VALUES,
    targets=st.lists(NASTY | st.just("web-01"), max_size=3),
    reason=st.none() | NASTY,
    template=st.none() | NASTY | st.just("weekly"),
    metadata=ODD | st.just(HERE),
)
def test_whatever_is_submitted_is_answered_beside_a_field_that_is_there_or_reads_back_as_the_same(
    values: Mapping[str, str], targets: list[str], reason: str | None, template: str | None, metadata: Any
) -> None:
    view = left_as_is(form(ENTRY, Draft(runbook=ENTRY.name, channel="C0INC"), may_override=True))
    state = view["state"]["values"]
    state |= {f"parameter:{name}": {"value": {"type": "x", "value": value}} for name, value in values.items()}
    state["hosts"] = {"x": {"selected_options": [{"value": target} for target in targets]}}
    state |= {name: {"value": {"value": value}} for name, value in (("reason", reason), ("template", template))}
    view["private_metadata"] = metadata
    heard = FORMS.submitted(BOB, view)
    assert heard is not None
    assert set(heard.errors) <= {block["block_id"] for block in view["blocks"] if block["type"] == "input"}
    assert all(0 < len(sentence) <= 2_000 for sentence in heard.errors.values())
    if not heard.errors:
        assert isinstance(parse_runbook(heard.text), RunCommand)
        assert slack_takes(heard.then["view"])


@settings(deadline=None)
@example(timing=NIGHTLY, note="as")
@given(timing=TIMINGS | st.builds(lambda name: replace(NIGHTLY, name=name), NASTY), note=NASTY)
def test_whatever_schedule_is_submitted_is_answered_beside_a_field_or_reads_back_as_the_same(
    timing: Timing, note: str
) -> None:
    view = left_as_is(form(ENTRY, Draft(runbook=ENTRY.name, channel="C0INC", timing=Timing())))
    state = view["state"]["values"]
    answers = {**{f"parameter:{name}": value for name, value in GOOD.items()}, "parameter:note": note}
    answers |= {"line": timing.line, "name": timing.name}
    state |= {block: {"value": {"type": "x", "value": value}} for block, value in answers.items()}
    state["hosts"] = {"x": {"selected_options": [{"value": "web-01"}]}}
    state["often"] = {"value": {"selected_option": {"value": timing.often}}}
    state["timezone"] = {"value": {"selected_option": {"value": timing.timezone}}}
    state["at"] = {"value": {"selected_time": timing.at}}
    heard = FORMS.submitted(BOB, view)
    assert heard is not None
    assert set(heard.errors) <= {block["block_id"] for block in view["blocks"] if block["type"] == "input"}
    assert all(0 < len(sentence) <= 2_000 for sentence in heard.errors.values())
    if not heard.errors:
        parsed = parse_runbook(heard.text)
        assert isinstance(parsed, ScheduleCommand)
        assert (parsed.name, parsed.action) == (" ".join(timing.name.split()), "make")
        assert slack_takes(heard.then["view"])


def test_a_form_reads_back_as_what_would_be_typed() -> None:
    view = left_as_is(
        form(
            ENTRY,
            Draft(
                runbook=ENTRY.name,
                values={"service": "nginx", "path": "/srv/a b", "count": "5", "sure": "yes", "loud": "yes"},
                targets=("web-01", "tag:db"),
                dry_run=True,
                reason='it is "slow"',
                rollout=Rollout(waves="1,rest", pause=30.0),
                channel="C0INC",
            ),
        )
    )
    view["state"]["values"]["parameter:safe"] = {"value": {"type": "checkboxes", "selected_options": []}}
    command = command_of(ENTRY, filled(view))
    text = spelling(command)
    assert text == (
        'everything-there-is-to-ask-for nginx "/srv/a b" count=5 loud=yes safe=no sure=yes on web-01,tag:db '
        '--dry-run --reason "it is \\"slow\\"" --waves 1,rest --pause 30s'
    )
    assert parse_runbook(text) == command
    params = bind(ENTRY, command.values, command.named)
    assert (params.model_dump()["safe"], params.model_dump()["count"]) == (False, 5)


def a_prospect(*steps: Run, hosts: int = 1, verdict: Verdict | None = None) -> Prospect:
    """A plan on some hosts, with what one gate says to it."""
    parts = tuple(HostPlan(host=f"web-{n:02}", steps=(*steps, Run(f"On {n}", "true")), facts={}) for n in range(hosts))
    said = verdict or Verdict(gate="approval", outcome=Outcome.ALLOW, reason="not needed")
    return Prospect(
        runbook="restart-service",
        hosts=tuple(part.host for part in parts),
        decision=Decision(verdicts=(said,)),
        plan=StoredPlan(hosts=parts),
        fingerprint="f" * 64,
    )


def page_of(prospect: Prospect, **more: Any) -> forms.PlanPage:
    """The plan page of a request."""
    command = RunCommand(runbook="restart-service", **more)
    return plan_page(prospect, command, text="restart nginx", planned="0" * 32, draft=Draft(), external_id="e")


STEP = NASTY.filter(lambda text: bool(text.strip()) and not {*text} & {*"\x00\r\n"})


@settings(deadline=None, max_examples=30)
@given(title=STEP, word=STEP, hosts=st.sampled_from([1, 3, 300]))
def test_whatever_the_plan_holds_its_page_is_one_slack_takes(title: str, word: str, hosts: int) -> None:
    page = page_of(a_prospect(Run(title, "echo", word), hosts=hosts))
    assert slack_takes(page.view)
    assert page.whole == (hosts < 300)
    assert page.view["submit"]["text"] == "Run"


@settings(deadline=None, max_examples=30)
@given(word=STEP, lines=st.lists(NASTY, max_size=12), hosts=st.sampled_from([0, 1, 300]), trouble=NASTY)
@pytest.mark.parametrize("button", [True, False])
def test_whatever_a_schedule_is_its_last_page_is_one_slack_takes(
    word: str, lines: list[str], hosts: int, trouble: str, button: bool
) -> None:
    page = forms.schedule_page(
        [inline(line) for line in lines] or ["x"],
        text="schedule @daily x",
        draft=Draft(channel="C0INC"),
        external_id="e",
        prospect=a_prospect(Run("Go", "echo", word), hosts=hosts) if hosts else None,
        trouble=trouble,
        button="Create" if button else None,
    )
    assert slack_takes(page)
    assert ("submit" in page) == button
    assert forms.wanted(page).text == ("schedule @daily x" if button else "")


def test_a_plan_that_does_not_fit_says_how_much_is_missing() -> None:
    page = page_of(a_prospect(Run("Go", "echo", "é" * 9_000), hosts=40))
    assert slack_takes(page.view)
    assert not page.whole
    assert "not shown here: the thread has all" in str(page.view["blocks"][-2])


def test_a_plan_of_which_not_all_is_seen_is_confirmed_in_its_thread() -> None:
    confirm = Verdict(
        gate="approval", outcome=Outcome.ASK, reason="It can do harm.", demands=(Demand(consent=Consent.CONFIRM),)
    )
    assert "*Run* confirms" in str(page_of(a_prospect(verdict=confirm)).view["blocks"])
    assert "its thread asks you to confirm" in str(page_of(a_prospect(hosts=300, verdict=confirm)).view["blocks"])


def test_the_button_of_a_plan_says_what_pressing_it_does() -> None:
    approve = Verdict(
        gate="approval",
        outcome=Outcome.ASK,
        reason="It is dangerous.",
        demands=(Demand(consent=Consent.APPROVE, quorum=2),),
    )
    refuse = Verdict(gate="cooldown", outcome=Outcome.REFUSE, reason="web-01 had it 2 min ago.")
    assert page_of(a_prospect(verdict=approve)).view["submit"]["text"] == "Ask for approval"
    assert "2 others" in str(page_of(a_prospect(verdict=approve)).view["blocks"])
    assert page_of(a_prospect(), dry_run=True).view["submit"]["text"] == "Dry run"
    refused = page_of(a_prospect(verdict=refuse)).view
    assert "submit" not in refused
    assert "refused by the cooldown gate: web-01 had it 2 min ago." in str(refused["blocks"])


def test_the_picker_opens_without_asking_anybody_anything() -> None:
    assert slack_takes(picker(channel="C0INC", thread="1.2"))
    assert forms.carried(picker(channel="C0INC", thread="1.2")) == Draft(channel="C0INC", thread="1.2")


def test_choices_are_matched_by_every_word_that_was_typed() -> None:
    found = forms.runbook_options(list(CATALOG.entries.values()), [], "DISK free")
    names = [one["value"] for group in found["option_groups"] for one in group["options"]]
    assert names == ["disk-cleanup"]
    assert forms.runbook_options(list(CATALOG.entries.values()), [], "no such thing") == {"options": []}


def test_what_is_called_as_typed_stands_before_what_is_about_it() -> None:
    found = forms.runbook_options(list(CATALOG.entries.values()), [], "disk")
    names = [one["value"] for group in found["option_groups"] for one in group["options"]]
    assert names[0] == "disk-cleanup"
    assert "top" in names, "its summary names disks, and it comes from a category that is listed earlier"


def test_what_an_option_says_of_a_runbook_ends_with_a_whole_sentence_or_clause() -> None:
    found = forms.runbook_options(list(CATALOG.entries.values()), [], "")
    about = {one["value"]: one["description"]["text"] for group in found["option_groups"] for one in group["options"]}
    assert about["health-check"] == "Say how a host is: a table of findings, the bad ones first"
    assert not [text for text in about.values() if "…" in text or "`" in text]


def test_every_kind_of_question_is_among_those_tried_here() -> None:
    assert {one.asks for one in questions(Everything.Params)} == set(Asks)
