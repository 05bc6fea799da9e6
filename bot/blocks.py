"""The small parts every message is made of, and the answers to questions. Pure: values in, Block Kit out.

Whatever a person, a host or a database gave us is escaped here, once, and cut so that Slack takes the message: sections
of 3,000 characters, 50 blocks, some 13,000 characters of text in all, a text of 4,000 for edits. Lengths are counted in
UTF-16 units, the larger of the two ways Slack could count. Cards and endings of executions are in `bot/cards.py`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from typing import Any, TypeAlias

from safety import circuit_breaker
from safety.clock import words as duration
from storage.records import (
    Actor,
    AuditEntry,
    Breaker,
    BreakerState,
    Danger,
    Execution,
    KillSwitch,
    OutputLine,
    State,
)

Block: TypeAlias = Mapping[str, Any]

MOST_BLOCKS = 48  # Slack takes 50; two are left for what the sender may add
MOST_TEXT = 11_500  # Slack takes some 13,000 over all blocks of a message
LONGEST_TEXT = 3_900  # Slack takes 4,000 when a message is edited
LONGEST_SECTION = 2_900  # Slack takes 3,000
LONGEST_VALUE = 2_000  # of a button
LONGEST_SWITCH = 400  # the form it is released by carries its name, escaped, in Slack's 3,000 characters
LONGEST_INLINE = 300
LONGEST_LINE = 400
LONGEST_COMMAND = 10_000

_CONTROL = (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000))
# These change the order in which other characters are read: a command could look like a different one.
_DIRECTION = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CLEAN = dict.fromkeys(_CONTROL, "�") | {mark: f"⟨{mark:04X}⟩" for mark in _DIRECTION}
_ESCAPE = _CLEAN | {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}
_PLAIN = re.compile(r"[\t\n -%'-;=?-~]*")
"""Text in which nothing is to be escaped: most of what is said, and many times quicker to see than to translate."""
_MENTION = re.compile(r"&lt;@([UW][A-Z0-9]{1,20})&gt;")
_PERSON = re.compile(r"[UW][A-Z0-9]{1,30}")
_GROUP = re.compile(r"S[A-Z0-9]{1,30}")
_CHANNEL = re.compile(r"[CDG][A-Z0-9]{1,30}")

EMOJI = {
    State.PENDING: ":hourglass_flowing_sand:",
    State.AWAITING_APPROVAL: ":raised_hand:",
    State.RUNNING: ":large_blue_circle:",
    State.SUCCEEDED: ":white_check_mark:",
    State.FAILED: ":x:",
    State.CANCELLED: ":octagonal_sign:",
    State.TIMED_OUT: ":alarm_clock:",
    State.REFUSED: ":no_entry:",
    State.DENIED: ":no_entry_sign:",
    State.EXPIRED: ":hourglass:",
    State.INTERRUPTED: ":warning:",
    State.ROLLED_BACK: ":leftwards_arrow_with_hook:",
}


@dataclass(frozen=True, kw_only=True)
class Message:
    """What Slack is given: `text` for notifications and screen readers, `blocks` for everybody else."""

    text: str
    blocks: tuple[Block, ...] = ()
    replaces: bool = False  # it takes the place of the message whose button was clicked

    def payload(self, **more: Any) -> dict[str, Any]:
        """As it waits in the outbox; `more` says to whom, or by which response URL."""
        placed = {"replace_original": True} if self.replaces else {}
        return {"text": self.text, "blocks": [dict(block) for block in self.blocks], **placed, **more}


# --- text -------------------------------------------------------------------------------------------------------------


def units(text: str) -> int:
    """Length in UTF-16 units: an emoji counts two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def escape(text: str) -> str:
    """Text as mrkdwn shows it literally: no mention, no link; no control characters, direction marks made visible."""
    return text if _PLAIN.fullmatch(text) else text.translate(_ESCAPE)


def clip(text: str, most: int) -> str:
    """Escaped text of at most `most` units; what is cut off is counted at its end. Never cuts an entity in two."""
    if len(text) <= most and units(whole := escape(text)) <= most:
        return whole
    kept = _head(_pieces(text[: most + 1]), most - 40)  # room for the words that say how much is missing
    return f"{''.join(kept)}… ({len(text) - len(kept):,} more characters)"


def inline(text: object, most: int = LONGEST_INLINE) -> str:
    """Untrusted text within a sentence: one line, escaped, cut, unable to open a code span."""
    return clip(" ".join(str(text).split()).replace("`", "ˋ"), most)


def ours(text: str, most: int = LONGEST_SECTION) -> str:
    """A sentence of Handrail's own: escaped too, but it may mention people and hold code; never a group."""
    return _MENTION.sub(r"<@\1>", told(text, most))


def told(text: str, most: int = LONGEST_SECTION) -> str:
    """The same where something that a host printed may be part of it: nobody is mentioned."""
    shown = clip(_fenceless(text), most)
    return shown if shown.count("`") % 2 == 0 else shown.replace("`", "ˋ")


def code(text: str, most: int = LONGEST_SECTION) -> str:
    """A code block of at most `most` units; what it holds can't close it."""
    inside = clip(_fenceless(text), most - 8)
    return f"```\n{inside or ' '}\n```"


def code_blocks(text: str) -> list[str]:
    """A long text as several code blocks, complete up to 10,000 characters, with the rest counted."""
    shown, rest = text[:LONGEST_COMMAND], len(text) - LONGEST_COMMAND
    pieces = _pieces(_fenceless(shown))
    found = []
    while pieces:
        part = _head(pieces, LONGEST_SECTION - 60)
        found.append("".join(part))
        pieces = pieces[len(part) :]
    if rest > 0:
        found[-1] += f"… ({rest:,} more characters)"
    return [f"```\n{part}\n```" for part in found or [" "]]


def newest(lines: Sequence[str], most: int = LONGEST_SECTION) -> tuple[str, int]:
    """A code block of the newest lines that fit, and how many they are."""
    kept: list[str] = []
    room = most - 8
    for line in reversed(lines):
        shown = clip(_fenceless(line.replace("\n", " ")), LONGEST_LINE)
        room -= units(shown) + 1
        if room < 0:
            break
        kept.append(shown)
    return "```\n" + ("\n".join(reversed(kept)) or " ") + "\n```", len(kept)


def clock_time(at: datetime) -> str:
    """The same of a moment that is so near that its day goes without saying, to the second."""
    shown = at.astimezone(UTC)
    return f"<!date^{int(shown.timestamp())}^{{time_secs}}|{shown:%H:%M:%S} UTC>"


def moment(at: datetime, *, seconds: bool = False) -> str:
    """A time each reader sees in their own zone; UTC where Slack can't."""
    shown = at.astimezone(UTC)
    token, fallback = ("{time_secs}", f"{shown:%H:%M:%S} UTC") if seconds else ("{time}", f"{shown:%Y-%m-%d %H:%M} UTC")
    return f"<!date^{int(shown.timestamp())}^{{date_short_pretty}} {token}|{fallback}>"


BAR = 10
"""Squares of a bar that is full: what a phone shows in one line."""


def bar(parts: Sequence[tuple[str, int]]) -> str:
    """A bar of coloured squares, each part as long as its share; what there is of anything has a square at least."""
    total = sum(number for _, number in parts)
    shares = [(square, max(1, number * BAR // total)) for square, number in parts if number > 0]
    # What the rounding left over, or took too much, is the longest part's, where it is seen least.
    longest = max(range(len(shares)), key=lambda place: shares[place][1], default=None)
    if longest is None:
        return ""
    square, length = shares[longest]
    shares[longest] = (square, length + BAR - sum(length for _, length in shares))
    return "".join(f":{square}:" * length for square, length in shares)


def who(actor: Actor) -> str:
    """A person, mentioned if Slack knows them."""
    return f"<@{actor.id}>" if _PERSON.fullmatch(actor.id) else inline(actor.name or actor.id, 80)


def mention(target: str | None) -> str:
    """A mention of a person or group by id; empty for anything else."""
    if target and _PERSON.fullmatch(target):
        return f"<@{target}>"
    return f"<!subteam^{target}>" if target and _GROUP.fullmatch(target) else ""


def channel_link(channel: str) -> str:
    """A channel by id."""
    return f"<#{channel}>" if _CHANNEL.fullmatch(channel) else inline(channel, 80)


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names in a sentence: "web-01, web-02 and 298 more". Escaped."""
    shown = [inline(name, 80) for name in names]
    if len(shown) <= most:
        return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))
    return f"{', '.join(shown[: most - 1])} and {len(shown) - most + 1} more"


def counted(number: int, noun: str) -> str:
    """ "1 host", "3 hosts"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _fenceless(text: str) -> str:
    """A run of backticks, broken by characters nobody sees, so that it can't end a code block."""
    return re.sub("`(?=`)", "`\u200b", text) if "``" in text else text


def _pieces(text: str) -> list[str]:
    """The text, escaped character by character, so that it can be cut anywhere."""
    return [_ESCAPE.get(ord(character), character) for character in text]


def _head(pieces: Sequence[str], most: int) -> list[str]:
    """As many leading pieces as fit."""
    room, kept = most, 0
    for piece in pieces:
        room -= units(piece)
        if room < 0:
            break
        kept += 1
    return list(pieces[: max(kept, 0)])


# --- blocks -----------------------------------------------------------------------------------------------------------


def section(text: str) -> Block:
    """A paragraph of ready mrkdwn (untrusted parts already escaped)."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": _bounded(text), "verbatim": True}}


def context(text: str) -> Block:
    """A small grey line of ready mrkdwn."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": _bounded(text), "verbatim": True}]}


def message(text: str, blocks: Iterable[Block]) -> Message:
    """A message Slack takes: what doesn't fit is left out and that is said; buttons always stay."""
    found = list(blocks)
    if len(found) <= MOST_BLOCKS and sum(weight(block) for block in found) <= MOST_TEXT:
        return Message(text=_bounded(text, LONGEST_TEXT), blocks=tuple(found))
    buttons = [block for block in found if block["type"] == "actions"]
    left_out = context("_More than fits into one message was left out here._")
    room = MOST_TEXT - sum(weight(block) for block in buttons) - weight(left_out)
    kept: list[Block] = []
    for block in (block for block in found if block["type"] != "actions"):
        room -= weight(block)
        if room < 0 or len(kept) + len(buttons) + 1 >= MOST_BLOCKS:
            break
        kept.append(block)
    return Message(text=_bounded(text, LONGEST_TEXT), blocks=(*kept, left_out, *buttons))


def _bounded(text: str, most: int = LONGEST_SECTION) -> str:
    """Ready mrkdwn that would be too long loses whole lines, so that no entity or code block is cut in two."""
    if units(text) <= most:
        return text or " "
    kept: list[str] = []
    room = most - 10
    for line in text.split("\n"):
        room -= units(line) + 1
        if room < 0:
            break
        kept.append(line)
    if "\n".join(kept).count("```") % 2:
        kept.append("```")
    return "\n".join([*kept, "…"])


def weight(value: Any) -> int:
    """The text in it, in UTF-16 units, as Slack adds it up over all blocks."""
    if isinstance(value, dict):
        own = units(value["text"]) if isinstance(value.get("text"), str) else 0
        return own + sum([weight(item) for item in value.values() if not isinstance(item, str)])
    return sum([weight(item) for item in value]) if isinstance(value, list | tuple) else 0


# --- buttons ----------------------------------------------------------------------------------------------------------

LABELS = {
    "approve": "Approve",
    "deny": "Deny",
    "confirm": "Confirm",
    "cancel": "Cancel",
    "retry": "Retry",
    "retryfailed": "Retry failed hosts",
    "runit": "Run it",
    "rollback": "Roll back",
    "resume": "Resume",
    "giveup": "Give up",
    "again": "Run it again",
    "after": "Continue after it",
    "plan": "Show plan",
    "log": "Full log",
    "release": "Release",
}
_BOUND = {"approve", "confirm", "again", "after"}
"""What is decided about exactly what was shown."""
_PRIMARY = {"approve", "confirm", "resume", "runit"}
_DANGER = {"deny", "giveup"}
_TWICE = {"cancel": ("Yes, cancel it", "Leave it")}
"""What the two buttons of the question say, where the verb and *Not now* could be taken for each other."""
_ASKS_TWICE = {
    "cancel": "Stop this execution? Steps that already ran stay as they are.",
    "giveup": "Nothing will be run again, and the hosts are freed as they are.",
    "rollback": "The undo steps become a new plan, which is reviewed before it runs.",
}


def button_value(execution_id: int, fingerprint: str | None = None) -> str:
    """What a button carries: the execution, and the first 16 characters of a hash of what is decided about."""
    return f"{execution_id}:{fingerprint[:16]}" if fingerprint else str(execution_id)


def parse_value(value: str) -> tuple[int, str | None]:
    """The execution and what `button_value` kept of the hash; raises ValueError for anything else."""
    number, _, fingerprint = value.partition(":")
    if not (number.isascii() and number.isdigit()) or len(number) > 18:
        raise ValueError("this is not the value of one of our buttons")
    return int(number), fingerprint or None


def actions(execution_id: int, verbs: Sequence[str], *, fingerprint: str | None = None, place: str = "") -> list[Block]:
    """A row of buttons, none if there is nothing to do. `place` tells two rows of one message apart."""
    if not verbs:
        return []
    block_id = f"handrail:{place or 'buttons'}:{execution_id}"
    buttons = [_button(verb, execution_id, fingerprint) for verb in verbs]
    return [{"type": "actions", "block_id": block_id, "elements": buttons}]


def _button(verb: str, execution_id: int, fingerprint: str | None) -> dict[str, Any]:
    bound = fingerprint if verb in _BOUND else None
    button: dict[str, Any] = {
        "type": "button",
        "action_id": f"handrail:{verb}",
        "text": {"type": "plain_text", "text": LABELS[verb]},
        "value": button_value(execution_id, bound),
        "accessibility_label": f"{LABELS[verb]} execution {execution_id}",
    }
    if verb in _PRIMARY:
        button["style"] = "primary"
    if verb in _DANGER:
        button["style"] = "danger"
    if verb in _ASKS_TWICE:
        yes, no = _TWICE.get(verb, (LABELS[verb], "Not now"))
        button["confirm"] = {
            "title": {"type": "plain_text", "text": f"{LABELS[verb]} #{execution_id}?"},
            "text": {"type": "plain_text", "text": _ASKS_TWICE[verb]},
            "confirm": {"type": "plain_text", "text": yes},
            "deny": {"type": "plain_text", "text": no},
        }
    return button


def release_button(switch: KillSwitch, place: int = 0) -> list[Block]:
    """A row with the one button of an engaged kill switch; who may not release it is told so by the click.

    `place` tells several rows of one message apart.
    """
    if units(switch.words) > LONGEST_SWITCH:
        return []
    button = {
        "type": "button",
        "action_id": "handrail:release",
        "text": {"type": "plain_text", "text": LABELS["release"]},
        "value": switch.words,
        "accessibility_label": clip(f"Release the kill switch {switch.words}", 75),
    }
    return [{"type": "actions", "block_id": f"handrail:switch:{place}", "elements": [button]}]


def asking(verb: str, label: str, question: str) -> dict[str, Any] | None:
    """A button that asks something, as if it had been typed after `/runbook`; None where that is too long for one."""
    if units(question) > LONGEST_VALUE:
        return None
    return {
        "type": "button",
        "action_id": f"handrail:{verb}",
        "text": {"type": "plain_text", "text": clip(label, 75)},
        "value": question,
    }


def question_row(*buttons: dict[str, Any] | None, place: str) -> list[Block]:
    """A row of such buttons; none where there is none."""
    shown = [button for button in buttons if button is not None]
    return [{"type": "actions", "block_id": f"handrail:questions:{place}", "elements": shown}] if shown else []


def paged(
    shown: Message,
    *,
    newer: str | None = None,
    older: str | None = None,
    labels: tuple[str, str] = ("Newer", "Older"),
    note: str = "",
) -> Message:
    """A page, with the buttons that turn it. `newer` and `older` are the questions they ask."""
    row = question_row(
        asking("newer", labels[0], newer) if newer is not None else None,
        asking("older", labels[1], older) if older is not None else None,
        place="pages",
    )
    said = [context(note)] if note else []
    return message(shown.text, [*shown.blocks, *said, *row])


def with_question(shown: Message, label: str = "", asked: str = "") -> Message:
    """The same with a button that asks something more; without a label it is as it was."""
    if not label:
        return shown
    return message(shown.text, [*shown.blocks, *question_row(asking("ask", label, asked), place="more")])


def near_misses(text: str, meant: Sequence[tuple[str, str]]) -> Message:
    """A sentence, and what was perhaps meant: buttons that show it and carry nothing out. `meant`: label, request."""
    row = question_row(
        *(asking(f"meant.{place}", unescape(label), request) for place, (label, request) in enumerate(meant[:3])),
        place="meant",
    )
    shown = ours(text)
    return message(shown, [section(shown), *row])


# --- answers to questions ---------------------------------------------------------------------------------------------


def plain(text: str) -> Message:
    """An answer in words: no mention and no link can come of it, and no code block stays open."""
    shown = clip(_fenceless(text), LONGEST_SECTION)
    return message(shown, [section(shown)])


def spoken(text: str) -> Message:
    """An answer in Handrail's own words."""
    shown = ours(text)
    return message(shown, [section(shown)])


def markdown(text: str) -> Message:
    """An answer that is mrkdwn already; whoever made it has escaped what is not ours."""
    return message(text, paragraphs(text.split("\n")))


def catalog_list(entries: Sequence[tuple[str, str, str, Danger]], counted_in: str | None = None) -> Message:
    """The runbooks by category. Entries are (name, category, summary, danger); `counted_in`: which of how many."""
    blocks: list[Block] = []
    for category in dict.fromkeys(entry[1] for entry in entries):
        of_it = [
            f"• `{inline(name, 100)}`{_consent(danger)}: {told(summary, 300)}"
            for name, where, summary, danger in entries
            if where == category
        ]
        blocks += paragraphs([f"*{inline(category, 100).capitalize()}*", *of_it])
    if not entries:
        return plain("There is no runbook here.")
    said = counted_in or counted(len(entries), "runbook")
    return message(f"{said}: {listed([entry[0] for entry in entries], 20)}", blocks)


def _consent(danger: Danger) -> str:
    return {Danger.READ: " _(only reads)_", Danger.LOW: ""}.get(danger, f" _({danger.value})_")


def execution_lines(executions: Sequence[Execution], now: datetime, *, title: str = "") -> Message:
    """Executions, a line each, in the order given. `title` is ready mrkdwn."""
    if not executions:
        return plain("Nothing has been run yet.")
    lines = [*([title] if title else []), *(execution_line(execution, now) for execution in executions)]
    return message(_plain_lines(lines), paragraphs(lines))


def execution_line(execution: Execution, now: datetime) -> str:
    """One execution in one line, ready mrkdwn."""
    ended = execution.ended_at
    when = f"{duration((now - (ended or execution.created_at)).total_seconds())} ago"
    note = f": {told(execution.note, 200)}" if execution.note and execution.state is State.PENDING else ""
    why = " ".join((said_why(execution, 200) if execution.ending else note).splitlines())
    subject = f"*#{execution.id}* `{inline(execution.runbook, 100)}` on {listed(execution.hosts)}"
    return f"{EMOJI[execution.state]} {subject}, {execution.state_words}{why} ({who(execution.actor)}, {when})"


_TOLD_BY_HOSTS = {State.SUCCEEDED, State.FAILED, State.TIMED_OUT}


def why_words(execution: Execution, most: int = LONGEST_SECTION) -> str:
    """The reason of its ending. Where it ran to the end, what a host printed may be in it: then nobody is mentioned."""
    text = execution.ending or ""
    return told(text, most) if execution.state in _TOLD_BY_HOSTS else ours(text, most)


def said_why(execution: Execution, most: int = LONGEST_SECTION) -> str:
    """The same as it goes on after the word for its state: " by @carol" after "denied", else with a colon before it."""
    why = why_words(execution, most)
    if why.startswith(f"{execution.state.words} by "):
        return why.removeprefix(execution.state.words)
    return f" {why}" if why.startswith("by ") else f": {why}" if why else ""


def why_alone(execution: Execution, most: int = LONGEST_SECTION) -> str:
    """The same on a line of its own below that word."""
    return said_why(execution, most).removeprefix(":").lstrip()


def switch_list(switches: Sequence[KillSwitch]) -> Message:
    """Every engaged kill switch."""
    if not switches:
        return plain("No kill switch is engaged.")
    lines = [switch_line(switch) for switch in switches]
    rows: list[Block] = []
    for place, switch in enumerate(switches[:20]):
        rows += [section(switch_line(switch)), *release_button(switch, place)]
    return message(_plain_lines(lines), [*rows, *paragraphs(lines[20:])])


def switch_line(switch: KillSwitch) -> str:
    """One engaged switch, ready mrkdwn."""
    why = f": {inline(switch.reason)}" if switch.reason else " (no reason given yet)"
    since = f"since {moment(switch.engaged_at)} by {who(switch.engaged_by)}"
    return f":octagonal_sign: *{inline(switch.words, 280)}* {since}{why}"


def breaker_list(breakers: Sequence[Breaker], now: datetime) -> Message:
    """Every circuit breaker that is not simply closed."""
    if not breakers:
        return plain("Every circuit breaker is closed, and nothing has failed lately.")
    lines = [_breaker_line(breaker, now) for breaker in breakers]
    return message(_plain_lines(lines), paragraphs(lines))


def _breaker_line(breaker: Breaker, now: datetime) -> str:
    name = f"*{inline(circuit_breaker.name(breaker), 280)}*"
    due = circuit_breaker.opens_at(breaker)
    if breaker.state is BreakerState.OPEN and due is not None:
        left = (due - now).total_seconds()
        trial = f"one trial may run in {duration(left)}" if left > 0 else "one trial may run now"
        return f":zap: {name} is open: {counted(breaker.failures, 'failure')} in a row; {trial}"
    if breaker.state is BreakerState.HALF_OPEN:
        by = f", being tried by #{breaker.probing}" if breaker.probing is not None else ""
        return f":zap: {name} is half-open{by}: {breaker.successes} of {circuit_breaker.SUCCESSES} successes"
    return f":electric_plug: {name} is closed: {counted(breaker.failures, 'failure')} in a row"


def audit_lines(entries: Sequence[AuditEntry], *, older: str | None = None) -> Message:
    """Audit entries, a line each, with the id by which each is found again. `older`: what shows those before them."""
    if not entries:
        return plain("No audit entry matches.")
    lines = [_audit_line(entry) for entry in entries]
    hint = f"Older: `{inline(older, 1_000)}`" if older is not None else None
    said = _plain_lines([*lines, hint] if hint is not None else lines)
    return message(said, [*paragraphs(lines), context(hint)] if hint is not None else paragraphs(lines))


def _audit_line(entry: AuditEntry) -> str:
    about = f" #{entry.execution_id}" if entry.execution_id is not None else ""
    told = [f"{key.replace('_', ' ')}: {words}" for key, value in entry.data.items() if (words := _audited(key, value))]
    detail = f" {inline('; '.join(told), 300)}" if told else ""
    actor = who(Actor(id=entry.actor))
    return f"`{entry.seq}` {moment(entry.at)} {actor} *{inline(entry.kind, 60)}*{about}{detail} `{inline(entry.id)}`"


_HASH = re.compile(r"[0-9a-f]{64}")


def _audited(key: str, value: Any) -> str:
    """A value as a reader wants it; empty for what says nothing, and for a request's number: the export has that."""
    if key == "request" or value is None or value is False or value in ("", [], {}):
        return ""
    if isinstance(value, str) and _HASH.fullmatch(value):
        return value[:16]
    if key == "verdicts" and isinstance(value, list):
        return _verdicts([one for one in value if isinstance(one, dict)])
    if isinstance(value, dict):
        return ", ".join(f"{name}={one}" for name, one in value.items() if one not in (None, "", [], {}))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "yes" if value is True else str(value)


def _verdicts(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """What did not simply allow it; all gates by number where all did."""
    against = [one for one in verdicts if one.get("outcome") != "allow"]
    if not against:
        return f"{counted(len(verdicts), 'gate')} allowed it"
    return ", ".join(f"{one.get('gate')} says {one.get('outcome')} ({one.get('reason')})" for one in against)


def logs(lines: Sequence[OutputLine], *, counted_in: str = "") -> Message:
    """Output that was kept, the newest lines that fit. `counted_in`: which of all lines they are."""
    if not lines:
        return plain("No output was kept.")
    several = len({(line.host, line.step) for line in lines}) > 1
    shown = [f"{line.host} {line.step} | {line.text}" if several else line.text for line in lines]
    block, number = newest(shown)
    said = counted_in or counted(len(lines), "line")
    said += f", the newest {number} shown" if number < len(lines) else ""
    return message(f"{said}: {inline(lines[-1].text)}", [section(block), context(said)])


def paragraphs(lines: Sequence[str]) -> list[Block]:
    """Ready mrkdwn lines, as few sections as they fit into."""
    found: list[Block] = []
    group: list[str] = []
    room = LONGEST_SECTION
    for line in lines:
        room -= units(line) + 1
        if room < 0 and group:
            found.append(section("\n".join(group)))
            group, room = [], LONGEST_SECTION - units(line) - 1
        group.append(line)
    return [*found, section("\n".join(group))] if group else found


def _plain_lines(lines: Sequence[str]) -> str:
    return _bounded("\n".join(lines), LONGEST_TEXT)
