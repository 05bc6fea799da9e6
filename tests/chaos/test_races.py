"""What only some may have, under a hundred requests at once: exactly so many get it, on SQLite from the one process
that owns the file, on PostgreSQL from three processes."""

import pytest

from storage.database import Database
from storage.records import State
from tests.chaos import racers
from tests.chaos.racers import ALL, PRIZES, TOKENS

PROCESSES = 3


@pytest.mark.parametrize("prize", PRIZES)
async def test_of_a_hundred_at_once_exactly_as_many_are_admitted_as_may_be(prize: str, migrated_url: str) -> None:
    wanted = PRIZES[prize]
    database = Database(migrated_url)
    await database.start()
    try:
        await database.write(racers.prepare, prize)
        if database.is_sqlite:
            ran = [await racers.race(database, prize, range(ALL))]
        else:
            ran = await racers.racers(migrated_url, prize, PROCESSES)
        found = await database.read(racers.outcome)
    finally:
        await database.close()
    print(prize, ran, found)
    assert found.states == {State.SUCCEEDED: wanted.winners, State.REFUSED: ALL - wanted.winners}
    assert found.admitted == sum(ran) == wanted.winners
    assert found.gates == {wanted.gate: ALL - wanted.winners}
    assert found.cooldowns == wanted.winners, "the losers took none"
    if prize == "bucket":
        assert found.token_time == pytest.approx(60.0), f"{TOKENS} tokens of 6 s"
    assert found.verified
