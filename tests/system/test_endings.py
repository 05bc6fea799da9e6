"""A handful of `tests.system.endings`, which says what it does; the long loop is run by hand."""

import time
from pathlib import Path

import pytest

from tests.system.endings import CASES, endings
from tests.system.openssh import missing
from tests.system.serving import require_program

TIMES = 3


@pytest.mark.parametrize("case", CASES)
async def test_every_ending_is_told_as_it_was(case: str, tmp_path: Path) -> None:
    require_program(missing())
    seed = int(time.time())
    print(f"seed {seed}")
    said = await endings(tmp_path, TIMES, seed, [case])
    assert sum(said[case].values()) == TIMES
