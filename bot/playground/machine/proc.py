"""What /proc says of a simulated host and its processes."""

from collections.abc import Callable, Mapping
from datetime import datetime

from bot.playground.machine.processes import Process, ProcessTable

NOBODY = 65_534


class Proc:
    """The files below /proc, made when they are read. `users`: uid by name."""

    def __init__(
        self,
        *,
        processes: ProcessTable,
        now: Callable[[], datetime],
        booted: datetime,
        users: Mapping[str, int],
    ) -> None:
        self._processes, self._now, self._booted, self._users = processes, now, booted, users

    def folders(self) -> set[str]:
        """A folder per process."""
        return {str(pid) for pid in self._processes}

    def text(self, path: str) -> str | None:
        """The text of a file below /proc, "" for a process's folder; None if there is none."""
        match path.split("/"):
            case ["", "proc", "uptime"]:
                seconds = (self._now() - self._booted).total_seconds()
                return f"{seconds:.2f} {seconds * 1.9:.2f}\n"
            case ["", "proc", "loadavg"]:
                busy = sum(1 for process in self._processes.values() if process.processor > 50)
                load = f"{busy + 0.42:.2f} {busy + 0.36:.2f} {busy + 0.31:.2f}"
                return f"{load} 1/{len(self._processes)} {self._processes.last_pid}\n"
            case ["", "proc", "meminfo"]:
                parts = {"MemTotal": 4_008_516, "MemFree": 400_851, "MemAvailable": 1_694_276, "SwapTotal": 0}
                return "".join(f"{name}:{size:>16} kB\n" for name, size in parts.items())
            case ["", "proc", "diskstats"]:
                tenths = int((self._now() - self._booted).total_seconds() * 10)  # a little of everything all the time
                return (
                    f"   8       0 sda {tenths} 0 {tenths * 16} {tenths} {tenths} 0 {tenths * 40} {tenths} 0 "
                    f"{tenths * 3} {tenths * 2}\n"
                )
            case ["", "proc", "stat"]:
                return (
                    f"cpu  10132153 290696 3084719 46828483 16683 0 25195 0 0 0\nbtime {self._booted.timestamp():.0f}\n"
                )
            case ["", "proc", number, *rest] if number.isdecimal() and int(number) in self._processes:
                return self._of_process(self._processes[int(number)], rest)
        return None

    def _of_process(self, process: Process, rest: list[str]) -> str | None:
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
                uid = self._users.get(process.user, NOBODY)
                return (
                    f"Name:\t{process.name}\nState:\t{process.state}\nTgid:\t{process.pid}\nPid:\t{process.pid}\n"
                    f"PPid:\t{process.parent}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nVmRSS:\t{process.resident} kB\n"
                )
        return None
