"""A house whose wall clock a test sets, with a timer that fires what is due when the test says so."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bot import schedules as desk
from runbooks import Category, Danger, Facts, Parameters, Plan, Probe, Run, Runbook, minutes, positional
from runbooks.progress import FiringLost, ScheduleChanged
from runbooks.schedules import Timer
from safety.clock import SystemClock
from storage import audit, executions, schedules
from storage.database import Database
from storage.records import Actor, AuditEntry, Execution, Firing, Origin, Received, Schedule
from tests.builders import ALICE, House, a_house, catalog_with, commands_of
from tests.fakes import Reply


def at(text: str) -> datetime:
    """ "2026-11-22 02:00", in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NOON = at("2026-11-21 12:00")


class SetClock:
    """The wall shows what a test sets; what sleeps, sleeps a moment."""

    def __init__(self, now: datetime = NOON) -> None:
        self.set_to = now

    def now(self) -> datetime:
        """As it was set."""
        return self.set_to

    def monotonic(self) -> float:
        """As the machine's."""
        return SystemClock().monotonic()

    async def sleep(self, seconds: float) -> None:
        """A moment."""
        await asyncio.sleep(min(seconds, 0.05))


class Tidy(Runbook):
    """Tidy up, harmless enough to run at once."""

    name, category, danger, cooldown = "tidy", Category.MAINTENANCE, Danger.LOW, minutes(0)

    class Params(Parameters):
        """Where."""

        place: str = positional("what to tidy")

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """Two changes."""
        return Plan(
            Run("First", "touch", "/tmp/first", idempotent=True), Run("Second", "touch", "/tmp/second", idempotent=True)
        )


class Peer(Tidy):
    """The same, having looked first."""

    name = "peer"

    async def probe(self, host: Probe, params: Parameters) -> Facts:
        """One reading."""
        return Facts(up=str(await host.read("uptime")))


class Scrub(Tidy):
    """The same, dangerous."""

    name, danger = "scrub", Danger.DANGEROUS


class Sweep(Tidy):
    """The same, to be confirmed."""

    name, danger = "sweep", Danger.HIGH


OURS = catalog_with(Tidy, Peer, Scrub, Sweep)


@dataclass
class Night:
    """What a test does and sees."""

    house: House
    clock: SetClock
    timer: Timer

    async def says(self, text: str, *, by: Actor = ALICE) -> str:
        """What is answered to `/runbook TEXT`; empty where the channel shows it."""
        received = Received(
            id=f"r{abs(hash((text, by.id)))}",
            key=text,
            kind="command",
            actor=by,
            channel="C0INC",
            text=text,
            payload={"command": "/runbook"},
            received_at=self.clock.now(),
        )
        answer = await commands_of(self.house.engine).answer(received, origin=Origin.COMMAND, handled=lambda c: None)
        return answer.text if answer is not None else ""

    async def approves(self, name: str, limit: int, *, by: Actor) -> str:
        """A standing approval: what would be approved is asked for first, and then agreed to."""
        shown = await self.says(f"schedule approve {name} limit={limit}", by=by)
        found = re.search(r"`/runbook (schedule approve .* mark=.*)`", shown)
        return await self.says(found[1], by=by) if found is not None else shown

    async def comes(self, text: str) -> None:
        """That time comes, and the timer looks."""
        self.clock.set_to = at(text)
        await self.timer.look()

    async def passes(self, **length: float) -> None:
        """So long passes, and the timer looks."""
        self.clock.set_to += timedelta(**length)
        await self.timer.look()

    async def schedule(self, name: str) -> Schedule:
        """As it is kept."""
        found = await self.house.database.read(schedules.find, name)
        assert found is not None
        return found

    async def firings(self, name: str) -> list[Firing]:
        """What became of its moments, the oldest first."""
        schedule = await self.schedule(name)
        return (await self.house.database.read(schedules.firings, schedule.id, limit=100))[::-1]

    async def executions(self) -> list[Execution]:
        """All, the oldest first."""
        return (await self.house.database.read(executions.newest, 100))[::-1]

    async def last(self, *states: Any) -> Execution:
        """The newest, as it ends or reaches one of these states."""
        return await self.house.reaches((await self.executions())[-1].id, *states)

    async def audited(self, kind: str) -> list[AuditEntry]:
        """The entries of one kind, the oldest first."""
        return (await self.house.database.read(audit.search, kind=kind, limit=100))[::-1]

    @property
    def lost(self) -> list[FiringLost]:
        """What was told of moments that passed without a run."""
        return [event for event in self.house.reporter.events if isinstance(event, FiringLost)]

    @property
    def changes(self) -> list[str]:
        """What was told of schedules themselves."""
        return [event.words for event in self.house.reporter.events if isinstance(event, ScheduleChanged)]


@asynccontextmanager
async def a_night(database: Database, now: str | None = None, **more: Any) -> AsyncIterator[Night]:
    """A house at noon, or at another time, in which a few runbooks can be scheduled."""
    clock = SetClock(at(now) if now else NOON)
    replies = {"touch": more.pop("reply", None) or Reply(), "uptime": Reply(out="up")}
    async with a_house(database, clock=clock, catalog=more.pop("catalog", OURS), replies=replies, **more) as house:
        yield Night(house=house, clock=clock, timer=Timer(house.engine, read=desk.request_at))
