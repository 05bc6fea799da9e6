"""Everything an execution printed, as one file: read from its rows when it is attached, redacted as they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from uuid import uuid4

from sqlalchemy import Connection

from safety.clock import words as duration
from storage import executions, outbox
from storage.records import Execution, OutboxKind, OutputLine, StepRun

MOST_LINES = 100_000
MOST_BYTES = 8_000_000


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """What is attached."""

    title: str
    content: bytes


def file_name(execution_id: int, mark: str) -> str:
    """The name in Slack; its `mark` tells one attaching from another, since a file carries no metadata."""
    return f"handrail-{execution_id}-{mark[:8]}.log"


def log_file(connection: Connection, execution_id: int) -> LogFile:
    """The whole log as it stands now: every step with how it went, and its lines with their times (UTC).

    Of more than 100,000 lines or 8 MB of output the newest are kept, and how many are not there is said at the top.
    Raises NotFound.
    """
    execution = executions.get(connection, execution_id)
    lines = _newest(executions.output_of(connection, execution_id, last=MOST_LINES))
    steps = executions.steps_of(connection, execution_id)
    left_out = executions.printed(connection, execution_id) - len(lines)
    content = "\n".join([*_head(execution, steps, left_out), *_body(steps, lines), ""]).encode("utf-8", "replace")
    return LogFile(title=f"Full log of #{execution_id} {execution.runbook}"[:200], content=content)


def _newest(lines: Sequence[OutputLine]) -> Sequence[OutputLine]:
    """As many of the newest, whichever host printed them, as fit into 8 MB."""
    room, first = MOST_BYTES, len(lines)
    while first > 0 and (room := room - len(_line(lines[first - 1]).encode("utf-8", "replace")) - 1) >= 0:
        first -= 1
    return lines[first:]


def attach(connection: Connection, execution_id: int, person: str, now: datetime) -> str:
    """Put it into the outbox, unless it is there or was said since the end; in words what comes of it."""
    execution = executions.get(connection, execution_id)
    thread = outbox.thread_of(connection, execution_id)
    if not executions.printed(connection, execution_id):
        return f"#{execution_id} has printed nothing."
    if thread is None:
        return f"#{execution_id} has no thread to attach its log to. `/runbook logs {execution_id}` shows it."
    if outbox.attached(connection, thread, since=execution.ended_at):
        return f"The full log of #{execution_id} is in its thread already."
    outbox.put(
        connection,
        id=uuid4().hex,
        kind=OutboxKind.ANSWER,
        method="upload",
        channel=thread.channel,
        execution_id=execution_id,
        coalesce_key=f"log:{execution_id}",
        payload={"text": f"Full log of #{execution_id}", "log": execution_id, "user": person, "thread_ts": thread.ts},
        now=now,
    )
    return f"The full log of #{execution_id} is being attached to its thread."


def _head(execution: Execution, steps: Sequence[StepRun], left_out: int) -> Iterator[str]:
    where = f" on {', '.join(execution.hosts[:20])}" + (" …" if len(execution.hosts) > 20 else "")
    yield f"#{execution.id} {execution.runbook}{where}: {execution.state_words}"
    yield f"asked by {execution.actor.name or execution.actor.id}, {_stamp(execution.created_at)}"
    if execution.ending:
        yield _single(execution.ending)
    dropped = sum(step.dropped for step in steps)
    if dropped:
        yield f"{dropped:,} lines were printed beyond what is kept"
    if left_out > 0:
        yield f"lines that are left out here, or were forgotten after their time: {left_out:,}"


def _body(steps: Sequence[StepRun], lines: Sequence[OutputLine]) -> Iterator[str]:
    """Host by host, in the order in which they began; there step by step."""
    begun = list(dict.fromkeys(step.host for step in steps))
    ordered = sorted(lines, key=lambda line: (line.host, line.step, line.attempt, line.seq))
    printed = {
        key: list(group) for key, group in groupby(ordered, key=lambda line: (line.host, line.step, line.attempt))
    }
    for host in begun:
        for step in (step for step in steps if step.host == host):
            yield ""
            yield _step(step)
            for line in printed.get((step.host, step.step, step.attempt), ()):
                yield _line(line)


def _line(line: OutputLine) -> str:
    mark = "!" if line.stream == "stderr" else "|"
    return f"{line.at.astimezone(UTC):%H:%M:%S.%f}"[:12] + f" {mark} {_single(line.text)}"


def _step(step: StepRun) -> str:
    took = f" after {duration((step.ended_at - step.started_at).total_seconds())}" if step.ended_at else ""
    status = f", exit status {step.exit_status}" if step.exit_status is not None else ""
    tried = f" (try {step.attempt})" if step.attempt > 1 else ""
    why = f": {_single(step.reason)}" if step.reason else ""
    state = step.state.value.replace("_", " ")
    return f"== {step.host}, step {step.step}{tried}: {_single(step.title)}: {state}{took}{status}{why}"


def _single(text: str) -> str:
    """One line, whatever it holds: nothing in it can look like the next."""
    return text.replace("\r", "␍").replace("\n", "␊").replace("\x1b", "␛")


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
