"""What is using a host now."""

import asyncio
from typing import Any

from pydantic import Field

from runbooks import Category, Danger, Expect, Facts, Parameters, Plan, Probe, Runbook, Sample, minutes
from runbooks.library import readings


class Top(Runbook):
    """Say what is using processor, memory, disks and disk space of a host now. Changes nothing.

    Processor time is what each process took of one processor within a second (where the host has no usable `top`, the
    average since it began), disk traffic what each disk did meanwhile. Processes that wait for a disk are named: which
    process reads and writes how much only root may know.
    """

    name, category = "top", Category.DIAGNOSTICS
    danger, cooldown, timeout = Danger.READ, minutes(0), minutes(2)
    max_hosts = 20
    example = "top on web-01"

    class Params(Parameters):
        """How much to say."""

        most: int = Field(3, ge=1, le=10, description="how many of each kind to name")

    async def probe(self, host: Probe, params: Params) -> Facts:
        """Load, memory, the busiest and the largest processes, disks and file systems."""
        (busy, waiting), disks, space, memory, load, processors = await asyncio.gather(
            readings.processes(host),
            readings.traffic(host),
            readings.file_systems(host),
            readings.memory_used(host),
            readings.loads(host),
            readings.processors(host),
        )
        most = params.most
        return Facts(
            load=list(load),
            processors=processors,
            memory=memory,
            waiting=waiting,
            busiest=[_shown(one) for one in sorted(busy, key=lambda one: -one.processor)[:most] if one.processor > 0],
            largest=[_shown(one) for one in sorted(busy, key=lambda one: -one.memory)[:most] if one.memory > 0],
            stuck=[_shown(one) for one in busy if one.state == "D"][:most],
            disks=[
                {"disk": one.disk, "busy": one.busy, "read": one.read, "written": one.written}
                for one in sorted(disks, key=lambda one: -one.busy)[:most]
            ],
            space=dict(sorted(space.items(), key=lambda one: -one[1])[:most]),
        )

    def plan(self, params: Params, facts: Facts) -> Plan:
        """Nothing but to see that it answers: what was found is the ending."""
        return Plan(Expect("It answers", "uptime", within=0))

    def outcome(self, params: Params, before: Facts, after: Facts | None) -> str | None:
        """A line for each kind."""
        found = after or before
        load = " ".join(f"{one:g}" for one in found.load)
        said = [f"load {load} on {found.processors} processors"]
        said += [f"memory {found.memory} % used"] if found.memory is not None else []
        said += [f"{found.waiting:g} % of the time waits for disks"] if found.waiting else []
        lines = [", ".join(said)]
        lines.append(f"• processor: {_listed(found.busiest, 'processor') or 'nothing uses any to speak of'}")
        lines.append(f"• memory: {_listed(found.largest, 'memory')}")
        lines += [f"• waits for a disk: {_listed(found.stuck, None)}"] if found.stuck else []
        lines += [f"• disks: {'; '.join(_disk(one) for one in found.disks)}"] if found.disks else []
        lines.append(f"• disk space: {', '.join(f'{place} {use} %' for place, use in found.space.items())}")
        return "\n".join(lines)

    samples = (
        Sample(
            "most=1",
            Facts(
                load=[3.1, 2.0, 1.2],
                processors=2,
                memory=41,
                waiting=0,
                busiest=[{"pid": 4711, "user": "app", "name": "report-worker", "processor": "98 %", "memory": "2.0M"}],
                largest=[{"pid": 812, "user": "app", "name": "app", "processor": "1 %", "memory": "210.0M"}],
                stuck=[],
                disks=[{"disk": "vda", "busy": 12, "read": 4096, "written": 1048576}],
                space={"/": 41},
            ),
            when="a process that runs away",
        ),
    )


def _shown(one: readings.Busy) -> dict[str, Any]:
    return {
        "pid": one.pid,
        "user": one.user,
        "name": one.name,
        "processor": f"{one.processor:.0f} %",
        "memory": readings.size(one.memory),
    }


def _listed(processes: list[dict[str, Any]], what: str | None) -> str:
    return ", ".join(
        f"{one['name']} {f'{one[what]} ' if what else ''}(pid {one['pid']}, {one['user']})" for one in processes
    )


def _disk(one: dict[str, Any]) -> str:
    read, written = readings.size(one["read"]), readings.size(one["written"])
    return f"{one['disk']} {one['busy']} % busy, reads {read}/s, writes {written}/s"
