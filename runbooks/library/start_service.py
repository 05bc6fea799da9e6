"""Start a systemd service and see that it stays up."""

from pydantic import Field

from runbooks import (
    Category,
    Danger,
    Expect,
    Facts,
    Parameters,
    Plan,
    Probe,
    Runbook,
    Sample,
    Seconds,
    ServiceName,
    minutes,
    positional,
)
from runbooks.library import units


class StartService(Runbook):
    """Start a systemd service and see that it stays up.

    One that is active already is left alone. Where the program can test its configuration, as for `restart-service`,
    one that does not pass is not started. A masked unit, and one that does not exist, are refused.
    *Roll back* stops it again.
    """

    name, aliases, category = "start-service", ("start",), Category.MAINTENANCE
    danger, cooldown, timeout = Danger.LOW, minutes(1), minutes(5)
    example = "start nginx on web-01"
    no_undo = "Failed starts that systemd has forgotten only begin to be counted anew."

    class Params(Parameters):
        """Which service, and how long to watch it."""

        service: ServiceName = positional("systemd unit to start")
        settle: Seconds = Field(5, ge=0, le=300, description="how long it must stay active, in seconds")

    async def probe(self, host: Probe, params: Params) -> Facts:
        """Whether the unit exists, its state and main pid; whether its configuration is good."""
        facts = await units.look_at(host, params.service)
        units.refuse_masked(host, params.service, facts)
        if facts.state == "active":
            return facts.having(check=None, check_sudo=False, unchecked="")
        await units.require_right(host, "start", params.service)
        return await units.check_configuration(host, params.service, facts, "started")

    def plan(self, params: Params, facts: Facts) -> Plan:
        """Test the configuration, start, then watch it for the settle time."""
        active = ("systemctl", "is-active", params.service)
        return Plan(
            *units.configuration_is_good(facts),
            *units.past_failures_forgotten(params.service, facts),
            units.systemctl(
                "Start the service",
                "start",
                params.service,
                facts,
                undo=units.systemctl("Stop it again", "stop", params.service, facts),
                unless=Expect("It is active already", *active, output="active", within=0, timeout=10),
            ),
            *units.stays_up(params.service, facts, settle=params.settle),
            note=units.note_on(params.service, facts),
        )

    def health(self, params: Params, facts: Facts) -> list[Expect]:
        """It is active still."""
        return units.is_well(params.service, facts)

    def outcome(self, params: Params, before: Facts, after: Facts | None) -> str | None:
        """Whether there was anything to do, and how it stands."""
        if after is None:
            return None
        already = "was active already: " if before.state == "active" and before.main_pid == after.main_pid else ""
        return f"{params.service} {already or 'started: '}{units.standing(after)}"

    samples = (
        Sample(
            "nginx",
            units.a_unit("inactive", check=["nginx", "-t"], check_sudo=True),
            when="it is down, and its configuration can be tested",
        ),
    )
