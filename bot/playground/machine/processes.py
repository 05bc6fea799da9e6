"""The process table: starting, forking, signalling and ending simulated processes."""

import asyncio
import functools
import logging
import posixpath
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from bot.playground.machine.signals import CONT, HARMLESS, KILL, PIPE, STOPPING
from bot.playground.machine.streams import Bell, Stream
from bot.playground.machine.tasks import Tasks

log = logging.getLogger(__name__)

TICKS = 100  # clock ticks per second, as `getconf CLK_TCK` says on Linux
PROCESS_LIMIT = 2_000
NAME_LENGTH = 15  # what the kernel keeps of a process name
INIT = 1
LAST_PID = 4_194_304
FIRST_PID_AGAIN = 2_000  # where numbering goes on once the last was given


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
    service: str | None = None  # the unit it belongs to, by name
    on_end: "Callable[[Process], None] | None" = None
    task: "asyncio.Task[int] | None" = None
    fatal: int | None = None
    status: int | None = None  # 0..255 as `$?` shows it, 128 + N after signal N
    alert: Bell = field(default_factory=Bell)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def line(self) -> str:
        """Its command line as ps prints it."""
        return f"[{self.name}]" if self.kernel else " ".join(self.arguments)

    async def outcome(self) -> int:
        """Its status, once it has ended."""
        await self.ended.wait()
        return self.status or 0

    def connect(self, number: int, stream: Stream) -> None:
        """Make this descriptor that stream."""
        stream.hold()
        self.disconnect(number)
        self.files[number] = stream

    def disconnect(self, number: int) -> None:
        """Close this descriptor, if it is open."""
        if number in self.files:
            self.files.pop(number).release()

    def path(self, name: str) -> str:
        """A name seen from its directory, as an absolute path."""
        return posixpath.normpath(posixpath.join(self.directory, name)).replace("//", "/")

    def rename(self, words: Sequence[str]) -> None:
        """Become another program: the same process with other words."""
        self.arguments, self.name = tuple(words), posixpath.basename(words[0])[:NAME_LENGTH]


Body: TypeAlias = "Callable[[Process], Coroutine[Any, Any, int]]"


class ProcessTable(Mapping[int, Process]):
    """The processes of one host, by pid. `booted` and what `now` gives are aware."""

    def __init__(self, *, now: Callable[[], datetime], booted: datetime, tasks: Tasks) -> None:
        self.last_pid = INIT
        self._now, self._booted, self._tasks = now, booted, tasks
        self._table: dict[int, Process] = {}

    def __getitem__(self, pid: int) -> Process:
        return self._table[pid]

    def __iter__(self) -> Iterator[int]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def group(self, number: int) -> list[Process]:
        """The processes of one group."""
        return [process for process in self._table.values() if process.group == number]

    def spawn(
        self,
        *arguments: str,
        name: str | None = None,
        user: str = "root",
        parent: int = INIT,
        group: int | None = None,
        session: int | None = None,
        cgroup: str = "/init.scope",
        pid: int | None = None,
        started: datetime | None = None,
        ignored: Iterable[int] = (),
    ) -> Process:
        """Put a process into the table that does nothing but be there.

        `pid` only for those with a number of old. Without a `name` it is the program's, as in "nginx: master process".
        """
        number = self.free_pid() if pid is None else pid
        self.last_pid = max(self.last_pid, number)
        moment = started or self._now()
        process = Process(
            pid=number,
            parent=parent,
            group=number if group is None else group,
            session=number if session is None else session,
            user=user,
            name=(name or posixpath.basename(arguments[0].split(" ")[0]).rstrip(":"))[:NAME_LENGTH],
            arguments=arguments,
            started=moment,
            ticks=int((moment - self._booted).total_seconds() * TICKS),
            cgroup=cgroup,
            ignored=set(ignored),
        )
        self._table[number] = process
        return process

    def run(self, process: Process, body: Body) -> Process:
        """Let this process do something. It ends when the body returns its status, or when a signal cancels it."""
        process.task = self._tasks.start(self._live(process, body))
        process.task.add_done_callback(functools.partial(self._finished, process))
        return process

    def fork(self, parent: Process, body: Body, *arguments: str, user: str | None = None) -> Process:
        """A child with the parent's group, descriptors, directory and ignored signals, running `body`."""
        if len(self._table) >= PROCESS_LIMIT:
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

    def signal(self, process: Process, number: int) -> None:
        """Deliver a signal as the kernel would. Number 0 does nothing."""
        if number == 0 or process.status is not None or process.pid == INIT or process.kernel:
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
            self.end(process, number)

    def end(self, process: Process, number: int) -> None:
        """End it by this signal, which it cannot catch any more."""
        if process.fatal is None:
            process.fatal = number
            if process.task is None:
                self._remove(process, 128 + number)
            else:
                process.task.cancel()

    def may_signal(self, sender: Process, process: Process) -> bool:
        """Root everything; anybody else what is theirs, or the `sudo` they started."""
        return sender.user in ("root", process.user, process.invoked_by)

    def free_pid(self) -> int:
        """The next number that nobody has."""
        self.last_pid += 1
        while self.last_pid in self._table or self.last_pid >= LAST_PID:
            self.last_pid = FIRST_PID_AGAIN if self.last_pid >= LAST_PID else self.last_pid + 1
        return self.last_pid

    def clear(self) -> None:
        """Forget all of them; the host is gone."""
        self._table.clear()

    async def _live(self, process: Process, body: Body) -> int:
        try:
            return await body(process)
        except BrokenPipeError:
            process.fatal = PIPE
            return 128 + PIPE

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
        self._table.pop(process.pid, None)
        for child in self._table.values():
            if child.parent == process.pid:
                child.parent = INIT
        process.ended.set()
        if process.on_end is not None and not self._tasks.closing:
            process.on_end(process)
