"""A sender between a real database and the local workspace, with one clock for all three."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Connection

from bot.blocks import Message, plain
from bot.outbox import Outbox
from bot.pace import PaceSettings
from bot.playground.workspace import Workspace
from bot.thread import ThreadReporter
from runbooks.progress import Event, ExecutionSubmitted
from storage import executions, outbox
from storage.database import Database
from storage.records import (
    Actor,
    Danger,
    Execution,
    Origin,
    OutboxKind,
    OutboxMessage,
    Priority,
    State,
)
from tests.fakes import FakeClock

BOB = Actor(id="UBOB", name="bob")
UNHURRIED = PaceSettings(
    posts_per_channel=1_000.0,
    posts=1_000.0,
    edits=1_000.0,
    progress_edits=1_000.0,
    answers=1_000.0,
    seconds_between_edits_of_one=0.0,
)


@dataclass
class Desk:
    """What a test of the sender holds in its hands."""

    database: Database
    workspace: Workspace
    clock: FakeClock
    senders: list[tuple[Outbox, asyncio.Task[None]]] = field(default_factory=list)
    ids: Any = field(default_factory=lambda: itertools.count(1))

    waiting: "asyncio.Task[float] | None" = None
    sleeping: int = 0

    def __post_init__(self) -> None:
        self.reporter = ThreadReporter(
            database=self.database, alerts="C0OPS", new_id=lambda: f"m{next(self.ids)}", sleep=self._sleep
        )

    def client(self, token: str | None = None) -> AsyncWebClient:
        """As the app would make it."""
        return AsyncWebClient(token=token or self.workspace.bot_token, base_url=self.workspace.api_url)

    def start(
        self,
        *,
        alerts: str | None = "C0OPS",
        pace: PaceSettings = UNHURRIED,
        call_timeout: float = 5.0,
        is_alone: bool = True,
        token: str | None = None,
        poll: float = 0.5,
    ) -> Outbox:
        """A sender, running. One in no hurry at all meets a workspace that counts nothing."""
        self.workspace.limits.enabled = pace is not UNHURRIED
        sender = Outbox(
            database=self.database,
            client=self.client(token),
            alerts=alerts,
            clock=self.clock,
            pace=pace,
            call_timeout=call_timeout,
            is_alone=is_alone,
            poll=poll,
        )
        self.senders.append((sender, asyncio.create_task(sender.run())))
        return sender

    async def kill(self) -> None:
        """Every sender dies where it is."""
        for _, task in self.senders:
            task.cancel()
        await asyncio.gather(*(task for _, task in self.senders), return_exceptions=True)
        self.senders.clear()

    async def execution(self, *, channel: str | None = "C0INC", hosts: tuple[str, ...] = ("web-01",)) -> Execution:
        """One that is pending."""
        return await self.database.write(
            executions.create,
            runbook="restart-service",
            params={"service": "nginx"},
            hosts=hosts,
            services=("nginx",),
            danger=Danger.LOW,
            actor=BOB,
            origin=Origin.COMMAND,
            channel=channel,
            text="restart nginx on web-01",
            normalised=None,
            reason=None,
            dry_run=False,
            priority=Priority.NORMAL,
            state=State.PENDING,
            timeout=timedelta(minutes=5),
            now=self.clock.now(),
        )

    async def submitted(self, **more: Any) -> Execution:
        """One whose headline is due."""
        execution = await self.execution(**more)
        await self.report(ExecutionSubmitted(execution=execution))
        return execution

    async def report(self, event: Event) -> None:
        """As the engine would, in a transaction with the rows of what happened."""
        await self.database.write(self._happen, event)

    def _happen(self, connection: Connection, event: Event) -> None:
        execution = getattr(event, "execution", None)
        if execution is not None:
            values = {name: getattr(execution, name) for name in ("started_at", "ended_at", "ending", "note")}
            executions.set_values(connection, execution.id, state=execution.state.value, **values)
        self.reporter.report(connection, event, self.clock.now())

    async def put(
        self,
        text: str,
        *,
        kind: OutboxKind = OutboxKind.ALERT,
        method: str = "post",
        channel: str | None = "C0INC",
        message: Message | None = None,
        execution_id: int | None = None,
        key: str | None = None,
        **more: Any,
    ) -> str:
        """A row; returns its id."""
        row_id = f"m{next(self.ids)}"
        await self.database.write(
            outbox.put,
            id=row_id,
            kind=kind,
            method=method,
            payload=(message or plain(text)).payload(**more),
            now=self.clock.now(),
            channel=channel,
            execution_id=execution_id,
            coalesce_key=key,
        )
        return row_id

    async def rows(self) -> list[OutboxMessage]:
        """Everything in the outbox, in the order written."""
        return await self.database.read(_all_rows)

    async def row(self, row_id: str) -> OutboxMessage:
        """One of them."""
        return next(row for row in await self.rows() if row.id == row_id)

    async def until(self, what: Callable[[], bool], *, within: float = 120.0, step: float = 0.25) -> float:
        """Let time pass, whenever nothing is under way, until this is so; returns the seconds that passed."""
        began = self.clock.monotonic()
        while not what():
            assert self.clock.monotonic() - began < within, f"not within {within:g} s:\n{self.transcripts()}"
            await asyncio.sleep(0.001)
            if self._is_quiet():
                await self.clock.advance(step)
        return self.clock.monotonic() - began

    async def settle(self, *, within: float = 600.0) -> None:
        """Let time pass until nothing waits any more."""
        began = self.clock.monotonic()
        while await self.database.read(outbox.open_messages):
            assert self.clock.monotonic() - began < within, self.transcripts()
            await asyncio.sleep(0.001)
            if self._is_quiet():
                await self.clock.advance(0.5)

    def settling(self, execution: Execution) -> "asyncio.Task[float]":
        """What waits for a headline; its result is the time at which it went on."""
        self.waiting = asyncio.create_task(self._settled(execution))
        return self.waiting

    async def _settled(self, execution: Execution) -> float:
        await self.reporter.headline_settled(execution)
        return self.clock.monotonic()

    async def _sleep(self, seconds: float) -> None:
        self.sleeping += 1
        try:
            await self.clock.sleep(seconds)
        finally:
            self.sleeping -= 1

    def _is_quiet(self) -> bool:
        """Nobody is at work: only then may time pass, or a busy machine would make waits look longer than they are."""
        at_rest = self.waiting is None or self.waiting.done() or self.sleeping > 0
        return at_rest and all(sender.is_idle for sender, _ in self.senders)

    async def pass_while_busy(self, what: Callable[[], bool]) -> None:
        """Let time pass until this is so, although something is under way and stays so."""
        for _ in range(500):
            if what():
                await asyncio.sleep(0.02)  # whoever was reading the database has finished
                return
            await asyncio.sleep(0.004)
            await self.clock.advance(0.1)
        raise AssertionError(f"it never came:\n{self.transcripts()}")

    async def wait(self, seconds: float, *, step: float = 0.25) -> None:
        """So many seconds pass, with everything that is due in them."""
        end = self.clock.monotonic() + seconds
        await self.until(lambda: self.clock.monotonic() >= end, within=seconds + step, step=min(step, seconds))
        for _ in range(2_000):
            if self._is_quiet():
                return
            await asyncio.sleep(0.001)
        raise AssertionError("somebody is at work for ever")

    def posts(self, channel: str = "C0INC", *, thread: str | None = None) -> list[str]:
        """The texts that stand there, in order."""
        return [message.text for message in self.workspace.messages(channel, thread_ts=thread)]

    def transcripts(self) -> str:
        """What everybody sees, for a failing test."""
        return "\n".join(self.workspace.transcript(channel) for channel in ("C0INC", "C0OPS"))


def _all_rows(connection: Any) -> list[OutboxMessage]:
    from sqlalchemy import select

    from storage import tables as t

    rows = connection.execute(select(t.outbox).order_by(t.outbox.c.position))
    return [outbox.message_of(row) for row in rows]


def changed(execution: Execution, **values: Any) -> Execution:
    """The same execution, later."""
    return replace(execution, **values)


@pytest.fixture
async def desk(sqlite: Database) -> AsyncIterator[Desk]:
    """On SQLite, as most are."""
    clock = FakeClock()
    async with Workspace(now=lambda: clock.now().timestamp()) as workspace:
        desk = Desk(database=sqlite, workspace=workspace, clock=clock)
        yield desk
        workspace.faults.clear()
        await desk.kill()


@pytest.fixture
async def any_desk(database: Database) -> AsyncIterator[Desk]:
    """On each engine, where the statements are what is tested."""
    clock = FakeClock()
    async with Workspace(now=lambda: clock.now().timestamp()) as workspace:
        desk = Desk(database=database, workspace=workspace, clock=clock)
        yield desk
        workspace.faults.clear()
        await desk.kill()
