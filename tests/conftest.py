"""Fixtures for every room. Whatever touches storage runs on SQLite and on PostgreSQL."""

import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.database import Database, parse_url
from storage.migrations import upgrade
from tests.postgres import Postgres, missing

for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
    os.environ.pop(name, None)  # the Slack clients would send loopback traffic through a proxy


LONG = ("chaos", "system", "test_cli.py", "test_secrets_cli.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for processes begins first, so that several workers don't end up waiting for the last one.

    For that xdist must not put files of few tests last: `--no-loadscope-reorder`.
    """
    items.sort(key=lambda item: not any(part in LONG for part in item.path.parts))


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


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema, made once and copied for each test."""
    path = tmp_path_factory.mktemp("schema") / "handrail.db"
    upgrade(parse_url(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> str:
    """A PostgreSQL database with the schema, made once and copied for each test."""
    upgrade(parse_url(postgres.new_database("migrated")))
    return "migrated"


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the schema on each engine."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "handrail.db")
        return f"sqlite+aiosqlite:///{tmp_path}/handrail.db"
    template = request.getfixturevalue("migrated_template")
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database(f"t_{uuid.uuid4().hex[:12]}", template=template)


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    """Migrated and open, on each engine."""
    database = Database(migrated_url)
    await database.start()
    yield database
    await database.close()


@pytest.fixture
async def sqlite(tmp_path: Path, migrated_file: Path) -> AsyncIterator[Database]:
    """For tests in which the engine behind does not matter."""
    shutil.copy(migrated_file, tmp_path / "handrail.db")
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/handrail.db")
    await database.start()
    yield database
    await database.close()
