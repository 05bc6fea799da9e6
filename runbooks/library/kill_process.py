"""End a process: TERM, a while to go by itself, then KILL."""

import re

from pydantic import Field, field_validator

from runbooks import (
    Category,
    Danger,
    Expect,
    Facts,
    Parameters,
    Plan,
    Probe,
    Require,
    Run,
    Runbook,
    Sample,
    Seconds,
    minutes,
    positional,
)

MOST = 10
"""More processes of one name than this are not one problem but many."""


LAST_PID = 4_194_304
"""Linux's PID_MAX_LIMIT."""
RIGHT = "/usr/bin/kill ^-(TERM|KILL) [0-9]+$"
"""What sudoers must allow: another pid each time, so a regular expression (sudo 1.9.10 and later)."""


class KillProcess(Runbook):
    """End a process by pid or exact name: TERM, a while to go by itself, then KILL.

    A process is known by its pid and the time it began: right before each signal it must still be that one, so that a
    pid given to somebody else meanwhile is left alone. The first process, kernel threads and the listening sshd are
    never ended. Where a process belongs to a unit, systemd may start it again; `restart-service` and `stop-service` are
    the better way there.
    """

    name, aliases, category = "kill-process", ("kill",), Category.RECOVERY
    danger, cooldown, timeout = Danger.DANGEROUS, minutes(5), minutes(5)
    max_hosts = 1
    example = "kill report-worker on web-01"
    no_undo = "What was ended does not come back by itself: there is no undo."

    class Params(Parameters):
        """Which process, and how long it may take to end by itself."""

        process: str = positional(
            "process id, or the exact name of the program",
            pattern=r"^[A-Za-z0-9_.][A-Za-z0-9_.:@+-]{0,63}$",
            examples=["4711", "nginx"],
        )
        grace: Seconds = Field(10, ge=1, le=120, description="seconds between TERM and KILL")

        @field_validator("process")
        @classmethod
        def _is_one(cls, process: str) -> str:
            is_number = process.isascii() and process.isdigit()
            if is_number and (process[0] == "0" or not 2 <= int(process) <= LAST_PID):
                raise ValueError(f"{process} is no pid: they go from 2 to {LAST_PID}, and 1 is the system itself.")
            return process

    async def probe(self, host: Probe, params: Params) -> Facts:
        """Who would die: pid, parent, owner, start time, unit and command line of each."""
        pids = await self._pids(host, params)
        processes = [await self._look(host, pid) for pid in pids]
        for found in processes:
            _refuse_the_untouchable(found, host.name)
            if found["user"] != host.login:
                await _refuse_what_is_not_ours(found, host)
        return Facts(login=host.login, processes=processes)

    async def _pids(self, host: Probe, params: Params) -> list[int]:
        if params.process.isascii() and params.process.isdigit():
            return [int(params.process)]
        # pgrep reads a regular expression: "python3.11" would also find "python3x11", and "g++" nothing at all.
        exactly = re.sub(r"[.+]", r"[\g<0>]", params.process)
        listed = await host.read("pgrep", "-x", "--", exactly, allow_exit={0, 1})
        pids = sorted({int(word) for word in listed.split() if word.isdigit()})
        if not pids:
            raise ValueError(f"No process on {host.name} is called exactly '{params.process}'. It is over already.")
        if len(pids) > MOST:
            raise ValueError(
                f"{len(pids)} processes on {host.name} are called '{params.process}', more than {MOST}. "
                "Restart their service, or name one pid."
            )
        return pids

    async def _look(self, host: Probe, pid: int) -> dict[str, str | int]:
        stat = await host.read("cat", f"/proc/{pid}/stat", allow_exit={0, 1})
        match = re.match(r"\A\d+ \((.*)\) \S (\d+) (.*)\Z", stat, re.DOTALL)
        if stat.exit_status != 0 or not match:
            raise ValueError(f"There is no process {pid} on {host.name}. It is over already.")
        fields = match[3].split()
        cgroup = await host.read("cat", f"/proc/{pid}/cgroup", allow_exit={0, 1})
        line = await host.read("ps", "-o", "user=,lstart=,args=", "-p", str(pid), allow_exit={0, 1})
        words = line.split(None, 6)
        return {
            "pid": pid,
            "name": match[1],
            "parent": int(match[2]),
            "start": fields[17],  # field 22 of proc(5): clock ticks after boot; a pid and this never come twice
            "unit": _unit(cgroup),
            "user": words[0] if words else "?",
            "since": " ".join(words[1:6]),
            "command": words[6] if len(words) > 6 else "",
        }

    def plan(self, params: Params, facts: Facts) -> Plan:
        """For each process: it is still the same one; TERM; gone within the grace, or the same one gets KILL; gone."""
        steps: list[Require | Run | Expect] = []
        for process in facts.processes:
            pid, name = process["pid"], process["name"]
            sudo = facts.login not in {process["user"], "root"}
            # Also holds when the pid was given to somebody new meanwhile: only the very same live process is "same".
            same = rf"{pid} \({re.escape(name)}\) [^ZX] (\S+ ){{18}}{process['start']} "
            gone: tuple[str, ...] = (f"{name} ({pid}) is gone", "cat", f"/proc/{pid}/stat")
            steps += [
                Require(
                    f"{pid} is still {name}, started {process['since']}",
                    "cat",
                    f"/proc/{pid}/stat",
                    pattern=rf"\A{same}",
                ),
                Run(f"Ask {name} ({pid}) to end", "kill", "-TERM", str(pid), sudo=sudo),
                Run(
                    f"Kill {name} ({pid}) if it has not ended",
                    "kill",
                    "-KILL",
                    str(pid),
                    sudo=sudo,
                    unless=Expect(*gone, pattern=rf"\A(?!{same})", allow_exit={0, 1}, within=params.grace),
                ),
                Expect(*gone, pattern=rf"\A(?!{same})", allow_exit={0, 1}, within=10),
            ]
        units = [str(process["unit"]) for process in facts.processes if process["unit"]]
        again = [unit for unit in dict.fromkeys(units) if not unit.endswith(".scope")]
        note = f"systemd may start it again, as part of {', '.join(again)}." if again else None
        return Plan(*steps, services=units, note=note)

    def outcome(self, params: Params, before: Facts, after: Facts | None) -> str | None:
        """Who is gone."""
        return "ended " + ", ".join(f"{p['name']} ({p['pid']})" for p in before.processes)

    samples = (
        Sample(
            "report-worker grace=20s",
            Facts(
                login="ops",
                processes=[
                    {
                        "pid": 4711,
                        "name": "report-worker",
                        "parent": 1,
                        "start": "123456",
                        "unit": "report-worker",
                        "user": "app",
                        "since": "Sat Nov 21 09:49:00 2026",
                        "command": "/usr/local/bin/report-worker",
                    }
                ],
            ),
            when="a process of somebody else",
        ),
    )


def _unit(cgroup: str) -> str:
    """The systemd unit in /proc/PID/cgroup: the last path component of systemd's own hierarchy."""
    for line in cgroup.splitlines():
        hierarchy, _, path = line.partition("::") if line.startswith("0::") else line.rpartition(":")
        if hierarchy == "0" or "name=systemd" in hierarchy:
            last = path.rstrip("/").rpartition("/")[2]
            if last.endswith((".service", ".scope")):
                return last.removesuffix(".service")
    return ""


async def _refuse_what_is_not_ours(process: dict[str, str | int], host: Probe) -> None:
    """Raises ValueError where the login may not signal it as root."""
    pid, unit = str(process["pid"]), str(process["unit"])
    lacking = [await host.lacks("kill", signal, pid) for signal in ("-TERM", "-KILL")]
    if all(line is None for line in lacking):
        return
    instead = f" `/runbook restart-service {unit}` may be what is wanted." if unit and "." not in unit else ""
    whose = f"{process['name']} ({pid}) on {host.name} belongs to {process['user']}"
    raise ValueError(
        f"{whose}, and {host.login} may not end it.{instead} "
        f"Or add this to sudoers, which allows it for every process:\n{host.login} ALL=(root) NOPASSWD: {RIGHT}"
    )


def _refuse_the_untouchable(process: dict[str, str | int], host: str) -> None:
    pid, name = process["pid"], process["name"]
    if pid == 1:
        raise ValueError("pid 1 is never ended: it is the system itself.")
    if pid == 2 or process["parent"] == 2:
        raise ValueError(f"{pid} ({name}) on {host} is a kernel thread: it cannot be ended.")
    if "[listener]" in str(process["command"]) or (name == "sshd" and process["parent"] == 1):
        raise ValueError(f"{pid} is the listening sshd of {host}: without it nobody gets in, not even to help.")
