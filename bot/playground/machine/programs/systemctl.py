"""systemctl: what it says of units, and the jobs it gives to systemd."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.playground.machine.programs.journalctl import journal_line
from bot.playground.machine.programs.options import options
from bot.playground.machine.services import Service
from bot.playground.machine.signals import TERM, signal_number
from bot.playground.machine.system import Call, SimulatedSystem

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
    for entry in call.system.journal.of(service.name)[-10:]:
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
        if unit not in call.system.services:
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
        for process in system.services.members(service):
            system.processes.signal(process, number)
        return 0
    if verb == "reload" or (verb == "reload-or-restart" and service.reloads and service.main_pid):
        return await reload_unit(call, service)
    if verb == "try-restart" and not service.main_pid:
        return 0
    job = system.services.order(service, verb if verb in ("start", "stop") else "restart")
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
    if not service.reloads:
        await call.complain(
            f"Failed to reload {service.unit}: Job type reload is not applicable for unit {service.unit}."
        )
        return 3
    if not service.main_pid:
        return await call.complain(f"{service.unit} is not active, cannot reload.")
    call.system.journal.note(service.name, f"Reloaded {service.unit} - {service.description}.")
    return 0


def moment(at: datetime | None) -> str:
    """A time as systemd writes it."""
    return "" if at is None else f"{at:%a %Y-%m-%d %H:%M:%S} {at.tzname() or 'UTC'}"


def properties(system: SimulatedSystem, unit: str) -> dict[str, str]:
    """What `systemctl show` says of a unit, in its order."""
    service = system.services.get(unit)
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
        "RemainAfterExit": "no",
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
        "CanReload": "yes" if service.reloads else "no",
        "TriggeredBy": "",
    }
