"""SSH: how a command reaches a host, ends there, and is looked for. The only module that knows asyncssh.

Read `SshRemote.run` first: take a seat on a pooled connection, send, follow, and, when asked to stop, end the group and
look. Below it, in this order: the pool of one host, one command's session, its output, the ending of groups, and the
words for what can go wrong with a connection. The shell texts are in `group.py`.

A connection carries at most 8 sessions (sshd's MaxSessions is 10), two of them only for stopping and looking, so that
these never wait behind running commands: one that waits out the grace of a stubborn group, and one for the next stop.

Whether something was sent is known exactly: asyncssh asks for the session object when the channel is confirmed, and
sends the exec request in the same step. Before that an error is HostUnreachable and may be tried again; after it the
command is `Ended.LOST`.
"""

import asyncio
import codecs
import re
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncssh
import structlog

from runbooks import group as groups_of_host
from runbooks import record as records_of_host
from runbooks.group import UNKNOWN, Found
from runbooks.record import Record
from runbooks.remote import (
    Ended,
    Finished,
    Host,
    HostReport,
    Line,
    NotKnown,
    Remote,
    RemoteCommand,
    StillRunning,
    StopCord,
    Stream,
    Unreached,
)
from safety.sealing import Secret
from safety.vault import NoVault, Opens
from storage.errors import (
    ConfigurationError,
    ConnectionLost,
    HostError,
    HostKeyRefused,
    HostUnreachable,
    LoginRefused,
    SecretUnavailable,
    StorageUnavailable,
)
from storage.records import Death

log = structlog.get_logger(__name__)
T = TypeVar("T")

SESSIONS = 8  # on one connection
RESERVED = 2  # of these, for stopping and looking
MARGIN = 4_096  # characters at the end of a cut line that may be half of a secret, and are thrown away
NOISE = 65_536  # bytes that a login may print before our first line
FORGOTTEN = 32  # records that are removed by one remote command
ANSWER = 4_000_000  # bytes of a look's answer; a machine full of processes prints a tenth of it
AT_ONCE = 16_384
"""Bytes of a connection that are read before everybody else has a turn. asyncio's quarter of a megabyte is thousands of
lines; from ten hosts that print as fast as they can it kept the event loop for seconds, and with it the leases."""
CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"  # put first: a third less CPU than the default


class RedactedText(Protocol):
    """A line that may be shown."""

    @property
    def text(self) -> str: ...

    @property
    def altered(self) -> bool: ...


class RedactingStream(Protocol):
    """One stream's text, line by line; it may keep a line until it knows what follows."""

    def feed(self, text: str) -> Sequence[RedactedText]: ...

    def close(self) -> Sequence[RedactedText]: ...


class Redacts(Protocol):
    """What masks secrets; `safety.redaction.Redactor` does."""

    def stream(self) -> RedactingStream: ...


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long we wait, in seconds, and how many connections a host gets."""

    connect: float = 10.0  # TCP
    login: float = 15.0  # key exchange and login, after that
    session: float = 10.0  # for a channel to open
    keepalive: float = 10.0  # after three unanswered ones the connection is dead
    idle: float = 120.0  # an unused connection is closed
    drain: float = 1.0  # after the exit status, for the rest of the output
    answer: float = 5.0  # for a look, beyond the grace it waits out
    gather: float = 0.003  # groups that are to end within this window end by one remote command
    connections: int = 4
    retries: int = 3
    first_retry: float = 1.0
    longest_retry: float = 30.0
    jitter: float = 0.1


class SshRemote(Remote):
    """Hosts over SSH. `random` gives numbers from 0 to 1 for the jitter; `sleep` waits between two tries to connect.

    `vault` opens the keys and passwords that hosts name; what it gives out, the redactor knows by then.
    Raises ConfigurationError when the known_hosts text or the default key can't be read.
    """

    def __init__(
        self,
        *,
        known_hosts: bytes | Path,
        redactor: Redacts,
        random: Callable[[], float],
        key_file: Path | None = None,
        vault: Opens | None = None,
        patience: Patience | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._patience = patience or Patience()
        self._redactor = redactor
        self._random = random
        self._sleep = sleep
        self._logins = _Logins(key_file, vault or NoVault())
        self._known = _read_known_hosts(known_hosts)
        self._pools: dict[Host, _Pool] = {}
        self._closed = False

    async def run(
        self,
        host: Host,
        command: RemoteCommand,
        *,
        cord: StopCord | None = None,
        on_line: Callable[[Line], None] | None = None,
        on_group: Callable[[int], None] | None = None,
        on_retry: Callable[[Unreached], None] | None = None,
    ) -> Finished:
        """See `Remote.run`. Stopped before it was sent, it is STOPPED without a group: nothing of it can be left."""
        cord = cord or StopCord()
        started = asyncio.get_running_loop().time()
        output = _Output(command, self._redactor, on_line, on_group)
        session = await self._send(host, command, cord, output, on_retry)
        if session is None:
            return Finished(ended=Ended.STOPPED, death=Death.STOPPED)
        try:
            ended, found = await self._follow(host, command, cord, session, output)
            if found is None or found.death is Death.STOPPED:
                await session.drained(self._patience.drain)
            is_cut = not session.closed.done()
        finally:
            session.leave()
        output.close()
        if ended is Ended.EXITED:
            if not output.group.done() and groups_of_host.MARK in output.noise:
                ended = Ended.LOST  # it may have run: our words came back, but not our first line
            else:
                _must_have_run(host, output)
        signal = session.exit_signal
        if command.token is not None and signal is None:
            signal = records_of_host.signal_of(session.exit_status)
        return Finished(
            ended=ended,
            exit_status=session.exit_status,
            signal=signal,
            group=output.group.result() if output.group.done() else None,
            death=found.death if found else None,
            survivors=found.pids if found else (),
            lines=output.lines,
            dropped=output.dropped,
            cut=is_cut,
            seconds=asyncio.get_running_loop().time() - started,
        )

    async def end_groups(self, host: Host, groups: Sequence[int], *, grace: float) -> Mapping[int, Death]:
        """See `Remote.end_groups`. Unknown when the host can't be asked; never raises for that."""
        if not groups:
            return {}
        found = await self._pool(host).ender.end(groups, grace)
        return {group: found[group].death for group in groups}

    async def look(self, host: Host, groups: Sequence[int]) -> Mapping[int, tuple[int, ...]]:
        """See `Remote.look`. A group of processes that the login user can't see is an error, not an empty answer."""
        if not groups:
            return {}
        text = await self._pool(host).ask(groups_of_host.look(groups), self._patience.answer)
        found = groups_of_host.read_report(groups, text)
        hidden = [group for group, seen in found.items() if seen.death is Death.UNKNOWN]
        if hidden:
            raise HostError(
                host.name,
                f"'{host.name}' doesn't show '{host.user}' what process group {hidden[0]} holds. Look there as root.",
            )
        return {group: seen.pids for group, seen in found.items()}

    async def attend(self, host: Host, token: str) -> Finished | StillRunning | NotKnown:
        """See `Remote.attend`."""
        text = await self._pool(host).ask(records_of_host.attend(token), self._patience.answer)
        return records_of_host.read(host.name, text)

    def forget(self, host: Host, token: str) -> None:
        """See `Remote.forget`. Many records go by one command; the last few of a process by their age."""
        if host in self._pools:
            self._pools[host].forget(token)

    async def check(self, host: Host) -> HostReport:
        """See `Remote.check`. Facts: user, kernel, sudo, latency."""
        clock = asyncio.get_running_loop().time
        try:
            await self._pool(host).folder()  # which also tells whether its login shell is of any use
            words = (await self._pool(host).ask(_CHECK, self._patience.answer)).splitlines()
            asked = clock()
            await self._pool(host).ask("exit 0", self._patience.answer)
        except HostError as error:
            return HostReport(host=host.name, ok=False, message=error.message)
        latency = f"{(clock() - asked) * 1000:.0f} ms"
        if len(words) < 3:
            message = (
                f"'{host.name}' lets '{host.user}' in but runs no commands. Give that account a POSIX login shell."
            )
            return HostReport(host=host.name, ok=False, message=message)
        user, kernel, sudo = (_plain(word, 100) for word in words[-3:])
        facts = {"user": user, "kernel": kernel, "sudo": _SUDO[sudo == "yes"], "latency": latency}
        message = f"'{host.name}' answers in {latency}: {user}, {kernel}; sudo {facts['sudo']}."
        return HostReport(host=host.name, ok=True, message=message, facts=facts)

    async def close(self) -> None:
        """See `Remote.close`."""
        self._closed = True
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
        self._pools.clear()

    def _pool(self, host: Host) -> "_Pool":
        if self._closed:
            raise HostUnreachable(host.name, f"Nothing is sent to '{host.name}' any more: Handrail is shutting down.")
        if host not in self._pools:
            self._pools[host] = _Pool(host, self._patience, self._logins, self._known)
        return self._pools[host]

    async def _send(
        self,
        host: Host,
        command: RemoteCommand,
        cord: StopCord,
        output: "_Output",
        on_retry: Callable[[Unreached], None] | None,
    ) -> "_Session | None":
        """The running session; None when the cord was pulled before anything was sent. Tries as often as allowed."""
        pauses = self._pauses() if command.patient else []
        for attempt, pause in enumerate([*pauses, None], 2):
            try:
                return await self._try_to_send(host, command, cord, output)
            except HostUnreachable as error:
                if pause is None or self._closed:
                    raise
                log.info("connection_retried", host=host.name, seconds=round(pause, 2), error=error.message)
                if on_retry is not None:
                    most = len(pauses) + 1
                    on_retry(Unreached(host=host.name, reason=error.message, seconds=pause, attempt=attempt, most=most))
            await _unless_pulled(self._sleep(pause), cord)
            if cord.pulled:
                return None
        raise AssertionError("the last try returns or raises")

    async def _try_to_send(
        self, host: Host, command: RemoteCommand, cord: StopCord, output: "_Output"
    ) -> "_Session | None":
        record = None
        if command.token is not None:
            folder = await _unless_pulled(self._pool(host).folder(), cord)
            if cord.pulled:
                return None
            record = Record(folder=folder, token=command.token) if folder is not None else None
        text = groups_of_host.own_group(command.line, stdin=command.stdin is not None, record=record)
        while True:
            seat = await _unless_pulled(self._pool(host).seat(control=False), cord, undo=_Seat.release)
            if seat is None:
                return None
            session = await seat.start(text, output, command.stdin, cord)
            if session is not None:
                return session

    def _pauses(self) -> list[float]:
        """Seconds before each further try: doubling, with a jitter to either side."""
        p = self._patience
        bases = [min(p.first_retry * 2**n, p.longest_retry) for n in range(p.retries)]
        return [base * (1 + p.jitter * (2 * self._random() - 1)) for base in bases]

    async def _follow(
        self, host: Host, command: RemoteCommand, cord: StopCord, session: "_Session", output: "_Output"
    ) -> tuple[Ended, Found | None]:
        """Wait for the end, whichever comes first; end the group if it didn't end by itself."""
        pulled = asyncio.ensure_future(cord.wait())
        either: set[asyncio.Future[Any]] = {session.exited, pulled}
        try:
            await asyncio.wait(either, timeout=command.timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pulled.cancel()
        if session.exited.done():
            return (Ended.LOST if session.lost else Ended.EXITED), None
        ended = Ended.STOPPED if cord.pulled else Ended.TIMED_OUT
        return ended, await self._end(host, command, cord, session, output)

    async def _end(
        self, host: Host, command: RemoteCommand, cord: StopCord, session: "_Session", output: "_Output"
    ) -> Found:
        """End the command's group; once more, faster, when the grace is cut short meanwhile."""
        known: set[asyncio.Future[Any]] = {output.group, session.exited}
        # A slow login shell may not have come to our first line yet.
        await asyncio.wait(known, timeout=self._patience.answer, return_when=asyncio.FIRST_COMPLETED)
        if not output.group.done() or output.group.result() <= 1:
            session.terminate()  # all that is left; the host may ignore it without saying so
            return UNKNOWN
        group, grace = output.group.result(), _grace(command, cord)
        ending = asyncio.ensure_future(self._pool(host).ender.end([group], grace))
        try:
            while not ending.done():
                # A cord says only once that it was pulled, so a shorter grace has to be looked for.
                await asyncio.wait({ending}, timeout=0.05)
                if not ending.done() and _grace(command, cord) < grace:
                    ending.cancel()
                    grace = _grace(command, cord)
                    ending = asyncio.ensure_future(self._pool(host).ender.end([group], grace))
            return ending.result()[group]
        finally:
            ending.cancel()


def _grace(command: RemoteCommand, cord: StopCord) -> float:
    return command.grace if cord.grace is None else cord.grace


def _plain(text: str, most: int) -> str:
    """What a host says of itself, as it may stand in a sentence."""
    return "".join(char if char.isprintable() else "?" for char in text[:most])


def _must_have_run(host: Host, output: "_Output") -> None:
    """Raise when the session ended before our first line, or where the host can't make a process group: nothing ran."""
    if not output.group.done():
        said = output.noise.strip().splitlines()
        reason = f": it says {_plain(said[-1], 200)!r}" if said else ""
        raise LoginRefused(
            host.name,
            f"'{host.name}' lets '{host.user}' in but runs no commands{reason}. Give that account a POSIX login shell.",
        )
    if output.group.result() == groups_of_host.NO_GROUP:
        raise LoginRefused(
            host.name,
            f"'{host.name}' can't give a command a process group of its own, so it could not be stopped; "
            "nothing was run. Install `setsid` (util-linux) or perl there.",
        )


def _nothing(_: object) -> None:
    """There is nothing to undo."""


async def _unless_pulled(work: Awaitable[T], cord: StopCord, undo: Callable[[T], None] = _nothing) -> T | None:
    """The work's result; None when the cord is pulled, or was. What it then has done all the same is undone."""
    task = asyncio.ensure_future(work)
    pulled = asyncio.ensure_future(cord.wait())
    wanted = False
    try:
        await asyncio.wait({task, pulled}, return_when=asyncio.FIRST_COMPLETED)
        wanted = not cord.pulled
    finally:
        pulled.cancel()
        task.cancel()
        await asyncio.wait({task})
        if not wanted and not task.cancelled() and task.exception() is None:
            undo(task.result())
    return task.result() if wanted else None


class _Pool:
    """The connections of one host. Commands take their seats in the order in which they came."""

    def __init__(self, host: Host, patience: Patience, logins: "_Logins", known: asyncssh.SSHKnownHosts) -> None:
        self.host = host
        self.patience = patience
        self.ender = _Ender(self.ask, patience)
        self._logins = logins
        self._known = known
        self._connections: list[_Connection] = []
        self._opening = 0
        self._lines = {False: asyncio.Lock(), True: asyncio.Lock()}
        self._freed = asyncio.Event()
        self._failures = 0
        self._failure: HostError | None = None
        self._closing = False
        self._folder: asyncio.Task[str | None] | None = None  # where commands leave their records, asked once
        self._forgotten: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def seat(self, *, control: bool) -> "_Seat":
        """A place for one session; on a new connection if there is none. Raises HostError when that can't be made."""
        failures = self._failures
        async with self._lines[control]:
            while True:
                if self._closing:
                    raise HostUnreachable(self.host.name, f"Nothing is sent to '{self.host.name}' any more.")
                room = next((c for c in self._connections if c.has_room(control=control)), None)
                if room is not None:
                    return _Seat(room, control=control)
                if self._failure is not None and self._failures > failures:
                    # Those who waited while a connection failed share its failure, else each would wait it out in turn.
                    raise type(self._failure)(self.host.name, self._failure.message) from self._failure
                if len(self._connections) + self._opening < self.patience.connections + control:
                    await self._open()
                else:
                    self._freed.clear()
                    await self._freed.wait()

    async def ask(self, text: str, seconds: float) -> str:
        """What `text` prints, within so many seconds, on a reserved seat. Only for what may be sent twice.

        Once more when a connection turns out dead. Raises HostUnreachable, ConnectionLost and the refusals.
        """
        try:
            return await self._ask(text, seconds)
        except _Broken:
            return await self._ask(text, seconds)

    async def folder(self) -> str | None:
        """Where commands leave their records; None when this host keeps none. Raises HostError: nothing was sent."""
        if self._folder is None or (self._folder.done() and _failed(self._folder)):
            self._folder = asyncio.create_task(self._ask_for_folder())
            self._folder.add_done_callback(_retrieve)
        return await asyncio.shield(self._folder)

    def forget(self, token: str) -> None:
        """Remove this record, when enough of them have come together."""
        self._forgotten.append(token)
        if len(self._forgotten) >= FORGOTTEN and not self._closing:
            tokens, self._forgotten = self._forgotten, []
            task = asyncio.create_task(self._remove(tokens))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all that is pending, close the connections."""
        self._closing = True
        await self.ender.close()
        pending = [*self._tasks, *([self._folder] if self._folder is not None else [])]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await asyncio.gather(*(connection.close() for connection in self._connections))

    def freed(self) -> None:
        """Somebody left a seat, or a connection is gone."""
        self._connections = [c for c in self._connections if c.alive]
        self._freed.set()

    async def _ask_for_folder(self) -> str | None:
        try:
            said = await self.ask(records_of_host.prepare(), self.patience.answer)
        except ConnectionLost as error:
            raise HostUnreachable(self.host.name, f"{error.message} Nothing was run.") from error
        if not records_of_host.reads_quotes(said):
            raise LoginRefused(
                self.host.name,
                f"The login shell of '{self.host.user}' on '{self.host.name}' runs no commands, or not with the words "
                "as they are quoted (fish and tcsh don't); nothing was run. Give that account a POSIX login shell.",
            )
        return records_of_host.folder_in(said)

    async def _remove(self, tokens: Sequence[str]) -> None:
        try:
            folder = await self.folder()
            if folder is not None:
                await self.ask(records_of_host.forget(folder, tokens), self.patience.answer)
        except HostError as error:  # they go by their age then
            log.info("records_left", host=self.host.name, error=error.message)

    async def _open(self) -> None:
        if not self._connections and self._folder is not None and self._folder.done():
            self._folder = None  # the host may have been restarted
        self._opening += 1
        try:
            connection = await _connect(self, self._logins, self._known)
        except HostError as error:
            self._failures += 1
            self._failure = error
            raise
        finally:
            self._opening -= 1
            self._freed.set()
        self._failure = None
        self._connections.append(connection)
        if self._closing:
            await connection.close()

    async def _ask(self, text: str, seconds: float) -> str:
        answer = _Answer()
        session = None
        try:
            async with asyncio.timeout(seconds + self.patience.connect + self.patience.login):
                while session is None:
                    session = await (await self.seat(control=True)).start(text, answer, None)
                async with asyncio.timeout(seconds):
                    await asyncio.wait({session.closed})
        except TimeoutError as error:
            raise ConnectionLost(
                self.host.name,
                f"'{self.host.name}' did not answer within {seconds:.0f} s. Is it overloaded or cut off?",
            ) from error
        finally:
            if session is not None:
                session.leave()
        if session.lost:
            raise _Broken(self.host.name, f"The connection to '{self.host.name}' broke while it was asked.")
        return answer.text


def _failed(task: "asyncio.Task[Any]") -> bool:
    return task.cancelled() or task.exception() is not None


class _Broken(ConnectionLost):
    """A connection that was there is gone; another may work."""


class _Connection:
    """One SSH connection and who sits on it."""

    def __init__(self, pool: _Pool, ssh: asyncssh.SSHClientConnection) -> None:
        self.pool = pool
        self.ssh = ssh
        self.limit = SESSIONS
        self._commands = 0
        self._controls = 0
        self._idle: asyncio.TimerHandle | None = None
        self.alive = True

    def has_room(self, *, control: bool) -> bool:
        """Commands leave the reserved seats free; stopping and looking takes any."""
        if not self.alive or self._commands + self._controls >= self.limit:
            return False
        return control or self._commands < max(1, self.limit - RESERVED)

    def sit(self, *, control: bool) -> None:
        """Take a seat."""
        self._commands += not control
        self._controls += control
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def rise(self, *, control: bool) -> None:
        """Leave it. The last one starts the clock after which the connection is closed."""
        self._commands -= not control
        self._controls -= control
        if not self._commands + self._controls and self.alive:
            idle = self.pool.patience.idle if self.limit > RESERVED else 0
            self._idle = asyncio.get_running_loop().call_later(idle, self.drop)
        self.pool.freed()

    def refused_a_session(self) -> bool:
        """Learn that the host allows fewer sessions; False when it allows none at all."""
        self.limit = self._commands + self._controls - 1
        if self.limit <= 0:
            self.drop()
        return self.limit > 0

    def opens_no_more(self) -> None:
        """Nobody else gets a seat; who sits here alone takes the connection along, others stay to their end."""
        if self._commands + self._controls > 1:
            self.limit = 0
        else:
            self.drop()

    def lose_a_seat(self) -> None:
        """sshd counts a session until its process ends, also after we left it."""
        self.limit -= 1

    def drop(self) -> None:
        """No more sessions; the socket is closed at once."""
        self.gone()
        self.ssh.abort()

    def gone(self) -> None:
        """The socket is closed, by whomever."""
        self.alive = False
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        self.pool.freed()

    async def close(self) -> None:
        """Say goodbye, but don't wait long for an answer."""
        self.alive = False
        if self._idle is not None:
            self._idle.cancel()
        self.ssh.close()
        try:
            async with asyncio.timeout(1.0):
                await self.ssh.wait_closed()
        except TimeoutError:
            self.ssh.abort()
            await self.ssh.wait_closed()


class _Seat:
    """The right to one session on a connection. It is given back once."""

    def __init__(self, connection: _Connection, *, control: bool) -> None:
        self.connection = connection
        self.host = connection.pool.host
        self._control = control
        self._taken = True
        connection.sit(control=control)

    def release(self, *, running: bool = False) -> None:
        """`running`: the remote process goes on, so the host still counts it."""
        if self._taken:
            self._taken = False
            if running:
                self.connection.lose_a_seat()
            self.connection.rise(control=self._control)

    async def start(
        self, text: str, sink: "_Sink", stdin: bytes | None, cord: StopCord | None = None
    ) -> "_Session | None":
        """Open a session and send; None when the host has no room for it here and another seat must be found, or when
        the cord was pulled meanwhile.

        Raises HostUnreachable when nothing was sent, LoginRefused when the host won't run commands.
        """
        session = _Session(self, sink, stdin, cord)
        opening = asyncio.ensure_future(
            self.connection.ssh.create_session(lambda: session, text, encoding=None, env={}, send_env=())
        )
        try:
            await asyncio.wait({opening}, timeout=self.connection.pool.patience.session)
        except asyncio.CancelledError:
            _forget(opening, session)
            raise
        if not opening.done():
            return await self._overdue(opening, session)
        error = opening.exception()
        if error is None:
            return session
        if session.sent:
            return self._sent_but(error, session)
        if isinstance(error, _StoppedError):
            self.release()
            return None
        if isinstance(error, asyncssh.ChannelOpenError) and self.connection.alive:
            some = self.connection.refused_a_session()
            self.release()
            if some:
                return None
            why = _plain(error.reason, 200)
            raise HostUnreachable(
                self.host.name, f"'{self.host.name}' opens no session: {why}. See MaxSessions in its sshd_config."
            ) from error
        self.connection.drop()
        self.release()
        raise HostUnreachable(
            self.host.name, f"The connection to '{self.host.name}' broke before anything was sent."
        ) from error

    async def _overdue(self, opening: "asyncio.Future[Any]", session: "_Session") -> "_Session":
        if session.sent:
            opening.add_done_callback(_retrieve)
            return session
        opening.cancel()
        self.connection.opens_no_more()
        await asyncio.wait({opening})
        self.release()
        seconds = self.connection.pool.patience.session
        raise HostUnreachable(
            self.host.name,
            f"'{self.host.name}' opened no session within {seconds:.0f} s; nothing was sent. Is it overloaded?",
        )

    def _sent_but(self, error: BaseException, session: "_Session") -> "_Session":
        """The exec request was sent and not granted: refused in so many words, or lost on the way."""
        if isinstance(error, asyncssh.ChannelOpenError) and self.connection.alive:
            self.release()
            raise LoginRefused(
                self.host.name,
                f"'{self.host.name}' lets '{self.host.user}' in but refuses to run commands. See its sshd_config.",
            ) from error
        session.connection_lost(None)
        return session


def _forget(opening: "asyncio.Future[Any]", session: "_Session") -> None:
    """Our caller was cancelled while the session opened: what was sent goes on, what wasn't is not sent."""
    if session.sent:
        opening.add_done_callback(_retrieve)
    else:
        opening.cancel()
    session.leave()


def _retrieve(opening: "asyncio.Future[Any]") -> None:
    """Its error is told by the session's own callbacks."""
    if not opening.cancelled():
        opening.exception()


class _Sink(Protocol):
    """Where a session's output goes."""

    def take(self, stream: Stream, data: bytes) -> None: ...


_SIGNAL = re.compile(r"[A-Z0-9+-]{1,20}")  # https://datatracker.ietf.org/doc/html/rfc4254#section-6.10


class _StoppedError(Exception):
    """The cord was pulled while the channel opened: nothing was sent."""


class _Session(asyncssh.SSHClientSession[bytes]):
    """One command on its channel. `exited`: it is over; `closed`: all its output is here; both when it is lost."""

    def __init__(self, seat: _Seat, sink: _Sink, stdin: bytes | None, cord: StopCord | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.exit_status: int | None = None
        self.exit_signal: str | None = None
        self.sent = False
        self._seat = seat
        self._sink = sink
        self._stdin = stdin
        self._cord = cord
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None

    @property
    def lost(self) -> bool:
        """Whether it is over without our knowing how it ended."""
        return self.closed.done() and self.exit_status is None and self.exit_signal is None

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The channel is open; asyncssh sends the exec request next."""
        if self._cord is not None and self._cord.pulled:
            chan.close()
            raise _StoppedError
        self._channel = chan
        self.sent = True

    def session_started(self) -> None:
        """The exec request was granted."""
        if self._channel is not None:
            if self._stdin:
                self._channel.write(self._stdin)
                self._stdin = None  # it may be a secret, and a session lives long
            self._channel.write_eof()

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """A chunk of output."""
        self._sink.take(Stream.OUT if datatype is None else Stream.ERR, data)

    def eof_received(self) -> bool:
        """Keep our side open: the exit status is still to come."""
        return True

    def exit_status_received(self, status: int) -> None:
        """It ended by itself."""
        self.exit_status = status
        self._over()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        """It was killed; `signal` has no SIG in front."""
        self.exit_signal = signal if _SIGNAL.fullmatch(signal) else "unknown"
        self._over()

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is gone, with the connection or in good order."""
        if not self.closed.done():
            self.closed.set_result(None)
        self._over()

    def terminate(self) -> None:
        """Ask the server to signal it."""
        if self._channel is not None and not self.closed.done():
            self._channel.terminate()

    async def drained(self, seconds: float) -> None:
        """Wait for the rest of the output of a command that is over.

        Not for ever: a daemon that the command started may hold its streams open for months.
        """
        await asyncio.wait({self.closed}, timeout=seconds)

    def leave(self) -> None:
        """Close the channel and give the seat back; what still runs there goes on."""
        if self._channel is not None and not self.closed.done():
            self._channel.close()
        self._seat.release(running=self.sent and not self.exited.done())

    def _over(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)


class _Answer:
    """The output of our own small commands, kept up to a bound."""

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def text(self) -> str:
        """Standard output."""
        return self._data.decode("utf-8", "replace")

    def take(self, stream: Stream, data: bytes) -> None:
        """Keep it."""
        if stream is Stream.OUT and len(self._data) < ANSWER:
            self._data += data


class _Output:
    """A command's output: the group id at its head, then bounded, clean, redacted lines; the rest is counted."""

    def __init__(
        self,
        command: RemoteCommand,
        redactor: Redacts,
        on_line: Callable[[Line], None] | None,
        on_group: Callable[[int], None] | None,
    ) -> None:
        self.group: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.lines = 0
        self.dropped = 0
        self._command = command
        self._redactor = redactor
        self._on_line = on_line
        self._on_group = on_group
        self._head = bytearray()
        self._texts = {stream: _Text(redactor.stream(), command.max_line) for stream in Stream}
        self._open_ended: dict[Stream, bool] = {}  # a dropped last line without its end, by stream

    @property
    def noise(self) -> str:
        """What was printed instead of our first line, redacted."""
        stream = self._redactor.stream()
        text = self._head.decode("utf-8", "replace")
        return "\n".join(one.text for one in [*stream.feed(text), *stream.close()])

    def take(self, stream: Stream, data: bytes) -> None:
        """A chunk, cut anywhere. Never raises: it is called from within asyncssh."""
        if stream is Stream.OUT and not self.group.done():
            data = self._after_mark(data)
        if not data:
            return
        if self.lines >= self._command.max_lines:
            self.dropped += data.count(b"\n")
            self._open_ended[stream] = not data.endswith(b"\n")
            return
        for text, altered in self._texts[stream].feed(data):
            self._hand_over(stream, text, altered)

    def close(self) -> None:
        """The last lines, if they had no line ends."""
        for stream, text in self._texts.items():
            if stream in self._open_ended:
                self.dropped += self._open_ended[stream]
            else:
                for line, altered in text.close():
                    self._hand_over(stream, line, altered)

    def _after_mark(self, data: bytes) -> bytes:
        """A login's greeting before our first line is not the command's output; it is bounded and thrown away."""
        self._head += data
        found = groups_of_host.marked(self._head)
        if found is None:
            del self._head[:-NOISE]
            return b""
        group, end = found
        rest = bytes(self._head[end:])
        self._head.clear()
        self.group.set_result(group)
        if self._on_group is not None and group > 1:
            self._guarded(self._on_group, group)
        return rest

    def _hand_over(self, stream: Stream, text: str, altered: bool) -> None:
        if self.lines >= self._command.max_lines:
            self.dropped += 1
            return
        self.lines += 1
        if self._on_line is not None:
            self._guarded(self._on_line, Line(stream=stream, text=text, altered=altered))

    def _guarded(self, listener: Callable[[T], None], told: T) -> None:
        """A listener that breaks must not take the connection, and other people's commands, with it."""
        try:
            listener(told)
        except Exception:
            log.exception("output_listener_failed")


# Colours, cursor movements, window titles.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_=>])")
# Controls other than tab, line separators that only Python knows, and marks that turn the reading direction around.
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def _visible(found: re.Match[str]) -> str:
    """Shown rather than removed: taking one out could join two halves into something that nobody printed."""
    code = ord(found[0])
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


class _Text:
    """The lines of one stream: bytes in, (text, altered) out. Keeps at most `max_line` characters and a margin."""

    def __init__(self, redacting: RedactingStream, max_line: int) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._redacting = redacting
        self._max_line = max_line
        self._longest = max_line + MARGIN
        self._rest = ""
        self._cut = False
        self._unsettled = False  # a line that we altered is still held by the redactor

    def feed(self, data: bytes) -> list[tuple[str, bool]]:
        """The lines that are complete by now."""
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        if self._are_plain(lines):
            redacted = self._redacting.feed("\n".join((*lines, "")))
            done = [self._shown(line, cut=False, altered=False) for line in redacted]
        else:
            done = [shown for line in lines for shown in self._line(line)]
        if len(self._rest) > self._longest:
            self._rest = self._bounded(self._rest)
        return done

    def close(self) -> list[tuple[str, bool]]:
        """What is left at the end of the stream."""
        self._rest += self._decoder.decode(b"", final=True)
        last = self._line(self._rest) if self._rest else []
        self._rest = ""
        return last + [self._shown(line, cut=False, altered=self._unsettled) for line in self._redacting.close()]

    def _are_plain(self, lines: Sequence[str]) -> bool:
        """Whether there is nothing to clean or to cut in these lines, so that they may be redacted together."""
        if self._cut or self._unsettled or len(lines) < 2 or max(map(len, lines)) > self._max_line:
            return False
        text = "".join(lines)
        return "\ufffd" not in text and text.replace("\t", "").isprintable()

    def _line(self, raw: str) -> list[tuple[str, bool]]:
        """Clean first, then redact, then cut: a secret in two pieces is none that anybody would recognise."""
        text = _ESCAPES.sub("", self._bounded(raw).rstrip("\r"))
        cut, self._cut = self._cut, False
        _, _, text = text.rpartition("\r")  # a progress bar draws over itself; its last state counts
        text = _CONTROLS.sub(_visible, text)
        altered = cut or text != raw.rstrip("\r") or "\ufffd" in text or self._unsettled
        lines = self._redacting.feed(text + "\n")
        self._unsettled = altered and not lines
        return [self._shown(line, cut=cut and line is lines[-1], altered=altered) for line in lines]

    def _bounded(self, raw: str) -> str:
        """What a terminal would still show of it, cut at the longest that we keep."""
        body = raw.rstrip("\r")
        trail = "\r" if len(body) < len(raw) else ""
        _, over, last = body.rpartition("\r")
        self._cut = self._cut and not over
        if len(last) > self._longest:
            last, self._cut = last[: self._longest], True
        return (f"\r{last}" if over else last) + trail

    def _shown(self, line: RedactedText, *, cut: bool, altered: bool) -> tuple[str, bool]:
        text = (
            line.text[:-MARGIN] if cut else line.text
        )  # masks are short: without this a half secret could come into view
        return text[: self._max_line], altered or line.altered or len(text) > self._max_line


class _Ender:
    """Ends process groups of one host: all that are asked for within a few ms, by one remote command."""

    def __init__(self, ask: Callable[[str, float], Coroutine[Any, Any, str]], patience: Patience) -> None:
        self._ask = ask
        self._patience = patience
        self._waiting: dict[float, tuple[set[int], asyncio.Future[Mapping[int, Found]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def end(self, groups: Sequence[int], grace: float) -> Mapping[int, Found]:
        """What was found of each at last; unknown where the host couldn't be asked."""
        if grace not in self._waiting:
            self._waiting[grace] = (set(), asyncio.get_running_loop().create_future())
            task = asyncio.create_task(self._end(grace))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        together, found = self._waiting[grace]
        together.update(groups)
        return await asyncio.shield(found)

    async def close(self) -> None:
        """Give up on what is pending."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _end(self, grace: float) -> None:
        together, answer = self._waiting[grace]
        found: Mapping[int, Found] = {}
        try:
            await asyncio.sleep(self._patience.gather)
            del self._waiting[grace]
            groups = sorted(together)
            seconds = grace + groups_of_host.AFTER_KILL + self._patience.answer
            text = await self._ask(groups_of_host.end(groups, grace=grace), seconds)
            found = groups_of_host.read_report(groups, text)
        except HostError as error:
            log.warning("groups_not_ended", host=error.host, groups=sorted(together), error=error.message)
        except Exception:  # whatever it is, those who wait are told that they are not known to be gone
            log.exception("groups_not_ended", groups=sorted(together))
        finally:
            if not answer.done():
                answer.set_result({group: found.get(group, UNKNOWN) for group in together})


_CHECK = (
    "exec sh -c 'id -un; uname -sr; if sudo -n true >/dev/null 2>&1; then echo yes; else echo no; fi' handrail-check"
)
_SUDO = {True: "works for any command", False: "is limited to listed commands, or missing"}


@dataclass(frozen=True, kw_only=True)
class _Login:
    """What one connection shows to be let in. `words`: what that is, for whom it was refused."""

    key: asyncssh.SSHKey | None
    password: Secret | None
    words: str

    @property
    def methods(self) -> str:
        """In the order in which they are tried; some servers ask for a password only in the form of questions."""
        wanted = [("publickey", self.key), ("password", self.password), ("keyboard-interactive", self.password)]
        return ",".join(name for name, given in wanted if given is not None)


class _Logins:
    """Keys of files, each read once; stored keys and passwords, opened for each connection."""

    def __init__(self, key_file: Path | None, vault: Opens) -> None:
        self._default = key_file
        self._vault = vault
        self._loaded: dict[Path, asyncssh.SSHKey] = {}
        if key_file is not None:
            try:
                self._load(key_file, None)
            except (OSError, asyncssh.KeyImportError) as error:
                raise ConfigurationError([f"The SSH key {key_file} can't be read: {error}."]) from error

    async def of(self, host: Host) -> _Login:
        """The host's own, or the default key. Raises LoginRefused when there is none to be had, HostUnreachable."""
        try:
            key = await self._key(host)
            password = await self._vault.open(host.password) if host.password is not None else None
        except SecretUnavailable as error:
            raise LoginRefused(host.name, f"There is no login for '{host.name}'. {error.message}") from error
        except StorageUnavailable as error:
            message = f"The login for '{host.name}' can't be looked up; nothing was sent. {error.message}"
            raise HostUnreachable(host.name, message) from error
        if key is None and password is None:
            raise LoginRefused(host.name, f"There is no SSH key for '{host.name}'. Set `ssh.key_file` in handrail.yml.")
        return _Login(key=key, password=password, words=_login_words(host, key))

    async def _key(self, host: Host) -> asyncssh.SSHKey | None:
        if host.key is not None:
            return await self._stored_key(host, host.key)
        path = host.key_file or (self._default if host.password is None else None)
        if path is None or path in self._loaded:
            return self._loaded.get(path) if path is not None else None
        passphrase = await self._passphrase(host)
        try:
            return self._load(path, passphrase)
        except (OSError, asyncssh.KeyImportError) as error:
            raise LoginRefused(host.name, f"The SSH key {path} for '{host.name}' can't be read: {error}.") from error

    async def _stored_key(self, host: Host, name: str) -> asyncssh.SSHKey:
        secret, passphrase = await self._vault.open(name), await self._passphrase(host)
        # Decrypting takes a tenth of a second, in which other hosts' output should not have to wait.
        key = await asyncio.to_thread(_imported, secret, passphrase)
        if key is None:
            raise LoginRefused(
                host.name,
                f"The secret '{name}' is no private key that can be read{_about_passphrase(host)}. Store it again: "
                f"`handrail secrets set {name} < KEYFILE`.",
            )
        return key

    async def _passphrase(self, host: Host) -> Secret | None:
        return await self._vault.open(host.passphrase) if host.passphrase is not None else None

    def _load(self, path: Path, passphrase: Secret | None) -> asyncssh.SSHKey:
        if path not in self._loaded:
            # Decrypting takes a tenth of a second, hence once; an error to be raised names the file but never its text.
            words = passphrase.reveal() if passphrase is not None else None
            self._loaded[path] = asyncssh.import_private_key(path.read_bytes(), words)
        return self._loaded[path]


def _imported(secret: Secret, passphrase: Secret | None) -> asyncssh.SSHKey | None:
    """The key; None when it can't be read. No error leaves here: what a parser says of a key may quote it."""
    try:
        # A pasted key may have lost its last line end, without which it is none.
        return asyncssh.import_private_key(
            secret.reveal().rstrip("\n") + "\n", passphrase.reveal() if passphrase is not None else None
        )
    except ValueError:
        return None


def _about_passphrase(host: Host) -> str:
    if host.passphrase is None:
        return ", or it has a passphrase and `passphrase` is not set for this host"
    return f", or '{host.passphrase}' is not its passphrase"


def _login_words(host: Host, key: asyncssh.SSHKey | None) -> str:
    shown = [f"our key {key.get_fingerprint()}"] if key is not None else []
    shown += [f"the password '{host.password}'"] if host.password is not None else []
    return " or ".join(shown)


def _read_known_hosts(known_hosts: bytes | Path) -> asyncssh.SSHKnownHosts:
    """Parsed once: asyncssh would do it again for every connection, and take an empty text for none given."""
    try:
        data = known_hosts if isinstance(known_hosts, bytes) else known_hosts.read_bytes()
        return asyncssh.import_known_hosts(data.decode())
    except (OSError, ValueError) as error:
        name = "known_hosts" if isinstance(known_hosts, bytes) else str(known_hosts)
        raise ConfigurationError([f"The file of known host keys ({name}) can't be read: {error}."]) from error


class _Client(asyncssh.SSHClient):
    """Remembers the key that was shown, reads in small pieces, and tells when the connection is gone."""

    def __init__(self) -> None:
        self.shown: asyncssh.SSHKey | None = None
        self.on_lost: Callable[[], None] = lambda: None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Nothing is read yet. Neither asyncio nor asyncssh has a public way to say how much is read at once."""
        conn._transport.max_size = AT_ONCE  # type: ignore[union-attr]

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Only asked about keys that known_hosts doesn't hold. Never."""
        self.shown = key
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone, for whatever reason."""
        self.on_lost()


async def _connect(pool: _Pool, logins: _Logins, known: asyncssh.SSHKnownHosts) -> _Connection:
    """A connection that is logged in; raises HostKeyRefused, LoginRefused or HostUnreachable."""
    host, patience = pool.host, pool.patience
    client = _Client()
    login = await logins.of(host)
    try:
        async with asyncio.timeout(patience.connect + patience.login):
            ssh = await asyncssh.connect(
                host.address,
                host.port,
                username=host.user,
                client_factory=lambda: client,
                config=None,
                known_hosts=known,
                client_keys=[login.key] if login.key is not None else None,
                preferred_auth=login.methods,
                # Asked for when it is needed: the options live as long as the connection.
                password=login.password.reveal if login.password is not None else None,
                agent_path=None,
                agent_forwarding=False,
                gss_host=None,
                proxy_command=None,
                encryption_algs=CIPHERS,
                compression_algs=["none"],
                connect_timeout=patience.connect,
                login_timeout=patience.login,
                keepalive_interval=patience.keepalive,
                keepalive_count_max=3,
            )
    except (OSError, TimeoutError, asyncssh.Error) as error:
        raise _refusal(host, client, login, known, error) from error
    connection = _Connection(pool, ssh)
    client.on_lost = connection.gone
    return connection


def _refusal(host: Host, client: _Client, login: _Login, known: asyncssh.SSHKnownHosts, error: Exception) -> HostError:
    """The error in words, with the next move."""
    where = f"'{host.name}' ({host.address} port {host.port})"
    if isinstance(error, asyncssh.HostKeyNotVerifiable) or "host key algorithm" in str(error):
        return HostKeyRefused(host.name, _about_host_key(where, host, client.shown, known))
    if isinstance(error, asyncssh.PermissionDenied | asyncssh.IllegalUserName):
        return LoginRefused(
            host.name, f"{where} does not let '{host.user}' in with {login.words}. {_about_login(host, login)}"
        )
    return HostUnreachable(host.name, _about_no_connection(where, host, error))


def _about_login(host: Host, login: _Login) -> str:
    if login.key is not None:
        return f"Put its public half into the authorized_keys of '{host.user}' there."
    return f"Store the right one with `handrail secrets set {host.password}`; does its sshd allow passwords?"


def _about_host_key(where: str, host: Host, shown: asyncssh.SSHKey | None, known: asyncssh.SSHKnownHosts) -> str:
    key = f"{shown.algorithm.decode()} {shown.get_fingerprint()}" if shown else "a key of another kind"
    port = host.port if host.port != 22 else None
    if any(known.match(host.address, host.address, port)):
        return (
            f"{where} shows another key than known_hosts holds for it: {key}. It was reinstalled, or somebody is in "
            "between: ask its owner for the new fingerprint, and replace its line only if they agree."
        )
    return (
        f"The key of {where} is not known: it shows {key}. Compare that fingerprint with its owner, then add the "
        f"line that `ssh-keyscan -p {host.port} {host.address}` prints to the known_hosts file."
    )


def _about_no_connection(where: str, host: Host, error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"Nothing listens at {where}. Is sshd running, and is the port right?"
    if isinstance(error, socket.gaierror):
        return f"The address of {where} can't be resolved. Correct it in the inventory, or look at DNS."
    if isinstance(error, TimeoutError) or "timeout" in str(error).lower():
        return f"{where} does not answer. Is it up, and does a firewall let us through?"
    if isinstance(error, OSError):
        return f"{where} can't be reached: {error.strerror or error}. Is it up, and is there a route to it?"
    said = str(error)[:300]  # whatever answers there may say as much as fits a packet
    return f"{where} ended the connection before we were logged in: {said}. Is that an SSH server, and is it healthy?"
