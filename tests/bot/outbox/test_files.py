"""The full log of an execution becomes a file in its thread: once, whole, and whatever Slack does meanwhile."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, insert

from bot import full_log
from bot.cards import StepNews, step_message
from bot.full_log import MOST_BYTES, attach, log_file
from bot.playground.state import File
from runbooks.progress import ExecutionEnded
from storage import executions, outbox
from storage import tables as t
from storage.records import Execution, OutputLine, State, StepRun, StepState
from tests.bot.outbox.conftest import Desk, changed


def _ran(
    connection: Connection, execution: Execution, texts: list[str], now: datetime, host: str = "web-01"
) -> StepRun:
    """A step that printed these lines, as its rows have it."""
    step = StepRun(
        execution_id=execution.id,
        host=host,
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
    executions.keep_output(connection, execution.id, printed(texts, now, host))
    return step


def printed(texts: list[str], now: datetime, host: str = "web-01") -> list[OutputLine]:
    return [
        OutputLine(host=host, step="1", attempt=1, seq=seq, stream="stdout", text=text, at=now)
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


async def test_where_we_are_no_member_each_who_asks_gets_it_until_it_stands_in_the_thread(any_desk: Desk) -> None:
    desk = any_desk
    execution = await ended(desk, lines=3)
    await desk.settle()
    for person in ("UBOB", "UCAROL"):
        desk.workspace.faults.refused("not_in_channel", "files.completeUploadExternal", times=1)
        said = await desk.database.write(attach, execution.id, person, desk.clock.now())
        assert said == "The full log of #1 is being attached to its thread."
        await desk.settle()
        direct = desk.workspace.state.direct(person)
        assert len([message for message in desk.workspace.state.all_messages(direct.id) if message.files]) == 1
    await desk.database.write(attach, execution.id, "UCAROL", desk.clock.now())
    await desk.settle()
    assert len(files(desk)) == 1
    said = await desk.database.write(attach, execution.id, "UBOB", desk.clock.now())
    assert said == "The full log of #1 is in its thread already."


async def test_a_file_in_a_thread_that_stands_in_the_alerts_channel_is_there_already(desk: Desk) -> None:
    desk.workspace.add_channel(id="C0PRIV", name="private", private=True, bot_is_member=False)
    execution = await ended(desk, channel="C0PRIV")
    await desk.settle()
    assert len(files(desk, "C0OPS")) == 1
    said = await desk.database.write(attach, execution.id, "UBOB", desk.clock.now())
    assert said == "The full log of #1 is in its thread already."


async def test_nothing_that_was_printed_can_look_like_another_line_of_the_log(desk: Desk) -> None:
    execution = await desk.execution()
    nasty = "== web-02, step 9\n== web-02\x1b[2Jx\r"
    await desk.database.write(_ran, execution, [nasty], desk.clock.now())
    made = await desk.database.read(log_file, execution.id)
    assert made.content.decode().splitlines()[-1].endswith("| == web-02, step 9␊== web-02␛[2Jx␍")


LEFT_OUT = "lines that are left out here, or were forgotten after their time: "


async def test_of_a_log_that_is_too_large_the_newest_is_kept_and_the_rest_counted(desk: Desk) -> None:
    """The newest of all hosts, below the head and with every step's heading."""
    execution = await desk.execution(hosts=("web-01", "web-02"))
    now = desk.clock.now()
    await desk.database.write(_ran, execution, [f"{number}" + "é" * 1_000_000 for number in range(3)], now, "web-02")
    later = now + timedelta(seconds=1)
    await desk.database.write(_ran, execution, [f"{number}" + "é" * 1_000_000 for number in range(3)], later, "web-01")
    made = (await desk.database.read(log_file, execution.id)).content
    assert len(made) < MOST_BYTES
    lines = [line[:40] for line in made.decode().splitlines()]
    assert lines[0].startswith("#1 restart-service on web-01, web-02")
    assert f"\n{LEFT_OUT}3\n" in made.decode()
    assert [line.partition(" | ")[2][:1] for line in lines if " | " in line] == ["0", "1", "2"]
    assert [line.partition(",")[0] for line in lines if line.startswith("==")] == ["== web-02", "== web-01"]
    assert "== web-01, step 1" in made.decode().partition(" | ")[0]


@pytest.mark.parametrize(("most", "left"), [(100, 0), (5, 7), (0, 12)])
async def test_a_log_of_too_many_lines_says_how_many_are_not_there(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch, most: int, left: int
) -> None:
    execution = await any_desk.execution()
    texts = [f"line {number}" for number in range(12)]
    await any_desk.database.write(_ran, execution, texts, any_desk.clock.now())
    monkeypatch.setattr(full_log, "MOST_LINES", most)
    made = (await any_desk.database.read(log_file, execution.id)).content.decode()
    assert [line.partition(" | ")[2] for line in made.splitlines() if " | " in line] == texts[left:]
    assert (f"{LEFT_OUT}{left}\n" in made) == (left > 0)
    assert (LEFT_OUT in made) == (left > 0)


async def test_a_log_whose_lines_were_forgotten_does_not_look_as_if_nothing_was_printed(any_desk: Desk) -> None:
    execution = await any_desk.execution()
    await any_desk.database.write(_ran, execution, ["one", "two"], any_desk.clock.now())
    await any_desk.database.write(executions.prune_output, before=any_desk.clock.now() + timedelta(days=90))
    made = (await any_desk.database.read(log_file, execution.id)).content.decode()
    assert f"{LEFT_OUT}2\n" in made
