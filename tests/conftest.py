"""Fixtures for every room. Whatever touches storage runs on SQLite and on PostgreSQL."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.database import Database
from tests.postgres import Postgres, missing

for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
    os.environ.pop(name, None)  # the Slack clients would send loopback traffic through a proxy


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for the whole session."""
    why = missing()
    if why is not None:
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    with Postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database on each engine."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/handrail.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database(f"t_{uuid.uuid4().hex[:12]}")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Migrated and open."""
    database = Database(database_url)
    await database.migrate()
    await database.start()
    yield database
    await database.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    """For tests in which the engine behind does not matter."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/handrail.db")
    await database.migrate()
    await database.start()
    yield database
    await database.close()
