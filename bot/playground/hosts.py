"""Demo hosts: real SSH servers on loopback, each around a simulated system.

`start_demo_hosts` makes the keys, the known_hosts file and the servers. What a client asks to run is handed to the
simulated shell of `machine/`, never to the machine's: nothing sent to a demo host starts a program, opens a file or
signals a process of the machine. What a client can still do is use memory and processor time of this process, within
the limits that `machine/` names.

As with OpenSSH without a terminal: every command leads its own session and process group; the `signal` request goes to
that group; a connection that closes leaves the command running (its next write ends it with PIPE); and the exit status
is reported once the command has ended and everything holding its output has closed it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncssh

from bot.playground.machine.furnishing import furnish, motd
from bot.playground.machine.processes import Process
from bot.playground.machine.programs import PROGRAMS
from bot.playground.machine.signals import SIGNAL_NAMES, SIGNALS
from bot.playground.machine.streams import Bell, Pipe, Stream
from bot.playground.machine.system import Call, SimulatedSystem

log = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"
LOGIN = "ops"
INPUT_LIMIT = 1024 * 1024  # bytes of standard input that may wait before the client is slowed down
VERSION = "HandrailDemo_1"


def wall_clock() -> datetime:
    """The time in UTC, for demo hosts that nobody gave a clock."""
    return datetime.now(UTC)


class DemoHost:
    """One demo host: an SSH server and its simulated system. Started, it knows its `port` and `host_key_line`."""

    def __init__(self, name: str, system: SimulatedSystem) -> None:
        self.name, self.address, self.port = name, ADDRESS, 0
        self.system = system
        self.host_key_line = ""
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()

    async def start(self, *, host_key: asyncssh.SSHKey, client_key: asyncssh.SSHKey, port: int = 0) -> None:
        """Listen on loopback; port 0 takes a free one. Raises OSError if the port is taken."""
        self._acceptor = await asyncssh.listen(
            self.address,
            port,
            server_factory=self._login,
            server_host_keys=[host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(client_key.export_public_key().decode()),
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_pty=False,
            server_version=VERSION,
            encoding=None,
            config=[],
        )
        self.port = self._acceptor.get_port()
        self.host_key_line = f"[{self.address}]:{self.port} {public_line(host_key)}"

    async def close(self) -> None:
        """Stop listening, end every simulated process, close every connection."""
        if self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.wait_closed()
            self._acceptor = None
        await self.system.close()
        for connection in list(self._connections):
            connection.close()
            await connection.wait_closed()

    def _login(self) -> "Login":
        return Login(self, self._connections)


class Login(asyncssh.SSHServer):
    """One connection of a client."""

    def __init__(self, host: DemoHost, connections: set[asyncssh.SSHServerConnection]) -> None:
        self._host, self._connections = host, connections
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Remember it, so that closing the host closes it."""
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._connection is not None:
            self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        """Say that nothing here is real, then ask for a key."""
        if self._connection is not None:
            self._connection.send_auth_banner(motd(self._host.name))
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Keys of the authorized list are asyncssh's to check; no other is good."""
        return False

    def public_key_auth_supported(self) -> bool:
        """The only way in."""
        return True

    def auth_completed(self) -> None:
        """Only the demo's own user has an account."""
        if self._connection is not None and self._connection.get_extra_info("username") != self._host.system.login:
            self._connection.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "No such account")

    def session_requested(self) -> "tuple[asyncssh.SSHServerChannel[bytes], Session]":
        """Any number of sessions per connection, of bytes."""
        if self._connection is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "The connection is gone.")
        channel = self._connection.create_server_channel(encoding=None)
        return channel, Session(self._host.system, self._connection)


class ChannelWriter(Stream):
    """The client's end of a command's output. Waits while the client does not read."""

    def __init__(self, session: "Session", datatype: int | None) -> None:
        super().__init__()
        self._session, self._datatype = session, datatype
        self.done = asyncio.Event()

    async def write(self, data: bytes) -> None:
        """Send it; raises BrokenPipeError once the client is gone."""
        await self._session.writable()
        self._session.send(data, self._datatype)

    def closed(self) -> None:
        """No process holds it any more."""
        self.done.set()


class Session(asyncssh.SSHServerSession[bytes]):
    """One exec or shell request: a process of the simulated system and its three streams."""

    def __init__(self, system: SimulatedSystem, connection: asyncssh.SSHServerConnection) -> None:
        self._system, self._connection = system, connection
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._process: Process | None = None
        self._input = Pipe(None)
        self._input.writer.hold()
        self._input_open = True
        self._lost = self._paused = self._slowed = False
        self._bell = Bell()
        self._outputs: list[ChannelWriter] = []
        self._reporting: asyncio.Task[None] | None = None

    # what asyncssh calls

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        self._channel = chan

    def exec_requested(self, command: str) -> bool:
        """Run it once the session starts: `sh -c COMMAND`, as the login shell does."""
        self._start(["sh", "-c", command])
        return True

    def shell_requested(self) -> bool:
        """A shell that reads its commands from standard input."""
        self._start(["sh"], greeting=motd(self._system.hostname))
        return True

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Standard input; a client that sends faster than the command reads is slowed down."""
        if self._input_open and not self._input.unread:
            self._input.held += data
            self._input.bell.ring()
            if len(self._input.held) > INPUT_LIMIT and not self._slowed and self._channel is not None:
                self._slowed = True
                self._channel.pause_reading()

    def eof_received(self) -> bool:
        """The end of standard input; output goes on."""
        self._end_input()
        return True

    def signal_received(self, signal: str) -> None:
        """To the whole group, as sshd does."""
        if self._process is not None:
            for process in self._system.processes.group(self._process.pid):
                self._system.processes.signal(process, SIGNALS.get(signal, 0))

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._paused = True

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._paused = False
        self._bell.ring()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone; the command is not."""
        self._lost = True
        self._end_input()
        self._bell.ring()

    # the rest

    async def writable(self) -> None:
        """Until the client can take more; raises BrokenPipeError once it is gone."""
        while self._paused and not self._lost:
            await self._bell.wait()
        if self._lost:
            raise BrokenPipeError

    def send(self, data: bytes, datatype: int | None) -> None:
        """Hand bytes to the client."""
        if self._channel is not None:
            self._channel.write(data, datatype)

    def _start(self, words: list[str], *, greeting: str = "") -> None:
        self._outputs = [ChannelWriter(self, None), ChannelWriter(self, asyncssh.EXTENDED_DATA_STDERR)]
        out, err = self._outputs
        system = self._system
        environment = login_environment(system)

        async def body(process: Process) -> int:
            call = Call(system=system, process=process, words=words, environment=environment)
            await call.put(1, greeting.encode())
            return await system.perform(call)

        reader = SlowedReader(self._input, self._resume)
        self._process = system.open_session(body, *words, files={0: reader, 1: out, 2: err})
        self._reporting = asyncio.create_task(self._report(self._process))

    def _resume(self) -> None:
        if self._slowed and len(self._input.held) <= INPUT_LIMIT and self._channel is not None and not self._lost:
            self._slowed = False
            self._channel.resume_reading()

    async def _report(self, process: Process) -> None:
        await process.ended.wait()
        for output in self._outputs:
            await output.done.wait()
        if self._lost or self._channel is None:
            return
        if process.fatal is None:
            self._channel.exit(process.status or 0)
        else:
            self._channel.exit_with_signal(SIGNAL_NAMES.get(process.fatal, "KILL"))

    def _end_input(self) -> None:
        if self._input_open:
            self._input_open = False
            self._input.writer.release()


class SlowedReader(Stream):
    """Standard input of a session: tells when there is room again."""

    def __init__(self, pipe: Pipe, read: Callable[[], None]) -> None:
        super().__init__()
        self._pipe, self._read = pipe, read

    async def read(self, limit: int) -> bytes:
        """What the client sent; empty at its end."""
        data = await self._pipe.reader.read(limit)
        self._read()
        return data

    def closed(self) -> None:
        """Nobody reads any more: what still comes is dropped."""
        self._pipe.unread = True
        self._pipe.held.clear()
        self._read()


def login_environment(system: SimulatedSystem) -> dict[str, str]:
    """What sshd gives a login."""
    home = f"/home/{system.login}"
    return {
        "USER": system.login,
        "LOGNAME": system.login,
        "HOME": home,
        "PWD": home,
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/games",
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
    }


def public_line(key: asyncssh.SSHKey) -> str:
    """`ssh-ed25519 AAAA…`, without a comment."""
    return " ".join(key.export_public_key().decode().split()[:2])


def write_private(path: Path, data: bytes) -> None:
    """A file that only its owner reads, from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(data)


@dataclass(frozen=True, kw_only=True)
class DemoHosts:
    """All demo hosts, and how to log in: `user` with `key_file` (mode 0600); their keys are in `known_hosts`."""

    hosts: tuple[DemoHost, ...]
    user: str
    key_file: Path
    known_hosts: Path

    def host(self, name: str) -> DemoHost:
        """One by its name; KeyError if there is none."""
        return {host.name: host for host in self.hosts}[name]

    async def close(self) -> None:
        """Close every host."""
        for host in self.hosts:
            await host.close()


async def start_demo_hosts(
    folder: Path,
    names: Sequence[str] = ("web-01", "web-02"),
    *,
    ports: Mapping[str, int] | None = None,
    now: Callable[[], datetime] = wall_clock,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    restart_seconds: float = 1.0,
) -> DemoHosts:
    """Start a demo host per name, with keys made new in `folder`. Ports by name; free ones otherwise.

    `now`, `pause` and `restart_seconds` go to each `SimulatedSystem`. Raises OSError if a port is taken; hosts that
    were already started are closed then.
    """
    client_key = asyncssh.generate_private_key("ssh-ed25519", comment="handrail demo")
    key_file, known_hosts = folder / "id_ed25519", folder / "known_hosts"
    write_private(key_file, client_key.export_private_key())
    started: list[DemoHost] = []
    try:
        for name in names:
            system = SimulatedSystem(
                name, programs=PROGRAMS, now=now, pause=pause, restart_seconds=restart_seconds, login=LOGIN
            )
            furnish(system)
            host = DemoHost(name, system)
            host_key = asyncssh.generate_private_key("ssh-ed25519")
            await host.start(host_key=host_key, client_key=client_key, port=(ports or {}).get(name, 0))
            started.append(host)
    except BaseException:
        for host in started:
            await host.close()
        raise
    known_hosts.write_text("".join(host.host_key_line + "\n" for host in started))
    return DemoHosts(hosts=tuple(started), user=LOGIN, key_file=key_file, known_hosts=known_hosts)
