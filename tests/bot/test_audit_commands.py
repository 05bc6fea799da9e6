"""What people see of the audit: pages of `/audit`, and exports that are witnessed before anybody has them."""

import io
import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bot import shell
from bot.request import moment
from storage import audit, export
from storage.database import Database
from storage.errors import Invalid, NotFound, NotPermitted
from storage.records import HANDRAIL, Actor, Origin, Received
from tests.builders import ALICE, DAVE, a_house, commands_of
from tests.fakes import START, HastyClock

ME = Actor(id="cli:ops", name="ops")


def witness(connection: Connection, number: int) -> None:
    """So many entries."""
    for n in range(number):
        audit.append(
            connection, at=START, kind="test.odd" if n % 2 else "test.even", actor=HANDRAIL, origin=Origin.ENGINE, n=n
        )


async def ask(database: Database, text: str, by: Actor = ALICE) -> str:
    """`/audit TEXT`: what is shown, blocks and all."""
    received = Received(
        id="r",
        key="k",
        kind="command",
        actor=by,
        channel="C0INC",
        text=text,
        payload={"command": "/audit"},
        received_at=START,
    )
    async with a_house(database) as house:
        answer = await commands_of(house.engine).answer(
            received, origin=Origin.COMMAND, handled=lambda connection: None
        )
    assert answer is not None
    assert len(answer.blocks) <= 50
    assert all(len(b["text"]["text"]) <= 3000 for b in answer.blocks if b["type"] == "section")
    return answer.text


async def test_pages_of_the_audit_lead_to_each_other(database: Database) -> None:
    await database.write(witness, 45)
    first = await ask(database, "test")
    assert "`45`" in first
    assert "Older: `/audit test page=26`" in first
    second = await ask(database, "test page=26")
    assert "`25`" in second
    assert "Older: `/audit test page=6`" in second
    last = await ask(database, "test page=6")
    assert "`5`" in last
    assert "Older" not in last


async def test_an_entry_is_shown_with_its_id_and_found_by_it(database: Database) -> None:
    await database.write(witness, 3)
    (entry, *_) = await database.read(audit.search)
    assert f"`{entry.id}`" in await ask(database, "")
    assert "`3`" in await ask(database, entry.id)


async def test_who_may_not_read_the_audit_is_refused_and_witnessed(database: Database) -> None:
    with pytest.raises(NotPermitted):
        await ask(database, "test", by=DAVE)
    (entry,) = await database.read(audit.search, kind="denied")
    assert entry.actor == DAVE.id


# --- export -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def ten(database: Database) -> Database:
    """A chain of ten."""
    await database.write(witness, 10)
    return database


async def exported(database: Database, output: Path | None = None, **wanted: Any) -> bytes:
    """`handrail audit export`: what it printed."""
    to = io.BytesIO()
    url = database.url.render_as_string(hide_password=False)
    await shell.export_audit(
        wanted,  # type: ignore[arg-type]
        ME,
        output=output,
        to=to,
        environment={"HANDRAIL_DATABASE_URL": url},
        clock=HastyClock(),
    )
    return to.getvalue()


async def test_an_export_is_witnessed_with_its_filter_count_and_checksum(ten: Database) -> None:
    printed = await exported(ten, kind="test.odd")
    (entry,) = await ten.read(audit.search, kind="audit.exported")
    says = json.loads(printed.splitlines()[-1])
    assert (entry.actor, dict(entry.data)) == (ME.id, {**says, "file": None})
    assert (says["entries"], says["wanted"]) == (5, {"kind": "test.odd"})


def mode_of(path: Path) -> int:
    """Its permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def names_in(folder: Path) -> list[str]:
    """The files of an export, drafts among them."""
    return [path.name for path in sorted(folder.glob("*export*"))]


async def test_a_file_is_written_whole_for_its_owner_alone_and_verifies_offline(ten: Database, tmp_path: Path) -> None:
    output = tmp_path / "export.jsonl"
    assert await exported(ten, output) == b""
    assert mode_of(output) == 0o600
    assert shell.verify_file(output, None).complete
    assert names_in(tmp_path) == ["export.jsonl"]
    (entry,) = await ten.read(audit.search, kind="audit.exported")
    assert entry.data["file"] == "export.jsonl"


async def test_an_export_that_could_not_be_witnessed_is_given_to_nobody(
    ten: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(shell, "_witness_export", fails)  # as when the disk is full at this moment
    with pytest.raises(ValueError, match="no"):
        await exported(ten, tmp_path / "export.jsonl")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("where", "said"),
    [(lambda folder: folder, "is a folder"), (lambda folder: folder / "none" / "file", "cannot be written")],
)
async def test_a_place_that_cannot_be_written_to_is_said(
    ten: Database, tmp_path: Path, where: Callable[[Path], Path], said: str
) -> None:
    with pytest.raises(Invalid, match=said):
        await exported(ten, where(tmp_path))
    assert await ten.read(audit.search, kind="audit.exported") == []


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="cannot be read"):
        shell.verify_file(tmp_path / "none", None)


async def test_the_lines_printed_are_those_of_the_file(ten: Database, tmp_path: Path) -> None:
    await exported(ten, tmp_path / "export.jsonl", until=START + timedelta(hours=1))
    printed = await exported(ten, until=START + timedelta(hours=1))
    assert export.verify(printed.splitlines(keepends=True)).ok
    assert printed.splitlines()[:10] == read_lines(tmp_path / "export.jsonl")[:10]


def read_lines(path: Path) -> list[bytes]:
    """The lines of a file."""
    return path.read_bytes().splitlines()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T10:00", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20T10:00+01:00", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("2026-11-20T10:00:00Z", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("24h", START - timedelta(days=1)),
        ("7d", START - timedelta(days=7)),
    ],
)
def test_times_are_days_moments_or_so_long_ago(typed: str, meant: datetime) -> None:
    assert moment(typed, START) == meant


@pytest.mark.parametrize("typed", ["yesterday", "", "2026-13-01", "-1h"])
def test_what_is_no_time_is_said(typed: str) -> None:
    with pytest.raises(Invalid, match="is no time"):
        moment(typed, START)
