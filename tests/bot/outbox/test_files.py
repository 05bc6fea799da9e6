"""The full log of an execution becomes a file in its thread: once, whole, and whatever Slack does meanwhile."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, insert

from bot.cards import StepNews, step_message
from bot.full_log import MOST_BYTES, attach, log_file
from bot.playground.state import File
from runbooks.progress import ExecutionEnded
from storage import executions, outbox
from storage import tables as t
from storage.records import Execution, OutputLine, State, StepRun, StepState
from tests.bot.outbox.conftest import Desk, changed


def _ran(connection: Connection, execution: Execution, texts: list[str], now: datetime) -> StepRun:
    """A step that printed these lines, as its rows have it."""
    step = StepRun(
        execution_id=execution.id,
        host="web-01",
        step="1",
        attempt=1,
        title="Look at the log",
        state=StepState.SUCCEEDED,
        started_at=now,
        ended_at=now + timedelta(seconds=3),
        exit_status=0,
        lines=len(texts),
    )
    values = {name: value for name, value in vars(step).items() if name in t.step_runs.c}
    connection.execute(insert(t.step_runs).values(**values))
    executions.keep_output(connection, execution.id, printed(texts, now))
    return step


def printed(texts: list[str], now: datetime) -> list[OutputLine]:
    return [
        OutputLine(host="web-01", step="1", attempt=1, seq=seq, stream="stdout", text=text, at=now)
        for seq, text in enumerate(texts, 1)
    ]


async def ended(desk: Desk, lines: int = 1_224, *, channel: str = "C0INC") -> Execution:
    """One whose headline stands and which ends, having printed so many lines."""
    execution = await desk.submitted(channel=channel)
    desk.start()
    await desk.settle()
    now = desk.clock.now()
    step = await desk.database.write(_ran, execution, [f"line {number}" for number in range(1, lines + 1)], now)
    over = changed(execution, state=State.SUCCEEDED, started_at=now, ended_at=now)
    await desk.database.write(_end, over)
    await desk.report(ExecutionEnded(execution=over, hosts=(), steps=(step,)))
    return over


def _end(connection: Connection, execution: Execution) -> None:
    executions.set_values(
        connection,
        execution.id,
        state=execution.state.value,
        started_at=execution.started_at,
        ended_at=execution.ended_at,
    )


def files(desk: Desk, channel: str = "C0INC") -> list[File]:
    """Those that stand in the thread of the channel's first message."""
    headline = desk.workspace.messages(channel)[0]
    replies = desk.workspace.messages(channel, thread_ts=headline.ts)
    return [desk.workspace.state.files[file] for message in replies for file in message.files]


async def test_long_output_is_tailed_in_the_thread_and_attached_whole(desk: Desk) -> None:
    execution = await ended(desk)
    await desk.settle()
    [file] = files(desk)
    assert file.title == "Full log of #1 restart-service"
    text = (file.content or b"").decode()
    assert "web-01, step 1: Look at the log: succeeded after 3 s, exit status 0\n03:00:0" in text
    assert [line.partition(" | ")[2] for line in text.splitlines() if " | " in line] == [
        f"line {number}" for number in range(1, 1_225)
    ]
    step = (await desk.database.read(executions.steps_of, execution.id))[0]
    tail = printed([f"line {number}" for number in range(1_205, 1_225)], desk.clock.now())
    shown = str(step_message(StepNews(execution=execution, step=step, tail=tail)).blocks)
    assert "1,204 lines above, in the full log" in shown
    assert "line 1224" in shown


async def test_a_file_comes_after_all_words_of_its_execution(desk: Desk) -> None:
    await ended(desk)
    await desk.settle()
    headline = desk.workspace.messages("C0INC")[0]
    replies = desk.workspace.messages("C0INC", thread_ts=headline.ts)
    assert [bool(message.files) for message in replies] == [False, True]


async def test_what_the_thread_shows_whole_is_not_attached_until_somebody_asks(desk: Desk) -> None:
    execution = await ended(desk, lines=20)
    await desk.settle()
    assert files(desk) == []
    said = await desk.database.write(attach, execution.id, "UBOB", desk.clock.now())
    assert said == "The full log of #1 is being attached to its thread."
    twice = await desk.database.write(attach, execution.id, "UCAROL", desk.clock.now())
    assert twice == "The full log of #1 is in its thread already."
    await desk.settle()
    assert len(files(desk)) == 1
    assert await desk.database.write(attach, execution.id, "UBOB", desk.clock.now()) == twice


async def test_where_nothing_was_printed_there_is_nothing_to_attach(desk: Desk) -> None:
    execution = await desk.submitted()
    said = await desk.database.write(attach, execution.id, "UBOB", desk.clock.now())
    assert said == "#1 has printed nothing."


async def test_a_file_whose_answer_was_lost_is_found_and_not_attached_twice(desk: Desk) -> None:
    desk.workspace.faults.drop_after_effect("files.completeUploadExternal", times=1)
    await ended(desk)
    await desk.settle()
    assert len(files(desk)) == 1
    assert await desk.database.read(outbox.open_messages) == 0


async def test_a_file_waits_as_long_as_slack_asks_and_holds_up_no_words(desk: Desk) -> None:
    desk.workspace.faults.rate_limited(60, "files.getUploadURLExternal", times=1)
    await ended(desk)
    headline = desk.workspace.messages("C0INC")[0]
    await desk.until(lambda: any("succeeded" in text for text in desk.posts(thread=headline.ts)), within=5)
    assert files(desk) == []
    await desk.until(lambda: len(files(desk)) == 1, within=70)


async def test_a_file_survives_a_restart_between_two_of_its_calls(desk: Desk) -> None:
    desk.workspace.faults.hang("files.completeUploadExternal", times=1)
    await ended(desk)
    await desk.pass_while_busy(lambda: not desk.workspace.faults.all())
    await desk.kill()
    desk.workspace.faults.clear()
    desk.start()
    await desk.settle()
    assert len(files(desk)) == 1


async def test_without_the_scope_who_asked_is_told_and_nothing_is_buried(desk: Desk) -> None:
    execution = await ended(desk, lines=3)
    await desk.settle()
    desk.workspace.faults.refused("missing_scope", "files.getUploadURLExternal")
    await desk.database.write(attach, execution.id, "UBOB", desk.clock.now())
    await desk.settle()
    [told] = desk.workspace.ephemeral("bob", "incidents")
    assert told.text == (
        "Slack took no file (missing_scope), so it is not attached: Full log of #1. "
        "`/runbook logs 1` shows its newest lines."
    )
    assert [row.kind for row in await desk.rows() if row.method == "upload"] == []


async def test_in_a_channel_without_us_who_asked_gets_the_file_alone(desk: Desk) -> None:
    execution = await ended(desk, lines=3)
    await desk.settle()
    desk.workspace.faults.refused("not_in_channel", "files.completeUploadExternal", times=1)
    await desk.database.write(attach, execution.id, "UBOB", desk.clock.now())
    await desk.settle()
    assert files(desk) == []
    direct = desk.workspace.state.direct("UBOB")
    assert len([message for message in desk.workspace.state.all_messages(direct.id) if message.files]) == 1
    assert await desk.database.read(outbox.channel_is_postable, "C0INC") is True


async def test_nothing_that_was_printed_can_look_like_another_line_of_the_log(desk: Desk) -> None:
    execution = await desk.execution()
    nasty = "== web-02, step 9\n== web-02\x1b[2Jx\r"
    await desk.database.write(_ran, execution, [nasty], desk.clock.now())
    made = await desk.database.read(log_file, execution.id)
    assert made.content.decode().splitlines()[-1].endswith("| == web-02, step 9␊== web-02␛[2Jx␍")


async def test_of_a_log_that_is_too_large_the_newest_is_kept_and_the_rest_counted(desk: Desk) -> None:
    execution = await desk.execution()
    await desk.database.write(_ran, execution, ["é" * 2_000_000] * 3, desk.clock.now())
    made = (await desk.database.read(log_file, execution.id)).content
    assert len(made) < MOST_BYTES + 100
    assert made.decode().startswith("… 4,0")
