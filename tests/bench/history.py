"""f. History, audit and digest among ten thousand, a million and (with `--most`) ten million rows of each.

    python -m tests.bench.history --most 1000000
    python -m tests.bench.history --most 10000000      (needs 25 GB on the disk and 20 minutes)

Every size is a database of its own: so many executions with a host each, an approval for every fifth, and as many audit
entries, chained as the product chains them. A window of the same 2,000 newest rows, and a page of the same length
deeper down, are asked for at every size, in turns; then entries are appended as the product appends them, and the whole
chain is verified and exported.
"""

import argparse
import gc
import io
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, UniqueConstraint, create_engine, event, text
from sqlalchemy.schema import AddConstraint, DropConstraint

from storage import audit, digest, executions, export
from storage import tables as t
from storage.database import Database, writer_engine
from storage.executions import Sought
from storage.records import Actor, Origin, State
from tests.bench.place import Report, percentile, run, say
from tests.postgres import Postgres, missing

SIZES = (10_000, 1_000_000, 10_000_000)
END = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = 2_000  # rows, one a second
TIMES = 41
ALLOWED = 1.5
LONG_ENOUGH = 20.0  # seconds for one question at all sizes

Rows = Iterator[tuple[Any, ...]]


# --- what is there ----------------------------------------------------------------------------------------------------

KINDS = ("request", "execution.pending", "decision.allow", "execution.running", "execution.succeeded")
RUNBOOKS = ("restart-service", "disk-cleanup", "never-succeeds", "health-check", "health-check")
HOSTS = 20
WORDS = {
    "request": '{"channel":"C0INC","request":"%032x","text":"restart nginx on %s","what":"command"}',
    "decision.allow": '{"hosts":["%s"],"runbook":"%s","verdicts":[%s]}',
}
VERDICT = '{"gate":"%s","outcome":"allow","reason":"as it should be","rule":null}'
VERDICTS = ",".join(VERDICT % gate for gate in ("permission", "kill_switch", "command_guard", "cooldown", "approval"))


def moment(number: int, last: int) -> str:
    """When it was, to the second, as SQLite keeps it; the newest at the same time whatever their number."""
    return (END - timedelta(seconds=last - number)).strftime("%Y-%m-%d %H:%M:%S.000000")


def execution_rows(last: int) -> Rows:
    """What became of each; the first value is its number."""
    for n in range(1, last + 1):
        at = moment(n, last)
        state = "succeeded" if n % 7 and n % 5 != 2 else "failed"
        host, person = f'["web-{n % HOSTS:02}"]', f"U{n % 50}"
        said = (person, "somebody", "command", "C0INC", "restart nginx")
        yield (
            *(n, RUNBOOKS[n % 5], "{}", host, '["nginx"]', "[]", "low", *said, False, "normal", 1, state, "apply"),
            *(at, at, at, at, 300.0, 4, 4, 1),
        )


def host_rows(last: int) -> Rows:
    """One host of each."""
    for n in range(1, last + 1):
        at = moment(n, last)
        yield n, f"web-{n % HOSTS:02}", 1, "succeeded" if n % 7 and n % 5 != 2 else "failed", at, at


def approval_rows(last: int) -> Rows:
    """Of every fifth."""
    for n in range(5, last + 1, 5):
        at = moment(n, last)
        yield n // 5, n, "0" * 64, "approve", "given", at, at, 1, "U1", at


def audit_rows(last: int) -> Rows:
    """A true chain: five entries to an execution, counted from the newest."""
    previous = audit.FIRST
    for n in range(1, last + 1):
        kind, number = KINDS[n % 5], last - (last - n) // 5
        at, person, host, runbook = moment(n, last), f"U{n % 50}", f"web-{n % HOSTS:02}", RUNBOOKS[n % 3]
        execution = None if kind == "request" else number
        if kind == "request":
            data = WORDS[kind] % (n, host)
        elif kind == "decision.allow":
            data = WORDS[kind] % (host, runbook, VERDICTS)
        else:
            data = f'{{"hosts":["{host}"],"runbook":"{runbook}"}}'
        text_ = audit.hashed_text(n, at, kind, person, "command", execution, data, previous)
        mark = audit.hash_of(text_)
        yield n, at, kind, person, "command", execution, data, previous, mark
        previous = mark


FILLED: Sequence[tuple[Table, str, Callable[[int], Rows]]] = (
    (
        t.executions,
        "id runbook params hosts services tags danger actor_id actor_name origin channel text dry_run priority "
        "priority_rank state phase created_at queued_at started_at ended_at timeout steps_total steps_done epoch",
        execution_rows,
    ),
    (t.host_runs, "execution_id host position state started_at ended_at", host_rows),
    (
        t.approvals,
        "id execution_id fingerprint kind state requested_at expires_at quorum decided_by decided_at",
        approval_rows,
    ),
    (t.audit, "seq at kind actor origin execution_id data previous hash", audit_rows),
)


def fill(engine: Engine, last: int) -> None:
    """So many of each, without indexes and triggers meanwhile: they are made again when all is there."""
    put = _copied if engine.dialect.name == "postgresql" else _inserted
    for table, columns, rows in FILLED:
        with engine.begin() as connection:
            later = _laid_bare(connection, table)
            put(connection, table.name, columns.split(), rows(last))
            for make in later:
                make(connection)
    with engine.begin() as connection:
        newest = connection.execute(text("SELECT hash FROM audit WHERE seq = :last"), {"last": last}).scalar_one()
        connection.execute(text("UPDATE audit_head SET seq = :last, hash = :hash"), {"last": last, "hash": newest})
        if engine.dialect.name == "postgresql":
            for table in (t.executions, t.approvals):
                name = table.name
                connection.execute(
                    text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}))")
                )


def _laid_bare(connection: Connection, table: Table) -> list[Callable[[Connection], object]]:
    """Take indexes and triggers away; what makes them again."""
    later: list[Callable[[Connection], object]] = []
    for index in table.indexes:
        index.drop(connection)
        later.append(index.create)
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"ALTER TABLE {table.name} DISABLE TRIGGER ALL"))
        for unique in [one for one in table.constraints if isinstance(one, UniqueConstraint)]:
            connection.execute(DropConstraint(unique))
            later.append(lambda c, unique=unique: c.execute(AddConstraint(unique)))
        later.append(lambda c: c.execute(text(f"ALTER TABLE {table.name} ENABLE TRIGGER ALL")))
        return later
    triggers = connection.execute(
        text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name"), {"name": table.name}
    ).all()
    for name, made in triggers:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
        later.append(lambda c, made=made: c.exec_driver_sql(made))
    return later


def _copied(connection: Connection, table: str, columns: Sequence[str], rows: Rows) -> None:
    driver: Any = connection.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)


def _inserted(connection: Connection, table: str, columns: Sequence[str], rows: Rows) -> None:
    driver: Any = connection.connection.driver_connection
    driver.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", rows)


def filling_engine(url: URL) -> Engine:
    """One that hurries: what it makes is of no use unless it comes to its end."""
    if url.get_backend_name() == "postgresql":
        engine = writer_engine(url)
        hurry = ("SET statement_timeout = 0", "SET maintenance_work_mem = '512MB'")
    else:
        engine = create_engine(url.set(drivername="sqlite"))
        hurry = ("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", "PRAGMA cache_size=-2000000")

    def prepare(connection: Any, _record: Any) -> None:
        for statement in hurry:
            connection.execute(statement)
        connection.commit()

    event.listen(engine, "connect", prepare)
    return engine


async def filled(url: str, size: int) -> Database:
    """A database with so many rows, open."""
    database = Database(url)
    await database.migrate()
    began = time.perf_counter()
    engine = filling_engine(database.url)
    fill(engine, size)
    if not database.is_sqlite:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
            connection.execute(text("CHECKPOINT"))
    engine.dispose()
    say(f"  made {size:,} of each in {time.perf_counter() - began:.0f} s")
    await database.start()
    return database


# --- what is asked ----------------------------------------------------------------------------------------------------


def questions(last: int) -> dict[str, Callable[[Connection], object]]:
    """What people ask, each with as many rows to be found at every size."""
    since = END - timedelta(seconds=WINDOW)
    window = {"since": since, "until": END}
    return {
        "history, newest 20": lambda c: executions.newest(c, 20),
        "history of a runbook": lambda c: executions.newest(c, 20, runbook="disk-cleanup"),
        "history, failed, a page": lambda c: executions.history(c, Sought(states=(State.FAILED,))),
        "history, one person's, further down": lambda c: executions.history(
            c, Sought(person="U7", before=last - WINDOW)
        ),
        "history, one host in a window": lambda c: executions.history(c, Sought(host="web-01", since=since)),
        "what is under way": lambda c: executions.in_states(c, executions.UNFINISHED),
        "how each host came out": executions.outcomes,
        "a runbook's last on a host": lambda c: executions.last_on(c, "disk-cleanup", ["web-01"], before=last),
        "a runbook's last on a host where it never ran": lambda c: executions.last_on(
            c, "disk-cleanup", ["web-99"], before=last
        ),
        "a runbook's usual duration": lambda c: executions.usual_duration(c, "disk-cleanup"),
        "the usual duration of what never succeeds": lambda c: executions.usual_duration(c, "never-succeeds"),
        "audit, newest page": lambda c: audit.search(c),
        "audit, a page further down": lambda c: audit.search(c, before=last - WINDOW),
        "audit of a person in a window": lambda c: audit.search(c, actor="U7", **window),
        "audit of a kind in a window": lambda c: audit.search(c, kind="decision", **window),
        "audit of a runbook in a window": lambda c: audit.search(c, runbook="disk-cleanup", **window),
        "audit of a host in a window": lambda c: audit.search(c, host="web-01", **window),
        "audit that says a word in a window": lambda c: audit.search(c, words=("restart",), **window),
        "audit that says what nobody said, in a window": lambda c: audit.search(c, words=("unheard",), since=since),
        "audit of an execution": lambda c: audit.search(c, execution_id=last - 100),
        "digest of a window": lambda c: digest.gather(c, since, END),
        "export of a window": lambda c: export.write(c, Nowhere(), window),
    }


class Nowhere(io.RawIOBase):
    """A file that keeps nothing."""

    def write(self, data: Any, /) -> int:
        """All of it."""
        return len(data)


async def asked(databases: Sequence[Database], each: Sequence[Callable[[Database], Awaitable[object]]]) -> list[float]:
    """Seconds at each size, p50; the sizes take turns, so that what else the machine does meets all."""
    waits: list[list[float]] = [[] for _ in databases]
    for _ in range(TIMES):
        for place, database in enumerate(databases):
            began = time.perf_counter()
            await each[place](database)
            waits[place].append(time.perf_counter() - began)
        if sum(map(sum, waits)) > LONG_ENOUGH:
            break
    return [percentile(one[1:] or one, 0.5) for one in waits]


def _read(question: Callable[[Connection], object], database: Database) -> Awaitable[object]:
    return database.read(question)


def append(database: Database) -> Awaitable[object]:
    """One more entry, in a commit of its own."""
    actor = Actor(id="U1")
    return database.write(audit.append, at=END, kind="view", actor=actor, origin=Origin.COMMAND, what="a benchmark")


# --- the whole chain --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Walked:
    """What it took to walk over a whole chain: seconds for an entry, and megabytes that came on top."""

    seconds: float
    memory: float


async def walked(database: Database, walk: Callable[[Connection], int]) -> Walked:
    """`walk` says how many entries it saw."""
    gc.collect()
    before, began = _most_memory(anew=True), time.perf_counter()
    entries = await database.read(walk)
    return Walked(seconds=(time.perf_counter() - began) / entries, memory=_most_memory() - before)


def _most_memory(*, anew: bool = False) -> float:
    """Megabytes that were resident at most; `anew`: from now on."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3


def verified(connection: Connection) -> int:
    """Walk the chain as `handrail audit verify` does."""
    found = audit.verify(connection)
    if not found.ok:
        raise SystemExit(f"The chain of the benchmark does not verify: {found.problems}")
    return found.entries


def exported(connection: Connection) -> int:
    """Write it out as `handrail audit export` does, to nowhere."""
    return export.write(connection, Nowhere(), {}).entries


async def _tell_walks(report: Report, kind: str, databases: Sequence[Database]) -> None:
    """The shortest chain is walked before and after each longer one, often enough to be measured."""
    for what, walk in (("audit verify", verified), ("audit export", exported)):
        await walked(databases[0], walk)
        short = [await walked(databases[0], walk) for _ in range(10)]
        long = await walked(databases[-1], walk)
        short += [await walked(databases[0], walk) for _ in range(10)]
        least = percentile([one.seconds for one in short], 0.5)
        growth = long.seconds / least
        said = f"{growth:.2f} x ({least * 1e6:.1f} / {long.seconds * 1e6:.1f} us; {long.memory:.0f} MB more memory)"
        report.add(f"{what}, an entry: first to last size", kind, said, f"{ALLOWED} x", growth <= ALLOWED)


# --- both databases ---------------------------------------------------------------------------------------------------


async def compared(report: Report, kind: str, urls: Callable[[int], str], sizes: Sequence[int]) -> None:
    """Every question at every size."""
    databases = [await filled(urls(size), size) for size in sizes]
    asks = [questions(size) for size in sizes]
    found = {}
    for what in asks[0]:
        found[what] = await asked(databases, [partial(_read, ask[what]) for ask in asks])
    await asked(databases, [append] * len(databases))  # the first writes after a checkpoint copy whole pages
    found["append to the audit"] = await asked(databases, [append] * len(databases))
    for what, halves in found.items():
        growth = halves[-1] / halves[0]
        said = f"{growth:.2f} x (p50 {' / '.join(f'{half * 1e3:.2f}' for half in halves)} ms)"
        report.add(f"{what}: first to last size", kind, said, f"{ALLOWED} x", growth <= ALLOWED)
    await _tell_walks(report, kind, databases)
    for database in databases:
        await database.close()


async def measure(args: argparse.Namespace) -> Report:
    """The sizes up to `most`, on SQLite and on PostgreSQL."""
    sizes = [size for size in SIZES if size <= args.most]
    report = Report(group="f", title=f"History at {', '.join(f'{size:,}' for size in sizes)} rows")
    if args.kind in {None, "SQLite"}:
        with TemporaryDirectory(prefix="handrail-bench-") as folder:
            await compared(report, "SQLite", lambda size: f"sqlite+aiosqlite:///{folder}/{size}.db", sizes)
    if args.kind == "SQLite":
        return report
    if (why := missing()) is not None:
        report.notes.append(f"Not measured on PostgreSQL: {why}.")
        return report
    with Postgres(durable=True) as server:
        await compared(report, "PostgreSQL", lambda size: server.new_database(f"history{size}"), sizes)
    return report


def main() -> int:
    """By itself."""
    return run(measure, most=1_000_000)


if __name__ == "__main__":
    sys.exit(main())
