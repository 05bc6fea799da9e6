"""When Slack is slow, full, broken or refuses us: nothing that must be said is lost, and nothing is said twice."""

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, update

from bot.blocks import Message, section
from bot.playground.faults import EVERY_METHOD
from runbooks.progress import ExecutionEnded, ExecutionStarted
from storage import dead_letters, outbox
from storage import tables as t
from storage.dead_letters import Requeued
from storage.records import OutboxKind, OutboxState, State
from tests.bot.outbox.conftest import Desk, changed


async def test_retry_after_is_honoured_and_is_no_failed_try(desk: Desk) -> None:
    row_id = await desk.put("patience")
    desk.workspace.faults.rate_limited(30, "chat.postMessage", times=1)
    desk.start()
    took = await desk.until(lambda: desk.posts() == ["patience"])
    assert 30 <= took < 32
    assert len(desk.workspace.calls) == 2
    assert (await desk.row(row_id)).attempts == 1


async def test_a_channel_slack_holds_back_does_not_hold_back_another(desk: Desk) -> None:
    await desk.put("later", channel="C0OPS")
    desk.workspace.faults.rate_limited(60, "chat.postMessage", times=1)
    desk.start()
    await desk.until(lambda: len(desk.workspace.calls) == 1)
    await desk.put("now")
    took = await desk.until(lambda: desk.posts() == ["now"])
    assert took < 2
    assert desk.posts("C0OPS") == []


async def test_a_server_error_is_tried_again_and_said_once(desk: Desk) -> None:
    await desk.put("eventually")
    desk.workspace.faults.server_error("chat.postMessage", times=3)
    desk.start()
    took = await desk.until(lambda: bool(desk.posts()))
    await desk.settle()
    assert desk.posts() == ["eventually"]
    assert 7 <= took < 9


async def test_waiting_for_a_broken_slack_grows_to_a_minute_and_an_ending_is_never_given_up(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start(poll=5)
    await desk.settle()
    desk.workspace.faults.server_error(EVERY_METHOD)
    ended = changed(execution, state=State.FAILED, ended_at=desk.clock.now(), ending="disk full")
    await desk.report(ExecutionEnded(execution=ended, hosts=(), steps=()))
    before = len(desk.workspace.calls)
    await desk.wait(300, step=2)
    assert 8 <= len(desk.workspace.calls) - before <= 24
    desk.workspace.faults.clear()
    [headline] = desk.workspace.messages("C0INC")
    await desk.until(lambda: any("disk full" in text for text in desk.posts(thread=headline.ts)))
    await desk.settle()
    assert len(desk.posts(thread=headline.ts)) == 1


async def test_progress_survives_a_long_outage_in_its_newest_words(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start(poll=5)
    await desk.settle()
    desk.workspace.faults.server_error(EVERY_METHOD)
    await desk.put("a line", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    await desk.wait(1_200, step=5)
    await desk.put("the last line", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    desk.workspace.faults.clear()
    await desk.settle()
    [headline] = desk.workspace.messages("C0INC")
    assert desk.posts(thread=headline.ts) == ["the last line"]


async def test_nothing_is_given_up_while_slack_is_down_in_whatever_way(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start(poll=10)
    await desk.settle()
    await desk.put("it ended", kind=OutboxKind.ENDING, execution_id=execution.id)
    faults = desk.workspace.faults
    for broken in (
        lambda: faults.page(status=200),
        lambda: faults.page(status=403),
        lambda: faults.server_error(status=503),
        lambda: faults.refused("internal_error"),
        lambda: faults.refused("ekm_access_denied"),
        lambda: faults.rate_limited(600),
    ):
        faults.clear()
        broken()
        await desk.wait(1_800, step=10)
    assert [row.state for row in await desk.rows() if row.kind is OutboxKind.ENDING] == [OutboxState.WAITING]
    faults.clear()
    await desk.settle(within=700)
    [headline] = desk.workspace.messages("C0INC")
    assert len(desk.posts(thread=headline.ts)) == 1


async def test_a_message_slack_always_fails_at_holds_up_no_other_for_long(desk: Desk) -> None:
    poison = await desk.put("poison", kind=OutboxKind.ENDING)
    desk.workspace.faults.server_error("chat.postMessage", times=6)
    desk.start(poll=5)
    await desk.wait(20)
    await desk.put("the next")
    await desk.until(lambda: bool(desk.posts()), within=70)
    assert desk.posts() == ["the next"]
    assert (await desk.row(poison)).attempts == 6
    await desk.settle()
    assert desk.posts() == ["the next", "poison"]


async def test_a_post_whose_answer_was_lost_is_found_and_not_repeated(desk: Desk) -> None:
    row_id = await desk.put("once")
    desk.workspace.faults.drop_after_effect("chat.postMessage", times=1)
    desk.start()
    await desk.settle()
    [message] = desk.workspace.messages("C0INC")
    row = await desk.row(row_id)
    assert message.text == "once"
    assert (row.state, row.ts) == (OutboxState.SENT, message.ts)
    assert len(desk.workspace.calls_of("conversations.history")) == 1


async def test_a_thread_post_that_timed_out_with_effect_is_found_in_its_thread(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start(call_timeout=0.3)
    await desk.settle()
    desk.workspace.faults.hang_after_effect("chat.postMessage", times=1)
    await desk.put("it ended", kind=OutboxKind.ENDING, execution_id=execution.id)
    await desk.settle()
    [headline] = desk.workspace.messages("C0INC")
    assert desk.posts(thread=headline.ts) == ["it ended"]
    assert len(desk.workspace.calls_of("conversations.replies")) == 1


async def test_a_lost_headline_is_found_and_its_thread_adopted(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.workspace.faults.drop_after_effect("chat.postMessage", times=1)
    desk.start()
    await desk.settle()
    [headline] = desk.workspace.messages("C0INC")
    thread = await desk.database.read(outbox.thread_of, execution.id)
    assert thread is not None
    assert thread.ts == headline.ts


async def test_a_lost_post_that_is_found_gets_the_words_that_took_its_place(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start()
    await desk.settle()
    [headline] = desk.workspace.messages("C0INC")
    desk.workspace.faults.drop_after_effect("chat.postMessage", times=1)
    await desk.put("step 1 runs", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    await desk.until(lambda: desk.posts(thread=headline.ts) == ["step 1 runs"])
    await desk.put("step 1 succeeded", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    await desk.settle()
    assert desk.posts(thread=headline.ts) == ["step 1 succeeded"]


async def test_a_lost_post_of_no_execution_is_edited_too_and_not_posted_once_more(desk: Desk) -> None:
    desk.start()
    desk.workspace.faults.drop_after_effect("chat.postMessage", times=1)
    await desk.put("2 dead letters", key="dead-letters")
    await desk.until(lambda: desk.posts() == ["2 dead letters"])
    await desk.put("3 dead letters", key="dead-letters")
    await desk.settle()
    assert desk.posts() == ["3 dead letters"]


async def test_a_lost_post_that_can_no_more_be_edited_is_said_anew_once(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start()
    await desk.settle()
    [headline] = desk.workspace.messages("C0INC")
    desk.workspace.faults.drop_after_effect("chat.postMessage", times=1)
    desk.workspace.faults.refused("edit_window_closed", "chat.update")
    await desk.put("step 1 runs", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    await desk.until(lambda: desk.posts(thread=headline.ts) == ["step 1 runs"])
    await desk.put("step 1 succeeded", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    await desk.settle()
    assert desk.posts(thread=headline.ts) == ["step 1 runs", "step 1 succeeded"]


async def test_a_post_that_timed_out_without_effect_is_repeated_and_says_so(desk: Desk) -> None:
    await desk.put("hello", message=Message(text="hello", blocks=(section("hello"),)))
    desk.workspace.faults.hang("chat.postMessage", times=1)
    desk.start(call_timeout=0.3)
    await desk.settle()
    [message] = desk.workspace.messages("C0INC")
    assert message.text == "*(repeated)* hello"
    assert "(repeated)" in str(message.blocks[-1])


async def test_where_we_may_not_look_a_lost_post_is_repeated_and_says_so(desk: Desk) -> None:
    desk.workspace.state.scopes -= {"channels:history"}
    await desk.put("hello")
    desk.workspace.faults.drop_after_effect("chat.postMessage", times=1)
    desk.start()
    await desk.settle()
    assert desk.posts() == ["hello", "*(repeated)* hello"]


async def test_newer_words_keep_the_id_of_a_post_that_may_stand_already(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start(call_timeout=0.5)
    await desk.settle()
    desk.workspace.faults.hang_after_effect("chat.postMessage", times=1)
    await desk.put("1 line", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    [headline] = desk.workspace.messages("C0INC")
    await desk.pass_while_busy(lambda: bool(desk.posts(thread=headline.ts)))
    await desk.put("2 lines", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    await desk.settle()
    await desk.put("3 lines", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    await desk.settle()
    assert desk.posts(thread=headline.ts) == ["3 lines"]


async def test_what_was_being_said_when_the_process_died_is_looked_for_first(any_desk: Desk) -> None:
    row_id = await any_desk.put("survived")
    any_desk.workspace.faults.hang_after_effect("chat.postMessage", times=1)
    any_desk.start()
    await any_desk.pass_while_busy(lambda: bool(any_desk.posts()))
    await any_desk.kill()
    assert (await any_desk.row(row_id)).state is OutboxState.SENDING
    any_desk.start()
    await any_desk.settle(within=5)
    assert any_desk.posts() == ["survived"]
    assert (await any_desk.row(row_id)).state is OutboxState.SENT


async def test_what_waited_before_a_restart_is_said_after_it(desk: Desk) -> None:
    await desk.put("first")
    desk.workspace.faults.server_error(EVERY_METHOD)
    desk.start()
    await desk.wait(10)
    await desk.kill()
    desk.workspace.faults.clear()
    desk.start()
    await desk.settle()
    assert desk.posts() == ["first"]


def lease_runs_out(connection: Connection, row_id: str) -> None:
    """By whichever clock it is counted."""
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    connection.execute(update(t.outbox).where(t.outbox.c.id == row_id).values(next_attempt_at=long_ago))


async def test_what_was_taken_back_from_a_sender_is_not_said_with_older_words(any_desk: Desk) -> None:
    """Its lease was over while the database was away, and newer words took the place of its own."""
    execution = await any_desk.execution()
    row_id = await any_desk.put("runs", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    write, now = any_desk.database.write, any_desk.clock.now()
    begun = await write(outbox.begin, row_id, now=now, lease=timedelta(seconds=15))
    assert begun is not None
    newer = await any_desk.put("succeeded", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    await write(lease_runs_out, row_id)
    assert await write(outbox.recover, now, everything=False, but={row_id}) == 0  # the sender itself knows better
    assert await write(outbox.recover, now, everything=False) == 1
    assert not await write(outbox.sent, begun, now=now, ts="1.2")
    await write(outbox.drop, begun)
    await write(outbox.bury, row_id, now=now, error="is_archived", attempts=begun.attempts)
    row = await any_desk.row(row_id)
    assert (row.state, row.unsure, row.payload["text"]) == (OutboxState.WAITING, True, "succeeded")
    assert newer not in [one.id for one in await any_desk.rows()]


async def test_what_was_taken_back_and_has_no_newer_words_is_said_when_its_answer_comes(any_desk: Desk) -> None:
    row_id = await any_desk.put("only for bob", kind=OutboxKind.ANSWER, method="ephemeral", user="UBOB")
    write, now = any_desk.database.write, any_desk.clock.now()
    begun = await write(outbox.begin, row_id, now=now, lease=timedelta(seconds=15))
    assert begun is not None
    await write(lease_runs_out, row_id)
    await write(outbox.recover, now, everything=False)
    assert await write(outbox.sent, begun, now=now, ts=None)
    assert (await any_desk.row(row_id)).state is OutboxState.SENT


async def test_of_two_senders_the_one_that_was_taken_for_dead_leaves_the_newest_words_standing(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start()
    await desk.settle()
    await desk.kill()
    [headline] = desk.workspace.messages("C0INC")
    sender = desk.start(is_alone=False)
    desk.workspace.faults.slow(0.5, "chat.postMessage", times=1)
    row_id = await desk.put("step 1 runs", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    sender.wake()
    await desk.pass_while_busy(lambda: not desk.workspace.faults.all())
    assert (await desk.row(row_id)).state is OutboxState.SENDING
    await desk.put("step 1 succeeded", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    await desk.database.write(lease_runs_out, row_id)
    await desk.database.write(outbox.recover, desk.clock.now(), everything=False)
    await desk.until(lambda: desk.posts(thread=headline.ts)[:1] == ["step 1 succeeded"])
    await desk.settle()
    assert desk.posts(thread=headline.ts)[0] == "step 1 succeeded"


async def test_endings_do_not_wait_behind_edits_that_slack_puts_off(desk: Desk) -> None:
    some = [await desk.submitted() for _ in range(14)]
    desk.start()
    await desk.settle()
    desk.workspace.faults.rate_limited(300, "chat.update", times=1)
    running = [changed(one, state=State.RUNNING, started_at=desk.clock.now()) for one in some]
    for one in running:
        await desk.report(ExecutionStarted(execution=one, steps_total=1))
    await desk.wait(5)
    for one in running:
        ended = changed(one, state=State.FAILED, ended_at=desk.clock.now(), ending="disk full")
        await desk.report(ExecutionEnded(execution=ended, hosts=(), steps=()))
    heads = desk.workspace.messages("C0INC")
    assert len(heads) == 14

    def all_told() -> bool:
        return all(any("disk full" in text for text in desk.posts(thread=head.ts)) for head in heads)

    assert await desk.until(all_told, within=30) < 30


async def test_a_found_headline_is_a_thread_at_once_although_edits_are_put_off(desk: Desk) -> None:
    desk.workspace.faults.drop_after_effect("chat.postMessage", times=1)
    desk.workspace.faults.rate_limited(300, "chat.update", times=1)
    execution = await desk.submitted()
    desk.start()
    await desk.until(lambda: bool(desk.posts()))
    await desk.put("please approve", kind=OutboxKind.APPROVAL, execution_id=execution.id, key="approval:1:1")
    [headline] = desk.workspace.messages("C0INC")
    assert await desk.until(lambda: desk.posts(thread=headline.ts) == ["please approve"], within=30) < 30


async def test_having_to_look_for_one_post_holds_up_no_other(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start()
    await desk.settle()
    [headline] = desk.workspace.messages("C0INC")
    desk.workspace.faults.drop_after_effect("chat.postMessage", times=1)
    desk.workspace.faults.rate_limited(300, "conversations.replies", times=1)
    await desk.put("a line", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
    await desk.wait(5)
    await desk.put("another", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:2")
    await desk.put("it ended", kind=OutboxKind.ENDING, execution_id=execution.id)
    assert await desk.until(lambda: "it ended" in desk.posts(thread=headline.ts), within=30) < 30
    assert len(desk.workspace.calls_of("conversations.replies")) == 1
    await desk.settle()
    assert desk.posts(thread=headline.ts) == ["a line", "it ended", "another"]


async def test_a_direct_message_that_slack_puts_off_holds_up_no_other_answer(desk: Desk) -> None:
    desk.start()
    desk.workspace.faults.rate_limited(300, "conversations.open", times=1)
    await desk.put("to bob", kind=OutboxKind.ANSWER, method="ephemeral", channel=None, user="UBOB")
    await desk.until(lambda: len(desk.workspace.calls_of("conversations.open")) == 1)
    await desk.put("to alice", kind=OutboxKind.ANSWER, method="ephemeral", user="UALICE")
    assert await desk.until(lambda: bool(desk.workspace.calls_of("chat.postEphemeral")), within=30) < 30


async def test_a_line_under_a_message_that_was_deleted_is_said_in_the_channel(desk: Desk) -> None:
    desk.start()
    await desk.put("resolved", kind=OutboxKind.ALERT, thread_ts="1700000000.000001")
    await desk.settle()
    assert desk.posts() == ["resolved"]


async def test_a_sender_beside_others_goes_on_saying_what_takes_longer_than_its_lease(any_desk: Desk) -> None:
    row_id = await any_desk.put("slowly")
    await any_desk.database.write(outbox.begin, row_id, now=any_desk.clock.now(), lease=timedelta(seconds=15))
    before = (await any_desk.row(row_id)).next_attempt_at
    await any_desk.database.write(
        outbox.extend, [row_id], now=any_desk.clock.now() + timedelta(seconds=4), lease=timedelta(seconds=15)
    )
    after = (await any_desk.row(row_id)).next_attempt_at
    assert before is not None
    assert after is not None
    assert after > before
    assert await any_desk.database.write(outbox.recover, any_desk.clock.now(), everything=False) == 0


async def test_a_sender_beside_others_leaves_what_they_are_saying_alone_until_they_must_be_dead(any_desk: Desk) -> None:
    row_id = await any_desk.put("theirs")
    await any_desk.database.write(outbox.begin, row_id, now=any_desk.clock.now(), lease=timedelta(hours=1))
    any_desk.start(is_alone=False, poll=5)
    await any_desk.wait(60, step=2)
    assert any_desk.workspace.calls == []
    await any_desk.database.write(lease_runs_out, row_id)
    await any_desk.until(lambda: bool(any_desk.posts()), within=90, step=2)
    assert any_desk.posts() == ["*(repeated)* theirs"]


async def test_blocks_slack_refuses_are_said_as_plain_text(desk: Desk) -> None:
    await desk.put("plain enough", message=Message(text="plain enough", blocks=({"type": "no_such_block"},)))
    desk.start()
    await desk.settle()
    [message] = desk.workspace.messages("C0INC")
    assert message.text == "plain enough"
    assert message.blocks == ()


async def test_what_slack_refuses_even_as_plain_text_becomes_a_dead_letter(desk: Desk) -> None:
    row_id = await desk.put("", message=Message(text="", blocks=()))
    await desk.put("the next")
    desk.start()
    await desk.settle()
    row = await desk.row(row_id)
    assert (row.state, row.error) == (OutboxState.DEAD, "no_text")
    assert desk.posts() == ["the next"]


async def test_a_dead_letter_can_be_tried_again(desk: Desk) -> None:
    desk.workspace.add_channel(id="C0NEW", name="new", bot_is_member=False)
    row_id = await desk.put("hello", channel="C0NEW")
    desk.start(alerts=None)
    await desk.settle()
    assert (await desk.row(row_id)).state is OutboxState.DEAD
    desk.workspace.invite("C0NEW", "handrail")
    assert await desk.database.write(dead_letters.requeue, row_id, desk.clock.now()) is Requeued.DONE
    await desk.settle()
    assert desk.posts("C0NEW") == ["hello"]


async def test_with_a_revoked_token_everything_waits_until_it_is_repaired(desk: Desk) -> None:
    row_id = await desk.put("nothing is lost")
    desk.start(token="xoxb-revoked", poll=10)
    await desk.wait(600, step=5)
    assert 5 <= len(desk.workspace.calls) <= 12
    assert {call.error for call in desk.workspace.calls} == {"invalid_auth"}
    await desk.kill()
    desk.start()
    await desk.until(lambda: desk.posts() == ["nothing is lost"], within=70)
    assert (await desk.row(row_id)).attempts == 1


async def test_a_deleted_headline_does_not_keep_the_ending_from_being_said(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start()
    await desk.settle()
    [headline] = desk.workspace.messages("C0INC")
    await desk.client().chat_delete(channel="C0INC", ts=headline.ts)
    ended = changed(execution, state=State.FAILED, ended_at=desk.clock.now(), ending="disk full")
    await desk.report(ExecutionEnded(execution=ended, hosts=(), steps=()))
    await desk.settle()
    assert any("disk full" in text for text in desk.posts())


async def test_the_sender_outlives_a_database_that_goes_away(desk: Desk) -> None:
    desk.start()
    await desk.wait(1)
    await desk.database.close()
    await desk.wait(5)
    await desk.database.start()
    await desk.put("back again")
    await desk.until(lambda: desk.posts() == ["back again"], within=10)


async def test_what_slack_took_while_the_database_was_away_is_not_said_again(desk: Desk) -> None:
    row_id = await desk.put("taken")
    desk.workspace.faults.slow(0.2, "chat.postMessage", times=1)
    desk.start()
    await desk.pass_while_busy(lambda: not desk.workspace.faults.all())
    await desk.database.close()
    await desk.workspace.wait_for(lambda workspace: workspace.messages("C0INC"))
    await desk.clock.advance(3)
    await desk.database.start()
    for _ in range(20):
        await asyncio.sleep(0.005)
        await desk.clock.advance(1)
    assert desk.posts() == ["taken"]
    assert (await desk.row(row_id)).state is OutboxState.SENT
