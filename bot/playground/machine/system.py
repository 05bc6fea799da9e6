"""One simulated host, and how a program is called on it."""

import asyncio
import posixpath
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from bot.playground.machine.files import SEARCHED, FileTree
from bot.playground.machine.journal import Journal
from bot.playground.machine.proc import Proc
from bot.playground.machine.processes import INIT, Body, Process, ProcessTable
from bot.playground.machine.services import Breakage, Service, Services
from bot.playground.machine.streams import Stream, encoded, everything
from bot.playground.machine.tasks import Tasks

UPTIME = timedelta(days=41, hours=3, minutes=17)  # of a host that is new to us
SYSTEM_USERS = {"root": 0, "www-data": 33, "postgres": 106, "app": 998, "ops": 1000}
NEXT_USER = 1001
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # a shell's statuses for a program that isn't there, or isn't one


class SimulatedSystem:
    """One host: its processes, services, files, journal, programs and clock.

    `now` gives aware datetimes; `pause` waits for seconds (asyncio.sleep outside of tests); `restart_seconds` is what a
    unit needs to stop and start, `start_timeout` how long systemd waits for a start that hangs. `login` is the user
    that people log in as.
    """

    def __init__(
        self,
        hostname: str,
        *,
        programs: "Mapping[str, Program]",
        now: Callable[[], datetime],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        restart_seconds: float = 1.0,
        start_timeout: float = 90.0,
        login: str = "ops",
    ) -> None:
        self.hostname, self.programs, self.now, self.pause, self.login = hostname, programs, now, pause, login
        self.booted = now() - UPTIME
        self.users = {login: NEXT_USER} | SYSTEM_USERS
        self._tasks = Tasks()
        self.processes = ProcessTable(now=now, booted=self.booted, tasks=self._tasks)
        proc = Proc(processes=self.processes, now=now, booted=self.booted, users=self.users)
        self.files = FileTree(now=now, proc=proc, programs=programs)
        self.journal = Journal(now)
        self.services = Services(
            processes=self.processes,
            journal=self.journal,
            tasks=self._tasks,
            now=now,
            pause=pause,
            restart_seconds=restart_seconds,
            start_timeout=start_timeout,
        )

    def service(self, name: str) -> Service:
        """A unit by its name, with or without `.service`; KeyError if there is none."""
        return self.services[name]

    def break_service(self, name: str, how: Breakage | str) -> None:
        """From its next start on, this service is broken."""
        self.services[name].broken = Breakage(how)

    def repair_service(self, name: str) -> None:
        """From its next start on, this service works again."""
        self.services[name].broken = None

    def open_session(self, body: Body, *arguments: str, files: Mapping[int, Stream]) -> Process:
        """A login session: a process that leads its own session and group, below sshd."""
        process = self.processes.spawn(
            *arguments,
            user=self.login,
            parent=self.services["sshd"].main_pid or INIT,
            cgroup=f"/user.slice/user-{self.users[self.login]}.slice/session-{self.processes.last_pid}.scope",
        )
        process.directory = f"/home/{self.login}"
        for number, stream in files.items():
            process.connect(number, stream)
        return self.processes.run(process, body)

    def program_path(self, name: str) -> str | None:
        """Where a program is, as `command -v` says it; None if there is none."""
        folder, short = posixpath.split(name)
        if short not in self.programs or (folder and folder not in SEARCHED):
            return None
        return name if folder else f"/usr/bin/{name}"

    async def execute(
        self, process: Process, words: list[str], environment: dict[str, str], *, shell: str = "sh"
    ) -> int:
        """Be this program, in this process; a program that is not there is missed in the words of `shell`."""
        process.state = "S"
        call = Call(system=self, process=process, words=words, environment=environment)
        if self.program_path(words[0]) is not None:
            return await self.perform(call)
        if "/" in words[0] and self.files.exists(words[0]):
            return await call.complain(f"{shell}: 1: {words[0]}: Permission denied", NOT_EXECUTABLE)
        return await call.complain(f"{shell}: 1: {words[0]}: not found", NOT_FOUND)

    async def perform(self, call: "Call") -> int:
        """Run the program of a call to its end; what it can't do ends it with a complaint and 1."""
        try:
            return await self.programs[call.name](call)
        except BrokenPipeError:
            raise
        except (OSError, ValueError, IndexError, re.error) as problem:
            return await call.complain(f"{call.name}: {problem}")

    async def close(self) -> None:
        """End everything that runs. The process table is empty afterwards."""
        await self._tasks.close()
        self.processes.clear()


@dataclass(kw_only=True)
class Call:
    """A program being run: its words (the first is its name), its environment and where it runs."""

    system: SimulatedSystem
    process: Process
    words: list[str]
    environment: dict[str, str]

    @property
    def name(self) -> str:
        """The program's name, without the folder it was called by."""
        return posixpath.basename(self.words[0])

    async def say(self, text: str) -> None:
        """Write this line to standard output."""
        await self.put(1, encoded(text + "\n"))

    async def complain(self, text: str, status: int = 1) -> int:
        """Write this line to standard error and hand back the status."""
        await self.put(2, encoded(text + "\n"))
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
        return self.process.path(name)

    def fork(self, words: list[str], *, user: str | None = None) -> Process:
        """A child that runs these words."""

        async def body(process: Process) -> int:
            return await self.system.execute(process, words, dict(self.environment))

        return self.system.processes.fork(self.process, body, *words, user=user)

    async def become(self, words: list[str], environment: dict[str, str]) -> int:
        """exec: the same process, another program."""
        if self.system.program_path(words[0]) is None:
            return await self.complain(f"{self.name}: ‘{words[0]}’: No such file or directory", NOT_FOUND)
        self.process.rename(words)
        return await self.system.execute(self.process, words, environment)


Program: TypeAlias = Callable[[Call], Coroutine[Any, Any, int]]
