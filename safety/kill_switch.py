"""What a kill switch covers, and how services compare."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from storage.errors import Invalid
from storage.records import Execution, KillSwitch, Scope

STARTERS = frozenset({"socket", "timer", "path"})
"""Units that start the service of the same name."""
LONGEST = 255
"""Characters of a subject."""
REMIND = timedelta(hours=1)
"""How often people are reminded of an engaged switch."""


def service_names(unit: str) -> tuple[str, ...]:
    """The names a unit answers to: `celery@1.service` is `celery@1` and belongs to `celery`.

    What starts a service belongs to it: `docker.socket` answers to `docker` as well, and `backup@1.timer` to
    `backup@1.timer`, `backup@1`, `backup.timer` and `backup`.
    """
    name = unit.strip().lower().removesuffix(".service")
    stem, dot, kind = name.rpartition(".")
    starts = f".{kind}" if dot and stem and kind in STARTERS else ""
    bare = name.removesuffix(starts)
    base, at, _instance = bare.partition("@")
    names = [name, bare, *([f"{base}{starts}", base] if at and base else [])]
    return tuple(dict.fromkeys(names))


def all_service_names(units: Iterable[str]) -> tuple[str, ...]:
    """Sorted, without repetition."""
    return tuple(sorted({name for unit in units if unit for name in service_names(unit)}))


def tag_names(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags as switches compare them: lower case, sorted, without repetition."""
    return tuple(sorted({tag.strip().lower() for tag in tags}))


def subject_of(scope: Scope, typed: str) -> str:
    """A switch's subject as it is kept and compared; raises Invalid for a name no service or host can have."""
    if len(typed) > LONGEST:
        raise Invalid(f"A name of {len(typed)} characters is none that a kill switch knows; at most {LONGEST}.")
    if scope is Scope.GLOBAL:
        return ""
    if scope is Scope.SERVICE:
        return service_names(typed)[0]
    return typed.strip().lower().removeprefix("tag:") if scope is Scope.TAG else typed.strip().lower()


def covers(
    switch: KillSwitch,
    *,
    runbook: str,
    hosts: Collection[str],
    services: Collection[str],
    tags: Collection[str],
    includes: Collection[str] = (),
    emergency_at: datetime | None = None,
) -> bool:
    """Whether a switch holds what would run this runbook there, or one that it includes.

    An emergency overrides only what was engaged before.
    """
    if emergency_at is not None and switch.engaged_at <= emergency_at:
        return False
    match switch.scope:
        case Scope.GLOBAL:
            return True
        case Scope.RUNBOOK:
            return switch.subject == runbook or switch.subject in includes
        case Scope.HOST:
            return switch.subject in {host.lower() for host in hosts}
        case Scope.SERVICE:
            return switch.subject in services
        case Scope.TAG:
            return switch.subject in tags


def is_due(switch: KillSwitch, now: datetime) -> bool:
    """Whether people are to be reminded of an engaged switch."""
    return now - (switch.reminded_at or switch.engaged_at) >= REMIND


def holds(switch: KillSwitch, execution: Execution) -> bool:
    """Whether a switch holds this execution."""
    return covers(
        switch,
        runbook=execution.runbook,
        includes=execution.includes,
        hosts=execution.hosts,
        services=execution.services,
        tags=execution.tags,
        emergency_at=execution.emergency_at,
    )
