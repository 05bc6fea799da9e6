"""The runbooks about files, on real files of a real host, carried out as they were planned."""

import gzip
import hashlib
import os
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runbooks import catalog
from runbooks.catalog import as_typed
from runbooks.execution import Walk
from runbooks.inventory import Inventory
from runbooks.parameters import Parameters
from runbooks.planning import Planner
from runbooks.plans import StoredPlan
from runbooks.ssh import SshRemote
from runbooks.steps import Tools
from safety.clock import SystemClock
from safety.command_guard import CommandGuard, Severity
from safety.redaction import Redactor
from storage import executions
from storage.database import Database
from storage.errors import PlanningFailed
from storage.records import Execution, State
from tests.builders import admit
from tests.fakes import FakeReporter
from tests.system.openssh import OpenSsh

CATALOG = catalog.build()
ODD_NAMES = ("a b.log", "do\"u'ble.log", "-rf.log", "$(reboot);.log", "back\\*.log")
DAYS_AGO = 4 * 86_400


def unpacked(path: Path) -> bytes:
    """What was compressed."""
    return gzip.decompress(path.read_bytes())


def append(path: Path, text: str) -> None:
    """As a program that logs would."""
    with path.open("a") as file:
        file.write(text)


@dataclass
class Machine:
    """A host and everything between a request and its walk."""

    tools: Tools
    logs: Path  # a folder of it

    async def plan(self, runbook: str, typed: str) -> tuple[StoredPlan, Parameters]:
        """Look and plan; the guard refuses nothing of it."""
        entry = CATALOG.get(runbook)
        params = as_typed(entry, typed)
        hosts = list(self.tools.inventory.hosts)
        plan = await self.tools.planner.make_plan(entry, params, hosts)
        judged = self.tools.planner.judgements(plan, hosts)
        assert [one.reason for one in judged if one.verdict is Severity.REFUSE] == []
        return plan, params

    async def apply(self, runbook: str, plan: StoredPlan, params: Parameters) -> Execution:
        """Carry it out."""
        entry, database = CATALOG.get(runbook), self.tools.database
        values = params.model_dump(mode="json")
        execution = await database.write(admit, entry, plan, params=values, now=self.tools.clock.now())
        await Walk(self.tools, execution, plan, entry, params).run()
        return await database.read(executions.get, execution.id)

    async def run(self, runbook: str, typed: str) -> Execution:
        """Both."""
        return await self.apply(runbook, *await self.plan(runbook, typed))

    def write(self, name: str, *, size: int = 200_000, age: int = DAYS_AGO) -> Path:
        """A file that nobody has changed for so long."""
        path = self.logs / name
        path.write_bytes(os.urandom(size // 2) + b"a line\n" * (size // 14))
        then = path.stat().st_mtime - age
        os.utime(path, (then, then))
        return path

    @property
    def typed(self) -> str:
        """The folder, as somebody types it."""
        return shlex.quote(str(self.logs))


@pytest.fixture
async def machine(web_01: OpenSsh, sqlite: Database, tmp_path: Path) -> AsyncIterator[Machine]:
    """web-01, on which everything may be done: it is this machine."""
    remote = SshRemote(known_hosts=web_01.known_hosts, redactor=Redactor(), random=lambda: 0.5)
    tools = Tools(
        database=sqlite,
        remote=remote,
        inventory=Inventory(hosts=(web_01.host,)),
        planner=Planner(remote=remote, guard=CommandGuard()),
        reporter=FakeReporter(),
        clock=SystemClock(),
    )
    logs = tmp_path / "logs"
    logs.mkdir()
    yield Machine(tools=tools, logs=logs)
    await remote.close()


# --- disk-cleanup -----------------------------------------------------------------------------------------------------


async def test_files_of_any_name_are_deleted_and_nothing_else_is(machine: Machine) -> None:
    for name in ODD_NAMES:
        machine.write(name)
    young, small = machine.write("young.log", age=60), machine.write("small.log", size=4_000)
    unseen, linked = machine.write("new\nline.log"), machine.write("linked.log")
    os.link(linked, machine.logs / "second name")
    (machine.logs / "link.log").symlink_to("/etc/passwd")
    (machine.logs / ".ssh").mkdir()
    key = machine.write(".ssh/key.log")
    ended = await machine.run("disk-cleanup", f"{machine.typed} larger=100K how=delete")
    assert ended.state is State.SUCCEEDED, ended.ending
    assert f"{len(ODD_NAMES)} deleted" in str(ended.ending)
    assert all(path.exists() for path in (young, small, unseen, linked, key))
    left = {path.name for path in machine.logs.iterdir()}
    assert left == {"young.log", "small.log", "new\nline.log", "linked.log", "second name", "link.log", ".ssh"}


async def test_a_file_that_is_held_open_is_emptied_and_its_writer_goes_on(machine: Machine) -> None:
    path = machine.write("held.log")
    with path.open("a") as writer:
        plan, params = await machine.plan("disk-cleanup", f"{machine.typed} larger=100K how=delete older=0")
        assert [step.title for step in plan.hosts[0].steps][1] == f"Empty {path}, which a process holds open"
        ended = await machine.apply("disk-cleanup", plan, params)
        assert ended.state is State.SUCCEEDED, ended.ending
        writer.write("on it goes\n")
    assert path.read_text() == "on it goes\n"


async def test_a_log_is_compressed_and_what_it_said_is_in_it(machine: Machine) -> None:
    path = machine.write("import.log")
    said = path.read_bytes()
    ended = await machine.run("disk-cleanup", f"{machine.typed} larger=100K how=compress")
    assert ended.state is State.SUCCEEDED, ended.ending
    assert not path.exists()
    assert unpacked(path.with_name("import.log.gz")) == said


@pytest.mark.parametrize("change", ["another file", "a link", "changed", "gone"])
async def test_a_file_that_is_no_longer_the_one_that_was_shown_stays(machine: Machine, change: str) -> None:
    path = machine.write("old.log")
    plan, params = await machine.plan("disk-cleanup", f"{machine.typed} larger=100K how=delete")
    kept = path.rename(machine.logs.parent / "kept")
    if change == "another file":
        machine.write("old.log")
    elif change == "a link":
        path.symlink_to(kept)
    elif change == "changed":
        kept.rename(path)
        append(path, "one more line\n")
    ended = await machine.apply("disk-cleanup", plan, params)
    assert (ended.state, "no longer as planned" in str(ended.ending)) == (State.FAILED, True)
    assert kept.exists() or path.exists()


# --- log-rotation -----------------------------------------------------------------------------------------------------


async def test_a_log_is_copied_whole_emptied_in_place_and_its_copy_compressed(machine: Machine) -> None:
    path = machine.write("a b.log")
    said, inode = path.read_bytes(), path.stat().st_ino
    ended = await machine.run("log-rotation", f"{shlex.quote(str(path))} how=copy")
    assert ended.state is State.SUCCEEDED, ended.ending
    assert (path.stat().st_ino, path.stat().st_size) == (inode, 0)
    (copy,) = machine.logs.glob("a b.log-*.gz")
    assert unpacked(copy) == said


async def test_a_log_that_was_rotated_meanwhile_is_left_alone(machine: Machine) -> None:
    path = machine.write("app.log")
    plan, params = await machine.plan("log-rotation", f"{path} how=copy")
    path.rename(f"{path}.1")
    machine.write("app.log")
    ended = await machine.apply("log-rotation", plan, params)
    assert ended.state is State.FAILED
    assert path.stat().st_size > 0
    assert {one.name for one in machine.logs.iterdir()} == {"app.log", "app.log.1"}


# --- file-backup and file-restore -------------------------------------------------------------------------------------


async def test_a_file_is_copied_and_comes_back_with_its_mode(machine: Machine) -> None:
    file, to = machine.write("app config.yml"), machine.logs / "backups"
    file.chmod(0o640)
    first = hashlib.sha256(file.read_bytes()).hexdigest()
    ended = await machine.run("file-backup", f"{shlex.quote(str(file))} to={to}")
    assert ended.state is State.SUCCEEDED, ended.ending
    (copy,) = [path for path in to.rglob("*") if path.is_file()]
    assert (hashlib.sha256(copy.read_bytes()).hexdigest(), copy.stat().st_mode & 0o777) == (first, 0o640)
    file.write_text("broken")
    ended = await machine.run("file-restore", f"{shlex.quote(str(file))} source={to}")
    assert ended.state is State.SUCCEEDED, ended.ending
    assert hashlib.sha256(file.read_bytes()).hexdigest() == first
    assert sum(1 for path in to.rglob("*") if path.is_file() and path.read_bytes() == b"broken") == 1


async def test_a_file_that_changed_since_the_plan_is_not_copied(machine: Machine) -> None:
    file = machine.write("app.yml")
    plan, params = await machine.plan("file-backup", f"{file} to={machine.logs}/backups")
    file.write_text("another")
    ended = await machine.apply("file-backup", plan, params)
    assert (ended.state, (machine.logs / "backups").exists()) == (State.FAILED, False)


async def test_what_can_be_no_log_is_refused_before_anything_happens(machine: Machine) -> None:
    (machine.logs / "a.log").symlink_to("/etc/passwd")
    with pytest.raises(PlanningFailed, match="is no plain file"):
        await machine.plan("log-rotation", f"{machine.logs}/a.log how=copy")
