"""A small simulated Linux system: processes, signals, pipes, files, services, and a POSIX shell over them. No sockets.

Everything a demo host does happens in here, in memory. A simulated process is a record in `SimulatedSystem.processes`,
with an asyncio task when it runs something; its files are nodes of a tree held in a dictionary. Nothing in this module
starts a program, opens a file or sends a signal on the machine it runs on, so no text sent to a demo host can: that is
why the shell is interpreted here and not lent from the machine, where `kill` is a builtin and `>` needs no program.

In order: streams, files, processes and services, the system, the shell's grammar, the shell and its builtins, the
programs.
A process that is stopped (STOP, TSTP) is shown as `T` but goes on; the scheduler is not simulated.
"""

import asyncio
import fnmatch
import functools
import logging
import posixpath
import re
import shlex
import signal as signals
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias, assert_never

log = logging.getLogger(__name__)

SIGNALS = {name.removeprefix("SIG"): int(number) for name, number in signals.Signals.__members__.items()}
SIGNAL_NAMES = {int(number): number.name.removeprefix("SIG") for number in signals.Signals}
HUP, INT, QUIT, KILL, PIPE, TERM, CHLD, CONT, STOP = (
    SIGNALS[name] for name in ("HUP", "INT", "QUIT", "KILL", "PIPE", "TERM", "CHLD", "CONT", "STOP")
)
STOPPING = frozenset(SIGNALS[name] for name in ("STOP", "TSTP", "TTIN", "TTOU"))
HARMLESS = frozenset(SIGNALS[name] for name in ("CHLD", "CONT", "URG", "WINCH"))
TICKS = 100  # clock ticks per second, as `getconf CLK_TCK` says on Linux
PIPE_LIMIT = 65_536  # bytes a pipe holds before its writer waits
FILE_LIMIT = 16 * 1024 * 1024  # bytes one simulated file may hold; the disk of a demo is small
VALUE_LIMIT = 1024 * 1024  # characters of one shell variable
PROCESS_LIMIT = 2_000
NAME_LENGTH = 15  # what the kernel keeps of a process name
SYSTEM_USERS = {"root": 0, "www-data": 33, "postgres": 106, "app": 998, "ops": 1000}
SEARCHED = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")


# -- streams ----------------------------------------------------------------------------------------------------------


class Stream:
    """An open file description. Descriptors share it; the last one to go closes it."""

    def __init__(self) -> None:
        self.holders = 0

    def hold(self) -> "Stream":
        """Count one more descriptor."""
        self.holders += 1
        return self

    def release(self) -> None:
        """Count one less; nobody left closes it."""
        self.holders -= 1
        if self.holders == 0:
            self.closed()

    def closed(self) -> None:
        """Nobody holds it any more."""

    async def read(self, limit: int) -> bytes:
        """At most `limit` bytes; empty at the end."""
        raise OSError("Bad file descriptor")

    async def write(self, data: bytes) -> None:
        """Hand over all of it; raises BrokenPipeError when nobody will read."""
        raise OSError("Bad file descriptor")


class Null(Stream):
    """/dev/null."""

    async def read(self, limit: int) -> bytes:
        """Nothing."""
        return b""

    async def write(self, data: bytes) -> None:
        """Forget it."""


class Bell:
    """Wakes everybody who waits, and can be rung again."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake them."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Until the next ring."""
        await self._event.wait()


class Pipe:
    """Bytes from one end to the other. A writer waits while `limit` bytes lie in it; None never waits."""

    def __init__(self, limit: int | None = PIPE_LIMIT) -> None:
        self.limit = limit
        self.held = bytearray()
        self.bell = Bell()
        self.unread = self.finished = False
        self.reader = PipeReader(self)
        self.writer = PipeWriter(self)


class PipeReader(Stream):
    """The end that is read."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__()
        self.pipe = pipe

    async def read(self, limit: int) -> bytes:
        """What lies there; waits for the first byte, empty once the writer is gone."""
        pipe = self.pipe
        while not pipe.held and not pipe.finished:
            await pipe.bell.wait()
        data = bytes(pipe.held[:limit])
        del pipe.held[:limit]
        pipe.bell.ring()
        return data

    def closed(self) -> None:
        """The writer learns it at its next byte."""
        self.pipe.unread = True
        self.pipe.bell.ring()


class PipeWriter(Stream):
    """The end that is written."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__()
        self.pipe = pipe

    async def write(self, data: bytes) -> None:
        """Put it in; waits for room."""
        pipe = self.pipe
        while pipe.limit is not None and len(pipe.held) >= pipe.limit and not pipe.unread:
            await pipe.bell.wait()
        if pipe.unread:
            raise BrokenPipeError
        pipe.held += data
        pipe.bell.ring()

    def closed(self) -> None:
        """The reader gets the rest, then the end."""
        self.pipe.finished = True
        self.pipe.bell.ring()


# -- files ------------------------------------------------------------------------------------------------------------


@dataclass(eq=False, kw_only=True)
class Node:
    """A file or a directory. `padding`: bytes it is larger than its data, so that a demo may have a 3 GB log."""

    number: int
    directory: bool = False
    data: bytes = b""
    padding: int = 0
    mode: int = 0o644
    owner: str = "root"
    modified: datetime

    @property
    def size(self) -> int:
        """Bytes, as `ls -l` shows them."""
        return 4096 if self.directory else len(self.data) + self.padding


class OpenFile(Stream):
    """A descriptor of a simulated file."""

    def __init__(self, node: Node, *, append: bool, now: Callable[[], datetime]) -> None:
        super().__init__()
        self.node, self.append, self.now, self.offset = node, append, now, 0

    async def read(self, limit: int) -> bytes:
        """From where the last read ended."""
        data = self.node.data[self.offset : self.offset + limit]
        self.offset += len(data)
        return data

    async def write(self, data: bytes) -> None:
        """At the end, or over what is there; raises OSError when the demo's limit for one file is reached."""
        start = len(self.node.data) if self.append else self.offset
        if start + len(data) > FILE_LIMIT:
            raise OSError("No space left on device")
        old = self.node.data
        self.node.data = old[:start].ljust(start, b"\0") + data + old[start + len(data) :]
        self.node.modified = self.now()
        self.offset = start + len(data)


# -- processes and services -------------------------------------------------------------------------------------------


@dataclass(eq=False, kw_only=True)
class Process:
    """One simulated process. Without a task it only stands in the table until a signal ends it."""

    pid: int
    parent: int
    group: int
    session: int
    user: str
    name: str  # at most 15 characters, what pgrep -x compares
    arguments: tuple[str, ...]
    started: datetime
    ticks: int  # since boot, in 1/100 s: field 22 of /proc/PID/stat
    cgroup: str
    kernel: bool = False
    state: str = "S"
    processor: float = 0.0  # percent
    resident: int = 4096  # kB
    invoked_by: str | None = None  # below sudo: who may still signal it
    ignored: set[int] = field(default_factory=set)
    caught: set[int] = field(default_factory=set)
    pending: list[int] = field(default_factory=list)
    relay: Callable[[int], None] | None = None
    files: dict[int, Stream] = field(default_factory=dict)
    directory: str = "/"
    service: str | None = None
    task: "asyncio.Task[int] | None" = None
    fatal: int | None = None
    status: int | None = None  # 0..255 as `$?` shows it, 128 + N after signal N
    alert: Bell = field(default_factory=Bell)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def line(self) -> str:
        """Its command line as ps prints it."""
        return f"[{self.name}]" if self.kernel else " ".join(self.arguments)

    def connect(self, number: int, stream: Stream) -> None:
        """Make this descriptor that stream."""
        stream.hold()
        self.disconnect(number)
        self.files[number] = stream

    def disconnect(self, number: int) -> None:
        """Close this descriptor, if it is open."""
        if number in self.files:
            self.files.pop(number).release()


class Breakage(StrEnum):
    """The ways a demo service can be broken."""

    START_FAILS = "start fails"  # its program exits with 1 at once
    CRASHES = "crashes"  # it starts, and dies a moment later
    HANGS = "hangs"  # its start does not come to an end


@dataclass(eq=False, kw_only=True)
class Service:
    """A systemd unit of the simulation. Times are aware; `respawns` is Restart=on-failure."""

    name: str
    description: str
    user: str
    command: str
    workers: tuple[str, ...] = ()
    respawns: bool = False
    broken: Breakage | None = None
    active: str = "inactive"
    sub: str = "dead"
    result: str = "success"
    exit_code: int = 0
    main_pid: int = 0
    changed: datetime
    entered: datetime | None = None
    restarts: int = 0  # by `systemctl restart`
    respawned: int = 0  # by systemd itself: NRestarts
    job: str | None = None
    running_job: "asyncio.Task[bool] | None" = None

    @property
    def unit(self) -> str:
        """Its full name."""
        return f"{self.name}.service"

    @property
    def cgroup(self) -> str:
        """Where its processes are, as /proc/PID/cgroup shows it."""
        if "@" in self.name:
            template = self.name.partition("@")[0]
            return f"/system.slice/system-{template}.slice/{self.unit}"
        return f"/system.slice/{self.unit}"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the journal."""

    at: datetime
    unit: str
    origin: str  # "systemd[1]"
    text: str


Body: TypeAlias = "Callable[[Process], Awaitable[int]]"
Program: TypeAlias = "Callable[[Call], Awaitable[int]]"


async def everything(stream: Stream) -> bytes:
    """All that comes; raises OSError when it is more than a demo should hold."""
    held = bytearray()
    while chunk := await stream.read(PIPE_LIMIT):
        held += chunk
        if len(held) > FILE_LIMIT:
            raise OSError("Cannot allocate memory")
    return bytes(held)


@dataclass(kw_only=True)
class Call:
    """A program being run: its words (the first is its name), its environment and where it runs."""

    system: "SimulatedSystem"
    process: Process
    words: list[str]
    environment: dict[str, str]

    async def say(self, text: str) -> None:
        """Write this line to standard output."""
        await self.put(1, (text + "\n").encode("utf-8", "surrogateescape"))

    async def complain(self, text: str, status: int = 1) -> int:
        """Write this line to standard error and hand back the status."""
        await self.put(2, (text + "\n").encode("utf-8", "surrogateescape"))
        return status

    async def put(self, number: int, data: bytes) -> None:
        """Write bytes to a descriptor; a closed one swallows them."""
        if number in self.process.files and data:
            await self.process.files[number].write(data)

    async def input(self) -> bytes:
        """All of standard input; raises OSError when that is more than a demo should hold."""
        return await everything(self.process.files[0]) if 0 in self.process.files else b""

    def path(self, name: str) -> str:
        """A name seen from the current directory."""
        return posixpath.normpath(posixpath.join(self.process.directory, name)).replace("//", "/")


# -- the system -------------------------------------------------------------------------------------------------------


class SimulatedSystem:
    """One host: its processes, services, files, journal and clock.

    `now` gives aware datetimes; `pause` waits for seconds (asyncio.sleep outside of tests); `restart_seconds` is what a
    unit needs to stop and start, `stop_timeout` how long systemd waits for a start that hangs.
    """

    def __init__(
        self,
        hostname: str,
        *,
        now: Callable[[], datetime],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        restart_seconds: float = 1.0,
        start_timeout: float = 90.0,
        login: str = "ops",
    ) -> None:
        self.hostname, self.now, self.pause, self.login = hostname, now, pause, login
        self.restart_seconds, self.start_timeout = restart_seconds, start_timeout
        self.booted = now() - timedelta(days=41, hours=3, minutes=17)
        self.users = dict(SYSTEM_USERS) | ({} if login in SYSTEM_USERS else {login: 1001})
        self.processes: dict[int, Process] = {}
        self.services: dict[str, Service] = {}
        self.files: dict[str, Node] = {}
        self.journal: list[Entry] = []
        self.closing = False
        self._last_pid = 1
        self._last_node = 1000
        self._tasks: set[asyncio.Task[int] | asyncio.Task[bool]] = set()
        furnish(self)

    # processes

    def spawn(
        self,
        *arguments: str,
        name: str | None = None,
        user: str = "root",
        parent: int = 1,
        group: int | None = None,
        session: int | None = None,
        cgroup: str = "/init.scope",
        pid: int | None = None,
        started: datetime | None = None,
        ignored: Iterable[int] = (),
    ) -> Process:
        """Put a process into the table that does nothing but be there. `pid` only for those with a number of old."""
        number = self._free_pid() if pid is None else pid
        self._last_pid = max(self._last_pid, number)
        moment = started or self.now()
        process = Process(
            pid=number,
            parent=parent,
            group=number if group is None else group,
            session=number if session is None else session,
            user=user,
            name=(name or posixpath.basename(arguments[0].split(" ")[0]))[:NAME_LENGTH],
            arguments=arguments,
            started=moment,
            ticks=int((moment - self.booted).total_seconds() * TICKS),
            cgroup=cgroup,
            ignored=set(ignored),
        )
        self.processes[number] = process
        return process

    def run(self, process: Process, body: Body) -> Process:
        """Let this process do something. It ends when the body returns its status, or when a signal cancels it."""
        process.task = asyncio.create_task(self._live(process, body))
        process.task.add_done_callback(functools.partial(self._finished, process))
        self._tasks.add(process.task)
        process.task.add_done_callback(self._tasks.discard)
        return process

    def fork(self, parent: Process, body: Body, *arguments: str, user: str | None = None) -> Process:
        """A child with the parent's group, descriptors, directory and ignored signals, running `body`."""
        if len(self.processes) >= PROCESS_LIMIT:
            raise OSError("Cannot fork: Resource temporarily unavailable")
        child = self.spawn(
            *(arguments or parent.arguments),
            name=None if arguments else parent.name,
            user=user or parent.user,
            parent=parent.pid,
            group=parent.group,
            session=parent.session,
            cgroup=parent.cgroup,
            ignored=parent.ignored,
        )
        child.directory, child.state, child.invoked_by = parent.directory, "R", parent.invoked_by
        for number, stream in parent.files.items():
            child.connect(number, stream)
        return self.run(child, body)

    def open_session(self, body: Body, *arguments: str, files: Mapping[int, Stream]) -> Process:
        """A login session: a process that leads its own session and group, below sshd."""
        listener = self.service("sshd").main_pid or 1
        process = self.spawn(
            *arguments,
            user=self.login,
            parent=listener,
            cgroup=f"/user.slice/user-{self.users[self.login]}.slice/session-{self._last_pid}.scope",
        )
        process.directory = f"/home/{self.login}"
        for number, stream in files.items():
            process.connect(number, stream)
        return self.run(process, body)

    def signal(self, process: Process, number: int) -> None:
        """Deliver a signal as the kernel would. Number 0 does nothing."""
        if number == 0 or process.status is not None or process.pid == 1 or process.kernel:
            return
        if number == CONT and process.state == "T":
            process.state = "S"
        if number in STOPPING and number not in process.ignored:
            process.state = "T"
        elif number in process.ignored and number != KILL:
            return
        elif number in process.caught and number != KILL:
            process.pending.append(number)
            process.alert.ring()
        elif process.relay is not None and number != KILL:
            process.relay(number)
        elif number not in HARMLESS:
            self._end(process, number)

    def may_signal(self, sender: Process, process: Process) -> bool:
        """Root everything; anybody else what is theirs, or the `sudo` they started."""
        return sender.user in ("root", process.user, process.invoked_by)

    def group(self, number: int) -> list[Process]:
        """The processes of one group."""
        return [process for process in self.processes.values() if process.group == number]

    async def close(self) -> None:
        """End every task. The table is empty afterwards."""
        self.closing = True
        while self._tasks:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self.processes.clear()

    def _free_pid(self) -> int:
        self._last_pid += 1
        while self._last_pid in self.processes or self._last_pid >= 4_194_304:
            self._last_pid = 2000 if self._last_pid >= 4_194_304 else self._last_pid + 1
        return self._last_pid

    async def _live(self, process: Process, body: Body) -> int:
        try:
            return await body(process)
        except BrokenPipeError:
            process.fatal = PIPE
            return 128 + PIPE
        except Leave as leave:
            return leave.status

    def _end(self, process: Process, number: int) -> None:
        if process.fatal is None:
            process.fatal = number
            if process.task is None:
                self._remove(process, 128 + number)
            else:
                process.task.cancel()

    def _finished(self, process: Process, task: "asyncio.Task[int]") -> None:
        if task.cancelled():
            process.fatal = process.fatal or KILL
            status = 128 + process.fatal
        elif (problem := task.exception()) is not None:
            log.error("simulated_process_broke", exc_info=problem)
            status = 70
        else:
            status = task.result()
        self._remove(process, status)

    def _remove(self, process: Process, status: int) -> None:
        process.status = status
        for number in list(process.files):
            process.disconnect(number)
        self.processes.pop(process.pid, None)
        for child in self.processes.values():
            if child.parent == process.pid:
                child.parent = 1
        process.ended.set()
        if process.service is not None and not self.closing:
            self._service_lost(self.services[process.service], process)

    # services

    def service(self, name: str) -> Service:
        """A unit by its name, with or without `.service`; KeyError if there is none."""
        return self.services[name.removesuffix(".service")]

    def break_service(self, name: str, how: Breakage | str) -> None:
        """From its next start on, this service is broken."""
        self.service(name).broken = Breakage(how)

    def repair_service(self, name: str) -> None:
        """From its next start on, this service works again."""
        self.service(name).broken = None

    def order(self, service: Service, verb: str) -> "asyncio.Task[bool]":
        """Give systemd a job: start, stop, restart. It goes on whoever asked for it dies. True if it worked."""

        async def job(previous: "asyncio.Task[bool] | None") -> bool:
            if previous is not None:
                await asyncio.wait({previous})
            service.job = verb
            try:
                return await self._carry_out(service, verb)
            finally:
                service.job = None

        task = asyncio.create_task(job(service.running_job))
        service.running_job = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def note(self, unit: str, origin: str, text: str) -> None:
        """Add a line to the journal; the oldest go when it is long."""
        self.journal.append(Entry(at=self.now(), unit=unit, origin=origin, text=text))
        del self.journal[:-5000]

    async def _carry_out(self, service: Service, verb: str) -> bool:
        if verb in ("stop", "restart") and service.main_pid:
            await self._stop(service)
        if verb == "stop":
            return True
        if service.active == "active":
            return True
        worked = await self._start(service)
        service.restarts += worked and verb == "restart"
        return worked

    async def _stop(self, service: Service) -> None:
        self.note(service.name, "systemd[1]", f"Stopping {service.unit} - {service.description}...")
        self._turn(service, "deactivating", "stop-sigterm")
        await self.pause(self.restart_seconds * 0.4)
        self._clear(service)
        self._turn(service, "inactive", "dead")
        service.result = "success"
        self.note(service.name, "systemd[1]", f"{service.unit}: Deactivated successfully.")
        self.note(service.name, "systemd[1]", f"Stopped {service.unit} - {service.description}.")

    async def _start(self, service: Service) -> bool:
        self.note(service.name, "systemd[1]", f"Starting {service.unit} - {service.description}...")
        self._turn(service, "activating", "start")
        if service.broken is Breakage.HANGS:
            await self.pause(self.start_timeout)
            return self._failed(service, result="timeout", code=0, why="start operation timed out. Terminating.")
        await self.pause(self.restart_seconds * 0.6)
        if service.broken is Breakage.START_FAILS:
            pid = self._free_pid()
            short = posixpath.basename(service.command.split(" ")[0])
            self.note(service.name, f"{short}[{pid}]", "configuration error: unexpected end of file, expecting '}'")
            why = "Main process exited, code=exited, status=1/FAILURE"
            return self._failed(service, result="exit-code", code=1, why=why)
        self.raise_service(service)
        self.note(service.name, "systemd[1]", f"Started {service.unit} - {service.description}.")
        if service.broken is Breakage.CRASHES:
            self._tasks.add(task := asyncio.create_task(self._crash(service, service.main_pid)))
            task.add_done_callback(self._tasks.discard)
        return True

    async def _crash(self, service: Service, pid: int) -> bool:
        await self.pause(self.restart_seconds)
        if pid in self.processes:
            self.signal(self.processes[pid], SIGNALS["SEGV"])
        return True

    def raise_service(self, service: Service, *, started: datetime | None = None) -> None:
        """Its main process and its workers are there, and it is active."""
        main = self.spawn(service.command, user="root", cgroup=service.cgroup, started=started)
        if not service.workers:
            main.user = service.user
        main.service, service.main_pid = service.name, main.pid
        for worker in service.workers:
            child = self.spawn(
                worker,
                name=main.name,
                user=service.user,
                parent=main.pid,
                group=main.pid,
                session=main.pid,
                cgroup=service.cgroup,
                started=started,
            )
            child.service = service.name
        service.result, service.exit_code = "success", 0
        self._turn(service, "active", "running", at=started)
        service.entered = started or self.now()

    def _turn(self, service: Service, active: str, sub: str, *, at: datetime | None = None) -> None:
        service.active, service.sub, service.changed = active, sub, at or self.now()

    def _clear(self, service: Service) -> None:
        service.main_pid = 0
        for process in [each for each in self.processes.values() if each.service == service.name]:
            process.service = None
            self._end(process, KILL)

    def _failed(self, service: Service, *, result: str, code: int, why: str) -> bool:
        self._clear(service)
        service.result, service.exit_code = result, code
        self._turn(service, "failed", "failed")
        self.note(service.name, "systemd[1]", f"{service.unit}: {why}")
        self.note(service.name, "systemd[1]", f"{service.unit}: Failed with result '{result}'.")
        if result != "signal":
            self.note(service.name, "systemd[1]", f"Failed to start {service.unit} - {service.description}.")
        return False

    def _service_lost(self, service: Service, process: Process) -> None:
        if process.pid != service.main_pid:
            return
        number = process.fatal or 0
        name = SIGNAL_NAMES.get(number, "0")
        why = f"Main process exited, code=killed, status={number}/{name}"
        if number in (HUP, INT, TERM, PIPE):  # systemd calls these a clean exit
            self._clear(service)
            self._turn(service, "inactive", "dead")
            self.note(service.name, "systemd[1]", f"{service.unit}: Deactivated successfully.")
            return
        self._failed(service, result="signal", code=number, why=why)
        if service.respawns and service.broken is None:
            service.respawned += 1
            self.note(service.name, "systemd[1]", f"{service.unit}: Scheduled restart job, restart counter is at 1.")
            self.order(service, "start")

    # files

    def write(self, path: str, text: str, *, owner: str = "root", mode: int = 0o644, padding: int = 0) -> Node:
        """A file with this text, and the directories above it."""
        self.directory(posixpath.dirname(path))
        node = self._node(owner=owner, mode=mode)
        node.data, node.padding = text.encode(), padding
        self.files[path] = node
        return node

    def directory(self, path: str, *, owner: str = "root", mode: int = 0o755) -> Node:
        """A directory and those above it."""
        if path not in self.files:
            if path != "/":
                self.directory(posixpath.dirname(path))
            self.files[path] = self._node(owner=owner, mode=mode, directory=True)
        return self.files[path]

    def _node(self, *, owner: str, mode: int, directory: bool = False) -> Node:
        self._last_node += 1
        return Node(number=self._last_node, owner=owner, mode=mode, directory=directory, modified=self.now())

    def may(self, user: str, path: str, bit: int) -> bool:
        """Whether this user may read (4), write (2) or search (1) the node at this path; the group counts as others."""
        node = self.files[path]
        return user == "root" or bool((node.mode >> 6 if node.owner == user else node.mode) & bit)

    def children(self, path: str) -> list[str]:
        """The names in a directory, sorted."""
        prefix = "/" if path == "/" else path + "/"
        found = {each[len(prefix) :] for each in self.files if each.startswith(prefix) and each != path}
        names = {name for name in found if name and "/" not in name}
        if path == "/proc":
            names |= {str(pid) for pid in self.processes}
        return sorted(names)

    def exists(self, path: str) -> bool:
        """Whether there is anything at this path, a program of PATH or a process's folder in /proc included."""
        if path in self.files or path == "/dev/null":
            return True
        folder, name = posixpath.split(path)
        return (folder in SEARCHED and name in PROGRAMS) or self.proc(path) is not None

    def proc(self, path: str) -> str | None:
        """The text of a file below /proc, "" for a process's folder; None if there is none."""
        match path.split("/"):
            case ["", "proc", "uptime"]:
                seconds = (self.now() - self.booted).total_seconds()
                return f"{seconds:.2f} {seconds * 1.9:.2f}\n"
            case ["", "proc", "loadavg"]:
                return f"0.42 0.36 0.31 1/{len(self.processes)} {self._last_pid}\n"
            case ["", "proc", "stat"]:
                return (
                    f"cpu  10132153 290696 3084719 46828483 16683 0 25195 0 0 0\nbtime {self.booted.timestamp():.0f}\n"
                )
            case ["", "proc", number, *rest] if number.isdecimal() and int(number) in self.processes:
                return proc_file(self.processes[int(number)], rest)
        return None

    def read_text(self, path: str, user: str) -> bytes:
        """The bytes of a file; raises OSError with the words a program prints."""
        if path == "/dev/null":
            return b""
        found = self.proc(path)
        if found:
            return found.encode()
        if found == "" and path.count("/") > 2:
            return b""
        if path not in self.files:
            raise OSError("Is a directory" if found == "" else "No such file or directory")
        if self.files[path].directory:
            raise OSError("Is a directory")
        if not self.may(user, path, 4):
            raise OSError("Permission denied")
        return self.files[path].data

    def open(self, path: str, how: str, user: str) -> Stream:
        """A descriptor for reading ("<"), writing (">") or appending (">>"); raises OSError with the shell's words."""
        if path == "/dev/null":
            return Null()
        if how == "<":
            data = self.read_text(path, user)
            node = self.files.get(path) or Node(number=0, data=data, modified=self.now())
            return OpenFile(node, append=False, now=self.now)
        node = self.create(path, user)
        if how != ">>":
            node.data, node.padding = b"", 0
        return OpenFile(node, append=how == ">>", now=self.now)

    def create(self, path: str, user: str) -> Node:
        """The file at this path, made if missing; raises OSError where the user may not write."""
        folder = posixpath.dirname(path)
        if path in self.files:
            if self.files[path].directory:
                raise OSError("Is a directory")
            if not self.may(user, path, 2):
                raise OSError("Permission denied")
            return self.files[path]
        if folder not in self.files:
            raise OSError("Directory nonexistent")
        if not self.may(user, folder, 2):
            raise OSError("Permission denied")
        return self.write(path, "", owner=user)


def proc_file(process: Process, rest: list[str]) -> str | None:
    """What /proc/PID/... says; an empty text for the folder itself."""
    match rest:
        case []:
            return ""
        case ["comm"]:
            return process.name + "\n"
        case ["cmdline"]:
            return "" if process.kernel else "\0".join(process.arguments) + "\0"
        case ["cgroup"]:
            return f"0::{'/' if process.kernel else process.cgroup}\n"
        case ["stat"]:
            before = (
                f"{process.pid} ({process.name}) {process.state} {process.parent} {process.group} {process.session}"
            )
            middle = "0 -1 4194304 1893 0 0 0 112 37 0 0 20 0 1 0"
            tail = "18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0"
            memory = f"{process.resident * 4096} {process.resident // 4}"
            return f"{before} {middle} {process.ticks} {memory} {tail}\n"
        case ["status"]:
            uid = SYSTEM_USERS.get(process.user, 1001)
            return (
                f"Name:\t{process.name}\nState:\t{process.state}\nTgid:\t{process.pid}\nPid:\t{process.pid}\n"
                f"PPid:\t{process.parent}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nVmRSS:\t{process.resident} kB\n"
            )
    return None


def furnish(system: SimulatedSystem) -> None:
    """Give a new host its first processes, services, files and journal."""
    long_ago = system.booted + timedelta(seconds=4)
    system.spawn("/sbin/init", name="systemd", pid=1, parent=0, started=system.booted)
    for number, name in enumerate(("kthreadd", "rcu_gp", "ksoftirqd/0", "kworker/0:1", "kswapd0", "jbd2/sda1-8"), 2):
        parent = 0 if number == 2 else 2
        thread = system.spawn(name, name=name, pid=number, parent=parent, group=0, session=0, started=system.booted)
        thread.kernel = True
    system._last_pid = 411
    for service in first_services(system.now()):
        system.services[service.name] = service
        if service.active == "active":
            system.raise_service(service, started=long_ago)
            system.note(service.name, "systemd[1]", f"Started {service.unit} - {service.description}.")
    system._last_pid = 24_116
    cron = system.service("cron")
    for flag, ignored in (("--month=2026-10", ()), ("--stuck", (TERM, INT, HUP))):
        worker = system.spawn(
            "/usr/local/bin/report-worker",
            flag,
            user="ops",
            parent=cron.main_pid,
            cgroup=cron.cgroup,
            started=system.now() - timedelta(hours=2, minutes=11),
            ignored=ignored,
        )
        worker.state, worker.processor, worker.resident = "R", 97.3, 1_843_200
    furnish_files(system)


def first_services(now: datetime) -> tuple[Service, ...]:
    """The units of a demo host; all run but `backup`."""

    def unit(name: str, description: str, user: str, command: str, *workers: str, respawns: bool = False) -> Service:
        return Service(
            name=name,
            description=description,
            user=user,
            command=command,
            workers=workers,
            respawns=respawns,
            active="active",
            changed=now,
        )

    master = "nginx: master process /usr/sbin/nginx -g daemon on; master_process on;"
    postgres = "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main"
    celery = "/srv/app/venv/bin/celery -A app worker --hostname=1"
    backup = unit("backup", "Nightly backup", "root", "/usr/local/bin/backup")
    return (
        unit("cron", "Regular background program processing daemon", "root", "/usr/sbin/cron -f"),
        unit("sshd", "OpenBSD Secure Shell server", "root", "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"),
        unit("nginx", "A high performance web server", "www-data", master, *["nginx: worker process"] * 2),
        unit("postgresql", "PostgreSQL RDBMS", "postgres", postgres, "postgres: checkpointer", "postgres: walwriter"),
        unit("celery@1", "Celery worker 1", "app", celery, respawns=True),
        unit("app", "The shop", "app", "/srv/app/venv/bin/gunicorn app:web", "gunicorn: worker", respawns=True),
        replace(backup, active="inactive"),
    )


def furnish_files(system: SimulatedSystem) -> None:
    """The folders and files of a demo host."""
    for path in ("/etc", "/var/log", "/var/lib", "/usr/bin", "/usr/sbin", "/home", "/root", "/proc", "/run", "/dev"):
        system.directory(path)
    for path in ("/tmp", "/var/tmp"):  # noqa: S108 - folders of the simulation
        system.directory(path, mode=0o777)
    system.directory(f"/home/{system.login}", owner=system.login)
    system.write("/etc/hostname", system.hostname + "\n")
    release = 'PRETTY_NAME="Simulated Linux (Handrail demo)"\nNAME="Simulated Linux"\nID=debian\nVERSION_ID="12"\n'
    system.write("/etc/os-release", release)
    system.write("/etc/motd", motd(system.hostname))
    system.write("/etc/nginx/nginx.conf", "user www-data;\nworker_processes 2;\nevents {}\nhttp {}\n")
    system.write("/etc/shadow", "root:*:20000:0:99999:7:::\n", mode=0o600)
    access = "".join(f'10.0.0.{n % 9} - - "GET /health HTTP/1.1" 200 2\n' for n in range(200))
    system.write("/var/log/nginx/access.log", access, owner="www-data", padding=412_000_000)
    system.write("/var/log/nginx/error.log", "worker process started\n", owner="www-data")
    system.write("/var/log/app/report.log", "report: row 1 of ?\n" * 50, owner="ops", padding=3_221_225_472)
    system.write("/var/log/syslog", f"{system.hostname} systemd[1]: Started session.\n", padding=88_000_000)


def motd(hostname: str) -> str:
    """What a login sees: that nothing here is real."""
    return f"{hostname} is a simulated demo host. Nothing here is real, and nothing here can harm a machine.\n"


# -- the shell's grammar ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Text:
    """Literal characters of a word."""

    text: str
    quoted: bool


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """`$name` and `${name OPERATOR argument}`; the operator `length` is `${#name}`."""

    name: str
    operator: str
    argument: "Word"
    quoted: bool


@dataclass(frozen=True, kw_only=True)
class Substitution:
    """`$(...)`."""

    body: "Sequenced"
    quoted: bool


@dataclass(frozen=True, kw_only=True)
class Sum:
    """`$((...))`."""

    expression: "Word"
    quoted: bool


Part: TypeAlias = "Text | Parameter | Substitution | Sum"
Word: TypeAlias = "tuple[Part, ...]"


@dataclass(kw_only=True)
class Redirect:
    """`number OPERATOR target`. The target of a here-document is its body, known once its line has ended."""

    number: int
    operator: str
    target: Word


@dataclass(frozen=True, kw_only=True)
class Simple:
    """Assignments, words and redirections."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True, kw_only=True)
class Redirected:
    """A compound command with redirections."""

    body: "Command"
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True, kw_only=True)
class Piped:
    """`! a | b | c`."""

    commands: "tuple[Command, ...]"
    negated: bool


@dataclass(frozen=True, kw_only=True)
class Chained:
    """`first && b || c`."""

    first: "Command"
    rest: "tuple[tuple[str, Command], ...]"


@dataclass(frozen=True, kw_only=True)
class Sequenced:
    """`a; b & c`: each with whether it goes to the background."""

    items: "tuple[tuple[Command, bool], ...]"


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """`( ... )`: a shell of its own."""

    body: Sequenced


@dataclass(frozen=True, kw_only=True)
class Branches:
    """`if`: conditions with what follows them, and `else`."""

    branches: tuple[tuple[Sequenced, Sequenced], ...]
    otherwise: Sequenced | None


@dataclass(frozen=True, kw_only=True)
class Loop:
    """`while` and `until`."""

    condition: Sequenced
    body: Sequenced
    until: bool


@dataclass(frozen=True, kw_only=True)
class Each:
    """`for name in words`; without `in`, the positional parameters."""

    name: str
    words: tuple[Word, ...] | None
    body: Sequenced


@dataclass(frozen=True, kw_only=True)
class Case:
    """`case word in pattern) ... ;; esac`."""

    word: Word
    arms: tuple[tuple[tuple[Word, ...], Sequenced], ...]


@dataclass(frozen=True, kw_only=True)
class Function:
    """`name() body`."""

    name: str
    body: "Command"


Command: TypeAlias = (
    Simple | Redirected | Piped | Chained | Sequenced | Grouped | Branches | Loop | Each | Case | Function
)


class Garbled(Exception):
    """The text is no shell text; the message is the shell's."""


REDIRECT = re.compile(r"(\d*)(<<-|<<|<&|>&|>>|<>|>\||<|>)")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
FUNCTION = re.compile(r"([A-Za-z_]\w*)[ \t]*\([ \t]*\)")
KEYWORD = re.compile(r"(?:[a-z]+|[{}!])(?=[\s;&|()<>]|$)")
NAME = re.compile(r"[A-Za-z_]\w*|\d|[@*#?$!-]")
BRACED_NAME = re.compile(r"[A-Za-z_]\w*|\d+|[@*#?$!-]")
OPERATOR = re.compile(r":?[-=?+]|%%|%|##|#")
CLOSERS = frozenset(("then", "else", "elif", "fi", "do", "done", "esac", "}"))
NESTING_LIMIT = 60
DEPTH_LIMIT = 120  # commands within commands while running; Python's own stack must never be the limit


class Grammar:
    """Reads shell text, from left to right, into commands. Raises Garbled."""

    def __init__(self, text: str, depth: int = 0) -> None:
        self.text, self.at, self.depth = text, 0, depth
        self.waiting: list[tuple[Redirect, str, bool, bool]] = []

    def program(self) -> Sequenced:
        """The whole text."""
        body = self.sequence()
        if self.at < len(self.text):
            raise self.unexpected()
        if self.waiting:
            self.here_documents()
        return body

    def unexpected(self) -> Garbled:
        """What to raise at this place."""
        self.blanks()
        if self.at >= len(self.text):
            return Garbled("Syntax error: end of file unexpected")
        found = KEYWORD.match(self.text, self.at)
        return Garbled(f'Syntax error: "{found.group() if found else self.text[self.at]}" unexpected')

    def blanks(self) -> None:
        """Skip spaces, comments and continued lines."""
        while self.at < len(self.text):
            if self.text.startswith("\\\n", self.at):
                self.at += 2
            elif self.text[self.at] in " \t\r":
                self.at += 1
            elif self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return

    def newlines(self) -> None:
        """Skip blanks and the ends of lines."""
        self.blanks()
        while self.text.startswith("\n", self.at):
            self.at += 1
            self.here_documents()
            self.blanks()

    def here_documents(self) -> None:
        """Read the bodies announced on the line that just ended."""
        for redirect, delimiter, strip, quoted in self.waiting:
            lines = []
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line = self.text[self.at : end]
                self.at = min(end + 1, len(self.text))
                line = line.lstrip("\t") if strip else line
                if line == delimiter:
                    break
                lines.append(line + "\n")
            body = "".join(lines)
            redirect.target = (Text(text=body, quoted=True),) if quoted else Grammar(body).double_quoted(None)
        self.waiting.clear()

    def takes(self, token: str) -> bool:
        """Step over this operator, if it stands here."""
        self.blanks()
        found = self.text.startswith(token, self.at)
        self.at += len(token) if found else 0
        return found

    def keyword(self, *wanted: str) -> str | None:
        """Step over one of these reserved words, if it stands here."""
        self.blanks()
        found = KEYWORD.match(self.text, self.at)
        if found and found.group() in wanted:
            self.at = found.end()
            return found.group()
        return None

    def need(self, word: str) -> None:
        """Step over this reserved word or operator; anything else is an error."""
        if not (self.keyword(word) or (not word.isalpha() and self.takes(word))):
            raise self.unexpected()

    def sequence(self) -> Sequenced:
        """Commands up to a closing word, `)`, `;;` or the end."""
        self.depth += 1
        if self.depth > NESTING_LIMIT:
            raise Garbled("Syntax error: nested too deeply")
        items: list[tuple[Command, bool]] = []
        self.newlines()
        while self.at < len(self.text) and not self.closes():
            command = self.chain()
            background = False
            if not self.text.startswith(";;", self.at):
                background = self.takes("&")
                ended = background or self.takes(";") or self.text.startswith("\n", self.at)
                items.append((command, background))
                self.newlines()
                if not ended:
                    break
            else:
                items.append((command, False))
                break
        self.depth -= 1
        return Sequenced(items=tuple(items))

    def closes(self) -> bool:
        """Whether what stands here ends a sequence."""
        if self.text[self.at] == ")" or self.text.startswith(";;", self.at):
            return True
        found = KEYWORD.match(self.text, self.at)
        return bool(found and found.group() in CLOSERS)

    def body(self) -> Sequenced:
        """A sequence that must not be empty."""
        found = self.sequence()
        if not found.items:
            raise self.unexpected()
        return found

    def chain(self) -> Command:
        """Pipelines joined by && and ||."""
        first = self.pipeline()
        rest: list[tuple[str, Command]] = []
        while True:
            self.blanks()
            operator = self.text[self.at : self.at + 2]
            if operator not in ("&&", "||"):
                return Chained(first=first, rest=tuple(rest)) if rest else first
            self.at += 2
            self.newlines()
            rest.append((operator, self.pipeline()))

    def pipeline(self) -> Command:
        """Commands joined by |."""
        negated = self.keyword("!") is not None
        commands = [self.command()]
        self.blanks()
        while self.text.startswith("|", self.at) and not self.text.startswith("||", self.at):
            self.at += 1
            self.newlines()
            commands.append(self.command())
            self.blanks()
        return Piped(commands=tuple(commands), negated=negated) if negated or len(commands) > 1 else commands[0]

    def command(self) -> Command:
        """One simple or compound command, or a function."""
        self.blanks()
        if function := FUNCTION.match(self.text, self.at):
            self.at = function.end()
            self.newlines()
            return Function(name=function.group(1), body=self.command())
        compound = self.compound()
        if compound is None:
            return self.simple()
        redirects = []
        while redirect := self.redirect():
            redirects.append(redirect)
        return Redirected(body=compound, redirects=tuple(redirects)) if redirects else compound

    def compound(self) -> Command | None:
        """What begins with a reserved word or a parenthesis; None for a simple command."""
        if self.takes("("):
            body = self.body()
            self.need(")")
            return Grouped(body=body)
        match self.keyword("{", "if", "while", "until", "for", "case"):
            case "{":
                body = self.body()
                self.need("}")
                return body
            case "if":
                return self.branches()
            case ("while" | "until") as word:
                condition = self.body()
                return Loop(condition=condition, body=self.do_body(), until=word == "until")
            case "for":
                return self.each()
            case "case":
                return self.case()
        return None

    def do_body(self) -> Sequenced:
        """do ... done."""
        self.need("do")
        body = self.body()
        self.need("done")
        return body

    def branches(self) -> Branches:
        """What follows `if`."""
        branches = []
        otherwise = None
        while True:
            condition = self.body()
            self.need("then")
            branches.append((condition, self.body()))
            match self.keyword("elif", "else", "fi"):
                case "elif":
                    continue
                case "else":
                    otherwise = self.body()
                    self.need("fi")
                case None:
                    raise self.unexpected()
            return Branches(branches=tuple(branches), otherwise=otherwise)

    def each(self) -> Each:
        """What follows `for`."""
        self.blanks()
        name = NAME.match(self.text, self.at)
        if not name:
            raise Garbled("Syntax error: Bad for loop variable")
        self.at = name.end()
        self.newlines()
        words: tuple[Word, ...] | None = None
        if self.keyword("in"):
            words = self.words()
        if not self.takes(";"):
            self.newlines()
        self.newlines()
        return Each(name=name.group(), words=words, body=self.do_body())

    def words(self) -> tuple[Word, ...]:
        """Words up to an operator or the end of the line."""
        found = []
        while word := self.word():
            found.append(word)
        return tuple(found)

    def case(self) -> Case:
        """What follows `case`."""
        word = self.word()
        self.newlines()
        if not word or not self.keyword("in"):
            raise self.unexpected()
        self.newlines()
        arms = []
        while not self.keyword("esac"):
            self.takes("(")
            patterns = [self.word()]
            while self.takes("|"):
                patterns.append(self.word())
            if not self.takes(")") or not all(patterns):
                raise self.unexpected()
            arms.append((tuple(patterns), self.sequence()))
            if not self.takes(";;"):
                self.newlines()
                self.need("esac")
                break
            self.newlines()
        return Case(word=word, arms=tuple(arms))

    def simple(self) -> Simple:
        """Assignments, words, redirections."""
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirects: list[Redirect] = []
        while True:
            self.blanks()
            assignment = None if words else ASSIGNMENT.match(self.text, self.at)
            if assignment:
                self.at = assignment.end()
                assignments.append((assignment.group()[:-1], self.word(here=True)))
            elif redirect := self.redirect():
                redirects.append(redirect)
            elif word := self.word():
                words.append(word)
            else:
                break
        if not (assignments or words or redirects):
            raise self.unexpected()
        return Simple(assignments=tuple(assignments), words=tuple(words), redirects=tuple(redirects))

    def redirect(self) -> Redirect | None:
        """A redirection, if one stands here."""
        self.blanks()
        found = REDIRECT.match(self.text, self.at)
        if not found:
            return None
        self.at = found.end()
        number, operator = found.groups()
        start = self.at
        target = self.word()
        if not target:
            raise self.unexpected()
        default = 0 if operator.startswith("<") else 1
        redirect = Redirect(number=int(number or default), operator=operator, target=target)
        if operator.startswith("<<"):
            raw = self.text[start : self.at].strip()
            delimiter = "".join(part.text for part in target if isinstance(part, Text))
            self.waiting.append((redirect, delimiter, operator == "<<-", any(mark in raw for mark in "'\"\\")))
        return redirect

    def word(self, *, here: bool = False) -> Word:
        """One word, empty if none stands here. `here`: not after blanks."""
        if not here:
            self.blanks()
        return self.parts(" \t\r\n;&|()<>")

    def parts(self, ends: str) -> Word:
        """Unquoted and quoted parts up to one of these characters."""
        parts: list[Part] = []
        while self.at < len(self.text) and self.text[self.at] not in ends:
            mark = self.text[self.at]
            if mark == "'":
                end = self.text.find("'", self.at + 1)
                if end < 0:
                    raise Garbled("Syntax error: Unterminated quoted string")
                parts.append(Text(text=self.text[self.at + 1 : end], quoted=True))
                self.at = end + 1
            elif mark == '"':
                self.at += 1
                parts.extend(self.double_quoted('"'))
            elif mark == "\\":
                following = self.text[self.at + 1 : self.at + 2]
                if following != "\n":
                    parts.append(Text(text=following or "\\", quoted=True))
                self.at += 2
            elif mark == "`" or (mark == "$" and self.is_dollar()):
                parts.append(self.dollar(quoted=False))
            else:
                parts.append(Text(text=mark, quoted=False))
                self.at += 1
        return tuple(parts)

    def double_quoted(self, end: str | None) -> Word:
        """Parts up to the closing quote (None: the whole text). Never empty for a pair of quotes."""
        parts: list[Part] = []
        held: list[str] = []

        def flush() -> None:
            if held:
                parts.append(Text(text="".join(held), quoted=True))
                held.clear()

        while self.at < len(self.text) and self.text[self.at] != end:
            mark = self.text[self.at]
            following = self.text[self.at + 1 : self.at + 2]
            if mark == "\\" and following in ("$", "`", '"', "\\", "\n") and following:
                held.append("" if following == "\n" else following)
                self.at += 2
            elif mark == "`" or (mark == "$" and self.is_dollar()):
                flush()
                parts.append(self.dollar(quoted=True))
            else:
                held.append(mark)
                self.at += 1
        if end is not None:
            if self.at >= len(self.text):
                raise Garbled("Syntax error: Unterminated quoted string")
            self.at += 1
        flush()
        return tuple(parts) or (Text(text="", quoted=True),)

    def is_dollar(self) -> bool:
        """Whether the `$` here begins an expansion."""
        following = self.text[self.at + 1 : self.at + 2]
        return bool(following) and (following in "({" or NAME.match(following) is not None)

    def dollar(self, *, quoted: bool) -> Part:
        """An expansion."""
        if self.text[self.at] == "`":
            return self.backquoted(quoted=quoted)
        if self.text.startswith("$((", self.at):
            return self.sum(quoted=quoted)
        if self.text.startswith("$(", self.at):
            self.at += 2
            body = self.sequence()
            self.need(")")
            return Substitution(body=body, quoted=quoted)
        if self.text.startswith("${", self.at):
            return self.braced(quoted=quoted)
        name = NAME.match(self.text, self.at + 1)
        if name is None:
            raise Garbled("Syntax error: Bad substitution")
        self.at = name.end()
        return Parameter(name=name.group(), operator="", argument=(), quoted=quoted)

    def backquoted(self, *, quoted: bool) -> Substitution:
        """`...`, with its own backslashes."""
        found = re.compile(r"`((?:[^`\\]|\\.)*)`", re.DOTALL).match(self.text, self.at)
        if not found:
            raise Garbled("Syntax error: EOF in backquote substitution")
        self.at = found.end()
        inner = re.sub(r"\\([`$\\])", r"\1", found.group(1))
        return Substitution(body=Grammar(inner, self.depth + 1).program(), quoted=quoted)

    def sum(self, *, quoted: bool) -> Sum:
        """$((...))."""
        start = self.at + 3
        depth, at = 0, start
        while at < len(self.text) and not (depth == 0 and self.text.startswith("))", at)):
            depth += {"(": 1, ")": -1}.get(self.text[at], 0)
            at += 1
        if at >= len(self.text):
            raise Garbled("Syntax error: missing '))'")
        self.at = at + 2
        return Sum(expression=Grammar(self.text[start:at], self.depth + 1).double_quoted(None), quoted=quoted)

    def braced(self, *, quoted: bool) -> Parameter:
        """${...}."""
        self.at += 2
        if length := re.compile(r"#([A-Za-z_]\w*|\d+|[@*?$!])\}").match(self.text, self.at):
            self.at = length.end()
            return Parameter(name=length.group(1), operator="length", argument=(), quoted=quoted)
        name = BRACED_NAME.match(self.text, self.at)
        if not name:
            raise Garbled("Syntax error: Bad substitution")
        self.at = name.end()
        operator = OPERATOR.match(self.text, self.at)
        argument: Word = ()
        if operator:
            self.at = operator.end()
            argument = self.parts("}")
        if not self.text.startswith("}", self.at):
            raise Garbled("Syntax error: Bad substitution")
        self.at += 1
        return Parameter(
            name=name.group(), operator=operator.group() if operator else "", argument=argument, quoted=quoted
        )


# -- the shell --------------------------------------------------------------------------------------------------------


class Leave(Exception):
    """The shell ends with this status."""

    def __init__(self, status: int) -> None:
        self.status = status


class Jump(Exception):
    """`break`, `continue` or `return` on its way up; `count` loops, or the status returned."""

    def __init__(self, word: str, count: int) -> None:
        self.word, self.count = word, count


class Trouble(Exception):
    """A redirection or expansion that fails; the message is the shell's."""


@dataclass(frozen=True, kw_only=True)
class Fragment:
    """A piece of an expanded word. `split`: came from an unquoted expansion. `ends`: a field ends here, from "$@"."""

    text: str
    quoted: bool
    split: bool = False
    ends: bool = False


class Shell:
    """A POSIX shell in one simulated process: what `sh -c TEXT NAME ARGUMENTS` does."""

    def __init__(self, system: SimulatedSystem, process: Process, environment: Mapping[str, str]) -> None:
        self.system, self.process = system, process
        self.number = process.pid  # `$$` stays that of the first shell in subshells
        self.exported = set(environment)
        self.variables = dict(environment)
        self.fixed: set[str] = set()
        self.functions: dict[str, Command] = {}
        self.options: set[str] = set()
        self.traps: dict[int, str] = {}  # 0 is EXIT
        self.name = "sh"
        self.positional: list[str] = []
        self.status = 0
        self.last_background: int | None = None
        self.jobs: dict[int, Process] = {}
        self.lenient = 0  # above 0 where `set -e` does not end the shell
        self.depth = 0

    def below(self, process: Process) -> "Shell":
        """A subshell's state, in its own process."""
        other = Shell(self.system, process, {})
        other.number, other.exported, other.variables = self.number, set(self.exported), dict(self.variables)
        other.fixed, other.functions, other.options = set(self.fixed), dict(self.functions), set(self.options) - {"m"}
        other.name, other.positional, other.status = self.name, list(self.positional), self.status
        other.last_background, other.lenient, other.depth = self.last_background, self.lenient, self.depth
        return other

    @property
    def environment(self) -> dict[str, str]:
        """What programs are given."""
        return {name: self.variables[name] for name in self.exported if name in self.variables}

    async def run_text(self, text: str) -> int:
        """Run a script to its end, with its EXIT trap."""
        try:
            await self.evaluate(text)
        except Leave as leave:
            self.status = leave.status
        except Jump as jump:
            self.status = jump.count if jump.word == "return" else 0
        except Trouble as trouble:
            await self.complain(str(trouble))
            self.status = 2
        return await self.leave()

    async def leave(self) -> int:
        """Run the EXIT trap once, and say with which status the shell ends."""
        status = self.status
        try:
            await self.take_signals()
            if text := self.traps.pop(0, ""):
                self.status = status
                await self.evaluate(text)
        except Leave as leave:
            status = leave.status
        return status

    async def evaluate(self, text: str) -> int:
        """Parse and run text here."""
        try:
            program = Grammar(text).program()
        except (Garbled, RecursionError) as problem:
            await self.complain(str(problem))
            raise Leave(2) from problem
        return await self.run(program)

    async def complain(self, text: str) -> None:
        """A message of the shell itself."""
        if 2 in self.process.files:
            await self.process.files[2].write(f"{self.name}: 1: {text}\n".encode("utf-8", "surrogateescape"))

    # running

    async def run(self, node: Command) -> int:
        """Run one node; its status is also `$?`."""
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise Trouble("Maximum function recursion depth reached")
        try:
            self.status = await self.run_node(node)
        finally:
            self.depth -= 1
        return self.status

    async def run_node(self, node: Command) -> int:
        """Run one node of any kind."""
        match node:
            case Simple():
                return self.strict(await self.simple(node))
            case Redirected():
                return await self.redirected(node)
            case Piped():
                return await self.piped(node)
            case Chained():
                return await self.chained(node)
            case Sequenced():
                return await self.sequenced(node)
            case Grouped():
                return self.strict(await self.wait_for(self.subshell(node.body)))
            case Branches():
                return await self.branched(node)
            case Loop():
                return await self.loop(node)
            case Each():
                return await self.each(node)
            case Case():
                return await self.case(node)
            case Function():
                self.functions[node.name] = node.body
                return 0
            case _:
                assert_never(node)

    def strict(self, status: int) -> int:
        """`set -e` ends the shell here."""
        if status and "e" in self.options and not self.lenient:
            self.status = status
            raise Leave(status)
        return status

    async def tried(self, node: Command) -> int:
        """Run a condition: its failure ends nothing."""
        self.lenient += 1
        try:
            return await self.run(node)
        finally:
            self.lenient -= 1

    async def sequenced(self, node: Sequenced) -> int:
        """One after the other; a background one is started."""
        status = 0
        for command, background in node.items:
            if background:
                self.start_background(command)
                status = 0
            else:
                status = await self.run(command)
            await self.take_signals()
        return status

    async def chained(self, node: Chained) -> int:
        """&& and ||."""
        status = await self.tried(node.first)
        for place, (operator, command) in enumerate(node.rest, 1):
            if (operator == "&&") == (status == 0):
                last = place == len(node.rest)
                status = await (self.run(command) if last else self.tried(command))
        return status

    async def branched(self, node: Branches) -> int:
        """If."""
        for condition, body in node.branches:
            if await self.tried(condition) == 0:
                return await self.run(body)
        return await self.run(node.otherwise) if node.otherwise else 0

    async def loop(self, node: Loop) -> int:
        """While and until. A loop gives way to others at every turn."""
        status = 0
        while (await self.tried(node.condition) == 0) != node.until:
            try:
                status = await self.run(node.body)
            except Jump as jump:
                if self.ends_loop(jump):
                    break
            await asyncio.sleep(0)
        return status

    async def each(self, node: Each) -> int:
        """For."""
        words = self.positional if node.words is None else await self.fields(node.words)
        status = 0
        for word in list(words):
            self.assign(node.name, word)
            try:
                status = await self.run(node.body)
            except Jump as jump:
                if self.ends_loop(jump):
                    break
            await asyncio.sleep(0)
        return status

    def ends_loop(self, jump: Jump) -> bool:
        """Whether this jump ends the loop that met it; one meant for a loop further out goes on."""
        if jump.word == "return":
            raise jump
        if jump.count > 1:
            raise Jump(jump.word, jump.count - 1)
        return jump.word == "break"

    async def case(self, node: Case) -> int:
        """Case."""
        word = await self.single(node.word)
        for patterns, body in node.arms:
            for pattern in patterns:
                if fnmatch.fnmatchcase(word, await self.pattern(pattern)):
                    return await self.run(body)
        return 0

    async def piped(self, node: Piped) -> int:
        """All at once, joined by pipes; the status is the last one's."""
        if len(node.commands) == 1:
            status = await self.tried(node.commands[0])
            return int(status == 0)
        children: list[Process] = []
        before: Stream | None = None
        for place, command in enumerate(node.commands):
            pipe = None if place == len(node.commands) - 1 else Pipe()
            child = self.subshell(command, before, pipe.writer if pipe else None)
            children.append(child)
            before = pipe.reader if pipe else None
        statuses = [await self.wait_for(child) for child in children]
        failed = [status for status in statuses if status]
        status = failed[-1] if failed and "pipefail" in self.options else statuses[-1]
        return int(status == 0) if node.negated else self.strict(status)

    def subshell(self, node: Command, stdin: Stream | None = None, stdout: Stream | None = None) -> Process:
        """A forked shell that runs this."""

        async def body(process: Process) -> int:
            shell = self.below(process)
            try:
                await shell.run(node)
            except Leave as leave:
                shell.status = leave.status
            except Jump as jump:
                shell.status = jump.count if jump.word == "return" else 0
            except Trouble as trouble:
                await shell.complain(str(trouble))
                shell.status = 2
            return await shell.leave()

        child = self.system.fork(self.process, body)
        if stdin:
            child.connect(0, stdin)
        if stdout:
            child.connect(1, stdout)
        return child

    def start_background(self, node: Command) -> None:
        """Start it and remember it for `$!` and `wait`."""
        child = self.subshell(node, Null())
        if "m" in self.options:
            child.group = child.pid
        else:
            child.ignored |= {INT, QUIT}
        self.last_background = child.pid
        self.jobs[child.pid] = child

    async def wait_for(self, child: Process) -> int:
        """Its status, once it has ended."""
        await child.ended.wait()
        return child.status or 0

    async def take_signals(self) -> None:
        """Run the traps of the signals that came in."""
        while self.process.pending:
            text = self.traps.get(self.process.pending.pop(0), "")
            status = self.status
            if text:
                await self.evaluate(text)
            self.status = status

    async def redirected(self, node: Redirected) -> int:
        """A compound command with its redirections, undone afterwards."""
        saved = self.save()
        try:
            for redirect in node.redirects:
                await self.redirect(self.process, redirect)
            return await self.run(node.body)
        except OSError as problem:
            if isinstance(problem, BrokenPipeError):
                raise
            await self.complain(str(problem))
            return 2
        finally:
            self.restore(saved)

    def save(self) -> dict[int, Stream]:
        """The descriptors as they are, held."""
        return {number: stream.hold() for number, stream in self.process.files.items()}

    def restore(self, saved: dict[int, Stream]) -> None:
        """The descriptors as they were; a process that has ended meanwhile keeps none."""
        for number in list(self.process.files):
            self.process.disconnect(number)
        for number, stream in saved.items():
            if self.process.status is None:
                self.process.connect(number, stream)
            stream.release()

    async def redirect(self, process: Process, redirect: Redirect) -> None:
        """Carry out one redirection; raises OSError with the shell's words."""
        if redirect.operator in ("<<", "<<-"):
            pipe = Pipe(None)
            pipe.writer.hold()
            process.connect(redirect.number, pipe.reader)
            await pipe.writer.write((await self.single(redirect.target)).encode("utf-8", "surrogateescape"))
            pipe.writer.release()
            return
        target = await self.single(redirect.target)
        if redirect.operator in ("<&", ">&"):
            if target == "-":
                process.disconnect(redirect.number)
            elif target.isdecimal() and int(target) in process.files:
                process.connect(redirect.number, process.files[int(target)])
            else:
                raise OSError(f"{target}: Bad file descriptor")
            return
        path = posixpath.normpath(posixpath.join(process.directory, target)).replace("//", "/")
        how = "<" if redirect.operator == "<" else ">>" if redirect.operator == ">>" else ">"
        try:
            process.connect(redirect.number, self.system.open(path, how, process.user))
        except OSError as problem:
            verb = "open" if how == "<" else "create"
            words = str(problem).replace("No such file or directory", "No such file")
            raise OSError(f"cannot {verb} {target}: {words}") from problem

    async def simple(self, node: Simple) -> int:
        """Expand, then assign, or run a function, a builtin or a program."""
        self.substituted = 0
        words = await self.fields(node.words)
        assigned = [(name, await self.single(word)) for name, word in node.assignments]
        if not words:
            for name, value in assigned:
                self.assign(name, value)
            return await self.only_redirects(node) or self.substituted
        name = words[0]
        if name == "command" and len(words) > 1 and not words[1].startswith("-"):
            words = words[1:]
            name = words[0]
        elif name in self.functions:
            return await self.inside(node, assigned, lambda: self.function(words))
        if name == "exec":
            return await self.execute(node, words[1:], assigned)
        if name in BUILTINS:
            return await self.inside(node, assigned, lambda: BUILTINS[name](self, words))
        if name in INSIDE:
            call = Call(system=self.system, process=self.process, words=words, environment=self.environment)
            return await self.inside(node, assigned, lambda: PROGRAMS[name](call))
        return await self.wait_for(self.start(node, words, assigned))

    async def only_redirects(self, node: Simple) -> int:
        """`> file` alone."""
        return await self.inside(node, [], self.nothing) if node.redirects else 0

    async def nothing(self) -> int:
        """Do nothing, well."""
        return 0

    async def inside(self, node: Simple, assigned: list[tuple[str, str]], act: Callable[[], Awaitable[int]]) -> int:
        """Run something in the shell's own process, with redirections and assignments that end with it."""
        saved = self.save()
        before = {name: self.variables.get(name) for name, _ in assigned}
        try:
            for redirect in node.redirects:
                await self.redirect(self.process, redirect)
            for name, value in assigned:
                self.assign(name, value)
            status = await act()
            if self.process.fatal is not None:  # it has signalled itself: here it dies
                await asyncio.sleep(0)
            return status
        except OSError as problem:
            if isinstance(problem, BrokenPipeError):
                raise
            await self.complain(str(problem))
            return 2
        finally:
            self.restore(saved)
            for name, old in before.items():
                if old is None:
                    self.variables.pop(name, None)
                else:
                    self.variables[name] = old

    async def function(self, words: list[str]) -> int:
        """Call a function."""
        before, self.positional = self.positional, words[1:]
        try:
            return await self.run(self.functions[words[0]])
        except Jump as jump:
            if jump.word != "return":
                raise
            return jump.count
        finally:
            self.positional = before

    def start(self, node: Simple, words: list[str], assigned: list[tuple[str, str]]) -> Process:
        """Fork, redirect in the child, and run the program there."""
        environment = self.environment | dict(assigned)

        async def body(process: Process) -> int:
            try:
                for redirect in node.redirects:
                    await self.below(process).redirect(process, redirect)
            except OSError as problem:
                await self.below(process).complain(str(problem))
                return 2
            return await execute(self.system, process, words, environment, shell=self.name)

        return self.system.fork(self.process, body, *words)

    async def execute(self, node: Simple, words: list[str], assigned: list[tuple[str, str]]) -> int:
        """`exec`: the redirections stay, and with words, this process becomes that program."""
        try:
            for redirect in node.redirects:
                await self.redirect(self.process, redirect)
        except OSError as problem:
            await self.complain(str(problem))
            raise Leave(2) from problem
        if words[:1] == ["--"]:
            words = words[1:]
        if not words:
            return 0
        self.process.caught.clear()
        environment = self.environment | dict(assigned)
        self.process.arguments, self.process.name = tuple(words), posixpath.basename(words[0])[:NAME_LENGTH]
        self.traps.clear()
        raise Leave(await execute(self.system, self.process, words, environment, shell=self.name))

    # variables and expansion

    def assign(self, name: str, value: str) -> None:
        """Set a variable; raises Trouble for a read-only one."""
        if name in self.fixed:
            raise Trouble(f"{name}: is read only")
        if len(value) > VALUE_LIMIT:
            raise Trouble("Cannot allocate memory")
        self.variables[name] = value
        if "a" in self.options:
            self.exported.add(name)

    def value(self, name: str) -> str | None:
        """A parameter's value, None if unset."""
        if name.isdecimal():
            place = int(name)
            if place == 0:
                return self.name
            return self.positional[place - 1] if place <= len(self.positional) else None
        match name:
            case "?":
                return str(self.status)
            case "$":
                return str(self.number)
            case "!":
                return None if self.last_background is None else str(self.last_background)
            case "#":
                return str(len(self.positional))
            case "-":
                return "".join(sorted(option for option in self.options if len(option) == 1))
            case "@" | "*":
                return " ".join(self.positional) if self.positional else None
            case "PPID":
                return str(self.process.parent)
        return self.variables.get(name)

    async def fields(self, words: Iterable[Word]) -> list[str]:
        """Expand words into fields: parameters, splitting, names of files, quotes gone."""
        found: list[str] = []
        for word in words:
            for field_ in self.split([each for part in self.home(word) for each in await self.fragments(part)]):
                found.extend(self.globbed(field_))
        return found

    def home(self, word: Word) -> Word:
        """`~` at the beginning of a word."""
        if not word or word[0] != Text(text="~", quoted=False):
            return word
        if len(word) > 1 and word[1] != Text(text="/", quoted=False):
            return word
        return (Text(text=self.variables.get("HOME", "/"), quoted=True), *word[1:])

    async def single(self, word: Word) -> str:
        """Expand a word that is not split."""
        pieces = [each for part in self.home(word) for each in await self.fragments(part)]
        return "".join(each.text + " " * each.ends for each in pieces)

    async def pattern(self, word: Word) -> str:
        """Expand a pattern: what was quoted matches itself."""
        pieces = [each for part in word for each in await self.fragments(part)]
        return "".join(escape_pattern(each.text) if each.quoted else each.text for each in pieces).replace("[^", "[!")

    async def fragments(self, part: Part) -> list[Fragment]:
        """Expand one part of a word."""
        match part:
            case Text():
                return [Fragment(text=part.text, quoted=part.quoted)]
            case Substitution():
                return [Fragment(text=await self.substitute(part.body), quoted=part.quoted, split=not part.quoted)]
            case Sum():
                result = Calculation(self, await self.single(part.expression)).result()
                return [Fragment(text=str(result), quoted=part.quoted, split=not part.quoted)]
            case Parameter():
                return await self.parameter(part)
            case _:
                assert_never(part)

    async def substitute(self, body: Sequenced) -> str:
        """What a subshell prints, without the last line ends."""
        pipe = Pipe()
        child = self.subshell(body, stdout=pipe.writer)
        pipe.reader.hold()
        try:
            data = await everything(pipe.reader)
        except OSError as problem:
            raise Trouble(str(problem)) from problem
        finally:
            pipe.reader.release()
        self.status = self.substituted = await self.wait_for(child)
        return data.decode("utf-8", "surrogateescape").rstrip("\n")

    async def parameter(self, part: Parameter) -> list[Fragment]:
        """$name and its forms."""
        if part.name in "@*" and part.operator == "":
            return self.all_positional(part)
        value = self.value(part.name)
        operator = part.operator
        if operator.startswith(":"):
            operator, value = operator[1:], value or None
        match operator:
            case "length":
                value = str(len(self.positional) if part.name in "@*" else len(value or ""))
            case "-" | "=" if value is None:
                if operator == "-" and not part.quoted:
                    pieces = [each for inner in part.argument for each in await self.fragments(inner)]
                    return [replace(each, split=not each.quoted) for each in pieces]
                value = await self.single(part.argument)
                if operator == "=":
                    self.assign(part.name, value)
            case "?" if value is None:
                raise Trouble(f"{part.name}: {await self.single(part.argument) or 'parameter not set'}")
            case "+":
                if value is None:
                    return [Fragment(text="", quoted=part.quoted)]
                pieces = [each for inner in part.argument for each in await self.fragments(inner)]
                return [replace(each, quoted=each.quoted or part.quoted) for each in pieces]
            case "%" | "%%" | "#" | "##":
                value = trimmed(value or "", operator, await self.pattern(part.argument))
        if value is None and "u" in self.options:
            raise Trouble(f"{part.name}: parameter not set")
        return [Fragment(text=value or "", quoted=part.quoted, split=not part.quoted)]

    def all_positional(self, part: Parameter) -> list[Fragment]:
        """$@ and $*."""
        if part.quoted and part.name == "*":
            joint = self.variables.get("IFS", " ")[:1]
            return [Fragment(text=joint.join(self.positional), quoted=True)]
        last = len(self.positional) - 1
        return [
            Fragment(text=text, quoted=part.quoted, split=not part.quoted, ends=place < last)
            for place, text in enumerate(self.positional)
        ]

    def split(self, fragments: Sequence[Fragment]) -> list[list[Fragment]]:
        """Fragments into fields."""
        separators = self.variables.get("IFS", " \t\n")
        fields: list[list[Fragment]] = [[]]
        for each in fragments:
            if each.split and separators:
                pieces = re.split(
                    f"[{re.escape(separators)}]+"
                    if separators.isspace()
                    else f"[ \t\n]*[{re.escape(separators)}][ \t\n]*",
                    each.text,
                )
                for place, piece in enumerate(pieces):
                    if place and fields[-1]:
                        fields.append([])
                    if piece:
                        fields[-1].append(replace(each, text=piece, ends=False))
            elif each.text or each.quoted:
                fields[-1].append(each)
            if each.ends and (fields[-1] or each.quoted):
                fields.append([])
        return [field_ for field_ in fields if field_]

    def globbed(self, fragments: Sequence[Fragment]) -> list[str]:
        """A field, or the names of files it stands for."""
        plain = "".join(each.text for each in fragments)
        if "f" in self.options or not any(not each.quoted and set(each.text) & set("*?[") for each in fragments):
            return [plain]
        pattern = "".join(escape_pattern(each.text) if each.quoted else each.text for each in fragments)
        start = "" if pattern.startswith("/") else self.process.directory.rstrip("/") + "/"
        names = match_paths(self.system, (start + pattern).split("/"))
        return [name[len(start) :] for name in names] or [plain]


def escape_pattern(text: str) -> str:
    """A pattern that matches just this."""
    return re.sub(r"([*?\[])", r"[\1]", text)


def match_paths(system: SimulatedSystem, parts: Sequence[str]) -> list[str]:
    """The paths that match a pattern, given component by component."""
    found = [""]
    for part in parts[1:]:
        if set(part) & set("*?["):
            found = [
                f"{folder}/{name}"
                for folder in found
                for name in system.children(folder or "/")
                if fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))
            ]
        else:
            found = [f"{folder}/{part}" for folder in found]
    return sorted(path for path in found if system.exists(path))


def trimmed(value: str, operator: str, pattern: str) -> str:
    """`%` and `#`: the value without its shortest or longest matching end or beginning."""
    longest = len(operator) == 2
    if operator.startswith("%"):
        places = range(len(value) + 1) if longest else range(len(value), -1, -1)
        return next((value[:at] for at in places if fnmatch.fnmatchcase(value[at:], pattern)), value)
    places = range(len(value), -1, -1) if longest else range(len(value) + 1)
    return next((value[at:] for at in places if fnmatch.fnmatchcase(value[:at], pattern)), value)


class Calculation:
    """Shell arithmetic: integers, variables, C's operators by precedence."""

    LEVELS = (
        ("||",),
        ("&&",),
        ("|",),
        ("^",),
        ("&",),
        ("==", "!="),
        ("<=", ">=", "<", ">"),
        ("<<", ">>"),
        ("+", "-"),
        ("*", "/", "%"),
    )
    TOKEN = re.compile(r"\s*(0[xX][0-9a-fA-F]+|\d+|[A-Za-z_]\w*|<<=|>>=|[-+*/%&|^]=|<<|>>|<=|>=|==|!=|&&|\|\||\S)")

    def __init__(self, shell: Shell, text: str) -> None:
        self.shell = shell
        self.tokens = self.TOKEN.findall(text)
        self.at = 0

    def result(self) -> int:
        """The value; raises Trouble."""
        if not self.tokens:
            return 0
        value = self.assignment()
        if self.at < len(self.tokens):
            raise Trouble(f"arithmetic expression: expecting EOF: {' '.join(self.tokens)!r}")
        return value

    def peek(self) -> str:
        """The next token, empty at the end."""
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        """The next token, stepped over."""
        token = self.peek()
        self.at += 1
        return token

    def assignment(self) -> int:
        """`name = value` and its shorthands, else a choice."""
        name = self.peek()
        following = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else ""
        if re.fullmatch(r"[A-Za-z_]\w*", name) and re.fullmatch(r"(<<|>>|[-+*/%&|^])?=", following):
            self.at += 2
            value = self.assignment()
            if following != "=":
                value = self.apply(following[:-1], self.variable(name), value)
            self.shell.assign(name, str(value))
            return value
        return self.choice()

    def choice(self) -> int:
        """`a ? b : c`."""
        value = self.binary(0)
        if self.peek() != "?":
            return value
        self.take()
        yes = self.assignment()
        if self.take() != ":":
            raise Trouble("arithmetic expression: expecting ':'")
        no = self.assignment()
        return yes if value else no

    def binary(self, level: int) -> int:
        """Operators of this precedence and above."""
        if level == len(self.LEVELS):
            return self.unary()
        value = self.binary(level + 1)
        while self.peek() in self.LEVELS[level]:
            operator = self.take()
            value = self.apply(operator, value, self.binary(level + 1))
        return value

    def unary(self) -> int:
        """Signs, negations, parentheses, numbers and names."""
        token = self.take()
        match token:
            case "-":
                return -self.unary()
            case "+":
                return self.unary()
            case "!":
                return int(not self.unary())
            case "~":
                return ~self.unary()
            case "(":
                value = self.assignment()
                if self.take() != ")":
                    raise Trouble("arithmetic expression: expecting ')'")
                return value
        if token[:1].isdecimal():
            return int(token, 16 if token[:2] in ("0x", "0X") else 8 if token.startswith("0") else 10)
        if re.fullmatch(r"[A-Za-z_]\w*", token):
            return self.variable(token)
        raise Trouble("arithmetic expression: expecting primary")

    def variable(self, name: str) -> int:
        """A variable's number; unset and empty are 0."""
        text = (self.shell.value(name) or "").strip() or "0"
        try:
            return int(text)
        except ValueError as problem:
            raise Trouble(f"Illegal number: {text}") from problem

    def apply(self, operator: str, left: int, right: int) -> int:
        """One operator."""
        if operator in ("/", "%"):
            if right == 0:
                raise Trouble("arithmetic expression: division by zero")
            quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
            return quotient if operator == "/" else left - right * quotient
        if operator in ("<<", ">>"):
            right %= 64
        table: dict[str, Callable[[], int]] = {
            "||": lambda: int(bool(left or right)),
            "&&": lambda: int(bool(left and right)),
            "|": lambda: left | right,
            "^": lambda: left ^ right,
            "&": lambda: left & right,
            "==": lambda: int(left == right),
            "!=": lambda: int(left != right),
            "<=": lambda: int(left <= right),
            ">=": lambda: int(left >= right),
            "<": lambda: int(left < right),
            ">": lambda: int(left > right),
            "<<": lambda: left << right,
            ">>": lambda: left >> right,
            "+": lambda: left + right,
            "-": lambda: left - right,
            "*": lambda: left * right,
        }
        value = table[operator]() & 0xFFFF_FFFF_FFFF_FFFF
        return value - (1 << 64) if value >= 1 << 63 else value


# -- builtins of the shell --------------------------------------------------------------------------------------------


async def builtin_cd(shell: Shell, words: list[str]) -> int:
    """Change the directory."""
    target = words[1] if len(words) > 1 else shell.variables.get("HOME", "/")
    path = posixpath.normpath(posixpath.join(shell.process.directory, target)).replace("//", "/")
    node = shell.system.files.get(path)
    if (node is None or not node.directory) and shell.system.proc(path) != "":
        await shell.complain(f"cd: can't cd to {target}")
        return 2
    shell.process.directory = path
    shell.assign("PWD", path)
    return 0


async def builtin_exit(shell: Shell, words: list[str]) -> int:
    """End the shell."""
    raise Leave(int(words[1]) & 0xFF if len(words) > 1 and words[1].isdecimal() else shell.status)


async def builtin_return(shell: Shell, words: list[str]) -> int:
    """End the function."""
    raise Jump("return", int(words[1]) if len(words) > 1 and words[1].isdecimal() else shell.status)


async def builtin_jump(shell: Shell, words: list[str]) -> int:
    """break and continue."""
    raise Jump(words[0], int(words[1]) if len(words) > 1 and words[1].isdecimal() else 1)


async def builtin_eval(shell: Shell, words: list[str]) -> int:
    """Run the words as text."""
    return await shell.evaluate(" ".join(words[1:]))


async def builtin_dot(shell: Shell, words: list[str]) -> int:
    """Run a file's text here."""
    path = posixpath.normpath(posixpath.join(shell.process.directory, words[1] if len(words) > 1 else ""))
    try:
        text = shell.system.read_text(path, shell.process.user).decode("utf-8", "surrogateescape")
    except OSError as problem:
        raise Trouble(f".: cannot open {path}: {problem}") from problem
    return await shell.evaluate(text)


async def builtin_export(shell: Shell, words: list[str]) -> int:
    """export, readonly and local."""
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if word == "-p":
            continue
        if equals:
            shell.assign(name, value)
        if words[0] == "export":
            shell.exported.add(name)
        elif words[0] == "readonly":
            shell.fixed.add(name)
    return 0


async def builtin_unset(shell: Shell, words: list[str]) -> int:
    """Forget variables or functions."""
    for name in words[1:]:
        if words[1] == "-f":
            shell.functions.pop(name, None)
        else:
            shell.variables.pop(name, None)
            shell.exported.discard(name)
    return 0


async def builtin_set(shell: Shell, words: list[str]) -> int:
    """Options and positional parameters."""
    rest = words[1:]
    while rest and rest[0][:1] in ("-", "+") and len(rest[0]) > 1:
        flag = rest.pop(0)
        if flag == "--":
            shell.positional = rest
            return 0
        change = shell.options.add if flag[0] == "-" else shell.options.discard
        long_names = {"errexit": "e", "nounset": "u", "noglob": "f", "monitor": "m", "allexport": "a"}
        for letter in flag[1:]:
            if letter == "o" and rest:
                name = rest.pop(0)
                change(long_names.get(name, name))
            else:
                change(letter)
    if rest:
        shell.positional = rest
    return 0


async def builtin_shift(shell: Shell, words: list[str]) -> int:
    """Drop positional parameters."""
    count = int(words[1]) if len(words) > 1 and words[1].isdecimal() else 1
    if count > len(shell.positional):
        raise Trouble("shift: can't shift that many")
    shell.positional = shell.positional[count:]
    return 0


async def builtin_trap(shell: Shell, words: list[str]) -> int:
    """What to do on a signal, or at the end."""
    rest = words[2:] if words[1:2] == ["--"] else words[1:]
    if len(rest) < 2:
        return 0
    text, names = rest[0], rest[1:]
    for name in names:
        number = 0 if name in ("EXIT", "0") else signal_number(name)
        if number is None:
            await shell.complain(f"trap: {name}: bad trap")
            return 1
        shell.traps.pop(number, None)
        shell.process.ignored.discard(number)
        shell.process.caught.discard(number)
        if text == "" and number:
            shell.process.ignored.add(number)
        elif text not in ("-", ""):
            shell.traps[number] = text
            if number:
                shell.process.caught.add(number)
    return 0


async def builtin_wait(shell: Shell, words: list[str]) -> int:
    """Wait for background commands; a trapped signal ends the waiting."""
    wanted = [int(word) for word in words[1:] if word.isdecimal()] or list(shell.jobs)
    status = 0
    for pid in wanted:
        child = shell.jobs.get(pid)
        if child is None:
            status = 127
            continue
        waiting = [asyncio.ensure_future(child.ended.wait()), asyncio.ensure_future(shell.process.alert.wait())]
        try:
            if not shell.process.pending:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
        if child.status is None:
            number = shell.process.pending[0] if shell.process.pending else TERM
            await shell.take_signals()
            return 128 + number
        status = child.status
        shell.jobs.pop(pid, None)
    return status if len(words) > 1 else 0


async def builtin_read(shell: Shell, words: list[str]) -> int:
    """One line of standard input into variables."""
    names = [word for word in words[1:] if not word.startswith("-")] or ["REPLY"]
    line = bytearray()
    complete = False
    while 0 in shell.process.files and (byte := await shell.process.files[0].read(1)):
        if byte == b"\n":
            complete = True
            break
        line += byte
    text = line.decode("utf-8", "surrogateescape")
    separators = shell.variables.get("IFS", " \t\n")
    blank = "".join(mark for mark in separators if mark in " \t\n")
    text = text.strip(blank) if blank else text
    for place, name in enumerate(names):
        if place == len(names) - 1 or not separators:
            piece, text = text, ""
        else:
            found = re.split(f"[{re.escape(separators)}]+", text, maxsplit=1)
            piece, text = found[0], found[1] if len(found) > 1 else ""
        shell.assign(name, piece)
    return 0 if complete else 1


async def builtin_command(shell: Shell, words: list[str]) -> int:
    """command -v and type: what a name means."""
    call = Call(system=shell.system, process=shell.process, words=words, environment=shell.environment)
    status = 0
    for name in (word for word in words[1:] if not word.startswith("-")):
        if name in shell.functions or name in BUILTINS or name in INSIDE or name in ("exec", "command"):
            found: str | None = name
        else:
            found = program_path(name)
        if found is None:
            status = 127
            if words[0] == "type":
                await call.say(f"{name}: not found")
        else:
            await call.say(f"{name} is {found}" if words[0] == "type" else found)
    return status


async def builtin_nothing(shell: Shell, words: list[str]) -> int:
    """umask, ulimit, jobs and `:`: accepted, without effect here."""
    return 0


Builtin: TypeAlias = "Callable[[Shell, list[str]], Awaitable[int]]"
BUILTINS: dict[str, Builtin] = {
    ":": builtin_nothing,
    ".": builtin_dot,
    "break": builtin_jump,
    "cd": builtin_cd,
    "command": builtin_command,
    "continue": builtin_jump,
    "eval": builtin_eval,
    "exit": builtin_exit,
    "export": builtin_export,
    "jobs": builtin_nothing,
    "local": builtin_export,
    "read": builtin_read,
    "readonly": builtin_export,
    "return": builtin_return,
    "set": builtin_set,
    "shift": builtin_shift,
    "trap": builtin_trap,
    "type": builtin_command,
    "ulimit": builtin_nothing,
    "umask": builtin_nothing,
    "unset": builtin_unset,
    "wait": builtin_wait,
}
INSIDE = frozenset(("echo", "printf", "test", "[", "true", "false", "pwd", "kill"))


def signal_number(name: str) -> int | None:
    """TERM, SIGTERM, term, 15; None for no signal."""
    if name.isdecimal():
        return int(name) if int(name) == 0 or int(name) in SIGNAL_NAMES else None
    return SIGNALS.get(name.upper().removeprefix("SIG"))


def program_path(name: str) -> str | None:
    """Where a program is, as `command -v` says it."""
    if "/" in name:
        folder, name = posixpath.split(name)
        return f"{folder}/{name}" if folder in SEARCHED and name in PROGRAMS else None
    return f"/usr/bin/{name}" if name in PROGRAMS else None


async def execute(
    system: SimulatedSystem, process: Process, words: list[str], environment: dict[str, str], *, shell: str = "sh"
) -> int:
    """Be this program, in this process; 127 in the shell's words for one that is not there."""
    process.state = "S"
    call = Call(system=system, process=process, words=words, environment=environment)
    path = program_path(words[0])
    if path is None:
        missing = "Permission denied" if "/" in words[0] and system.exists(words[0]) else "not found"
        return await call.complain(f"{shell}: 1: {words[0]}: {missing}", 126 if missing != "not found" else 127)
    try:
        return await PROGRAMS[posixpath.basename(path)](call)
    except BrokenPipeError:
        raise
    except (OSError, ValueError, IndexError, re.error) as problem:
        return await call.complain(f"{posixpath.basename(path)}: {problem}", 1)


# -- programs ---------------------------------------------------------------------------------------------------------

PROGRAMS: dict[str, Program] = {}


def program(*names: str) -> Callable[[Program], Program]:
    """Make a function the program of these names."""

    def register(function: Program) -> Program:
        PROGRAMS.update(dict.fromkeys(names, function))
        return function

    return register


def options(words: Sequence[str], valued: str = "") -> tuple[dict[str, str], list[str]]:
    """Split words, the program's name left out, into options and operands.

    Letters in `valued` take a value; `--name=value` and `--name` always parse.
    """
    found: dict[str, str] = {}
    operands: list[str] = []
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if word == "--":
            return found, operands + rest
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            found[name] = value
        elif word.startswith("-") and len(word) > 1:
            letters = word[1:]
            while letters:
                letter, letters = letters[0], letters[1:]
                if letter in valued:
                    value = letters or (rest.pop(0) if rest else "")
                    found[letter] = f"{found[letter]},{value}" if letter in found else value
                    break
                found[letter] = ""
        else:
            operands.append(word)
    return found, operands


async def pause_until_ended(call: Call, child: Process) -> int:
    """Wait for a child and end as it did."""
    await child.ended.wait()
    return child.status or 0


# programs of the shell family


@program("sh", "dash", "bash")
async def sh(call: Call) -> int:
    """A shell: -c text, a file, or standard input."""
    shell = Shell(call.system, call.process, call.environment)
    rest = call.words[1:]
    text: str | None = None
    while rest and rest[0][:1] in "-+" and len(rest[0]) > 1:
        flag = rest.pop(0)
        if flag == "--":
            break
        if "o" in flag and rest:
            await builtin_set(shell, ["set", "-o", rest.pop(0)])
        shell.options |= set(flag[1:]) & set("aefumx")
        if "c" in flag:
            if not rest:
                return await call.complain("sh: 0: -c requires an argument", 2)
            text = rest.pop(0)
    shell.name = "sh"
    if text is None and rest:
        try:
            text = call.system.read_text(call.path(rest[0]), call.process.user).decode("utf-8", "surrogateescape")
        except OSError:
            return await call.complain(f"sh: 0: cannot open {rest[0]}: No such file", 2)
    elif text is None:
        text = (await call.input()).decode("utf-8", "surrogateescape")
    if rest:
        shell.name, shell.positional = rest[0], rest[1:]
    return await shell.run_text(text)


@program("env")
async def env(call: Call) -> int:
    """Run with other variables, or list them."""
    words, environment = call.words[1:], dict(call.environment)
    while words and (words[0] in ("-i", "-u") or "=" in words[0]):
        word = words.pop(0)
        if word == "-i":
            environment.clear()
        elif word == "-u":
            environment.pop(words.pop(0), None)
        else:
            name, _, value = word.partition("=")
            environment[name] = value
    if words:
        return await become(call, words, environment, prefix="env")
    for name, value in environment.items():
        await call.say(f"{name}={value}")
    return 0


async def become(call: Call, words: list[str], environment: dict[str, str], *, prefix: str) -> int:
    """exec: the same process, another program."""
    if program_path(words[0]) is None:
        return await call.complain(f"{prefix}: ‘{words[0]}’: No such file or directory", 127)
    call.process.arguments = tuple(words)
    call.process.name = posixpath.basename(words[0])[:NAME_LENGTH]
    return await execute(call.system, call.process, words, environment)


@program("nohup")
async def nohup(call: Call) -> int:
    """Run without hearing HUP."""
    call.process.ignored.add(HUP)
    return await become(call, call.words[1:], call.environment, prefix="nohup")


@program("nice", "ionice", "stdbuf")
async def nice(call: Call) -> int:
    """Run as ever: priorities and buffers are not simulated."""
    rest = call.words[1:]
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag in ("-n", "-c", "-o", "-e", "-i") and rest:
            rest.pop(0)
    return await become(call, rest, call.environment, prefix=call.words[0]) if rest else 0


@program("setsid")
async def setsid(call: Call) -> int:
    """Run in a session of its own; a group leader forks first, as it must."""
    rest = call.words[1:]
    wait = False
    while rest and rest[0].startswith("-"):
        wait = rest.pop(0) in ("-w", "--wait") or wait
    if not rest:
        return await call.complain("setsid: no command specified")
    if call.process.group != call.process.pid:
        call.process.session = call.process.group = call.process.pid
        return await become(call, rest, call.environment, prefix="setsid")
    child = fork_program(call, rest)
    child.session = child.group = child.pid
    return await pause_until_ended(call, child) if wait else 0


def fork_program(call: Call, words: list[str], *, user: str | None = None) -> Process:
    """A child that runs these words."""

    async def body(process: Process) -> int:
        return await execute(call.system, process, words, dict(call.environment))

    return call.system.fork(call.process, body, *words, user=user)


@program("timeout")
async def timeout(call: Call) -> int:
    """Run for so long at most: 124 if it took longer, 137 if it had to be killed."""
    rest, number, kill_after, foreground = call.words[1:], TERM, 0.0, False
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag in ("-k", "--kill-after"):
            kill_after = seconds(rest.pop(0))
        elif flag.startswith("--kill-after="):
            kill_after = seconds(flag.partition("=")[2])
        elif flag in ("-s", "--signal"):
            number = signal_number(rest.pop(0)) or TERM
        elif flag.startswith(("--signal=", "-s")):
            number = signal_number(flag.removeprefix("--signal=").removeprefix("-s")) or TERM
        elif flag == "--foreground":
            foreground = True
    if len(rest) < 2:
        return await call.complain("timeout: missing operand", 125)
    limit, words = seconds(rest[0]), rest[1:]
    if program_path(words[0]) is None:
        return await call.complain(f"timeout: failed to run command ‘{words[0]}’: No such file or directory", 127)
    if not foreground:
        call.process.group = call.process.pid
    child = fork_program(call, words)

    def end(signal: int) -> None:
        call.system.signal(child, signal)
        for member in [] if foreground else call.system.group(call.process.group):
            if member is not call.process and member is not child:
                call.system.signal(member, signal)

    call.process.relay = end
    if limit == 0 or await ends_within(child, limit):
        return await pause_until_ended(call, child)
    end(number)
    if kill_after and not await ends_within(child, kill_after):
        end(KILL)
        await child.ended.wait()
        return 128 + KILL
    await child.ended.wait()
    return 128 + KILL if number == KILL else 124


async def ends_within(child: Process, limit: float) -> bool:
    """Whether it ends within these seconds."""
    try:
        await asyncio.wait_for(child.ended.wait(), limit)
    except TimeoutError:
        return False
    return True


def seconds(text: str) -> float:
    """`5`, `0.5`, `2m`, `1h`, `1d`; raises ValueError with the words of the program."""
    found = re.fullmatch(r"(\d*\.?\d+|\d+\.)([smhd]?)", text)
    if not found:
        raise ValueError(f"invalid time interval ‘{text}’")
    return float(found.group(1)) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[found.group(2)]


@program("sudo")
async def sudo(call: Call) -> int:
    """Run as root, or as -u USER. The caller may signal it, and it relays to what runs below."""
    rest, user = call.words[1:], "root"
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag == "-u" and rest:
            user = rest.pop(0)
        elif flag == "--":
            break
        elif flag in ("-v", "-k", "-l"):
            return 0
    if user not in call.system.users:
        return await call.complain(f"sudo: unknown user {user}")
    while rest and ASSIGNMENT.match(rest[0]):
        name, _, value = rest.pop(0).partition("=")
        call.environment[name] = value
    if not rest:
        return await call.complain("usage: sudo -h | -K | -k | -V")
    if program_path(rest[0]) is None:
        return await call.complain(f"sudo: {rest[0]}: command not found")
    if call.process.invoked_by is None:
        call.process.invoked_by = call.process.user
    caller = call.process.invoked_by
    call.process.user = "root"
    call.environment |= {"USER": user, "LOGNAME": user, "SUDO_USER": caller}
    child = fork_program(call, rest, user=user)
    child.invoked_by = None
    call.process.relay = functools.partial(call.system.signal, child)
    await child.ended.wait()
    call.process.relay = None
    if child.fatal is not None:
        call.process.fatal = child.fatal
    return child.status or 0


@program("xargs")
async def xargs(call: Call) -> int:
    """Words of standard input as arguments."""
    rest, each, null, skip = call.words[1:], 0, False, False
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag == "-n":
            each = int(rest.pop(0))
        null = null or "0" in flag
        skip = skip or "r" in flag
    text = (await call.input()).decode("utf-8", "surrogateescape")
    items = [item for item in text.split("\0") if item] if null else shlex.split(text)
    if not items and skip:
        return 0
    step = each or max(len(items), 1)
    status = 0
    for start in range(0, max(len(items), 1), step):
        child = fork_program(call, [*(rest or ["echo"]), *items[start : start + step]])
        if await pause_until_ended(call, child):
            status = 123
    return status


# small programs


@program("true")
async def true(call: Call) -> int:
    """Succeed."""
    return 0


@program("false")
async def false(call: Call) -> int:
    """Fail."""
    return 1


@program("sleep")
async def sleep(call: Call) -> int:
    """Do nothing for so long."""
    if len(call.words) < 2:
        return await call.complain("sleep: missing operand")
    try:
        length = sum(seconds(word) for word in call.words[1:])
    except ValueError as problem:
        return await call.complain(f"sleep: {problem}")
    await call.system.pause(length)
    return 0


ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "'": "'"}


def unescape(text: str) -> str:
    """Backslash sequences of printf."""

    def one(found: "re.Match[str]") -> str:
        code = found.group(1)
        if code[0] == "x":
            return chr(int(code[1:], 16))
        return ESCAPES.get(code) or (chr(int(code, 8) & 0xFF) if code[0] in "01234567" else "\\" + code)

    return re.sub(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", one, text, flags=re.DOTALL)


@program("echo")
async def echo(call: Call) -> int:
    """The words; backslashes mean something, as in dash."""
    words = call.words[1:]
    end = "\n"
    if words[:1] == ["-n"]:
        words, end = words[1:], ""
    await call.put(1, (unescape(" ".join(words)) + end).encode("utf-8", "surrogateescape"))
    return 0


@program("printf")
async def printf(call: Call) -> int:
    """Formatted words; the format is used again while words are left."""
    words = call.words[2:] if call.words[1:2] == ["--"] else call.words[1:]
    if not words:
        return await call.complain("printf: usage: printf format [arg ...]", 2)
    form, rest = words[0], words[1:]
    status = 0
    while True:
        before = len(rest)
        pieces = []
        for literal, flags, kind in re.findall(
            r"((?:[^%]|%%)+)|%([-+ 0#]*(?:\d{1,4}|\*)?(?:\.\d{1,4})?)([sdiuxXocbqfg])", form
        ):
            if literal:
                pieces.append(unescape(literal.replace("%%", "%")))
                continue
            if "*" in flags:
                flags = flags.replace("*", rest.pop(0)[:4] if rest else "0")
            value = rest.pop(0) if rest else None
            if kind in "sbcq":
                text = unescape(value or "") if kind == "b" else (value or "")[:1] if kind == "c" else value or ""
                pieces.append(f"%{flags}s" % text)
            elif kind in "fg":
                pieces.append(f"%{flags}{kind}" % float(value or 0))
            else:
                try:
                    pieces.append(f"%{flags}{'d' if kind in 'iu' else kind}" % int(value or "0", 0))
                except ValueError:
                    status = await call.complain(f"printf: {value}: expected numeric value")
                    pieces.append("0")
        await call.put(1, "".join(pieces).encode("utf-8", "surrogateescape"))
        if not rest or len(rest) == before:
            return status


@program("test", "[")
async def test(call: Call) -> int:
    """Conditions: 0 if true, 1 if not, 2 if garbled."""
    words = call.words[1:]
    if call.words[0] == "[":
        if words[-1:] != ["]"]:
            return await call.complain("[: missing ]", 2)
        words = words[:-1]
    try:
        return int(not truth(call, words))
    except ValueError as problem:
        return await call.complain(f"{call.words[0]}: {problem}", 2)


def truth(call: Call, words: list[str]) -> bool:
    """What an expression of `test` is; raises ValueError."""
    match words:
        case []:
            return False
        case [word]:
            return word != ""
        case ["!", *rest] if len(words) != 3 or words[1] not in ("=", "!="):
            return not truth(call, rest)
        case [flag, word] if flag.startswith("-"):
            return unary_truth(call, flag, word)
        case [left, operator, right] if operator in COMPARISONS:
            return COMPARISONS[operator](left, right)
        case ["(", *inner, ")"]:
            return truth(call, inner)
    for joint, both in (("-o", any), ("-a", all)):
        if joint in words[1:-1]:
            place = words.index(joint, 1)
            return both([truth(call, words[:place]), truth(call, words[place + 1 :])])
    raise ValueError(f"{words[1] if len(words) > 1 else words[0]}: unexpected operator")


def unary_truth(call: Call, flag: str, word: str) -> bool:
    """`-f FILE` and its like."""
    if flag in ("-n", "-z"):
        return (word != "") == (flag == "-n")
    if flag == "-t":
        return False
    path = call.path(word)
    node = call.system.files.get(path)
    if flag in ("-r", "-w", "-x"):
        bit = {"-r": 4, "-w": 2, "-x": 1}[flag]
        return call.system.may(call.process.user, path, bit) if node else call.system.exists(path) and flag != "-w"
    if flag == "-d":
        return bool(node and node.directory) or call.system.proc(path) == ""
    if flag in ("-f", "-s"):
        return bool(node and not node.directory and (flag == "-f" or node.size)) or bool(call.system.proc(path))
    if flag in ("-e", "-a"):
        return call.system.exists(path)
    if flag in ("-L", "-h", "-p", "-S", "-b", "-c"):
        return False
    raise ValueError(f"{flag}: unexpected operator")


def whole(text: str) -> int:
    """A number of `test`."""
    if not re.fullmatch(r"\s*[-+]?\d+\s*", text):
        raise ValueError(f"Illegal number: {text}")
    return int(text)


COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda left, right: left == right,
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "-eq": lambda left, right: whole(left) == whole(right),
    "-ne": lambda left, right: whole(left) != whole(right),
    "-lt": lambda left, right: whole(left) < whole(right),
    "-le": lambda left, right: whole(left) <= whole(right),
    "-gt": lambda left, right: whole(left) > whole(right),
    "-ge": lambda left, right: whole(left) >= whole(right),
}


@program("pwd")
async def pwd(call: Call) -> int:
    """The current directory."""
    await call.say(call.process.directory)
    return 0


@program("id", "whoami", "hostname", "uname", "nproc", "date", "uptime", "free", "seq", "basename", "dirname", "which")
async def facts(call: Call) -> int:
    """The programs that print one thing."""
    found, operands = options(call.words)
    system, user = call.system, call.process.user
    number = system.users.get(user, 65_534)
    match posixpath.basename(call.words[0]):
        case "whoami":
            text = user
        case "id":
            everything = f"uid={number}({user}) gid={number}({user}) groups={number}({user})"
            text = user if "n" in found else str(number) if "u" in found or "g" in found else everything
        case "hostname":
            text = system.hostname
        case "uname":
            full = f"Linux {system.hostname} 6.1.0-simulated #1 SMP PREEMPT_DYNAMIC x86_64 GNU/Linux"
            letters = {"n": system.hostname, "r": "6.1.0-simulated", "m": "x86_64", "a": full}
            text = next((letters[letter] for letter in found if letter in letters), "Linux")
        case "nproc":
            text = "2"
        case "date":
            form = next((word[1:] for word in operands if word.startswith("+")), "%a %b %e %H:%M:%S UTC %Y")
            now = system.now()
            text = now.strftime(form.replace("%s", str(int(now.timestamp()))).replace("%N", "000000000"))
        case "uptime":
            text = uptime(system)
        case "free":
            total, used = (3914, 2260) if "m" in found else (4_008_516, 2_314_240)
            head = f"{'':15}{'total':>12}{'used':>12}{'free':>12}{'shared':>12}{'buff/cache':>12}{'available':>12}"
            parts = (total, used, total // 10, total // 90, total // 4, total - used)
            text = f"{head}\n{'Mem:':15}{''.join(f'{part:>12}' for part in parts)}\n{'Swap:':15}{0:>12}{0:>12}{0:>12}"
        case "seq":
            ends = [int(word) for word in call.words[1:]]
            first, step, last = (1, 1, ends[0]) if len(ends) == 1 else (ends[0], 1, ends[1])
            text = "\n".join(str(value) for value in range(first, min(last, first + 1_000_000) + 1, step))
        case "basename":
            text = posixpath.basename(operands[0].rstrip("/")).removesuffix(operands[1] if operands[1:] else "\0")
        case "dirname":
            text = posixpath.dirname(operands[0].rstrip("/")) or "."
        case _:
            paths = [path for name in operands if (path := program_path(name))]
            text = "\n".join(paths)
            if len(paths) < len(operands):
                await call.put(1, "".join(path + "\n" for path in paths).encode())
                return 1
    await call.say(text)
    return 0


def uptime(system: SimulatedSystem) -> str:
    """What `uptime` prints."""
    passed = system.now() - system.booted
    hours, minutes = divmod(passed.seconds // 60, 60)
    busy = sum(1 for process in system.processes.values() if process.processor > 50)
    clock = f"{system.now():%H:%M:%S} up {passed.days} days, {hours:2}:{minutes:02},  1 user"
    return f" {clock},  load average: {busy + 0.42:.2f}, {busy + 0.36:.2f}, {busy + 0.31:.2f}"


# text


async def texts(call: Call, names: Sequence[str]) -> list[bytes] | None:
    """The bytes of these files, `-` or none being standard input; None after a complaint."""
    found: list[bytes] = []
    for name in names or ["-"]:
        if name == "-":
            found.append(await call.input())
            continue
        try:
            found.append(call.system.read_text(call.path(name), call.process.user))
        except OSError as problem:
            await call.complain(f"{posixpath.basename(call.words[0])}: {name}: {problem}")
            return None
    return found


async def lines_of(call: Call, names: Sequence[str]) -> list[str] | None:
    """The lines of these files, without their ends; None after a complaint."""
    found = await texts(call, names)
    if found is None:
        return None
    return b"".join(found).decode("utf-8", "surrogateescape").removesuffix("\n").split("\n") if any(found) else []


@program("cat")
async def cat(call: Call) -> int:
    """Files, one after the other; standard input as it comes."""
    status = 0
    for name in [word for word in call.words[1:] if word == "-" or not word.startswith("-")] or ["-"]:
        if name == "-":
            while 0 in call.process.files and (chunk := await call.process.files[0].read(PIPE_LIMIT)):
                await call.put(1, chunk)
            continue
        found = await texts(call, [name])
        if found is None:
            status = 1
        else:
            await call.put(1, found[0])
    return status


@program("head", "tail")
async def head(call: Call) -> int:
    """The first or the last lines."""
    words = [f"-n{word[1:]}" if re.fullmatch(r"-\d+", word) else word for word in call.words]
    found, names = options(words, "nc")
    first = posixpath.basename(call.words[0]) == "head"
    wanted = found.get("n", found.get("lines", "10"))
    if first and not names and "c" not in found and not wanted.startswith("-"):
        return await head_of_input(call, int(wanted))
    contents = await texts(call, names)
    if contents is None:
        return 1
    data = b"".join(contents)
    if "c" in found:
        count = int(found["c"])
        await call.put(1, data[:count] if first else data[len(data) - min(count, len(data)) :])
        return 0
    rows = data.splitlines(keepends=True)
    count = abs(int(wanted))
    if first:
        rows = rows[:-count] if wanted.startswith("-") and count else rows[:count]
    else:
        rows = rows[count - 1 :] if wanted.startswith("+") else rows[len(rows) - min(count, len(rows)) :]
    await call.put(1, b"".join(rows))
    return 0


async def head_of_input(call: Call, count: int) -> int:
    """The first lines of standard input, and no more: whoever writes on is told by the closed pipe."""
    while count > 0 and 0 in call.process.files and (chunk := await call.process.files[0].read(PIPE_LIMIT)):
        rows = chunk.splitlines(keepends=True)
        await call.put(1, b"".join(rows[:count]))
        count -= chunk.count(b"\n")
    return 0


@program("tee")
async def tee(call: Call) -> int:
    """Standard input to standard output and to files."""
    found, names = options(call.words)
    data = await call.input()
    status = 0
    for name in names:
        try:
            stream = call.system.open(call.path(name), ">>" if "a" in found else ">", call.process.user).hold()
            await stream.write(data)
        except OSError as problem:
            status = await call.complain(f"tee: {name}: {problem}")
    await call.put(1, data)
    return status


@program("wc")
async def wc(call: Call) -> int:
    """Counts of lines, words and bytes."""
    found, names = options(call.words)
    contents = await texts(call, names)
    if contents is None:
        return 1
    data = b"".join(contents)
    counts = {"l": data.count(b"\n"), "w": len(data.split()), "c": len(data)}
    wanted = [letter for letter in "lwc" if letter in found] or list("lwc")
    numbers = " ".join(str(counts[letter]) for letter in wanted)
    await call.say(f"{numbers} {names[0]}" if names else numbers)
    return 0


@program("grep", "egrep", "fgrep")
async def grep(call: Call) -> int:
    """Lines that match: 0 if any, 1 if none, 2 on trouble."""
    found, operands = options(call.words, "emABC")
    pattern = found.get("e") or (operands.pop(0) if operands else "")
    if "F" in found or call.words[0] == "fgrep":
        pattern = re.escape(pattern)
    elif "E" not in found and "P" not in found and call.words[0] != "egrep":
        pattern = basic_pattern(pattern)
    pattern = posix_classes(pattern)
    pattern = rf"\b(?:{pattern})\b" if "w" in found else rf"^(?:{pattern})$" if "x" in found else pattern
    matcher = re.compile(pattern, re.IGNORECASE if "i" in found else 0)
    rows = await lines_of(call, operands)
    if rows is None:
        return 2
    hits = [(number, row) for number, row in enumerate(rows, 1) if bool(matcher.search(row)) != ("v" in found)]
    hits = hits[: int(found["m"])] if "m" in found else hits
    if "c" in found:
        await call.say(str(len(hits)))
    elif "q" not in found:
        for number, row in hits:
            for text in [each.group() for each in matcher.finditer(row)] if "o" in found else [row]:
                await call.say(f"{number}:{text}" if "n" in found else text)
    return 0 if hits else 1


def basic_pattern(pattern: str) -> str:
    """A basic regular expression in Python's words."""
    return re.sub(r"\\([(){}|+?])|([(){}|+?])", lambda found: found.group(1) or "\\" + found.group(2), pattern)


def posix_classes(pattern: str) -> str:
    """[:digit:] and friends in Python's words."""
    classes = {"digit": "0-9", "alpha": "a-zA-Z", "alnum": "a-zA-Z0-9", "space": r"\s", "upper": "A-Z", "lower": "a-z"}
    return re.sub(r"\[:(\w+):\]", lambda found: classes.get(found.group(1), ""), pattern)


@program("sort", "uniq")
async def sort(call: Call) -> int:
    """Lines in order, or without repetitions."""
    found, names = options(call.words, "kt")
    rows = await lines_of(call, names)
    if rows is None:
        return 2
    if call.words[0].endswith("uniq"):
        runs: list[tuple[str, int]] = []
        for row in rows:
            runs[-1:] = [(row, runs[-1][1] + 1)] if runs and runs[-1][0] == row else [*runs[-1:], (row, 1)]
        rows = [f"{count:7} {row}" if "c" in found else row for row, count in runs]
    else:
        column = int(re.match(r"\d+", found.get("k", "0") or "0").group() or 0) if "k" in found else 0  # type: ignore[union-attr]

        def key(row: str) -> tuple[float, str]:
            text = row if not column else " ".join(row.split(found.get("t"))[column - 1 :])
            number = re.match(r"\s*(-?\d+\.?\d*)", text) if "n" in found else None
            return (float(number.group(1)) if number else 0.0, text)

        rows = sorted(set(rows) if "u" in found else rows, key=key, reverse="r" in found)
    for row in rows:
        await call.say(row)
    return 0


@program("cut", "tr")
async def cut(call: Call) -> int:
    """Fields of lines; characters for others."""
    if call.words[0].endswith("tr"):
        return await translate(call)
    found, names = options(call.words, "dfc")
    rows = await lines_of(call, names)
    if rows is None:
        return 1
    wanted = found.get("f") or found.get("c", "1")

    def chosen(parts: Sequence[str]) -> list[str]:
        numbers: list[int] = []
        for piece in wanted.split(","):
            low, dash, high = piece.partition("-")
            numbers += range(int(low or 1), (int(high or len(parts)) if dash else int(low)) + 1)
        return [parts[number - 1] for number in sorted(set(numbers)) if number <= len(parts)]

    mark = found.get("d", "\t")
    for row in rows:
        parts = row.split(mark)
        await call.say("".join(chosen(row)) if "c" in found else mark.join(chosen(parts)) if len(parts) > 1 else row)
    return 0


async def translate(call: Call) -> int:
    """tr: replace, delete (-d) or squeeze (-s) characters."""
    found, operands = options(call.words)
    sets = [
        unescape(
            re.sub(
                r"(.)-(.)",
                lambda r: "".join(map(chr, range(ord(r[1]), ord(r[2]) + 1))),
                word.replace("[:space:]", " \t\n").replace("[:digit:]", "0-9"),
            )
        )
        for word in operands
    ]
    text = (await call.input()).decode("utf-8", "surrogateescape")
    if "d" in found:
        inside = "c" not in found
        text = "".join(mark for mark in text if (mark in sets[0]) != inside)
    elif len(sets) > 1:
        table = {mark: sets[1][min(place, len(sets[1]) - 1)] for place, mark in enumerate(sets[0])}
        text = "".join(table.get(mark, mark) for mark in text)
    if "s" in found:
        text = re.sub(f"([{re.escape(sets[-1])}])\\1+", r"\1", text)
    await call.put(1, text.encode("utf-8", "surrogateescape"))
    return 0


# files


@program("ls", "stat", "du", "readlink", "realpath")
async def ls(call: Call) -> int:
    """What is there."""
    name = posixpath.basename(call.words[0])
    found, operands = options(call.words, "c" if name == "stat" else "")
    status = 0
    for operand in operands or ["."]:
        path = call.path(operand)
        if not call.system.exists(path):
            verb = "cannot stat" if name == "stat" else "cannot access"
            status = await call.complain(
                f"{name}: {verb} '{operand}': No such file or directory", 2 if name == "ls" else 1
            )
            continue
        if name == "ls":
            await list_path(call, path, operand, found)
        elif name == "stat":
            await call.say(
                stat_text(call.system, path, found.get("c") or found.get("format") or "%n %s %i %Y", operand)
            )
        elif name == "du":
            unit = 1 if "b" in found else 1024
            await call.say(
                f"{human(sized(call.system, path)) if 'h' in found else sized(call.system, path) // unit}\t{operand}"
            )
        else:
            await call.say(path)
    return status


async def list_path(call: Call, path: str, operand: str, found: Mapping[str, str]) -> None:
    """One operand of ls."""
    node = call.system.files.get(path)
    folder = node is not None and node.directory and "d" not in found
    names = call.system.children(path) if folder else [operand]
    for name in names:
        if name.startswith(".") and "a" not in found and "A" not in found and folder:
            continue
        if "l" not in found:
            await call.say(name)
            continue
        full = f"{path.rstrip('/')}/{name}" if folder else path
        await call.say(stat_text(call.system, full, "%A 1 %U %U %s %y %n", name))


def stat_text(system: SimulatedSystem, path: str, form: str, name: str) -> str:
    """stat's format."""
    node = system.files.get(path) or Node(number=1, modified=system.now())
    letters = "".join(mark if node.mode >> (8 - place) & 1 else "-" for place, mark in enumerate("rwxrwxrwx"))
    values = {
        "n": name,
        "s": str(node.size),
        "i": str(node.number),
        "Y": str(int(node.modified.timestamp())),
        "y": f"{node.modified:%Y-%m-%d %H:%M}",
        "U": node.owner,
        "u": str(system.users.get(node.owner, 65_534)),
        "a": f"{node.mode:o}",
        "A": ("d" if node.directory else "-") + letters,
        "F": "directory" if node.directory else "regular file",
        "d": "2049",
        "h": "1",
        "%": "%",
    }
    return re.sub(r"%(.)", lambda each: values.get(each.group(1), "?"), form)


def sized(system: SimulatedSystem, path: str) -> int:
    """Bytes at and below a path."""
    return sum(
        node.size for each, node in system.files.items() if each == path or each.startswith(path.rstrip("/") + "/")
    )


def human(size: float) -> str:
    """3.1G and its like."""
    for unit in ("", "K", "M", "G"):
        if size < 1024:
            return f"{size:.0f}{unit}" if not unit or size >= 10 else f"{size:.1f}{unit}"
        size /= 1024
    return f"{size:.1f}T"


@program("df")
async def df(call: Call) -> int:
    """Free space of the simulated disk: 40 GiB, of which logs take a part."""
    found, _ = options(call.words)
    total = 40 * 1024**3
    used = min(total, 9 * 1024**3 + sized(call.system, "/"))
    show: Callable[[int], str] = human if "h" in found else lambda size: str(size // 1024)
    head = ("Filesystem", "Size" if "h" in found else "1K-blocks", "Used", "Avail", "Use%", "Mounted on")
    row = ("/dev/sda1", show(total), show(used), show(total - used), f"{-(-used * 100 // total)}%", "/")
    for cells in (head, row):
        await call.say(f"{cells[0]:<12}{cells[1]:>12}{cells[2]:>12}{cells[3]:>12}{cells[4]:>6} {cells[5]}")
    return 0


@program("rm", "rmdir", "mkdir", "touch", "truncate", "cp", "mv")
async def change_files(call: Call) -> int:
    """Change the simulated tree, as far as the user may."""
    name = posixpath.basename(call.words[0])
    found, operands = options(call.words, "s" if name == "truncate" else "")
    if name in ("cp", "mv") and len(operands) == 2:
        return await copy(call, operands[0], operands[1], move=name == "mv")
    status = 0
    for operand in operands:
        problem = change_one(call, name, call.path(operand), found)
        if problem:
            status = await call.complain(f"{name}: cannot {CHANGES[name]} '{operand}': {problem}")
    return status


CHANGES = {
    "rm": "remove",
    "rmdir": "remove",
    "mkdir": "create directory",
    "touch": "touch",
    "truncate": "open",
    "cp": "copy",
    "mv": "move",
}


def change_one(call: Call, name: str, path: str, found: Mapping[str, str]) -> str:
    """Carry it out; what was wrong in words, or nothing."""
    system, user, node = call.system, call.process.user, call.system.files.get(path)
    folder = posixpath.dirname(path)
    try:
        match name:
            case "touch":
                system.create(path, user).modified = system.now()
            case "truncate":
                size = int(found.get("s", found.get("size", "0")))
                target = system.create(path, user)
                target.data, target.padding = target.data[:size], max(0, min(target.padding, size - len(target.data)))
            case "mkdir":
                if node is not None:
                    return "" if "p" in found else "File exists"
                if folder not in system.files and "p" not in found:
                    return "No such file or directory"
                near = next(each for each in parents(path) if each in system.files)
                if not system.may(user, near, 2):
                    return "Permission denied"
                system.directory(path, owner=user)
            case _:
                return remove(call, path, node, found, empty_only=name == "rmdir")
    except OSError as problem:
        return str(problem)
    return ""


def parents(path: str) -> Iterator[str]:
    """The folders above a path, nearest first."""
    while path != "/":
        path = posixpath.dirname(path)
        yield path


def remove(call: Call, path: str, node: Node | None, found: Mapping[str, str], *, empty_only: bool) -> str:
    """rm and rmdir."""
    system = call.system
    if node is None:
        return "" if "f" in found else "Operation not permitted" if system.exists(path) else "No such file or directory"
    if path in ("/", "/proc", "/dev"):
        return "Operation not permitted"
    if node.directory and not empty_only and not ({"r", "R", "recursive"} & set(found)):
        return "Is a directory"
    if empty_only and system.children(path):
        return "Directory not empty"
    if not system.may(call.process.user, posixpath.dirname(path), 2):
        return "Permission denied"
    for each in [each for each in system.files if each == path or each.startswith(path + "/")]:
        del system.files[each]
    return ""


async def copy(call: Call, source: str, target: str, *, move: bool) -> int:
    """cp and mv of one file."""
    name = "mv" if move else "cp"
    start, end = call.path(source), call.path(target)
    if end in call.system.files and call.system.files[end].directory:
        end = f"{end}/{posixpath.basename(start)}"
    try:
        data = call.system.read_text(start, call.process.user)
        if move and (
            problem := "" if call.system.may(call.process.user, posixpath.dirname(start), 2) else "Permission denied"
        ):
            raise OSError(problem)
        node = call.system.create(end, call.process.user)
    except OSError as problem_:
        return await call.complain(f"{name}: cannot {CHANGES[name]} '{source}' to '{target}': {problem_}")
    node.data, node.padding = data, call.system.files[start].padding if start in call.system.files else 0
    if move:
        del call.system.files[start]
    return 0


@program("find")
async def find(call: Call) -> int:
    """Paths by -name, -type, -size, -maxdepth; -print and -printf only."""
    rest = call.words[1:]
    starts = []
    while rest and not rest[0].startswith(("-", "(", "!")):
        starts.append(rest.pop(0))
    tests: dict[str, str] = {}
    while rest:
        flag = rest.pop(0)
        if flag == "-print":
            continue
        if flag not in ("-name", "-type", "-size", "-maxdepth", "-printf", "-xdev") or (not rest and flag != "-xdev"):
            return await call.complain(f"find: unknown predicate `{flag}'")
        tests[flag] = "" if flag == "-xdev" else rest.pop(0)
    for start in starts or ["."]:
        base = call.path(start)
        for path in sorted(
            each for each in call.system.files if each == base or each.startswith(base.rstrip("/") + "/")
        ):
            if found_by(call.system, path, base, tests):
                name = start + path[len(base) :]
                form = tests.get("-printf", "%p\\n").replace("%p", "%n").replace("%T@", "%Y")
                await call.put(1, unescape(stat_text(call.system, path, form, name)).encode())
    return 0


def found_by(system: SimulatedSystem, path: str, base: str, tests: Mapping[str, str]) -> bool:
    """Whether find's tests hold for a path."""
    node = system.files[path]
    if "-name" in tests and not fnmatch.fnmatchcase(posixpath.basename(path), tests["-name"]):
        return False
    if "-type" in tests and node.directory != (tests["-type"] == "d"):
        return False
    if "-maxdepth" in tests and path[len(base) :].count("/") > int(tests["-maxdepth"]):
        return False
    if "-size" in tests:
        wanted = re.fullmatch(r"([-+]?)(\d+)([ckMG]?)", tests["-size"])
        if not wanted:
            raise ValueError(f"invalid argument `{tests['-size']}' to `-size'")
        unit = {"": 512, "c": 1, "k": 1024, "M": 1024**2, "G": 1024**3}[wanted.group(3)]
        size, limit = -(-node.size // unit), int(wanted.group(2))
        return size > limit if wanted.group(1) == "+" else size < limit if wanted.group(1) == "-" else size == limit
    return True


# processes


@program("kill")
async def kill(call: Call) -> int:
    """Send a signal to processes, or with a negative number to groups; -0 only asks."""
    rest = call.words[1:]
    number: int | None = TERM
    if rest[:1] == ["-l"]:
        await call.say(" ".join(SIGNALS))
        return 0
    if rest[:1] in (["-s"], ["-n"]) and len(rest) > 1:
        number, rest = signal_number(rest[1]), rest[2:]
    elif rest and rest[0].startswith("-") and rest[0] != "--":
        number, rest = signal_number(rest[0][1:]), rest[1:]
    if number is None:
        return await call.complain("kill: Illegal option or signal", 2)
    rest = rest[1:] if rest[:1] == ["--"] else rest
    if not rest:
        return await call.complain(
            "kill: Usage: kill [-s sigspec | -signum | -sigspec] [pid]... or\nkill -l [exitstatus]", 2
        )
    status = 0
    for word in rest:
        problem = kill_one(call, word, number)
        if problem:
            status = await call.complain(f"kill: {problem}")
    return status


def kill_one(call: Call, word: str, number: int) -> str:
    """Signal what one operand names; what was wrong in words, or nothing."""
    if not re.fullmatch(r"-?\d+", word):
        return f"Illegal number: {word}"
    wanted = int(word)
    if wanted > 0:
        targets = [call.system.processes[wanted]] if wanted in call.system.processes else []
    elif wanted == -1:
        targets = [each for each in call.system.processes.values() if each.pid != 1 and each is not call.process]
    else:
        targets = call.system.group(-wanted if wanted else call.process.group)
    if not targets:
        return "No such process"
    allowed = [each for each in targets if call.system.may_signal(call.process, each)]
    if not allowed:
        return "Operation not permitted"
    for each in allowed:
        call.system.signal(each, number)
    return ""


@program("pgrep", "pkill", "pidof")
async def pgrep(call: Call) -> int:
    """Processes by name (-x exactly, -f by command line, -u by user): 0 if any, 1 if none."""
    name = posixpath.basename(call.words[0])
    words = list(call.words)
    number: int | None = TERM
    if name == "pkill":
        for word in words[1:]:
            if word.startswith("-") and (found_number := signal_number(word[1:])) is not None:
                words.remove(word)
                number = found_number
                break
    found, operands = options(words, "uUPgsd" if name != "pidof" else "")
    pattern = operands[0] if operands else ""
    hits = []
    for process in list(call.system.processes.values()):
        text = process.line if "f" in found else process.name
        matched = re.fullmatch(pattern, text) if "x" in found or name == "pidof" else re.search(pattern, text)
        wanted = [("u", process.user), ("U", process.user), ("P", str(process.parent)), ("g", str(process.group))]
        wanted.append(("s", str(process.session)))
        if (
            matched
            and process is not call.process
            and all(value in found[key].split(",") for key, value in wanted if key in found)
        ):
            hits.append(process)
    hits.sort(key=lambda process: process.pid)
    hits = hits[:1] if "o" in found else hits[-1:] if "n" in found else hits
    if name == "pkill":
        return await signal_all(call, hits, number or 0)
    if "c" in found:
        await call.say(str(len(hits)))
    elif hits:
        named = [f"{process.pid} {process.line if 'a' in found else process.name}" for process in hits]
        plain = [str(process.pid) for process in hits]
        joint = " " if name == "pidof" else found.get("d", "\n")
        await call.say(joint.join(named if "a" in found or "l" in found else plain))
    return 0 if hits else 1


async def signal_all(call: Call, hits: Sequence[Process], number: int) -> int:
    """pkill's second half."""
    status = 1
    for process in hits:
        if call.system.may_signal(call.process, process):
            call.system.signal(process, number)
            status = 0
        else:
            await call.complain(f"pkill: killing pid {process.pid} failed: Operation not permitted")
    return status


COLUMNS: dict[str, tuple[str, int]] = {  # name: heading, width; negative widths are flush left
    "pid": ("PID", 7),
    "ppid": ("PPID", 7),
    "pgid": ("PGID", 7),
    "sid": ("SID", 7),
    "uid": ("UID", 5),
    "user": ("USER", -8),
    "stat": ("STAT", -4),
    "s": ("S", 1),
    "lstart": ("STARTED", 24),
    "start": ("STARTED", 8),
    "etime": ("ELAPSED", 11),
    "etimes": ("ELAPSED", 7),
    "pcpu": ("%CPU", 4),
    "pmem": ("%MEM", 4),
    "rss": ("RSS", 5),
    "vsz": ("VSZ", 6),
    "tty": ("TT", -8),
    "time": ("TIME", 8),
    "ni": ("NI", 3),
    "comm": ("COMMAND", -15),
    "args": ("COMMAND", -27),
    "cgroup": ("CGROUP", -27),
    "unit": ("UNIT", -31),
}
SAME_COLUMN = {
    "cmd": "args",
    "command": "args",
    "pgrp": "pgid",
    "sess": "sid",
    "session": "sid",
    "euser": "user",
    "ruser": "user",
    "uname": "user",
    "%cpu": "pcpu",
    "%mem": "pmem",
    "ucmd": "comm",
    "ucomm": "comm",
    "state": "s",
    "euid": "uid",
    "nice": "ni",
    "tt": "tty",
    "tname": "tty",
    "cputime": "time",
    "rssize": "rss",
}


@program("ps")
async def ps(call: Call) -> int:
    """The process table: -A, -e, -p, -C, -u, -g, -f, -o, --ppid, --no-headers, and `aux`."""
    words = ["--everything" if re.fullmatch(r"a?u?x?w*", word) else word for word in call.words]
    words = [word.replace("--pid=", "-p").replace("--format=", "-o") for word in words]
    found, operands = options(words, "opCugsGUtk")
    for name in ("sort", "ppid"):
        if found.get(name) == "" and operands:
            found[name] = operands.pop(0)
    if "p" not in found and operands and operands[0].isdecimal():
        found["p"] = ",".join(operands)
    wanted = found.get(
        "o",
        "user,pid,pcpu,pmem,vsz,rss,tty,stat,start,time,args"
        if "everything" in found
        else "user,pid,ppid,start,time,args"
        if "f" in found
        else "pid,tty,time,comm",
    )
    columns: list[tuple[str, str]] = []
    for piece in re.split(r"[,\s]+", wanted):
        key, equals, heading = piece.partition("=")
        key = SAME_COLUMN.get(key, key)
        if key not in COLUMNS:
            return await call.complain(f'error: unknown user-defined format specifier "{key}"')
        columns.append((key, heading if equals else COLUMNS[key][0]))
    rows = sorted(shown(call, found), key=lambda process: process.pid)
    if "sort" in found:
        key = found["sort"].split(",")[0]
        name = SAME_COLUMN.get(key.lstrip("+-"), key.lstrip("+-"))
        rows.sort(key=lambda process: order_key(call.system, process, name), reverse=key.startswith("-"))
    hidden = {"no-headers", "no-heading", "noheaders", "h"} & set(found)
    if any(heading for _, heading in columns) and not hidden:
        await call.say(ps_row([(key, heading) for key, heading in columns]))
    for process in rows:
        await call.say(ps_row([(key, ps_value(call.system, process, key)) for key, _ in columns]))
    return 0 if rows else 1


def order_key(system: SimulatedSystem, process: Process, name: str) -> tuple[float, str]:
    """What --sort compares."""
    text = ps_value(system, process, name)
    try:
        return float(text), ""
    except ValueError:
        return 0.0, text


def shown(call: Call, found: Mapping[str, str]) -> list[Process]:
    """The processes ps was asked for."""
    everything = list(call.system.processes.values())
    chosen: list[Process] = []
    asked = False
    for letter, value in (
        ("p", "pid"),
        ("C", "comm"),
        ("u", "user"),
        ("U", "user"),
        ("ppid", "ppid"),
        ("g", "sid"),
        ("s", "sid"),
    ):
        if found.get(letter):
            asked = True
            wanted = re.split(r"[,\s]+", found[letter])
            chosen += [
                each for each in everything if ps_value(call.system, each, value) in wanted and each not in chosen
            ]
    if asked:
        return chosen
    if {"A", "e", "everything"} & set(found):
        return everything
    return [each for each in everything if each.user == call.process.user and each.session == call.process.session]


def ps_row(cells: Sequence[tuple[str, str]]) -> str:
    """One line; the last cell is not padded to the right."""
    parts = []
    for place, (key, text) in enumerate(cells):
        width = COLUMNS[key][1]
        last = place == len(cells) - 1
        parts.append(text.rjust(width) if width > 0 else text if last else text.ljust(-width))
    return " ".join(parts)


def ps_value(system: SimulatedSystem, process: Process, key: str) -> str:
    """What a column says of a process."""
    running = (system.now() - process.started).total_seconds()
    match key:
        case "pid":
            return str(process.pid)
        case "ppid":
            return str(process.parent)
        case "pgid":
            return str(process.group)
        case "sid":
            return str(process.session)
        case "uid":
            return str(system.users.get(process.user, 65_534))
        case "user":
            return process.user
        case "stat":
            return process.state + ("s" if process.session == process.pid else "")
        case "s":
            return process.state
        case "lstart":
            return f"{process.started:%a %b} {process.started.day:2} {process.started:%H:%M:%S %Y}"
        case "start":
            return f"{process.started:%H:%M:%S}"
        case "etime":
            days, left = divmod(int(running), 86_400)
            hours, minutes = divmod(left // 60, 60)
            ahead = f"{days}-{hours:02}:" if days else f"{hours:02}:" if hours else ""
            return f"{ahead}{minutes:02}:{left % 60:02}"
        case "etimes":
            return str(int(running))
        case "pcpu":
            return f"{process.processor:.1f}"
        case "pmem":
            return f"{process.resident / 40_085:.1f}"
        case "rss" | "vsz":
            return str(process.resident if key == "rss" else process.resident * 2)
        case "tty":
            return "?"
        case "time":
            spent = int(running * process.processor / 100)
            return f"{spent // 3600:02}:{spent // 60 % 60:02}:{spent % 60:02}"
        case "ni":
            return "0"
        case "comm":
            return process.name
        case "cgroup":
            return f"0::{process.cgroup}"
        case "unit":
            return posixpath.basename(process.cgroup)
    return process.line


# services


@program("journalctl")
async def journalctl(call: Call) -> int:
    """The journal: -u UNIT, -n N, -o short|short-iso|cat, -r."""
    words = [re.sub(r"^--(unit|lines|output)=", lambda found: f"-{found.group(1)[0]}", word) for word in call.words]
    found, _ = options(words, "unopS")
    rows = list(call.system.journal)
    if "u" in found:
        units = {name.removesuffix(".service") for name in found["u"].split(",")}
        rows = [entry for entry in rows if entry.unit in units]
    count = found.get("n", "")
    rows = rows[len(rows) - min(int(count), len(rows)) :] if count.isdecimal() else rows[-10:] if "n" in found else rows
    if not rows:
        await call.say("-- No entries --")
    for entry in reversed(rows) if "r" in found else rows:
        await call.say(journal_line(call.system, entry, found.get("o", "short")))
    return 0


def journal_line(system: SimulatedSystem, entry: Entry, form: str) -> str:
    """One entry, as journalctl prints it."""
    if form == "cat":
        return entry.text
    at = f"{entry.at:%Y-%m-%dT%H:%M:%S%z}" if form.startswith("short-iso") else f"{entry.at:%b %d %H:%M:%S}"
    return f"{at} {system.hostname} {entry.origin}: {entry.text}"


def moment(at: datetime | None) -> str:
    """A time as systemd writes it."""
    return "" if at is None else f"{at:%a %Y-%m-%d %H:%M:%S} {at.tzname() or 'UTC'}"


def properties(system: SimulatedSystem, unit: str) -> dict[str, str]:
    """What `systemctl show` says of a unit, in its order."""
    service = system.services.get(unit.removesuffix(".service"))
    full = unit if "." in unit else f"{unit}.service"
    if service is None:
        service = Service(
            name=full.removesuffix(".service"), description=full, user="", command="", changed=system.now()
        )
    known = service.name in system.services
    monotonic = "0" if service.entered is None else f"{(service.entered - system.booted).total_seconds() * 1e6:.0f}"
    return {
        "Type": "notify" if service.name != "cron" else "simple",
        "Restart": "on-failure" if service.respawns else "no",
        "MainPID": str(service.main_pid),
        "Result": service.result,
        "NRestarts": str(service.respawned),
        "ExecMainStartTimestamp": moment(service.entered),
        "ExecMainPID": str(service.main_pid),
        "ExecMainStatus": str(service.exit_code),
        "ControlGroup": service.cgroup if service.main_pid else "",
        "Id": full,
        "Names": full,
        "Description": service.description,
        "LoadState": "loaded" if known else "not-found",
        "ActiveState": service.active,
        "SubState": service.sub,
        "FragmentPath": f"/lib/systemd/system/{full}" if known else "",
        "UnitFileState": "enabled" if known else "",
        "StateChangeTimestamp": moment(service.changed) if known else "",
        "ActiveEnterTimestamp": moment(service.entered),
        "ActiveEnterTimestampMonotonic": monotonic,
        "Job": "1" if service.job else "0",
        "CanReload": "yes" if service.name in RELOADABLE else "no",
    }


RELOADABLE = frozenset(("nginx", "postgresql", "sshd"))
CHANGING = (
    "start",
    "stop",
    "restart",
    "reload",
    "try-restart",
    "reload-or-restart",
    "kill",
    "reset-failed",
    "daemon-reload",
)


@program("systemctl")
async def systemctl(call: Call) -> int:
    """systemd's client. Jobs are systemd's own and go on if the client dies."""
    words = [re.sub(r"^--(property|type|signal)=", lambda each: f"-{each.group(1)[0]}", word) for word in call.words]
    found, operands = options(words, "pts")
    verb, units = (operands[0], operands[1:]) if operands else ("list-units", [])
    if verb in CHANGING:
        return await change_units(call, verb, units, found)
    match verb:
        case "show":
            return await show_units(call, units, found)
        case "status":
            statuses = [await unit_status(call, unit) for unit in units]
            return max(statuses, default=0)
        case "is-active" | "is-failed" | "is-enabled":
            return await ask_units(call, verb, units, quiet="q" in found or "quiet" in found)
        case "list-units":
            return await list_units(call, found)
        case "list-jobs":
            jobs = [service for service in call.system.services.values() if service.job]
            rows = [f"{number} {each.unit} {each.job} running" for number, each in enumerate(jobs, 1)]
            await call.say("\n".join(rows) or "No jobs running.")
            return 0
        case "is-system-running":
            failed = any(service.active == "failed" for service in call.system.services.values())
            await call.say("degraded" if failed else "running")
            return int(failed)
    return await call.complain(f"Unknown command verb {verb}.")


async def show_units(call: Call, units: Sequence[str], found: Mapping[str, str]) -> int:
    """systemctl show."""
    for place, unit in enumerate(units):
        if place:
            await call.say("")
        wanted = found["p"].split(",") if found.get("p") else None
        for name, value in properties(call.system, unit).items():
            if wanted is None or name in wanted:
                await call.say(value if "value" in found else f"{name}={value}")
    return 0


async def ask_units(call: Call, verb: str, units: Sequence[str], *, quiet: bool) -> int:
    """is-active, is-failed, is-enabled."""
    answers = []
    for unit in units:
        shown_properties = properties(call.system, unit)
        if verb == "is-enabled":
            text, good = shown_properties["UnitFileState"] or "not-found", bool(shown_properties["UnitFileState"])
        else:
            text = shown_properties["ActiveState"]
            good = text == ("active" if verb == "is-active" else "failed")
        answers.append(good)
        if not quiet:
            await call.say(text)
    return 0 if any(answers) else 3 if verb == "is-active" else 1


async def list_units(call: Call, found: Mapping[str, str]) -> int:
    """systemctl list-units."""
    wanted = "failed" if "failed" in found else found.get("state")
    rows = [each for each in call.system.services.values() if wanted in (None, each.active, each.sub)]
    if not ({"no-legend", "plain"} & set(found)):
        await call.say(f"  {'UNIT':<22} LOAD   ACTIVE     SUB     DESCRIPTION")
    for each in rows:
        await call.say(f"  {each.unit:<22} loaded {each.active:<10} {each.sub:<7} {each.description}")
    return 0


async def unit_status(call: Call, unit: str) -> int:
    """systemctl status of one unit: 0 running, 3 not, 4 unknown."""
    try:
        service = call.system.service(unit)
    except KeyError:
        return await call.complain(f"Unit {unit if '.' in unit else unit + '.service'} could not be found.", 4)
    dot = {"active": "●", "failed": "×"}.get(service.active, "○")
    since = "" if service.entered is None and service.active == "inactive" else f" since {moment(service.changed)}"
    why = f" (Result: {service.result})" if service.active == "failed" else ""
    await call.say(f"{dot} {service.unit} - {service.description}")
    await call.say(f"     Loaded: loaded (/lib/systemd/system/{service.unit}; enabled; preset: enabled)")
    await call.say(f"     Active: {service.active}{why or f' ({service.sub})'}{since}")
    if service.main_pid:
        await call.say(f"   Main PID: {service.main_pid} ({call.system.processes[service.main_pid].name})")
        await call.say(f"     CGroup: {service.cgroup}")
        for process in call.system.processes.values():
            if process.cgroup == service.cgroup:
                await call.say(f"             ├─{process.pid} {process.line}")
    await call.say("")
    for entry in [entry for entry in call.system.journal if entry.unit == service.name][-10:]:
        await call.say(journal_line(call.system, entry, "short"))
    return 0 if service.active in ("active", "activating") else 3


async def change_units(call: Call, verb: str, units: Sequence[str], found: Mapping[str, str]) -> int:
    """The verbs that change something: root only, 5 for an unknown unit, 1 if a job failed."""
    if verb == "daemon-reload" and call.process.user == "root":
        return 0
    status = 0
    for unit in units or ([""] if verb == "daemon-reload" else []):
        full = unit if unit.endswith(".service") or not unit else f"{unit}.service"
        if call.process.user != "root":
            words = f"Failed to {verb} {full}: Interactive authentication required."
            hint = f"See system logs and 'systemctl status {full}' for details."
            return await call.complain(f"{words}\n{hint}" if unit else words)
        if unit.removesuffix(".service") not in call.system.services:
            status = await call.complain(f"Failed to {verb} {full}: Unit {full} not found.", 5)
            continue
        status = await change_unit(call, verb, call.system.service(unit), found) or status
    return status


async def change_unit(call: Call, verb: str, service: Service, found: Mapping[str, str]) -> int:
    """One verb for one unit."""
    system = call.system
    if verb == "reset-failed":
        if service.active == "failed":
            service.active, service.sub, service.result = "inactive", "dead", "success"
        return 0
    if verb == "kill":
        number = signal_number(found.get("s") or "TERM") or TERM
        for process in [each for each in system.processes.values() if each.service == service.name]:
            system.signal(process, number)
        return 0
    if verb == "reload" or (verb == "reload-or-restart" and service.name in RELOADABLE and service.main_pid):
        return await reload_unit(call, service)
    if verb == "try-restart" and not service.main_pid:
        return 0
    job = system.order(service, verb if verb in ("start", "stop") else "restart")
    if "no-block" in found:
        return 0
    await asyncio.wait({job})
    if job.result():
        return 0
    await call.complain(
        f"Job for {service.unit} failed because "
        + ("a timeout was exceeded." if service.result == "timeout" else "the control process exited with error code.")
    )
    return await call.complain(
        f'See "systemctl status {service.unit}" and "journalctl -xeu {service.unit}" for details.'
    )


async def reload_unit(call: Call, service: Service) -> int:
    """systemctl reload."""
    if service.name not in RELOADABLE:
        await call.complain(
            f"Failed to reload {service.unit}: Job type reload is not applicable for unit {service.unit}."
        )
        return 3
    if not service.main_pid:
        return await call.complain(f"{service.unit} is not active, cannot reload.")
    call.system.note(service.name, "systemd[1]", f"Reloaded {service.unit} - {service.description}.")
    return 0


@program("nginx")
async def nginx(call: Call) -> int:
    """nginx -t: the configuration as the service's state has it."""
    if call.system.service("nginx").broken is Breakage.START_FAILS:
        words = 'nginx: [emerg] unexpected end of file, expecting "}" in /etc/nginx/nginx.conf:4'
        return await call.complain(f"{words}\nnginx: configuration file /etc/nginx/nginx.conf test failed")
    await call.complain("nginx: the configuration file /etc/nginx/nginx.conf syntax is ok")
    return await call.complain("nginx: configuration file /etc/nginx/nginx.conf test is successful", 0)


# sed and awk, as far as one-liners go


@program("sed")
async def sed(call: Call) -> int:
    """s///[gIp], p, d and q with line numbers, `$`, /patterns/ and ranges of numbers; -n, -E, -e."""
    found, operands = options(call.words, "e")
    script = found.get("e") or (operands.pop(0) if operands else "")
    rows = await lines_of(call, operands)
    if rows is None:
        return 2
    edits = [sed_edit(piece.strip(), extended="E" in found or "r" in found) for piece in script.split(";") if piece]
    for number, row in enumerate(rows, 1):
        kept, quit_now = True, False
        for chosen, command, flags, pattern, replacement in edits:
            if not chosen(number, row, number == len(rows)):
                continue
            if command == "s" and pattern is not None:
                row, changes = pattern.subn(replacement, row, count=0 if "g" in flags else 1)
                if changes and "p" in flags:
                    await call.say(row)
            elif command == "p":
                await call.say(row)
            kept = kept and command != "d"
            quit_now = quit_now or command == "q"
        if kept and "n" not in found:
            await call.say(row)
        if quit_now:
            return 0
    return 0


Edit: TypeAlias = "tuple[Callable[[int, str, bool], bool], str, str, re.Pattern[str] | None, str]"


def sed_edit(piece: str, *, extended: bool) -> Edit:
    """One command of sed, taken apart; raises ValueError for what is not simulated."""

    def pattern_of(text: str) -> str:
        return posix_classes(text if extended else basic_pattern(text))

    address, command, rest = "", "", ""
    if parts := re.fullmatch(r"(\d+,(?:\d+|\$)|\d+|\$|/(?:[^/\\]|\\.)*/|)\s*(?:([pdq])|s(\W)(.*))", piece, re.DOTALL):
        address, command = parts.group(1), parts.group(2) or "s"
        rest = parts.group(4) or ""
    else:
        raise ValueError(f"-e expression #1: not simulated: {piece}")

    def chosen(number: int, row: str, last: bool) -> bool:
        if address.startswith("/"):
            return re.search(pattern_of(address[1:-1]), row) is not None
        low, _, high = address.partition(",")
        if low == "$" or not low:
            return last or not low
        return int(low) <= number and (number <= int(high or low) if high != "$" else True)

    if command != "s":
        return chosen, command, "", None, ""
    mark = re.escape(parts.group(3))
    fields = re.fullmatch(rf"((?:\\.|(?!{mark}).)*){mark}((?:\\.|(?!{mark}).)*){mark}([gIp]*)", rest, re.DOTALL)
    if not fields:
        raise ValueError("-e expression #1: unterminated `s' command")
    replacement = re.sub(r"\\(.)|&", lambda one: r"\g<0>" if one.group() == "&" else sed_escape(one[1]), fields[2])
    matcher = re.compile(pattern_of(fields[1]), re.IGNORECASE if "I" in fields[3] else 0)
    return chosen, "s", fields[3], matcher, replacement


def sed_escape(mark: str) -> str:
    """A backslash sequence of sed's replacement, as Python's."""
    return rf"\g<{mark}>" if mark.isdecimal() else "\n" if mark == "n" else "\\\\" if mark == "\\" else mark


@program("awk", "mawk", "gawk")
async def awk(call: Call) -> int:
    """`CONDITION { print A, B }` rules with fields, NR, NF, -v variables, comparisons, ~, && and ||; -F."""
    words = call.words[1:]
    separator: str | None = None
    variables: dict[str, str] = {}
    while words and words[0].startswith("-") and len(words[0]) > 1:
        flag, value = words[0][:2], words[0][2:]
        words = words[1:]
        if not value and words:
            value, words = words[0], words[1:]
        if flag == "-F":
            separator = value
        elif flag == "-v":
            name, _, variables[name] = value.partition("=")[0], "", value.partition("=")[2]
    rules = awk_rules(words[0] if words else "")
    rows = await lines_of(call, words[1:])
    if rows is None:
        return 2
    for number, row in enumerate(rows, 1):
        fields = row.split(separator)
        line = AwkLine(row=row, fields=fields, variables=variables | {"NR": str(number), "NF": str(len(fields))})
        for condition, printed in rules:
            if condition and not line.truth(condition):
                continue
            await call.say(" ".join(line.value(piece) for piece in printed) if printed else row)
    return 0


def awk_rules(text: str) -> list[tuple[str, list[str]]]:
    """Conditions with what they print; raises ValueError for what is not simulated."""
    rules = []
    for found in re.finditer(r"\s*([^{}]*?)\s*(?:\{\s*(?:print\s*([^{};]*?)\s*;?)\s*\}|$)\s*", text):
        if found.group():
            printed = re.findall(r'(?:"[^"]*"|[^,"])+', found.group(2) or "")
            rules.append((found.group(1), [piece.strip() for piece in printed]))
    if not rules or "".join(found.group() for found in re.finditer(AWK_SHAPE, text)) != text:
        raise ValueError(f"not simulated: {text}")
    return rules


AWK_SHAPE = r"\s*([^{}]*?)\s*(?:\{\s*(?:print\s*([^{};]*?)\s*;?)\s*\}|$)\s*"


@dataclass(frozen=True, kw_only=True)
class AwkLine:
    """One line awk looks at."""

    row: str
    fields: list[str]
    variables: Mapping[str, str]

    def value(self, text: str) -> str:
        """A field, a number, a string or a variable, or several side by side; raises ValueError for anything else."""
        pieces = re.findall(r'"[^"]*"|\$\w+|\w+(?:\.\d+)?|\S', text)
        return "".join(self.atom(piece) for piece in pieces)

    def atom(self, piece: str) -> str:
        """One of them."""
        if piece.startswith('"'):
            return unescape(piece[1:-1])
        if piece.startswith("$"):
            name = piece[1:]
            place = int(name if name.isdecimal() else self.variables.get(name, "0") or 0)
            return self.row if place == 0 else self.fields[place - 1] if place <= len(self.fields) else ""
        if re.fullmatch(r"\d+(\.\d+)?", piece):
            return piece
        if re.fullmatch(r"\w+", piece):
            return self.variables.get(piece, "")
        raise ValueError(f"not simulated: {piece}")

    def truth(self, text: str) -> bool:
        """Whether a condition holds."""
        if "||" in text:
            return any(self.truth(part) for part in text.split("||"))
        if "&&" in text:
            return all(self.truth(part) for part in text.split("&&"))
        text = text.strip()
        if found := re.fullmatch(r"(!?)/(.*)/", text):
            return (re.search(posix_classes(found[2]), self.row) is not None) != bool(found[1])
        if found := re.fullmatch(r"(.+?)\s*(!~|~)\s*/(.*)/", text):
            return (re.search(posix_classes(found[3]), self.value(found[1])) is not None) == (found[2] == "~")
        if found := re.fullmatch(r"(.+?)\s*(==|!=|<=|>=|<|>)\s*(.+)", text):
            return self.compare(self.value(found[1]), found[2], self.value(found[3]))
        return self.value(text) not in ("", "0")

    def compare(self, left: str, operator: str, right: str) -> bool:
        """Numbers as numbers, else as text."""
        try:
            order = float(left) - float(right)
        except ValueError:
            order = float((left > right) - (left < right))
        answers = {"==": order == 0, "!=": order != 0, "<": order < 0, ">": order > 0, "<=": order <= 0}
        return answers.get(operator, order >= 0)
