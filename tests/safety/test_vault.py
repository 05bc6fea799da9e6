"""Stored secrets on both databases: opened as they are now, changed all or none, and never anywhere in plain."""

import os
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from safety import vault
from safety.redaction import Redactor
from safety.sealing import Keyring, Secret, parse_key
from safety.vault import Vault
from storage import audit, credentials
from storage import tables as t
from storage.database import Database
from storage.errors import NotFound, SecretUnavailable, StorageUnavailable
from storage.records import Actor, Origin
from tests.fakes import START

ME = Actor(id="cli:ops", name="ops")
NAMES = [f"host/web-{number:02}/password" for number in range(1, 9)]
ROOT = Path(__file__).parents[2]


def ring(*numbers: int) -> Keyring:
    """Keys that are always the same."""
    return Keyring(keys=tuple(parse_key(sha256(b"key %d" % number).hexdigest()) for number in numbers))


def value_of(name: str) -> str:
    """What is stored under it."""
    return f"correct-horse-{sha256(name.encode()).hexdigest()[:12]}"


async def store(database: Database, name: str, value: str, keys: Keyring) -> bool:
    """As `handrail secrets set` does."""
    sealed = keys.seal(name, Secret(value))
    return await database.write(
        vault.store, name, sealed, keys.ids[0], actor=ME, origin=Origin.CLI, now=START
    )  # fmt: skip


@pytest.fixture
async def eight(database: Database) -> Database:
    """Eight secrets, sealed with key 1."""
    for name in NAMES:
        await store(database, name, value_of(name), ring(1))
    return database


def a_vault(database: Database, keys: Keyring, redactor: Redactor | None = None) -> Vault:
    """One that makes values known to a redactor."""
    return Vault(database, keys, (redactor or Redactor()).hold)


async def all_open(database: Database, keys: Keyring) -> bool:
    """Whether each still has its value."""
    opens = a_vault(database, keys)
    return all([(await opens.open(name)).reveal() == value_of(name) for name in NAMES])


def dump(connection: Connection) -> str:
    """Every value of every table."""
    return "\n".join(
        str(tuple(row)) for table in t.metadata.sorted_tables for row in connection.execute(table.select())
    )


def raw_files(database: Database) -> bytes:
    """The bytes on the disk, where the database is a file: what was deleted or is still in its journal, too."""
    path = database.path
    return b"".join(one.read_bytes() for one in path.parent.glob(path.name + "*")) if path is not None else b""


async def test_no_value_is_in_the_database_in_plain(eight: Database) -> None:
    await store(eight, NAMES[0], "another-value-of-it", ring(1))
    await eight.write(vault.rotate, ring(2, 1), actor=ME, origin=Origin.CLI, now=START)
    await eight.write(vault.remove, NAMES[1], actor=ME, origin=Origin.CLI, now=START)
    held = [value_of(name) for name in NAMES] + ["another-value-of-it", *ring(1, 2).held()]
    shown = await eight.read(dump)
    assert NAMES[0] in shown
    assert not any(value in shown for value in held)
    assert not any(value.encode() in raw_files(eight) for value in held)


async def test_a_row_moved_to_another_name_does_not_open(eight: Database) -> None:
    swap = (
        "UPDATE credentials SET sealed = (SELECT sealed FROM credentials WHERE name = :b) WHERE name = :a",
        {"a": NAMES[0], "b": NAMES[1]},
    )
    await eight.write(lambda connection: connection.execute(text(swap[0]), swap[1]))
    with pytest.raises(SecretUnavailable, match=f"'{NAMES[0]}' does not open"):
        await a_vault(eight, ring(1)).open(NAMES[0])
    assert (await a_vault(eight, ring(1)).open(NAMES[1])).reveal() == value_of(NAMES[1])


async def test_the_redaction_knows_a_value_before_anybody_has_it(eight: Database) -> None:
    redactor = Redactor()
    stream = redactor.stream()  # of a command that runs already
    value = value_of(NAMES[0])
    assert stream.feed(f"{value}\n")[0].text == value
    await a_vault(eight, ring(1), redactor).open(NAMES[0])
    for printed in (value, value.encode().hex()):
        assert value not in redactor.redact(f"it is {printed}.").text
        assert printed not in stream.feed(f"it is {printed}.\n")[0].text


async def test_a_changed_value_counts_from_the_next_use_on(eight: Database) -> None:
    opens = a_vault(eight, ring(1))
    await opens.open(NAMES[0])
    assert not await store(eight, NAMES[0], "another-value-of-it", ring(1))
    assert (await opens.open(NAMES[0])).reveal() == "another-value-of-it"
    await eight.write(vault.remove, NAMES[0], actor=ME, origin=Origin.CLI, now=START)
    with pytest.raises(SecretUnavailable, match="There is no secret"):
        await opens.open(NAMES[0])


async def test_while_the_database_is_away_what_was_opened_before_is_good_enough(eight: Database) -> None:
    opens = a_vault(eight, ring(1))
    await opens.open(NAMES[0])
    await eight.close()
    assert (await opens.open(NAMES[0])).reveal() == value_of(NAMES[0])
    with pytest.raises(StorageUnavailable):
        await opens.open(NAMES[1])


async def test_changes_are_witnessed_with_what_was_before_and_no_value(eight: Database) -> None:
    await store(eight, NAMES[0], "another-value-of-it", ring(2))
    await eight.write(vault.remove, NAMES[0], actor=ME, origin=Origin.CLI, now=START)
    with pytest.raises(NotFound):
        await eight.write(vault.remove, NAMES[0], actor=ME, origin=Origin.CLI, now=START)
    removed, replaced, *stored = await eight.read(audit.search, kind="secret", limit=100)
    assert [entry.kind for entry in (removed, replaced, stored[0])] == [
        "secret.removed", "secret.replaced", "secret.stored",
    ]  # fmt: skip
    assert replaced.data["before"]["key"] == ring(1).ids[0]
    assert replaced.data["after"]["key"] == removed.data["before"]["key"] == ring(2).ids[0]
    assert stored[0].data["before"] is removed.data["after"] is None
    assert (await eight.read(audit.verify)).ok


# --- rotation ---------------------------------------------------------------------------------------------------------


async def test_a_rotation_seals_everything_with_the_first_key_and_again_has_nothing_to_do(eight: Database) -> None:
    await store(eight, NAMES[0], value_of(NAMES[0]), ring(2))
    done = await eight.write(vault.rotate, ring(2, 1), actor=ME, origin=Origin.CLI, now=START)
    assert (done.resealed, done.already, done.key_id) == (tuple(NAMES[1:]), 1, ring(2).ids[0])
    assert await all_open(eight, ring(2))
    again = await eight.write(vault.rotate, ring(2, 1), actor=ME, origin=Origin.CLI, now=START)
    assert (again.resealed, again.already) == ((), 8)
    (entry,) = await eight.read(audit.search, kind="secrets.rotated")
    assert (entry.data["before"], entry.data["after"]) == ([ring(1).ids[0]], ring(2).ids[0])
    assert entry.data["secret_names"] == NAMES[1:]


async def test_a_rotation_in_which_one_does_not_open_changes_none_and_names_it(eight: Database) -> None:
    await store(eight, NAMES[4], value_of(NAMES[4]), ring(3))
    before = await eight.read(credentials.every)
    with pytest.raises(SecretUnavailable) as caught:
        await eight.write(vault.rotate, ring(2, 1), actor=ME, origin=Origin.CLI, now=START)
    assert f"'{NAMES[4]}'" in caught.value.message
    assert "No secret was sealed anew" in caught.value.message
    assert await eight.read(credentials.every) == before
    assert await eight.read(audit.search, kind="secrets.rotated") == []


KILLED = """
import asyncio, os, signal, sys
from safety import vault
from storage import credentials
from storage.database import Database
from storage.records import Origin
from tests.safety.test_vault import ME, START, ring

sealed = credentials.reseal

def dies(connection, name, *rest):
    sealed(connection, name, *rest)
    if name == "host/web-05/password":
        os.kill(os.getpid(), signal.SIGKILL)

credentials.reseal = dies

async def main():
    database = Database(sys.argv[1])
    await database.start()
    await database.write(vault.rotate, ring(2, 1), actor=ME, origin=Origin.CLI, now=START)

asyncio.run(main())
"""


async def test_a_rotation_killed_in_the_middle_changes_nothing_and_can_be_done_again(eight: Database) -> None:
    before = await eight.read(credentials.every)
    assert died(KILLED, eight.url.render_as_string(hide_password=False)) == -signal.SIGKILL
    assert await eight.read(credentials.every) == before
    assert await all_open(eight, ring(1))
    done = await eight.write(vault.rotate, ring(2, 1), actor=ME, origin=Origin.CLI, now=START)
    assert len(done.resealed) == 8
    assert await all_open(eight, ring(2))
    assert (await eight.read(audit.verify)).ok


def died(source: str, *words: Any) -> int:
    """How a script ended."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", source, *words], env=env, timeout=60).returncode
