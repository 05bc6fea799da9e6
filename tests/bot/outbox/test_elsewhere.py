"""Channels that can't be posted to, and answers to one person."""

from datetime import timedelta

import pytest

from runbooks.progress import ApprovalReminded, ExecutionEnded
from storage import approvals, dead_letters, outbox
from storage.dead_letters import Requeued
from storage.records import Consent, OutboxKind, OutboxState, State
from tests.bot.outbox.conftest import Desk, changed


@pytest.fixture
def closed(desk: Desk) -> str:
    """A channel of people without the bot."""
    desk.workspace.add_channel(id="C0PRIV", name="private", private=True, bot_is_member=False)
    return "C0PRIV"


async def test_a_headline_goes_to_the_alerts_channel_and_the_requester_gets_its_link(desk: Desk, closed: str) -> None:
    execution = await desk.submitted(channel=closed)
    desk.start()
    await desk.settle()
    [headline] = desk.workspace.messages("C0OPS")
    thread = await desk.database.read(outbox.thread_of, execution.id)
    assert thread is not None
    assert (thread.channel, thread.ts, thread.asked_in) == ("C0OPS", headline.ts, closed)
    [told] = desk.workspace.messages("DBOB")
    assert f"#{execution.id} reports in <https://" in told.text
    assert headline.ts.replace(".", "") in told.text
    assert await desk.database.read(outbox.channel_is_postable, closed) is False


async def test_what_follows_a_rerouted_headline_is_said_in_its_thread(desk: Desk, closed: str) -> None:
    execution = await desk.submitted(channel=closed)
    ended = changed(execution, state=State.FAILED, ended_at=desk.clock.now(), ending="disk full")
    await desk.report(ExecutionEnded(execution=ended, hosts=(), steps=()))
    desk.start()
    await desk.settle()
    [headline] = desk.workspace.messages("C0OPS")
    assert any("disk full" in text for text in desk.posts("C0OPS", thread=headline.ts))
    assert "failed" in headline.text


async def test_a_headline_nobody_can_be_shown_becomes_a_dead_letter(desk: Desk, closed: str) -> None:
    execution = await desk.submitted(channel=closed)
    desk.workspace.archive("C0OPS")
    desk.start()
    await desk.settle()
    headline = await desk.database.read(outbox.headline_of, execution.id)
    assert headline is not None
    assert (headline.state, headline.error) == (OutboxState.DEAD, "is_archived")


async def test_an_ending_in_a_channel_archived_meanwhile_is_said_in_the_alerts_channel(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start()
    await desk.settle()
    desk.workspace.archive("C0INC")
    ended = changed(execution, state=State.FAILED, ended_at=desk.clock.now(), ending="disk full")
    await desk.report(ExecutionEnded(execution=ended, hosts=(), steps=()))
    await desk.settle()
    assert any(f"#{execution.id}" in text and "disk full" in text for text in desk.posts("C0OPS"))
    assert await desk.database.read(outbox.channel_is_postable, "C0INC") is False


async def test_what_was_asked_in_the_alerts_channel_is_edited_there_when_it_is_decided(any_desk: Desk) -> None:
    desk = any_desk
    execution = await desk.submitted()
    desk.start()
    await desk.settle()
    desk.workspace.archive("C0INC")
    first = await desk.put("please approve", kind=OutboxKind.APPROVAL, execution_id=execution.id, key="approval:1:1")
    await desk.settle()
    assert desk.posts("C0OPS") == ["please approve"]
    await desk.put("expired", kind=OutboxKind.APPROVAL, execution_id=execution.id, key="approval:1:1")
    await desk.settle()
    assert desk.posts("C0OPS") == ["expired"]
    assert (await desk.row(first)).payload["rerouted"]["coalesce_key"] == "approval:1:1"


async def test_a_request_that_died_in_both_channels_is_not_said_again_after_it_was_decided(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start()
    await desk.settle()
    for channel in ("C0INC", "C0OPS"):
        desk.workspace.archive(channel)
    asked = await desk.put("please approve", kind=OutboxKind.APPROVAL, execution_id=execution.id, key="approval:1:1")
    await desk.settle()
    decided = await desk.put("denied by bob", kind=OutboxKind.APPROVAL, execution_id=execution.id, key="approval:1:1")
    await desk.settle()
    assert [(await desk.row(one)).state for one in (asked, decided)] == [OutboxState.DEAD] * 2
    assert await desk.database.write(dead_letters.requeue, asked, desk.clock.now()) is Requeued.OVERTAKEN
    assert await desk.database.write(dead_letters.requeue, decided, desk.clock.now()) is Requeued.DONE
    again = await desk.row(decided)
    assert (again.kind, again.channel, again.coalesce_key) == (OutboxKind.APPROVAL, "C0INC", "approval:1:1")


async def test_a_reminder_that_comes_after_the_channel_was_archived_is_not_lost(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start()
    await desk.settle()
    desk.workspace.archive("C0INC")
    approval = await desk.database.write(
        approvals.ask,
        execution.id,
        fingerprint="f" * 64,
        kind=Consent.APPROVE,
        now=desk.clock.now(),
        expire=timedelta(minutes=15),
    )
    reminded = ApprovalReminded(execution=execution, approval=approval, notify="S0ONCALL", approvers=())
    await desk.report(reminded)
    await desk.settle()
    assert any("for an approval" in text for text in desk.posts("C0OPS"))


async def test_running_waits_for_the_headline_to_stand_elsewhere(desk: Desk, closed: str) -> None:
    execution = await desk.submitted(channel=closed)
    waiting = desk.settling(execution)
    await desk.wait(0.5)
    assert not waiting.done()
    desk.start()
    await desk.until(waiting.done, within=6, step=0.05)
    assert await desk.database.read(outbox.thread_of, execution.id) is not None


async def test_running_does_not_wait_for_a_slack_that_is_down(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.workspace.faults.server_error()
    desk.start()
    waiting = desk.settling(execution)
    await desk.until(waiting.done, within=6, step=0.05)
    assert waiting.result() < 1
    assert desk.posts() == []


async def test_without_any_sender_running_waits_five_seconds_at_most(desk: Desk) -> None:
    waiting = desk.settling(await desk.submitted())
    await desk.until(waiting.done, within=8, step=0.05)
    assert 4.9 <= waiting.result() <= 5.1


async def test_in_a_channel_known_to_take_posts_nothing_waits(desk: Desk) -> None:
    now = desk.clock.now()
    await desk.database.write(outbox.set_channel, "C0INC", postable=True, error=None, now=now)
    execution = await desk.submitted()
    await desk.reporter.headline_settled(execution)
    assert desk.clock.now() == now


async def test_an_ephemeral_answer_is_seen_by_its_reader_only(desk: Desk) -> None:
    await desk.put("for you", kind=OutboxKind.ANSWER, method="ephemeral", user="UBOB")
    desk.start()
    await desk.settle()
    assert [message.text for message in desk.workspace.ephemeral("bob", "C0INC")] == ["for you"]
    assert desk.posts() == []


async def test_an_answer_where_its_reader_or_we_are_not_comes_as_a_direct_message(desk: Desk, closed: str) -> None:
    await desk.put("for you", kind=OutboxKind.ANSWER, method="ephemeral", channel=closed, user="UBOB")
    desk.start()
    await desk.settle()
    assert desk.posts("DBOB") == ["for you"]


async def test_an_answer_goes_through_its_response_url(desk: Desk, closed: str) -> None:
    url = f"{desk.workspace.url}/respond/{desk.workspace.state.new_response_url(user='UBOB', channel=closed)}"
    await desk.put("by url", kind=OutboxKind.ANSWER, method="respond", channel=closed, user="UBOB", response_url=url)
    desk.start()
    await desk.settle()
    assert [message.text for message in desk.workspace.ephemeral("bob", closed)] == ["by url"]
    assert desk.workspace.calls == []


async def test_an_answer_whose_response_url_is_used_up_is_said_in_the_channel(desk: Desk) -> None:
    url = f"{desk.workspace.url}/respond/no-such-key"
    await desk.put("still for you", kind=OutboxKind.ANSWER, method="respond", user="UBOB", response_url=url)
    desk.start()
    await desk.settle()
    assert [message.text for message in desk.workspace.ephemeral("bob", "C0INC")] == ["still for you"]


async def test_an_answer_older_than_half_an_hour_becomes_a_dead_letter(desk: Desk) -> None:
    row_id = await desk.put("too late", kind=OutboxKind.ANSWER, method="ephemeral", user="UBOB")
    await desk.clock.advance(31 * 60)
    desk.start(alerts=None)
    await desk.settle()
    assert desk.workspace.calls == []
    row = await desk.row(row_id)
    assert (row.state, row.error) == (OutboxState.DEAD, "it could not be said within 30 minutes")


async def test_a_late_answer_that_is_requeued_comes_as_a_direct_message(desk: Desk) -> None:
    url = f"{desk.workspace.url}/respond/{desk.workspace.state.new_response_url(user='UBOB', channel='C0INC')}"
    row_id = await desk.put("at last", kind=OutboxKind.ANSWER, method="respond", user="UBOB", response_url=url)
    await desk.clock.advance(31 * 60)
    desk.start(alerts=None)
    await desk.settle()
    await desk.clock.advance(3 * 3600)
    assert await desk.database.write(dead_letters.requeue, row_id, desk.clock.now()) is Requeued.DONE
    await desk.settle()
    assert desk.posts("DBOB") == ["at last"]
    assert "response_url" not in (await desk.row(row_id)).payload


async def test_an_answer_to_somebody_who_is_not_there_becomes_a_dead_letter_and_disturbs_nobody(desk: Desk) -> None:
    row_id = await desk.put("hello?", kind=OutboxKind.ANSWER, method="ephemeral", user="UNOBODY")
    await desk.put("hello")
    desk.start()
    await desk.settle()
    assert (await desk.row(row_id)).state is OutboxState.DEAD
    assert desk.posts() == ["hello"]


async def test_without_the_scope_for_direct_messages_the_rest_is_said_all_the_same(desk: Desk, closed: str) -> None:
    desk.workspace.state.scopes -= {"im:write"}
    row_id = await desk.put("for you", kind=OutboxKind.ANSWER, method="ephemeral", channel=closed, user="UBOB")
    await desk.put("hello")
    desk.start()
    took = await desk.until(lambda: desk.posts() == ["hello"])
    await desk.settle()
    assert took < 2
    assert (await desk.row(row_id)).state is OutboxState.DEAD
