"""kill-process where root is needed; the rest is tried on demo hosts, in test_library.py."""

from typing import Any

from tests.fakes import Reply
from tests.runbooks.library.planned import REFUSED, commands, planned, refused


def a_host(*, user: str, unit: str = "report-worker.service", **more: Any) -> dict[str, Any]:
    """A host on which 4711 is somebody's report-worker."""
    later = " ".join(["0"] * 17)
    return {
        "pgrep -x -- report-worker": Reply(out="4711"),
        "cat /proc/4711/stat": Reply(out=f"4711 (report-worker) S 1 {later} 5555 0"),
        "cat /proc/4711/cgroup": Reply(out=f"0::/system.slice/{unit}"),
        "ps -o": Reply(out=f"{user} Sat Nov 21 09:49:00 2026 /usr/local/bin/report-worker"),
        "sudo -n -l": REFUSED,
        "find /usr/local/sbin": Reply(out="/usr/bin/kill"),
        **more,
    }


async def test_our_own_process_needs_no_root_and_asks_for_none() -> None:
    plan = await planned("kill", "report-worker", replies=a_host(user="ops"))
    assert commands(plan) == ["kill -TERM 4711", "kill -KILL 4711"]
    assert plan.notes[0] == "systemd may start it again, as part of report-worker."


async def test_what_sudoers_lacks_for_somebody_elses_is_told_with_the_better_way() -> None:
    said = await refused("kill", "report-worker", replies=a_host(user="app"))
    assert "report-worker (4711) on web-01 belongs to app, and ops may not end it." in said
    assert "`/runbook restart-service report-worker` may be what is wanted." in said
    assert said.endswith("\nops ALL=(root) NOPASSWD: /usr/bin/kill ^-(TERM|KILL) [0-9]+$")
    said = await refused("kill", "report-worker", replies=a_host(user="app", unit="session-3.scope"))
    assert "restart-service" not in said


async def test_what_sudoers_allows_is_done_by_root() -> None:
    plan = await planned("kill", "report-worker", replies=a_host(user="app") | {"sudo -n -l": Reply()})
    assert commands(plan) == ["sudo kill -TERM 4711", "sudo kill -KILL 4711"]


async def test_root_needs_no_sudo() -> None:
    plan = await planned("kill", "report-worker", replies=a_host(user="app"), user="root")
    assert commands(plan) == ["kill -TERM 4711", "kill -KILL 4711"]
