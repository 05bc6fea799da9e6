"""What an approval is bound to, and that a stored plan is the plan that was made."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks import Call, Expect, Parallel, Require, Run, Wait
from runbooks.commands import shell_line
from runbooks.definition import Step
from runbooks.plans import (
    HostPlan,
    StoredPlan,
    fingerprint,
    from_json,
    numbered,
    step_from_json,
    step_to_json,
    to_json,
)
from storage.errors import DefinitionError

UNDO = Run("Back", "rm", "/tmp/a", sudo=True, timeout=5)
EVERY_KIND: tuple[Step, ...] = (
    Require("Same", "cat", "/a", sudo=True, timeout=3, pattern="^a$", allow_exit={0, 1}),
    Run(
        "Change",
        "touch",
        "/tmp/a b",
        sudo=True,
        timeout=9,
        allow_exit={0, 2},
        idempotent=True,
        retries=2,
        undo=UNDO,
        look=("stat", "/tmp/a b"),
        unless=Expect("There", "test", "-e", "/tmp/a b", within=2),
    ),
    Run("Plain", "touch", "/tmp/b", unless=Require("There", "true")),
    Expect("Up", "uptime", output="up", within=3, every=0.5, settle=1),
    Call("Tell", "http://h:1/x?y=1", method="POST", body='{"a": 1}', allow_status={200, 204}, timeout=4),
    Call(
        "Ask",
        "https://h/y",
        idempotent=True,
        retries=2,
        headers={"Authorization": "Bearer {secret}", "Accept": "text/plain"},
        secret="api/token",
        undo=Run("Take it back", "rm", "/tmp/c", undo=Call("Tell", "https://h/", method="POST")),
    ),
    Wait("A moment", 1.5),
    Parallel("At most", Run("One", "true"), timeout=5),
    Parallel("Both", Run("One", "true"), Expect("Two", "true"), Call("Three", "https://h/"), Wait("Four", 1)),
)


def plan(*steps: Step, host: str = "web-01", **facts: Any) -> StoredPlan:
    """For one host."""
    return StoredPlan(hosts=(HostPlan(host=host, steps=steps, facts=facts),))


def mark(stored: StoredPlan, *, runbook: str = "r", **params: Any) -> str:
    """Its fingerprint."""
    return fingerprint(runbook=runbook, params=params, plan=stored)


def check(**changes: Any) -> Expect:
    """An expectation, but for these."""
    title, argv = changes.pop("title", "Up"), changes.pop("argv", ("uptime",))
    values: dict[str, Any] = {"output": "up", "within": 3, "every": 1, "settle": 2, "timeout": 5}
    return Expect(title, *argv, **values | changes)


def run(**changes: Any) -> Run:
    """A change, but for these."""
    title, argv = changes.pop("title", "Do"), changes.pop("argv", ("touch", "/tmp/a"))
    values: dict[str, Any] = {"undo": UNDO, "look": ("uptime",), "unless": check(), "timeout": 5, "idempotent": True}
    return Run(title, *argv, **values | changes)


def call(**changes: Any) -> Call:
    """A call, but for these."""
    title, url = changes.pop("title", "Tell"), changes.pop("url", "http://h/x")
    values: dict[str, Any] = {"method": "POST", "body": "a"}
    return Call(title, url, **values | changes)


WHAT_RUNS = [
    *((run, change) for change in (
        {"argv": ("touch", "/tmp/b")},
        {"argv": ("touch", "/tmp/a", "")},
        {"argv": ("touch /tmp/a",)},
        {"sudo": True},
        {"timeout": 6},
        {"allow_exit": (0, 1)},
        {"idempotent": False},
        {"retries": 1},
        {"undo": None},
        {"undo": Run("Back", "rm", "/tmp/b", sudo=True, timeout=5)},
        {"undo": Run("Back", "rm", "/tmp/a", timeout=5)},
        {"undo": Run("Back", "rm", "/tmp/a", sudo=True, timeout=6)},
        {"look": None},
        {"look": ("uptime", "-p")},
        {"unless": None},
        {"unless": check(output="down")},
        {"unless": Require("Up", "uptime", output="up", timeout=5)},
    )),
    *((check, change) for change in (
        {"argv": ("uptime", "-p")},
        {"sudo": True},
        {"timeout": 6},
        {"output": "down"},
        {"output": None},
        {"pattern": "up"},
        {"allow_exit": (3,)},
        {"within": 4},
        {"every": 2},
        {"settle": 3},
    )),
    *((call, change) for change in (
        {"url": "http://h/y"},
        {"method": "PUT"},
        {"body": "b"},
        {"body": None},
        {"allow_status": (204,)},
        {"timeout": 6},
        {"idempotent": True},
    )),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "change"), WHAT_RUNS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_whatever_changes_what_runs_changes_the_fingerprint(kind: Callable[..., Step], change: dict[str, Any]) -> None:
    assert mark(plan(kind(**change))) != mark(plan(kind()))
    assert mark(plan(kind())) == mark(plan(kind()))


def test_the_request_and_its_hosts_are_in_the_fingerprint() -> None:
    one, two = plan(run()).hosts[0], plan(run(), host="web-02").hosts[0]
    marks = {
        mark(StoredPlan(hosts=(one,))),
        mark(StoredPlan(hosts=(two,))),
        mark(StoredPlan(hosts=(one, two))),
        mark(StoredPlan(hosts=(two, one))),
        mark(StoredPlan(hosts=(one,)), runbook="other"),
        mark(StoredPlan(hosts=(one,)), service="nginx"),
        mark(StoredPlan(hosts=(one,)), service="sshd"),
        mark(StoredPlan(hosts=(one,)), title="nginx"),
        mark(StoredPlan(hosts=(one,)), command="nginx"),
    }
    assert len(marks) == 9


def test_the_order_and_the_grouping_of_steps_are_in_the_fingerprint() -> None:
    a, b = Run("A", "touch", "/a"), Run("B", "touch", "/b")
    marks = {mark(plan(*steps)) for steps in ([a, b], [b, a], [a], [Parallel("P", a, b)], [Parallel("P", b, a)])}
    assert len(marks) == 5


def test_what_people_read_and_what_was_found_is_not_in_the_fingerprint() -> None:
    told = run(
        title="Other words", undo=Run("Back again", *UNDO.argv, sudo=True, timeout=5), unless=check(title="Is it up?")
    )
    assert mark(plan(told)) == mark(plan(run()))
    assert mark(plan(Parallel("A", call(title="a")))) == mark(plan(Parallel("B", call(title="b"))))
    assert mark(plan(run(), size=1, since="today")) == mark(plan(run(), size=2))
    noted = replace(plan(run()), services=("nginx",), notes=("Mind the gap.",))
    assert mark(noted) == mark(plan(run()))


def test_the_order_in_which_parameters_were_typed_does_not_matter() -> None:
    assert mark(plan(run()), a=1, b=[1, 2]) == mark(plan(run()), b=[1, 2], a=1)


def test_the_fingerprint_is_the_same_in_another_process() -> None:
    here = mark(plan(*EVERY_KIND), word="ü", numbers=[1, 2.5, None])
    code = (
        "from tests.runbooks.test_plans import EVERY_KIND, mark, plan;"
        "print(mark(plan(*EVERY_KIND), numbers=[1, 2.5, None], word='ü'))"
    )
    for seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": ".", "PYTHONUTF8": "1"},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        assert there.stdout.strip() == here
    assert len(here) == 64


def test_every_kind_of_step_comes_back_from_json_as_it_was() -> None:
    stored = replace(plan(*EVERY_KIND, state="active"), services=("nginx",), notes=("No undo.",))
    text = json.dumps(to_json(stored))
    back = from_json(json.loads(text))
    assert back == stored
    assert mark(back) == mark(stored)
    assert json.dumps(to_json(back)) == text


def test_a_changed_command_text_does_not_change_what_is_run() -> None:
    value = step_to_json(run(argv=("touch", "/tmp/a b"), sudo=True))
    assert value["command"] == "sudo -n touch '/tmp/a b'"
    back = step_from_json({**value, "command": "reboot"})
    assert isinstance(back, Run)
    assert shell_line(back.argv, sudo=back.sudo) == "sudo -n touch '/tmp/a b'"


def test_a_plan_of_an_unknown_shape_is_not_guessed_at() -> None:
    value = step_to_json(run())
    with pytest.raises(KeyError):
        step_from_json({**value, "kind": "script"})
    with pytest.raises(KeyError):
        step_from_json({key: value[key] for key in value if key != "argv"})
    with pytest.raises(KeyError, match="Expect where it cannot be"):
        step_from_json({**value, "undo": step_to_json(check())})
    inner = step_to_json(Require("Same", "true"))
    with pytest.raises(KeyError, match="Require where it cannot be"):
        step_from_json({"kind": "parallel", "title": "P", "steps": [inner]})
    with pytest.raises(DefinitionError):
        step_from_json({**value, "argv": ["-rf"]})
    with pytest.raises(KeyError):
        from_json({})


def test_steps_are_numbered_as_people_see_them() -> None:
    a, b, c = Run("A", "a"), Run("B", "b"), Run("C", "c")
    steps = (a, Parallel("P", b, Wait("W", 1)), c)
    assert [(place, step.title) for place, step in numbered(steps)] == [
        ("1", "A"), ("2.1", "B"), ("2.2", "W"), ("3", "C"),
    ]  # fmt: skip
    stored = StoredPlan(hosts=(plan(*steps).hosts[0], plan(a, host="web-02").hosts[0]))
    assert stored.steps_total == 5
    assert stored.of("web-02").steps == (a,)


def test_every_word_of_a_command_stays_one_word() -> None:
    assert shell_line(["rm", "-rf", "/tmp/a b; reboot", "$(x)", "", "it's", "*"]) == (
        "rm -rf '/tmp/a b; reboot' '$(x)' '' 'it'\"'\"'s' '*'"
    )


# --- any plan ---------------------------------------------------------------------------------------------------------

TITLES = st.text(min_size=1, max_size=8).filter(lambda text: text.strip())
WORDS = st.text(st.characters(exclude_characters="\x00\n\r", exclude_categories=["Cs"]), max_size=8)
ARGV = st.tuples(st.from_regex(r"\A/[a-z/]{1,8}\Z"), WORDS, WORDS)
TIMES = st.floats(min_value=0, max_value=1e6)
EXITS = st.sets(st.integers(0, 255), min_size=1, max_size=3)
MAYBE = st.none() | st.text(max_size=6)


def _checks(kind: Any, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    values = {"sudo": st.booleans(), "timeout": TIMES, "output": MAYBE, "allow_exit": EXITS, **more}
    return st.builds(lambda title, argv, kw: kind(title, *argv, **kw), TITLES, ARGV, st.fixed_dictionaries(values))


EXPECTS = _checks(Expect, within=TIMES, every=TIMES, settle=TIMES, pattern=st.sampled_from([None, "^a", "(b|c)$"]))
REQUIRES = _checks(Require)


def _runs(undo: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    values = {
        "sudo": st.booleans(),
        "timeout": TIMES,
        "allow_exit": EXITS,
        "idempotent": st.just(True),
        "retries": st.integers(0, 3),
        "undo": undo,
        "look": st.none() | ARGV,
        "unless": st.none() | EXPECTS | REQUIRES,
    }
    return st.builds(lambda title, argv, kw: Run(title, *argv, **kw), TITLES, ARGV, st.fixed_dictionaries(values))


RUNS = _runs(st.none() | _runs(st.none()))
CALLS = st.builds(
    lambda title, path, method, body: Call(title, f"http://h/{path}", method=method, body=body),
    TITLES,
    st.from_regex(r"\A[a-z?=]{0,6}\Z"),
    st.sampled_from(["GET", "post", "DELETE"]),
    MAYBE,
)
WAITS = st.builds(Wait, TITLES, TIMES)
GROUPS = st.builds(
    lambda title, steps: Parallel(title, *steps),
    TITLES,
    st.lists(RUNS | EXPECTS | CALLS | WAITS, min_size=1, max_size=3),
)
STEPS = st.lists(RUNS | EXPECTS | REQUIRES | CALLS | WAITS | GROUPS, min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_any_plan_comes_back_from_json_with_its_fingerprint(steps: list[Step]) -> None:
    stored = plan(*steps)
    back = from_json(json.loads(json.dumps(to_json(stored))))
    assert back == stored
    assert mark(back) == mark(stored)


@settings(max_examples=60, deadline=None)
@given(STEPS, STEPS)
def test_two_plans_have_one_fingerprint_only_if_nothing_but_titles_differs(one: list[Step], two: list[Step]) -> None:
    def untitled(steps: list[Step]) -> str:
        text = json.dumps([step_to_json(step) for step in steps], sort_keys=True)
        return json.dumps(json.loads(text, object_hook=lambda d: {k: d[k] for k in d if k not in ("title", "command")}))

    assert (mark(plan(*one)) == mark(plan(*two))) == (untitled(one) == untitled(two))
