"""The services of a simulated host, and the jobs by which systemd starts and stops them."""

import asyncio
import functools
import posixpath
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.playground.machine.journal import Journal
from bot.playground.machine.processes import Process, ProcessTable
from bot.playground.machine.signals import HUP, INT, KILL, PIPE, SIGNAL_NAMES, SIGNALS, TERM
from bot.playground.machine.tasks import Tasks

CLEAN = frozenset((HUP, INT, TERM, PIPE))  # signals that systemd calls a clean exit


class Breakage(StrEnum):
    """The ways a demo service can be broken."""

    START_FAILS = "start fails"  # its program exits with 1 at once
    CRASHES = "crashes"  # it starts, and dies a moment later
    HANGS = "hangs"  # its start does not come to an end


@dataclass(eq=False, kw_only=True)
class Service:
    """A systemd unit of the simulation. Times are aware; `respawns` is Restart=on-failure, `reloads` has ExecReload."""

    name: str
    description: str
    user: str
    command: str
    workers: tuple[str, ...] = ()
    respawns: bool = False
    reloads: bool = False
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


class Services(Mapping[str, Service]):
    """The units of one host, by name without `.service`.

    `restart_seconds` is what a unit needs to stop and start, `start_timeout` how long systemd waits for a start that
    hangs; `pause` waits for seconds.
    """

    def __init__(
        self,
        *,
        processes: ProcessTable,
        journal: Journal,
        tasks: Tasks,
        now: Callable[[], datetime],
        pause: Callable[[float], Awaitable[None]],
        restart_seconds: float,
        start_timeout: float,
    ) -> None:
        self._units: dict[str, Service] = {}
        self._processes, self._journal, self._tasks = processes, journal, tasks
        self._now, self._pause = now, pause
        self._restart_seconds, self._start_timeout = restart_seconds, start_timeout

    def __getitem__(self, name: str) -> Service:
        """A unit by its name, with or without `.service`; KeyError if there is none."""
        return self._units[name.removesuffix(".service")]

    def __iter__(self) -> Iterator[str]:
        return iter(self._units)

    def __len__(self) -> int:
        return len(self._units)

    def add(self, service: Service) -> None:
        """Install a unit."""
        self._units[service.name] = service

    def members(self, service: Service) -> list[Process]:
        """The processes of a unit."""
        return [process for process in self._processes.values() if process.service == service.name]

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

        service.running_job = self._tasks.start(job(service.running_job))
        return service.running_job

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
        self._journal.note(service.name, f"Stopping {service.unit} - {service.description}...")
        self._turn(service, "deactivating", "stop-sigterm")
        await self._pause(self._restart_seconds * 0.4)
        self._end_members(service)
        self._turn(service, "inactive", "dead")
        service.result = "success"
        self._journal.note(service.name, f"{service.unit}: Deactivated successfully.")
        self._journal.note(service.name, f"Stopped {service.unit} - {service.description}.")

    async def _start(self, service: Service) -> bool:
        self._journal.note(service.name, f"Starting {service.unit} - {service.description}...")
        self._turn(service, "activating", "start")
        if service.broken is Breakage.HANGS:
            await self._pause(self._start_timeout)
            return self._failed(service, result="timeout", code=0, why="start operation timed out. Terminating.")
        await self._pause(self._restart_seconds * 0.6)
        if service.broken is Breakage.START_FAILS:
            pid = self._processes.free_pid()
            short = posixpath.basename(service.command.split(" ")[0])
            text = "configuration error: unexpected end of file, expecting '}'"
            self._journal.note(service.name, text, origin=f"{short}[{pid}]")
            why = "Main process exited, code=exited, status=1/FAILURE"
            return self._failed(service, result="exit-code", code=1, why=why)
        self.bring_up(service)
        self._journal.note(service.name, f"Started {service.unit} - {service.description}.")
        if service.broken is Breakage.CRASHES:
            self._tasks.start(self._crash(service.main_pid))
        return True

    async def _crash(self, pid: int) -> None:
        await self._pause(self._restart_seconds)
        if pid in self._processes:
            self._processes.signal(self._processes[pid], SIGNALS["SEGV"])

    def bring_up(self, service: Service, *, started: datetime | None = None) -> None:
        """Its main process and its workers are there, and it is active."""
        main = self._processes.spawn(service.command, user="root", cgroup=service.cgroup, started=started)
        if not service.workers:
            main.user = service.user
        main.service, service.main_pid = service.name, main.pid
        main.on_end = functools.partial(self._main_process_lost, service)
        for worker in service.workers:
            child = self._processes.spawn(
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
        service.entered = started or self._now()

    def _turn(self, service: Service, active: str, sub: str, *, at: datetime | None = None) -> None:
        service.active, service.sub, service.changed = active, sub, at or self._now()

    def _end_members(self, service: Service) -> None:
        service.main_pid = 0
        for process in self.members(service):
            process.service = process.on_end = None
            self._processes.end(process, KILL)

    def _failed(self, service: Service, *, result: str, code: int, why: str) -> bool:
        self._end_members(service)
        service.result, service.exit_code = result, code
        self._turn(service, "failed", "failed")
        self._journal.note(service.name, f"{service.unit}: {why}")
        self._journal.note(service.name, f"{service.unit}: Failed with result '{result}'.")
        if result != "signal":
            self._journal.note(service.name, f"Failed to start {service.unit} - {service.description}.")
        return False

    def _main_process_lost(self, service: Service, process: Process) -> None:
        number = process.fatal or 0
        name = SIGNAL_NAMES.get(number, "0")
        why = f"Main process exited, code=killed, status={number}/{name}"
        if number in CLEAN:
            self._end_members(service)
            self._turn(service, "inactive", "dead")
            self._journal.note(service.name, f"{service.unit}: Deactivated successfully.")
            return
        self._failed(service, result="signal", code=number, why=why)
        if service.respawns and service.broken is None:
            service.respawned += 1
            self._journal.note(
                service.name, f"{service.unit}: Scheduled restart job, restart counter is at {service.respawned}."
            )
            self.order(service, "start")
