"""What the channel shows of circuit breakers, and who may close them."""

from datetime import timedelta

from bot.demo import Demo
from storage import controls
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
