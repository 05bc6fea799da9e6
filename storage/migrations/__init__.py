"""The schema's history, run on start. One history serves SQLite and PostgreSQL."""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL

from storage.database import MIGRATION_LOCK, writer_engine

_ONE_AT_A_TIME = threading.Lock()
"""Alembic keeps what it works on in globals of its module: two threads of a process must not upgrade at once."""


def config() -> Config:
    """Alembic's configuration, made here so that no alembic.ini is needed."""
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
            settings = config()
            settings.attributes["connection"] = connection
            command.upgrade(settings, "head")
    finally:
        engine.dispose()


def pending(connection: Connection) -> bool:
    """Whether the schema is behind (or ahead of) this version of Handrail."""
    context = MigrationContext.configure(connection)
    return context.get_current_revision() != ScriptDirectory.from_config(config()).get_current_head()
