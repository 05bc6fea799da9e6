"""People who write what they should not, click what they should not, or lose their role half way."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from bot.demo import Demo
from bot.playground.delivery import Sort
from bot.playground.state import Message
from bot.playground.workspace import Workspace
from storage import audit, controls, executions
from storage.records import KillSwitch, State

PATIENCE = 20.0

HOSTILE = [
    pytest.param("<!channel> <!here> <!everyone>", id="broadcasts"),
    pytest.param("<@UALICE> <!subteam^S0ONCALL>", id="mentions"),
    pytest.param("x" * 4_000, id="4,000 characters"),
    pytest.param("\u202egnp.exe\u202c \u200b\u200f", id="right to left"),
    pytest.param("a\x00b", id="NUL"),
    pytest.param("one\ntwo\r\nthree", id="newlines"),
    pytest.param("$(touch /tmp/x); `id` && rm -rf / | sh > /dev/sda #", id="shell"),
    pytest.param("--emergency --priority high", id="options"),
    pytest.param("-rf --no-preserve-root", id="leading dashes"),
    pytest.param("*bold* _it_ ~no~ `code` ```block``` > quote", id="mrkdwn"),
    pytest.param("😀 \x1b[31mred\x07 \ufeff\u2028", id="control characters"),
    pytest.param("'; DROP TABLE executions; --", id="SQL"),
]


def _everything(workspace: Workspace) -> list[Message]:
    return [m for name in ("incidents", "ops") for m in workspace.state.all_messages(workspace.state.channel(name).id)]


def _raw(message: Message) -> str:
    return f"{message.text}\n{message.blocks}"


def _by_the_bot(workspace: Workspace) -> list[Message]:
    return [m for m in _everything(workspace) if m.user == workspace.state.identity.bot_user]


async def _settled(running: Demo) -> None:
    """Until nothing is carried any more and everything is said."""
    async with asyncio.timeout(PATIENCE):
        while True:
            busy = await running.app.database.read(executions.in_states, (State.PENDING, State.RUNNING))
            if not busy:
                return
            await asyncio.sleep(0.02)


async def _button(workspace: Workspace, label: str) -> Message:
    def offered(here: Workspace) -> Message | None:
        found = [m for m in _everything(here) if label in here.buttons(m)]
        return found[-1] if found else None

    return await workspace.wait_for(offered, timeout=PATIENCE)


async def _told(workspace: Workspace, person: str, said: str) -> None:
    await workspace.wait_for(
        lambda here: any(said in m.text for m in here.ephemeral(person, "incidents")), timeout=PATIENCE
    )


async def test_hostile_text_in_any_field_neither_pings_nor_runs_nor_breaks_anything(running: Demo) -> None:
    workspace = running.workspace
    places: Mapping[str, str] = {
        "command": "/runbook {}",
        "parameter": "/runbook restart {} on web-01",
        "target": "/runbook restart nginx on {}",
        "named": "/runbook restart service={} on web-01",
        "reason": '/runbook restart nosuch on web-01 --reason "{}"',
        "switch": "/killswitch {}",
        "switch subject": "/killswitch service {} on",
        "search": "/audit {}",
        "logs": "/runbook logs {}",
        "why": "/runbook why {}",
        "can": "/runbook can {}",
    }
    for parameter in HOSTILE:
        text = str(parameter.values[0])
        for place, form in places.items():
            ack = await workspace.command("bob", "incidents", form.format(text))
            assert ack.ok, f"{place} with {parameter.id}: {ack.error}"
    await _settled(running)
    await asyncio.sleep(0.3)
    for message in _by_the_bot(workspace):
        raw = _raw(message)
        assert "<!channel>" not in raw
        assert "<!here>" not in raw
        assert "<!everyone>" not in raw
        assert "<!subteam^" not in raw
        assert message.is_ephemeral or "<@UALICE>" not in raw
    ended = await running.app.database.read(executions.newest, 500)
    assert {e.state for e in ended} <= {State.FAILED, State.REFUSED}
    assert (await running.app.database.read(audit.verify)).ok
    ack = await workspace.command("bob", "incidents", "/runbook restart nginx on web-01 settle=0")
    assert ack.ok
    await workspace.wait_for(lambda here: "nginx pid" in here.transcript("incidents"), timeout=PATIENCE)


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_hostile_reason_of_a_kill_switch_is_kept_and_pings_nobody(running: Demo, text: str) -> None:
    workspace = running.workspace
    ack = await workspace.command("alice", "incidents", f"/killswitch global on {text}")
    assert ack.ok
    if await _answered(running):  # else it was not understood, and she was told so
        await workspace.wait_for(lambda here: "Kill switch engaged" in here.transcript("ops"), timeout=PATIENCE)
    for message in _by_the_bot(workspace):
        for ping in ("<!channel>", "<!here>", "<!everyone>", "<!subteam^"):
            assert ping not in _raw(message)


async def _answered(running: Demo) -> list[KillSwitch]:
    """The switches that are engaged once Alice was answered."""
    said = running.workspace.ephemeral
    await running.workspace.wait_for(lambda here: said("alice", "incidents"), timeout=PATIENCE)
    return await running.app.database.read(controls.engaged)


async def test_who_loses_the_role_between_request_and_apply_is_refused(running: Demo) -> None:
    workspace = running.workspace
    await workspace.command("bob", "incidents", "/runbook kill report-worker on web-02 grace=2")
    asking = await _button(workspace, "Approve")
    engine = running.app.engine
    people = replace(engine.policy.people, roles={k: v for k, v in engine.policy.people.roles.items() if k != "UBOB"})
    engine.govern(replace(engine.policy, people=people))
    await workspace.click("carol", asking, "Approve")
    await workspace.wait_for(lambda here: "by the permission gate" in here.transcript("incidents"), timeout=PATIENCE)
    await _settled(running)
    [execution] = await running.app.database.read(executions.newest, 5)
    assert execution.state is State.REFUSED
    assert await running.app.database.read(executions.steps_of, execution.id) == []


async def test_an_approver_who_lost_the_role_cannot_approve(running: Demo) -> None:
    workspace = running.workspace
    await workspace.command("bob", "incidents", "/runbook kill report-worker on web-02 grace=2")
    asking = await _button(workspace, "Approve")
    engine = running.app.engine
    people = replace(engine.policy.people, roles={k: v for k, v in engine.policy.people.roles.items() if k != "UCAROL"})
    engine.govern(replace(engine.policy, people=people))
    await workspace.click("carol", asking, "Approve")
    await _told(workspace, "carol", "You may not approve")
    [execution] = await running.app.database.read(executions.newest, 5)
    assert execution.state is State.AWAITING_APPROVAL


async def test_an_approval_cannot_be_given_while_a_kill_switch_is_engaged_and_can_afterwards(running: Demo) -> None:
    workspace = running.workspace
    await workspace.command("bob", "incidents", "/runbook kill report-worker on web-02 grace=2")
    asking = await _button(workspace, "Approve")
    await workspace.command("bob", "incidents", "/killswitch host web-02 on")
    await _told(workspace, "bob", "is engaged")
    await workspace.click("carol", asking, "Approve")
    await _told(workspace, "carol", "until the switch is released")
    await workspace.command("alice", "incidents", "/killswitch host web-02 off all clear")
    await _told(workspace, "alice", "is off")
    await workspace.click("carol", asking, "Approve")
    await workspace.wait_for(lambda here: "ended report-worker" in here.transcript("incidents"), timeout=PATIENCE)


async def test_clicks_on_messages_of_an_old_execution_change_nothing(running: Demo) -> None:
    workspace = running.workspace
    await workspace.command("bob", "incidents", "/runbook kill report-worker on web-02 grace=2")
    asking = await _button(workspace, "Approve")
    labels = [label for label in workspace.buttons(asking) if label != "Show plan"]
    await workspace.click("carol", asking, "Deny")
    await workspace.wait_for(lambda here: here.views("carol"), timeout=PATIENCE)
    await workspace.submit_view("carol")
    await workspace.wait_for(lambda here: "denied by" in here.transcript("incidents"), timeout=PATIENCE)
    [before] = await running.app.database.read(executions.newest, 5)
    stale = {label: _payload(running, asking, label) for label in labels}
    for label, value in stale.items():
        await _press(running, "carol", label, value)
    await asyncio.sleep(0.5)
    [after] = await running.app.database.read(executions.newest, 5)
    assert (after.state, after.ending, after.epoch) == (before.state, before.ending, before.epoch)
    assert after.state is State.DENIED


def _payload(running: Demo, message: Message, label: str) -> tuple[str, str]:
    """The action id and value of a button, kept by somebody who will send them later."""
    for block in message.blocks:
        for element in block.get("elements", ()) if block.get("type") == "actions" else ():
            if element["text"]["text"] == label:
                return element["action_id"], element["value"]
    raise AssertionError(f"no button {label}")


async def _press(running: Demo, person: str, label: str, button: tuple[str, str]) -> None:
    action_id, value = button
    who = running.workspace.state.person(person)
    payload = {
        "type": "block_actions",
        "team": {"id": running.workspace.state.identity.team_id},
        "user": {"id": who.id, "name": who.name},
        "trigger_id": f"late.{label}.{person}",
        "container": {"type": "message", "channel_id": "C0INC"},
        "channel": {"id": "C0INC", "name": "incidents"},
        "actions": [{"type": "button", "action_id": action_id, "block_id": "b", "value": value}],
    }
    ack = await running.workspace._deliveries.send(Sort.INTERACTION, payload)
    assert ack.ok


async def test_two_people_asking_for_the_same_at_once_run_one_after_the_other(running: Demo) -> None:
    workspace = running.workspace
    await asyncio.gather(
        workspace.command("bob", "incidents", "/runbook restart app on web-01 settle=0"),
        workspace.command("alice", "incidents", "/runbook restart app on web-01 settle=0"),
    )
    await workspace.wait_for(lambda here: "app pid" in here.transcript("incidents"), timeout=PATIENCE)
    await _settled(running)
    found = await running.app.database.read(executions.newest, 5)
    assert sorted(e.state for e in found) == [State.REFUSED, State.SUCCEEDED]
    assert "cooldown" in workspace.transcript("incidents")
