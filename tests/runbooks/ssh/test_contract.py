"""The contract of every remote, on the server in this process."""

import shlex
from dataclasses import dataclass, replace

import pytest

from runbooks.remote import Host
from runbooks.ssh import SshRemote
from tests.runbooks.remote_contract import RemoteContract
from tests.system.openssh import free_port


@dataclass(frozen=True, kw_only=True)
class ShellBed:
    """A host that runs shell text."""

    remote: SshRemote
    host: Host

    def prints(self, out: str, err: str = "", status: int = 0) -> str:
        """By printf, and exit."""
        return f"printf %s {shlex.quote(out)}; printf %s {shlex.quote(err)} >&2; exit {status}"

    def hangs(self) -> str:
        """Five minutes."""
        return "sleep 300"

    def unreachable(self) -> tuple[Host, str]:
        """Nothing listens there."""
        return replace(self.host, name="web-09", port=free_port()), "true"


class TestSshRemote(RemoteContract):
    """On asyncssh's server."""

    @pytest.fixture
    def bed(self, remote: SshRemote, host: Host) -> ShellBed:
        """The server, and a remote that knows it."""
        return ShellBed(remote=remote, host=host)
