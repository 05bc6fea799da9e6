"""Fixtures for tests of the built-in runbooks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.playground.hosts import DemoHosts, start_demo_hosts
from runbooks.inventory import Inventory
from runbooks.planning import Planner
from runbooks.remote import Host
from runbooks.ssh import SshRemote
from runbooks.steps import Tools
from safety.command_guard import CommandGuard
from safety.redaction import Redactor
from storage.database import Database
from tests.fakes import FakeReporter
from tests.runbooks.demo_hosts import NOON, Demo, EventfulClock


@pytest.fixture
async def demo(sqlite: Database, tmp_path: Path) -> AsyncIterator[Demo]:
    """web-01, logged in to by nobody yet."""
    started: DemoHosts = await start_demo_hosts(tmp_path, names=("web-01",), now=lambda: NOON, restart_seconds=0.01)
    host = started.host("web-01")
    remote = SshRemote(
        known_hosts=started.known_hosts, redactor=Redactor(), random=lambda: 0.5, key_file=started.key_file
    )
    clock, reporter = EventfulClock(), FakeReporter()
    inventory = Inventory(hosts=(Host(name="web-01", address=host.address, port=host.port, user=started.user),))
    tools = Tools(
        database=sqlite,
        remote=remote,
        inventory=inventory,
        planner=Planner(remote=remote, guard=CommandGuard()),
        reporter=reporter,
        clock=clock,
    )
    yield Demo(host=host, tools=tools, database=sqlite, clock=clock, reporter=reporter)
    await remote.close()
    await started.close()
