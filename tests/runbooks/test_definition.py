"""What a runbook may ask for and what its steps may say, refused at the door."""

from datetime import timedelta
from typing import Any, ClassVar

import pytest
from pydantic import Field, ValidationError

from runbooks import (
    AbsolutePath,
    Call,
    Danger,
    Expect,
    Facts,
    Parallel,
    Parameters,
    Pid,
    Plan,
    Require,
    Run,
    Runbook,
    Seconds,
    ServiceName,
    Wait,
    minutes,
)
from runbooks.definition import Reading
from storage.errors import DefinitionError


class Everything(Parameters):
    """One parameter of each kind."""

    service: ServiceName = "nginx"
    path: AbsolutePath = "/tmp"
    pid: Pid = 2
    length: Seconds = Field(0, ge=0, le=86_400)


def given(**values: Any) -> Everything:
    """As it comes out of the door."""
    return Everything.model_validate(values)


def refused(**values: Any) -> str:
    """What is said when it does not get in."""
    with pytest.raises(ValidationError) as error:
        given(**values)
    return "; ".join(item["msg"] for item in error.value.errors())


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("nginx", "nginx"),
        ("nginx.service", "nginx"),
        ("celery@1", "celery@1"),
        ("celery@1.service", "celery@1"),
        ("getty@tty1", "getty@tty1"),
        ("docker.socket", "docker.socket"),
        (r"system-systemd\x2dcryptsetup.slice", r"system-systemd\x2dcryptsetup.slice"),
        ("dbus-org.freedesktop.login1", "dbus-org.freedesktop.login1"),
        ("a" * 247, "a" * 247),
    ],
)
def test_a_unit_is_kept_without_its_service_suffix(typed: str, kept: str) -> None:
    assert given(service=typed).service == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "-H",
        "--now",
        "-.mount",
        "nginx redis",
        "nginx;reboot",
        "nginx\nreboot",
        "nginx\x00",
        "nginx\x1b[1m",
        "$(reboot)",
        "nginx*",
        "nginx/../sshd",
        "/etc",
        "a..b",
        ".",
        ".service",
        "@1",
        "@1.service",
        "nginx\u2010proxy",
        "ｎginx",
        " nginx ",
        "a" * 248,
    ],
)
def test_what_is_no_unit_name_is_refused(typed: str) -> None:
    assert "not a unit name" in refused(service=typed)


@pytest.mark.parametrize("typed", ["celery@", "celery@.service", "getty@.timer"])
def test_a_template_without_its_instance_is_refused_with_an_example(typed: str) -> None:
    assert f"name an instance of it, like {typed.partition('@')[0]}@1" in refused(service=typed)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("/", "/"),
        ("/var/log/", "/var/log"),
        ("/srv/a b/-x", "/srv/a b/-x"),
        ("/srv/..hidden", "/srv/..hidden"),
    ],
)
def test_a_path_is_kept_in_its_plain_form(typed: str, kept: str) -> None:
    assert given(path=typed).path == kept


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("var/log", "must start with /"),
        ("~/log", "must start with /"),
        ("-rf", "could be taken for an option"),
        ("", "is empty"),
        ("/srv/ü", "no plain ASCII"),
        ("///", "empty or a '.' part"),
        ("/var//log", "empty or a '.' part"),
        ("/var/./log", "empty or a '.' part"),
        ("/var/../etc", "goes up"),
        ("/..", "goes up"),
        ("/var/log/..", "goes up"),
        ("/var/\nlog", "hidden character"),
        ("/var/\x00", "hidden character"),
        ("/var/\x7f", "hidden character"),
    ],
)
def test_a_path_that_is_relative_or_leads_elsewhere_is_refused(typed: str, said: str) -> None:
    assert said in refused(path=typed)


@pytest.mark.parametrize(("typed", "kept"), [("2", 2), ("4194304", 4_194_304), (7, 7)])
def test_a_process_id_is_digits(typed: Any, kept: int) -> None:
    assert given(pid=typed).pid == kept


@pytest.mark.parametrize(
    "typed", ["0", "1", "0042", "-1", "4194305", "1e3", "0x10", "1 2", "", "１", "99999999999", "nginx", 1.5]
)
def test_what_can_be_no_process_is_refused(typed: Any) -> None:
    assert refused(pid=typed)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("0", 0), ("30", 30), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1m30s", 90), (12, 12), ("24h", 86_400)],
)
def test_lengths_of_time_are_typed_as_people_say_them(typed: Any, kept: int) -> None:
    assert given(length=typed).length == kept


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("soon", "Write it like 30, 90s, 5m or 1h30m"),
        ("", "Write it like 30, 90s, 5m or 1h30m"),
        ("5 minutes", "Write it like 30, 90s, 5m or 1h30m"),
        ("99999999999999999h", "Write it like 30, 90s, 5m or 1h30m"),
        ("1.5s", "whole number of seconds"),
        ("500ms", "whole number of seconds"),
        ("-5s", "below zero"),
        ("48h", "less than or equal to 86400"),
    ],
)
def test_what_is_no_length_of_time_is_refused(typed: str, said: str) -> None:
    assert said in refused(length=typed)


def test_parameters_do_not_change_and_unknown_ones_are_refused() -> None:
    found = given(service="nginx")
    with pytest.raises(ValidationError, match="frozen"):
        found.service = "sshd"
    assert refused(servise="nginx")


def test_a_default_is_held_to_the_same_rules() -> None:
    with pytest.raises(
        DefinitionError, match=r"A default of .*Wrong cannot be used: 'service': '-H' is not a unit name"
    ):

        class Wrong(Parameters):
            service: ServiceName = "-H"


def test_facts_are_attributes_that_never_change_and_say_what_there_is() -> None:
    facts = Facts(state="active", pid=7)
    assert (facts.state, facts["pid"], len(facts), dict(facts.having(host="a"))["host"]) == ("active", 7, 2, "a")
    assert "host" not in facts
    with pytest.raises(AttributeError, match="do not change"):
        facts.state = "failed"
    with pytest.raises(AttributeError, match="no fact 'sate'; it found state, pid"):
        _ = facts.sate


def test_a_reading_is_text_with_its_exit_status() -> None:
    reading = Reading("active", exit_status=3)
    assert (reading, reading.exit_status, reading.upper()) == ("active", 3, "ACTIVE")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("title",), "needs a command"),
        (("", "true"), "needs a title"),
        (("  ", "true"), "needs a title"),
        (("title", ""), "not a program"),
        (("title", "-rf", "/"), "not a program"),
        (("title", "echo", "a\nb"), "line break"),
        (("title", "echo", "a\x00b"), "NUL"),
    ],
)
@pytest.mark.parametrize("kind", [Run, Expect, Require])
def test_a_step_is_a_title_and_a_program_with_words(kind: Any, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        kind(*words)


def test_a_command_given_as_one_list_is_refused() -> None:
    with pytest.raises(DefinitionError, match="words, each a string"):
        Run("Restart", ["systemctl", "restart", "nginx"])  # type: ignore[arg-type]


def test_numbers_in_a_command_become_words() -> None:
    assert Run("End it", "kill", 12).argv == ("kill", "12")  # type: ignore[arg-type]


def test_only_what_may_be_repeated_may_be_retried_and_at_most_three_times() -> None:
    with pytest.raises(DefinitionError, match="only be retried if it is idempotent"):
        Run("Add", "useradd", "x", retries=1)
    with pytest.raises(DefinitionError, match="at most 3"):
        Run("Sync", "sync", idempotent=True, retries=4)
    assert Run("Sync", "sync", idempotent=True, retries=3).retries == 3


def test_a_pattern_that_is_no_regular_expression_is_refused_when_it_is_written() -> None:
    with pytest.raises(DefinitionError, match=r"no regular expression"):
        Expect("It runs", "uptime", pattern="(")


@pytest.mark.parametrize(
    "url", ["ftp://a/b", "http://user:secret@a/", "a/b", "http://a b/", "http:///x", "file:///etc/passwd"]
)
def test_a_call_goes_to_a_plain_web_address(url: str) -> None:
    with pytest.raises(DefinitionError, match="http or https address"):
        Call("Ask", url)


def test_a_call_that_reads_may_be_repeated_and_changes_nothing() -> None:
    reads, writes = Call("Ask", "http://a/x", method="get"), Call("Tell", "http://a/x", method="post")
    assert (reads.method, reads.idempotent, reads.changing) == ("GET", True, False)
    assert (writes.method, writes.idempotent, writes.changing) == ("POST", False, True)
    assert Call("Put", "http://a/x", method="PUT", idempotent=True).idempotent


def test_a_parallel_group_holds_no_group_no_precondition_and_is_not_empty() -> None:
    run = Run("Touch", "touch", "/tmp/a")
    with pytest.raises(DefinitionError, match="is empty"):
        Parallel("Nothing")
    with pytest.raises(DefinitionError, match="may hold Run, Expect, Call and Wait only"):
        Parallel("Nested", Parallel("Inner", run))  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="may hold Run, Expect, Call and Wait only"):
        Parallel("Careful", Require("Same", "true"))  # type: ignore[arg-type]
    assert Parallel("Both", run, Wait("A moment", 1)).changing
    assert not Parallel("Looks", Expect("Up", "uptime"), Wait("A moment", 1)).changing


def test_a_plan_holds_steps_and_nothing_else() -> None:
    with pytest.raises(DefinitionError, match="A plan holds steps"):
        Plan("systemctl restart nginx")  # type: ignore[arg-type]
    assert Plan(Wait("A moment", minutes(1)), services=["b", "a", "b"]).services == ("a", "b")


@pytest.mark.parametrize(
    ("check", "output", "status", "unmet"),
    [
        (Expect("x", "true", output="active"), "active\n", 0, None),
        (Expect("x", "true", output="active"), "inactive\n", 0, "expected 'active', got 'inactive'"),
        (Expect("x", "true", output="active"), "", 0, "expected 'active', got nothing"),
        (Expect("x", "true", output=""), "text", 0, "expected '', got 'text'"),
        (Expect("x", "true", pattern="^b$"), "a\nb\nc", 0, None),
        (Expect("x", "true", pattern="^d$"), "a", 0, "expected a match for '^d$', got 'a'"),
        (Expect("x", "true", output="failed", allow_exit={3}), "failed", 3, None),
        (Expect("x", "true", output="active"), "active", 3, "exit status 3: 'active'"),
        (Require("x", "true"), "", 1, "exit status 1"),
        (Require("x", "true"), "", None, "exit status None"),
        (Require("x", "true", output="a"), "<@U1> <!here>", 0, "expected 'a', got '< @U1> < !here>'"),
    ],
)
def test_a_check_says_in_words_what_it_missed(
    check: Expect | Require, output: str, status: int | None, unmet: str | None
) -> None:
    assert check.unmet(output, status) == unmet


def test_a_long_answer_is_cut_where_it_is_said() -> None:
    said = Expect("x", "true", output="a").unmet("b" * 1000, 0)
    assert said is not None
    assert said.endswith("b…'")
    assert len(said) < 250


def test_times_are_seconds_whatever_they_were_given_as() -> None:
    expect = Expect("x", "true", within=minutes(2), every=0, settle=timedelta(seconds=3), timeout=7)
    assert (expect.within, expect.every, expect.settle, expect.timeout) == (120.0, 0.1, 3.0, 7.0)
    assert Wait("A moment", minutes(0.5)).seconds == 30.0


def define(**changes: Any) -> type[Runbook]:
    """A good runbook class, but for these."""
    body: dict[str, Any] = {
        "__doc__": "Does it.",
        "name": "do-it",
        "danger": Danger.LOW,
        "plan": lambda self, params, facts: Plan(),
    } | changes
    return type("DoIt", (Runbook,), {k: v for k, v in body.items() if v is not ...})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Do_It"}, "lower-case words with dashes"),
        ({"name": "do it"}, "lower-case words with dashes"),
        ({"name": ""}, "lower-case words with dashes"),
        ({"name": 3}, "lower-case words with dashes"),
        ({"aliases": ("Do",)}, "alias 'Do' must be"),
        ({"__doc__": ...}, "docstring"),
        ({"__doc__": "  "}, "docstring"),
        ({"danger": "low"}, "one of Danger.READ"),
        ({"Params": dict}, "subclass of Parameters"),
        ({"plan": ...}, "has no plan"),
    ],
)
def test_a_runbook_that_is_not_finished_says_what_it_lacks(changes: dict[str, Any], said: str) -> None:
    assert define().name == "do-it"
    with pytest.raises(DefinitionError, match=said):
        define(**changes)


def test_a_base_without_a_name_is_left_alone_and_an_unmarked_runbook_is_dangerous() -> None:
    class Ours(Runbook):
        team: ClassVar[str] = "ops"

    class Real(Ours):
        """Does it.

        And more.
        """

        name = "real"

        def plan(self, params: Parameters, facts: Facts) -> Plan:
            return Plan()

    assert Real.danger is Danger.DANGEROUS
    assert Real.summary() == "Does it."
