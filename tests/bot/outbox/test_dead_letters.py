"""What can be said nowhere: it becomes a dead letter, the alerts channel hears of it, and an ending is always known."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot import dead_letters as words
from bot.blocks import Message
from bot.outbox import Outbox
from runbooks.progress import ApprovalAsked, ApprovalDecided, ExecutionEnded
from storage import approvals, dead_letters, outbox
from storage.dead_letters import Requeued
from storage.records import Approval, ApprovalState, Consent, Execution, OutboxKind, OutboxState, State
from tests.bot.outbox.conftest import BOB, Desk, changed

NOTHING = Message(text="", blocks=())
"""What Slack takes in no form."""
TOLD = "could not be delivered"


@pytest.fixture
def closed(desk: Desk) -> str:
    """A channel of people without the bot."""
    desk.workspace.add_channel(id="C0PRIV", name="private", private=True, bot_is_member=False)
    return "C0PRIV"


def announcements(desk: Desk) -> list[str]:
    """What the alerts channel heard of dead letters."""
    return [text for text in desk.posts("C0OPS") if TOLD in text]


def reopen(desk: Desk, channel: str) -> None:
    """An archived channel is one no more."""
    state = desk.workspace.state
    state.put_channel(replace(state.channel(channel), archived=False))


async def ends(desk: Desk, execution: Execution) -> None:
    """It failed."""
    ended = changed(execution, state=State.FAILED, ended_at=desk.clock.now(), ending="disk full")
    await desk.report(ExecutionEnded(execution=ended, hosts=(), steps=()))


# --- the announcement -------------------------------------------------------------------------------------------------


async def test_several_that_die_at_once_are_told_of_in_one_message(desk: Desk, closed: str) -> None:
    desk.start()
    for number in range(3):
        await desk.put(f"number {number}", channel=closed)
    await desk.settle()
    await desk.until(lambda: bool(announcements(desk)), within=15)
    [told] = announcements(desk)
    assert "3 messages could not be delivered" in told
    assert f"newest: alert for <#{closed}>: channel_not_found" in told
    assert "`/runbook dead-letters` lists them" in told


async def test_the_alerts_channel_is_told_at_most_once_in_ten_minutes_and_of_all(desk: Desk, closed: str) -> None:
    desk.start(poll=2)
    await desk.put("the first", channel=closed)
    await desk.until(lambda: len(announcements(desk)) == 1, within=15)
    for _ in range(4):
        await desk.put("another", channel=closed)
        await desk.wait(60, step=2)
    assert len(announcements(desk)) == 1
    await desk.until(lambda: len(announcements(desk)) == 2, within=400, step=2)
    assert "4 messages" in announcements(desk)[1]
    await desk.wait(1_300, step=5)
    assert len(announcements(desk)) == 2


async def test_of_several_senders_one_tells(any_desk: Desk) -> None:
    any_desk.workspace.add_channel(id="C0PRIV", name="private", private=True, bot_is_member=False)
    for number in range(6):
        await any_desk.put(f"number {number}", channel="C0PRIV")
    for _ in range(3):
        any_desk.start(is_alone=False, poll=2)
    await any_desk.settle()
    await any_desk.wait(900, step=5)
    counted = [int(text.split("*")[1].split()[0]) for text in announcements(any_desk)]
    assert sum(counted) == 6
    assert len(counted) <= 2


async def test_what_died_in_an_earlier_life_is_told_of_after_the_start(desk: Desk, closed: str) -> None:
    desk.start(alerts=None)
    await desk.put("hello", channel=closed)
    await desk.settle()
    await desk.kill()
    desk.start()
    await desk.until(lambda: bool(announcements(desk)), within=5)
    assert "1 message could not be delivered*; alert for" in announcements(desk)[0]


async def test_a_broken_alerts_channel_makes_no_letters_of_its_own_and_hears_of_them_once_repaired(
    desk: Desk, closed: str
) -> None:
    desk.workspace.archive("C0OPS")
    row_id = await desk.put("hello", channel=closed)
    desk.start(poll=10)
    await desk.wait(3_600, step=10)
    assert [row.id for row in await desk.rows()] == [row_id]
    assert await desk.database.read(dead_letters.unannounced) == 1
    assert 5 <= len(desk.workspace.calls) <= 8
    reopen(desk, "C0OPS")
    await desk.until(lambda: bool(announcements(desk)), within=620, step=5)
    assert await desk.database.read(dead_letters.unannounced) == 0


async def test_a_letter_that_dies_while_the_announcement_waits_is_told_of_by_the_next(desk: Desk, closed: str) -> None:
    desk.start(poll=5)
    await desk.put("the first", channel=closed)
    await desk.settle()
    desk.workspace.faults.server_error("chat.postMessage")
    await desk.wait(700, step=5)
    row_id = await desk.put("the second", channel="C0NONE")
    desk.workspace.faults.clear()
    await desk.until(lambda: len(announcements(desk)) == 2, within=1_300, step=5)
    assert (await desk.row(row_id)).state is OutboxState.DEAD
    assert ["1 message could" in text for text in announcements(desk)] == [True, True]


# --- an ending becomes known ------------------------------------------------------------------------------------------


async def test_an_ending_slack_refuses_where_it_belongs_is_said_in_the_alerts_channel(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start()
    await desk.settle()
    desk.workspace.faults.refused("as_user_not_supported", "chat.postMessage", times=3)
    await ends(desk, execution)
    await desk.settle()
    assert any(f"#{execution.id}" in text and "disk full" in text for text in desk.posts("C0OPS"))
    assert await desk.database.read(dead_letters.newest) == []


async def test_an_ending_that_can_be_said_nowhere_is_named_in_the_alerts_channel(desk: Desk, closed: str) -> None:
    execution = await desk.submitted()
    desk.start()
    await desk.settle()
    await desk.put("", kind=OutboxKind.ENDING, execution_id=execution.id, message=NOTHING)
    await desk.put("noise", channel=closed)
    await desk.settle()
    await desk.until(lambda: bool(announcements(desk)), within=15)
    [told] = announcements(desk)
    assert f"ending of #{execution.id} for <#C0INC>: no_text" in told


async def test_a_headline_slack_refuses_stands_in_the_alerts_channel(desk: Desk) -> None:
    desk.workspace.faults.refused("as_user_not_supported", "chat.postMessage", times=3)
    execution = await desk.submitted()
    desk.start()
    await desk.settle()
    thread = await desk.database.read(outbox.thread_of, execution.id)
    assert thread is not None
    assert (thread.channel, thread.asked_in) == ("C0OPS", "C0INC")


async def test_an_ending_whose_thread_and_then_whose_channel_are_gone_is_said_in_the_alerts_channel(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start()
    await desk.settle()
    [headline] = desk.workspace.messages("C0INC")
    await desk.client().chat_delete(channel="C0INC", ts=headline.ts)
    desk.workspace.faults.refused("thread_not_found", "chat.postMessage", times=1)
    desk.workspace.faults.refused("is_archived", "chat.postMessage", times=1)
    await ends(desk, execution)
    await desk.settle()
    assert any("disk full" in text for text in desk.posts("C0OPS"))


async def test_an_ending_does_not_wait_for_a_headline_that_will_never_stand(any_desk: Desk) -> None:
    any_desk.workspace.archive("C0OPS")
    any_desk.workspace.archive("C0INC")
    execution = await any_desk.submitted()
    any_desk.start(poll=5)
    await any_desk.settle()
    reopen(any_desk, "C0OPS")
    await any_desk.put("a step", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    await ends(any_desk, execution)
    await any_desk.settle()
    said = any_desk.posts("C0OPS")
    assert any("disk full" in text for text in said)
    assert "a step" not in said
    [headline] = await any_desk.database.read(dead_letters.newest)
    assert "failed" in headline.payload["text"]


async def test_a_decision_whose_request_was_deleted_is_said_anew(desk: Desk) -> None:
    execution, asked = await asks(desk)
    desk.start()
    await desk.settle()
    [headline] = desk.workspace.messages("C0INC")
    [request] = [m for m in desk.workspace.messages("C0INC", thread_ts=headline.ts) if "approv" in m.text.lower()]
    await desk.client().chat_delete(channel="C0INC", ts=request.ts)
    await desk.report(decided(execution, asked, desk))
    await desk.settle()
    assert any("Approval given by <@UBOB>" in text for text in desk.posts(thread=headline.ts))


async def test_a_decision_in_a_channel_archived_meanwhile_is_said_in_the_alerts_channel(desk: Desk) -> None:
    execution, asked = await asks(desk)
    desk.start()
    await desk.settle()
    desk.workspace.archive("C0INC")
    await desk.report(decided(execution, asked, desk))
    await desk.settle()
    assert any("Approval given by <@UBOB>" in text for text in desk.posts("C0OPS"))


async def asks(desk: Desk) -> tuple[Execution, Approval]:
    """An execution that waits for an approval, and says so."""
    execution = await desk.submitted()
    approval = await desk.database.write(
        approvals.ask,
        execution.id,
        fingerprint="f" * 64,
        kind=Consent.APPROVE,
        now=desk.clock.now(),
        expire=timedelta(minutes=15),
    )
    event = ApprovalAsked(
        execution=execution, approval=approval, plan={"hosts": []}, why="it is dangerous", notify=None, approvers=()
    )
    await desk.report(event)
    return execution, approval


def decided(execution: Execution, approval: Approval, desk: Desk) -> ApprovalDecided:
    """Somebody gave it."""
    given = replace(approval, state=ApprovalState.GIVEN, decided_by=BOB.id, decided_at=desk.clock.now())
    return ApprovalDecided(execution=execution, approval=given, actor=BOB)


# --- poison -----------------------------------------------------------------------------------------------------------


async def test_a_text_too_long_for_slack_is_said_shortened(desk: Desk) -> None:
    desk.workspace.faults.refused("msg_too_long", times=1)
    row_id = await desk.put("", message=Message(text="long " * 9_000, blocks=()))
    desk.start()
    await desk.settle()
    assert (await desk.row(row_id)).state is OutboxState.SENT
    [said] = desk.posts()
    assert said.startswith("long long")
    assert len(said) < 4_000


async def test_a_message_that_breaks_the_sender_is_a_dead_letter_and_breaks_nothing_else(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No payload we know of does that, so the fault is put where one would be.
    as_ever = Outbox._by_its_method

    async def faulty(self: Outbox, ready: outbox.Ready, *, is_again: bool) -> object:
        if ready.message.id == row_id:
            raise KeyError("blocks")
        return await as_ever(self, ready, is_again=is_again)

    row_id = await desk.put("poison")
    monkeypatch.setattr(Outbox, "_by_its_method", faulty)
    await desk.put("the next")
    desk.start()
    await desk.settle()
    row = await desk.row(row_id)
    assert (row.state, row.error, row.attempts) == (OutboxState.DEAD, "the sender failed (KeyError)", 3)
    assert desk.posts() == ["the next"]


# --- said again -------------------------------------------------------------------------------------------------------


async def test_a_requeued_ending_goes_where_it_belonged_once_that_is_repaired(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start()
    await desk.settle()
    desk.workspace.archive("C0INC")
    desk.workspace.archive("C0OPS")
    await ends(desk, execution)
    await desk.settle()
    [letter] = await desk.database.read(dead_letters.newest)
    assert words.about(letter, words.SHELL) == f"ending of #{execution.id} for C0INC"
    reopen(desk, "C0INC")
    assert await desk.database.write(dead_letters.requeue, letter.id, desk.clock.now()) is Requeued.DONE
    await desk.settle()
    [headline] = desk.workspace.messages("C0INC")
    assert any("disk full" in text for text in desk.posts(thread=headline.ts))


async def test_a_requeued_letter_whose_thread_is_gone_is_said_in_the_channel(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start(alerts=None)
    await desk.settle()
    [headline] = desk.workspace.messages("C0INC")
    desk.workspace.archive("C0INC")
    await desk.put("the plan", kind=OutboxKind.PLAN, execution_id=execution.id)
    await desk.settle()
    [letter] = await desk.database.read(dead_letters.newest)
    reopen(desk, "C0INC")
    await desk.client().chat_delete(channel="C0INC", ts=headline.ts)
    await desk.database.write(dead_letters.requeue, letter.id, desk.clock.now())
    await desk.settle()
    assert "the plan" in desk.posts()


async def test_a_requeued_headline_stands_as_things_are_now_and_what_waits_follows_it(any_desk: Desk) -> None:
    any_desk.workspace.archive("C0INC")
    execution = await any_desk.submitted()
    any_desk.start(alerts=None)
    await any_desk.settle()
    reopen(any_desk, "C0INC")
    [letter] = await any_desk.database.read(dead_letters.newest)
    await any_desk.kill()
    await any_desk.database.write(dead_letters.requeue, letter.id, any_desk.clock.now())
    await ends(any_desk, execution)
    any_desk.start(alerts=None)
    await any_desk.settle()
    [headline] = any_desk.workspace.messages("C0INC")
    assert "failed" in headline.text
    assert any("disk full" in text for text in any_desk.posts(thread=headline.ts))


async def test_old_words_are_not_requeued_over_newer_ones(any_desk: Desk) -> None:
    execution = await any_desk.submitted()
    any_desk.start()
    await any_desk.settle()
    any_desk.workspace.faults.refused("as_user_not_supported", "chat.postMessage", times=3)
    old = await any_desk.put("10 lines", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    await any_desk.settle()
    await any_desk.put("20 lines", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    await any_desk.settle()
    assert await any_desk.database.write(dead_letters.requeue, old, any_desk.clock.now()) is Requeued.OVERTAKEN
    [headline] = any_desk.workspace.messages("C0INC")
    assert any_desk.posts(thread=headline.ts) == ["20 lines"]
