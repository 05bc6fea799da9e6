"""The door: many at once are kept together, and go before the work on those that are through it."""

import asyncio
import uuid
from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from bot import inbox as door
from bot.inbox import AT_ONCE, AT_ONCE_IN_A_CROWD, Inbox
from safety.clock import Clock, SystemClock
from safety.redaction import Redactor
from storage import audit, inbox
from storage.database import Database
from storage.records import Actor, Origin, Received
from tests.fakes import FakeClock


class Desk:
    """Works on what it is given until it is let go, and marks it handled."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.begun: list[str] = []
        self.free = asyncio.Event()

        self.aside: list[str] = []

    async def put_aside(self, received: Received) -> None:
        await self.database.write(inbox.handled, received.id)
        self.aside.append(received.text)

    async def work(self, received: Received) -> None:
        self.begun.append(received.text)
        await self.free.wait()
        await self.database.write(inbox.handled, received.id)


async def nothing(received: Received) -> str | None:
    return None


def at_the_door(database: Database, clock: Clock | None = None) -> tuple[Inbox, Desk]:
    desk = Desk(database)
    return Inbox(database, clock or SystemClock(), Redactor(), desk.work, nothing, desk.put_aside), desk


async def ask(
    here: Inbox, text: str, *, key: str | None = None, command: str = "/runbook", kind: str = "command"
) -> str | None:
    return await here.receive(
        key=key or text,
        kind=kind,
        actor=Actor(id="UALICE", name="alice"),
        channel="C0INC",
        text=text,
        payload={"command": command} if kind == "command" else {"value": "42:"},
        origin=Origin.COMMAND,
    )


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_many_at_once_are_each_kept_once_and_witnessed(database: Database) -> None:
    here, desk = at_the_door(database)
    desk.free.set()
    texts = [f"restart nginx on web-{number}" for number in range(40)]
    assert await asyncio.gather(*(ask(here, text, key=text) for text in texts + texts[:10])) == [None] * 50
    await until(lambda: len(desk.begun) == 40)
    assert sorted(desk.begun) == sorted(texts)
    entries = await database.read(audit.search, kind="request", limit=100)
    assert sorted(str(entry.data["text"]) for entry in entries) == sorted(texts)
    await here.close()
    assert await database.read(inbox.unhandled) == []


async def test_one_that_can_not_be_kept_does_not_take_the_others_with_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, desk = at_the_door(database)
    real = audit.append

    def append(connection: Connection, **entry: object) -> object:
        if entry["text"] == "bad":
            raise ValueError("this one breaks")
        return real(connection, **entry)  # type: ignore[arg-type]

    monkeypatch.setattr(door.audit, "append", append)
    answers = await asyncio.gather(*(ask(here, text) for text in ("one", "bad", "two")), return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), ValueError, type(None)]
    kept = await database.read(inbox.unhandled)
    assert sorted(received.text for received in kept) == ["one", "two"]
    desk.free.set()
    await here.close()


async def test_those_at_the_door_go_first_and_what_stops_something_before_all(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, desk = at_the_door(database)
    monkeypatch.setattr(door, "CROWD", 0)  # as if there were no end of them
    await asyncio.gather(*(ask(here, f"restart nginx on web-{number}") for number in range(AT_ONCE)))
    assert len(desk.begun) == AT_ONCE_IN_A_CROWD
    await ask(here, "global on --now", command="/killswitch")
    await ask(here, "cancel 42")
    await ask(here, "handrail:cancel", kind="click")
    await until(lambda: len(desk.begun) == AT_ONCE_IN_A_CROWD + 3)
    assert desk.begun[-3:] == ["global on --now", "cancel 42", "handrail:cancel"]
    monkeypatch.undo()
    await ask(here, "restart nginx on db-01")
    await until(lambda: len(desk.begun) == AT_ONCE + 3)
    desk.free.set()
    await until(lambda: len(desk.begun) == AT_ONCE + 4)
    await here.close()


def received(text: str, clock: Clock) -> Received:
    """One that a process committed and did not live to answer."""
    alice, words = Actor(id="UALICE", name="alice"), {"command": "/runbook"}
    return Received(
        id=uuid.uuid4().hex,
        key=text,
        kind="command",
        actor=alice,
        channel="C0INC",
        text=text,
        payload=words,
        received_at=clock.now(),
    )


async def begin(database: Database, clock: FakeClock, *, together: int = 1) -> list[Desk]:
    """So many processes begin, work on what they find, and die."""
    doors = [at_the_door(database, clock) for _ in range(together)]
    running = [asyncio.create_task(here.run()) for here, _ in doors]
    await until(lambda: all(desk.begun or desk.aside for _, desk in doors) or any(desk.aside for _, desk in doors))
    dying = [*running, *(task for here, _ in doors for task in here._tasks)]
    for task in dying:
        task.cancel()
    await asyncio.gather(*dying, return_exceptions=True)
    return [desk for _, desk in doors]


async def test_what_every_process_dies_of_is_put_aside_after_five_of_them(database: Database) -> None:
    clock = FakeClock()
    for text in ("dies", "waits"):
        await database.write(door.keep, received(text, clock), Origin.COMMAND)
    for _ in range(inbox.MOST_STARTS - 1):
        await clock.advance(11)
        for desk in await begin(database, clock, together=3):  # which counts once
            assert (set(desk.begun), desk.aside) == ({"dies", "waits"}, [])
    (waiting,) = [one for one in await database.read(inbox.unhandled) if one.text == "waits"]
    await database.write(inbox.handled, waiting.id)
    await database.write(door.keep, received("new", clock), Origin.COMMAND)
    await clock.advance(11)
    (desk,) = await begin(database, clock)
    assert desk.aside == ["dies"]
    assert "dies" not in desk.begun
    assert [one.text for one in await database.read(inbox.unhandled)] == ["new"]
