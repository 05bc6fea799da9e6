"""What the database itself refuses to the audit, what a forged row looks like, and a `serve` with wrong settings."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from bot.playground.workspace import Workspace
from storage import audit
from storage.database import Database
from tests.system.serving import Bot, sees

FORGERIES = {
    "update": "UPDATE audit SET actor = 'UMALLORY' WHERE seq = 2",
    "delete": "DELETE FROM audit WHERE seq = 2",
    "delete all": "DELETE FROM audit",
    "upsert": "INSERT INTO audit SELECT * FROM audit WHERE seq = 2 ON CONFLICT (seq) DO UPDATE SET actor = 'UMALLORY'",
}
ONLY_SQLITE = {
    "replace": "REPLACE INTO audit SELECT * FROM audit WHERE seq = 2",
    "insert or replace": "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE seq = 2",
    "update or replace": "UPDATE OR REPLACE audit SET seq = 1 WHERE seq = 2",
}
ONLY_POSTGRESQL = {"truncate": "TRUNCATE audit CASCADE"}
UNPROTECT = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE tgrelid = 'audit'::regclass AND NOT tgisinternal",
}


def _try(connection: Connection, statement: str) -> None:
    connection.execute(text(statement))


def _forge(connection: Connection, statement: str) -> None:
    """As somebody would who owns the database: without the triggers."""
    engine = connection.dialect.name
    for (name,) in connection.execute(text(UNPROTECT[engine])).all():
        connection.execute(text(f"DROP TRIGGER {name}" + ("" if engine == "sqlite" else " ON audit")))
    connection.execute(text(statement))


async def test_the_audit_of_a_real_run_cannot_be_changed_and_a_forgery_is_named(
    bot: Bot, workspace: Workspace, counting: Path
) -> None:
    await workspace.command("bob", "incidents", f"/runbook count {counting} on web-01")
    await sees(workspace, "succeeded in")
    assert await bot.stop() == 0
    verified = await bot.handrail("audit", "verify")
    assert verified.returncode == 0, verified.stderr
    async with bot.database() as database:
        special = ONLY_SQLITE if database.is_sqlite else ONLY_POSTGRESQL
        before = await database.read(audit.verify)
        for how, statement in {**FORGERIES, **special}.items():
            with pytest.raises(DBAPIError):
                await database.write(_try, statement)
            assert await database.read(audit.verify) == before, how
        await _is_named(database, bot, "UPDATE audit SET actor = 'UMALLORY' WHERE seq = 2", "entry 2")


async def test_missing_newest_rows_are_found(bot: Bot, workspace: Workspace, counting: Path) -> None:
    await workspace.command("bob", "incidents", f"/runbook count {counting} on web-01")
    await sees(workspace, "succeeded in")
    assert await bot.stop() == 0
    async with bot.database() as database:
        last = "DELETE FROM audit WHERE seq > (SELECT max(seq) - 2 FROM audit)"
        await _is_named(database, bot, last, "the newest 2 entries are missing")


async def _is_named(database: Database, bot: Bot, statement: str, named: str) -> None:
    await database.write(_forge, statement)
    found = await bot.handrail("audit", "verify")
    assert found.returncode == 1
    assert named in found.stdout + found.stderr


async def test_serve_says_everything_that_is_wrong_at_once(on_sqlite: Bot) -> None:
    (on_sqlite.folder / "handrail.yml").write_text("roles: {UALICE: KING}\nhosts: {web-01: {port: 22}}\nnonsense: 1\n")
    on_sqlite.slack.bot_token, on_sqlite.slack.signing_secret = "xoxp-wrong", ""
    done = await on_sqlite.handrail("serve")
    assert done.returncode == 2
    for part in ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "roles.UALICE", "address", "nonsense"):
        assert part in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert "xoxp-wrong" not in done.stderr


async def test_a_broken_runbook_is_left_out_and_told_in_the_log_and_the_others_run(
    on_sqlite: Bot, workspace: Workspace, counting: Path
) -> None:
    (on_sqlite.folder / "library" / "broken.py").write_text("import os\n\nraise RuntimeError('no such luck')\n")
    await on_sqlite.start()
    try:
        assert "runbook_left_out" in on_sqlite.log()
        assert "library/broken.py:3: It cannot be loaded: RuntimeError: no such luck" in on_sqlite.log()
        await workspace.command("bob", "incidents", f"/runbook count {counting} on web-01")
        await sees(workspace, "succeeded in")
    finally:
        on_sqlite.kill()
