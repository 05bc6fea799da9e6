"""Stop a systemd service and see that it stays down."""

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


class StopService(Runbook):
    """Stop a systemd service and see that it stays down.

    Somebody else has to approve it. One that is down already is left alone. The plan says which other units (sockets,
    timers) would start it again. Our own way in, such as sshd, is refused by the command guard. *Roll back* starts it.
    """

    name, aliases, category = "stop-service", ("stop",), Category.MAINTENANCE
    danger, cooldown, timeout = Danger.DANGEROUS, minutes(1), minutes(5)
    example = "stop report-worker on web-01"

    class Params(Parameters):
        """Which service, and how long to watch it."""

        service: ServiceName = positional("systemd unit to stop")
        settle: Seconds = Field(2, ge=0, le=300, description="how long it must stay down, in seconds")

    async def probe(self, host: Probe, params: Params) -> Facts:
        """Whether the unit exists, its state and main pid, and what would start it again."""
        facts = await units.look_at(host, params.service)
        if facts.state in units.UP:
            await units.require_right(host, "stop", params.service)
        return facts

    def plan(self, params: Params, facts: Facts) -> Plan:
        """Stop it, then watch that it stays down."""
        active = ("systemctl", "is-active", params.service)
        notes = (_triggers(params.service, facts), units.note_on(params.service, facts))
        return Plan(
            units.systemctl(
                "Stop the service",
                "stop",
                params.service,
                facts,
                undo=units.systemctl("Start it again", "start", params.service, facts),
                unless=Expect("It is down already", *active, pattern=DOWN, allow_exit=NOT_ACTIVE, within=0, timeout=10),
            ),
            Expect(
                "It is down, and stays so",
                *active,
                pattern=DOWN,
                allow_exit=NOT_ACTIVE,
                settle=params.settle,
                timeout=10,
            ),
            note=" ".join(filter(None, notes)) or None,
        )

    def outcome(self, params: Params, before: Facts, after: Facts | None) -> str | None:
        """How it stood, and how it stands."""
        if after is None:
            return None
        if before.state not in units.UP:
            return f"{params.service} was down already: {units.standing(after)}"
        return f"{params.service} stopped: {units.standing(after)}; it was {units.standing(before)}"

    samples = (
        Sample("report-worker", units.a_unit(), when="it runs"),
        Sample("app", units.a_unit(triggers=["app.socket"]), when="a socket would start it again"),
    )


DOWN = r"\A(inactive|failed)\Z"
NOT_ACTIVE = {3}  # of `systemctl is-active`, for a unit that is there and not active


def _triggers(service: str, facts: Facts) -> str | None:
    if not facts.triggers:
        return None
    return f"{', '.join(facts.triggers)} on {facts.host} will start {service} again when its time comes."
