"""Restart a systemd service and see that it stays up."""

from pydantic import Field

from runbooks import (
    Category,
    Danger,
    Expect,
    Facts,
    Parameters,
    Plan,
    Probe,
    Run,
    Runbook,
    Seconds,
    ServiceName,
    minutes,
    positional,
)

PROPERTIES = "LoadState,ActiveState,SubState,MainPID,ActiveEnterTimestamp"


class RestartService(Runbook):
    """Restart a systemd service and see that it stays up."""

    name, aliases, category = "restart-service", ("restart",), Category.MAINTENANCE
    danger, cooldown, timeout = Danger.LOW, minutes(10), minutes(5)
    example = "restart nginx on web-01"

    class Params(Parameters):
        """Which service, and how long to watch it."""

        service: ServiceName = positional("systemd unit to restart")
        settle: Seconds = Field(5, ge=0, le=300, description="how long it must stay active, in seconds")

    async def probe(self, host: Probe, params: Params) -> Facts:
        """Whether the unit exists, its state, main pid and since when."""
        shown = await host.read("systemctl", "show", params.service, f"--property={PROPERTIES}")
        facts = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        if facts.get("LoadState") == "not-found":
            raise ValueError(f"{host.name} has no unit {params.service}. `systemctl list-units` there shows the names.")
        if facts.get("LoadState") == "masked":
            raise ValueError(f"{params.service} is masked on {host.name}: somebody decided that it must not start.")
        return Facts(
            state=facts.get("ActiveState", "unknown"),
            sub_state=facts.get("SubState", "unknown"),
            main_pid=int(facts.get("MainPID") or 0),
            active_since=facts.get("ActiveEnterTimestamp", ""),
        )

    def plan(self, params: Params, facts: Facts) -> Plan:
        """Restart, then watch it for the settle time."""
        return Plan(
            Run(
                "Restart the service",
                "systemctl",
                "restart",
                params.service,
                sudo=True,
                idempotent=True,
                timeout=minutes(2),
                look=("systemctl", "is-active", params.service),
            ),
            Expect(
                "It is active, and stays so",
                "systemctl",
                "is-active",
                params.service,
                output="active",
                settle=params.settle,
                timeout=10,
            ),
        )

    def outcome(self, params: Params, before: Facts, after: Facts | None) -> str | None:
        """The old and the new main pid."""
        if after is None:
            return None
        return f"{params.service} pid {before.main_pid or 'none'} -> {after.main_pid or 'none'}"
