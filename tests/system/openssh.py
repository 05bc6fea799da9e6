"""Debian's sshd with a stock configuration, on a free port of the loopback, as the user who runs the tests.

As root it needs /run/sshd and makes it when it is missing (as Debian's own unit does); any other user can only log in
as itself, which is enough here.
"""

import asyncio
import getpass
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from runbooks.remote import Host

SSHD = Path("/usr/sbin/sshd")
# What a fresh installation leaves at its default stays so, MaxSessions and MaxStartups among them. SHLVL keeps bash
# from reading the .bashrc of whoever runs the tests, which may take long: only a session's outermost shell does.
CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/hostkey
AuthorizedKeysFile {folder}/client.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv SHLVL=2
{more}
"""


def missing() -> str | None:
    """Why these tests can't run here."""
    return None if SSHD.exists() else f"{SSHD} is not installed (Debian: openssh-server)"


def free_port() -> int:
    """A port of the loopback on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def alive(pid: int) -> bool:
    """Whether this process runs on this machine; a zombie doesn't."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


@dataclass(frozen=True, kw_only=True)
class OpenSsh:
    """A running sshd and what one needs to log in."""

    folder: Path
    port: int
    pid: int

    @property
    def known_hosts(self) -> bytes:
        """The line that `ssh-keyscan` would give."""
        kind, key = (self.folder / "hostkey.pub").read_text().split()[:2]
        return f"[127.0.0.1]:{self.port} {kind} {key}\n".encode()

    @property
    def key_file(self) -> Path:
        """The client's private key."""
        return self.folder / "client"

    @property
    def host(self) -> Host:
        """As the inventory would hold it."""
        return Host(name="web-01", address="127.0.0.1", port=self.port, user=getpass.getuser(), key_file=self.key_file)

    def cut(self) -> None:
        """Kill the process behind every connection, as a crash or an overload would."""
        children = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True, check=False)
        for pid in children.stdout.split():
            with suppress(ProcessLookupError):  # it has ended by itself meanwhile
                os.kill(int(pid), signal.SIGKILL)


def make_key(path: Path) -> None:
    """An ed25519 key without a passphrase, and its `.pub`."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


@contextmanager
def openssh(folder: Path, more: str = "") -> Iterator[OpenSsh]:
    """Up when it accepts connections; gone afterwards, with every session of it. `more`: further lines of its file."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("hostkey", "client"):
        make_key(folder / name)
    port = free_port()
    (folder / "sshd_config").write_text(CONFIG.format(port=port, folder=folder, more=more))
    with (folder / "sshd.log").open("w") as log:
        process = subprocess.Popen([SSHD, "-De", "-f", folder / "sshd_config"], stdin=subprocess.DEVNULL, stderr=log)
    server = OpenSsh(folder=folder, port=port, pid=process.pid)
    try:
        _wait_until_it_listens(server, process)
        yield server
    finally:
        server.cut()
        process.terminate()
        process.wait(5)


def _wait_until_it_listens(server: OpenSsh, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(500):
        if process.poll() is not None:
            raise RuntimeError("sshd ended: " + (server.folder / "sshd.log").read_text())
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError("sshd does not listen: " + (server.folder / "sshd.log").read_text())


@dataclass
class Wire:
    """What lies between us and a host: it can be cut, go silent, and be mended."""

    port: int
    broken: bool = False
    silent: bool = False
    pairs: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = field(default_factory=list)

    def to(self, host: Host) -> Host:
        """The same host, reached over this wire."""
        return replace(host, port=self.port)

    def known_hosts(self, server: OpenSsh) -> bytes:
        """The server's key, at both ports."""
        return server.known_hosts + server.known_hosts.replace(str(server.port).encode(), str(self.port).encode())

    def cut(self) -> None:
        """Both ends notice, and nobody gets through until it is mended."""
        self.broken = True
        for pair in self.pairs:
            for end in pair:
                end.transport.abort()
        self.pairs.clear()

    def forget(self) -> None:
        """We notice; the host goes on believing in the connection, of which nobody reads any more."""
        self.silent = True
        for ours, _ in self.pairs:
            ours.transport.abort()

    def mend(self) -> None:
        """New connections get through again."""
        self.broken = self.silent = False


@asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    """A wire to a port of the loopback."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if between.broken:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        between.pairs.append((writer, far_writer))
        for source, target in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(carry(source, target))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                target.write(data)
                await target.drain()
        if not between.silent:
            target.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    between = Wire(port=server.sockets[0].getsockname()[1])
    try:
        yield between
    finally:
        between.cut()
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
