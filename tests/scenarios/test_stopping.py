"""What the channel shows of kill switches and circuit breakers, and who may let go of them."""

from datetime import timedelta

from bot.demo import Demo
from bot.playground.state import Message
from bot.playground.workspace import Workspace
from storage import audit, controls
from storage.records import Breaker, BreakerState

PATIENCE = 20.0


async def _says(running: Demo, person: str, text: str, wanted: str) -> None:
    """What is typed gets an answer that holds these words."""
    assert (await running.workspace.command(person, "incidents", text)).ok
    await running.workspace.wait_for(
        lambda here: any(wanted in m.text for m in here.ephemeral(person, "incidents")), timeout=PATIENCE
    )


async def test_breakers_are_listed_and_closed_by_those_who_may(running: Demo) -> None:
    database, clock = running.app.database, running.app.clock
    await _says(running, "bob", "/runbook breaker", "Every circuit breaker is closed")
    opened = Breaker(
        runbook="restart-service",
        host="web-01",
        state=BreakerState.OPEN,
        failures=5,
        opened_at=clock.now() - timedelta(seconds=10),
    )
    await database.write(controls.set_breakers, [opened])
    await _says(running, "bob", "/runbook breaker list", "restart-service on web-01* is open: 5 failures in a row")
    await _says(running, "bob", "/runbook restart nginx on web-01", "restart-service failed on web-01 5 times in a row")
    await _says(running, "bob", "/runbook breaker reset restart on web-01", "killswitch.release")
    await _says(running, "alice", "/runbook breaker reset restart on web-01", "Closed: restart-service on web-01.")
    await running.workspace.wait_for(
        lambda here: "Circuit breaker closed: restart-service on web-01" in here.transcript("ops"), timeout=PATIENCE
    )
    assert await database.read(controls.used_breakers) == []


async def test_an_engaged_switch_is_released_by_its_button_with_a_reason(running: Demo) -> None:
    workspace, database = running.workspace, running.app.database
    assert (await workspace.command("bob", "incidents", "/killswitch tag web on disks are full")).ok

    def announced(here: Workspace) -> Message | None:
        found = here.state.all_messages(here.state.channel("ops").id)
        return next((m for m in found if "Release" in here.buttons(m)), None)

    asking = await workspace.wait_for(announced, timeout=PATIENCE)
    await workspace.click("bob", asking, "Release")
    await workspace.wait_for(
        lambda here: any("killswitch.release" in m.text for m in here.ephemeral("bob", "ops")), timeout=PATIENCE
    )
    await workspace.click("alice", asking, "Release")
    [view] = await workspace.wait_for(lambda here: here.views("alice"), timeout=PATIENCE)
    assert "disks are full" in str(view.content)
    await workspace.submit_view("alice", {"Reason": "disks are empty again"})
    await workspace.wait_for(lambda here: "Kill switch released: tag web" in here.transcript("ops"), timeout=PATIENCE)
    assert await database.read(controls.engaged) == []
    [entry] = await database.read(audit.search, kind="killswitch.released")
    assert (entry.actor, entry.origin, entry.data["reason"]) == ("UALICE", "modal", "disks are empty again")
    await workspace.click("alice", asking, "Release")
    await workspace.wait_for(
        lambda here: any("not engaged any more" in m.text for m in here.ephemeral("alice", "ops")), timeout=PATIENCE
    )
