"""Dead letters as people meet them: in Slack, at the command line, and in the announcement to the alerts channel.

Both doors list, show and move them by the same functions; a `Door` says what its commands are called and how a channel
is written there. Everything said here is ready mrkdwn at Slack's door and plain text at the shell's.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from bot import blocks
from bot.blocks import Message, counted
from bot.slack_trouble import Trouble, by_name
from safety.clock import words as duration
from storage import audit, outbox
from storage import dead_letters as letters
from storage.dead_letters import ANNOUNCEMENT, Count, Requeued
from storage.errors import Invalid, NotFound, TooLate
from storage.outbox import Held
from storage.records import Actor, Origin, OutboxKind, OutboxMessage, OutboxState

EVERY = timedelta(minutes=10)
"""The alerts channel is told at most so often."""
LISTED = 20
"""Shown at once in Slack."""
MOVED_AT_ONCE = 500
NAMED_IN_ANNOUNCEMENT = 5
SHORTEST_ID = 6
_MATTERS = {OutboxKind.ENDING, OutboxKind.APPROVAL, OutboxKind.HEADLINE}
_NAMES = {OutboxKind.CARD: "headline edit", OutboxKind.PROGRESS: "step message"}


@dataclass(frozen=True, kw_only=True)
class Door:
    """Where the words are read."""

    command: str
    channel: Callable[[str], str]
    quote: Callable[[str], str]  # text that isn't ours, within a sentence


SLACK = Door(command="/runbook dead-letters", channel=blocks.channel_link, quote=blocks.inline)
SHELL = Door(command="handrail dead-letters", channel=str, quote=str)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who wants letters moved, when, and where the answer is read."""

    actor: Actor
    origin: Origin
    door: Door
    now: datetime


# --- one letter in words ----------------------------------------------------------------------------------------------


def kind_of(letter: OutboxMessage) -> OutboxKind:
    """What it was before it was sent to another channel."""
    was = letter.payload.get(outbox.REROUTED)
    return OutboxKind(was["kind"]) if was else letter.kind


def about(letter: OutboxMessage, door: Door) -> str:
    """ "ending of #42 for C123"; where other ways were tried, the channel it was for."""
    of = f" of #{letter.execution_id}" if letter.execution_id is not None else ""
    if letter.kind is OutboxKind.ANSWER:
        return f"answer to {door.quote(str(letter.payload.get('user') or 'nobody'))}"
    channel = (letter.payload.get(outbox.REROUTED) or {}).get("channel") or letter.channel
    name = "headline edit" if letter.method == "update" else name_of(kind_of(letter))
    return f"{name}{of}" + (f" for {door.channel(channel)}" if channel else "")


def name_of(kind: OutboxKind) -> str:
    """A kind as people name it."""
    return _NAMES.get(kind, kind.value)


def line(letter: OutboxMessage, door: Door, now: datetime, *, length: int) -> str:
    """One letter in one line, with so much of its id."""
    age = duration((now - letter.created_at).total_seconds())
    mark = f"`{letter.id[:length]}`" if door is SLACK else letter.id[:length]
    return f"{mark} {about(letter, door)}, {age} old: {door.quote(letter.error or 'no reason noted')}"


def facts(letter: OutboxMessage, door: Door) -> list[str]:
    """What is known about one, a line each, without what it says."""
    also = ""
    if letter.payload.get(outbox.REROUTED) and letter.channel:
        also = f" It could not be said in {door.channel(letter.channel)} instead either."
    died = f", given up {letter.sent_at:%Y-%m-%d %H:%M:%S} UTC" if letter.sent_at is not None else ""
    return [
        f"{letter.id}: {about(letter, door)}",
        f"Written {letter.created_at:%Y-%m-%d %H:%M:%S} UTC{died}, after {counted_tries(letter.attempts)}.",
        f"Refused: {door.quote(letter.error or 'no reason noted')}.{also}",
        f"Next: {advice(letter, door)}",
    ]


def counted_tries(number: int) -> str:
    """ "1 try", "3 tries"."""
    return f"{number} try" if number == 1 else f"{number} tries"


def text_of(letter: OutboxMessage, most: int) -> str:
    """What it would say, as it would be read, cut."""
    said = html.unescape(str(letter.payload.get("text") or ""))
    return said if len(said) <= most else f"{said[:most]}… ({len(said) - most:,} more characters)"


def advice(letter: OutboxMessage, door: Door) -> str:
    """The next move, by the error."""
    error = letter.error or ""
    again = f"`{door.command} requeue {letter.id[:12]}`"
    away = f"`{door.command} discard {letter.id[:12]}`"
    if error in {"not_in_channel", "no_permission"}:
        return f"invite the bot to the channel (`/invite @handrail` there), then {again}."
    if error == "channel_not_found":
        return f"if the channel is private, invite the bot (`/invite @handrail` there), then {again}; if gone, {away}."
    if error == "is_archived":
        return f"unarchive the channel, then {again}; or {away}."
    if error.startswith("restricted_action"):
        return f"let the app post in the channel (its posting permissions), then {again}."
    if error in {"user_not_found", "users_not_found", "user_disabled", "cannot_dm_bot", "user_not_visible"}:
        return f"nobody with this id can be written to: {away}."
    if error == "missing_scope":
        return f"give the app the scope that `handrail doctor` names, then {again}."
    if "30 minutes" in error:
        return f"if its reader still needs it, {again} sends it as a direct message; else {away}."
    if error.startswith("the sender failed"):
        return f"the log has the traceback under dead_letter; after an upgrade {again}, or {away}."
    if by_name(error).trouble is Trouble.CONTENT:
        return f"Slack does not take these words in any form: read them here, then {away}."
    if by_name(error).trouble is Trouble.GONE:
        return f"what it belonged to is gone: {again} says it by itself, if there is still need; else {away}."
    return f"see what Slack means by this error; after the repair {again}, or {away}."


def counts_words(found: Sequence[Count]) -> str:
    """ "3 dead letters: 2 endings (is_archived), 1 answer (user_not_found)"; empty when there is none."""
    total = sum(one.number for one in found)
    if not total:
        return ""
    parts = [f"{counted(one.number, name_of(one.kind))} ({one.error})" for one in found[:6]]
    rest = total - sum(one.number for one in found[:6])
    return f"{counted(total, 'dead letter')}: {', '.join(parts)}" + (f", {rest:,} more" if rest else "")


def held_words(held: Held) -> str:
    """What waits for Slack, which is no dead letter."""
    verb = "waits" if held.number == 1 else "wait"
    return f"{counted(held.number, 'message')} {verb} for Slack since {held.since:%Y-%m-%d %H:%M} UTC ({held.error})"


def as_json(letter: OutboxMessage) -> dict[str, Any]:
    """For scripts."""
    return {
        "id": letter.id,
        "kind": kind_of(letter).value,
        "channel": (letter.payload.get(outbox.REROUTED) or {}).get("channel") or letter.channel,
        "execution": letter.execution_id,
        "created_at": letter.created_at.isoformat(),
        "buried_at": letter.sent_at.isoformat() if letter.sent_at is not None else None,
        "attempts": letter.attempts,
        "error": letter.error,
        "text": letter.payload.get("text"),
        "next": advice(letter, SHELL),
    }


# --- looking ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The newest, with what there is in all. `length` of an id tells every one from every other."""

    shown: list[OutboxMessage]
    counts: list[Count]
    length: int
    unannounced: int
    held: Held | None

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(one.number for one in self.counts)


def listing(connection: Connection, limit: int) -> Listing:
    """Everything a list is made of, at one moment."""
    return Listing(
        shown=letters.newest(connection, limit),
        counts=letters.counts(connection),
        length=_enough(letters.ids(connection)),
        unannounced=letters.unannounced(connection),
        held=outbox.held(connection),
    )


def _enough(ids: Sequence[str]) -> int:
    """How much of an id tells all of these apart."""
    for length in range(SHORTEST_ID, 40):
        if len({one[:length] for one in ids}) == len(ids):
            return length
    return 40


def list_message(found: Listing, now: datetime) -> Message:
    """The list as Slack shows it: no words of the letters, which may be meant for one person."""
    held = [f"_{blocks.inline(held_words(found.held))}._"] if found.held is not None else []
    if not found.total:
        return blocks.markdown("\n".join(["There are no dead letters.", *held]))
    said = [f"*{blocks.inline(counts_words(found.counts))}.*", *held]
    said += [f"• {line(one, SLACK, now, length=found.length)}" for one in found.shown]
    if found.total > len(found.shown):
        said.append(f"_The newest {len(found.shown)} are shown; `handrail dead-letters list` shows more._")
    said.append(f"`{SLACK.command} show ID` · `requeue ID` or `requeue all` · `discard ID`")
    return blocks.markdown("\n".join(said))


def show_message(letter: OutboxMessage, *, with_text: bool) -> Message:
    """One as Slack shows it. What it says is shown as characters: nobody is mentioned by it."""
    said = "\n".join(facts(letter, SLACK))
    if not with_text:
        words = "_What it says is for its reader, and for those with audit.read._"
    elif text := text_of(letter, 1_500):
        words = blocks.code(text)
    else:
        words = "_It has no words._"
    return blocks.message(f"{said}\n{words}", [blocks.section(said), blocks.section(words)])


def find(connection: Connection, typed: str, door: Door) -> OutboxMessage:
    """The dead letter whose id begins so. Raises NotFound, TooLate when it is none any more, Invalid for several."""
    start = typed.strip().lstrip("#").lower()[:40]
    found = letters.beginning_with(connection, start) if start else []
    if len(found) == 1:
        return found[0]
    if found:
        several = "two" if len(found) == 2 else "several"
        raise Invalid(f"'{start}' is the beginning of {several} dead letters. Write more of it.")
    match letters.state_now(connection, start) if len(start) >= SHORTEST_ID else None:
        case OutboxState.WAITING | OutboxState.SENDING:
            raise TooLate(f"'{start}' is no dead letter any more: it waits to be said again.")
        case OutboxState.SENT:
            raise TooLate(f"'{start}' is no dead letter any more: it was said.")
    raise NotFound(f"There is no dead letter '{start}'. `{door.command} list` shows them.")


# --- moving -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What came of it. `overtaken` stay where they are, since newer words took their place; `left` are for later."""

    moved: list[str]
    overtaken: list[str]
    left: int = 0


def requeue(connection: Connection, typed: Sequence[str], asked: Asked) -> Moved:
    """To be said again: these, all or none, or with `all` whatever can be. Raises NotFound, Invalid, TooLate."""
    everything = [one.lower() for one in typed] == ["all"]
    chosen, left = _all(connection) if everything else (_chosen(connection, typed, asked.door), 0)
    # The newest first, so that of two with one key the newer one's words are what is said.
    outcomes = {one.id: letters.requeue(connection, one.id, asked.now) for one in chosen}
    overtaken = [number for number, outcome in outcomes.items() if outcome is Requeued.OVERTAKEN]
    if overtaken and not everything:
        away = f"`{asked.door.command} discard {overtaken[0][:12]}`"
        raise TooLate(f"'{overtaken[0][:12]}' is out of date: newer words took its place. {away} takes it away.")
    moved = [one for one in chosen if outcomes[one.id] is Requeued.DONE]
    for letter in moved:
        _witness(connection, "dead_letter.requeued", letter, asked)
    return Moved(moved=[letter.id for letter in moved], overtaken=overtaken, left=left)


def discard(connection: Connection, typed: Sequence[str], asked: Asked) -> Moved:
    """Taken away: these, all or none; the audit keeps what they were. Raises NotFound, Invalid, TooLate."""
    if "all" in (one.lower() for one in typed):
        raise Invalid("Discarding takes ids, so that nobody throws away what nobody has seen.")
    chosen = _chosen(connection, typed, asked.door)
    for letter in chosen:
        letters.discard(connection, letter.id)
        _witness(connection, "dead_letter.discarded", letter, asked)
    return Moved(moved=[letter.id for letter in chosen], overtaken=[])


def _all(connection: Connection) -> tuple[list[OutboxMessage], int]:
    """The newest of all, and how many more there are."""
    found = letters.newest(connection, MOVED_AT_ONCE)
    return found, sum(one.number for one in letters.counts(connection)) - len(found)


def _chosen(connection: Connection, typed: Sequence[str], door: Door) -> list[OutboxMessage]:
    if not typed:
        raise Invalid(f"Which dead letter? `{door.command} list` shows their ids.")
    found = {letter.id: letter for letter in (find(connection, one, door) for one in typed)}
    return sorted(found.values(), key=lambda letter: letter.created_at, reverse=True)


def _witness(connection: Connection, kind: str, letter: OutboxMessage, asked: Asked) -> None:
    audit.append(
        connection,
        at=asked.now,
        kind=kind,
        actor=asked.actor,
        origin=asked.origin,
        execution_id=letter.execution_id,
        message=letter.id,
        letter=about(letter, SHELL),
        error=letter.error,
    )


def requeued_words(moved: Moved, door: Door) -> str:
    """What to answer."""
    if not moved.moved and not moved.overtaken:
        return "There are no dead letters."
    said = f"{counted(len(moved.moved), 'dead letter')} will be said again."
    if moved.overtaken:
        number, verb = len(moved.overtaken), "is" if len(moved.overtaken) == 1 else "are"
        said += f" {number} {verb} out of date, since newer words took the place: `{door.command} discard ID`."
    if moved.left:
        said += f" {moved.left:,} more are left: do it again once these are said."
    return said


def discarded_words(moved: Moved) -> str:
    """What to answer."""
    return f"{counted(len(moved.moved), 'dead letter')} discarded."


# --- the announcement -------------------------------------------------------------------------------------------------


def announce(
    connection: Connection, *, channel: str, now: datetime, new_id: Callable[[], str] = lambda: uuid4().hex
) -> timedelta:
    """Tell the alerts channel of every dead letter it was not told of, if it is time; returns when to ask again.

    One message for all of them, at most one in ten minutes over all processes.
    """
    wait = letters.may_be_announced(connection, every=EVERY, now=now)
    if wait is not None:
        return wait
    number, newest = letters.announced(connection, now)
    outbox.put(
        connection,
        id=new_id(),
        kind=OutboxKind.ALERT,
        method="post",
        payload=_announcement(number, newest).payload(),
        now=now,
        channel=channel,
        coalesce_key=ANNOUNCEMENT,
    )
    return EVERY


def _announcement(number: int, newest: Sequence[OutboxMessage]) -> Message:
    first = newest[0]
    which = "newest: " if number > 1 else ""
    said = [
        f":mailbox_with_no_mail: *{counted(number, 'message')} could not be delivered*; "
        f"{which}{about(first, SLACK)}: {blocks.inline(first.error or 'no reason noted')}. "
        f"`{SLACK.command}` lists {'them' if number > 1 else 'it'}."
    ]
    matter = [letter for letter in newest[1:] if kind_of(letter) in _MATTERS][:NAMED_IN_ANNOUNCEMENT]
    said += [f"• {about(letter, SLACK)}: {blocks.inline(letter.error or 'no reason noted')}" for letter in matter]
    return blocks.markdown("\n".join(said))
