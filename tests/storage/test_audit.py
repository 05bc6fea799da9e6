"""The audit can only grow, and shows what was done to it behind its back."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from storage import audit
from storage.database import Database
from storage.records import HANDRAIL, Origin
from tests.fakes import START

UNLOCK = {
    "sqlite": ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"],
    "postgresql": ["ALTER TABLE audit DISABLE TRIGGER USER"],
}


def witness(connection: Connection, number: int) -> None:
    """One entry."""
    audit.append(
        connection, at=START, kind="test", actor=HANDRAIL, origin=Origin.ENGINE, number=number, text="a 100% _"
    )


@pytest.fixture
async def ten(database: Database) -> Database:
    """A chain of ten."""
    for number in range(10):
        await database.write(witness, number)
    return database


def behind_its_back(*statements: str) -> Callable[[Connection], None]:
    """What the database's owner can do."""

    def change(connection: Connection) -> None:
        for statement in [*UNLOCK[connection.dialect.name], *statements]:
            connection.execute(text(statement))

    return change


async def test_a_whole_chain_verifies(ten: Database) -> None:
    found = await ten.read(audit.verify)
    assert (found.ok, found.entries) == (True, 10)
    assert (await ten.read(audit.verify, against=found.head)).ok


COPY = "SELECT seq, at, 'forged', actor, origin, execution_id, data, previous, hash FROM audit WHERE seq = 3"
COLUMNS = "(seq, at, kind, actor, origin, execution_id, data, previous, hash)"


@pytest.mark.parametrize(
    ("statement", "engines"),
    [
        ("UPDATE audit SET kind = 'forged' WHERE seq = 3", "both"),
        ("DELETE FROM audit WHERE seq = 3", "both"),
        ("DELETE FROM audit", "both"),
        (f"INSERT OR REPLACE INTO audit {COLUMNS} {COPY}", "sqlite"),
        (f"REPLACE INTO audit {COLUMNS} {COPY}", "sqlite"),
        (f"INSERT INTO audit {COLUMNS} {COPY} ON CONFLICT (seq) DO UPDATE SET kind = 'forged'", "postgresql"),
        (f"INSERT INTO audit {COLUMNS} {COPY} AND true ON CONFLICT (seq) DO UPDATE SET kind = 'forged'", "sqlite"),
        (f"INSERT INTO audit {COLUMNS} SELECT 99, at, kind, actor, origin, 1, data, previous, 'x' FROM audit", "both"),
        ("TRUNCATE audit", "postgresql"),
    ],
)
async def test_the_database_itself_refuses_to_change_it(ten: Database, statement: str, engines: str) -> None:
    if engines not in {"both", "sqlite" if ten.is_sqlite else "postgresql"}:
        return  # the other engine has no such statement
    before = await ten.read(audit.verify)
    with pytest.raises(DBAPIError, match="append-only"):
        await ten.write(lambda c: c.execute(text(statement)))
    assert await ten.read(audit.verify) == before


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("UPDATE audit SET data = '{}' WHERE seq = 4", "entry 4"),
        ("UPDATE audit SET actor = 'UMALLORY' WHERE seq = 4", "entry 4"),
        ("DELETE FROM audit WHERE seq = 5", "entry 5 is missing"),
        ("DELETE FROM audit WHERE seq IN (5, 6)", "entries 5 to 6 are missing"),
        ("DELETE FROM audit WHERE seq > 8", "the newest 2 entries are missing"),
        ("DELETE FROM audit", "the newest 10 entries are missing"),
    ],
)
async def test_what_was_changed_behind_its_back_is_named(ten: Database, change: str, problem: str) -> None:
    await ten.write(behind_its_back(change))
    found = await ten.read(audit.verify)
    assert any(problem in said for said in found.problems), found.problems


async def test_a_head_noted_earlier_shows_a_rewritten_history(ten: Database) -> None:
    noted = (await ten.read(audit.verify)).head

    def rewrite(connection: Connection) -> None:
        behind_its_back("DELETE FROM audit", f"UPDATE audit_head SET seq = 0, hash = '{audit.FIRST}'")(connection)
        if connection.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE audit ENABLE TRIGGER USER"))
        for number in range(12):
            witness(connection, 100 + number)

    await ten.write(rewrite)
    assert (await ten.read(audit.verify)).ok
    found = await ten.read(audit.verify, against=noted)
    assert any("history was rewritten" in said for said in found.problems)


async def test_a_rolled_back_transaction_leaves_no_entry(ten: Database) -> None:
    def fails(connection: Connection) -> None:
        witness(connection, 11)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await ten.write(fails)
    assert (await ten.read(audit.verify)).entries == 10


async def test_search_takes_wild_cards_literally_and_pages(ten: Database) -> None:
    assert len(await ten.read(audit.search, words=("100%",))) == 10
    assert await ten.read(audit.search, words=("1_0",)) == []
    first: list[Any] = await ten.read(audit.search, limit=4)
    second: list[Any] = await ten.read(audit.search, limit=4, before=first[-1].seq)
    assert [entry.seq for entry in [*first, *second]] == [10, 9, 8, 7, 6, 5, 4, 3]
