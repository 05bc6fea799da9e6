"""What a runbook may ask for and what its steps may say, refused at the door."""

from datetime import timedelta
from typing import Any, ClassVar

import pytest

from runbooks import (
    Call,
    Danger,
    Expect,
    Facts,
    Parallel,
    Parameters,
    Plan,
    Platform,
    Require,
    Run,
    Runbook,
    Wait,
    minutes,
)
from runbooks.definition import Reading
from storage.errors import DefinitionError


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


@pytest.mark.parametrize("wrong", ["10s", None, True, float("nan"), float("inf")])
def test_what_is_no_duration_is_refused_where_it_is_written(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match=f"^{wrong!r} is no duration of a step: give seconds"):
        Expect("It runs", "uptime", within=wrong)


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
        ({"Params": 3}, "subclass of Parameters"),
        ({"aliases": ("mine")}, r"DoIt.aliases is 'mine': write a tuple of names, like \('restart',\), with a comma"),
        ({"includes": "restart-service"}, "DoIt.includes is 'restart-service': write a tuple"),
        ({"category": "stuff"}, "DoIt.category is 'stuff': write one of Category.MAINTENANCE, "),
        ({"platforms": ("linux",)}, "DoIt.platforms is .*: write a set of Platform"),
        ({"platforms": frozenset()}, "DoIt.platforms is .*: write a set of Platform"),
        ({"max_hosts": 0}, "DoIt.max_hosts is 0: write how many"),
        ({"max_hosts": "3"}, "DoIt.max_hosts is '3': write how many"),
        ({"timeout": minutes(-5)}, "DoIt.timeout is .*: write a length of time"),
        ({"timeout": 300}, "DoIt.timeout is 300: write a length of time"),
        ({"cooldown": minutes(-1)}, "DoIt.cooldown is .*: write a length of time"),
        ({"pause": 30}, "DoIt.pause is 30: write a length of time"),
        ({"no_undo": 5}, "DoIt.no_undo is 5: write in words"),
        ({"example": ("x",)}, "DoIt.example is .*: write what somebody types"),
    ],
)
def test_a_runbook_that_is_not_finished_says_what_it_lacks(changes: dict[str, Any], said: str) -> None:
    assert define().name == "do-it"
    with pytest.raises(DefinitionError, match=said):
        define(**changes)


def test_attributes_may_be_written_in_every_way_that_works() -> None:
    made = define(
        aliases=["a", "b"], platforms={Platform.LINUX, Platform.MACOS}, category="maintenance", cooldown=minutes(0),
        includes=frozenset(), max_hosts=1, example="do-it on web-01", no_undo="It is harmless.",
    )  # fmt: skip
    assert list(made.aliases) == ["a", "b"]


@pytest.mark.parametrize("undo", ["systemctl start nginx", ["true"], Wait("x", 1), Expect("x", "true")])
def test_an_undo_is_a_step_that_changes(undo: Any) -> None:
    for make in (lambda: Run("Stop", "true", undo=undo), lambda: Call("Stop", "http://a/", method="PUT", undo=undo)):
        with pytest.raises(DefinitionError, match=r"The step 'Stop' has an undo that is no step: write undo=Run\(…\)"):
            make()


@pytest.mark.parametrize("unless", ["test -e /tmp/a", Run("x", "true"), Wait("x", 1)])
def test_what_makes_a_step_unnecessary_is_a_check(unless: Any) -> None:
    with pytest.raises(DefinitionError, match="has an unless that is no check"):
        Run("Do", "true", unless=unless)


@pytest.mark.parametrize("duration", [-3, minutes(-1)])
def test_nobody_waits_for_a_time_that_is_over(duration: Any) -> None:
    with pytest.raises(DefinitionError, match=r"The step 'x' waits for .* seconds: write 0 or more"):
        Wait("x", duration)


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


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"retries": 1, "method": "POST"}, "only be retried if it is idempotent"),
        ({"retries": 4}, "at most 3 times"),
        ({"headers": {"Authorization": "Bearer abc"}}, "has a credential in its header"),
        ({"headers": {"X-Api-Key": "abc"}}, "has a credential in its header"),
        ({"headers": {"Authorization": "Bearer {secret}"}}, "needs both"),
        ({"secret": "api/token"}, "needs both"),
        ({"headers": {"Accept": "a\r\nX-Other: b"}}, "cannot be sent"),
        ({"headers": {"Bad name": "a"}}, "cannot be sent"),
        ({"headers": {"Authorization": "{secret}"}, "secret": "api/../token"}, "asks for a secret"),
        (
            {"headers": {"Authorization": "{secret}"}, "secret": "api/token", "url": "http://api.example.com/"},
            "over http",
        ),
    ],
)
def test_a_call_says_what_is_wrong_with_it(more: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        Call("Ask", more.pop("url", "https://api.example.com/"), **more)
