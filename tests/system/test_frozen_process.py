"""One of two processes on PostgreSQL is frozen in the middle of a step, longer than its lease: the other takes over
what it can, and what the first one still wants to write when it wakes up changes nothing."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.playground.workspace import Workspace
from storage import audit, controls, executions
from storage.database import Database
from storage.records import State, StepState
from tests.postgres import Postgres
from tests.system.openssh import OpenSsh
from tests.system.serving import Bot, configuration, counted, sees, sleepers, told, until

FROZEN = 15.0


@pytest.fixture
async def two(
    postgres: Postgres, workspace: Workspace, web_01: OpenSsh, tmp_path: Path
) -> AsyncIterator[tuple[Bot, Bot]]:
    """Two processes on one database; requests go to the first."""
    url = postgres.new_database(f"t_{os.getpid()}_frozen")
    both = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        config = configuration({"web-01": web_01, "web-02": web_01}, folder)
        both.append(Bot(folder=folder, slack=workspace, database_url=url, config=config))
    one, other = both
    workspace.events_url = one.events_url
    try:
        await one.start()
        await other.start()
        yield one, other
    finally:
        one.kill()
        other.kill()


async def test_what_a_frozen_process_writes_after_it_was_replaced_changes_nothing(
    two: tuple[Bot, Bot], workspace: Workspace, counting: Path
) -> None:
    seconds = 9
    await workspace.command("bob", "incidents", f"/runbook hold {seconds} on web-01")
    async with two[0].database() as database:
        await until(lambda: _has_begun(database), "the step running on the host")
        owner = (await database.read(executions.get, 1)).owner or ""
        frozen, other = two if two[0].process.pid == int(owner.split("-")[0]) else two[::-1]  # type: ignore[union-attr]
        assert frozen.process is not None
        workspace.events_url = other.events_url
        os.kill(frozen.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            await sees(workspace, "asks web-01 what became of step 1")
            print(f"noticed {time.monotonic() - began:.1f} s after it froze")
            await until(lambda: _is(database, State.SUCCEEDED), "the other following it to its end", other.log)
            await workspace.command("bob", "incidents", f"/runbook count {counting} on web-01")
            await until(lambda: len(counted(counting)) == 6, "the other working on", other.log)
            await until(lambda: not sleepers(seconds), "the command of before being over")
            before = await database.read(executions.steps_of, 1)
            await asyncio.sleep(max(0.0, began + FROZEN - time.monotonic()))
        finally:
            os.kill(frozen.process.pid, signal.SIGCONT)
        workspace.events_url = frozen.events_url
        await workspace.command("bob", "incidents", "/killswitch host web-02 on trying the one that was frozen")
        await told(workspace, "bob", "is engaged")
        await asyncio.sleep(LEASE_AND_MORE)
        assert await database.read(executions.steps_of, 1) == before
        assert [(s.step, s.state) for s in before] == [("1", StepState.SUCCEEDED), ("2", StepState.SUCCEEDED)]
        assert await _is(database, State.SUCCEEDED)
        assert len(counted(counting)) == 6
        assert await database.read(controls.locks) == []
        assert (await database.read(audit.verify)).ok


LEASE_AND_MORE = 3.0
"""Seconds in which a process that woke up has tried everything it still wanted."""


async def _has_begun(database: Database) -> bool:
    return any(step.pgid for step in await database.read(executions.steps_of, 1))


async def _is(database: Database, state: State) -> bool:
    return (await database.read(executions.get, 1)).state is state
