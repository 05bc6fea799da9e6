"""An export proves itself: to our own program without a database, and to anybody with SHA-256."""

import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from storage import audit, export
from storage.database import Database
from storage.errors import Invalid
from storage.records import HANDRAIL, Origin
from tests.fakes import START


def witness(connection: Connection, number: int) -> None:
    """One entry, now and then of another kind."""
    kind = "odd" if number % 2 else "even"
    text = f'"{number}" \\ ü \u2028 \x01'
    audit.append(
        connection, at=START, kind=kind, actor=HANDRAIL, origin=Origin.ENGINE, execution_id=number or None, text=text
    )


@pytest.fixture
async def ten(database: Database) -> Database:
    """A chain of ten."""
    for number in range(10):
        await database.write(witness, number)
    return database


async def exported(database: Database, **wanted: Any) -> list[bytes]:
    """The lines of an export."""
    out = io.BytesIO()
    await database.read(export.write, out, wanted)
    return out.getvalue().splitlines(keepends=True)


async def test_an_export_of_everything_verifies_and_is_complete(ten: Database) -> None:
    found = export.verify(await exported(ten))
    assert (found.ok, found.complete, found.entries, found.first, found.last) == (True, True, 10, 1, 10)
    assert found.head == ":".join(map(str, await ten.read(audit.head)))


async def test_a_stranger_can_check_it_with_sha256_alone(ten: Database) -> None:
    *lines, last = await exported(ten)
    previous = "0" * 64
    for line in lines:
        body, _, tail = line.decode().rstrip("\n").rpartition(',"hash":"')
        mark = tail[:64]
        assert hashlib.sha256((body + "}").encode()).hexdigest() == mark
        assert json.loads(line)["previous"] == previous
        previous = mark
    assert json.loads(last)["checksum"] == hashlib.sha256(b"".join(lines)).hexdigest()
    entry = json.loads(lines[3])
    (found,) = await ten.read(audit.search, words=(entry["id"],))
    assert (found.seq, found.id, dict(found.data)) == (4, entry["id"], json.loads(entry["data"]))


async def test_a_filtered_export_verifies_and_says_that_it_has_gaps(ten: Database) -> None:
    lines = await exported(ten, kind="odd")
    found = export.verify(lines)
    assert (found.ok, found.complete, found.entries) == (True, False, 5)
    assert "cannot be seen" in found.words
    assert json.loads(lines[-1])["wanted"] == {"kind": "odd"}


async def test_an_export_of_nothing_verifies(ten: Database) -> None:
    found = export.verify(await exported(ten, kind="none"))
    assert (found.ok, found.complete, found.entries) == (True, False, 0)


Change = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda ls: [*ls[:3], ls[3].replace(b"odd", b"Odd"), *ls[4:]], "entry 4 was changed"),
        (lambda ls: [*ls[:3], *ls[4:]], "the checksum is not that of the lines"),
        (lambda ls: [*ls[:3], ls[4], ls[3], *ls[5:]], "the order was changed"),
        (lambda ls: ls[:-1], "the file was cut off"),
        (lambda ls: ls[:5], "the file was cut off"),
        (lambda ls: [*ls[:8], ls[-1]], "the checksum is not that of the lines"),
        (lambda ls: [*ls, ls[0]], "stands after the checksum"),
        (lambda ls: [*ls[:3], b"nonsense\n", *ls[3:]], "line 4 is no audit entry"),
        (lambda ls: [*ls[:3], b"\xff\xfe{}\n", *ls[3:]], "line 4 is no audit entry"),
        (lambda ls: [ls[0].replace(b'"id":"a-', b'"id":"a-0')[:-4] + b'"}\n', *ls[1:]], "the id of another entry"),
        (lambda ls: [*ls[:-1], ls[-1].replace(b'"entries":10', b'"entries":11')], "counts other entries"),
        (lambda ls: [], "the file was cut off"),
        (lambda ls: [b"x" * 100_000], "line 1 is no audit entry"),
    ],
)
async def test_what_was_done_to_a_file_is_named(ten: Database, change: Change, problem: str) -> None:
    found = export.verify(change(await exported(ten)))
    assert any(problem in said for said in found.problems), found.problems


async def test_a_forged_link_is_found_even_where_every_hash_is_made_anew(ten: Database) -> None:
    *lines, _ = await exported(ten)
    entry = lines[4].partition(b',"hash"')[0].replace(b"even", b"none") + b"}"
    mark = hashlib.sha256(entry).hexdigest()
    lines[4] = entry[:-1] + f',"hash":"{mark}","id":"a-{mark[:16]}"}}\n'.encode()
    says = {"checksum": hashlib.sha256(b"".join(lines)).hexdigest(), "entries": 10, "first": 1, "last": 10}
    found = export.verify([*lines, json.dumps(says).encode()])
    assert found.problems == ("entry 6 does not follow entry 5: its link was changed",)


async def test_a_head_noted_earlier_must_be_in_the_file(ten: Database) -> None:
    seq, mark = await ten.read(audit.head)
    lines = await exported(ten)
    assert export.verify(lines, against=f"{seq}:{mark}").ok
    assert export.verify(lines, against=mark).ok
    assert not export.verify(lines, against=f"{seq + 1}:{'a' * 64}").ok
    with pytest.raises(Invalid):
        export.verify(lines, against="newest")


async def test_the_same_entries_give_the_same_lines_at_any_time(ten: Database) -> None:
    before = await exported(ten, until=START.replace(year=2100))
    await ten.write(witness, 10)
    after = await exported(ten, until=START.replace(year=2100))
    assert after[:10] == before[:10]
