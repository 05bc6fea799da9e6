"""A server in this process, and remotes whose waits between tries take no time."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from runbooks.remote import Host
from runbooks.ssh import Patience, SshRemote
from safety.vault import Opens
from tests.needs import a_part
from tests.runbooks.ssh.server import PlainRedactor, Server, serving

Connect = Callable[..., SshRemote]

SHELLS = (("sh",), ("dash",), ("bash",), ("busybox", "sh"))


@pytest.fixture(params=SHELLS, ids=" ".join)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """A shell that a host may have."""
    found: tuple[str, ...] = request.param
    a_part(found[0], package=found[0])
    return found


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Fresh for every test."""
    async with serving(tmp_path) as server:
        yield server


@pytest.fixture
def pauses() -> list[float]:
    """How long it would have waited between tries."""
    return []


@pytest.fixture
async def connect(server: Server, pauses: list[float]) -> AsyncIterator[Connect]:
    """Makes remotes that know the server's key; closes them."""
    made: list[SshRemote] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    def connect(
        *,
        known_hosts: bytes | None = None,
        key_file: Path | None = None,
        patience: Patience | None = None,
        vault: Opens | None = None,
    ) -> SshRemote:
        remote = SshRemote(
            known_hosts=server.known_hosts if known_hosts is None else known_hosts,
            redactor=PlainRedactor(),
            random=lambda: 0.5,
            key_file=key_file,
            patience=patience,
            vault=vault,
            sleep=sleep,
        )
        made.append(remote)
        return remote

    yield connect
    for remote in made:
        await remote.close()


@pytest.fixture
def remote(connect: Connect) -> SshRemote:
    """One of them."""
    return connect()


@pytest.fixture
def host(server: Server) -> Host:
    """The server's entry in the inventory."""
    return server.host
