"""How long `handrail audit verify` takes for a long chain, on SQLite and PostgreSQL: `make bench-audit`.

Printed beside it: a bare loop that takes SHA-256 of the same texts in the same run, so that the ratio means something
on any machine. `python -m tests.bench_audit 100000` takes a shorter chain. Exit 1 where a million entries would take
longer than a minute.
"""

import asyncio
import contextlib
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, insert, update

from storage import audit
from storage import tables as t
from storage.canonical import canonical
from storage.database import Database, writer_engine
from tests.postgres import Postgres, missing

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = ("request", "execution.pending", "decision.allow", "execution.running", "execution.succeeded")
LIMIT = 60.0
"""Seconds for a million entries."""


def entries(number: int) -> Iterator[dict[str, Any]]:
    """A chain of the sizes that real ones have: a request, a review with its verdicts, three states."""
    previous = audit.FIRST
    gates = ("permission", "kill_switch", "command_guard", "blast_radius", "rate_limit", "cooldown", "approval")
    verdicts = [{"gate": gate, "outcome": "allow", "reason": "as it should be", "rule": None} for gate in gates]
    for seq in range(1, number + 1):
        kind = KINDS[seq % len(KINDS)]
        data: dict[str, Any] = {"runbook": "restart-service", "hosts": ["web-01", "web-02"], "fingerprint": previous}
        if kind == "request":
            data = {"request": f"{seq:032x}", "what": "command", "channel": "C0INC", "text": "restart nginx on wëb-01"}
        elif kind.startswith("decision"):
            data["verdicts"] = verdicts
        row = {
            "seq": seq,
            "at": BEGIN + timedelta(seconds=seq * 1.5),
            "kind": kind,
            "actor": "UALICE",
            "origin": "command",
            "execution_id": None if kind == "request" else seq // 5 + 1,
            "data": canonical(data),
            "previous": previous,
        }
        previous = row["hash"] = audit.digest(**row)
        yield row


def fill(connection: Connection, number: int) -> None:
    """Write the chain, many rows to a statement."""
    batch: list[dict[str, Any]] = []
    for row in entries(number):
        batch.append(row)
        if len(batch) == 10_000 or row["seq"] == number:
            connection.execute(insert(t.audit), batch)
            connection.execute(update(t.audit_head).values(seq=row["seq"], hash=row["hash"]))
            batch.clear()


def bare(number: int) -> float:
    """Seconds that SHA-256 over the same texts takes by itself, the making of them left out."""
    seconds = 0.0
    texts: list[bytes] = []
    for row in entries(number):
        row.pop("hash")
        texts.append(audit.hashed_text(**row).encode())
        if len(texts) == 10_000:
            seconds += _timed(texts)
            texts.clear()
    return seconds + _timed(texts)


def _timed(texts: list[bytes]) -> float:
    began = time.perf_counter()
    for text in texts:
        sha256(text).hexdigest()
    return time.perf_counter() - began


async def measure(url: str, number: int) -> float:
    """Seconds of one verification of so many entries."""
    database = Database(url)
    await database.start()
    await database.migrate()
    with contextlib.closing(writer_engine(database.url).connect()) as connection, connection.begin():
        fill(connection, number)
    began = time.perf_counter()
    found = await database.read(audit.verify)
    seconds = time.perf_counter() - began
    await database.close()
    if not found.ok or found.entries != number:
        raise SystemExit(f"the chain of the benchmark does not verify: {found}")
    return seconds


def main() -> int:
    """Print a line for each engine; the exit status."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    alone = bare(number)
    print(f"SHA-256 alone, {number:,} entries: {alone:.2f} s")
    slow = False
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="handrail-bench-"))
        urls = {"SQLite": f"sqlite+aiosqlite:///{folder}/audit.db"}
        if missing() is None:
            urls["PostgreSQL"] = stack.enter_context(Postgres()).new_database("bench")
        for engine, url in urls.items():
            seconds = asyncio.run(measure(url, number))
            slow = slow or seconds * 1_000_000 / number > LIMIT
            print(f"audit verify on {engine}: {seconds:.2f} s, {seconds / alone:.1f} times as long")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"Most memory: {peak:.0f} MB")
    return 1 if slow else 0


if __name__ == "__main__":
    raise SystemExit(main())
