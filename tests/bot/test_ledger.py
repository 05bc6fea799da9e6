"""The audit's head is posted once a day, by one of all processes; each start leaves what the settings were."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, select

from bot import settings
from bot.ledger import CHANGED, DAILY, HEAD, HeadPoster, head_message, witness_settings
from bot.settings import DigestPart, Settings
from runbooks.cron import newest_firing
from storage import audit, chores
from storage import tables as t
from storage.database import Database
from storage.records import HANDRAIL, Origin
from tests.fakes import START, HastyClock

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)  # a Wednesday

SPRING = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def posted(connection: Connection) -> list[str]:
    """The texts that wait to be said, oldest first."""
    return [row.payload["text"] for row in connection.execute(select(t.outbox).order_by(t.outbox.c.position))]


def witness(connection: Connection) -> None:
    """One entry."""
    audit.append(connection, at=NOON, kind="test", actor=HANDRAIL, origin=Origin.ENGINE)


def poster(database: Database, clock: HastyClock, channel: str | None = "C0INC") -> HeadPoster:
    """One process's."""
    return HeadPoster(database=database, clock=clock, channel=channel, digest=DAILY)


async def test_the_head_is_posted_each_day_once_by_several_processes(database: Database) -> None:
    await database.write(witness)
    other = Database(database.url.render_as_string(hide_password=False))
    await other.start()
    clock = HastyClock(NOON)
    processes = [poster(database, clock), poster(other, clock), poster(other, clock)]
    try:
        for day in range(4):
            told = await asyncio.gather(*(process.post_if_due() for process in processes for _ in range(3)))
            assert sum(told) == (0 if day == 0 else 1)  # nothing is due on the day of the first start
            await clock.sleep(timedelta(days=1).total_seconds())
    finally:
        await other.close()
    said = await database.read(posted)
    assert len(said) == 3
    seq, mark = await database.read(audit.head)
    assert f"handrail audit verify --against {seq}:{mark}" in said[0]


async def test_the_head_that_was_posted_shows_what_was_cut_off_later(database: Database) -> None:
    await database.write(witness)
    text = head_message(*await database.read(audit.head), NOON).text
    noted = text.rpartition("--against ")[2].strip("`")
    assert (await database.read(audit.verify, against=noted)).ok


async def test_a_day_on_which_nothing_ran_is_made_up_for_at_the_start(database: Database) -> None:
    clock = HastyClock(NOON)
    await poster(database, clock).post_if_due()
    await clock.sleep(timedelta(days=9).total_seconds())
    assert await poster(database, clock).post_if_due()
    assert not await poster(database, clock).post_if_due()


async def test_without_a_channel_nothing_is_posted(database: Database) -> None:
    await poster(database, HastyClock(NOON), channel=None).run()
    assert await database.read(chores.last, HEAD) is None


async def test_a_claim_that_is_rolled_back_leaves_it_due(database: Database) -> None:
    await database.write(chores.claim, "work", due=START, now=START)

    def fails(connection: Connection) -> None:
        assert chores.claim(connection, "work", due=START + timedelta(hours=1), now=START + timedelta(hours=2))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.write(fails)
    assert await database.write(chores.claim, "work", due=START + timedelta(hours=1), now=START + timedelta(hours=2))


@pytest.mark.parametrize(
    ("cron", "zone", "now", "due"),
    [
        ("0 9 * * *", "UTC", NOON, datetime(2026, 11, 25, 9, 0, tzinfo=UTC)),
        ("0 9 * * *", "UTC", NOON.replace(hour=9), datetime(2026, 11, 25, 9, 0, tzinfo=UTC)),
        ("0 9 * * *", "UTC", NOON.replace(hour=8, minute=59), datetime(2026, 11, 24, 9, 0, tzinfo=UTC)),
        ("0 9 * * 1-5", "Europe/Berlin", NOON.replace(day=29), datetime(2026, 11, 29, 8, 0, tzinfo=UTC)),  # a Sunday
        ("*/15 * * * *", "UTC", NOON, datetime(2026, 11, 25, 0, 0, tzinfo=UTC)),
        ("30 23 * * *", "America/New_York", NOON, datetime(2026, 11, 25, 4, 30, tzinfo=UTC)),
        (
            "30 2 * * *",
            "Europe/Berlin",
            datetime(2026, 3, 29, 12, tzinfo=UTC),
            datetime(2026, 3, 29, 1, 0, tzinfo=UTC),  # at the end of the hour that is left out
        ),
        ("0 17,9 * * *", "UTC", NOON, datetime(2026, 11, 25, 9, 0, tzinfo=UTC)),
    ],
)
def test_it_is_due_at_the_digests_first_time_of_every_day(cron: str, zone: str, now: datetime, due: datetime) -> None:
    assert newest_firing(DigestPart(cron=cron).every_day, zone, now) == due


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A `handrail.yml`."""
    path = tmp_path / "handrail.yml"
    path.write_text("roles: {UALICE: ADMIN}\nlimits: {global: 50/min}\n")
    return path


def loaded(file: Path) -> Settings:
    """As at a start."""
    return settings.load(slack=False, environment={"HANDRAIL_CONFIG": str(file)})


async def entries(database: Database) -> list[tuple[str, dict[str, Any]]]:
    """What the starts left, newest first."""
    return [(e.kind, dict(e.data)) for e in await database.read(audit.search, kind="settings")]


def rewrite(file: Path, text: str) -> None:
    """As an operator does."""
    file.write_text(text)


async def test_a_start_leaves_the_settings_and_the_next_one_what_changed(database: Database, file: Path) -> None:
    await database.write(witness_settings, loaded(file), NOON)
    await database.write(witness_settings, loaded(file), NOON)
    rewrite(file, "roles: {UALICE: NOC, UBOB: MANAGER}\nlimits: {global: 60/min}\n")
    await database.write(witness_settings, loaded(file), NOON)
    (third, changed), (second, same), (first, began) = await entries(database)
    assert (first, second, third) == (CHANGED, "settings.loaded", CHANGED)
    assert began["changes"] == {}
    assert began["values"]["roles.UALICE.role"] == "ADMIN"
    assert "values" not in same
    assert same["sha256"] == began["sha256"] != changed["sha256"]
    assert changed["changes"] == {
        "roles.UALICE.role": {"before": "ADMIN", "after": "NOC"},
        "roles.UBOB.role": {"before": None, "after": "MANAGER"},
        "limits.global": {"before": [{"limit": 50, "period": 60}], "after": [{"limit": 60, "period": 60}]},
    }


async def test_what_looks_like_a_secret_in_the_settings_is_masked(database: Database, file: Path) -> None:
    rewrite(file, "roles: {UALICE: ADMIN}\ncalls: [hunter2hunter2]\n")
    url = SecretStr("postgresql://handrail:hunter2hunter2@db.example/handrail")
    await database.write(witness_settings, replace(loaded(file), database_url=url), NOON)
    ((_, data),) = await entries(database)
    assert "calls" in data["values"]
    assert "hunter2hunter2" not in str(data)
