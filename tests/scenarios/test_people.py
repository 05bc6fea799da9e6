"""What people of different rights see, are told, and can decide, in the channel."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bot.actions import Actions
from bot.app import Desk
from bot.demo import Demo
from bot.modals import Shown
from bot.playground.state import Message
from safety.approval import Demand
from safety.roles import Can, Role
from storage import audit, executions, inbox
from storage import tables as t
from storage.errors import NotPermitted
from storage.records import Actor, Consent, Received, State
from tests.fakes import START, FakeViews

PATIENCE = 20.0
BOB_S = (Can(rule="roles:UBOB can", runbooks=("restart-service",), hosts=("web-01",), max_hosts=1),)


def change(running: Demo, *, quorum: int | None = None, roles: Mapping[str, Role] | None = None, **people: Any) -> None:
    """Other settings, as after a restart with them."""
    engine = running.app.engine
    policy = engine.policy
    named = {**policy.people.roles, **(roles or {})}
    changed = replace(policy, people=replace(policy.people, roles=named, **people))
    if quorum is not None:
        asked = Demand(consent=Consent.APPROVE, quorum=quorum, rule="approvals.runbooks.kill-process")
        changed = replace(changed, demands=replace(policy.demands, runbooks={"kill-process": asked}))
    engine.govern(changed)


async def told(running: Demo, person: str, text: str) -> str:
    """Say it, and the private answer to it."""
    workspace = running.workspace
    before = len(workspace.ephemeral(person, "incidents"))
    ack = await workspace.command(person, "incidents", text)
    assert ack.ok, ack.error
    await workspace.wait_for(lambda here: len(here.ephemeral(person, "incidents")) > before, timeout=PATIENCE)
    return workspace.read(workspace.ephemeral(person, "incidents")[-1])


async def asking(running: Demo) -> Message:
    """Bob asks for something dangerous: the request with its buttons in the thread."""
    workspace = running.workspace
    await workspace.command("bob", "incidents", "/runbook kill report-worker on web-02 grace=2")

    def offered(here: Any) -> Message | None:
        found = [m for m in here.state.all_messages("C0INC") if "needs an approval" in here.read(m)]
        return found[-1] if found and "Approve" in here.buttons(found[-1]) else None

    return await workspace.wait_for(offered, timeout=PATIENCE)


async def seen(running: Demo, text: str) -> None:
    """Until the channel shows it."""
    await running.workspace.wait_for(lambda here: text in here.transcript("incidents"), timeout=PATIENCE)


async def test_the_request_says_why_how_much_and_how_it_went_before(running: Demo) -> None:
    request = running.workspace.read(await asking(running))
    assert "kill-process is dangerous: somebody else must approve it. (approvals.dangerous)" in request
    assert "Blast radius: 1 host (web-02)" in request
    assert "cannot be undone" in request
    assert "kill-process has not run on web-02 before." in request
    assert "May approve: @alice, @carol." in request


async def test_deny_asks_why_and_everybody_is_told_who_and_why(running: Demo) -> None:
    workspace = running.workspace
    request = await asking(running)
    await workspace.click("carol", request, "Deny")
    await workspace.wait_for(lambda here: here.views("carol"), timeout=PATIENCE)
    assert "will not be run" in workspace.read(workspace.views("carol")[0])
    await workspace.submit_view("carol", {"Reason": "wrong host, password=hunter2hunter2"})
    assert workspace.views("carol") == []
    await seen(running, "denied by @carol: wrong host")
    assert "hunter2" not in workspace.transcript("incidents")
    [execution] = await running.app.database.read(executions.newest, 5)
    assert execution.state is State.DENIED
    entries = await running.app.database.read(audit.search, execution_id=execution.id, limit=100)
    assert {e.origin for e in entries if e.kind == "execution.denied"} == {"modal"}


async def test_a_modal_that_is_closed_decides_nothing(running: Demo) -> None:
    workspace = running.workspace
    request = await asking(running)
    await workspace.click("carol", request, "Deny")
    await workspace.wait_for(lambda here: here.views("carol"), timeout=PATIENCE)
    await workspace.close_view("carol")
    await workspace.click("carol", request, "Approve")
    await seen(running, "ended report-worker")


async def test_who_may_not_deny_gets_no_modal_but_the_reason(running: Demo) -> None:
    workspace = running.workspace
    request = await asking(running)
    await workspace.click("dave", request, "Deny")
    await workspace.wait_for(lambda here: here.ephemeral("dave", "incidents"), timeout=PATIENCE)
    assert "You may not deny #1" in workspace.read(workspace.ephemeral("dave", "incidents")[-1])
    assert workspace.views("dave") == []


@pytest.mark.parametrize("trigger", ["an.old.trigger", None])
async def test_where_no_modal_can_be_shown_the_click_itself_denies(running: Demo, trigger: str | None) -> None:
    await asking(running)
    actions = Actions(running.app.engine, running.app.commands, FakeViews(shows=Shown.NO), running.app.commands.forms)
    click = Received(
        id="c",
        key="click:c",
        kind="click",
        actor=Actor(id="UCAROL"),
        channel="C0INC",
        text="handrail:deny",
        payload={"value": "1", "trigger_id": trigger},
        received_at=START,
    )
    assert await actions.answer(click) is None
    [execution] = await running.app.database.read(executions.newest, 5)
    assert (execution.state, execution.ending) == (State.DENIED, "denied by <@UCAROL>")


async def test_a_form_whose_opening_was_not_answered_denies_nothing_and_the_person_is_told(running: Demo) -> None:
    workspace = running.workspace
    request = await asking(running)
    workspace.faults.drop_after_effect("views.open", times=1)
    await workspace.click("carol", request, "Deny")
    await workspace.wait_for(lambda here: here.ephemeral("carol", "incidents"), timeout=PATIENCE)
    assert "`/runbook deny 1 REASON` denies it" in workspace.read(workspace.ephemeral("carol", "incidents")[-1])
    [execution] = await running.app.database.read(executions.newest, 5)
    assert execution.state is State.AWAITING_APPROVAL
    await workspace.submit_view("carol", {"Reason": "wrong host"})
    await seen(running, "denied by @carol: wrong host")


async def test_a_click_that_opened_its_form_is_not_worked_on_again(running: Demo) -> None:
    """As by another replica, or after a crash: its trigger is used up, which must not make the click decide."""
    workspace, database = running.workspace, running.app.database
    request = await asking(running)
    await workspace.click("carol", request, "Deny")
    await workspace.wait_for(lambda here: here.views("carol"), timeout=PATIENCE)
    assert await database.read(inbox.unhandled) == []
    [click] = await database.read(clicks)
    await workspace.close_view("carol")
    desk = Desk(
        running.app.engine, running.app.commands, running.app.actions, running.app.outbox, running.app.directory
    )
    await desk.work(click)
    [execution] = await database.read(executions.newest, 5)
    assert execution.state is State.AWAITING_APPROVAL
    assert workspace.ephemeral("carol", "incidents") == []


def clicks(connection: Connection) -> list[Received]:
    """What was clicked."""
    ids = connection.scalars(select(t.requests.c.id).where(t.requests.c.kind == "click"))
    return [found[0] for one in ids.all() if (found := inbox.find(connection, one)) is not None]


async def test_two_of_two_are_shown_as_they_come(running: Demo) -> None:
    change(running, quorum=2)
    workspace = running.workspace
    request = await asking(running)
    assert "Needed: 2 others." in workspace.read(request)
    await workspace.click("carol", request, "Approve")
    await seen(running, "1 of 2 given by @carol; still needed: somebody else")
    await workspace.click("carol", request, "Approve")
    await workspace.wait_for(lambda here: here.ephemeral("carol", "incidents"), timeout=PATIENCE)
    assert "You have approved #1 already." in workspace.read(workspace.ephemeral("carol", "incidents")[-1])
    assert "You approved #1" in await told(running, "alice", "/runbook approve 1")
    await seen(running, "Approval given by @carol and @alice")
    await seen(running, "ended report-worker")


async def test_deny_by_command_carries_its_reason(running: Demo) -> None:
    await asking(running)
    assert "You denied #1." in await told(running, "carol", "/runbook deny 1 not during the sale")
    await seen(running, "denied by @carol: not during the sale")
    assert "waits for nobody" in await told(running, "carol", "/runbook approve 1")


async def test_can_prints_the_whole_decision_and_runs_nothing(running: Demo) -> None:
    change(running, quorum=2, can={"UBOB": BOB_S})
    own = await told(running, "bob", "/runbook can restart nginx on web-01")
    assert "@bob: restart on web-01 would *run*." in own
    for line in (
        "permission: allow (NOC) `roles:UBOB can`",
        "kill switch: allow (not engaged)",
        "blast radius: allow (1 of at most 1 host)",
        "cooldown: allow",
        "circuit breaker: allow",
        "approval: allow (not needed)",
    ):
        assert line in own
    outside = await told(running, "bob", "/runbook can restart nginx on web-02")
    assert "would *refused*" not in outside
    assert "would be *refused* by the permission gate" in outside
    assert "`roles:UBOB can.hosts`" in outside
    assert "approval: allow" in outside, "the gates behind a refusal are told as well"
    others = await told(running, "carol", "/runbook can @bob kill report-worker on web-01")
    assert "`roles:UBOB can.runbooks`" in others
    await told(running, "alice", "/killswitch host web-01 on looking")
    assert "is engaged" in await told(running, "carol", "/runbook can @alice kill report-worker on web-01")
    asked = await told(running, "alice", "/runbook can kill report-worker on web-02")
    assert "needs the approval of 2 others, and only 1 person besides you" in asked
    assert "`approvals.runbooks.kill-process`" in asked
    assert await running.app.database.read(executions.newest, 5) == []
    views = [e for e in await running.app.database.read(audit.search, limit=200) if e.kind == "view"]
    assert [(e.actor, e.data["about"]) for e in reversed(views)] == [
        ("UBOB", "UBOB"),
        ("UBOB", "UBOB"),
        ("UCAROL", "UBOB"),
        ("UCAROL", "UALICE"),
        ("UALICE", "UALICE"),
    ]


async def test_can_lists_what_one_may_do_and_where(running: Demo) -> None:
    change(running, can={"UBOB": BOB_S})
    own = await told(running, "bob", "/runbook can")
    assert "You have NOC (`roles:UBOB can`)." in own
    assert "runbooks.execute" in own
    assert "runbooks.approve" not in own
    assert "• restart-service on web-01, at most 1 host at once" in own
    assert "kill-process" not in own
    assert "You may not see what others may do" in await told(running, "bob", "/runbook can @carol")
    carol = await told(running, "carol", "/runbook can @carol")
    names = sorted(running.app.engine.catalog.entries)
    assert f"Approves:\n• {', '.join(names[:-1])} and {names[-1]} on every host" in carol
    assert "@bob has NOC" in await told(running, "carol", "/runbook can @bob")


async def test_a_stranger_learns_nothing(running: Demo) -> None:
    nothing = await told(running, "dave", "/runbook can restart nginx on nosuch")
    assert "would be *refused* by the permission gate" in nothing
    assert "web-01" not in nothing
    assert "You have no role (" not in nothing
    assert "You have no role." in await told(running, "dave", "/runbook can")
    said = await told(running, "dave", "/runbook help")
    assert "You have no role here yet" in said
    for part in ("/killswitch", "/audit", "approve", "list", "restart nginx on web-01` runs"):
        assert part not in said
    for text in ("list", "show restart", "status", "history", "logs 1", "why 1"):
        assert "You may not see that" in await told(running, "dave", f"/runbook {text}"), text


async def why_not(actions: Actions, received: Received) -> str:
    """What is said to who may not, however the engine says no."""
    try:
        answer = await actions.answer(received)
    except NotPermitted as error:
        return error.message
    return answer.text if answer is not None else "nothing was said"


async def test_every_click_of_somebody_without_a_role_is_answered_with_why_not_and_changes_nothing(
    running: Demo,
) -> None:
    await asking(running)
    database, actions = running.app.database, running.app.actions
    before = await database.read(executions.get, 1)
    for kind, verbs in (("click", actions.verbs), ("view", actions.submissions)):
        for verb in verbs:
            received = Received(
                id=f"{kind}-{verb}",
                key=f"{kind}-{verb}",
                kind=kind,
                actor=Actor(id="UDAVE"),
                channel="C0INC",
                text=f"handrail:{verb}" if kind == "click" else "because",
                payload={
                    "value": f"1:{(before.fingerprint or '')[:16]}",
                    "verb": f"handrail:{verb}",
                    "trigger_id": "t",
                },
                received_at=START,
            )
            assert "hat takes" in await why_not(actions, received), verb
    assert await database.read(executions.get, 1) == before
    assert [e.id for e in await database.read(executions.newest, 5)] == [1]


async def test_help_says_what_one_may_do(running: Demo) -> None:
    bob, carol = await told(running, "bob", "/runbook help"), await told(running, "carol", "/runbook help")
    assert "/runbook restart nginx on web-01" in bob
    assert "/killswitch global on" in bob
    for part in ("approve", "/audit", "off REASON", "@someone"):
        assert part not in bob
    assert "/runbook approve ID" in carol
    assert "/audit" in carol
    assert "off REASON" not in carol
    assert "off REASON" in await told(running, "alice", "/runbook help")


async def test_lists_and_near_misses_show_only_one_s_own_runbooks(running: Demo) -> None:
    change(running, roles={"UDAVE": Role.HELPDESK}, can={"UBOB": BOB_S})
    workspace = running.workspace
    await workspace.command("alice", "incidents", "/runbook kill nosuch on web-02 grace=2")
    await seen(running, "#1")
    assert "kill-process" not in await told(running, "bob", "/runbook list")
    assert "kill-process" in await told(running, "dave", "/runbook list")
    assert "kill-process is not among your runbooks" in await told(running, "bob", "/runbook show kill")
    assert "is not among your runbooks" in await told(running, "bob", "/runbook history kill")
    near = await told(running, "bob", "/runbook kill-proces nginx on web-01")
    assert "There is no runbook 'kill-proces'." in near
    assert "kill-process" not in near.replace("'kill-proces'", "")
    assert "kill-process" in await told(running, "alice", "/runbook kill-proces nginx on web-01")
    hosts = await told(running, "bob", "/runbook restart nginx on web-09")
    assert "web-01" in hosts
    assert "web-02" not in hosts
    async with asyncio.timeout(PATIENCE):
        while not (await running.app.database.read(executions.get, 1)).state.is_final:
            await asyncio.sleep(0.05)
    assert "#1" not in await told(running, "bob", "/runbook history")
    assert "#1" in await told(running, "dave", "/runbook history")
    assert "#1" not in await told(running, "bob", "/runbook status")
    assert "#1" in await told(running, "bob", "/runbook status 1"), "reading one is never limited"


async def test_why_says_which_line_refused_at_the_door(running: Demo) -> None:
    change(running, can={"UBOB": BOB_S})
    workspace = running.workspace
    await workspace.command("bob", "incidents", "/runbook restart nginx on web-02")
    await seen(running, "refused by the permission gate")
    said = await told(running, "bob", "/runbook why 1")
    assert "*#1 restart-service nginx on web-02*: refused" in said
    assert "permission: refuse (web-02 is outside of the rights given (NOC)" in said
    assert "`roles:UBOB can.hosts`" in said


async def test_why_names_the_lines_that_decided(running: Demo) -> None:
    workspace = running.workspace
    request = await asking(running)
    await workspace.click("carol", request, "Approve")
    await seen(running, "ended report-worker")
    said = await told(running, "bob", "/runbook why 1")
    assert "permission: allow (NOC) `roles:UBOB`" in said
    assert "`approvals.dangerous`" in said
    assert "approval given* by @carol: roles:UCAROL" in said
    assert "`approval:1`" in said
