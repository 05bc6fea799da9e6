"""The grammar of the slash commands: what is read, and what is asked about instead."""

import os
import random
from itertools import islice

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.request import (
    _FORMS,
    TEXT_LIMIT,
    VALUE_LIMIT,
    AuditSearch,
    IncidentCommand,
    Query,
    RunCommand,
    ScheduleCommand,
    SwitchCommand,
    SwitchStatus,
    TemplateCommand,
    Unclear,
    Verb,
    normalised,
    parse_audit,
    parse_incident,
    parse_killswitch,
    parse_runbook,
    vocabulary,
)
from runbooks.catalog import SUBCOMMANDS
from storage.records import IncidentRole, IncidentStatus, Priority, Rollout
from tests import fuzz_request

RESTART = RunCommand(runbook="restart", values=("nginx",), targets=("web-01",))
FUZZ = settings(max_examples=int(os.environ.get("HANDRAIL_FUZZ_EXAMPLES", "400")), deadline=None)


def run(text: str) -> RunCommand:
    answer = parse_runbook(text)
    assert isinstance(answer, RunCommand), answer
    return answer


def query(text: str) -> Query:
    answer = parse_runbook(text)
    assert isinstance(answer, Query), answer
    return answer


def switch(text: str) -> SwitchCommand:
    answer = parse_killswitch(text)
    assert isinstance(answer, SwitchCommand), answer
    return answer


def unclear(answer: object) -> Unclear:
    assert isinstance(answer, Unclear), answer
    assert answer.message.endswith((".", "?"))
    return answer


def test_every_part_of_a_run_has_its_place() -> None:
    text = (
        "restart-service nginx 'php fpm' settle=5 on web-01,tag:web "
        '--dry-run --reason "disk is full" --priority high --emergency'
    )
    assert run(text) == RunCommand(
        runbook="restart-service",
        values=("nginx", "php fpm"),
        named={"settle": "5"},
        targets=("web-01", "tag:web"),
        dry_run=True,
        reason="disk is full",
        priority=Priority.HIGH,
        emergency=True,
    )


@pytest.mark.parametrize(
    "text",
    [
        "restart nginx on web-01",
        "/runbook restart nginx on web-01",
        "  restart   nginx\ton  web-01  ",
        "restart\u00a0nginx\u202fon\u3000web-01",
        "RESTART nginx ON web-01",
        "`restart nginx on web-01`",
        "```/runbook restart nginx on web-01```",
        "restart `nginx` on `web-01`",
        "`restart` nginx on web-01",
        "restart “nginx” on web-01",
        "restart „nginx“ on ‘web-01’",
        "restart <http://nginx|nginx> on <http://web-01|web-01>",
        "restart nginx on <https://web-01/|web-01>",
        'restart "nginx" on "web-01"',
    ],
)
def test_the_same_request_is_read_however_it_was_typed(text: str) -> None:
    assert run(text) == RESTART


@pytest.mark.parametrize(
    "flag",
    ["--dry-run", "--dryrun", "--dry_run", "--DRY-RUN", "—dry-run", "–dry-run", "―dry–run", "−−dry-run", "––dryrun"],
)
def test_a_dry_run_is_recognised_in_every_common_spelling(flag: str) -> None:
    assert run(f"restart nginx on web-01 {flag}").dry_run
    assert run(f"restart nginx {flag} on web-01").dry_run


def test_plan_is_a_run_that_stays_dry() -> None:
    planned = run("plan restart nginx on web-01")
    assert planned == run("restart nginx on web-01 --dry-run")
    assert planned == run("plan restart nginx on web-01 --dry-run")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('restart nginx on web-01 --reason "disk is full"', "disk is full"),
        ("restart nginx on web-01 --reason='disk is full'", "disk is full"),
        ("restart nginx on web-01 —reason “it’s full”", "it’s full"),
        ("restart nginx on web-01 --reason ‘it’s full’", "it’s full"),
        ("restart nginx on web-01 --reason 'it's full'", "it's full"),
        ('restart nginx on web-01 --reason "says \\"no\\""', 'says "no"'),
        ("restart nginx on web-01 --reason full", "full"),
        ("restart nginx on web-01 --reason full --dry-run", "full"),
        ("restart nginx --reason 'a &lt; b &amp; c' on web-01", "a < b & c"),
        ("restart nginx --reason 'asked by <@U123|bob> in <#C1|ops> for <!subteam^S1|@oncall>' on web-01",
         "asked by U123 in C1 for S1"),
        ("restart nginx --reason 'tell <!here>' on web-01", "tell @here"),
    ],
)  # fmt: skip
def test_a_reason_is_read_with_its_quotes_entities_and_mentions(text: str, reason: str) -> None:
    assert run(text).reason == reason


def test_an_entity_is_decoded_once() -> None:
    assert run("note '&amp;lt;' on web-01").values == ("&lt;",)


def test_angle_brackets_that_are_no_markup_stay() -> None:
    assert run("note 'a <b> <!-- c --> 1 < 2' on web-01").values == ("a <b> <!-- c --> 1 < 2",)


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("uptime on web-01", ("web-01",)),
        ("uptime on web-01, web-02 ,db-1", ("web-01", "web-02", "db-1")),
        ("uptime on TAG:web", ("tag:web",)),
        ("uptime on Web-01", ("Web-01",)),
        ("uptime on web-*", ("web-*",)),
        ("uptime on <http://a.example.com|a.example.com>,<http://b.example.com|b.example.com>",
         ("a.example.com", "b.example.com")),
    ],
)  # fmt: skip
def test_targets_are_a_list_with_commas(text: str, targets: tuple[str, ...]) -> None:
    assert run(text).targets == targets


def test_named_values_may_follow_the_targets() -> None:
    assert run("restart nginx on web-01 settle=5 --dry-run").named == {"settle": "5"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("clean path='/var/log old' on web-01", {"path": "/var/log old"}),
        ("clean Path=“/Var/Log” on web-01", {"path": "/Var/Log"}),
        ("clean max-age=5 on web-01", {"max_age": "5"}),
        ("clean mode=on on web-01", {"mode": "on"}),
        ("clean filter=a=b on web-01", {"filter": "a=b"}),
        ("clean `age=5` on web-01", {"age": "5"}),
    ],
)
def test_named_values_keep_their_text_and_lower_their_name(text: str, named: dict[str, str]) -> None:
    assert run(text).named == named


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("feature dark-mode 'on' on web-01", ("dark-mode", "on")),
        ("feature “on” on web-01", ("on",)),
        ("renice -5 on web-01", ("-5",)),
        ("fetch http://x/?a=b on web-01", ("http://x/?a=b",)),
        ("fetch <http://x/?a=b&amp;c=d> on web-01", ("http://x/?a=b&c=d",)),
        ('set "a=b" on web-01', ("a=b",)),
        ("say C:\\dir\\ on web-01", ("C:\\dir\\",)),
        ("say don't on web-01", ("don't",)),
        ("tell <@U123|bob> on web-01", ("U123",)),
        ("tell <mailto:a@b.c|a@b.c> on web-01", ("a@b.c",)),
        ("say '-f' on web-01", ("-f",)),
        ("restart Nginx on web-01", ("Nginx",)),
    ],
)
def test_values_are_as_typed(text: str, values: tuple[str, ...]) -> None:
    assert run(text).values == values


@pytest.mark.parametrize(
    ("text", "named_thing", "suggested"),
    [
        ("restart nginx on web-01 --force", "--force", None),
        ("restart nginx on web-01 --dry", "--dry-run", "--dry-run"),
        ("restart nginx on web-01 -dry-run", "--dry-run", "--dry-run"),
        ("restart nginx on web-01 --emergnecy", "--emergency", "--emergency"),
        ("restart --service nginx on web-01", "name=value", None),
        ("restart nginx on web-01 -f", "-f", None),
        ("restart nginx on web-01 --", "--", None),
        ("restart nginx on web-01 --dry-run --dryrun", "twice", None),
        ("restart nginx on web-01 --dry-run=false", "no value", "--dry-run"),
        ("restart nginx dry-run on web-01", "dry-run", "--dry-run"),
        ("restart nginx '--dry-run' on web-01", "--dry-run", "--dry-run"),
        ("restart nginx `--dry-run` on web-01", "--dry-run", None),
        ("restart nginx dry_run=true on web-01", "dry run", "--dry-run"),
        ("restart nginx on web-01 --reason", "needs a value", '--reason "disk is full"'),
        ("restart nginx on web-01 --reason --dry-run", "needs a value", '--reason "disk is full"'),
        ("restart nginx on web-01 --reason=", "needs a value", '--reason "disk is full"'),
        ("restart nginx on web-01 --reason ''", "empty", None),
        ("restart nginx on web-01 --reason it is full", "reason", '--reason "it is full"'),
        ("restart nginx --reason deploy on friday", "reason", '--reason "deploy on friday"'),
        ("restart nginx on web-01 --priority", "needs a value", "--priority high"),
        ("restart nginx on web-01 --priority urgent", "urgent", "--priority high"),
        ("restart nginx on web-01 --reason a --reason b", "twice", None),
        ("restart “nginx on web-01", "never closed", None),
        ("restart 'nginx on web-01", "never closed", None),
        ("restart `nginx on web-01", "never closed", None),
        ("restart `nginx php` on web-01", "one word", None),
        ('restart ngi"nx on web-01', "quotes around", None),
        ('restart "ngi"nx on web-01', "directly after", None),
        ('restart "" on web-01', "empty", None),
        ('restart " " on web-01', "empty", None),
        ("restart settle= on web-01", "settle", "settle=5"),
        ("restart settle = 5 on web-01", "spaces", "settle=5"),
        ("restart nginx settle=5 settle=6 on web-01", "twice", None),
        ("restart nginx Settle=5 settle=6 on web-01", "twice", None),
        ("restart nginx on", "No target", "/runbook restart nginx on web-01,web-02"),
        ("feature on on web-01", "twice", "/runbook feature on web-01"),
        ("restart nginx on web-01 on web-02", "twice", None),
        ("restart nginx on web-01,,web-02", "comma", None),
        ("restart nginx on web-01,", "comma", None),
        ("restart nginx on web-01 and web-02", "commas", "/runbook restart nginx on web-01,web-02"),
        ("restart nginx on web-01 please", "before `on`", None),
        ("restart nginx on web-01 now!", "before `on`", None),
        ("restart nginx on web-01;reboot", "target", None),
        ("restart nginx on $(hostname)", "target", None),
        ("restart nginx on web-01,WEB-01", "twice", None),
        ("restart – nginx on web-01", "dash", "--dry-run"),
        ("--dry-run restart nginx on web-01", "name", "/runbook restart nginx on web-01"),
        ("on web-01", "Which runbook", "/runbook restart nginx on web-01"),
        ("rm$ -rf on web-01", "rm$", "/runbook list"),
        ("plan", "planned", "/runbook plan restart nginx on web-01"),
        ("plan list", "planned", "/runbook plan restart nginx on web-01"),
        ("logs 42 --dry-run", "`logs`", "/runbook logs 42"),
        ("retry 42 --priority high", "--priority", "/runbook retry 42"),
        ("restart <http://evil.example.com|nginx> on web-01", "evil.example.com", None),
    ],
)
def test_what_could_be_read_in_two_ways_is_asked_about(text: str, named_thing: str, suggested: str | None) -> None:
    answer = unclear(parse_runbook(text))
    assert named_thing in answer.message
    if suggested is not None:
        assert answer.suggestion == suggested


def test_a_suggestion_that_is_a_whole_command_can_be_sent_as_it_stands() -> None:
    answer = unclear(parse_runbook("restart nginx on web-01 and web-02"))
    assert run(answer.suggestion or "").targets == ("web-01", "web-02")


@pytest.mark.parametrize(
    ("char", "word"),
    [
        ("\u202e", "right-to-left"),
        ("\u200f", "right-to-left mark"),
        ("\u2066", "isolate"),
        ("\u200b", "zero width"),
        ("\ufeff", "zero width"),
        ("\x00", "control"),
        ("\x1b", "U+001B"),
        ("\x7f", "U+007F"),
        ("\ud800", "U+D800"),
        ("\U000e0041", "tag"),
    ],
)
def test_hidden_characters_are_refused_by_name(char: str, word: str) -> None:
    answer = unclear(parse_runbook(f"restart ngi{char}nx on web-01"))
    assert word in answer.message
    assert char not in answer.message


def test_a_masked_value_is_no_argument() -> None:
    assert "secret" in unclear(parse_runbook("rotate password=[redacted] on web-01")).message
    assert "secret" in unclear(parse_runbook("rotate 'x [redacted]' on web-01")).message
    assert run("rotate --reason 'used [redacted]' on web-01").reason == "used [redacted]"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\v", "\u2028", "\x85"])
def test_one_request_is_one_line(newline: str) -> None:
    assert "several lines" in unclear(parse_runbook(f"restart nginx on web-01{newline}reboot on web-02")).message
    assert run(f"{newline}restart nginx on web-01 {newline}") == RESTART


def test_a_tab_inside_quotes_is_asked_about() -> None:
    assert "tab" in unclear(parse_runbook('restart "a\tb" on web-01')).message


def test_long_texts_and_values_are_refused_with_their_length() -> None:
    assert run(f"note {'x' * VALUE_LIMIT} on web-01").values == ("x" * VALUE_LIMIT,)
    assert str(VALUE_LIMIT + 1) in unclear(parse_runbook(f"note {'x' * (VALUE_LIMIT + 1)} on web-01")).message
    assert str(TEXT_LIMIT + 1) in unclear(parse_runbook("x" * (TEXT_LIMIT + 1))).message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Query(verb=Verb.HELP)),
        ("   ", Query(verb=Verb.HELP)),
        ("/runbook", Query(verb=Verb.HELP)),
        ("help restart", Query(verb=Verb.HELP, words=("restart",))),
        ("LIST disk", Query(verb=Verb.LIST, words=("disk",))),
        ("show restart-service", Query(verb=Verb.SHOW, words=("restart-service",))),
        ("status", Query(verb=Verb.STATUS)),
        ("status on tag:web", Query(verb=Verb.STATUS, targets=("tag:web",))),
        ("logs 42 step=3", Query(verb=Verb.LOGS, words=("42",), named={"step": "3"})),
        ("logs 42 on web-01", Query(verb=Verb.LOGS, words=("42",), named={"host": "web-01"})),
        ("cancel 42 --reason 'wrong host'", Query(verb=Verb.CANCEL, words=("42",), reason="wrong host")),
        ("retry 42 --emergency --reason fire",
         Query(verb=Verb.RETRY, words=("42",), reason="fire", emergency=True)),
        ("rollback #42", Query(verb=Verb.ROLLBACK, words=("#42",))),
        ("resume 42", Query(verb=Verb.RESUME, words=("42",))),
        ("approve 42", Query(verb=Verb.APPROVE, words=("42",))),
        ("Approve `#42`", Query(verb=Verb.APPROVE, words=("#42",))),
        ("deny 42", Query(verb=Verb.DENY, words=("42",))),
        ("deny 42 it isn't the right host, not on friday",
         Query(verb=Verb.DENY, words=("42",), reason="it isn't the right host, not on friday")),
        ("deny 42 settle=5 “is short”", Query(verb=Verb.DENY, words=("42",), reason="settle=5 is short")),
        ("deny 42 --reason 'wrong host'", Query(verb=Verb.DENY, words=("42",), reason="wrong host")),
        ("cancel 42 wrong host", Query(verb=Verb.CANCEL, words=("42",), reason="wrong host")),
        ("breaker", Query(verb=Verb.BREAKER)),
        ("breaker LIST", Query(verb=Verb.BREAKER, words=("list",))),
        ("breaker reset Restart-Service", Query(verb=Verb.BREAKER, words=("reset", "restart-service"))),
        ("breaker reset restart on web-01",
         Query(verb=Verb.BREAKER, words=("reset", "restart"), targets=("web-01",))),
        ("dead-letters", Query(verb=Verb.DEAD_LETTERS)),
        ("dead_letters list", Query(verb=Verb.DEAD_LETTERS, words=("list",))),
        ("dead—letters show 7", Query(verb=Verb.DEAD_LETTERS, words=("show", "7"))),
        ("dead-letters Requeue #7", Query(verb=Verb.DEAD_LETTERS, words=("requeue", "#7"))),
        ("dead-letters discard 7", Query(verb=Verb.DEAD_LETTERS, words=("discard", "7"))),
        ("can", Query(verb=Verb.CAN)),
        ("can @bob", Query(verb=Verb.CAN, person="bob")),
        ("can <@U123>", Query(verb=Verb.CAN, person="U123")),
        ("can Restart nginx settle=5 on tag:web",
         Query(verb=Verb.CAN, words=("restart", "nginx"), named={"settle": "5"}, targets=("tag:web",))),
        ("can U123", Query(verb=Verb.CAN, words=("u123",))),
        ("can RESTART <@U123> on web-01",
         Query(verb=Verb.CAN, words=("restart", "U123"), targets=("web-01",))),
        ("history restart on web-01", Query(verb=Verb.HISTORY, named={"runbook": "restart", "host": "web-01"})),
        ("why 42", Query(verb=Verb.WHY, words=("42",))),
        ("can <@U123|bob> restart-service on web-01",
         Query(verb=Verb.CAN, person="U123", words=("restart-service",), targets=("web-01",))),
    ],
)  # fmt: skip
def test_subcommands_are_questions_with_words(text: str, expected: Query) -> None:
    assert query(text) == expected


@pytest.mark.parametrize(
    ("text", "named_thing", "suggested"),
    [
        ("approve", "Which execution", "/runbook approve 42"),
        ("why 42 43", "“43” follows", "/runbook why 42"),
        ("why 42 on web-01", "takes no targets", "/runbook why 42"),
        ("show restart kill", "nothing after “restart”", "/runbook show restart"),
        ("status 42 on web-01", "a number or targets", "/runbook status 42"),
        ("status 42 43", "“43” follows", "/runbook status 42"),
        ("logs 42 web-01 web-02", "“web-02” follows", "/runbook logs 42 web-01"),
        ("logs 42 on web-01,web-02", "takes no targets", "/runbook logs 42"),
        ("digest 7d on web-01", "`on web-01` follows", "/runbook digest 7d"),
        ("list disk on web-01", "takes no targets", "/runbook list disk"),
        ("help history on web-01", "takes no targets", "/runbook help history"),
        ("approve it", "Which execution", "/runbook approve 42"),
        ("approve 42 43", "“43” follows", "/runbook approve 42"),
        ("approve 42 but not db-1", "follows", "/runbook approve 42"),
        ("approve 42 on web-01", "follows", "/runbook approve 42"),
        ("approve 42 --emergency", "--emergency", "/runbook approve 42"),
        ("rollback 42 --emergency", "--emergency", "/runbook rollback 42"),
        ("resume 42 --reason 'looked at it'", "--reason", "/runbook resume 42"),
        ("approve ４２", "Which execution", "/runbook approve 42"),
        ("approve -42", "Which execution", "/runbook approve 42"),
        ("approve 42;43", "Which execution", "/runbook approve 42"),
        ("deny wrong host", "Which execution", "/runbook deny 42 wrong host"),
        ("deny 42 no --reason 'not now'", "two reasons", None),
        ("deny 42 --dry-run", "--dry-run", "/runbook deny 42"),
        ("deny 42 " + "x " * 600, "characters", None),
        ("deny 42 see C:\\dir\\", "backslash", None),
        ("retry 42 43", "“43” follows", "/runbook retry 42"),
        ("resume 42 on web-01", "follows", "/runbook resume 42"),
        ("breaker rest restart", "Did you mean `reset`", "/runbook breaker reset restart-service on web-01"),
        ("breaker reset", "a runbook", None),
        ("breaker reset restart nginx", "nothing more", None),
        ("breaker reset rm$", "not the name of a runbook", "/runbook list"),
        ("breaker list on web-01", "no targets", None),
        ("breaker reset restart host=web-01", "no targets", None),
        ("dead-letters drop 7", "“drop”", "/runbook dead-letters show 7"),
        ("dead-letters show", "an id", None),
        ("dead-letters show 7 8", "nothing more", None),
        ("dead-letters discard *", "no id", None),
        ("dead-letters requeue 7 on web-01", "no targets", None),
        ("can @bob on web-01", "Which runbook", "/runbook can restart nginx on web-01"),
        ("can @ restart", "no person", "/runbook can @someone"),
        ("can @bob rm$", "not the name of a runbook", "/runbook list"),
    ],
)
def test_a_subcommand_with_more_or_less_than_it_takes_is_asked_about(
    text: str, named_thing: str, suggested: str | None
) -> None:
    answer = unclear(parse_runbook(text))
    assert named_thing in answer.message
    if suggested is not None:
        assert answer.suggestion == suggested


@pytest.mark.parametrize("verb", list(Verb))
def test_the_example_of_every_subcommand_can_be_sent_as_it_stands(verb: Verb) -> None:
    answer = unclear(parse_runbook(f"{verb} 42 --priority high"))
    assert query(_FORMS[verb].example).verb is verb
    assert f"`{verb}` takes no `--priority`" in answer.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("global on", SwitchCommand(scope="global", engage=True)),
        ("GLOBAL ON", SwitchCommand(scope="global", engage=True)),
        ("/killswitch global off all clear", SwitchCommand(scope="global", engage=False, reason="all clear")),
        ("global on --now", SwitchCommand(scope="global", engage=True, now=True)),
        ("global —now on", SwitchCommand(scope="global", engage=True, now=True)),
        ("global on it isn't well on db-1", SwitchCommand(scope="global", engage=True, reason="it isn't well on db-1")),
        ("global on – db burns", SwitchCommand(scope="global", engage=True, reason="– db burns")),
        ("global on “db burns” --now", SwitchCommand(scope="global", engage=True, now=True, reason="db burns")),
        ("global on --reason db is on fire --now",
         SwitchCommand(scope="global", engage=True, now=True, reason="db is on fire")),
        ("service nginx on", SwitchCommand(scope="service", subject="nginx", engage=True)),
        ("runbook Restart-Service on", SwitchCommand(scope="runbook", subject="restart-service", engage=True)),
        ("host <http://web-01.example.com|web-01.example.com> off fixed",
         SwitchCommand(scope="host", subject="web-01.example.com", engage=False, reason="fixed")),
        ("tag web on", SwitchCommand(scope="tag", subject="web", engage=True)),
        ("service celery@1.service on", SwitchCommand(scope="service", subject="celery@1.service", engage=True)),
        ("`global on`", SwitchCommand(scope="global", engage=True)),
        ("global off --reason 'false alarm'", SwitchCommand(scope="global", engage=False, reason="false alarm")),
    ],
)  # fmt: skip
def test_kill_switches_are_read(text: str, expected: SwitchCommand) -> None:
    assert switch(text) == expected


def test_the_kill_switches_can_be_asked_for() -> None:
    assert parse_killswitch("status") == SwitchStatus()
    assert parse_killswitch(" `/killswitch STATUS` ") == SwitchStatus()


@pytest.mark.parametrize(
    ("text", "named_thing", "suggested"),
    [
        ("", "Which kill switch", "/killswitch status"),
        ("on", "kind", "/killswitch global on"),
        ("off", "kind", "/killswitch global off"),
        ("nginx on", "nginx", "/killswitch service nginx on"),
        ("global", "on or off", "/killswitch global on"),
        ("global engage", "on or off", "/killswitch global on"),
        ("service on", "Which service", "/killswitch service nginx on"),
        ("service nginx", "on or off", "/killswitch service nginx on"),
        ("host a;b on", "host", "/killswitch host web-01 on"),
        ("global off --now", "`--now`", "/killswitch global off"),
        ("global on --force", "--force", None),
        ("global on --now --now", "twice", None),
        ("global on 'db burns", "never closed", None),
        ("global on burning --reason fire", "two reasons", None),
        ("global on " + "x " * 600, "characters", None),
    ],
)
def test_an_unsure_kill_switch_is_asked_about(text: str, named_thing: str, suggested: str | None) -> None:
    answer = unclear(parse_killswitch(text))
    assert named_thing in answer.message
    if suggested is not None:
        assert answer.suggestion == suggested


def test_audit_is_split_into_words() -> None:
    assert parse_audit("/audit restart “by bob” on:web-01") == AuditSearch(words=("restart", "by bob", "on:web-01"))
    assert parse_audit("") == AuditSearch()
    unclear(parse_audit('restart "by bob'))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("who=<@U1|bob> restart", AuditSearch(words=("restart",), actor="U1")),
        ("who=@bob", AuditSearch(actor="bob")),
        ("who='@bob'", AuditSearch(actor="bob")),
        ("runbook=Restart-Service host=web-01", AuditSearch(runbook="restart-service", host="web-01")),
        ("kind=Execution.Succeeded id=#42", AuditSearch(kind="execution.succeeded", execution_id=42)),
        ("incident=<#C1|db-down>", AuditSearch(incident="C1")),
        ("incident=#db-down", AuditSearch(incident="db-down")),
        ("since=2h until=30m", AuditSearch(since="2h", until="30m")),
        ("since=2026-11-20 until=2026-11-20T09:30", AuditSearch(since="2026-11-20", until="2026-11-20T09:30:00")),
        ("since='2026-11-20 09:30'", AuditSearch(since="2026-11-20T09:30:00")),
        ("Since=1D12H", AuditSearch(since="1d12h")),
        ("page=1200 'by=bob'", AuditSearch(words=("by=bob",), before=1200)),
        ("'--now'", AuditSearch(words=("--now",))),
    ],
)
def test_filters_of_the_audit_are_read(text: str, expected: AuditSearch) -> None:
    assert parse_audit(text) == expected


@pytest.mark.parametrize(
    ("text", "named_thing", "suggested"),
    [
        ("user=@bob", "“user”", "/audit since=2h"),
        ("hosts=web-01", "Did you mean `host=`", "/audit host=web-01"),
        ("since=yesterday", "“yesterday” is not a time", "/audit since=2h"),
        ("since=2026-02-30", "not a time", "/audit since=2h"),
        ("until=2026-11-20T25:00", "not a time", "/audit until=2026-11-20"),
        ("since=２h", "not a time", None),
        ("since=-2h", "not a time", None),
        ("id=x", "not the number of an execution", "/audit id=42"),
        ("page=-1", "not the number of an entry", "/audit page=1200"),
        ("host=a;b", "not the name of a host", "/audit host=web-01"),
        ("runbook='a b'", "not the name of a runbook", None),
        ("kind=%", "not a kind", None),
        ("who=@", "not a person", "/audit who=@someone"),
        ("since=", "has no value", None),
        ("id=1 id=2", "twice", None),
        ("--since=2h", "no flag", None),
        ("--since 2h", "no flag", "/audit since=2h"),
    ],
)
def test_an_unsure_filter_of_the_audit_is_asked_about(text: str, named_thing: str, suggested: str | None) -> None:
    answer = unclear(parse_audit(text))
    assert named_thing in answer.message
    if suggested is not None:
        assert answer.suggestion == suggested


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("restart nginx on web-01", "  RESTART  `nginx`  on “web-01” "),
        ("plan restart nginx on web-01", "restart nginx on web-01 —dryrun"),
        ("restart nginx a=1 b=2 on web-01", "restart b=2 nginx A=1 on web-01"),
        ("restart nginx on web-01 --priority normal", "restart nginx on web-01"),
        ("note 'a &amp; b' on web-01", 'note "a & b" on web-01'),
        ("deny 42 wrong  host", "DENY 42 --reason “wrong host”"),
        ("can <@U1|bob> restart nginx on web-01", "can @U1 RESTART nginx on web-01"),
        ("breaker reset restart on web-01", "Breaker  RESET Restart on web-01"),
    ],
)
def test_two_spellings_of_one_request_are_the_same_text(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("restart nginx on web-01", "restart Nginx on web-01"),
        ("restart a b on web-01", "restart 'a b' on web-01"),
        ("restart a=b on web-01", "restart 'a=b' on web-01"),
        ("restart nginx on web-01", "restart nginx on web-01 --dry-run"),
        ("restart x 'on' on web-01", "restart x on web-01"),
        ("can <@U1|bob> restart on web-01", "can U1 restart on web-01"),
        ("dead-letters show 7", "dead-letters discard 7"),
    ],
)
def test_two_different_requests_are_different_texts(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


FRAGMENTS = [
    "restart",
    "nginx",
    "on",
    "ON",
    "web-01",
    "tag:web",
    ",",
    " ",
    "  ",
    "\t",
    "\xa0",
    "=",
    "a=",
    "settle=5",
    '"',
    "'",
    "“",
    "”",
    "’",
    "`",
    "```",
    "\\",
    "--",
    "—",
    "-",
    "dry-run",
    "dryrun",
    "--reason",
    "--priority",
    "high",
    "--emergency",
    "--now",
    "plan",
    "list",
    "cancel",
    "approve",
    "deny",
    "42",
    "#42",
    "breaker",
    "reset",
    "dead-letters",
    "discard",
    "can",
    "who=",
    "since=2h",
    "page=9",
    "@bob",
    "global",
    "service",
    "off",
    "status",
    "<@U1|b>",
    "<http://a.b|a.b>",
    "<http://a|b>",
    "&amp;",
    "&lt;",
    "<",
    ">",
    "\n",
    "\u202e",
    "é",
    "x" * 70,
]
TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join),
    st.lists(st.sampled_from(FRAGMENTS), max_size=14).map(" ".join),
)


@FUZZ
@given(TEXTS)
@example('a "\\')
@example("a ='")
def test_no_text_makes_the_grammar_raise(text: str) -> None:
    assert isinstance(parse_runbook(text), RunCommand | Query | TemplateCommand | Unclear)
    assert isinstance(parse_killswitch(text), SwitchCommand | SwitchStatus | Unclear)
    assert isinstance(parse_audit(text), AuditSearch | Unclear)
    assert isinstance(parse_incident(text), IncidentCommand | Unclear)


@pytest.mark.parametrize("seed", range(3))
def test_no_text_takes_long_or_reads_differently_again(seed: int) -> None:
    for text in islice(fuzz_request.texts(random.Random(seed)), 1_000):  # noqa: S311
        assert list(fuzz_request.faults(text)) == [], text
        # Processor time; the least of three, since the collector of garbage may come by.
        assert min(fuzz_request.cpu_seconds(text) for _ in range(3)) < fuzz_request.LIMIT, text


@FUZZ
@given(TEXTS)
def test_the_normalised_text_asks_for_the_same(text: str) -> None:
    answer = parse_runbook(text)
    if not isinstance(answer, Unclear):
        assert parse_runbook(normalised(text)) == answer
        assert normalised(normalised(text)) == normalised(text)


VALUES = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=30).filter(
    lambda value: bool(value.strip()) and not value.endswith("\\") and '\\"' not in value
)


@FUZZ
@given(VALUES)
@example("on")
@example("a=b")
def test_any_printable_value_can_be_given_in_quotes(value: str) -> None:
    escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in '"“”„‟″«»':
        escaped = escaped.replace(mark, "\\" + mark)
    answer = parse_runbook(f'note "{escaped}" on web-01')
    if isinstance(answer, Unclear):
        assert "flag" in answer.message or "masked" in answer.message  # a quoted flag is asked about
    else:
        assert isinstance(answer, RunCommand)
        assert answer.values == (value,)


@FUZZ
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=10).map(" ".join))
def test_a_text_that_says_dry_run_never_runs_for_real(words: str) -> None:
    for text in (f"restart {words} dry-run", f"restart --dry-run {words}", f"restart {words} --dry-run"):
        answer = parse_runbook(text)
        said_as_reason = isinstance(answer, RunCommand) and answer.reason is not None
        assert not isinstance(answer, RunCommand) or answer.dry_run or said_as_reason


# --- waves ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "restart nginx on tag:web --waves 1,25%,rest --pause 30s --max-failures 10%",
        "restart nginx --waves 1, 25%, REST --pause 30 --max-failures 10% on tag:web",
        "restart nginx on tag:web —waves=1,25%,all —pause=30s —max-failures=10%",
        "restart nginx on tag:web --waves 1 ,25% ,rest --pause “30s” --max_failures 10%",
    ],
)
def test_waves_pauses_and_budgets_are_read_however_they_are_typed(text: str) -> None:
    command = run(text)
    assert command.rollout == Rollout(waves="1,25%,rest", pause=30, max_failures="10%")
    assert (command.values, command.targets) == (("nginx",), ("tag:web",))
    assert run(normalised(text)) == command


@pytest.mark.parametrize(
    ("text", "word", "suggestion"),
    [
        ("restart nginx on tag:web --waves half", "'half' is no size", "--waves 1,25%,rest"),
        ("restart nginx on tag:web --waves rest,1", "stands last", "--waves 1,25%,rest"),
        ("restart nginx on tag:web --waves", "needs a value", "--waves 1,25%,rest"),
        ("restart nginx on tag:web --waves 0", "never get anywhere", "--waves 1,25%,rest"),
        ("restart nginx on tag:web --pause soon", "no length of a pause", "--pause 30s"),
        ("restart nginx on tag:web --pause 2h", "an hour at most", "--pause 30s"),
        ("restart nginx on tag:web --max-failures few", "that may fail", "--max-failures 1"),
        ("restart nginx on tag:web --wave 1,rest", "Did you mean `--waves`", "--waves 1,25%,rest"),
        ("retry 42 broken", "nothing but `failed`", "/runbook retry 42"),
        ("retry 42 --waves 1", "takes no `--waves`", None),
    ],
)
def test_what_can_not_be_meant_of_waves_is_asked_about(text: str, word: str, suggestion: str | None) -> None:
    answer = parse_runbook(text)
    assert isinstance(answer, Unclear)
    assert word in answer.message
    assert suggestion is None or answer.suggestion == suggestion


def test_retry_takes_the_failed_hosts_only_when_it_is_said() -> None:
    assert parse_runbook("retry #42 FAILED") == Query(verb=Verb.RETRY, words=("#42", "failed"))
    assert parse_runbook("retry 42") == Query(verb=Verb.RETRY, words=("42",))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", IncidentCommand()),
        ("/incident", IncidentCommand()),
        (
            'open "checkout is slow" sev2 service=checkout',
            IncidentCommand(action="open", title="checkout is slow", severity=2, service="checkout"),
        ),
        ("open checkout is slow SEV-1", IncidentCommand(action="open", title="checkout is slow", severity=1)),
        ("OPEN “sev2 is a word here”", IncidentCommand(action="open", title="sev2 is a word here")),
        ("open x severity=sev3", IncidentCommand(action="open", title="x", severity=3)),
        ("open התשלום איטי", IncidentCommand(action="open", title="התשלום איטי")),
        ("bind 7", IncidentCommand(action="bind", number=7)),
        ("bind db is down sev4", IncidentCommand(action="bind", title="db is down", severity=4)),
        ("show #3", IncidentCommand(action="show", number=3)),
        ("timeline", IncidentCommand(action="timeline")),
        ("postmortem 3", IncidentCommand(action="postmortem", number=3)),
        ("severity 1", IncidentCommand(action="severity", severity=1)),
        ("status Monitoring", IncidentCommand(action="status", status=IncidentStatus.MONITORING)),
        ("role comms <@UBOB|bob>", IncidentCommand(action="role", role=IncidentRole.COMMUNICATIONS, person="UBOB")),
        ("role commander nobody", IncidentCommand(action="role", role=IncidentRole.COMMANDER)),
        ('note it\'s "full" --x a=b on', IncidentCommand(action="note", text='it\'s "full" --x a=b on')),
        ("note <@UBOB|bob> said <!channel>", IncidentCommand(action="note", text="@bob said @channel")),
        ("resolve “the cache was full”", IncidentCommand(action="resolve", text="the cache was full")),
    ],
)
def test_incident_reads_what_is_meant(text: str, meant: IncidentCommand) -> None:
    assert parse_incident(text) == meant


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("checkout is slow", '/incident open "checkout is slow"'),
        ("opne checkout", "/incident open"),
        ("sev2", "/incident severity sev2"),
        ("monitoring", "/incident status monitoring"),
        ("resolved", "/incident resolve what it was and what helped"),
        ("status resolved", "/incident resolve the cache was full; it is larger now"),
        ("commander <@UBOB>", "/incident role commander @someone"),
        ("role comander <@UBOB>", "/incident role commander @someone"),
        ("role commander bob", "/incident role commander @someone"),
        ("role commander <@UBOB> <@UANN>", "/incident role commander @someone"),
        ("open", '/incident open "checkout is slow" sev2'),
        ("open x sev9", '/incident open "checkout is slow" sev2 service=checkout'),
        ("open x sev1 sev2", '/incident open "checkout is slow" sev2 service=checkout'),
        ("open x host=web-01", '/incident open "checkout is slow" sev2 service=checkout'),
        ("open x --now", '/incident open "checkout is slow" sev2 service=checkout'),
        ("severity", "/incident severity sev2"),
        ("list all", "/incident list"),
        ("note", "/incident note the cache was full"),
    ],
)
def test_an_unsure_incident_is_asked_about(text: str, suggestion: str) -> None:
    assert unclear(parse_incident(text)).suggestion == suggestion


def test_a_title_is_bounded_and_nothing_hidden_is_in_it() -> None:
    assert "at most 300" in unclear(parse_incident("open " + "slow " * 100)).message
    assert "at most 4000" in unclear(parse_incident("note " + "x" * 4_000)).message
    unclear(parse_incident("open pay\u202eload"))
    unclear(parse_incident("note two\nlines"))


def test_what_is_suggested_for_an_incident_is_itself_clear() -> None:
    for text in ("checkout is slow", "sev2", "monitoring", "status resolved", "open"):
        suggestion = unclear(parse_incident(text)).suggestion
        assert suggestion is not None
        assert isinstance(parse_incident(suggestion), IncidentCommand)


TIDY = RunCommand(runbook="disk-cleanup", named={"path": "/var/log"}, targets=("web-01",))


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("schedule", ScheduleCommand(action="new")),
        ("schedule new", ScheduleCommand(action="new")),
        ('schedule "0 2 * * *"', ScheduleCommand(action="new", cron="0 2 * * *")),
        ("schedule list", ScheduleCommand()),
        ("schedule list page=2", ScheduleCommand(page=2)),
        ("schedules list", ScheduleCommand()),
        (
            'schedule "0 2 * * *" disk-cleanup path=/var/log on web-01 tz Europe/Berlin as "nightly cleanup"',
            ScheduleCommand(
                action="make", cron="0 2 * * *", request=TIDY, timezone="Europe/Berlin", name="nightly cleanup"
            ),
        ),
        (
            "schedule 0 2 * * MON–FRI disk-cleanup path=/var/log on web-01",
            ScheduleCommand(action="make", cron="0 2 * * mon-fri", request=TIDY),
        ),
        (
            "schedule “@Daily” as nightly disk-cleanup",
            Unclear(message="What should be run then? The request follows the cron line."),
        ),
        (
            "/runbook schedule @daily disk-cleanup as nightly path=/var/log on web-01",
            ScheduleCommand(action="make", cron="@daily", request=TIDY, name="nightly"),
        ),
        (
            'schedule @daily note "as" "tz" on web-01',
            ScheduleCommand(
                action="make",
                cron="@daily",
                request=RunCommand(runbook="note", values=("as", "tz"), targets=("web-01",)),
            ),
        ),
        ("schedule show Nightly Cleanup", ScheduleCommand(action="show", name="Nightly Cleanup")),
        ('schedule delete "nightly  cleanup"', ScheduleCommand(action="delete", name="nightly cleanup")),
        ("schedule run #7", ScheduleCommand(action="run", name="#7")),
        ("schedule approve nightly limit=20", ScheduleCommand(action="approve", name="nightly", limit=20)),
        (
            "schedule approve nightly mark=00ff00ff limit=20",
            ScheduleCommand(action="approve", name="nightly", limit=20, mark="00ff00ff"),
        ),
    ],
)
def test_the_words_of_a_schedule(text: str, command: ScheduleCommand | Unclear) -> None:
    found = parse_runbook(text)
    if isinstance(command, Unclear):
        assert isinstance(found, Unclear)
        assert found.message == command.message
    else:
        assert found == command
        assert parse_runbook(normalised(text)) == command


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schedule delet nightly", "Did you mean `delete`?"),
        ('schedule "0 2 * *" tidy on web-01', "it has five fields"),
        ("schedule 0 2 * *", "it has five fields"),
        ('schedule "0 2 * * *" as nightly', "What should be run then?"),
        ('schedule "0 2 * * *" cancel 42', "`cancel` is a subcommand"),
        ('schedule "0 2 * * *" schedule list', "`schedule` is a subcommand"),
        ('schedule "0 2 * * *" tidy on web-01 --emergency', "An emergency is not scheduled"),
        ('schedule "0 2 * * *" tidy on web-01 as', "What follows `as`?"),
        ('schedule "0 2 * * *" tidy on web-01 as a as b', "`as` stands there twice"),
        ('schedule "0 2 * * *" tidy on web-01 as nightly cleanup', "Put it in quotes"),
        ('schedule "0 2 * * *" tidy on web-01 tz "a;b"', "is no time zone"),
        ('schedule "0 2 * * *" tidy on web-01 as "12"', "cannot be the name of a schedule"),
        ('schedule "0 2 * * *" tidy on web-01 as list', "is an action"),
        ('schedule "0 2 * * *" tidy on "as"', "Is “as” a host?"),
        ("schedule pause", "Which schedule?"),
        ("schedule pause nightly --now", "takes no flags"),
        ("schedule pause nightly limit=2", "takes no `limit=`"),
        ("schedule approve nightly limit=many", "from 1 to 99999"),
        ("schedule approve nightly limit=0", "from 1 to 99999"),
        ("schedule approve nightly limit=2 mark=xyz", "is no mark"),
        ("schedule list all", "takes nothing more"),
        ("schedule new nightly", "takes nothing more"),
        ("schedule list page=0", "counted from 1"),
        ("schedule pause nightly page=2", "takes no `page=`"),
        ("plan schedule list", "can't be planned"),
        ("template save weekly schedule list", "is a subcommand"),
    ],
)
def test_what_is_unclear_about_a_schedule_is_asked(text: str, said: str) -> None:
    found = parse_runbook(text)
    assert isinstance(found, Unclear)
    assert said in found.message


def test_a_runbook_may_have_every_name_that_is_no_subcommand() -> None:
    behind = {words[1] for said in vocabulary() if (words := said.split())[0] == "/runbook" and len(words) > 1}
    assert behind - {"NAME"} <= SUBCOMMANDS
    for word in SUBCOMMANDS:
        parsed = parse_runbook(f"{word} x on web-01")
        assert not isinstance(parsed, RunCommand) or parsed.runbook != word
