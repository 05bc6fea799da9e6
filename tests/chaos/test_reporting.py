"""A small `python -m tests.chaos.reporting`, and whether its questions notice what they are there for."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.playground.state import Json, Message
from bot.playground.web_api import ApiCall
from storage.audit import Verification
from tests.chaos import reporting, said
from tests.chaos.said import Evidence, Row
from tests.fakes import START
from tests.system import openssh
from tests.system.serving import require_program


async def test_a_few_executions_are_told_to_their_end_although_an_answer_is_lost(tmp_path: Path) -> None:
    require_program(openssh.missing())
    async with reporting.crowd(tmp_path, database="sqlite", replicas=1, seed=7) as here:
        here.go_wrong("lost and not to be found")
        channels = list(reporting.CHANNELS.values())
        for number, words in enumerate(("quick r1 0.1 on h01", "talk r2 0.1 5 on h02", "grave r3 0.1 on h03")):
            await here.say("bob", channels[number], f"/runbook {words}")
        approving = asyncio.create_task(here.approve())
        try:
            await here.told(3, within=180)
        finally:
            approving.cancel()
        found = await here.prove()
    states = [row["state"] for _, row in sorted(found.executions.items())]
    assert states[:2] == ["succeeded", "succeeded"]
    assert states[2] in {"succeeded", "denied"}  # as whoever decides is minded
    assert said.lost(found.calls)["chat.postMessage"] == said.repeated(found) == 1
    assert "p50" in here.figures["from a decision until its message shows it"]


# --- what the questions notice ----------------------------------------------------------------------------------------


def at(seconds: float) -> datetime:
    """So long after the beginning."""
    return START + timedelta(seconds=seconds)


def row(number: str, kind: str, *, created: float, sent: float, method: str = "post", **more: Any) -> Row:
    """What was said about the only execution."""
    return {
        "id": number,
        "kind": kind,
        "method": method,
        "channel": "C1",
        "execution_id": 1,
        "coalesce_key": None,
        "created_at": at(created),
        "sent_at": at(sent),
        "ts": f"{number}.0",
        "state": "sent",
        "error": None,
        **more,
    }


def message(number: str, text: str, *, thread: str | None = "head.0", blocks: Sequence[Json] = ()) -> Message:
    """As it stands in the channel."""
    return Message(
        channel="C1",
        ts=f"{number}.0",
        user="UBOT",
        bot_id="B1",
        text=text,
        thread_ts=thread,
        blocks=tuple(blocks),
        metadata={"event_payload": {"id": number}},
    )


def call(number: str, seconds: float, **more: Any) -> ApiCall:
    """The post of it."""
    arguments = {"channel": "C1", "metadata": {"event_payload": {"id": number}}}
    given = {"method": "chat.postMessage", "arguments": arguments, "status": 200, "answer": {"ok": True}, **more}
    return ApiCall(at=at(seconds).timestamp(), **given)


def edit(of: str, seconds: float) -> ApiCall:
    """An edit of a message."""
    arguments = {"channel": "C1", "ts": f"{of}.0"}
    return ApiCall(
        method="chat.update", arguments=arguments, at=at(seconds).timestamp(), status=200, answer={"ok": True}
    )


WELL = Evidence(
    executions={1: {"id": 1, "state": "failed", "ended_at": at(9)}},
    approvals=(),
    outbox=(
        row("head", "headline", created=0, sent=1, coalesce_key="card:1"),
        row("step", "progress", created=2, sent=8),
        row("end", "ending", created=9, sent=10),
        row("card", "ending", created=9, sent=12, method="update", ts="head.0", coalesce_key="card:1"),
    ),
    threads={1: {"execution_id": 1, "channel": "C1", "ts": "head.0"}},
    verified=Verification(entries=3, head="h", problems=()),
    messages=(
        message("head", "#1 quick: failed", thread=None),
        message("step", "h01 · step 1: Restart: failed"),
        message("end", "#1 quick failed"),
    ),
    calls=(call("head", 1), call("step", 8), call("end", 10), edit("head", 12)),
)


def seen(**changes: Any) -> list[str]:
    """What does not hold once something is otherwise."""
    return said.problems(replace(WELL, **changes), asked=1)


def test_where_all_is_well_nothing_is_found() -> None:
    assert seen() == []
    assert said.waits(WELL)["an ending until its card shows it"] == [3.0]


def test_a_missing_ending_is_found() -> None:
    assert seen(messages=WELL.messages[:2]) == ["#1 ended as failed, and its thread does not say so"]
    assert said.problems(WELL, asked=2) == ["2 executions were asked for, and there are 1"]


def test_an_ending_in_another_thread_is_not_one() -> None:
    elsewhere = replace(WELL.messages[2], thread_ts="step.0")
    assert "#1 ended as failed, and its thread does not say so" in seen(messages=(*WELL.messages[:2], elsewhere))


def test_a_second_post_needs_a_lost_answer_and_a_mark() -> None:
    again = replace(WELL.messages[2], ts="end.1", text="*(repeated)* #1 quick failed")
    twice = (*WELL.messages, again)
    marked = call("end", 12, arguments={**call("end", 12).arguments, "text": "*(repeated)* #1 quick failed"})
    marked_step = call("step", 8, arguments={**call("step", 8).arguments, "text": "*(repeated)* h01"})
    lost = (*WELL.calls[:2], call("end", 10, status=None), marked, edit("head", 12))
    assert seen(messages=twice, calls=lost) == []
    assert seen(messages=twice) == ["'#1 quick failed' stands there 2 times, and 0 answers to it were lost"]
    runs = replace(WELL.messages[1], ts="step.1", text="h01 · step 1: Restart: running")
    twice_step = (call("head", 1), call("step", 5, status=None), marked_step, *WELL.calls[2:])
    assert seen(messages=(*WELL.messages, runs), calls=twice_step) == []
    assert said.left_behind(replace(WELL, messages=(*WELL.messages, runs))) == {("C1", "step.1")}
    unmarked = (*WELL.calls[:2], call("end", 10, status=None), call("end", 12), edit("head", 12))
    assert seen(messages=twice, calls=unmarked) == ["'#1 quick failed' was posted 2 times without a mark"]


@pytest.mark.parametrize(
    ("place", "text"), [(0, "#1 quick: running, step 1 of 2"), (1, "h01 · step 1: Restart: running after 2 s")]
)
def test_what_says_for_ever_that_it_runs_is_found(place: int, text: str) -> None:
    messages = list(WELL.messages)
    messages[place] = replace(messages[place], text=text)
    [problem] = seen(messages=messages)
    assert text in problem


def test_a_button_that_decides_what_is_over_is_found() -> None:
    button = {"type": "button", "action_id": "approve", "text": {"type": "plain_text", "text": "Approve"}}
    asks = message("ask", "#1 quick needs an approval", blocks=[{"type": "actions", "elements": [button]}])
    assert seen(messages=(*WELL.messages, asks)) == [
        "in the thread of #1, which ended as failed, one can press ['Approve']"
    ]


def test_a_second_call_before_its_time_and_a_second_wait_in_a_row_are_found() -> None:
    wait = call("x", 20, status=429, retry_after=3, answer={"ok": False})
    assert seen(calls=(*WELL.calls, wait, call("x", 23))) == []
    assert seen(calls=(*WELL.calls, wait, call("x", 22))) == ["chat.postMessage C1 was called 1.00 s before its time"]
    again = replace(wait, at=wait.at + 3)
    assert seen(calls=(*WELL.calls, wait, again)) == [
        "chat.postMessage C1 was told twice in a row to wait, 3.0 s apart"
    ]


def test_an_ending_that_waited_behind_progress_is_found() -> None:
    behind = (WELL.outbox[0], row("step", "progress", created=2, sent=15), *WELL.outbox[2:])
    behind = tuple({**one, "sent_at": at(20)} if one["id"] == "end" else one for one in behind)
    calls = (call("head", 1), edit("head", 12), call("step", 15), call("end", 20))
    assert seen(outbox=behind, calls=calls) == ["C1: the post of ending of #1 waited behind that of progress of #1"]
    tried = (
        call("head", 1),
        call("end", 10, status=500, answer={"ok": False}),
        edit("head", 12),
        call("step", 15),
        call("end", 20),
    )
    assert seen(outbox=behind, calls=tried) == []


def test_what_waits_still_or_was_given_up_is_found() -> None:
    dead = {**WELL.outbox[1], "state": "dead", "error": "no_text"}
    assert seen(outbox=(WELL.outbox[0], dead, *WELL.outbox[2:])) == ["progress of #1 is dead: no_text"]
