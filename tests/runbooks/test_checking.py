"""What `runbooks check` finds without any host, and what a runbook's page says."""

import re
from pathlib import Path
from typing import Any, cast

import pytest

from runbooks import Call, Danger, Facts, Parameters, Plan, Require, Run, Runbook, Sample, positional
from runbooks.catalog import build
from runbooks.checking import check
from runbooks.pages import contents, page
from runbooks.skeleton import skeleton
from runbooks.testing import FakeHost, load, problems
from safety.command_guard import CommandGuard
from storage.errors import Invalid
from tests.builders import catalog_with

PAGES = Path(__file__).parents[2] / "docs" / "runbooks"
TOUCH = Run("Do", "touch", "/tmp/a", undo=Run("Back", "rm", "/tmp/a"))


def a_runbook(**parts: Any) -> type[Runbook]:
    """One with nothing wrong, unless a part is replaced."""

    class Params(Parameters):
        """One."""

        word: str = positional("a word")

    def plan(self: Any, params: Any, facts: Any) -> Plan:
        """One step."""
        return Plan(TOUCH)

    usual = {"name": "ours", "danger": Danger.LOW, "Params": Params, "plan": plan, "samples": (Sample("x", Facts()),)}
    return type("Ours", (Runbook,), {"__doc__": "Ours.", **usual, **parts})


def found(**parts: Any) -> list[str]:
    """What is wrong with it."""
    catalog = catalog_with(a_runbook(**parts)).only(lambda name: name == "ours")
    return [finding.message for finding in check(catalog, CommandGuard())]


def planning(*steps: Any) -> Any:
    """A plan of these steps."""

    def plan(self: Any, params: Any, facts: Any) -> Plan:
        """As told."""
        return Plan(*steps)

    return plan


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert found() == []


def test_every_sample_must_be_typed_and_planned() -> None:
    assert "has no samples" in found(samples=())[0]
    assert "must be a tuple of Sample" in found(samples=Sample("x"))[0]
    assert "'word' (a word) is missing" in found(samples=(Sample(""),))[0]
    assert "The sample 'a' (some case): ours has no parameter" not in found(samples=(Sample("a", when="some case"),))

    def plan(self: Any, params: Any, facts: Any) -> Plan:
        """Needs a fact that the sample lacks."""
        return Plan(Run("Do", "touch", facts.path))

    assert "The plan of ours failed: AttributeError: The probe found no fact 'path'" in found(plan=plan)[0]


def test_the_guard_judges_the_plans_of_samples() -> None:
    said = found(plan=planning(Run("Do", "rm", "-rf", "/etc", undo=TOUCH)))
    assert said[0].startswith("The sample 'x': The guard refuses a command of its plan: ")
    assert "The guard refuses" in found(plan=planning(Require("Is it?", "rm", "/tmp/a"), TOUCH))[0]


def test_what_has_no_undo_says_why() -> None:
    final = planning(Run("Touch it", "touch", "/tmp/a"))
    assert "The step 'Touch it' has no undo, and `no_undo` does not say why." in found(plan=final)[0]
    assert found(plan=final, no_undo="It is harmless.") == []


def test_a_reading_runbook_changes_nothing() -> None:
    assert "changes something, but the runbook's danger is READ" in found(danger=Danger.READ)[0]


def test_a_plan_is_made_of_nothing_but_parameters_and_facts() -> None:
    seen: list[int] = []

    def plan(self: Any, params: Any, facts: Any) -> Plan:
        """Another one each time."""
        seen.append(1)
        return Plan(Run("Do", "touch", f"/tmp/{len(seen)}", undo=TOUCH))

    assert "Planned twice, the plan is not the same" in found(plan=plan)[0]


def test_further_stages_are_planned_and_judged_with_what_the_sample_says_the_steps_print() -> None:
    def first(self: Any, params: Any, facts: Any) -> Plan:
        """The first stage."""
        return Plan(TOUCH, then="second")

    def second(self: Any, params: Any, facts: Any, results: Any) -> Plan:
        """The second."""
        return Plan(Run("Remove it", "rm", "-rf", results["Do"], undo=TOUCH))

    parts = {"plan": first, "second": second}
    assert "Its plan has a further stage" in found(**parts)[0]
    assert found(**parts, samples=(Sample("x", results={"Do": "/tmp/b"}),)) == []
    assert (
        "The guard refuses a command of its plan" in found(**parts, samples=(Sample("x", results={"Do": "/etc"}),))[0]
    )
    assert "no result of a step 'Do'" in found(**parts, samples=(Sample("x", results={"Other": "/tmp/b"}),))[0]


def exits(self: Any, params: Any, facts: Any) -> Plan:
    """Ends the process."""
    raise SystemExit(4)


async def waits(self: Any, params: Any, facts: Any) -> Plan:
    """Waits."""
    return Plan(TOUCH)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"plan": exits}, "The plan of ours failed: SystemExit: 4"),
        ({"health": exits}, "The health of ours failed: SystemExit: 4"),
        ({"plan": waits}, "The plan of ours is `async`: write `def plan(…)`, it looks at nothing."),
        ({"health": waits}, "The health of ours is `async`"),
        ({"samples": (Sample("x", Facts(n={1})),)}, "The fact 'n' of ours on web-01 is no JSON"),
        ({"samples": (Sample("x", Facts(n=float("nan"))),)}, "The fact 'n' of ours on web-01 is no JSON"),
        ({"samples": (Sample(cast(Any, 3)),)}, "The sample '3': It fails: AttributeError: "),
        ({"example": 'ours "x'}, "It fails: ValueError: No closing quotation"),
        ({"plan": planning(Run("Do", "sudo", "touch", "/tmp/a", undo=TOUCH))}, "begins with `sudo`: leave that out"),
        ({"plan": planning(Run("Do", "true", undo=Run("Back", "/bin/sudo", "true")))}, "'Back' begins with `sudo`"),
    ],
)
def test_whatever_a_runbook_does_is_a_finding(parts: dict[str, Any], said: str) -> None:
    assert said in " ".join(found(**parts))


def test_forms_words_and_examples_are_looked_at() -> None:
    async def plan(self: Any, params: Any, facts: Any) -> Plan:
        """Waits."""
        return Plan(TOUCH)

    def probe(self: Any, host: Any) -> Facts:
        return Facts()

    class Params(Parameters):
        """One."""

        word: str

    said = " ".join(found(probe=probe, Params=Params, example="theirs x", samples=()))
    for part in ("`async def probe(", "`probe` takes self, host, params", "`probe` has no docstring"):
        assert part in said
    assert "The parameter 'word' has no description." in said
    assert "Its example starts with 'theirs'" in said
    assert "`def plan(self, params, facts)`, without async" in found(plan=plan, samples=())[0]
    assert "Its example can't be typed: 'word'" in found(example="ours on web-01")[0]


def test_what_could_not_be_loaded_is_found_with_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import os\n\ndef broken(:\n")
    (tmp_path / "unnamed.py").write_text(
        "from runbooks import Runbook\n\n\nclass Ours(Runbook):\n    '''Ours.'''\n    name = 'No Name'\n"
    )
    found = check(build([tmp_path]), CommandGuard())[:2]
    assert [(one.where, one.runbook) for one in found] == [
        (f"{tmp_path / 'broken.py'}:3", ""),
        (f"{tmp_path / 'unnamed.py'}:4", ""),
    ]
    assert "SyntaxError: invalid syntax" in found[0].message


@pytest.mark.parametrize("name", sorted(build().entries))
def test_every_built_in_runbook_is_in_order(name: str) -> None:
    catalog = build().only(lambda one: one == name)
    assert [finding.message for finding in check(catalog, CommandGuard())] == []


# --- pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(build().entries))
def test_a_page_says_what_its_runbook_says(name: str) -> None:
    path = PAGES / f"{name}.md"
    said = "it is behind: run `handrail runbooks docs` in the repository"
    assert path.exists(), said
    assert path.read_text(encoding="utf-8") == page(build().get(name)), said


def test_the_list_of_pages_is_complete_and_no_page_is_of_a_runbook_that_is_gone() -> None:
    entries = build().entries
    assert (PAGES / "README.md").read_text(encoding="utf-8") == contents(list(entries.values()))
    assert {path.stem for path in PAGES.glob("*.md")} == {*entries, "README"}


def test_a_page_has_the_parameters_the_plans_and_what_cannot_be_undone() -> None:
    text = page(catalog_with(a_runbook(no_undo="Never said.", example="ours x on web-01")).get("ours"))
    assert "| `word` (by place) | a usable value | needed | a word |" in text
    assert "## What can't be undone\n\nNever said." in text
    assert "- 1. Do: `touch /tmp/a`; undo: `rm /tmp/a`" in text
    assert "| example | `/runbook ours x on web-01` |" in text


def test_a_page_says_what_a_call_sends_which_secrets_are_used_and_how_it_is_undone() -> None:
    url, headers = "https://lb.example.com/web-01", {"Authorization": "Bearer {secret}"}
    back = Call("Put back", url, method="DELETE", headers=headers, secret="lb/token")
    plan = Plan(
        Call("Drain", url, method="PUT", body='{"on": 0}', undo=back),
        Run("Log in", "docker", "login", "--password-stdin", secret="images/ops"),
    )
    text = page(catalog_with(a_runbook(plan=lambda self, params, facts: plan)).get("ours"))
    assert (
        f'- 1. Drain: `PUT {url}`, body `{{"on": 0}}`; undo: `DELETE {url}`, '
        "header `Authorization: Bearer {secret}`, which sends the secret `lb/token`"
    ) in text
    assert "`docker login --password-stdin`, which gets the secret `images/ops` on its input" in text


def test_the_list_of_pages_leads_to_each() -> None:
    assert "| [ours](ours.md) | Ours. | low |" in contents([catalog_with(a_runbook()).get("ours")])


# --- in the words for authors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page_of", "name", "missing"),
    [
        ("README.md", "reload-service", []),
        ("docs/stages.md", "release", []),
        ("docs/stages.md", "deploy", ["It has no samples."]),  # the facts of what it includes would fill a page
    ],
)
def test_a_runbook_in_the_words_for_authors_is_in_order(
    tmp_path: Path, page_of: str, name: str, missing: list[str]
) -> None:
    text = (PAGES.parents[1] / page_of).read_text(encoding="utf-8")
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if f'"{name}"' in code]
    (tmp_path / "ours.py").write_text(f"from runbooks import *\n{code}", encoding="utf-8")
    assert [said[: said.index(".") + 1] for said in problems(tmp_path, name)] == missing


# --- beginning one ----------------------------------------------------------------------------------------------------


def test_a_new_runbook_is_in_order_and_its_own_tests_pass(tmp_path: Path) -> None:
    for file, text in skeleton("clear-cache").items():
        (tmp_path / file).write_text(text)
    assert problems(tmp_path, "clear-cache") == []
    assert load(tmp_path, "clear-cache").name == "clear-cache"
    tests: dict[str, Any] = {"__file__": str(tmp_path / "test_clear_cache.py")}
    exec(compile((tmp_path / "test_clear_cache.py").read_text(), "test_clear_cache.py", "exec"), tests)  # noqa: S102
    assert sum(1 for name in tests if name.startswith("test_")) == 4
    for name in [name for name in tests if name.startswith("test_")]:
        tests[name]()


@pytest.mark.parametrize("name", ["Clear", "clear_cache", "-x", "../x", "", "1a"])
def test_a_new_runbook_needs_a_runbooks_name(name: str) -> None:
    with pytest.raises(Invalid, match="can't be a runbook's name"):
        skeleton(name)


async def test_a_fake_host_answers_only_what_it_knows_and_a_probe_may_ask() -> None:
    host = FakeHost({"uptime": " up ", "systemctl is-active x": ("failed", 3)}, sudoers=["nginx -t"])
    assert await host.read("uptime") == "up"
    assert (await host.read("systemctl", "is-active", "x", allow_exit={0, 3})).exit_status == 3
    assert await host.lacks("nginx", "-t") is None
    assert await host.lacks("reboot") == "ops ALL=(root) NOPASSWD: reboot"
    assert await FakeHost(login="root").lacks("reboot") is None
    with pytest.raises(AssertionError, match="There is no answer to `id`"):
        await host.read("id")
    with pytest.raises(AssertionError, match="A probe may not run `rm /tmp/x`"):
        await host.read("rm", "/tmp/x")
    with pytest.raises(AssertionError, match="ended with 3"):
        await host.read("systemctl", "is-active", "x")
