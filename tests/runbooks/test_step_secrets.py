"""A step's secret: its name is what is planned, approved and shown; its value reaches one standard input, only."""

import asyncio
import json
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bot import cards
from bot.thread import ThreadReporter
from runbooks import Call, Danger, Facts, Parameters, Plan, Run, Runbook
from runbooks.definition import Step
from runbooks.execution import Walk
from runbooks.inventory import Inventory
from runbooks.planning import Planner
from runbooks.plans import HostPlan, StoredPlan, fingerprint, from_json, secrets_of, to_json
from runbooks.progress import StepFinished
from runbooks.ssh import SshRemote
from runbooks.steps import Tools
from safety import vault
from safety.command_guard import CommandGuard, Severity
from safety.redaction import MASK, Redactor
from safety.sealing import Keyring, Secret, parse_key
from safety.vault import Vault
from storage import executions
from storage import tables as t
from storage.database import Database
from storage.errors import DefinitionError
from storage.records import Actor, Execution, Origin, State
from tests.builders import BOB, a_house, admit, catalog_with
from tests.fakes import START, FakeRemote, FakeReporter, HastyClock
from tests.runbooks.ssh.server import Server, serving

VALUE = "correct-horse-battery"
RING = Keyring(keys=(parse_key(sha256(b"key").hexdigest()),))
SET = Run("Set it", "cat", secret="db/admin", undo=Run("Set it back", "cat", secret="db/former"))


class Ours(Runbook):
    """Whatever a test plans."""

    name, danger = "ours", Danger.LOW

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        """Tests bring their own, but for those that go the whole way."""
        return Plan(Run("Restart", "systemctl", "restart", "nginx", sudo=True, secret="db/admin"))


CATALOG = catalog_with(Ours)


def planned(*steps: Step) -> StoredPlan:
    """For one host."""
    return StoredPlan(hosts=(HostPlan(host="web-01", steps=steps, facts={}),))


async def store(database: Database, name: str, value: str) -> None:
    """As `handrail secrets set` does."""
    sealed = RING.seal(name, Secret(value))
    await database.write(
        vault.store, name, sealed, RING.ids[0], actor=BOB, origin=Origin.CLI, now=START
    )  # fmt: skip


# --- in a plan --------------------------------------------------------------------------------------------------------


def test_the_name_is_in_the_plan_and_survives_it() -> None:
    again = from_json(json.loads(json.dumps(to_json(planned(SET)))))
    assert again == planned(SET)
    assert secrets_of(again) == {"db/admin", "db/former"}
    call = Call("Tell", "https://h/", headers={"Authorization": "{secret}"}, secret="api/token", undo=SET)
    assert secrets_of(planned(call)) == {"api/token", "db/admin", "db/former"}


def test_the_name_counts_for_the_fingerprint_and_plans_without_keep_theirs() -> None:
    def mark(*steps: Step) -> str:
        return fingerprint(runbook="ours", params={}, plan=planned(*steps))

    marks = {mark(Run("Set it", "cat")), mark(Run("Set it", "cat", secret="a")), mark(Run("Set it", "cat", secret="b"))}
    assert len(marks) == 3
    assert "secret" not in to_json(planned(Run("Set it", "cat")))["hosts"][0]["steps"][0]


def test_whoever_approves_sees_which_secret_it_is() -> None:
    shown = json.dumps(cards._step_blocks("1", to_json(planned(SET))["hosts"][0]["steps"][0]))
    assert "gets the secret `db/admin` on its input" in shown


@pytest.mark.parametrize("name", ["", "a b", "../x", "-n"])
def test_a_name_that_is_none_is_refused_where_it_is_written(name: str) -> None:
    with pytest.raises(DefinitionError, match="'Set it' asks for a secret"):
        Run("Set it", "cat", secret=name)


@pytest.mark.parametrize("words", [("bash", "-s"), ("sh",), ("python3",), ("psql",)])
def test_a_program_in_a_secret_is_refused_whoever_approves(words: tuple[str, ...]) -> None:
    planner = Planner(remote=FakeRemote(), guard=CommandGuard())
    (judged,) = planner.judgements(planned(Run("Run it", *words, secret="db/admin")), ())
    assert (judged.verdict, judged.rule) == (Severity.REFUSE, "secrets.program")
    (without,) = planner.judgements(planned(Run("Run it", *words)), ())
    assert without.verdict is Severity.APPROVE


async def test_a_plan_whose_secret_is_not_stored_fails_before_anything_runs(database: Database) -> None:
    async with a_house(database, catalog=CATALOG) as house:
        ended = await house.ends(await house.ask("ours on web-01"))
        assert ended.state is State.FAILED
        assert "'db/admin'" in str(ended.ending)
        assert house.remote.ran == []
        await store(database, "db/admin", VALUE)
        again = await house.ends(await house.ask("ours on web-01"))
        # It is stored now, but this house was given no way to open it: nothing is sent without it.
        assert again.state is State.FAILED
        assert house.remote.ran == []


# --- on a host --------------------------------------------------------------------------------------------------------


@dataclass
class Bench:
    """A real way to a host, and the secrets of the database."""

    database: Database
    server: Server
    tools: Tools

    async def walk(self, *steps: Step) -> Walk:
        """An admitted execution of these steps, about to run."""
        entry, plan = CATALOG.get("ours"), planned(*steps)
        execution = await self.database.write(admit, entry, plan, now=START)
        return Walk(self.tools, execution, plan, entry, entry.runbook.Params())

    async def run(self, *steps: Step) -> Execution:
        """To the end."""
        walk = await self.walk(*steps)
        await walk.run()
        return await self.database.read(executions.get, walk.execution.id)

    async def printed(self) -> list[str]:
        """What was kept of the output."""
        newest = (await self.database.read(executions.newest, 1))[0]
        return [line.text for line in await self.database.read(executions.output_of, newest.id)]


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[Bench]:
    """With one secret."""
    await store(database, "db/admin", VALUE)
    redactor = Redactor()
    opens = Vault(database, RING, redactor.hold)
    async with serving(tmp_path) as server:
        remote = SshRemote(known_hosts=server.known_hosts, redactor=redactor, random=lambda: 0.5, vault=opens)
        tools = Tools(
            database=database,
            remote=remote,
            inventory=Inventory(hosts=(server.host,)),
            planner=Planner(remote=remote, guard=CommandGuard()),
            reporter=ThreadReporter(database=database, alerts="C0OPS"),
            clock=HastyClock(),
            vault=opens,
        )
        yield Bench(database=database, server=server, tools=tools)
        await remote.close()


def everything(connection: Connection) -> str:
    """Every value of every table."""
    return "\n".join(
        str(tuple(row)) for table in t.metadata.sorted_tables for row in connection.execute(table.select())
    )


async def test_the_command_gets_the_value_as_a_line_and_what_it_prints_of_it_is_masked(
    bench: Bench, tmp_path: Path
) -> None:
    file = tmp_path / "got"
    count = Run("Count", "tee", str(file), secret="db/admin")
    assert (await bench.run(count, Run("In other letters", "base64", str(file)))).state is State.SUCCEEDED
    assert file.read_text() == f"{VALUE}\n"
    printed = await bench.printed()
    assert MASK in printed
    assert not any(b64encode(VALUE.encode()).decode()[:20] in line or VALUE in line for line in printed)


async def test_the_value_is_in_no_table_and_no_message(bench: Bench) -> None:
    assert (await bench.run(Run("Show it", "cat", secret="db/admin"))).state is State.SUCCEEDED
    assert (await bench.run(Run("Fail", "sh", "-c", "cat >&2; exit 3", secret="db/admin"))).state is State.FAILED
    shown = await bench.database.read(everything)
    assert "db/admin" in shown
    assert VALUE not in shown
    assert VALUE.encode().hex() not in shown


async def test_the_value_is_in_no_process_list(bench: Bench) -> None:
    walk = await bench.walk(Run("Wait", "sh", "-c", "cat >/dev/null; exec sleep 271.3", secret="db/admin"))
    running = asyncio.create_task(walk.run())
    shown = await until(lambda: processes(), "sleep 271.3")
    assert VALUE not in shown
    assert not any(VALUE in command for command in bench.server.commands)
    walk.stop(_stop())
    await asyncio.wait_for(running, 20)


def _stop() -> Any:
    from runbooks.steps import Stop

    return Stop(words="enough", by=BOB, grace=0.1)


def processes() -> str:
    """Every process of this machine with its arguments and environment."""
    return subprocess.run(["ps", "axeww", "-o", "args"], capture_output=True, text=True, check=True).stdout


async def until(look: Callable[[], str], part: str) -> str:
    """What it shows once it shows this."""
    async with asyncio.timeout(10):
        while part not in (shown := look()):
            await asyncio.sleep(0.02)
    return shown


async def test_a_value_that_was_changed_since_the_plan_is_the_one_that_counts(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "got"
    walk = await bench.walk(Run("Keep", "tee", str(file), secret="db/admin"))
    await store(bench.database, "db/admin", "another-value-of-it")
    await walk.run()
    assert file.read_text() == "another-value-of-it\n"


async def test_a_secret_that_is_gone_or_does_not_open_sends_nothing(bench: Bench) -> None:
    ended = await bench.run(Run("Show it", "cat", secret="db/none"))
    assert ended.state is State.FAILED
    assert "no secret 'db/none'" in str(ended.ending)
    bench.tools = replace(bench.tools, vault=Vault(bench.database, Keyring(), lambda value: None))
    ended = await bench.run(Run("Show it", "cat", secret="db/admin"))
    assert "none is set" in str(ended.ending)
    assert bench.server.commands == []


async def test_no_event_holds_the_value(bench: Bench) -> None:
    bench.tools = replace(bench.tools, reporter=FakeReporter())
    await bench.run(Run("Show it", "cat", secret="db/admin"))
    reporter = bench.tools.reporter
    assert isinstance(reporter, FakeReporter)
    assert reporter.of(StepFinished)
    assert VALUE not in repr(reporter.events)
    assert VALUE not in repr(Actor(id="x")) + repr(bench.tools)
