"""Runbooks for the tour of every part; the file is copied into the library of the installation that is toured."""

from typing import Literal

from pydantic import Field

from runbooks import (
    AbsolutePath,
    Category,
    Danger,
    Expect,
    Facts,
    Parameters,
    Plan,
    Run,
    Runbook,
    ServiceName,
    minutes,
    positional,
)


class Place(Parameters):
    """Where it leaves its marks."""

    folder: AbsolutePath = positional("folder on the host")


class Mark(Runbook):
    """Leave a mark that can be taken away again; fails where a stone lies."""

    name, category = "mark", Category.MAINTENANCE
    danger, cooldown, timeout = Danger.LOW, minutes(0), minutes(5)
    max_hosts = 30
    Params = Place

    def plan(self, params: Place, facts: Facts) -> Plan:
        marked = f"{params.folder}/{facts.host}"
        return Plan(
            Run("Make the mark", "mkdir", "-p", f"{marked}.mark", undo=Run("Take it away", "rmdir", f"{marked}.mark")),
            Run("See that no stone lies there", "test", "!", "-e", f"{marked}.stone"),
        )


class Mend(Mark):
    """The same, and whoever asks for it confirms it."""

    name, danger = "mend", Danger.HIGH


class Recite(Runbook):
    """Print a hundred lines."""

    name, category = "recite", Category.DIAGNOSTICS
    danger, cooldown, timeout = Danger.LOW, minutes(0), minutes(5)

    def plan(self, params: Parameters, facts: Facts) -> Plan:
        return Plan(Run("Say hello", "echo", "hello from the host"), Run("Recite", "seq", "1", "100"))


class Service(Parameters):
    """Which one."""

    service: ServiceName = positional("systemd unit")


class AskAfter(Runbook):
    """Ask after a service without touching it."""

    name, category = "ask-after", Category.DIAGNOSTICS
    danger, cooldown, timeout = Danger.READ, minutes(0), minutes(5)
    Params = Service

    def plan(self, params: Service, facts: Facts) -> Plan:
        return Plan(Expect("It is there", "test", "-d", "/"))


class Nudge(Runbook):
    """Nudge a service."""

    name, category = "nudge", Category.MAINTENANCE
    danger, cooldown, timeout = Danger.LOW, minutes(0), minutes(5)
    Params = Service

    def plan(self, params: Service, facts: Facts) -> Plan:
        return Plan(Run("Nudge it", "true"))


class AskForAll(Runbook):
    """Ask for one value of every kind."""

    name, category = "ask-for-all", Category.DIAGNOSTICS
    danger, cooldown, timeout = Danger.READ, minutes(0), minutes(5)

    class Params(Parameters):
        """One of every kind."""

        service: ServiceName = positional("systemd unit")
        note: str | None = Field(None, description="some words", max_length=40)
        times: int = Field(3, ge=1, le=9, description="how often")
        share: float = Field(0.5, gt=0, lt=1, description="how much of it")
        loud: bool = Field(False, description="whether it says so")
        colour: Literal["red", "blue"] = Field("red", description="which")
        shade: Literal[tuple(f"shade-{n}" for n in range(150))] = Field("shade-3", description="one of very many")

    def plan(self, params: Params, facts: Facts) -> Plan:
        """One look, titled by what was asked for."""
        said = [str(getattr(params, name)) for name in ("note", "times", "share", "loud", "colour", "shade")]
        return Plan(Expect("It is " + ", ".join(said), "test", "-d", "/"))
