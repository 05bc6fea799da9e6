"""The schema's history, run on start. One history serves SQLite and PostgreSQL.

Alembic is loaded when there is something to migrate, and only then: neither a start nor `/readyz` waits for it.
"""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import URL

from storage.database import MIGRATION_LOCK, writer_engine

if TYPE_CHECKING:
    from alembic.config import Config

NEWEST = "0012"
"""The last of `versions`: what the schema is at, once it is up to date."""

_ONE_AT_A_TIME = threading.Lock()
"""Alembic keeps what it works on in globals of its module: two threads of a process must not upgrade at once."""


def config() -> "Config":
    """Alembic's configuration, made here so that no alembic.ini is needed."""
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent))
    return settings


def upgrade(url: URL) -> None:
    """Run every pending migration in one transaction; processes that start together wait for each other."""
    engine = writer_engine(url)
    try:
        with _ONE_AT_A_TIME, engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            if pending(connection):
                _upgrade(connection)
    finally:
        engine.dispose()


def _upgrade(connection: Connection) -> None:
    from alembic import command

    settings = config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")


def pending(connection: Connection) -> bool:
    """Whether the schema is behind (or ahead of) this version of Handrail."""
    return revision(connection) != NEWEST


def revision(connection: Connection) -> str | None:
    """The schema's revision; None when there is none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found
