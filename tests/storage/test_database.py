"""One writer, many readers, on both engines."""

import asyncio
import json
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError, InternalError, OperationalError

from storage import audit, controls, executions, migrations, outbox
from storage import tables as t
from storage.canonical import json_text, storable
from storage.database import URGENT_COMMIT, Bell, Database, OwnerLock, at_the_end, parse_url, repeat, ring, surely
from storage.errors import ConfigurationError, StorageUnavailable
from storage.records import Actor, Danger, Origin, OutboxKind, Priority, State, Thread
from tests.fakes import START


def add_one(connection: Connection, key: str = "counter") -> int:
    """Read, then write: what loses updates when transactions overlap."""
    value = controls.buckets(connection, [key]).get(key, 0.0) + 1
    controls.set_buckets(connection, {key: value})
    return int(value)


async def test_a_hundred_callers_lose_no_update(database: Database) -> None:
    answers = await asyncio.gather(*(database.write(add_one) for _ in range(100)))
    assert sorted(answers) == list(range(1, 101))
    assert await database.read(lambda c: controls.buckets(c, ["counter"])["counter"]) == 100


async def test_two_databases_on_the_same_store_take_turns(database: Database, migrated_url: str) -> None:
    other = Database(migrated_url)
    await other.start()
    try:
        await asyncio.gather(*(one.write(add_one) for one in (database, other) for _ in range(30)))
        assert await database.read(lambda c: controls.buckets(c, ["counter"])["counter"]) == 60
    finally:
        await other.close()


async def test_a_bell_rings_where_it_was_rung_once_that_is_committed(database: Database) -> None:
    seen: list[float | None] = []

    async def look() -> None:
        seen.append((await database.read(lambda c: controls.buckets(c, ["counter"]))).get("counter"))

    looking: list[asyncio.Task[None]] = []
    database.heed(Bell.OUTBOX, lambda: looking.append(asyncio.create_task(look())))

    def write(connection: Connection) -> None:
        add_one(connection)
        ring(connection, Bell.OUTBOX)
        ring(connection, Bell.OUTBOX)

    await database.write(write)
    await database.write(add_one)
    await asyncio.gather(*looking)
    assert len(seen) == 1
    assert seen[0] in {1.0, 2.0}


async def test_what_is_urgent_goes_before_all_that_waits(database: Database) -> None:
    order: list[str] = []
    gate = threading.Event()

    def ordinary(connection: Connection) -> None:
        gate.wait(5)
        order.append("ordinary")

    waiting = [asyncio.ensure_future(database.write(ordinary)) for _ in range(300)]
    await asyncio.sleep(0)
    urgent = asyncio.ensure_future(database.write_first(lambda connection: order.append("urgent")))
    while not urgent.done():
        await asyncio.sleep(0)
        gate.set()
    assert order.index("urgent") <= 1, "after the one that was being written already"
    await asyncio.gather(*waiting)
    assert len(order) == 301


async def test_a_commit_with_something_urgent_in_it_takes_little_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow this machine is: nothing else ends a commit here.
    monkeypatch.setattr("storage.database.LONGEST_COMMIT", 60.0)
    begun = threading.Event()

    def slow(connection: Connection) -> None:
        begun.set()
        time.sleep(URGENT_COMMIT)  # the transaction's own time, which nothing can set

    waiting = [asyncio.ensure_future(database.write(slow)) for _ in range(8)]
    await asyncio.to_thread(begun.wait, 5)
    await database.write_first(lambda connection: None)
    for _ in range(3):
        await asyncio.sleep(0)  # what was answered together has heard it by then
    assert not all(one.done() for one in waiting)
    await asyncio.gather(*waiting)


async def test_one_callers_error_takes_only_its_own_work_back(database: Database) -> None:
    def fails(connection: Connection) -> None:
        add_one(connection, "lost")
        raise ValueError("no")

    results = await asyncio.gather(
        database.write(add_one, "a"), database.write(fails), database.write(add_one, "b"), return_exceptions=True
    )
    assert [type(r).__name__ for r in results] == ["int", "ValueError", "int"]
    assert await database.read(lambda c: controls.buckets(c, ["a", "b", "lost"])) == {"a": 1.0, "b": 1.0}


async def test_what_was_put_off_and_fails_takes_only_its_own_work_back(database: Database) -> None:
    def say(connection: Connection, id: str) -> None:
        add_one(connection, id)
        outbox.put(connection, id=id, kind=OutboxKind.ALERT, method="post", payload={}, now=START, channel="C0OPS")

    await database.write(say, "known")
    said = await asyncio.gather(*(database.write(say, id) for id in ("a", "known", "b")), return_exceptions=True)
    assert [type(one) for one in said] == [type(None), IntegrityError, type(None)]
    assert await database.read(lambda c: [outbox.find(c, id) is not None for id in ("a", "b")]) == [True, True]
    assert await database.read(lambda c: controls.buckets(c, ["a", "known", "b"])) == {"a": 1, "known": 1, "b": 1}


async def test_what_breaks_with_its_commit_is_not_run_again(database: Database) -> None:
    runs = 0

    def breaks(connection: Connection) -> None:
        if connection.dialect.name == "sqlite":
            raise OperationalError("", None, OSError("the disk is full"))
        driver: Any = connection.connection.driver_connection
        driver.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    def write(connection: Connection) -> None:
        nonlocal runs
        runs += 1
        later = at_the_end(connection)
        assert later is not None
        later["break"] = breaks

    with pytest.raises(StorageUnavailable):
        await database.write(write)
    assert runs == 1
    assert await database.write(add_one) == 1


async def test_a_unique_violation_is_the_callers_alone(database: Database) -> None:
    def twice(connection: Connection) -> None:
        for _ in range(2):
            connection.execute(insert(t.host_locks).values(host="web-01", execution_id=1, since=START))

    with pytest.raises(Exception, match=r"(?i)unique|foreign"):
        await database.write(twice)
    assert await database.write(add_one) == 1


async def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises((StorageUnavailable, InternalError), match=r"read.?only"):
        await database.read(add_one)


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
async def test_a_question_is_planned_for_its_own_values_however_often_it_is_asked(database: Database) -> None:
    window = audit.Wanted(since=START, until=START + timedelta(hours=1))

    def asks(connection: Connection) -> int:
        audit.search(connection, **window)
        generic = "SELECT sum(generic_plans) FROM pg_prepared_statements WHERE cardinality(parameter_types) > 0"
        return int(connection.scalar(text(generic)) or 0)

    assert [await database.read(asks) for _ in range(15)] == [0] * 15


async def test_a_locked_file_is_said_in_words_and_works_afterwards(sqlite: Database) -> None:
    other = Database(str(sqlite.url))
    await other.start()
    entered, leave = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(connection: Connection) -> None:
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(leave.wait(), loop).result()

    holding = asyncio.create_task(other.write(hold))
    await entered.wait()
    waiting = asyncio.create_task(sqlite.write(add_one))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    leave.set()
    await holding
    assert await waiting == 1
    await other.close()


async def test_migrations_run_together_and_leave_nothing_pending(database_url: str) -> None:
    many = [Database(database_url) for _ in range(4)]
    await asyncio.gather(*(one.migrate() for one in many))
    await many[0].start()
    try:
        assert await many[0].is_current()
    finally:
        await many[0].close()


async def test_the_tables_and_the_migrations_say_the_same(database: Database) -> None:
    from alembic import command

    def check(connection: Connection) -> None:
        settings = migrations.config()
        settings.attributes["connection"] = connection
        command.check(settings)

    await database.write(check)


def test_the_newest_migration_is_the_one_that_is_named() -> None:
    from alembic.script import ScriptDirectory

    assert ScriptDirectory.from_config(migrations.config()).get_current_head() == migrations.NEWEST


async def test_without_a_schema_it_is_not_current(database_url: str) -> None:
    empty = Database(database_url)
    await empty.start()
    try:
        assert not await empty.is_current()
    finally:
        await empty.close()


async def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    gone = Database(f"postgresql+psycopg://nobody@/none?host={tmp_path}")
    await gone.start()
    try:
        with pytest.raises(StorageUnavailable, match="does not answer"):
            await gone.read(lambda c: c.execute(select(text("1"))))
        with pytest.raises(StorageUnavailable, match="does not answer"):
            await gone.write(add_one)
    finally:
        await gone.close()


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("sqlite://", "no file"),
        ("sqlite+aiosqlite:///:memory:", "no file"),
        ("mysql://x/y", "mysql"),
        ("nonsense", "not a database URL"),
    ],
)
def test_a_wrong_url_is_refused_in_words(url: str, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        parse_url(url)


def test_a_second_owner_of_the_file_is_refused(tmp_path: Path) -> None:
    first, second = OwnerLock(tmp_path / "h.db"), OwnerLock(tmp_path / "h.db")
    first.take()
    with pytest.raises(ConfigurationError, match="owns this SQLite database"):
        second.take()
    first.release()
    second.take()
    second.release()


async def test_what_is_repeated_goes_on_when_the_database_was_away_and_ends_with_its_own_fault() -> None:
    done: list[str] = []

    async def action() -> None:
        done.append("tried")
        if len(done) < 5:
            raise StorageUnavailable("away")
        raise ValueError("a fault")

    async def sleep(seconds: float) -> None:
        done.append(f"slept {seconds}")

    with pytest.raises(ValueError, match="a fault"):
        await repeat("work", action, every=30.0, sleep=sleep)
    assert done == ["tried", "slept 30.0", "tried", "slept 30.0", "tried"]


async def test_surely_goes_on_until_the_database_answers() -> None:
    tries: list[int] = []
    pauses: list[float] = []

    async def action() -> str:
        tries.append(1)
        if len(tries) < 4:
            raise StorageUnavailable("away")
        return "done"

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    assert await surely(action, sleep=sleep) == "done"
    assert pauses == [0.1, 0.2, 0.4]


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
async def test_what_broke_the_connection_is_what_the_caller_is_told(database: Database) -> None:
    def breaks(connection: Connection) -> None:
        connection.invalidate()
        raise OperationalError("SELECT 1", None, OSError("server closed the connection unexpectedly"))

    with pytest.raises(StorageUnavailable, match="server closed the connection unexpectedly"):
        await database.write(breaks)
    assert await database.write(lambda connection: connection.scalar(text("SELECT 1"))) == 1


async def test_what_the_same_commit_has_put_off_is_there_for_who_looks(database: Database) -> None:
    def puts_and_looks(connection: Connection) -> tuple[bool, bool]:
        outbox.put(
            connection,
            id="u1",
            kind=OutboxKind.PROGRESS,
            method="upload",
            payload={},
            now=START,
            channel="C0INC",
            execution_id=1,
        )
        thread = Thread(execution_id=1, channel="C0INC", ts="1.1")
        attached = outbox.attached(connection, thread, since=START)
        return attached, outbox.find(connection, "u1") is not None

    def finds(connection: Connection) -> bool:
        outbox.put(connection, id="u2", kind=OutboxKind.ALERT, method="post", payload={}, now=START, channel="C0OPS")
        return outbox.find(connection, "u2") is not None

    assert await database.write(puts_and_looks) == (True, True)
    assert await database.write(finds)


async def test_what_no_database_can_keep_is_kept_with_a_mark_in_its_place(database: Database) -> None:
    odd, kept = "a\x00b\ud800c\U0001f600", "a\ufffdb\ufffdc\U0001f600"

    def write(connection: Connection) -> int:
        made = executions.create(
            connection,
            runbook="touch",
            params={odd: [odd, 1, None, {"deep": odd}]},
            hosts=("web-01",),
            services=(),
            danger=Danger.LOW,
            actor=Actor(id="UBOB", name=odd),
            origin=Origin.COMMAND,
            channel=None,
            text=odd,
            normalised=None,
            reason=None,
            dry_run=False,
            priority=Priority.NORMAL,
            state=State.PENDING,
            timeout=timedelta(minutes=1),
            now=START,
        )
        executions.set_host(connection, made.id, "web-01", reason=odd, before={"said": odd})
        audit.append(connection, at=START, kind="test", actor=Actor(id=odd), origin=Origin.API, reason=odd)
        return made.id

    number = await database.write(write)
    found = await database.read(executions.get, number)
    assert (found.text, found.actor.name) == (kept, kept)
    assert found.params == {kept: [kept, 1, None, {"deep": kept}]}
    (row,) = await database.read(executions.hosts_of, number)
    assert (row.reason, row.before) == (kept, {"said": kept})
    (entry,) = await database.read(audit.search, words=("test",))
    assert entry.actor == kept
    assert (await database.read(audit.verify)).ok


@given(st.text(st.characters(exclude_categories=[])))
def test_what_can_be_kept_is_kept_as_it_is(text: str) -> None:
    stored = storable(text)
    stored.encode()
    assert "\x00" not in stored
    assert len(stored) == len(text)
    assert all(
        a == b or (b == "\ufffd" and (a == "\x00" or "\ud800" <= a <= "\udfff"))
        for a, b in zip(text, stored, strict=True)
    )
    assert json.loads(json_text({"it": [text]})) == {"it": [stored]}
