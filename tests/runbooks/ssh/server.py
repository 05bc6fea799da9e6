"""An SSH server in this process that runs commands with the machine's own shell, and can misbehave."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import asyncssh

from runbooks.remote import Host


class PlainRedactor:
    """Masks one word; enough to see that every line passes it."""

    def stream(self) -> "PlainStream":
        """For one stream."""
        return PlainStream()


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A line that passed."""

    text: str
    altered: bool


class PlainStream:
    """One line in, one line out."""

    def feed(self, text: str) -> list[Shown]:
        """`text` is whole lines."""
        return [
            Shown(text=line.replace("hunter2", "[redacted]"), altered="hunter2" in line)
            for line in text.removesuffix("\n").split("\n")
        ]

    def close(self) -> list[Shown]:
        """Nothing is kept."""
        return []


@dataclass
class Server:
    """A running server. Its counters say what was asked of it; its fields may be changed between requests."""

    port: int
    known_hosts: bytes
    key_file: Path
    own_sessions: bool = True  # whether commands lead a session of their own, as with sshd
    max_sessions: int = 10
    opens: asyncio.Event | None = None  # until then no channel is opened
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    password: str | None = None  # lets in who knows it, besides the key
    asks_questions: bool = False  # for the password, as PAM does, instead of taking it
    logins: int = 0
    most_at_once: int = 0
    commands: list[str] = field(default_factory=list)
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    processes: set[asyncio.subprocess.Process] = field(default_factory=set)

    @property
    def host(self) -> Host:
        """As the inventory would hold it."""
        return Host(name="web-01", address="127.0.0.1", port=self.port, user="ops", key_file=self.key_file)

    def cut(self) -> None:
        """Break every connection, without a goodbye."""
        for connection in self.connections:
            connection.abort()


async def _later(process: "asyncssh.SSHServerProcess[bytes]", opens: asyncio.Event) -> Any:
    await opens.wait()
    return process


class _Login(asyncssh.SSHServer):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._sessions = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._server.connections.append(conn)

    def password_auth_supported(self) -> bool:
        return self._server.password is not None and not self._server.asks_questions

    def validate_password(self, username: str, password: str) -> bool:
        return password == self._server.password

    def kbdint_auth_supported(self) -> bool:
        return self._server.password is not None and self._server.asks_questions

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return ("", "", "", [("Password: ", False)])

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        return list(responses) == [self._server.password]

    def auth_completed(self) -> None:
        self._server.logins += 1

    def session_requested(self) -> Any:
        if self._sessions >= self._server.max_sessions:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
        self._sessions += 1
        self._server.most_at_once = max(self._server.most_at_once, self._sessions)
        process = asyncssh.SSHServerProcess(self._run, None, 3, False)
        return _later(process, self._server.opens) if self._server.opens is not None else process

    async def _run(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        try:
            await _run(self._server, process)
        finally:
            self._sessions -= 1


async def _run(server: Server, process: "asyncssh.SSHServerProcess[bytes]") -> None:
    """Like sshd without a terminal: the command outlives its channel, and its exit is told before its streams end."""
    server.commands.append(process.command or "")
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *server.shell,
        process.command or "",
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        start_new_session=server.own_sessions,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    server.processes.add(child)
    pumps = [
        asyncio.create_task(_pump(process.stdin, child.stdin)),
        asyncio.create_task(_pump(child.stdout, process.stdout)),
        asyncio.create_task(_pump(child.stderr, process.stderr)),
    ]
    try:
        status = await child.wait()
        await asyncio.wait(pumps[1:])
        if status < 0:
            process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
        else:
            process.exit(status)
    finally:
        server.processes.discard(child)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


class _Source(Protocol):
    async def read(self, n: int, /) -> bytes: ...


class _Target(Protocol):
    def write(self, data: bytes, /) -> None: ...
    async def drain(self) -> None: ...
    def close(self) -> None: ...


async def _pump(source: "_Source", target: "_Target") -> None:
    with suppress(OSError, asyncssh.Error):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
        if isinstance(target, asyncio.StreamWriter):
            target.close()


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Server]:
    """Up when it accepts connections; afterwards nothing that was started through it is left."""
    host_key, client_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    key_file = folder / "client"
    client_key.write_private_key(str(key_file))
    trusted = asyncssh.import_authorized_keys(client_key.export_public_key().decode())
    server = Server(port=0, known_hosts=b"", key_file=key_file)
    listener = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: _Login(server),
        server_host_keys=[host_key],
        authorized_client_keys=trusted,
        encoding=None,
    )
    server.port = listener.get_port()
    server.known_hosts = f"[127.0.0.1]:{server.port} ".encode() + host_key.export_public_key()
    try:
        yield server
    finally:
        for child in tuple(server.processes):
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL) if server.own_sessions else child.kill()
        listener.close()
        server.cut()
        for connection in server.connections:
            await connection.wait_closed()
        await listener.wait_closed()
        await asyncio.gather(*(child.wait() for child in tuple(server.processes)))
