"""A small fleet: what is asked of one process is everybody's, and one that is killed leaves nothing behind.

`python -m tests.chaos.fleet` is the whole of it.
"""

from pathlib import Path

from storage.records import State
from tests.chaos.fleet import Fleet, fleet
from tests.postgres import Postgres


async def test_what_one_process_was_asked_the_others_cancel_approve_and_take_over(
    tmp_path: Path, postgres: Postgres
) -> None:
    async with fleet(tmp_path, postgres, seed=7, serves=2, workers=1) as here:
        await here.is_cancelled_elsewhere()
        await here.is_approved_elsewhere()
        await _is_taken_over(here)
        await here.prove()


async def _is_taken_over(here: Fleet) -> None:
    """Whoever carries them dies; each is followed to its true end by whoever is left, and nothing runs twice."""
    numbers = [await here.ask(f"/runbook quick {{tag}} 4 on h{n:02}") for n in (11, 12)]
    carriers = {await here.is_carried(number) for number in numbers}
    bots = {bot.process.pid: bot for bot in here.everybody if bot.process is not None}
    bots[carriers.pop()].kill()
    for number in numbers:
        assert (await here.reaches(number)).state is State.SUCCEEDED
