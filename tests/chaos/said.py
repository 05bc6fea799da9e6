"""What must hold of everything that was said to Slack: asked of the workspace, its record of calls, and the database.

`problems` is all of it: pure functions that return sentences, one for each thing that does not hold. A post is known by
the outbox id in its metadata, an edit by the message it changed and when that was.
"""

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, select, text

from bot.playground.elements import button_labels
from bot.playground.state import Message
from bot.playground.web_api import ApiCall
from storage import audit
from storage import tables as t
from storage.audit import Verification
from storage.records import OutboxKind, OutboxState, State

Row = Mapping[str, Any]
MATTERS = {OutboxKind.ENDING.value, OutboxKind.APPROVAL.value}
FLEETING = {OutboxKind.PLAN.value, OutboxKind.CARD.value, OutboxKind.PROGRESS.value}
NOTICED = 2.0
"""Seconds until a sender has seen what was written: the commit, its look, and what it had begun before it looked."""
RUNNING = re.compile(r": running\b|\b(planning|about to run|waiting for approval|waiting for your confirmation)$")
STILL_OFFERED = {"Approve", "Deny", "Confirm", "Cancel"}


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything, after all was said."""

    executions: Mapping[int, Row]
    approvals: Sequence[Row]
    outbox: Sequence[Row]  # without payloads
    threads: Mapping[int, Row]  # by execution
    verified: Verification
    messages: Sequence[Message]  # of all channels
    calls: Sequence[ApiCall]  # in the order they came

    @cached_property
    def posted(self) -> Mapping[str, Sequence[Message]]:
        """By outbox id: what stands there."""
        found: dict[str, list[Message]] = defaultdict(list)
        for message in self.messages:
            if (number := _id_of(message.metadata)) is not None:
                found[number].append(message)
        return found

    @cached_property
    def post_calls(self) -> Mapping[str, Sequence[ApiCall]]:
        """By outbox id: the tries to post it."""
        found: dict[str, list[ApiCall]] = defaultdict(list)
        for call in self.calls:
            if call.method == "chat.postMessage" and (number := _id_of(call.arguments.get("metadata"))) is not None:
                found[number].append(call)
        return found

    @cached_property
    def edits(self) -> Mapping[tuple[str, str], Sequence[float]]:
        """By channel and message: when it was edited."""
        found: dict[tuple[str, str], list[float]] = defaultdict(list)
        for call in self.calls:
            if call.method == "chat.update":
                found[str(call.arguments.get("channel")), str(call.arguments.get("ts"))].append(call.at)
        return found

    def begun(self, row: Row) -> float | None:
        """When a message was first brought to Slack, in seconds; None where the record does not tell."""
        tries = self.post_calls.get(row["id"])
        if tries:
            return tries[0].at
        times = self.edits.get((self.channel_of(row), str(row["ts"])), ())
        at = bisect_right(times, row["sent_at"].timestamp()) if row["sent_at"] is not None else 0
        return times[at - 1] if at else None

    def is_edit(self, row: Row) -> bool:
        """Whether it changed a message instead of being one."""
        return row["id"] not in self.post_calls

    def channel_of(self, row: Row) -> str:
        """Where it was said."""
        thread = self.threads.get(row["execution_id"])
        return str(thread["channel"] if thread is not None else row["channel"])

    @cached_property
    def stands_at(self) -> Mapping[int, datetime]:
        """By execution: when its headline stood."""
        rows = (row for row in self.outbox if row["kind"] == OutboxKind.HEADLINE.value and row["sent_at"] is not None)
        return {row["execution_id"]: row["sent_at"] for row in rows}

    def due(self, row: Row) -> float:
        """From when on it could have been said: it was written, and its thread was there."""
        stands = self.stands_at.get(row["execution_id"])
        written: datetime = row["created_at"]
        return (max(written, stands) if stands is not None and self._is_in_thread(row) else written).timestamp()

    @staticmethod
    def _is_in_thread(row: Row) -> bool:
        return row["kind"] in {*MATTERS, *FLEETING}


def look(connection: Connection, messages: Sequence[Message], calls: Sequence[ApiCall]) -> Evidence:
    """All of it, in one transaction."""
    snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ"
    connection.execute(text(snapshot if connection.dialect.name == "postgresql" else "BEGIN"))
    return Evidence(
        executions={row["id"]: row for row in _rows(connection, t.executions, but="plan")},
        approvals=_rows(connection, t.approvals),
        outbox=_rows(connection, t.outbox, but="payload"),
        threads={row["execution_id"]: row for row in _rows(connection, t.threads)},
        verified=audit.verify(connection),
        messages=messages,
        calls=calls,
    )


def _rows(connection: Connection, table: Any, but: str = "") -> list[Row]:
    return [dict(row._mapping) for row in connection.execute(select(*(c for c in table.c if c.name != but)))]


def _id_of(metadata: Any) -> str | None:
    number = ((metadata or {}).get("event_payload") or {}).get("id")
    return None if number is None else str(number)


def problems(found: Evidence, *, asked: int) -> list[str]:
    """What does not hold; none if all was said as it must be. `asked`: how many executions there should be."""
    missing = [f"{asked} executions were asked for, and there are {len(found.executions)}"]
    return [
        *(missing if len(found.executions) != asked else ()),
        *(f"audit: {problem}" for problem in found.verified.problems),
        *the_endings(found),
        *the_repetitions(found),
        *the_threads(found),
        *the_limits(found.calls),
        *the_order(found),
        *what_is_left(found),
    ]


def the_endings(found: Evidence) -> Iterator[str]:
    """Each execution has ended, and one ending stands in its thread; how often it may, `the_repetitions` knows."""
    rows = defaultdict(list)
    for row in found.outbox:
        if row["kind"] == OutboxKind.ENDING.value and row["method"] == "post":
            rows[row["execution_id"]].append(row)
    for number, execution in found.executions.items():
        if not State(execution["state"]).is_final:
            yield f"#{number} is {execution['state']}"
            continue
        if len(rows[number]) != 1:
            yield f"#{number} has {len(rows[number])} endings"
        thread = found.threads.get(number)
        stand = [message for row in rows[number] for message in found.posted.get(row["id"], ())]
        words = State(execution["state"]).words
        here = [
            m for m in stand if thread is not None and (m.channel, m.thread_ts) == (thread["channel"], thread["ts"])
        ]
        if not any(f"#{number} " in message.text and words in message.text for message in here):
            yield f"#{number} ended as {words}, and its thread does not say so"


def the_repetitions(found: Evidence) -> Iterator[str]:
    """Nothing stands there twice but where an answer was lost, and then it was marked when it was posted again."""
    for number, messages in found.posted.items():
        tries = found.post_calls.get(number, ())
        lost = sum(_is_lost(call) for call in tries)
        if len(messages) > 1 + lost:
            yield f"{messages[0].text[:80]!r} stands there {len(messages)} times, and {lost} answers to it were lost"
        # As it was posted, for an edit of a card has no mark.
        unmarked = sum(call.ok and "(repeated)" not in str(call.arguments.get("text")) for call in tries)
        if unmarked > 1:
            yield f"{messages[0].text[:80]!r} was posted {unmarked} times without a mark"


def _is_lost(call: ApiCall) -> bool:
    """It was carried out, and nobody was told."""
    return call.status is None and call.ok


def lost(calls: Sequence[ApiCall]) -> Counter[str]:
    """Per method: how many were carried out without an answer."""
    return Counter(call.method for call in calls if _is_lost(call))


def repeated(found: Evidence) -> int:
    """How many messages stand there beyond the first with the same id."""
    return sum(len(messages) - 1 for messages in found.posted.values())


def left_behind(found: Evidence) -> set[tuple[str, str]]:
    """By channel and ts: copies of what was posted more than once, but for the one that is known to stand there."""
    known = {row["id"]: row["ts"] for row in found.outbox}
    copies = [message for messages in found.posted.values() if len(messages) > 1 for message in messages]
    return {(m.channel, m.ts) for m in copies if m.ts != known.get(str(_id_of(m.metadata)))}


def the_threads(found: Evidence) -> Iterator[str]:
    """Each card shows how it ended, and nothing in any thread says that it still goes on or offers to decide it.

    But for copies of what was posted once more since its answer was lost: where they stand is not known.
    """
    copies = left_behind(found)
    heads = {(row["channel"], row["ts"]): number for number, row in found.threads.items()}
    for number in found.executions.keys() - found.threads.keys():
        yield f"#{number} has no headline"
    for message in found.messages:
        if message.is_ephemeral or not message.is_from_app or (message.channel, message.ts) in copies:
            continue
        number = heads.get((message.channel, message.thread_ts or message.ts))
        if number is None or number not in found.executions:
            continue
        execution = State(found.executions[number]["state"])
        if message.thread_ts is None and f": {execution.words}" not in message.text:
            yield f"the card of #{number}, which ended as {execution.words}, says {message.text[:160]!r}"
        elif RUNNING.search(message.text):
            yield f"in the thread of #{number}, which ended as {execution.words}, stands {message.text[:160]!r}"
        if offered := STILL_OFFERED.intersection(button_labels(message.blocks)):
            yield f"in the thread of #{number}, which ended as {execution.words}, one can press {sorted(offered)}"


def the_limits(calls: Sequence[ApiCall]) -> Iterator[str]:
    """What was told to wait has waited, and was not told so twice in a row: a method, and for posts the channel."""
    last: dict[tuple[str, str], ApiCall] = {}
    for call in calls:
        where = str(call.arguments.get("channel", "")) if call.method == "chat.postMessage" else ""
        before = last.get((call.method, where))
        if before is not None and before.status == 429:
            wait = before.at + (before.retry_after or 0) - call.at
            if wait > 0:
                yield f"{call.method} {where} was called {wait:.2f} s before its time"
            if call.status == 429:
                yield f"{call.method} {where} was told twice in a row to wait, {call.at - before.at:.1f} s apart"
        last[call.method, where] = call


def the_order(found: Evidence) -> Iterator[str]:
    """No progress was posted while an ending or an approval was due to be posted in its channel; the same of edits."""
    for channel, is_edit, less, late in _overtaken(found):
        what = "edit" if is_edit else "post"
        names = [f"{row['kind']} of #{row['execution_id']}" for row in (late, less)]
        yield f"{channel}: the {what} of {names[0]} waited behind that of {names[1]}"


def _overtaken(found: Evidence) -> Iterator[tuple[str, bool, Row, Row]]:
    lanes: dict[tuple[str, bool], list[tuple[float, Row]]] = defaultdict(list)
    for row in found.outbox:
        if row["state"] != OutboxState.SENT.value or row["method"] not in {"post", "update"}:
            continue
        if (begun := found.begun(row)) is not None:
            lanes[found.channel_of(row), found.is_edit(row)].append((begun, row))
    for (channel, is_edit), rows in lanes.items():
        matter = sorted(((found.due(row), begun, row) for begun, row in rows if row["kind"] in MATTERS), key=_first)
        for begun, row in rows:
            if row["kind"] not in FLEETING:
                continue
            for due, its_turn, late in matter:
                if due + NOTICED >= begun:
                    break
                if its_turn > begun:
                    yield channel, is_edit, row, late
                    break


def _first(one: tuple[float, float, Row]) -> float:
    return one[0]


def what_is_left(found: Evidence) -> Iterator[str]:
    """Nothing waits, and nothing was given up."""
    for row in found.outbox:
        if row["state"] != OutboxState.SENT.value:
            yield f"{row['kind']} of #{row['execution_id']} is {row['state']}: {row['error']}"


# --- how long it took -------------------------------------------------------------------------------------------------


def waits(found: Evidence) -> dict[str, list[float]]:
    """Seconds, by what was waited for."""
    seconds: dict[str, list[float]] = defaultdict(list)
    keyed: dict[str, list[Row]] = defaultdict(list)
    for row in sorted((r for r in found.outbox if r["sent_at"] is not None), key=lambda row: row["sent_at"]):
        if row["coalesce_key"] is not None:
            keyed[row["coalesce_key"]].append(row)
        waited = (row["sent_at"] - row["created_at"]).total_seconds()
        execution = found.executions.get(row["execution_id"])
        match row["kind"], row["method"]:
            case "headline", _:
                seconds["a request until its headline stands"].append(waited)
            case "ending", "post" if execution is not None:
                seconds["an ending until it is posted"].append(_since(execution["ended_at"], row))
            case ("plan" | "progress", "post") if not found.is_edit(row):
                seconds["plans and progress, posts"].append(waited)
            case ("plan" | "progress" | "card", "post" | "update"):
                seconds["progress, edits"].append(waited)
    for approval in found.approvals:
        said = keyed[f"approval:{approval['execution_id']}:{approval['id']}"]
        if said:
            seconds["a request for approval until its question is posted"].append(
                _since(approval["requested_at"], said[0])
            )
        over = [row for row in said if approval["decided_at"] is not None and row["sent_at"] >= approval["decided_at"]]
        if over:
            seconds["a decision until its message shows it"].append(_since(approval["decided_at"], over[0]))
    for number, execution in found.executions.items():
        if keyed[f"card:{number}"] and execution["ended_at"] is not None:
            final = max(0.0, _since(execution["ended_at"], keyed[f"card:{number}"][-1]))
            seconds["an ending until its card shows it"].append(final)
    return dict(seconds)


def _since(moment: datetime, row: Row) -> float:
    return float((row["sent_at"] - moment).total_seconds())


def percentile(seconds: Sequence[float], share: float) -> float:
    """Of any number of values; 0 of none."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def bounds(found: Evidence) -> dict[str, float]:
    """Minutes that Slack's limits make of it at least, for what was posted and for what was edited."""
    posts = [call for call in found.calls if call.method == "chat.postMessage" and call.ok]
    edits = [call for call in found.calls if call.method == "chat.update" and call.ok]
    fullest = max(Counter(call.arguments.get("channel") for call in posts).values(), default=0)
    return {
        "posts of the fullest channel, one a second": fullest / 60,
        "all posts, 300 a minute": len(posts) / 300,
        "all edits, 50 a minute": len(edits) / 50,
    }
