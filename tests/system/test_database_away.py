"""The database locked, stopped or gone: commands are acknowledged, carried out afterwards, once; endings stay true."""

import asyncio
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from bot.playground.workspace import Workspace
from storage import audit, executions
from storage.records import State
from tests.postgres import Postgres, missing
from tests.system.openssh import OpenSsh
from tests.system.serving import Bot, button, configuration, counted, require_program, sees, sleepers, told, until

LOCKED = 5.0
"""Seconds the database is away."""


@contextmanager
def locked(bot: Bot) -> Iterator[None]:
    """Another process holds the write lock of the SQLite file."""
    connection = sqlite3.connect(bot.folder / "handrail.db", isolation_level=None, timeout=10)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that may be stopped: nobody else uses it."""
    require_program(missing())
    server = Postgres()
    server.given = None
    with server:
        yield server


@pytest.fixture
async def on_postgres(own_postgres: Postgres, workspace: Workspace, web_01: OpenSsh, tmp_path: Path) -> Bot:
    """An installation on a server that may be stopped."""
    url = own_postgres.new_database(f"t_{uuid.uuid4().hex[:12]}")
    config = configuration({"web-01": web_01}, tmp_path)
    bot = Bot(folder=tmp_path, slack=workspace, database_url=url, config=config)
    workspace.events_url = bot.events_url
    return bot


async def test_a_command_is_acknowledged_while_the_file_is_locked_and_carried_out_once(
    sqlite_bot: Bot, workspace: Workspace, counting: Path
) -> None:
    with locked(sqlite_bot):
        until_free = time.monotonic() + LOCKED
        text = f"/runbook count {counting} on web-01"
        ack = await workspace.command("bob", "incidents", text)
        again = await workspace.command("bob", "incidents", text, trigger_id=ack.trigger_id)
        assert ack.ok
        assert again.ok
        assert ack.elapsed < 3
        assert "not yet stored" in str(ack.body)
        assert counted(counting) == []
        await asyncio.sleep(until_free - time.monotonic())
    await until(lambda: len(counted(counting)) >= 6, "six steps", sqlite_bot.log)
    await sees(workspace, "succeeded")
    assert counted(counting) == [f"web-01.{n}" for n in range(1, 7)]
    async with sqlite_bot.database() as database:
        assert len(await database.read(executions.newest, 10)) == 1


async def test_a_kill_switch_ends_what_runs_while_the_file_is_locked_and_is_recorded_afterwards(
    sqlite_bot: Bot, workspace: Workspace
) -> None:
    seconds = 29_831
    await workspace.command("bob", "incidents", f"/runbook hold {seconds} on web-01")
    await until(lambda: sleepers(seconds), "the command running on the host", sqlite_bot.log)
    with locked(sqlite_bot):
        began = time.monotonic()
        ack = await workspace.command("alice", "incidents", "/killswitch global on --now")
        assert ack.ok
        assert "could not be recorded" in str(ack.body)
        await until(lambda: not sleepers(seconds), "the command being gone from the host", sqlite_bot.log)
        print(f"gone after {time.monotonic() - began:.2f} s")
    await sees(workspace, "cancelled", "the kill switch (global) was engaged")
    await told(workspace, "alice", "is engaged")
    async with sqlite_bot.database() as database:
        assert (await database.read(audit.verify)).ok
        kinds = [entry.kind for entry in await database.read(audit.search, words=("killswitch.engaged",))]
    assert "killswitch.engaged" in kinds


async def test_a_command_is_carried_out_once_after_postgresql_is_back(
    on_postgres: Bot, own_postgres: Postgres, workspace: Workspace, counting: Path
) -> None:
    await on_postgres.start()
    try:
        await asyncio.to_thread(own_postgres.stop)
        ack = await workspace.command("bob", "incidents", f"/runbook count {counting} on web-01")
        assert ack.ok
        assert ack.elapsed < 3
        assert "not yet stored" in str(ack.body)
        await asyncio.sleep(2)
        await asyncio.to_thread(own_postgres.start)
        await until(lambda: len(counted(counting)) >= 6, "six steps", on_postgres.log)
        await sees(workspace, "succeeded")
        assert counted(counting) == [f"web-01.{n}" for n in range(1, 7)]
    finally:
        on_postgres.kill()


async def test_an_execution_ends_truthfully_after_postgresql_was_gone_for_ten_seconds(
    on_postgres: Bot, own_postgres: Postgres, workspace: Workspace
) -> None:
    await on_postgres.start()
    try:
        seconds = 6
        await workspace.command("bob", "incidents", f"/runbook hold {seconds} on web-01")
        await until(lambda: sleepers(seconds), "the command running on the host", on_postgres.log)
        await asyncio.to_thread(own_postgres.stop)
        await asyncio.sleep(10)
        assert not sleepers(seconds), "it was left to finish"
        await asyncio.to_thread(own_postgres.start)
        await until(lambda: _final(on_postgres), "an ending", on_postgres.log)
        async with on_postgres.database() as database:
            found = await database.read(executions.get, 1)
            steps = await database.read(executions.steps_of, 1)
            assert (await database.read(audit.verify)).ok
        print(found.state, found.ending, [(s.step, s.state, s.attempt) for s in steps])
        assert found.state in {State.SUCCEEDED, State.INTERRUPTED}
        assert [s.attempt for s in steps if s.step == "1"] == [1]
        await sees(workspace, "succeeded" if found.state is State.SUCCEEDED else "interrupted")
    finally:
        on_postgres.kill()


async def test_an_execution_ends_truthfully_after_the_file_was_locked(
    sqlite_bot: Bot, workspace: Workspace, counting: Path
) -> None:
    seconds = 4
    await workspace.command("bob", "incidents", f"/runbook hold {seconds} on web-01")
    await until(lambda: sleepers(seconds), "the command running on the host", sqlite_bot.log)
    with locked(sqlite_bot):
        await asyncio.sleep(LOCKED)
        assert not sleepers(seconds)
    await until(lambda: _final(sqlite_bot), "an ending", sqlite_bot.log)
    async with sqlite_bot.database() as database:
        found = await database.read(executions.get, 1)
    print(found.state, found.ending)
    assert found.state is State.SUCCEEDED
    await sees(workspace, "succeeded")


async def test_an_approval_given_while_the_file_is_locked_in_the_middle_of_steps_counts_once(
    sqlite_bot: Bot, workspace: Workspace, counting: Path
) -> None:
    @asynccontextmanager
    async def away() -> AsyncIterator[None]:
        with locked(sqlite_bot):
            yield

    await _an_approval_while(away, sqlite_bot, workspace, counting)


async def test_an_approval_given_while_postgresql_is_gone_in_the_middle_of_steps_counts_once(
    on_postgres: Bot, own_postgres: Postgres, workspace: Workspace, counting: Path
) -> None:
    @asynccontextmanager
    async def away() -> AsyncIterator[None]:
        await asyncio.to_thread(own_postgres.stop)
        yield
        await asyncio.to_thread(own_postgres.start)

    await on_postgres.start()
    try:
        await _an_approval_while(away, on_postgres, workspace, counting)
    finally:
        on_postgres.kill()


async def _an_approval_while(
    away: Callable[[], AbstractAsyncContextManager[None]], bot: Bot, workspace: Workspace, counting: Path
) -> None:
    """Ten seconds without a database, in which one execution is between its steps and another is approved, by two."""
    await workspace.command("bob", "incidents", f"/runbook careful {counting} on web-01")
    asked = await button(workspace, "Approve")
    await workspace.command("bob", "incidents", f"/runbook count {counting} on web-01")
    await until(lambda: counted(counting), "the first of six steps", bot.log)
    async with away():
        until_back = time.monotonic() + 10
        first = await workspace.click("carol", asked, "Approve")
        again = await workspace.click("carol", asked, "Approve", trigger_id=first.trigger_id)
        other = await workspace.click("erin", asked, "Approve")
        assert all(ack.ok and ack.elapsed < 3 for ack in (first, again, other))
        for who in ("carol", "erin"):
            await told(workspace, who, "not yet stored")
        assert "careful" not in counted(counting)
        await asyncio.sleep(until_back - time.monotonic())
    six = [f"web-01.{number}" for number in range(1, 7)]
    await until(
        lambda: counted(counting) == ["careful", *six],
        "both being carried out",
        lambda: f"{counted(counting)}\n{workspace.transcript('incidents')}\n{bot.log()}",
    )
    await until(lambda: _in_state(bot, State.SUCCEEDED, 2), "both having ended", bot.log)
    async with bot.database() as database:
        given = await database.read(audit.search, words=("approval.given",))
        assert (await database.read(audit.verify)).ok
    assert len(given) == 1


async def _in_state(bot: Bot, state: State, number: int) -> bool:
    async with bot.database() as database:
        return len(await database.read(executions.in_states, (state,))) == number


async def _final(bot: Bot) -> bool:
    async with bot.database() as database:
        found = await database.read(executions.get, 1)
    return found.state.is_final or found.state is State.INTERRUPTED
