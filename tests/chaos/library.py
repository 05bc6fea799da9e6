"""Runbooks for the kills. Every changing step restarts, reloads or stops a unit whose name says which step it is.

The hosts' `systemctl` (`hosts.py`) writes that name into a ledger when it begins, so that one run of a step is one
line. `restart` is what must not happen twice by itself, `reload` may be repeated, `stop` takes a restart back.
"""

from typing import Annotated

from pydantic import Field

from runbooks import Category, Danger, Expect, Facts, Parallel, Parameters, Plan, Probe, Require, Run, Runbook, minutes
from runbooks import positional as by_place


class Job(Parameters):
    """What one request is called, and how long each of its steps takes."""

    tag: Annotated[str, Field(pattern="^[a-z0-9]{1,20}$")] = by_place("what the ledger calls it")
    pace: Annotated[float, Field(ge=0, le=60)] = by_place("seconds of each step", 0.3)


def unit(params: Job, facts: Facts, place: str) -> str:
    """`r7n3.h01.2@0.4`: request, host, step, seconds."""
    return f"{params.tag}.{facts.host}.{place}@{params.pace:g}"


def once(params: Job, facts: Facts, place: str, *, undo: bool = False, timeout: float = 60) -> Run:
    """A step that nobody may repeat but a person."""
    name = unit(params, facts, place)
    back = Run(f"Take {place} back", "systemctl", "stop", name) if undo else None
    return Run(f"Restart {place}", "systemctl", "restart", name, undo=back, timeout=timeout)


def again(params: Job, facts: Facts, place: str) -> Run:
    """A step that may be repeated."""
    return Run(f"Reload {place}", "systemctl", "reload", unit(params, facts, place), idempotent=True, retries=1)


class Job_(Runbook):
    """What they have in common."""

    category, danger, cooldown, timeout = Category.MAINTENANCE, Danger.LOW, minutes(0), minutes(2)
    max_hosts = 4
    Params = Job

    async def probe(self, host: Probe, params: Job) -> Facts:
        await host.read("sleep", "0.1")
        return Facts(state=await host.read("systemctl", "is-active", "hostd"))


class Quick(Job_):
    """One step."""

    name = "quick"

    def plan(self, params: Job, facts: Facts) -> Plan:
        return Plan(once(params, facts, "1"))


class Steady(Job_):
    """Five steps with a look between them."""

    name = "steady"

    def plan(self, params: Job, facts: Facts) -> Plan:
        return Plan(
            Require("It is up", "systemctl", "is-active", "hostd", output="active"),
            once(params, facts, "2"),
            once(params, facts, "3"),
            Expect("It is still up", "systemctl", "is-active", "hostd", output="active"),
            once(params, facts, "5"),
        )


class Sure(Job_):
    """Four steps that may be repeated."""

    name = "sure"

    def plan(self, params: Job, facts: Facts) -> Plan:
        return Plan(*(again(params, facts, str(place)) for place in range(1, 5)))


class Mixed(Job_):
    """Steps of both sorts, two of them beside each other."""

    name = "mixed"

    def plan(self, params: Job, facts: Facts) -> Plan:
        both = Parallel("Both", once(params, facts, "2.1"), again(params, facts, "2.2"))
        return Plan(again(params, facts, "1"), both, once(params, facts, "3"))


class Undoable(Job_):
    """Three steps that can be taken back."""

    name = "undoable"

    def plan(self, params: Job, facts: Facts) -> Plan:
        return Plan(*(once(params, facts, str(place), undo=True) for place in range(1, 4)))


class Failing(Job_):
    """Its second step fails."""

    name = "failing"

    def plan(self, params: Job, facts: Facts) -> Plan:
        broken = Run("Break", "systemctl", "restart", f"{params.tag}.{facts.host}.2.broken@{params.pace:g}")
        return Plan(once(params, facts, "1", undo=True), broken)


class Late(Job_):
    """Its step takes longer than it may."""

    name = "late"

    def plan(self, params: Job, facts: Facts) -> Plan:
        return Plan(once(params, facts, "1", timeout=max(0.2, params.pace / 2)))


class Wide(Job_):
    """Two steps on each of several hosts."""

    name = "wide"

    def plan(self, params: Job, facts: Facts) -> Plan:
        return Plan(once(params, facts, "1"), again(params, facts, "2"))


class Glance(Job_):
    """Only looks."""

    name, danger = "glance", Danger.READ

    def plan(self, params: Job, facts: Facts) -> Plan:
        return Plan(Expect("It is up", "systemctl", "is-active", "hostd", output="active"))


class Grave(Job_):
    """Somebody else must agree first."""

    name, danger = "grave", Danger.DANGEROUS

    def plan(self, params: Job, facts: Facts) -> Plan:
        return Plan(once(params, facts, "1", undo=True), once(params, facts, "2"))


class Serious(Job_):
    """Who asks for it must say so twice."""

    name, danger = "serious", Danger.HIGH

    def plan(self, params: Job, facts: Facts) -> Plan:
        return Plan(once(params, facts, "1"), again(params, facts, "2"))


class Rare(Job_):
    """At most once a minute on a host."""

    name, cooldown = "rare", minutes(1)

    def plan(self, params: Job, facts: Facts) -> Plan:
        return Plan(once(params, facts, "1"))


class Said(Job):
    """How much it prints, too."""

    lines: Annotated[int, Field(ge=1, le=10_000)] = by_place("lines it prints", 10)


class Talk(Job_):
    """Change something, and print."""

    name = "talk"
    Params = Said

    def plan(self, params: Said, facts: Facts) -> Plan:
        name = f"{params.tag}.{facts.host}.2@{params.lines}"
        return Plan(once(params, facts, "1"), Run("Tell how it is", "systemctl", "status", name, idempotent=True))


class Broad(Job_):
    """One step on each of many hosts."""

    name, max_hosts = "broad", 12

    def plan(self, params: Job, facts: Facts) -> Plan:
        return Plan(again(params, facts, "1"))
