"""Two demo hosts and a client, made anew for each test; time stands still unless a test moves it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncssh
import pytest

from bot.playground.hosts import DemoHost, DemoHosts, start_demo_hosts

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
Ask = Callable[..., Awaitable[asyncssh.SSHCompletedProcess]]


async def connect(hosts: DemoHosts, host: DemoHost) -> asyncssh.SSHClientConnection:
    """Log in as the demo's user, checking the host key."""
    return await asyncssh.connect(
        host.address,
        host.port,
        username=hosts.user,
        client_keys=[str(hosts.key_file)],
        known_hosts=str(hosts.known_hosts),
        agent_path=None,
        config=[],
    )


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[DemoHosts]:
    started = await start_demo_hosts(tmp_path, now=lambda: NOON, restart_seconds=0.01)
    yield started
    await started.close()


@pytest.fixture
def host(hosts: DemoHosts) -> DemoHost:
    return hosts.host("web-01")


@pytest.fixture
async def client(hosts: DemoHosts, host: DemoHost) -> AsyncIterator[asyncssh.SSHClientConnection]:
    connection = await connect(hosts, host)
    yield connection
    connection.close()
    await connection.wait_closed()


@pytest.fixture
def ask(client: asyncssh.SSHClientConnection) -> Ask:
    """Run a line on the host, with standard input if given."""

    async def run(line: str, stdin: str = "") -> asyncssh.SSHCompletedProcess:
        return await client.run(line, input=stdin, encoding="utf-8", errors="replace")

    return run
