"""Restart a host, and see that it came back."""

from pydantic import Field

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
)
from runbooks.library import units

BOOT_ID = "/proc/sys/kernel/random/boot_id"
WAYS = (("reboot",), ("systemctl", "reboot"), ("shutdown", "-r", "now"))
"""How a host is asked to restart; the first that sudo allows is taken."""


class RebootHost(Runbook):
    """Restart one host, and see that it came back.

    Somebody else has to approve it. The plan says who is logged in and for how long the host has been up. That the
    connection ends is expected. The host has come back when it lets us in again and shows a new boot id, the number
    that the kernel draws at every start; then systemd must have finished starting up. A host that does not come back
    within `wait`, or that never went down, fails the run, with what was seen last. There is no undo.
    """

    name, aliases, category = "reboot-host", ("reboot",), Category.RECOVERY
    danger, cooldown, timeout = Danger.DANGEROUS, minutes(30), minutes(45)
    max_hosts = 1
    no_undo = "A restart cannot be undone, and stops everything that runs there."
    example = "reboot on web-01"

    class Params(Parameters):
        """How long it may be away."""

        wait: Seconds = Field(600, ge=30, le=1800, description="how long it may take to come back, in seconds")

    async def probe(self, host: Probe, params: Params) -> Facts:
        """The boot id, how long it has been up, who is logged in, which units have failed, how it may be restarted."""
        boot_id = await host.read("cat", BOOT_ID)
        uptime = await host.read("uptime")
        people = await host.read("who", allow_exit=range(256))
        state = await host.read("systemctl", "is-system-running", allow_exit=range(256))
        listed = await host.read(
            "systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--no-pager", allow_exit=range(256)
        )
        root = host.login == "root"
        way = ("systemctl", "reboot") if root else await _allowed_way(host)
        return Facts(
            boot_id=str(boot_id),
            uptime=str(uptime),
            people=sorted({line.split()[0] for line in people.splitlines() if line.strip()}),
            state=str(state) or "unknown",
            failed=[line.split()[0] for line in listed.splitlines() if line.strip()],
            way=list(way),
            root=root,
        )

    def plan(self, params: Params, facts: Facts) -> Plan:
        """It is still the same start of the host; restart it; it is back, and new; systemd is done starting it."""
        return Plan(
            Require("It has not been restarted meanwhile", "cat", BOOT_ID, output=facts.boot_id),
            Run("Restart the host", *facts.way, sudo=not facts.root, timeout=60, reboots=True),
            Expect(
                "It is back, with a new boot id",
                "cat",
                BOOT_ID,
                pattern=rf"\A(?!{facts.boot_id})[0-9a-f-]{{36}}\Z",
                within=params.wait,
                every=2,
                timeout=10,
                patient=True,
            ),
            Expect(
                "systemd has started it up",
                "systemctl",
                "is-system-running",
                pattern=r"\A(running|degraded)\Z",
                allow_exit=range(256),
                within=minutes(5),
                every=2,
                timeout=20,
                patient=True,
            ),
            note=_note(facts),
        )

    def outcome(self, params: Params, before: Facts, after: Facts | None) -> str | None:
        """What systemd says of the host now, and which units have failed that had not before."""
        if after is None:
            return None
        new = [unit for unit in after.failed if unit not in before.failed]
        old = [unit for unit in after.failed if unit in before.failed]
        said = [f"{before.host} has restarted; systemd says {after.state}"]
        said += [f"failed now: {', '.join(new)}"] if new else []
        said += [f"failed before as well: {', '.join(old)}"] if old else []
        return "; ".join(said)

    samples = (
        Sample(
            "wait=5m",
            Facts(
                boot_id="3f1e7f0c-5a52-4b3a-9d57-0f8a1f6d2c11",
                uptime="12:00:00 up 100 days, 2 users, load average: 0.10, 0.20, 0.30",
                people=["alice"],
                state="degraded",
                failed=["report.service"],
                way=["systemctl", "reboot"],
                root=False,
            ),
            when="somebody is logged in, and a unit has failed",
        ),
    )


async def _allowed_way(host: Probe) -> tuple[str, ...]:
    for way in WAYS:
        if await units.is_allowed(host, *way):
            return way
    listed = ", ".join(f"`{' '.join(way)}`" for way in WAYS)
    line = await host.lacks(*WAYS[0])
    raise ValueError(
        f"{host.login} may not restart {host.name}: sudo allows none of {listed} without a password. "
        f"This line in its sudoers would allow it: `{line}`"
    )


def _note(facts: Facts) -> str:
    said = [f"{facts.host} is up now: {' '.join(facts.uptime.split())}."]
    if facts.people:
        said.append(f"Logged in there: {', '.join(facts.people)}.")
    if facts.failed:
        said.append(f"Failed units: {', '.join(facts.failed)}.")
    return " ".join(said)
