"""What only some may have, under a hundred requests at once: exactly so many get it, on SQLite from the one process
that owns the file, on PostgreSQL from three processes."""

import uuid

import pytest

from storage.database import Database
from storage.records import State
from tests.chaos import racers
from tests.chaos.racers import ALL, PRIZES, TOKENS, Outcome
from tests.postgres import Postgres

PROCESSES = 3


def exactly_as_many_as_may(prize: str, ran: list[int], found: Outcome) -> None:
    """Whoever lost was refused by the gate in question, and nothing was taken for them."""
    print(prize, ran, found)
    wanted = PRIZES[prize]
    assert found.states == {State.SUCCEEDED: wanted.winners, State.REFUSED: ALL - wanted.winners}
    assert found.admitted == sum(ran) == wanted.winners
    assert found.gates == {wanted.gate: ALL - wanted.winners}
    assert found.cooldowns == wanted.winners
    if prize == "bucket":
        assert found.token_time == pytest.approx(60.0), f"{TOKENS} tokens of 6 s"
    assert found.verified


@pytest.mark.parametrize("prize", PRIZES)
async def test_of_a_hundred_at_once_exactly_as_many_are_admitted_as_may_be(prize: str, sqlite: Database) -> None:
    await sqlite.write(racers.prepare, prize)
    ran = await racers.race(sqlite, prize, range(ALL))
    exactly_as_many_as_may(prize, [ran], await sqlite.read(racers.outcome))


async def test_three_processes_together_admit_exactly_as_many_as_may_be(
    postgres: Postgres, migrated_template: str
) -> None:
    urls = {prize: postgres.new_database(f"t_{uuid.uuid4().hex[:12]}", template=migrated_template) for prize in PRIZES}
    databases = {prize: Database(url) for prize, url in urls.items()}
    for prize, database in databases.items():
        await database.start()
        await database.write(racers.prepare, prize)
    ran = await racers.racers(urls, PROCESSES)
    try:
        for prize, database in databases.items():
            exactly_as_many_as_may(prize, ran[prize], await database.read(racers.outcome))
    finally:
        for database in databases.values():
            await database.close()
