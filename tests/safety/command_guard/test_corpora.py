"""The bounds the guard keeps on its own corpora; `tests/bench_guard.py` prints them in full."""

import pytest

from safety.command_guard import Severity
from tests.bench_guard import CORPORA, judged, load, shares


@pytest.mark.parametrize("name", ["dangerous.jsonl", "dangerous_second.jsonl"])
def test_hardly_a_destructive_command_passes(name: str) -> None:
    entries = load(CORPORA / name)
    of = shares(judged(entries))
    assert len(entries) >= 300
    assert of[Severity.ALLOW] <= 0.005
    assert of[Severity.REFUSE] >= 0.90


@pytest.mark.parametrize("name", ["ordinary.jsonl", "ordinary_second.jsonl"])
def test_hardly_an_ordinary_command_is_held_up(name: str) -> None:
    entries = load(CORPORA / name)
    of = shares(judged(entries))
    assert len(entries) >= 300
    assert of[Severity.REFUSE] <= 0.005
    assert of[Severity.APPROVE] <= 0.05
