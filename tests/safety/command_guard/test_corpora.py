"""The bounds the guard keeps on its own corpora; `tests/bench_guard.py` prints them in full."""

import pytest

from safety.command_guard import Severity
from tests.bench_guard import CORPORA, judged, load, shares


@pytest.mark.parametrize("name", ["dangerous", "dangerous_second", "dangerous_third", "disguised"])
def test_hardly_a_destructive_command_passes(name: str) -> None:
    entries = load(CORPORA / f"{name}.jsonl")
    of = shares(judged(entries))
    assert len(entries) >= 300
    assert of[Severity.ALLOW] <= 0.005
    assert of[Severity.REFUSE] >= 0.97


@pytest.mark.parametrize("name", ["ordinary", "ordinary_second", "ordinary_third"])
def test_hardly_an_ordinary_command_is_held_up(name: str) -> None:
    entries = load(CORPORA / f"{name}.jsonl")
    of = shares(judged(entries))
    assert len(entries) >= 300
    assert of[Severity.REFUSE] <= 0.005
    assert of[Severity.APPROVE] <= 0.05


def test_a_change_that_a_person_should_see_is_asked_about() -> None:
    of = shares(judged(load(CORPORA / "changes.jsonl")))
    assert of[Severity.REFUSE] <= 0.01
    assert of[Severity.APPROVE] >= 0.90


def test_no_command_stands_in_two_corpora() -> None:
    commands = [entry.cmd for path in CORPORA.glob("*.jsonl") for entry in load(path)]
    assert len(commands) - len(set(commands)) <= 80  # the first two were written without knowing of each other
