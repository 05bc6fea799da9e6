"""`handrail runbooks`: check, docs and new, and what a broken file does not take down."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot import settings
from bot.__main__ import app
from storage.errors import ConfigurationError

BROKEN = "import os\n\nraise RuntimeError('no such luck')\n"
PLAIN = '''"""One of ours."""

from runbooks import Danger, Plan, Run, Runbook, Sample


class Ours(Runbook):
    """Clears the cache."""

    name, danger, no_undo = "clear-cache", Danger.LOW, "A cache fills again by itself."
    samples = (Sample(),)

    def plan(self, params, facts):
        """One step."""
        return Plan(Run("Clear", "touch", "/tmp/cache"))
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With settings that name a folder of our own, and nothing else; the command line looks there."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "handrail.yml").write_text("library: [ours]\n")
    monkeypatch.setenv("HANDRAIL_CONFIG", str(tmp_path / "handrail.yml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def runbooks(*words: str) -> tuple[str, int]:
    """What the command prints, and its exit status."""
    done = CliRunner().invoke(app, ["runbooks", *words])
    return done.stdout if "--json" in words else done.output, done.exit_code


def test_check_says_that_all_is_well(folder: Path) -> None:
    (folder / "ours" / "cache.py").write_text(PLAIN)
    assert runbooks("check", "clear-cache") == ("1 runbooks are in order.\n", 0)
    assert json.loads(runbooks("check", "clear-cache", "--json")[0]) == {"ok": True, "runbooks": 1, "findings": []}


def test_check_names_file_and_line_of_what_is_wrong_and_exits_with_1(folder: Path) -> None:
    (folder / "ours" / "cache.py").write_text(PLAIN.replace("samples = (Sample(),)", ""))
    (folder / "ours" / "broken.py").write_text(BROKEN)
    said, status = runbooks("check", "clear-cache")
    assert status == 1
    assert f"{folder}/ours/broken.py:3: It cannot be loaded: RuntimeError: no such luck\n" in said
    assert f"{folder}/ours/cache.py:6: clear-cache: It has no samples." in said
    found = json.loads(runbooks("check", "clear-cache", "--json")[0])
    assert [finding["runbook"] for finding in found["findings"]] == ["", "clear-cache"]


def test_check_judges_by_the_teams_own_guard(folder: Path) -> None:
    (folder / "ours" / "cache.py").write_text(PLAIN)
    rule = "{name: no-touch, program: touch, verdict: refuse, reason: We do not touch.}"
    (folder / "handrail.yml").write_text(f"library: [ours]\nguard: {{rules: [{rule}]}}\n")
    said, status = runbooks("check", "clear-cache")
    assert (status, "We do not touch." in said) == (1, True)


def test_a_runbook_that_is_not_there_and_a_folder_that_is_not_there_are_named(folder: Path) -> None:
    said, status = runbooks("check", "clear-cash")
    assert (status, "There is no runbook 'clear-cash'." in said) == (2, True)
    (folder / "handrail.yml").write_text("library: [theirs]\n")
    said, status = runbooks("check")
    assert (status, "theirs does not exist" in said) == (2, True)


def test_a_broken_file_takes_nothing_down_whatever_the_settings_say_of_it(folder: Path) -> None:
    (folder / "ours" / "cache.py").write_text(PLAIN)
    (folder / "ours" / "broken.py").write_text(BROKEN)
    (folder / "handrail.yml").write_text(
        "library: [ours]\nrunbooks: {broken-one: {cooldown: 5m}}\napprovals: {runbooks: {broken-one: approve}}\n"
        "can: {NOC: [{runbooks: [broken-one]}]}\n"
    )
    catalog = settings.load(slack=False).catalog
    assert "clear-cache" in catalog.entries
    assert catalog.left_out == (
        f"{folder}/ours/broken.py:3: It cannot be loaded: RuntimeError: no such luck",
        "runbooks: 'broken-one' in handrail.yml is no runbook.",
    )
    (folder / "ours" / "broken.py").unlink()
    with pytest.raises(ConfigurationError, match="'broken-one'"):
        settings.load_library()


def test_pages_are_written_and_a_page_that_is_behind_is_found(folder: Path) -> None:
    (folder / "ours" / "cache.py").write_text(PLAIN)
    said, status = runbooks("docs", "--into", "pages")
    assert (status, " of them written anew." in said) == (0, True)
    assert "# clear-cache\n" in (folder / "pages" / "clear-cache.md").read_text()
    assert "[clear-cache](clear-cache.md)" in (folder / "pages" / "README.md").read_text()
    assert runbooks("docs", "--into", "pages", "--check") == ("", 0)
    (folder / "ours" / "cache.py").write_text(PLAIN.replace("Clears", "Empties"))
    said, status = runbooks("docs", "--into", "pages", "--check")
    assert (status, said.count("is not what its runbook says now")) == (1, 2)
    assert "Clears" in (folder / "pages" / "clear-cache.md").read_text()


def test_a_page_that_cannot_be_written_is_named_and_keeps_no_other_from_being_written(folder: Path) -> None:
    (folder / "ours" / "cache.py").write_text(PLAIN)
    (folder / "ours" / "exits.py").write_text(
        PLAIN.replace("clear-cache", "exits").replace("return Plan", "raise SystemExit(Plan")[:-1] + ")\n"
    )
    said, status = runbooks("docs", "--into", "pages")
    assert (status, f"Left out: {folder}/ours/exits.py:6: exits: The plan of exits failed: SystemExit" in said) == (
        1,
        True,
    )
    assert (folder / "pages" / "clear-cache.md").exists()
    assert not (folder / "pages" / "exits.md").exists()
    assert "exits.md" not in (folder / "pages" / "README.md").read_text()
    assert runbooks("docs", "--into", "pages", "--check")[1] == 1


def test_what_a_runbook_prints_is_no_part_of_the_answer(folder: Path) -> None:
    (folder / "ours" / "cache.py").write_text(
        "print('loaded')\n" + PLAIN.replace("        return", "        print('planned')\n        return")
    )
    assert json.loads(runbooks("check", "clear-cache", "--json")[0]) == {"ok": True, "runbooks": 1, "findings": []}
    assert "planned" in runbooks("check", "clear-cache")[0]


def test_a_new_runbook_stands_in_the_first_folder_passes_its_check_and_overwrites_nothing(folder: Path) -> None:
    said, status = runbooks("new", "reload-cache")
    assert (status, "ours/test_reload_cache.py" in said) == (0, True)
    assert runbooks("check", "reload-cache")[1] == 0
    said, status = runbooks("new", "reload-cache")
    assert (status, "There is already a runbook 'reload-cache'" in said) == (2, True)
    (folder / "ours" / "test_other_one.py").write_text("mine")
    said, status = runbooks("new", "other-one")
    assert (status, "test_other_one.py exists already" in said) == (2, True)
    assert not (folder / "ours" / "other_one.py").exists()
    assert "can't be a runbook's name" in runbooks("new", "No Name")[0]


@pytest.mark.parametrize("name", ["test-cache", "conftest", "pydantic", "signal", "retry", "status", "schedule"])
def test_a_new_runbook_has_no_name_that_means_something_else(folder: Path, name: str) -> None:
    said, status = runbooks("new", name)
    assert (status, "choose another name" in said) == (2, True)
    assert list((folder / "ours").iterdir()) == []


def test_without_a_folder_it_stands_here_and_one_is_told_to_name_it(folder: Path) -> None:
    (folder / "handrail.yml").write_text("")
    said, status = runbooks("new", "reload-cache")
    assert (status, "Name its folder under `library:`" in said) == (0, True)
    assert (folder / "reload_cache.py").exists()
