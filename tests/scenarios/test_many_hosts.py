"""What the channel shows of a runbook that goes over several hosts, and how the failed ones are tried again."""

from bot.demo import Demo
from bot.playground.machine.services import Breakage
from bot.playground.state import Message
from bot.playground.workspace import Workspace
from storage import executions
from storage.records import State

PATIENCE = 20.0


async def test_the_failed_hosts_alone_are_tried_again_by_a_button(running: Demo) -> None:
    workspace, database = running.workspace, running.app.database
    nginx = running.hosts.host("web-02").system.services["nginx"]
    nginx.broken = Breakage.CRASHES
    asked = "/runbook restart nginx settle=1 on web-01,web-02 --pause 1s"
    assert (await workspace.command("bob", "incidents", asked)).ok

    def failed(here: Workspace) -> Message | None:
        found = here.state.all_messages(here.state.channel("incidents").id)
        return next((m for m in found if "Retry failed hosts" in here.buttons(m)), None)

    headline = await workspace.wait_for(failed, timeout=PATIENCE)
    shown = workspace.transcript("incidents")
    assert "One host after the other, 1 s apart, in this order; the first failure stops it." in shown
    assert "1 of 2 hosts succeeded" in workspace.read(headline)
    nginx.broken = None
    await workspace.click("bob", headline, "Retry failed hosts")
    await workspace.wait_for(lambda here: "on web-02* succeeded" in here.transcript("incidents"), timeout=PATIENCE)
    wave = "Wave 1 of 2: 1 of 1 host succeeded*. The next begins in 1 s"
    await workspace.wait_for(lambda here: wave in here.transcript("incidents"), timeout=PATIENCE)
    again = await database.read(executions.get, 2)
    assert (again.state, again.hosts, again.retry_of) == (State.SUCCEEDED, ("web-02",), 1)


async def test_waves_that_make_no_sense_are_asked_about_and_nothing_runs(running: Demo) -> None:
    workspace = running.workspace
    assert (await workspace.command("bob", "incidents", "/runbook restart nginx on tag:web --waves half")).ok
    await workspace.wait_for(
        lambda here: any("'half' is no size of a wave" in m.text for m in here.ephemeral("bob", "incidents")),
        timeout=PATIENCE,
    )
    assert await running.app.database.read(executions.newest, 1) == []
