"""Restart a systemd service, or have it reload its configuration, and see that it stays up."""

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


class RestartService(Runbook):
    """Restart a systemd service, or have it reload, and see that it stays up.

    Where the program can test its configuration (nginx, Apache, HAProxy, sshd, BIND and others, if the program is there
    and sudo allows the test), that is done first, and once more right before the change: a configuration that does not
    pass is not loaded, and the service is left as it is. A masked unit, one that does not exist, and one that cannot
    reload are refused before anything is touched.

    Afterwards it must be active, stay so for `settle`, and not have been brought back by systemd meanwhile. A unit that
    ends by itself (`Type=oneshot`) must have ended well instead. *Roll back* starts it again.
    """

    name, aliases, category = "restart-service", ("restart",), Category.MAINTENANCE
    danger, cooldown, timeout = Danger.LOW, minutes(10), minutes(5)
    example = "restart nginx on web-01"
    no_undo = "Failed starts that systemd has forgotten only begin to be counted anew."

    class Params(Parameters):
        """Which service, how, and how long to watch it."""

        service: ServiceName = positional("systemd unit to restart")
        reload: bool = Field(False, description="let it read its configuration again instead, without stopping it")
        settle: Seconds = Field(5, ge=0, le=300, description="how long it must stay active, in seconds")

    async def probe(self, host: Probe, params: Params) -> Facts:
        """Whether the unit exists, its state, main pid and since when; whether its configuration is good."""
        facts = await units.look_at(host, params.service)
        units.refuse_masked(host, params.service, facts)
        if params.reload and not facts.reloads:
            raise ValueError(
                f"{params.service} cannot reload on {host.name}: its unit says nothing of how. "
                "Leave out `reload` to restart it."
            )
        if params.reload and facts.state != "active":
            raise ValueError(
                f"{params.service} is {units.standing(facts)} on {host.name}, so it cannot reload. "
                "Leave out `reload` to restart it."
            )
        await units.require_right(host, "reload" if params.reload else "restart", params.service)
        what = "reloaded" if params.reload else "restarted"
        return await units.check_configuration(host, params.service, facts, what)

    def plan(self, params: Params, facts: Facts) -> Plan:
        """Test the configuration, restart or reload, then watch it for the settle time."""
        verb = "reload" if params.reload else "restart"
        return Plan(
            *units.configuration_is_good(facts),
            *units.past_failures_forgotten(params.service, facts),
            units.systemctl(
                f"{verb.capitalize()} the service",
                verb,
                params.service,
                facts,
                undo=units.systemctl("Start it again", "start", params.service, facts),
            ),
            *units.stays_up(params.service, facts, settle=params.settle),
            note=units.note_on(params.service, facts),
        )

    def health(self, params: Params, facts: Facts) -> list[Expect]:
        """It is active still."""
        return units.is_well(params.service, facts)

    def outcome(self, params: Params, before: Facts, after: Facts | None) -> str | None:
        """The old and the new main pid."""
        if params.reload:
            return f"{params.service} has reloaded, pid {after.main_pid or 'none'}" if after is not None else None
        return units.pids(params.service, before, after)

    samples = (
        Sample(
            "nginx",
            units.a_unit(check=["nginx", "-t"], check_sudo=True),
            when="its configuration can be tested",
        ),
        Sample("app settle=30s", units.a_unit("failed", result="start-limit-hit"), when="it failed too often to start"),
        Sample("nginx reload=yes", units.a_unit(), when="it reads its configuration again"),
        Sample("report", units.a_unit("inactive", passing=True), when="a unit that ends by itself"),
    )
