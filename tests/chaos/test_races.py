"""What only some may have, under a hundred requests at once: exactly so many get it, on SQLite from the one process
that owns the file, on PostgreSQL from three processes."""

import uuid

import pytest

from storage.database import Database
from storage.records import State
from tests.chaos import racers
from tests.chaos.racers import ALL, PRIZES, QUORUM, TOKENS, Outcome, Votes
from tests.postgres import Postgres

PROCESSES = 3
RACES = (*PRIZES, "quorum")


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


def exactly_one_consent(ran: list[int], found: Votes) -> None:
    """Three different people, the third of whom decided; what they said once more, or too late, did nothing."""
    print("quorum", ran, found)
    assert (found.given, found.witnessed, found.half_way) == (1, 1, QUORUM - 1)
    assert len(found.voters) == len(set(found.voters)) == QUORUM
    assert found.decided_by in found.voters
    assert (found.state, sum(ran)) == (State.SUCCEEDED, 1)


@pytest.mark.parametrize("prize", PRIZES)
async def test_of_a_hundred_at_once_exactly_as_many_are_admitted_as_may_be(prize: str, sqlite: Database) -> None:
    await racers.prepare(sqlite, prize)
    ran = await racers.race(sqlite, prize, range(ALL))
    exactly_as_many_as_may(prize, [ran], await sqlite.read(racers.outcome))


async def test_a_hundred_votes_of_six_people_are_one_consent(sqlite: Database) -> None:
    await racers.prepare(sqlite, "quorum")
    ran = await racers.race(sqlite, "quorum", range(ALL))
    exactly_one_consent([ran], await sqlite.read(racers.votes))


async def test_three_processes_together_admit_exactly_as_many_as_may_be(
    postgres: Postgres, migrated_template: str
) -> None:
    urls = {prize: postgres.new_database(f"t_{uuid.uuid4().hex[:12]}", template=migrated_template) for prize in RACES}
    databases = {prize: Database(url) for prize, url in urls.items()}
    for prize, database in databases.items():
        await database.start()
        await racers.prepare(database, prize)
    ran = await racers.racers(urls, PROCESSES)
    try:
        for prize in PRIZES:
            exactly_as_many_as_may(prize, ran[prize], await databases[prize].read(racers.outcome))
        exactly_one_consent(ran["quorum"], await databases["quorum"].read(racers.votes))
    finally:
        for database in databases.values():
            await database.close()
