"""The database of one process: many readers, one writer.

Storage functions are plain synchronous functions over a SQLAlchemy `Connection`. `read` runs one in one of a few
threads. `write` hands one to the single writer, a thread that runs what many callers ask for in one transaction and
answers after the commit. When one of them raises, the transaction is taken back and all are run once more, each in a
savepoint, so that it takes back only its own work: nearly always none does, and savepoints would be a fifth of all
statements. On SQLite the writer begins IMMEDIATE; on PostgreSQL its transactions all take one advisory lock first, so
that writers of several processes take turns exactly as on SQLite: no deadlock, and every check-then-write is exact.

A thread, since a hop to it is paid once for a function; an asynchronous driver pays for each statement, and waits for a
turn of the event loop each time.
"""

import asyncio
import contextlib
import fcntl
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Concatenate, Never, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from storage.canonical import json_text
from storage.errors import ConfigurationError, StorageUnavailable

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

WRITER_LOCK = 0x48414E44  # the advisory lock all writers share on PostgreSQL
MIGRATION_LOCK = 0x4D494752
MOST_IN_ONE_COMMIT = 200
LONGEST_COMMIT = 0.008  # seconds that one transaction takes functions, so that nobody waits long for its commit
URGENT_COMMIT = 0.005  # the same, as soon as something urgent is among them
SQLITE_BUSY_MS = 5_000
READERS = 8


class Bell(StrEnum):
    """What processes are woken for, others by NOTIFY on PostgreSQL. Lost ones cost a poll, so there are few."""

    QUEUE = "handrail_queue"  # something may be claimed
    CONTROLS = "handrail_controls"  # a switch or a cancel was written
    OUTBOX = "handrail_outbox"  # something must be said that can't wait


class _AbandonError(Exception):
    """The whole transaction is lost, not just one function."""


class _TakenBackError(Exception):
    """A function raised, and what others did stands in the same transaction: all are to be run again, apart."""


@dataclass(frozen=True)
class _Task:
    run: Callable[[Connection], Any]
    answer: "asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop
    urgent: bool = False


class _Waiting:
    """What waits for the writer: what is urgent first, the rest in its order. Safe between threads."""

    def __init__(self) -> None:
        self._urgent: deque[_Task] = deque()
        self._others: deque[_Task] = deque()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._others)

    def put(self, task: _Task) -> None:
        (self._urgent if task.urgent else self._others).append(task)

    def take(self) -> _Task | None:
        for lane in (self._urgent, self._others):
            with contextlib.suppress(IndexError):
                return lane.popleft()
        return None

    def drain(self, most: int) -> list[_Task]:
        return [task for task in (self.take() for _ in range(most)) if task is not None]


def parse_url(url: str) -> URL:
    """A database URL with the drivers we use; raises ConfigurationError for anything else."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            ["HANDRAIL_DATABASE_URL is not a database URL. Try sqlite+aiosqlite:///handrail.db."]
        ) from error
    kind = parsed.drivername.split("+")[0]
    if kind == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise ConfigurationError(
                ["HANDRAIL_DATABASE_URL names no file: a database in memory would forget everything at the next start."]
            )
        return parsed.set(drivername="sqlite+aiosqlite")
    if kind in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigurationError(
        [f"HANDRAIL_DATABASE_URL names {kind!r}; Handrail keeps its records in SQLite or PostgreSQL."]
    )


def is_gone(error: BaseException) -> bool:
    """Whether an error means that the database does not answer, rather than that we asked something wrong."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout | OSError | TimeoutError):
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _unavailable(error: BaseException) -> StorageUnavailable:
    cause = getattr(error, "orig", None) or error
    words = " ".join(str(cause).split())[:200] or type(cause).__name__
    failure = StorageUnavailable(f"The database does not answer ({words}).")
    failure.__cause__ = error
    return failure


class Database:
    """One process's way to its records. `start` before use, `close` at the end."""

    def __init__(self, url: str) -> None:
        self.url = parse_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.id = secrets.token_hex(4)  # by which a process knows its own bells
        self._readers: _Readers | None = None
        self._writer: _Writer | None = None
        self._reading: set[asyncio.Future[Any]] = set()
        self._heeding: dict[Bell, Callable[[], None]] = {}

    @property
    def path(self) -> Path | None:
        """The file, on SQLite."""
        return Path(str(self.url.database)) if self.is_sqlite else None

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    async def start(self) -> None:
        """Open it. On SQLite the folder must exist; the file is made."""
        if self.path is not None and not self.path.absolute().parent.is_dir():
            raise StorageUnavailable(
                f"The folder of the database {self.path} does not exist. Make it, or name another."
            )
        loop = asyncio.get_running_loop()
        self._readers = _Readers(self.url)
        self._writer = _Writer(self.url, self.id, lambda bells: _call(loop, self._rung, bells))
        self._writer.start()

    async def close(self) -> None:
        """Finish what was handed to the writer, then close every connection."""
        if self._writer is not None:
            await self._writer.close()
            self._writer = None
        if self._readers is not None:
            readers, self._readers = self._readers, None
            await asyncio.gather(*self._reading, return_exceptions=True)
            readers.close()

    async def read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that only reads. Raises StorageUnavailable."""
        if self._readers is None:
            raise StorageUnavailable("The database is closed.")
        # A cancelled caller must not leave a connection in the middle of a statement: the read goes on to its end.
        reading = self._readers.run(lambda connection: function(connection, *args, **kwargs))
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        return await asyncio.shield(reading)

    async def write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in a transaction; returns after the commit. It may be run twice, so that it only writes there.

        Raises what the function raised (its own part is rolled back then), or StorageUnavailable, after which it is
        not known whether the transaction was committed.
        """
        return await self._write(lambda connection: function(connection, *args, **kwargs), urgent=False)

    async def write_first(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `write`, before all that waits to be written: for leases, switches, and what must be acknowledged."""
        return await self._write(lambda connection: function(connection, *args, **kwargs), urgent=True)

    async def _write(self, run: Callable[[Connection], T], *, urgent: bool) -> T:
        if self._writer is None:
            raise StorageUnavailable("The database is closed.")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._writer.put(_Task(run, answer, loop, urgent))
        return await answer

    def heed(self, bell: Bell, function: Callable[[], None]) -> None:
        """Call `function` in the event loop whenever this bell rings: once what is written here is committed, and while
        `listen` listens, for what others wrote.
        """
        self._heeding[bell] = function

    def _rung(self, bells: Collection[Bell]) -> None:
        for bell in bells:
            if bell in self._heeding:
                self._heeding[bell]()

    async def listen(self, heard: Callable[[Bell], None]) -> None:
        """Call `heard` for each bell that another process rings, on a connection of its own, until that breaks.

        Called for every bell once as soon as the connection stands, for what rang before was missed. On SQLite there is
        nobody else to hear. Raises StorageUnavailable.
        """
        if self.is_sqlite:
            await asyncio.get_running_loop().create_future()
        import psycopg

        uri = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            connection = await psycopg.AsyncConnection.connect(uri, autocommit=True, **_PG)
            async with connection:
                for bell in Bell:
                    await connection.execute(f"LISTEN {bell}".encode())
                for bell in Bell:
                    heard(bell)
                async for note in connection.notifies():
                    if note.payload != self.id:
                        heard(Bell(note.channel))
                        self._rung([Bell(note.channel)])
        except (psycopg.Error, OSError) as error:
            raise _unavailable(error) from error
        raise StorageUnavailable("The database ended the connection that was listened on.")

    async def migrate(self) -> None:
        """Bring the schema up to date; safe when several processes do it at once."""
        from storage.migrations import upgrade

        try:
            await asyncio.to_thread(upgrade, self.url)
        except Exception as error:
            if is_gone(error):
                raise _unavailable(error) from error
            raise

    async def is_current(self) -> bool:
        """Whether no migration is pending. Raises StorageUnavailable."""
        from storage.migrations import pending

        return not await self.read(pending)


_Answers = list[tuple[_Task, Any, BaseException | None]]


def _run_together(connection: Connection, waiting: _Waiting, taken: list[_Task]) -> _Answers:
    """What waits, in one piece. `taken` grows with each. Raises _TakenBackError as soon as one of them fails."""
    began = time.monotonic()
    ends = began + LONGEST_COMMIT
    answers: _Answers = []
    connection.info[_LATER] = {}
    while not taken or (len(taken) < MOST_IN_ONE_COMMIT and time.monotonic() < ends):
        task = waiting.take()
        if task is None:
            break
        if task.urgent:
            ends = min(ends, began + URGENT_COMMIT)
        taken.append(task)
        if task.answer.cancelled():
            continue
        try:
            answers.append((task, task.run(connection), None))
        except Exception as error:
            raise (_AbandonError if is_gone(error) else _TakenBackError) from error
    return answers


def _run_apart(connection: Connection, taken: list[_Task]) -> _Answers:
    """Each in its own savepoint; a failed one takes only its own work back."""
    answers: _Answers = []
    for task in taken:
        if task.answer.cancelled():
            continue
        connection.exec_driver_sql("SAVEPOINT handrail")
        try:
            value = task.run(connection)
            connection.exec_driver_sql("RELEASE SAVEPOINT handrail")
            answers.append((task, value, None))
        except Exception as error:
            if is_gone(error):
                raise _AbandonError from error
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT handrail")
            connection.exec_driver_sql("RELEASE SAVEPOINT handrail")
            answers.append((task, None, error))
    return answers


_BELLS = "handrail_bells"
_LATER = "handrail_later"


def ring(connection: Connection, bell: Bell) -> None:
    """Wake who waits for this, here and in other processes, once it is committed; once a commit, however often said."""
    connection.info.setdefault(_BELLS, set()).add(bell)


def at_the_end(connection: Connection) -> dict[Any, Callable[[Connection], None]] | None:
    """By name or statement, what is written right before the commit, for many callers in one go.

    None where there is no such moment, so that it must be written at once.
    """
    found: dict[Any, Callable[[Connection], None]] | None = connection.info.get(_LATER)
    return found


def _finish(connection: Connection, sender: str) -> list[Bell]:
    """Write what was put off, tell other processes, if there can be any, and commit; which bells were rung.

    On PostgreSQL all that is sent in one go, and answered in one: a lone commit takes half as long. The server leaves
    the commit out where anything before it fails. Raises _TakenBackError then, _AbandonError where that is not known.
    """
    later, bells = connection.info.pop(_LATER, {}), sorted(connection.info.pop(_BELLS, ()))
    driver: Any = connection.connection.driver_connection
    is_postgres = connection.dialect.name == "postgresql"
    is_committed = False
    try:
        with driver.pipeline() if is_postgres else contextlib.nullcontext():
            for write in later.values():
                write(connection)
            if is_postgres:
                for bell in bells:
                    driver.execute("SELECT pg_notify(%s, %s)", (bell.value, sender))
                driver.commit()
                is_committed = True
        connection.commit()  # on PostgreSQL for SQLAlchemy's books only
    except Exception as error:
        is_unknown = is_committed or is_gone(error) or (is_postgres and driver.closed)
        raise (_AbandonError if is_unknown else _TakenBackError) from error
    return bells


def _answer(answers: _Answers) -> None:
    for task, value, error in answers:
        if task.answer.done():
            continue
        if error is not None:
            task.answer.set_exception(error)
        else:
            task.answer.set_result(value)


def _fail(tasks: Sequence[_Task], error: BaseException) -> None:
    for task in tasks:
        if not task.answer.done():
            task.answer.set_exception(_unavailable(error))


class _Readers:
    """A few threads with a connection each."""

    def __init__(self, url: URL) -> None:
        self._engine = _reader_engine(url)
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="handrail-reader")

    def run(self, function: Callable[[Connection], T]) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._threads, self._read, function)

    def close(self) -> None:
        self._threads.shutdown(wait=False)
        self._engine.dispose()

    def _read(self, function: Callable[[Connection], T]) -> T:
        try:
            with self._engine.connect() as connection:
                return function(connection)
        except Exception as error:
            if is_gone(error):
                raise _unavailable(error) from error
            raise


class _Writer:
    """One thread, one connection, many functions to a commit."""

    def __init__(self, url: URL, sender: str, rung: Callable[[Collection[Bell]], None]) -> None:
        self._engine, self._sender, self._rung = writer_engine(url), sender, rung
        self._waiting = _Waiting()
        self._woken = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="handrail-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, task: _Task) -> None:
        self._waiting.put(task)
        self._woken.set()

    async def close(self) -> None:
        self._closing = True
        self._woken.set()
        await asyncio.to_thread(self._thread.join)
        self._engine.dispose()

    def _run(self) -> None:
        while self._waiting or not self._closing:
            self._woken.wait()
            if not self._closing:
                self._woken.clear()
            while self._waiting:
                self._commit()

    def _commit(self) -> None:
        taken, before = list[_Task](), len(self._waiting)
        try:
            try:
                answers = self._transaction(lambda connection: _run_together(connection, self._waiting, taken))
            except _TakenBackError:
                answers = self._transaction(lambda connection: _run_apart(connection, taken))
        except Exception as error:  # whatever broke the transaction, its callers must hear of it and the thread goes on
            known = isinstance(error, _AbandonError | _TakenBackError)
            cause = error.__cause__ if known and error.__cause__ else error
            for task in [*taken, *self._waiting.drain(before - len(taken))]:
                _call(task.loop, _fail, [task], cause)
            return
        for loop in {answer[0].loop for answer in answers}:
            _call(loop, _answer, [answer for answer in answers if answer[0].loop is loop])

    def _transaction(self, run: Callable[[Connection], _Answers]) -> _Answers:
        with self._begun() as connection:
            info = connection.info  # asked for now: of a connection that breaks meanwhile it could not be
            info.pop(_BELLS, None)
            try:
                answers = run(connection)
                bells = _finish(connection, self._sender)
            finally:
                info.pop(_LATER, None)
        if bells:
            self._rung(bells)
        return answers

    def _begun(self) -> Connection:
        """A connection in a transaction, when it is this writer's turn.

        Where the old connection turns out dead, nothing was done on it yet: that is found out here, for no statement
        more, and a new one is made.
        """
        try:
            return self._begun_on(self._engine.connect())
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return self._begun_on(self._engine.connect())

    def _begun_on(self, connection: Connection) -> Connection:
        try:
            connection.begin()
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
        except BaseException:
            connection.close()
            raise
        return connection


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: Any) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function, *args)


# A frozen process must not hold the writers' lock: PostgreSQL ends its idle transaction after 2 s.
_PG: dict[str, Any] = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "options": "-c statement_timeout=15000 -c idle_in_transaction_session_timeout=2000 -c timezone=UTC -c jit=off",
}
# Whoever only reads holds up nobody, and may be kept from the processor for longer than that. Each question is planned
# for its own values: a plan for any values walks along the whole audit for a narrow window of it.
_PG_READER = _PG | {
    "options": _PG["options"].replace("timeout=2000", "timeout=60000")
    + " -c default_transaction_read_only=on -c plan_cache_mode=force_custom_plan"
}


def _reader_engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        # Each statement sees what is committed by then, in a transaction or not: BEGIN and ROLLBACK would only be two
        # more trips to the server.
        return create_engine(
            url,
            json_serializer=json_text,
            pool_size=READERS,
            max_overflow=0,
            pool_pre_ping=True,
            isolation_level="AUTOCOMMIT",
            connect_args=_PG_READER,
        )
    engine = create_engine(url.set(drivername="sqlite"), json_serializer=json_text, pool_size=READERS, max_overflow=0)
    event.listen(engine, "connect", _prepare_reader)
    return engine


def writer_engine(url: URL) -> Engine:
    """A synchronous engine that writes: the writer thread's own, and the one of a short command beside an owner."""
    if url.get_backend_name() == "postgresql":
        return create_engine(url, json_serializer=json_text, pool_size=1, max_overflow=0, connect_args=_PG)
    engine = create_engine(url.set(drivername="sqlite"), json_serializer=json_text, pool_size=1, max_overflow=0)
    event.listen(engine, "connect", _prepare_writer)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _pragmas(connection: Any, *statements: str) -> None:
    cursor = connection.cursor()
    for statement in ("PRAGMA foreign_keys=ON", f"PRAGMA busy_timeout={SQLITE_BUSY_MS}", *statements):
        cursor.execute(statement)
    cursor.close()


def _prepare_writer(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    # FULL, not NORMAL: an acknowledged request must survive a power cut, and WAL syncs once a commit.
    _pragmas(connection, "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA recursive_triggers=ON")


def _prepare_reader(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    _pragmas(connection, "PRAGMA query_only=ON")


def _begin_immediate(connection: Connection) -> None:
    # A deferred transaction that reads first and writes later fails at once when another one wrote in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class OwnerLock:
    """On SQLite one process owns the executions; the lock is the operating system's and dies with the process."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + ".owner")
        self._file: int | None = None

    def take(self) -> None:
        """Raises ConfigurationError while another process holds it."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(handle, 40).decode(errors="replace").strip()
            os.close(handle)
            raise ConfigurationError(
                [
                    f"Another Handrail (process {holder or 'unknown'}) owns this SQLite database. Stop it, or set "
                    "HANDRAIL_DATABASE_URL to PostgreSQL, which several processes may share."
                ]
            ) from error
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        self._file = handle

    def release(self) -> None:
        """Let the next owner in."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def moment(connection: Connection, ours: datetime) -> datetime:
    """Now, by the clock that all owners share: PostgreSQL's own; on SQLite, where there is one owner, `ours`.

    The very moment, not the transaction's beginning, which may have waited for other writers.
    """
    if connection.dialect.name != "postgresql":
        return ours
    found: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return found


async def surely(
    action: Callable[[], Awaitable[T]],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    give_up_after: timedelta | None = None,
) -> T:
    """Repeat until the database answers. For writes that find out by themselves whether they already happened."""
    pause, began = 0.1, time.monotonic()
    while True:
        try:
            return await action()
        except StorageUnavailable:
            if give_up_after is not None and time.monotonic() - began > give_up_after.total_seconds():
                raise
            await sleep(pause)
            pause = min(pause * 2, 2.0)


async def repeat(
    name: str, action: Callable[[], Awaitable[object]], *, every: float, sleep: Callable[[float], Awaitable[None]]
) -> Never:
    """Do it again and again, with so many seconds between, until cancelled. That the database is away is logged."""
    while True:
        try:
            await action()
        except StorageUnavailable as error:
            log.warning("storage_unavailable", loop=name, message=error.message)
        await sleep(every)
