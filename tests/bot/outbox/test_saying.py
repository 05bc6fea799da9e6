"""What waits is said: where, in which order, and once."""

import asyncio
import itertools

from bot import shown
from bot.outbox import LEASE
from bot.pace import PaceSettings
from runbooks.progress import ExecutionEnded, ExecutionStarted
from storage import outbox
from storage.records import OutboxKind, OutboxState, State
from tests.bot.outbox.conftest import UNHURRIED, Desk, changed


async def test_a_headline_stands_in_the_channel_and_its_thread_is_remembered(any_desk: Desk) -> None:
    execution = await any_desk.submitted()
    any_desk.start()
    await any_desk.settle()
    [headline] = any_desk.workspace.messages("C0INC")
    thread = await any_desk.database.read(outbox.thread_of, execution.id)
    assert f"#{execution.id} restart-service nginx on web-01" in headline.text
    assert thread is not None
    assert (thread.channel, thread.ts, thread.asked_in) == ("C0INC", headline.ts, None)
    assert await any_desk.database.read(outbox.channel_is_postable, "C0INC") is True


async def test_an_ending_is_a_post_in_the_thread_and_an_edit_of_the_headline(any_desk: Desk) -> None:
    execution = await any_desk.submitted()
    any_desk.start()
    await any_desk.settle()
    ended = changed(execution, state=State.SUCCEEDED, ended_at=any_desk.clock.now(), ending="all is well")
    await any_desk.report(ExecutionEnded(execution=ended, hosts=(), steps=()))
    await any_desk.settle()
    [headline] = any_desk.workspace.messages("C0INC")
    replies = any_desk.posts(thread=headline.ts)
    assert "succeeded" in headline.text
    assert any("succeeded: all is well" in reply for reply in replies)


async def test_a_headline_that_waited_is_said_as_it_stands_now(desk: Desk) -> None:
    execution = await desk.submitted()
    await desk.report(ExecutionStarted(execution=changed(execution, state=State.RUNNING), steps_total=2))
    desk.start()
    await desk.settle()
    assert [call.method for call in desk.workspace.calls] == ["chat.postMessage"]
    assert "running" in desk.posts()[0]


async def test_what_another_process_wrote_is_said_without_being_woken(desk: Desk) -> None:
    desk.start()
    await desk.wait(2)
    await desk.put("from elsewhere")
    await desk.until(lambda: desk.posts() == ["from elsewhere"], within=2)


async def test_an_ending_overtakes_a_hundred_lines_of_progress(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start(pace=PaceSettings())
    await desk.until(lambda: len(desk.posts()) == 1)
    for number in range(100):
        await desk.put(f"line {number}", kind=OutboxKind.PROGRESS, execution_id=execution.id, key=f"step:{number}")
    await desk.put("it ended", kind=OutboxKind.ENDING, execution_id=execution.id)
    [headline] = desk.workspace.messages("C0INC")
    await desk.until(lambda: "it ended" in desk.posts(thread=headline.ts))
    assert len(desk.posts(thread=headline.ts)) <= 6


async def test_posts_of_one_channel_keep_their_order(desk: Desk) -> None:
    for number in range(12):
        await desk.put(f"number {number}")
    desk.start()
    await desk.settle()
    assert desk.posts() == [f"number {number}" for number in range(12)]


async def test_one_message_a_second_per_channel_stays_below_slacks_limit(desk: Desk) -> None:
    for number in range(20):
        await desk.put(f"number {number}")
    desk.start(pace=PaceSettings())
    took = await desk.until(lambda: len(desk.posts()) == 20)
    assert 16 <= took <= 22
    assert all(call.ok for call in desk.workspace.calls)


async def test_progress_under_pace_is_coalesced_and_its_last_words_always_stand(desk: Desk) -> None:
    execution = await desk.submitted()
    desk.start(pace=PaceSettings())
    await desk.until(lambda: len(desk.posts()) == 1)
    for number in range(60):
        await desk.put(f"{number} lines", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:1")
        await desk.wait(0.25)
    await desk.settle()
    [headline] = desk.workspace.messages("C0INC")
    assert desk.posts(thread=headline.ts) == ["59 lines"]
    edits = [call.at for call in desk.workspace.calls_of("chat.update")]
    assert 3 <= len(edits) <= 8
    assert all(later - earlier >= 1.9 for earlier, later in itertools.pairwise(edits))


async def test_at_least_half_of_the_edits_are_kept_for_endings(desk: Desk) -> None:
    running = [await desk.submitted() for _ in range(60)]
    desk.start()
    await desk.settle()
    await desk.kill()
    pace = PaceSettings(posts_per_channel=1_000.0, posts=1_000.0)
    for execution in running[:30]:
        await desk.put(
            "so far", kind=OutboxKind.CARD, method="update", execution_id=execution.id, key=f"c{execution.id}"
        )
    desk.start(pace=pace)
    await desk.wait(10, step=1)
    for execution in running[30:]:
        await desk.put(
            "ended", kind=OutboxKind.ENDING, method="update", execution_id=execution.id, key=f"c{execution.id}"
        )
    began = desk.clock.monotonic()
    await desk.until(lambda: desk.posts().count("ended") == 30, within=90, step=1)
    assert desk.clock.monotonic() - began < 60
    assert all(call.ok for call in desk.workspace.calls)


async def test_a_slow_channel_holds_up_no_other(desk: Desk) -> None:
    await desk.put("stuck", channel="C0OPS")
    desk.workspace.faults.hang("chat.postMessage", times=1)
    desk.start()
    await desk.pass_while_busy(lambda: bool(desk.workspace.calls))
    await desk.put("goes on", channel="C0INC")
    await desk.pass_while_busy(lambda: desk.posts() == ["goes on"])
    assert desk.posts("C0OPS") == []


async def test_two_senders_at_once_never_say_a_thing_twice(any_desk: Desk) -> None:
    for number in range(30):
        await any_desk.put(f"number {number}")
    any_desk.start(is_alone=False)
    any_desk.start(is_alone=False)
    await any_desk.settle()
    assert sorted(any_desk.posts()) == sorted(f"number {number}" for number in range(30))
    assert all(row.state is OutboxState.SENT and row.attempts == 1 for row in await any_desk.rows())


async def test_draining_says_what_may_be_said_and_tells_whether_all_was(desk: Desk) -> None:
    await desk.put("before the end")
    sender = desk.start(pace=UNHURRIED)
    drained: list[bool] = []

    async def drain() -> None:
        drained.append(await sender.drain(5.0))

    task = asyncio.create_task(drain())
    await desk.until(lambda: bool(drained), within=6)
    await task
    assert drained == [True]
    assert desk.posts() == ["before the end"]


async def test_every_post_carries_its_outbox_id_and_no_token_reaches_the_database(desk: Desk) -> None:
    row_id = await desk.put("hello")
    desk.start()
    await desk.settle()
    [call] = desk.workspace.calls_of("chat.postMessage")
    assert call.arguments["metadata"] == {"event_type": "handrail_outbox", "event_payload": {"id": row_id}}
    assert desk.workspace.bot_token not in str(await desk.rows())


async def test_edits_that_wait_hide_no_posts_of_their_channel(any_desk: Desk) -> None:
    """Slack takes some forty edits a minute, and sixty posts in each channel."""
    running = [await any_desk.submitted() for _ in range(30)]
    any_desk.start()
    await any_desk.settle()
    await any_desk.kill()
    for execution in running:
        await any_desk.put(
            "ended", kind=OutboxKind.ENDING, method="update", execution_id=execution.id, key=f"card:{execution.id}"
        )
    any_desk.start(pace=PaceSettings())
    await any_desk.wait(3, step=1)
    # An ending's post, as important as those edits and younger: an approval's would come before them in any case.
    await any_desk.put("it ended", kind=OutboxKind.ENDING, execution_id=running[-1].id)
    thread = any_desk.workspace.messages("C0INC")[-1].ts
    await any_desk.until(lambda: "it ended" in any_desk.posts(thread=thread), within=5)
    assert any_desk.posts().count("ended") < 20


async def test_a_decision_is_shown_before_the_cards_of_what_has_ended(desk: Desk) -> None:
    running = [await desk.submitted() for _ in range(30)]
    asked = running[-1]
    await desk.put("may it?", kind=OutboxKind.APPROVAL, execution_id=asked.id, key=f"approval:{asked.id}:1")
    desk.start()
    await desk.settle()
    await desk.kill()
    for execution in running:
        await desk.put(
            "ended", kind=OutboxKind.ENDING, method="update", execution_id=execution.id, key=f"card:{execution.id}"
        )
    desk.start(pace=PaceSettings())
    await desk.wait(3, step=1)
    await desk.put("it may", kind=OutboxKind.APPROVAL, execution_id=asked.id, key=f"approval:{asked.id}:1")
    thread = desk.workspace.messages("C0INC")[-1].ts
    await desk.until(lambda: "it may" in desk.posts(thread=thread), within=5)
    assert desk.posts().count("ended") < 20


async def test_a_headline_is_as_urgent_as_the_question_that_waits_for_it(any_desk: Desk) -> None:
    asked = [await any_desk.submitted() for _ in range(30)][-1]
    for kind in (OutboxKind.CARD, OutboxKind.APPROVAL, OutboxKind.CARD):
        shows = {"method": "update", "shows": shown.CARD, "coalesce_key": f"card:{asked.id}", "channel": "C0INC"}
        now = any_desk.clock.now()
        await any_desk.database.write(outbox.show, id=f"a{kind}", kind=kind, execution_id=asked.id, now=now, **shows)
    await any_desk.put("may it?", kind=OutboxKind.APPROVAL, execution_id=asked.id, key=f"approval:{asked.id}:1")
    any_desk.start(pace=PaceSettings())
    await any_desk.until(lambda: len(any_desk.workspace.calls) >= 2)
    headline = any_desk.workspace.messages("C0INC")[0]
    assert headline.text.startswith(f"#{asked.id} ")
    assert any_desk.posts(thread=headline.ts) == ["may it?"]


async def test_progress_that_waits_to_be_edited_hides_no_progress_that_is_new(desk: Desk) -> None:
    execution = await desk.submitted()
    for number in range(15):
        await desk.put(f"step {number}", kind=OutboxKind.PROGRESS, execution_id=execution.id, key=f"step:{number}")
    desk.start()
    await desk.settle()
    await desk.kill()
    for number in range(15):
        await desk.put(f"step {number} over", kind=OutboxKind.PROGRESS, execution_id=execution.id, key=f"step:{number}")
    await desk.put("a new step", kind=OutboxKind.PROGRESS, execution_id=execution.id, key="step:new")
    desk.start(pace=PaceSettings())
    thread = desk.workspace.messages("C0INC")[-1].ts
    await desk.until(lambda: "a new step" in desk.posts(thread=thread), within=3)


async def test_of_several_senders_one_speaks_and_keeps_slacks_pace_for_all(any_desk: Desk) -> None:
    for number in range(15):
        await any_desk.put(f"number {number}", channel=("C0INC", "C0OPS")[number % 2])
    for _ in range(3):  # not in step, where all reach for the same message and only one has it
        any_desk.start(is_alone=False, pace=PaceSettings())
        await any_desk.wait(0.3)
    took = await any_desk.until(lambda: len(any_desk.posts()) == 8, within=30)
    assert 3 <= took <= 10
    assert all(call.ok for call in any_desk.workspace.calls)


async def test_when_the_one_that_speaks_stops_another_speaks_at_once_and_when_it_dies_soon(any_desk: Desk) -> None:
    any_desk.start(is_alone=False)
    await any_desk.put("the first")
    await any_desk.until(lambda: any_desk.posts() == ["the first"])
    await any_desk.kill()  # which lets it say that it stops
    any_desk.start(is_alone=False)
    await any_desk.put("the second")
    await any_desk.until(lambda: any_desk.posts()[-1] == "the second", within=1)
    await any_desk.kill()
    gone = {"process": "one that died", "now": any_desk.clock.now(), "lease": LEASE}
    assert await any_desk.database.write(outbox.speak, (), **gone)
    any_desk.start(is_alone=False)
    await any_desk.put("the third")
    if any_desk.database.is_sqlite:  # PostgreSQL's own clock tells how old a lease is
        await any_desk.wait(LEASE.total_seconds() - 2)
        assert any_desk.posts()[-1] == "the second"
    else:
        await any_desk.database.write(outbox.fall_silent, process="one that died", now=any_desk.clock.now())
    await any_desk.until(lambda: any_desk.posts()[-1] == "the third", within=5)
