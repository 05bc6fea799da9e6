"""f. History and audit search among ten thousand, a million and (with `--most`) ten million rows; PostgreSQL.

    python -m tests.bench.history --most 1000000
    python -m tests.bench.history --most 10000000      (takes some minutes, and 6 GB on the disk)

The rows are made by SQL, with the audit's triggers off meanwhile. A window of the same 2,000 newest rows, and a page
of the same length deeper down, are asked for at every size; then entries are appended as the product appends them.
"""

import argparse
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Connection, text

from storage import audit, digest, executions
from storage.database import Database, writer_engine
from storage.executions import Sought
from storage.records import Actor, Origin, State
from tests.bench.place import Report, percentile, run, say
from tests.postgres import Postgres, missing

SIZES = (10_000, 1_000_000, 10_000_000)
END = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = 2_000  # rows, one a second
TIMES = 41
EXECUTIONS = """
INSERT INTO executions (id, runbook, params, hosts, services, tags, danger, actor_id, actor_name, origin, text,
  dry_run, priority, priority_rank, state, phase, created_at, queued_at, started_at, ended_at, timeout,
  steps_total, steps_done, epoch)
SELECT n, CASE n % 5 WHEN 0 THEN 'restart-service' WHEN 1 THEN 'disk-cleanup' ELSE 'health-check' END, '{}',
  '["web-01"]', '["nginx"]', '[]', 'low', 'U' || n % 50, 'somebody', 'command',
  'restart nginx on web-01', false, 'normal', 1,
  CASE n % 7 WHEN 0 THEN 'failed' ELSE 'succeeded' END, 'apply', at, at, at, at, 300, 4, 4, 1
FROM (SELECT n, CAST(:end AS timestamptz) - (CAST(:last AS bigint) - n) * interval '1 second' AS at
  FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n) AS numbers
"""
ENTRIES = """
INSERT INTO audit (seq, at, kind, actor, origin, execution_id, data, previous, hash)
SELECT n, CAST(:end AS timestamptz) - (CAST(:last AS bigint) - n) * interval '1 second',
  (ARRAY['request', 'execution.pending', 'decision.allow', 'execution.running', 'execution.succeeded'])[n % 5 + 1],
  'U' || n % 50, 'command', CASE WHEN n % 5 = 0 THEN NULL ELSE n / 5 + 1 END,
  '{"hosts":["web-01"],"runbook":"restart-service"}', md5((n - 1)::text) || md5((n - 1)::text),
  md5(n::text) || md5(n::text)
FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n
"""


def fill(connection: Connection, last: int) -> None:
    """So many of both, the newest of them at the same time whatever their number."""
    connection.execute(text("SET statement_timeout = 0"))
    for table in ("audit", "executions"):
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    for statement in (EXECUTIONS, ENTRIES):
        connection.execute(text(statement), {"first": 1, "last": last, "end": END})
    connection.execute(
        text("UPDATE audit_head SET seq = :last, hash = md5(CAST(:last AS text)) || md5(CAST(:last AS text))"),
        {"last": last},
    )
    connection.execute(text("SELECT setval(pg_get_serial_sequence('executions', 'id'), :last)"), {"last": last})
    for table in ("audit", "executions"):
        connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))


def questions(last: int) -> dict[str, Callable[[Connection], object]]:
    """What people ask, each with as many rows to be found at every size."""
    since = END - timedelta(seconds=WINDOW)
    return {
        "history, newest 20": lambda c: executions.newest(c, 20),
        "history of a runbook": lambda c: executions.newest(c, 20, runbook="disk-cleanup"),
        "audit, newest page": lambda c: audit.search(c),
        "audit, a page further down": lambda c: audit.search(c, before=last - WINDOW),
        "audit of a person in a window": lambda c: audit.search(c, actor="U7", since=since, until=END),
        "audit of a kind in a window": lambda c: audit.search(c, kind="decision", since=since, until=END),
        "audit of a runbook in a window": lambda c: audit.search(c, runbook="disk-cleanup", since=since, until=END),
        "audit of a host in a window": lambda c: audit.search(c, host="web-01", since=since, until=END),
        "audit that says a word in a window": lambda c: audit.search(c, words=("restart",), since=since, until=END),
        "audit of an execution": lambda c: audit.search(c, execution_id=last // 5 - 100),
        "history, failed, a page": lambda c: executions.history(c, Sought(states=(State.FAILED,))),
        "history, one person's, further down": lambda c: executions.history(
            c, Sought(person="U7", before=last - WINDOW)
        ),
        "history, one host in a window": lambda c: executions.history(c, Sought(host="web-01", since=since)),
        "digest of a window": lambda c: digest.gather(c, since, END),
    }


async def asked(databases: Sequence[Database], each: Sequence[Callable[[Database], Awaitable[object]]]) -> list[float]:
    """Seconds at each size, p50; the sizes take turns, so that what else the machine does meets all."""
    waits: list[list[float]] = [[] for _ in databases]
    for _ in range(TIMES):
        for place, database in enumerate(databases):
            began = time.perf_counter()
            await each[place](database)
            waits[place].append(time.perf_counter() - began)
    return [percentile(one[1:], 0.5) for one in waits]


def _read(question: Callable[[Connection], object], database: Database) -> Awaitable[object]:
    return database.read(question)


def append(database: Database) -> Awaitable[object]:
    """One more entry, in a commit of its own."""
    actor = Actor(id="U1")
    return database.write(audit.append, at=END, kind="view", actor=actor, origin=Origin.COMMAND, what="a benchmark")


async def filled(server: Postgres, size: int) -> Database:
    """A database with so many rows."""
    database = Database(server.new_database(f"history{size}"))
    await database.start()
    await database.migrate()
    began = time.perf_counter()
    engine = writer_engine(database.url)
    with engine.begin() as connection:
        fill(connection, size)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))
    engine.dispose()
    say(f"  made {size:,} executions and as many audit entries in {time.perf_counter() - began:.0f} s")
    return database


async def measure(args: argparse.Namespace) -> Report:
    """The sizes up to `most`."""
    sizes = [size for size in SIZES if size <= args.most]
    report = Report(group="f", title=f"History at {', '.join(f'{size:,}' for size in sizes)} rows")
    if (why := missing()) is not None:
        report.notes.append(f"Not measured: {why}.")
        return report
    with ExitStack() as stack:
        server = stack.enter_context(Postgres(durable=True))
        databases = [await filled(server, size) for size in sizes]
        asks = [questions(size) for size in sizes]
        found = {}
        for what in asks[0]:
            each = [partial(_read, ask[what]) for ask in asks]
            found[what] = await asked(databases, each)
        await asked(databases, [append] * len(databases))  # the first writes after a checkpoint copy whole pages
        found["append to the audit"] = await asked(databases, [append] * len(databases))
        for database in databases:
            await database.close()
    for what, halves in found.items():
        growth = halves[-1] / halves[0]
        said = f"{growth:.2f} x (p50 {' / '.join(f'{half * 1e3:.2f}' for half in halves)} ms)"
        report.add(f"{what}: first to last size", "PostgreSQL", said, "1.5 x", growth <= 1.5)
    return report


def main() -> int:
    """By itself."""
    return run(measure, most=1_000_000)


if __name__ == "__main__":
    sys.exit(main())
