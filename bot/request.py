"""Text to a request: the grammar of the slash commands, pure and without knowledge of the catalogue.

A text is cleaned (Slack's entities, mentions and links, typographic spaces), cut into words (quotes, backticks), and
the words are read: name, values, `key=value`, `on` targets, flags. Whatever could be read in two ways is not read at
all: the answer is `Unclear`, which names the thing and the next move. Nothing here raises.

    /runbook NAME [values…] [key=value…] [on TARGET[,TARGET…|tag:web]]
             [--dry-run] [--reason "…"] [--priority high|normal|low] [--emergency]
             [--waves 1,25%,rest] [--pause 30s] [--max-failures 1|10%]
    /runbook plan NAME …                                            the same, planned only
    /runbook help [TOPIC]
    /runbook list [words…] [page=2]
    /runbook show NAME
    /runbook status [ID [from=16] | on TARGET…] [after=ID]
    /runbook logs ID [[on] HOST] [step=2] [from=101]
    /runbook history [RUNBOOK] [STATE] [@someone] [2d] [on HOST] [runbook=NAME] [host=NAME] [who=@someone]
                     [state=failed,timed_out] [since=2d] [until=2026-11-20] [dry=no] [before=ID | after=ID]
    /runbook digest [7d]
    /runbook why ID
    /runbook retry ID [failed] [--reason "…"] [--emergency]
    /runbook rollback|resume ID
    /runbook cancel|deny ID [reason…]
    /runbook approve ID
    /runbook breaker [list | reset RUNBOOK [on HOST]]
    /runbook dead-letters [list | show ID | requeue ID… | requeue all | discard ID…]
    /runbook can [@someone] [NAME values… on TARGET]
    /runbook template [list | show NAME | delete NAME | save NAME REQUEST… | run NAME [what differs…]]
    /runbook schedule "CRON" REQUEST… [tz ZONE] [as "NAME"]
    /runbook schedule [new]                                         the form
    /runbook schedule list [page=2] | show|pause|resume|delete|run|revoke NAME
    /runbook schedule approve NAME [limit=N] [mark=HEX]
    /killswitch global on|off [--now] [reason]
    /killswitch service|runbook|host|tag NAME on|off [--now] [reason]
    /killswitch status
    /audit [words…] [who=@someone] [runbook=NAME] [host=NAME] [kind=KIND] [id=42] [incident=#channel]
           [since=2h|2026-11-20] [until=2h|2026-11-20T09:30] [page=SEQ]
    /incident [show [ID] | list | timeline [ID] | runbooks | postmortem [ID] | help]
    /incident open TITLE… [sev1|sev2|sev3|sev4] [service=NAME]
    /incident bind [ID | TITLE… [sev2] [service=NAME]]
    /incident severity sev2 | status investigating|identified|monitoring
    /incident role commander|communications|operations|scribe|liaison @someone|nobody
    /incident note TEXT…                                            the rest of the line, as it stands
    /incident resolve SUMMARY…
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import Literal, get_args

from runbooks.waves import budget_of, pause_of, waves_of
from safety.redaction import MASK
from storage.errors import Invalid
from storage.records import SEVERITIES, UNSAID, IncidentRole, IncidentStatus, Priority, Rollout, State

TEXT_LIMIT = 4_000  # characters of one slash command
VALUE_LIMIT = 1_000  # characters of one value

Scope = Literal["global", "service", "runbook", "host", "tag"]
IncidentAction = Literal[
    "show", "open", "bind", "list", "severity", "status", "role", "note", "timeline", "resolve", "postmortem",
    "runbooks", "help",
]  # fmt: skip


class Verb(StrEnum):
    """Subcommands of `/runbook` that are not a run."""

    HELP = "help"
    LIST = "list"
    SHOW = "show"
    STATUS = "status"
    LOGS = "logs"
    CANCEL = "cancel"
    RETRY = "retry"
    ROLLBACK = "rollback"
    RESUME = "resume"
    HISTORY = "history"
    DIGEST = "digest"
    WHY = "why"
    CAN = "can"
    APPROVE = "approve"
    DENY = "deny"
    BREAKER = "breaker"
    DEAD_LETTERS = "dead-letters"


@dataclass(frozen=True, kw_only=True)
class RunCommand:
    """A runbook to plan and run. `runbook` and the keys of `named` are lower case; values and targets are as typed."""

    runbook: str
    values: tuple[str, ...] = ()
    named: Mapping[str, str] = field(default_factory=dict, hash=False)
    targets: tuple[str, ...] = ()
    dry_run: bool = False
    reason: str | None = None
    priority: Priority = Priority.NORMAL
    emergency: bool = False
    rollout: Rollout = UNSAID


@dataclass(frozen=True, kw_only=True)
class Query:
    """Any other subcommand of `/runbook`, with its words. `person`: whom `can` asks about, None for oneself."""

    verb: Verb
    person: str | None = None
    words: tuple[str, ...] = ()
    named: Mapping[str, str] = field(default_factory=dict, hash=False)
    targets: tuple[str, ...] = ()
    reason: str | None = None
    emergency: bool = False


@dataclass(frozen=True, kw_only=True)
class TemplateCommand:
    """Something about a saved request. `request`: what is to be saved; or, to run it, what differs from what is.

    Of a `run`, the request's runbook is the template's name.
    """

    action: Literal["list", "show", "delete", "save", "run"] = "list"
    name: str = ""
    request: RunCommand | None = None


@dataclass(frozen=True, kw_only=True)
class ScheduleCommand:
    """Something about a request that is made again and again; `name` may be a number.

    Of `make`: `cron` and `timezone` in one spelling, but not looked up; without a `name` it gets one. Of `new`, which
    asks for the form: what of these is known already. Of `approve`: `limit`, the most changing steps that are agreed
    to, and `mark` of what was shown.
    """

    action: Literal["list", "show", "pause", "resume", "delete", "run", "approve", "revoke", "make", "new"] = "list"
    name: str = ""
    cron: str = ""
    timezone: str | None = None
    request: RunCommand | None = None
    limit: int | None = None
    mark: str | None = None
    page: int = 1


@dataclass(frozen=True, kw_only=True)
class SwitchCommand:
    """Engage or release one kill switch. `subject` is empty for the global one."""

    scope: Scope
    subject: str = ""
    engage: bool
    now: bool = False
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class SwitchStatus:
    """Which kill switches are engaged?"""


@dataclass(frozen=True, kw_only=True)
class AuditSearch:
    """What to look for in the audit; nothing means the latest entries.

    `since` and `until` are as typed: a length of time before now (`2h`, `1d12h`), a day, or a day and a time.
    `actor` and `incident` are ids where they were mentions, else names without `@` and `#`.
    """

    words: tuple[str, ...] = ()
    actor: str | None = None
    runbook: str | None = None
    host: str | None = None
    kind: str | None = None
    execution_id: int | None = None
    incident: str | None = None
    since: str | None = None
    until: str | None = None
    before: int | None = None  # entries older than this number: the next page


@dataclass(frozen=True, kw_only=True)
class IncidentCommand:
    """Something about an incident: the channel's own, unless `number` names one.

    `title`, `severity` and `service` are of one to open; `text` is a note, or the summary of what is resolved.
    """

    action: IncidentAction = "show"
    number: int | None = None
    title: str = ""
    severity: int | None = None
    service: str | None = None
    status: IncidentStatus | None = None
    role: IncidentRole | None = None
    person: str | None = None  # who gets the role; None takes it from whoever has it
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Unclear:
    """Not run: what could not be read, and the next move. `suggestion` is a command to copy, or an example.

    `near` is what was probably meant: all that was typed, with one word corrected.
    """

    message: str
    suggestion: str | None = None
    near: str | None = None


def parse_runbook(text: str) -> RunCommand | Query | TemplateCommand | ScheduleCommand | Unclear:
    """The text after `/runbook` (or with it) as a run, a question, or a question back."""
    try:
        return _runbook(_words(text, command="/runbook"), mentioned=frozenset(_PERSON.findall(text)))
    except _Puzzle as puzzle:
        return puzzle.answer


def parse_killswitch(text: str) -> SwitchCommand | SwitchStatus | Unclear:
    """The text after `/killswitch` (or with it)."""
    try:
        return _killswitch(_words(text, command="/killswitch"))
    except _Puzzle as puzzle:
        return puzzle.answer


def parse_audit(text: str) -> AuditSearch | Unclear:
    """The text after `/audit` (or with it); a quoted phrase is one word."""
    try:
        return _audit(_words(text, command="/audit"))
    except _Puzzle as puzzle:
        return puzzle.answer


def length_of(text: str) -> timedelta | None:
    """A length of time as typed: 7d, 1d12h, day, week, month (of 30 days). None for what is none."""
    typed = text.strip().lower()
    named = {"day": "1d", "daily": "1d", "today": "1d", "week": "7d", "weekly": "7d", "month": "30d", "monthly": "30d"}
    typed = named.get(typed, typed)
    if not re.fullmatch(r"(?:[0-9]{1,6}[wdhms]){1,9}", typed):
        return None
    return sum((int(n) * _UNITS[unit] for n, unit in re.findall(r"([0-9]+)([wdhms])", typed)), timedelta())


def moment(text: str, now: datetime) -> datetime:
    """A time as typed: 2026-11-20, 2026-11-20T10:00 (UTC unless it says otherwise), or a length of time before now.

    Raises Invalid.
    """
    typed, ago = text.strip(), length_of(text)
    try:
        if ago is not None:
            return now - ago
        found = datetime.fromisoformat(typed)
    except (ValueError, OverflowError):
        raise Invalid(
            f"'{text}' is no time. Write a day (2026-11-20), a time in UTC (2026-11-20T10:00), or how long ago (24h)."
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}


def parse_incident(text: str) -> IncidentCommand | Unclear:
    """The text after `/incident` (or with it). A note and a summary are the rest of the line, whatever stands there."""
    try:
        free = _free_text(text)
        if free is not None:
            return free
        return _incident(_words(text, command="/incident"), mentioned=frozenset(_PERSON.findall(text)))
    except _Puzzle as puzzle:
        return puzzle.answer


def normalised(text: str) -> str:
    """One spelling for every text of `/runbook` that asks for the same; two texts that ask for different things differ.

    Reading the result again gives the same request. A text that is unclear keeps its words, with single spaces; one
    whose spelling would be too long to be read stays as it is.
    """
    match parse_runbook(text):
        case RunCommand() as command:
            spelled = _escaped(_spelled(command))
        case Query() as query:
            spelled = _escaped(_spelled_query(query))
        case TemplateCommand() as command:
            spelled = _escaped(_spelled_template(command))
        case ScheduleCommand() as command:
            spelled = _escaped(_spelled_schedule(command))
        case Unclear():
            return " ".join(text.split())
    return spelled if len(spelled) <= TEXT_LIMIT else text


class _Puzzle(Exception):
    """The text can be read in no way, or in two."""

    def __init__(self, message: str, suggestion: str | None = None, near: str | None = None) -> None:
        super().__init__(message)
        self.answer = Unclear(message=message, suggestion=suggestion, near=near)


# Words. A word is wholly bare, wholly quoted, or a bare `key=` before a quoted value.


@dataclass(frozen=True, kw_only=True)
class _Word:
    text: str
    quoted: bool = False  # it, or its value, stood in quotes or backticks
    key_length: int = 0  # of a bare `key=`, without the `=`; 0 if there is none

    def is_bare(self, *words: str) -> bool:
        return not self.quoted and self.text.lower() in words

    @property
    def is_flag(self) -> bool:
        return not self.key_length and not self.quoted and _FLAG.match(self.text) is not None

    @property
    def key(self) -> str:
        return _name(self.text[: self.key_length]).replace("-", "_")

    @property
    def value(self) -> str:
        return self.text[self.key_length + 1 :] if self.key_length else self.text


_DASHES = "‐‑‒–—―−﹘﹣-"
_DOUBLE = '"“”„‟″«»'
_SINGLE = "'‘’‚‛′"
_FLAG = re.compile(rf"(?:[{_DASHES}]+(?=[^\W\d])|[{_DASHES}]{{2,}})")  # `-5` and `-` are values
_KEY = re.compile(rf"([A-Za-z][A-Za-z0-9_{_DASHES}]*)=")
_TARGET = re.compile(r"[A-Za-z0-9_*?](?:[A-Za-z0-9_.:*?@-]*[A-Za-z0-9_*?])?")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.:-]*")
_MARKUP = re.compile(
    r"<((?:[@#][A-Z0-9]+(?=[|>])|!(?:here|channel|everyone|subteam\^[A-Z0-9]+)(?=[|>])"
    r"|(?i:[a-z][a-z0-9+.-]*://|mailto:|tel:))[^<>]*)>|&(amp|lt|gt);"
)
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">"}


def _words(text: str, *, command: str) -> list[_Word]:
    if len(text) > TEXT_LIMIT:
        raise _Puzzle(f"The text has {len(text)} characters; at most {TEXT_LIMIT} are read. Shorten it.")
    words = list(_lexed(_plain(text)))
    for word in words:
        if len(word.value) > VALUE_LIMIT:
            shown = _clipped(word.value)
            raise _Puzzle(f"The value {shown} has {len(word.value)} characters; at most {VALUE_LIMIT} are read.")
    return words[1:] if words and words[0].is_bare(command) else words


def _plain(text: str) -> str:
    """Slack's own markup undone once, every kind of space made an ordinary one, hidden characters refused."""
    text = "".join(" " if unicodedata.category(char) == "Zs" else char for char in text).strip()
    for char in text:
        if char != "\t" and unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            raise _Puzzle(_hidden(char))
    text = _MARKUP.sub(_unwrapped, text).strip()
    return _without_code_marks(text)


def _hidden(char: str) -> str:
    if char in "\r\n\v\f\x85\u2028\u2029":
        return "The text has several lines, and one request is one line. Send it as one line."
    name = unicodedata.name(char, "control character").lower()
    return f"The text holds a hidden character (U+{ord(char):04X}, {name}). Type it again instead of pasting it."


def _unwrapped(match: re.Match[str]) -> str:
    if match[2]:
        return _ENTITIES[match[2]]
    address, _, label = _decoded(match[1]).partition("|")
    if address.startswith(("@", "#")):
        return address[1:]
    if address.startswith("!subteam^"):
        return address.removeprefix("!subteam^")
    if address.startswith("!"):
        return "@" + address[1:]
    return _link(address, label)


def _link(address: str, label: str) -> str:
    """What was typed: Slack makes `web-01.example.com` a link whose label is the text that was typed."""
    bare = re.sub(r"\A(?:https?://|mailto:|tel:)", "", address, flags=re.IGNORECASE)
    if not label:
        return address
    if label.rstrip("/").lower() in {address.rstrip("/").lower(), bare.rstrip("/").lower()}:
        return label
    raise _Puzzle(
        f"The link {_clipped(label)} leads to {_clipped(address)}. Type the one you mean as plain text.",
    )


def _decoded(text: str) -> str:
    return re.sub(r"&(amp|lt|gt);", lambda match: _ENTITIES[match[1]], text)


def _without_code_marks(text: str) -> str:
    """A text that stands in backticks as a whole loses them; a single word is looked at later."""
    inner = text.strip("`")
    marks = (len(text) - len(inner)) // 2
    if marks in {1, 3} and "`" not in inner and text == "`" * marks + inner + "`" * marks:
        return inner.strip()
    return text


def _lexed(text: str) -> Iterable[_Word]:
    position = 0
    while position < len(text):
        if text[position] in " \t":
            position += 1
            continue
        word, position = _word_at(text, position)
        yield word


def _word_at(text: str, start: int) -> tuple[_Word, int]:
    key = _KEY.match(text, start) or _FLAG_WITH_VALUE.match(text, start)
    begin = key.end() if key else start
    if text[start] == "`":
        return _marked_as_code(text, start)
    if begin < len(text) and (text[begin] in _DOUBLE or text[begin] in _SINGLE):
        value, end = _quoted(text, begin)
        return _Word(text=text[start:begin] + value, quoted=True, key_length=begin - start - 1 if key else 0), end
    end = start
    while end < len(text) and text[end] not in " \t":
        end += 1
    word = text[start:end]
    for mark in (*_DOUBLE, "`"):
        if mark in word:
            raise _Puzzle(f"There is a {mark} inside the word {_clipped(word)}. Put the quotes around the whole value.")
    return _Word(text=word, key_length=key.end() - start - 1 if key else 0), end


def _marked_as_code(text: str, start: int) -> tuple[_Word, int]:
    """A single word in backticks is that word; several words in them could be one value or several."""
    end = text.find("`", start + 1)
    if end < 0:
        raise _Puzzle(f"The backtick before {_clipped(text[start + 1 :])} is never closed. Add one, or drop it.")
    inner, after = text[start + 1 : end], text[end + 1 : end + 2]
    if not inner.strip() or re.search(r"\s", inner) or after.strip():
        raise _Puzzle(
            f"The backticks near {_clipped(inner)} don't hold exactly one word. Use quotes for a value with spaces."
        )
    word, stop = _word_at(inner, 0)
    if stop != len(inner) or word.is_flag or word.is_bare("on"):
        raise _Puzzle(f"Is {_clipped(inner)} meant as it stands, or as a value? Drop the backticks, or use quotes.")
    return word, end + 1


_FLAG_WITH_VALUE = re.compile(rf"[{_DASHES}]+[A-Za-z][A-Za-z0-9_{_DASHES}]*=")


def _quoted(text: str, start: int) -> tuple[str, int]:
    """The value of the quotes that open at `start`, and the position after them."""
    opening = text[start]
    family = _DOUBLE if opening in _DOUBLE else _SINGLE
    value: list[str] = []
    position = start + 1
    while position < len(text):
        char = text[position]
        if char == "\\" and position + 1 < len(text) and text[position + 1] in family:
            value.append(text[position + 1])
            position += 2
            continue
        if char in family and not (family is _SINGLE and _is_apostrophe(text, position)):
            return _closed("".join(value), text, start=start, end=position + 1)
        if char == "\t":
            raise _Puzzle("There is a tab inside quotes. Use spaces there.")
        value.append(char)
        position += 1
    raise _Puzzle(f"The quote {opening} before {_clipped(text[start + 1 :])} is never closed. Add the closing quote.")


def _is_apostrophe(text: str, position: int) -> bool:
    around = text[position - 1], text[position + 1 : position + 2]
    return all(char.isalnum() for char in around)


def _closed(value: str, text: str, *, start: int, end: int) -> tuple[str, int]:
    if end < len(text) and text[end] not in " \t":
        raise _Puzzle(
            f"Text follows directly after the quotes of {_clipped(value)}. Put a space between, or drop them."
        )
    if not value.strip():
        raise _Puzzle("There is an empty value in quotes. Leave it out, or give it a value.")
    return value, end


# Reading the words.


@dataclass(frozen=True, kw_only=True)
class _Request:
    """The words sorted into what they are."""

    values: tuple[str, ...]
    named: Mapping[str, str]
    targets: tuple[str, ...]
    flags: Mapping[str, str]  # canonical name -> value, "" for a flag that takes none

    @property
    def reason(self) -> str | None:
        return self.flags.get("reason")

    @property
    def priority(self) -> Priority:
        return Priority(self.flags.get("priority", "normal"))

    @property
    def rollout(self) -> Rollout:
        pause = self.flags.get("pause")
        return Rollout(
            waves=self.flags.get("waves"),
            pause=float(pause) if pause is not None else None,
            max_failures=self.flags.get("max-failures"),
        )


_TAKES_VALUE = {
    "reason": '--reason "disk is full"',
    "priority": "--priority high",
    "waves": "--waves 1,25%,rest",
    "pause": "--pause 30s",
    "max-failures": "--max-failures 1",
}
_RUN_FLAGS = ("dry-run", "reason", "priority", "emergency", "waves", "pause", "max-failures")
_SWITCH_FLAGS = ("now", "reason")


@dataclass(frozen=True, kw_only=True)
class _Form:
    """What may follow a subcommand; anything else is asked about, never dropped."""

    example: str  # what can be sent as it stands
    flags: frozenset[str] = frozenset()
    id: bool = False  # exactly one id, of an execution
    reason: bool = False  # the words after the id are the reason
    also: str | None = None  # the one word that may follow the id
    keys: Mapping[str, str] | None = None  # the `key=value` it takes, each with the form of its value; None: any
    words: int | None = None  # so many at most; None: any
    targets: bool = False  # `on TARGET…`, where there are no words
    actions: Mapping[str, Literal["nothing", "an id", "ids", "a runbook"]] = field(default_factory=dict, hash=False)


_COUNT = r"#?[0-9]{1,15}"
_HOST = r"[A-Za-z0-9_](?:[A-Za-z0-9_.:@-]{0,252}[A-Za-z0-9_])?"
_FORMS: Mapping[Verb, _Form] = {
    Verb.HELP: _Form(example="help history", keys={}),
    Verb.LIST: _Form(example="list disk", keys={"page": _COUNT}),
    Verb.SHOW: _Form(example="show restart-service", keys={}, words=1),
    Verb.STATUS: _Form(example="status 42", keys={"after": _COUNT, "from": _COUNT}, words=1, targets=True),
    Verb.LOGS: _Form(
        example="logs 42 web-01",
        keys={"host": _HOST, "step": r"w?[0-9]{1,6}(\.[0-9]{1,6})*", "from": _COUNT},
        words=2,
    ),
    Verb.HISTORY: _Form(example="history state=failed since=2d"),
    Verb.DIGEST: _Form(example="digest 7d", keys={}),
    Verb.WHY: _Form(example="why 42", keys={}, words=1),
    Verb.CAN: _Form(example="can @someone restart nginx on web-01"),
    Verb.CANCEL: _Form(example="cancel 42", id=True, reason=True, flags=frozenset({"reason"})),
    Verb.RETRY: _Form(example="retry 42", id=True, flags=frozenset({"reason", "emergency"}), also="failed"),
    Verb.ROLLBACK: _Form(example="rollback 42", id=True),
    Verb.RESUME: _Form(example="resume 42", id=True),
    Verb.APPROVE: _Form(example="approve 42", id=True),
    Verb.DENY: _Form(example="deny 42 wrong host", id=True, reason=True, flags=frozenset({"reason"})),
    Verb.BREAKER: _Form(
        example="breaker reset restart-service on web-01", actions={"list": "nothing", "reset": "a runbook"}
    ),
    Verb.DEAD_LETTERS: _Form(
        example="dead-letters show 7",
        actions={"list": "nothing", "show": "an id", "requeue": "ids", "discard": "ids"},
    ),
}
_EXECUTION_ID = re.compile(r"#?[0-9]{1,15}")
_ANY_ID = re.compile(r"#?[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_PERSON = re.compile(r"<@([A-Z0-9]+)[|>]")


_SUBCOMMANDS = frozenset({"plan", "template", "templates", "schedule", "schedules", *Verb})


def _runbook(
    words: list[_Word], *, mentioned: frozenset[str]
) -> RunCommand | Query | TemplateCommand | ScheduleCommand:
    if not words:
        return Query(verb=Verb.HELP)
    head, rest = words[0], words[1:]
    if head.quoted or head.key_length or head.is_flag:
        raise _Puzzle(
            f"{_clipped(head.text)} stands where the runbook's name belongs.", "/runbook restart nginx on web-01"
        )
    name = _name(head.text)
    if name == "plan":
        return _plan(rest)
    if name in {"template", "templates"}:
        return _template(rest)
    if name in {"schedule", "schedules"}:
        return _schedule(rest)
    if name.replace("_", "-") in set(Verb):
        return _query(Verb(name.replace("_", "-")), rest, mentioned)
    return _run(name, rest)


def _plan(words: list[_Word]) -> RunCommand:
    if not words:
        raise _Puzzle("Which runbook should be planned?", "/runbook plan restart nginx on web-01")
    if _name(words[0].text) in _SUBCOMMANDS:
        raise _Puzzle(
            f"`{_name(words[0].text)}` is a subcommand and can't be planned.", "/runbook plan restart nginx on web-01"
        )
    return _run(_name(words[0].text), words[1:], planning=True)


def _run(name: str, words: list[_Word], *, planning: bool = False) -> RunCommand:
    if name == "on":
        raise _Puzzle("Which runbook? Its name comes first.", "/runbook restart nginx on web-01")
    name = _runbook_name(name)
    request = _sorted(name, words, flags=_RUN_FLAGS)
    return RunCommand(
        runbook=name,
        values=request.values,
        named=request.named,
        targets=request.targets,
        dry_run=planning or "dry-run" in request.flags,
        reason=request.reason,
        priority=request.priority,
        emergency="emergency" in request.flags,
        rollout=request.rollout,
    )


_TEMPLATE_ACTIONS = ("list", "show", "delete", "save", "run")


def _template(words: list[_Word]) -> TemplateCommand:
    """A saved request: `save` and `run` take what a run takes, the others a name at most."""
    example = "/runbook template save weekly restart nginx on web-01"
    action = _name(words[0].text) if words else "list"
    if action not in _TEMPLATE_ACTIONS or (words and (words[0].quoted or words[0].key_length)):
        near = next(iter(get_close_matches(action, _TEMPLATE_ACTIONS, n=1)), None)
        hint = f" Did you mean `{near}`?" if near else ""
        raise _Puzzle(f"`template` has {', '.join(_TEMPLATE_ACTIONS)}, but not {_clipped(action)}.{hint}", example)
    if action == "list":
        if words[1:]:
            raise _Puzzle("`template list` takes nothing more.", "/runbook template list")
        return TemplateCommand()
    name = _name(words[1].text) if words[1:] and not words[1].quoted and not words[1].key_length else ""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", name) or name == "on":
        raise _Puzzle(
            f"Which template? Its name follows `{action}`: letters, digits and dashes, at most 64.",
            example if action == "save" else f"/runbook template {action} weekly",
        )
    rest = words[2:]
    if action in {"show", "delete"}:
        if rest:
            raise _Puzzle(f"`template {action}` takes a name, and nothing more.", f"/runbook template {action} {name}")
        return TemplateCommand(action="show" if action == "show" else "delete", name=name)
    if action == "run":
        return TemplateCommand(action="run", name=name, request=_run(name, rest))
    if not rest or rest[0].quoted or rest[0].key_length or rest[0].is_flag:
        raise _Puzzle("What should be saved? The request follows the name.", example)
    first = _name(rest[0].text)
    if first in _SUBCOMMANDS:
        raise _Puzzle(f"`{first}` is a subcommand, and only what runs a runbook is saved.", example)
    request = _run(first, rest[1:])
    if request.emergency:
        raise _Puzzle("An emergency is not saved: `--emergency` is for the moment. Leave it out.", example)
    return TemplateCommand(action="save", name=name, request=request)


SCHEDULED = '/runbook schedule "0 2 * * *" disk-cleanup path=/var/log on web-01 as "nightly cleanup"'
WHAT_THEN = "What should be run then? The request follows the cron line."
_SCHEDULE_ACTIONS = ("new", "list", "show", "pause", "resume", "delete", "run", "approve", "revoke")
_SCHEDULE_KEYS = {"approve": ("limit", "mark"), "list": ("page",)}
_BEHIND = ("as", "tz", "timezone")
"""What a schedule says behind its request; as a value such a word stands in quotes."""
_CRON_FIELD = re.compile(r"[0-9A-Za-z*,/#-]{1,100}")
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}")
_SCHEDULE_NAME = re.compile(r"\w[\w .:/-]{0,63}")


def _schedule(words: list[_Word]) -> ScheduleCommand:
    """A cron line with a request, or an action with the name of a schedule."""
    if not words:
        return ScheduleCommand(action="new")
    cron, rest = _cron(words)
    if cron is not None:
        return _made_schedule(cron, rest)
    action = _name(words[0].text)
    if action not in _SCHEDULE_ACTIONS or words[0].quoted or words[0].key_length:
        near = next(iter(get_close_matches(action, _SCHEDULE_ACTIONS, n=1)), None)
        hint = f" Did you mean `{near}`?" if near else ""
        raise _Puzzle(
            f"`schedule` begins with a cron line in quotes, or with {', '.join(_SCHEDULE_ACTIONS)}; {_clipped(action)} "
            f"is neither.{hint}",
            SCHEDULED,
        )
    return _about_schedule(action, words[1:])


def _about_schedule(action: str, words: list[_Word]) -> ScheduleCommand:
    known = next(one for one in get_args(ScheduleCommand.__annotations__["action"]) if one == action)
    alone = action in {"list", "new"}
    example = f"/runbook schedule {action}" + ("" if alone else ' "nightly cleanup"')
    if any(_is_flag(word) for word in words):
        raise _Puzzle(f"`schedule {action}` takes no flags. Leave them out.", example)
    named = _named([word for word in words if word.key_length])
    for key in named:
        if key not in _SCHEDULE_KEYS.get(action, ()):
            raise _Puzzle(f"`schedule {action}` takes no `{_clip(key)}=`. Leave it out.", example)
    limit = named.get("limit")
    if limit is not None and not re.fullmatch(r"[1-9][0-9]{0,4}", limit):
        raise _Puzzle(
            f"The limit is how many changing steps there may be, from 1 to 99999, and not {_clipped(limit)}.",
            f"{example} limit=20",
        )
    mark = named.get("mark")
    if mark is not None and not re.fullmatch(r"[0-9a-f]{8}", mark):
        raise _Puzzle(f"{_clipped(mark)} is no mark. `schedule approve NAME limit=20` shows the one to give.", example)
    page = named.get("page", "1")
    if not re.fullmatch(r"[1-9][0-9]{0,3}", page):
        raise _Puzzle(f"Pages are counted from 1, and {_clipped(page)} is none.", f"{example} page=2")
    name = " ".join(_texts(word for word in words if not word.key_length))
    if alone:
        if name:
            raise _Puzzle(f"`schedule {action}` takes nothing more.", example)
        return ScheduleCommand(action=known, page=int(page))
    if not _EXECUTION_ID.fullmatch(name):
        name = _schedule_name(name, action, example)
    return ScheduleCommand(action=known, name=name, limit=None if limit is None else int(limit), mark=mark)


def _schedule_name(typed: str, action: str, example: str) -> str:
    name = " ".join(typed.split())
    if not name:
        raise _Puzzle(f"Which schedule? Its name or number follows `{action}`.", example)
    _refuse_masked(_Word(text=name))
    if not _SCHEDULE_NAME.fullmatch(name) or not any(char.isalpha() for char in name):
        raise _Puzzle(
            f"{_clipped(name)} cannot be the name of a schedule: letters, digits, spaces and dashes, at most 64.",
            example,
        )
    return name


def _cron(words: list[_Word]) -> tuple[str | None, list[_Word]]:
    """The cron line that the words begin with, and the words behind it; None where they begin with none."""
    head = words[0]
    if head.key_length or head.is_flag:
        return None, words
    spelled = re.sub(f"[{_DASHES}]", "-", head.text).lower()
    if spelled.startswith("@"):
        if not re.fullmatch(r"@[a-z]{1,20}", spelled):
            raise _Puzzle(f"{_clipped(head.text)} is no cron line. There are @hourly, @daily and others.", SCHEDULED)
        return spelled, words[1:]
    if head.quoted and " " in spelled.strip():
        fields, rest = spelled.split(), words[1:]
    elif not head.quoted and re.match(r"[0-9*]", spelled):
        if any(word.quoted or word.key_length for word in words[:5]):
            raise _Puzzle("Where does the cron line end? Put it in quotes.", SCHEDULED)
        fields, rest = [re.sub(f"[{_DASHES}]", "-", text).lower() for text in _texts(words[:5])], words[5:]
    else:
        return None, words
    if len(fields) != 5 or not all(map(_CRON_FIELD.fullmatch, fields)):
        raise _Puzzle(
            f"{_clipped(' '.join(fields))} is no cron line: it has five fields, minute, hour, day of month, month and "
            "day of week. Put it in quotes.",
            SCHEDULED,
        )
    return " ".join(fields), rest


def _made_schedule(cron: str, words: list[_Word]) -> ScheduleCommand:
    if not words:
        return ScheduleCommand(action="new", cron=cron)
    if words[0].quoted or words[0].key_length or words[0].is_flag or words[0].is_bare("on", *_BEHIND):
        raise _Puzzle(WHAT_THEN, SCHEDULED)
    first = _name(words[0].text)
    if first in _SUBCOMMANDS:
        raise _Puzzle(f"`{first}` is a subcommand, and only what runs a runbook is scheduled.", SCHEDULED)
    found, rest = _split_behind(words[1:])
    request = _run(first, rest)
    if request.emergency:
        raise _Puzzle("An emergency is not scheduled: `--emergency` is for the moment. Leave it out.", SCHEDULED)
    for target in request.targets:
        if target.lower() in _BEHIND:
            raise _Puzzle(f"Is {_clipped(target)} a host? In a schedule the word means something else.", SCHEDULED)
    zone = found.get("tz")
    if zone is not None:
        zone = re.sub(f"[{_DASHES}]", "-", zone).strip().replace(" ", "_")
        if not _ZONE.fullmatch(zone):
            raise _Puzzle(f"{_clipped(zone)} is no time zone. Write one like Europe/Berlin.", "tz Europe/Berlin")
    name = found.get("as", "")
    if name:
        name = _schedule_name(name, "as", SCHEDULED)
        if name.lower() in {*_SCHEDULE_ACTIONS, "make"}:
            raise _Puzzle(f"{_clipped(name)} is an action, and a schedule can't be called like one.", SCHEDULED)
    return ScheduleCommand(action="make", name=name, cron=cron, timezone=zone, request=request)


def _split_behind(words: list[_Word]) -> tuple[dict[str, str], list[_Word]]:
    """What stands behind `as` and `tz`, and the other words in their order."""
    found: dict[str, str] = {}
    others: list[_Word] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if not word.is_bare(*_BEHIND):
            others.append(word)
            continue
        key = "as" if word.is_bare("as") else "tz"
        example = 'as "nightly cleanup"' if key == "as" else "tz Europe/Berlin"
        if key in found:
            raise _Puzzle(f"`{key}` stands there twice. A value that is called so stands in quotes.", example)
        if not waiting or waiting[0].key_length or waiting[0].is_flag or waiting[0].is_bare("on", *_BEHIND):
            raise _Puzzle(f"What follows `{key}`? A value that is called so stands in quotes.", example)
        found[key] = waiting.pop(0).text
        if waiting and not (waiting[0].key_length or _is_flag(waiting[0]) or waiting[0].is_bare("on", *_BEHIND)):
            raise _Puzzle(f"Where does what follows `{key}` end? Put it in quotes, behind everything else.", example)
    return found, others


def _query(verb: Verb, words: list[_Word], mentioned: frozenset[str]) -> Query:
    form = _FORMS[verb]
    if form.id:
        return _about_one(verb, form, words)
    if verb is Verb.HISTORY:
        return _history(words, mentioned)
    person = None
    if verb is Verb.CAN and words and not words[0].key_length:
        person = _person(words[0], mentioned)
        words = words if person is None else words[1:]
    request = _sorted(verb.value, words, flags=_RUN_FLAGS)
    _refuse_flags(verb, form, request.flags, request.values)
    if form.actions:
        return _action(verb, form, request)
    if verb is Verb.LOGS:
        request = _host_of_logs(request)
    if form.keys is not None:
        _refuse_keys(verb, form.keys, request)
        _refuse_rest(verb, form, request)
    if verb is Verb.CAN:
        request = _run_words(request)
    return Query(
        verb=verb,
        person=person,
        words=request.values,
        named=request.named,
        targets=request.targets,
    )


def _refuse_flags(verb: Verb, form: _Form, flags: Iterable[str], values: Sequence[str]) -> None:
    for flag in flags:
        if flag not in form.flags:
            raise _Puzzle(
                f"`{verb}` takes no `--{flag}`. Leave it out.",
                "/runbook " + _spelled_query(Query(verb=verb, words=tuple(values))),
            )


def _refuse_keys(verb: Verb, keys: Mapping[str, str], request: _Request) -> None:
    for key, value in request.named.items():
        if key not in keys:
            near = next(iter(get_close_matches(key, keys, n=1)), None)
            renamed = {near if name == key and near else name: kept for name, kept in request.named.items()}
            meant = Query(verb=verb, words=request.values, named=renamed, targets=request.targets)
            raise _Puzzle(
                f"`{verb}` takes no {_clipped(key)}." + (f" Did you mean `{near}=`?" if near else " Leave it out."),
                "/runbook " + _spelled_query(Query(verb=verb, words=request.values, targets=request.targets)),
                near=_escaped(_spelled_query(meant)) if near and len(renamed) == len(request.named) else None,
            )
        if not re.fullmatch(keys[key], value):
            example = _FORMS[verb].example
            raise _Puzzle(f"{_clipped(value)} makes no sense as `{key}=`.", f"/runbook {example}")


def _host_of_logs(request: _Request) -> _Request:
    """The one host behind `on` as if it stood behind the number."""
    if len(request.targets) != 1 or len(request.values) > 1 or "host" in request.named:
        return request
    return replace(request, named={**request.named, "host": request.targets[0]}, targets=())


def _refuse_rest(verb: Verb, form: _Form, request: _Request) -> None:
    """Words and targets that would change nothing: whoever typed them meant something by them."""
    kept = request.values if form.words is None else request.values[: form.words]
    suggestion = "/runbook " + _spelled_query(Query(verb=verb, words=kept, named=request.named))
    if len(kept) < len(request.values):
        after = _clipped(request.values[len(kept)])
        raise _Puzzle(f"`{verb}` takes nothing after {_clipped(kept[-1])}, but {after} follows.", suggestion)
    if request.targets and (not form.targets or request.values):
        takes = "a number or targets, and not both" if form.targets else "no targets"
        raise _Puzzle(f"`{verb}` takes {takes}, but `on {_clip(','.join(request.targets))}` follows.", suggestion)


def _history(words: list[_Word], mentioned: frozenset[str]) -> Query:
    """What to look for, each filter by its name, however it was typed: a state, a person, a time may stand alone."""
    flags, others = _split_flags(words, known=_RUN_FLAGS)
    _refuse_flags(Verb.HISTORY, _FORMS[Verb.HISTORY], flags, ())
    before, targets, after = _split_targets("/runbook history", others)
    named = _named([word for word in (*before, *after) if word.key_length])
    found: dict[str, str] = {}
    for key, value in named.items():
        _seek(found, _SOUGHT_AS.get(key, key), value, named)
    for word in (word for word in before if not word.key_length):
        _seek(found, *_alone(word, mentioned), named)
    if len(targets) > 1:
        raise _Puzzle("History is looked through for one host at a time.", f"/runbook history on {targets[0]}")
    for target in targets:
        _seek(found, "host", target, named)
    if {"before", "after"} <= found.keys():
        raise _Puzzle("`before=` and `after=` are two pages. Give one.", "/runbook history")
    return Query(verb=Verb.HISTORY, named=found)


def _seek(found: dict[str, str], key: str, value: str, named: Mapping[str, str]) -> None:
    example = "/runbook history state=failed since=2d"
    if key not in _SOUGHT:
        near = next(iter(get_close_matches(key, _SOUGHT, n=1)), None)
        hint = f" Did you mean `{near}=`?" if near else f" There are {', '.join(_SOUGHT)}."
        renamed = {near if name == key and near else name: kept for name, kept in named.items()}
        raise _Puzzle(
            f"There is no filter {_clipped(key)}.{hint}",
            example,
            near=_escaped(_spelled_query(Query(verb=Verb.HISTORY, named=renamed))) if near else None,
        )
    read = _SOUGHT[key].read(value)
    if read is None:
        raise _Puzzle(
            f"{_clipped(value)} is not {_SOUGHT[key].what}.", f"/runbook history {key}={_SOUGHT[key].example}"
        )
    if key in found:
        raise _Puzzle(f"`{key}` is given twice. Give it once.", example)
    found[key] = str(read)


def _alone(word: _Word, mentioned: frozenset[str]) -> tuple[str, str]:
    """Which filter a word is that stands without a name."""
    if not word.quoted and (word.text in mentioned or word.text.startswith("@") or word.is_bare("me", "mine")):
        return "who", "me" if word.is_bare("mine") else word.text
    if _states(word.text) is not None:
        return "state", word.text
    if _moment(word.text) is not None:
        return "since", word.text
    if word.text.lstrip("#").isdigit():
        raise _Puzzle(
            f"{_clipped(word.text)} is one execution: that is its status.", f"/runbook status {_clip(word.text)}"
        )
    return "runbook", word.text


_OPEN = (State.PENDING, State.AWAITING_APPROVAL, State.RUNNING, State.INTERRUPTED)
_STATES: Mapping[str, tuple[State, ...]] = {
    **{state.value: (state,) for state in State},
    "waiting": (State.PENDING, State.AWAITING_APPROVAL),
    "open": _OPEN,
    "unfinished": _OPEN,
    "success": (State.SUCCEEDED,),
    "ok": (State.SUCCEEDED,),
    "failure": (State.FAILED,),
    "canceled": (State.CANCELLED,),
    "timeout": (State.TIMED_OUT,),
}


def _states(value: str) -> str | None:
    """States by their names, in one order, separated by commas; None when one is none."""
    found: set[State] = set()
    for part in value.split(","):
        name = re.sub(r"[-_ ]+", "_", _name(part).strip())
        if name not in _STATES:
            return None
        found |= set(_STATES[name])
    return ",".join(state.value for state in State if state in found)


def _about_one(verb: Verb, form: _Form, words: list[_Word]) -> Query:
    """One execution, by its id, and perhaps why. Nothing else is let through: each of these does something."""
    flags, others = _split_flags(words, known=_RUN_FLAGS)
    _refuse_flags(verb, form, flags, _texts(others[:1]))
    example = f"/runbook {form.example}"
    if not others or not _EXECUTION_ID.fullmatch(others[0].text):
        raise _Puzzle("Which execution? Its number comes first, and `/runbook status` lists them.", example)
    number, rest = others[0].text, " ".join(_texts(others[1:]))
    if form.also is not None and rest.lower() == form.also:
        return Query(verb=verb, words=(number, form.also), reason=flags.get("reason"), emergency="emergency" in flags)
    if rest and not form.reason:
        after = f"nothing but `{form.also}`" if form.also is not None else "nothing"
        raise _Puzzle(
            f"`{verb}` takes one number and {after} after it, but {_clipped(rest)} follows.",
            f"/runbook {verb} {number}",
        )
    if rest and "reason" in flags:
        raise _Puzzle("There are two reasons, one of them behind `--reason`. Give one.")
    if rest.endswith("\\"):
        raise _Puzzle("The reason ends with a backslash. Drop it.")
    if len(rest) > VALUE_LIMIT:
        raise _Puzzle(f"The reason has {len(rest)} characters; at most {VALUE_LIMIT} are kept. Shorten it.")
    return Query(verb=verb, words=(number,), reason=rest or flags.get("reason"), emergency="emergency" in flags)


def _action(verb: Verb, form: _Form, request: _Request) -> Query:
    """One of a few actions, with what each needs; none is the list."""
    example = f"/runbook {form.example}"
    action = _name(request.values[0]) if request.values else "list"
    rest = request.values[1:]
    if action not in form.actions:
        near = next(iter(get_close_matches(action, form.actions, n=1)), None)
        hint = f" Did you mean `{near}`?" if near else ""
        meant = Query(verb=verb, words=(near or "", *rest), named=request.named, targets=request.targets)
        raise _Puzzle(
            f"`{verb}` has {', '.join(form.actions)}, but not {_clipped(action)}.{hint}",
            example,
            near=_escaped(_spelled_query(meant)) if near else None,
        )
    needs = form.actions[action]
    if request.named or (request.targets and needs != "a runbook"):
        raise _Puzzle(f"`{verb} {action}` takes no targets and no `name=value`. Leave them out.", example)
    if not rest if needs == "ids" else len(rest) != (needs != "nothing"):
        raise _Puzzle(f"`{verb} {action}` takes {needs}, and nothing more.", example)
    for word in rest if needs in {"an id", "ids"} else ():
        if not _ANY_ID.fullmatch(word):
            raise _Puzzle(f"{_clipped(word)} is no id. `/runbook {verb}` lists them.", example)
    if needs == "a runbook":
        rest = (_runbook_name(rest[0]),)
    return Query(verb=verb, words=(action, *rest) if request.values else (), targets=request.targets)


def _person(word: _Word, mentioned: frozenset[str]) -> str | None:
    """A mention's id, or a name that was typed with its `@`; None for any other word."""
    if word.text.startswith("@") and not word.quoted:
        if not re.fullmatch(r"@[^@,=]{1,80}", word.text):
            raise _Puzzle(f"{_clipped(word.text)} is no person. Mention one.", "/runbook can @someone")
        return word.text[1:]
    return word.text if word.text in mentioned and not word.quoted else None


def _run_words(request: _Request) -> _Request:
    """What `can` asks about, as a run would name it."""
    if not request.values:
        if request.targets or request.named:
            raise _Puzzle("Which runbook? Its name comes first.", "/runbook can restart nginx on web-01")
        return request
    return replace(request, values=(_runbook_name(request.values[0]), *request.values[1:]))


def _runbook_name(typed: str) -> str:
    name = _name(typed)
    if name == "on" or not _NAME.fullmatch(name):
        raise _Puzzle(f"{_clipped(name)} is not the name of a runbook. See `/runbook list`.", "/runbook list")
    return name


def _sorted(name: str, words: Sequence[_Word], *, flags: Sequence[str]) -> _Request:
    flagged, others = _split_flags(words, known=flags)
    start = f"/runbook {name}"
    before, targets, after = _split_targets(start, others)
    values = tuple(_value(word) for word in before if not word.key_length)
    named = _named([word for word in (*before, *after) if word.key_length])
    return _Request(values=values, named=named, targets=targets, flags=flagged)


def _split_flags(words: Sequence[_Word], *, known: Sequence[str]) -> tuple[dict[str, str], list[_Word]]:
    """The flags with their values, and the other words in their order."""
    found: dict[str, str] = {}
    others: list[_Word] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if not _is_flag(word):
            others.append(word)
            continue
        flag = _flag_name(word, known)
        if flag in found:
            raise _Puzzle(f"`--{flag}` is given twice. Give it once.")
        found[flag] = _flag_value(flag, word, waiting)
    return found, others


def _is_flag(word: _Word) -> bool:
    return _FLAG.match(word.text[: word.key_length]) is not None if word.key_length else word.is_flag


def _flag_name(word: _Word, known: Sequence[str]) -> str:
    typed = word.text[: word.key_length] if word.key_length else word.text
    dashes = len(typed) - len(typed.lstrip(_DASHES))
    flag = _flag_spelling(typed)
    if flag in known and (dashes > 1 or typed[0] in "‒–—―−"):
        return flag
    near = flag if flag in known else next(iter(get_close_matches(flag, known, n=1)), None)
    if near:
        raise _Puzzle(
            f"There is no flag {_clipped(typed)}. Did you mean `--{near}`?", _TAKES_VALUE.get(near, f"--{near}")
        )
    listed = ", ".join(f"`--{name}`" for name in known)
    raise _Puzzle(
        f"There is no flag {_clipped(typed)}; there are {listed}. Parameters are written `name=value`. "
        'A command line stands in quotes: `/runbook run "df -h" on web-01`.'
    )


def _flag_spelling(typed: str) -> str:
    flag = _name(typed).lstrip("-").replace("_", "-")
    return "dry-run" if flag == "dryrun" else flag


def _flag_value(flag: str, word: _Word, waiting: list[_Word]) -> str:
    if flag not in _TAKES_VALUE:
        if word.key_length:
            raise _Puzzle(f"`--{flag}` takes no value. Write it alone, or leave it out.", f"--{flag}")
        return ""
    if word.key_length:
        value, quoted = word.value, word.quoted
    elif waiting and not _is_flag(waiting[0]):
        following = waiting.pop(0)
        value, quoted = following.text, following.quoted
    else:
        value, quoted = "", False
    if not value:
        raise _Puzzle(f"`--{flag}` needs a value.", _TAKES_VALUE[flag])
    if flag == "priority":
        return _priority(value)
    if flag in _ROLLOUT:
        if flag == "waves":
            value = _joined_sizes(value, waiting)
        try:
            return _ROLLOUT[flag](value)
        except Invalid as error:
            raise _Puzzle(error.message, _TAKES_VALUE[flag]) from None
    _refuse_loose_reason(value, quoted, waiting)
    return value


_ROLLOUT: Mapping[str, Callable[[str], str]] = {
    "waves": waves_of,
    "pause": lambda value: f"{pause_of(value):g}",
    "max-failures": budget_of,
}


def _joined_sizes(value: str, waiting: list[_Word]) -> str:
    """A list of waves, with the stray spaces around its commas dropped."""
    while waiting and (value.endswith(",") or waiting[0].text.startswith(",")):
        value += waiting.pop(0).text
    return value


def _priority(value: str) -> str:
    if value.lower() not in set(Priority):
        raise _Puzzle(f"There is no priority {_clipped(value)}; there are high, normal and low.", "--priority high")
    return value.lower()


def _refuse_loose_reason(value: str, quoted: bool, waiting: Sequence[_Word]) -> None:
    """`--reason broken on friday`: where the reason ends, and whether friday is a host, nobody can tell."""
    if quoted or not waiting or _is_flag(waiting[0]):
        return
    loose = [value]
    for word in waiting:
        if _is_flag(word):
            break
        loose.append(word.text)
    raise _Puzzle(
        "Where does the reason end? Put it in quotes, at the end.",
        f"--reason {_quotes(_clip(' '.join(loose)))}",
    )


def _split_targets(start: str, words: Sequence[_Word]) -> tuple[list[_Word], tuple[str, ...], list[_Word]]:
    """The words before a bare `on`, the targets, and the `key=value` words after them."""
    places = [index for index, word in enumerate(words) if word.is_bare("on")]
    if not places:
        return list(words), (), []
    if len(places) > 1:
        raise _Puzzle('`on` stands there twice. Put the one that is a value in quotes: "on".', f"{start} on web-01")
    before, after = list(words[: places[0]]), list(words[places[0] + 1 :])
    typed = " ".join([start, *(_spelled_value(word.text) for word in before if not word.key_length)])
    targets = _targets(typed, [word for word in after if not word.key_length])
    return before, targets, [word for word in after if word.key_length]


def _targets(typed: str, words: Sequence[_Word]) -> tuple[str, ...]:
    """`typed` is the request up to `on`, for the suggestion."""
    example = f"{typed} on web-01,web-02"
    if not words:
        raise _Puzzle('No target follows `on`. Name one, or put the word in quotes if it is a value: "on".', example)
    targets = _joined_list(words).split(",")
    if any(" " in target for target in targets):
        raise _Puzzle(
            "Values belong before `on`, and targets are separated by commas.", _with_commas(typed, words) or example
        )
    for target in targets:
        if not target:
            raise _Puzzle("The list of targets has an empty place. Drop the extra comma.", example)
        if _flag_spelling(target) == "dry-run":
            raise _Puzzle("Is dry-run a host? The flag has two dashes.", "--dry-run")
        if not _TARGET.fullmatch(target):
            raise _Puzzle(f"{_clipped(target)} does not look like a target: a host, or `tag:` and a name.", example)
    if len({target.lower() for target in targets}) < len(targets):
        raise _Puzzle("A target is named twice. Name each once.", example)
    return tuple("tag:" + target[4:] if target.lower().startswith("tag:") else target for target in targets)


def _with_commas(typed: str, words: Sequence[_Word]) -> str | None:
    """What `on web-01 and web-02` should have been, if it was that."""
    if not any(word.is_bare("and", "&") for word in words):
        return None
    names = [word.text.strip(",") for word in words if not word.is_bare("and", "&")]
    return f"{typed} on {_clip(','.join(names))}" if all(map(_TARGET.fullmatch, names)) else None


def _joined_list(words: Sequence[_Word]) -> str:
    """One list, with the stray spaces around its commas dropped."""
    return ",".join(part.strip(" ") for part in " ".join(word.text for word in words).split(","))


def _value(word: _Word) -> str:
    _refuse_masked(word)
    spelled = _flag_spelling(word.text)
    if spelled == "dry-run" or (word.quoted and word.text[0] in _DASHES and spelled in _RUN_FLAGS):
        raise _Puzzle(f"Is {_clipped(word.text)} a flag? Flags stand outside quotes, with two dashes.", f"--{spelled}")
    if not word.quoted and set(word.text) <= set(_DASHES.replace("-", "")):
        raise _Puzzle("A dash stands alone. Drop it, or write two dashes and a flag.", "--dry-run")
    if not word.quoted and word.text.startswith("="):
        raise _Puzzle("Parameters are written without spaces around the `=`.", "settle=5")
    return word.text


def _refuse_masked(word: _Word) -> None:
    """What redaction has altered can't become an argument."""
    if MASK in word.value:
        raise _Puzzle(
            "A value looked like a secret and was masked, so it can't be used. Leave secrets out of requests.",
        )


def _named(words: Iterable[_Word]) -> dict[str, str]:
    named: dict[str, str] = {}
    for word in words:
        _refuse_masked(word)
        if not word.value:
            raise _Puzzle(
                f"`{_clip(word.key)}` has no value. Write it without spaces around the `=`.", f"{_clip(word.key)}=5"
            )
        if word.key in named:
            raise _Puzzle(f"`{_clip(word.key)}` is given twice. Give it once.")
        if word.key in {"dry_run", "dryrun"}:
            raise _Puzzle("A dry run is asked for with a flag.", "--dry-run")
        named[word.key] = word.value
    return named


def _killswitch(words: list[_Word]) -> SwitchCommand | SwitchStatus:
    flags, others = _split_flags(_with_reason_joined(words), known=_SWITCH_FLAGS)
    scope = others[0].text.lower() if others and not others[0].quoted else ""
    if scope == "status" and len(others) == 1 and not flags:
        return SwitchStatus()
    if scope == "global":
        return _switch("global", "", others[1:], flags)
    if scope in get_args(Scope):
        return _subject_switch(next(known for known in get_args(Scope) if known == scope), others[1:], flags)
    raise _Puzzle(_which_switch(others), _switch_suggestion(others))


def _with_reason_joined(words: list[_Word]) -> list[_Word]:
    """Unquoted words after `--reason` are the reason, up to the next flag: nothing else can follow on or off."""
    for index, word in enumerate(words):
        if _is_flag(word) and not word.key_length and _flag_spelling(word.text) == "reason":
            end = index + 1
            while end < len(words) and not _is_flag(words[end]):
                end += 1
            if any(other.is_bare("on", "off") for other in words[:index]) and end - index > 2:
                reason = _Word(text=" ".join(_texts(words[index + 1 : end])), quoted=True)
                return [*words[: index + 1], reason, *words[end:]]
    return words


def _subject_switch(scope: Scope, words: list[_Word], flags: Mapping[str, str]) -> SwitchCommand:
    example = f"/killswitch {scope} {_EXAMPLES[scope]} on"
    if not words or (words[0].is_bare("on", "off") and not (len(words) > 1 and words[1].is_bare("on", "off"))):
        raise _Puzzle(f"Which {scope}? Its name comes before on or off.", example)
    subject = words[0].text
    if not _TARGET.fullmatch(subject):
        raise _Puzzle(f"{_clipped(subject)} does not look like the name of a {scope}.", example)
    return _switch(scope, _name(subject) if scope == "runbook" else subject, words[1:], flags)


_EXAMPLES: Mapping[str, str] = {"service": "nginx", "runbook": "restart-service", "host": "web-01", "tag": "web"}


def _switch(scope: Scope, subject: str, words: list[_Word], flags: Mapping[str, str]) -> SwitchCommand:
    where = f"{scope} {subject}".strip()
    if not words or not words[0].is_bare("on", "off"):
        raise _Puzzle(
            f"Should the kill switch of {where} be on or off? Say it after the name.", f"/killswitch {where} on"
        )
    engage = words[0].is_bare("on")
    if "now" in flags and not engage:
        raise _Puzzle("`--now` ends running commands, so it goes with on.", f"/killswitch {where} off")
    reason = " ".join(_texts(words[1:]))
    if reason and "reason" in flags:
        raise _Puzzle("There are two reasons, one of them behind `--reason`. Give one.")
    if len(reason) > VALUE_LIMIT:
        raise _Puzzle(f"The reason has {len(reason)} characters; at most {VALUE_LIMIT} are kept. Shorten it.")
    return SwitchCommand(
        scope=scope,
        subject=subject,
        engage=engage,
        now="now" in flags,
        reason=reason or flags.get("reason"),
    )


def _which_switch(words: Sequence[_Word]) -> str:
    kinds = "global, service, runbook, host or tag"
    if not words:
        return f"Which kill switch? Name one ({kinds}), or ask for the status."
    return f"{_clipped(words[0].text)} is not a kind of kill switch; say {kinds} first."


def _switch_suggestion(words: Sequence[_Word]) -> str:
    if not words or words[0].is_bare("status"):
        return "/killswitch status"
    if words[0].is_bare("on", "off"):
        return f"/killswitch global {words[0].text.lower()}"
    if len(words) > 1 and words[1].is_bare("on", "off") and _TARGET.fullmatch(words[0].text):
        return f"/killswitch service {_clip(words[0].text)} {words[1].text.lower()}"
    return "/killswitch global on"


def _audit(words: list[_Word]) -> AuditSearch:
    for word in words:
        if _is_flag(word):
            raise _Puzzle(
                f"There is no flag {_clipped(word.text)}. Filters are written `name=value`; put it in quotes to look "
                "for these very characters.",
                "/audit since=2h",
            )
    filters: dict[str, str | int] = {}
    for key, value in _named([word for word in words if word.key_length]).items():
        if key not in _FILTERS:
            near = next(iter(get_close_matches(key, _FILTERS, n=1)), None)
            hint = f"Did you mean `{near}=`?" if near else f"There are {', '.join(_FILTERS)}."
            raise _Puzzle(
                f"There is no filter {_clipped(key)}. {hint} Put the word in quotes to look for these very characters.",
                f"/audit {near or 'since'}={_FILTERS[near or 'since'].example}",
            )
        wanted = _FILTERS[key]
        found = wanted.read(value)
        if found is None:
            raise _Puzzle(f"{_clipped(value)} is not {wanted.what}.", f"/audit {key}={wanted.example}")
        filters[wanted.field] = found
    return AuditSearch(words=_texts(word for word in words if not word.key_length), **filters)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class _Filter:
    """One `key=value` of `/audit`. `read` gives None for a value that makes no sense."""

    field: str
    what: str
    example: str
    read: Callable[[str], str | int | None]


def _matched(pattern: str, *, drop: str = "") -> Callable[[str], str | None]:
    """The whole value, without one character `drop` in front; None when it has another form."""
    return lambda value: found if re.fullmatch(pattern, found := value.removeprefix(drop) if drop else value) else None


def _lowered(pattern: str) -> Callable[[str], str | None]:
    return lambda value: found if re.fullmatch(pattern, found := _name(value)) else None


def _numbered(value: str) -> int | None:
    return int(value.removeprefix("#")) if _EXECUTION_ID.fullmatch(value) else None


def _moment(value: str) -> str | None:
    """A length of time before now, a day, or a day and a time, in one spelling."""
    typed = value.upper()
    if re.fullmatch(r"([0-9]{1,6}[WDHMS])+", typed):
        return typed.lower()
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?", typed):
        return None
    try:
        return datetime.fromisoformat(typed).isoformat() if len(typed) > 10 else date.fromisoformat(typed).isoformat()
    except ValueError:
        return None


_MOMENTS = "a time; say 2h, 2026-11-20 or 2026-11-20T09:30"
_FILTERS: Mapping[str, _Filter] = {
    "who": _Filter(field="actor", what="a person", example="@someone", read=_matched(r"[^\s@#,]{1,80}", drop="@")),
    "runbook": _Filter(
        field="runbook", what="the name of a runbook", example="restart-service", read=_lowered(_NAME.pattern)
    ),
    "host": _Filter(field="host", what="the name of a host", example="web-01", read=_matched(_TARGET.pattern)),
    "kind": _Filter(
        field="kind", what="a kind of entry", example="execution.succeeded", read=_lowered(r"[a-z][a-z0-9_.-]{0,79}")
    ),
    "id": _Filter(field="execution_id", what="the number of an execution", example="42", read=_numbered),
    "incident": _Filter(
        field="incident", what="a channel", example="#db-is-down", read=_matched(r"[^\s@#,]{1,80}", drop="#")
    ),
    "since": _Filter(field="since", what=_MOMENTS, example="2h", read=_moment),
    "until": _Filter(field="until", what=_MOMENTS, example="2026-11-20", read=_moment),
    "page": _Filter(field="before", what="the number of an entry", example="1200", read=_numbered),
}
_SOUGHT: Mapping[str, _Filter] = {
    "runbook": _FILTERS["runbook"],
    "host": _Filter(field="host", what="the name of one host", example="web-01", read=_matched(_HOST)),
    "who": _FILTERS["who"],
    "state": _Filter(
        field="state",
        what=f"a state; there are {', '.join(state.value for state in State)}, and open",
        example="failed,timed_out",
        read=_states,
    ),
    "since": _FILTERS["since"],
    "until": _FILTERS["until"],
    "dry": _Filter(field="dry", what="yes (dry runs only) or no (none of them)", example="no", read=_lowered("yes|no")),
    "before": _Filter(field="before", what="the number of an execution", example="42", read=_numbered),
    "after": _Filter(field="after", what="the number of an execution", example="42", read=_numbered),
}
_SOUGHT_AS = {
    "person": "who",
    "actor": "who",
    "user": "who",
    "by": "who",
    "status": "state",
    "states": "state",
    "from": "since",
    "to": "until",
    "on": "host",
}


# Incidents.

_INCIDENT_EXAMPLE = '/incident open "checkout is slow" sev2 service=checkout'
_LONGEST_TITLE = 300
_SEVERITY = re.compile(r"sev-?([0-9]{1,3})")
_ROLE_NAMES: Mapping[str, IncidentRole] = {
    **{role.value: role for role in IncidentRole},
    "lead": IncidentRole.COMMANDER,
    "ic": IncidentRole.COMMANDER,
    "comms": IncidentRole.COMMUNICATIONS,
    "ops": IncidentRole.OPERATIONS,
}
_FREE = ("note", "resolve")


def _free_text(text: str) -> IncidentCommand | None:
    """A note or a summary, without reading it as words: an apostrophe opens nothing there. None for anything else."""
    if len(text) > TEXT_LIMIT:
        return None  # refused with all others
    named = re.sub(r"<@([A-Z0-9]+)(?:\|([^<>|]*))?>", lambda found: "@" + (found[2] or found[1]), text)
    head, rest = _first_word(_plain(named))
    if _name(head) == "/incident":
        head, rest = _first_word(rest)
    action = next((one for one in _FREE if one == _name(head)), None)
    if action is None:
        return None
    said = rest.strip()
    if len(said) > 1 and said[0] in _DOUBLE and said[-1] in _DOUBLE and not set(said[1:-1]) & set(_DOUBLE):
        said = said[1:-1].strip()
    if not said:
        what = "should be noted" if action == "note" else "was it, and what helped"
        raise _Puzzle(f"What {what}? Write it after `{action}`.", f"/incident {action} the cache was full")
    return IncidentCommand(action="note" if action == "note" else "resolve", text=said)


def _first_word(text: str) -> tuple[str, str]:
    head, _, rest = text.replace("\t", " ").strip().partition(" ")
    return head, rest.strip()


def _incident(words: list[_Word], *, mentioned: frozenset[str]) -> IncidentCommand:
    if not words:
        return IncidentCommand()
    head, rest = words[0], words[1:]
    action = next((one for one in get_args(IncidentAction) if head.is_bare(one)), None)
    if action is None:
        raise _Puzzle(*_which_incident(words))
    for word in words:
        if _is_flag(word):
            raise _Puzzle(
                f"There is no flag {_clipped(word.text)}. Put the title in quotes if it is part of it.",
                _INCIDENT_EXAMPLE,
            )
    match action:
        case "open":
            return _opened(action, rest)
        case "bind":
            if len(rest) == 1 and _EXECUTION_ID.fullmatch(rest[0].text) and not rest[0].quoted:
                return IncidentCommand(action="bind", number=int(rest[0].text.removeprefix("#")))
            return _opened(action, rest)
        case "severity":
            return _severity(rest)
        case "status":
            return _status(rest)
        case "role":
            return _role(rest, mentioned)
        case "show" | "timeline" | "postmortem":
            number = _incident_number(action, rest)
            return IncidentCommand(action=action, number=number)
        case _:
            if rest:
                raise _Puzzle(f"`{action}` takes nothing more.", f"/incident {action}")
            return IncidentCommand(action=action)


def _which_incident(words: Sequence[_Word]) -> tuple[str, str]:
    """What to ask when the first word is none of the actions."""
    head = words[0]
    typed = _name(head.text)
    if not head.quoted and typed in {status.value for status in IncidentStatus}:
        said = "resolve what it was and what helped" if typed == "resolved" else f"status {typed}"
        return f"Should the status become {typed}?", f"/incident {said}"
    if not head.quoted and _SEVERITY.fullmatch(typed) and len(words) == 1:
        return f"Should the severity become {typed}?", f"/incident severity {typed}"
    if not head.quoted and typed in _ROLE_NAMES:
        return f"Who should be {_ROLE_NAMES[typed]}?", f"/incident role {_ROLE_NAMES[typed]} @someone"
    near = next(iter(get_close_matches(typed, get_args(IncidentAction), n=1, cutoff=0.75)), None)
    if near and not head.quoted:
        return f"There is no `{_clip(typed)}`. Did you mean `{near}`?", f"/incident {near}"
    title = _clip(" ".join(word.text for word in words if not word.key_length))
    return "Should an incident be opened? Then say so.", f"/incident open {_quotes(title)}"


def _opened(action: Literal["open", "bind"], words: Sequence[_Word]) -> IncidentCommand:
    """A title in one or several words, with a severity and a service wherever they stand."""
    said: list[str] = []
    severities: list[int] = []
    for word in (word for word in words if not word.key_length):
        _refuse_masked(word)
        found = None if word.quoted else _SEVERITY.fullmatch(_name(word.text))
        if found is None:
            said.append(word.text)
        else:
            severities.append(int(found[1]))
    named = _named([word for word in words if word.key_length])
    severities += [_severity_of(named.pop("severity"))] if "severity" in named else []
    service = named.pop("service", None)
    if named:
        key = next(iter(named))
        raise _Puzzle(
            f"An incident has no {_clipped(key)}. There are `service=` and `sev1` to `sev4`.", _INCIDENT_EXAMPLE
        )
    if len(severities) > 1:
        raise _Puzzle("There are two severities. Give one, or put the title in quotes.", _INCIDENT_EXAMPLE)
    if severities and severities[0] not in SEVERITIES:
        raise _Puzzle(f"There is no sev{severities[0]}: sev1 is the worst, sev4 the least.", _INCIDENT_EXAMPLE)
    if service is not None and not _TARGET.fullmatch(service):
        raise _Puzzle(f"{_clipped(service)} does not look like the name of a service.", _INCIDENT_EXAMPLE)
    title = " ".join(said).strip()
    if not title:
        raise _Puzzle("What is wrong? Say it in a few words.", f'/incident {action} "checkout is slow" sev2')
    if len(title) > _LONGEST_TITLE:
        raise _Puzzle(f"The title has {len(title)} characters; at most {_LONGEST_TITLE} are kept. Shorten it.")
    return IncidentCommand(action=action, title=title, severity=severities[0] if severities else None, service=service)


def _severity_of(typed: str) -> int:
    found = re.fullmatch(r"(?:sev-?)?([0-9]{1,3})", _name(typed))
    if found is None or int(found[1]) not in SEVERITIES:
        raise _Puzzle(f"{_clipped(typed)} is no severity: write sev1 (the worst) to sev4.", "/incident severity sev2")
    return int(found[1])


def _severity(words: Sequence[_Word]) -> IncidentCommand:
    if len(words) != 1:
        raise _Puzzle("Which severity? One of sev1 (the worst) to sev4.", "/incident severity sev2")
    return IncidentCommand(action="severity", severity=_severity_of(words[0].text))


def _status(words: Sequence[_Word]) -> IncidentCommand:
    wanted = [status.value for status in IncidentStatus if status is not IncidentStatus.RESOLVED]
    typed = _name(words[0].text) if words else ""
    if typed == IncidentStatus.RESOLVED.value:
        raise _Puzzle("It is resolved with a summary.", "/incident resolve the cache was full; it is larger now")
    if len(words) != 1 or typed not in wanted:
        near = next(iter(get_close_matches(typed, wanted, n=1)), wanted[1])
        raise _Puzzle(f"Which status? There are {', '.join(wanted)}.", f"/incident status {near}")
    return IncidentCommand(action="status", status=IncidentStatus(typed))


def _role(words: Sequence[_Word], mentioned: frozenset[str]) -> IncidentCommand:
    typed = _name(words[0].text) if words else ""
    if typed not in _ROLE_NAMES:
        near = next(iter(get_close_matches(typed, _ROLE_NAMES, n=1)), "commander")
        raise _Puzzle(f"Which role? There are {', '.join(IncidentRole)}.", f"/incident role {near} @someone")
    role = _ROLE_NAMES[typed]
    if len(words) != 2:
        raise _Puzzle(f"Who is {role}? Mention one person, or say nobody.", f"/incident role {role} @someone")
    if words[1].is_bare("nobody", "none"):
        return IncidentCommand(action="role", role=role)
    if words[1].text not in mentioned or words[1].quoted:
        raise _Puzzle(
            f"Who is {_clipped(words[1].text)}? Mention them, so that Slack knows whom you mean.",
            f"/incident role {role} @someone",
        )
    return IncidentCommand(action="role", role=role, person=words[1].text)


def _incident_number(action: str, words: Sequence[_Word]) -> int | None:
    if not words:
        return None
    if len(words) > 1 or words[0].quoted or not _EXECUTION_ID.fullmatch(words[0].text):
        raise _Puzzle(f"`{action}` takes the number of an incident, or nothing.", f"/incident {action} 7")
    return int(words[0].text.removeprefix("#"))


# What there is to say.


def vocabulary() -> tuple[str, ...]:
    """Every form of every command, and every flag and filter of each, as `said_in` names them.

    Read off what the grammar takes, so that nothing can be typed that is not among them: "/runbook breaker reset",
    "/runbook retry --reason", "/audit who=".
    """
    found = ["/runbook", "/runbook NAME", "/runbook plan NAME", *(f"/runbook NAME --{flag}" for flag in _RUN_FLAGS)]
    for verb, form in _FORMS.items():
        heads = [f"/runbook {verb} {action}" for action in form.actions] or [f"/runbook {verb}"]
        found += [*heads, *([f"{heads[0]} {form.also}"] if form.also is not None else [])]
        found += [f"{heads[0]} --{flag}" for flag in sorted(form.flags)]
        found += [f"{heads[0]} {key}=" for key in (_SOUGHT if verb is Verb.HISTORY else form.keys or ())]
    found += ["/runbook can @someone", *(f"/runbook template {action}" for action in _TEMPLATE_ACTIONS)]
    found += ["/runbook schedule CRON", *(f"/runbook schedule CRON {word}" for word in ("as", "tz"))]
    found += [f"/runbook schedule {action}" for action in _SCHEDULE_ACTIONS]
    found += [f"/runbook schedule {action} {key}=" for action, keys in _SCHEDULE_KEYS.items() for key in keys]
    found += ["/killswitch status", *(f"/killswitch {scope} {way}" for scope in get_args(Scope) for way in _WAYS)]
    found += [f"/killswitch --{flag}" for flag in _SWITCH_FLAGS]
    found += ["/audit", *(f"/audit {key}=" for key in _FILTERS)]
    found += ["/incident", *(f"/incident {action}" for action in get_args(IncidentAction))]
    return (*found, *(f"/incident open {part}" for part in ("sev", "service=")))


def said_in(command: str, text: str) -> frozenset[str]:
    """What of the vocabulary the text after this command says; nothing of what is unclear."""
    if not text.strip() and command != "/killswitch":
        return frozenset({command})
    match command:
        case "/runbook":
            parsed = parse_runbook(text)
            return frozenset() if isinstance(parsed, Unclear) else frozenset(_said_of_runbook(parsed, text))
        case "/killswitch":
            return frozenset(_said_of_switch(parse_killswitch(text), text))
        case "/audit":
            found = parse_audit(text)
            given = [key for key, one in _FILTERS.items() if getattr(found, one.field, None) is not None]
            return frozenset() if isinstance(found, Unclear) else frozenset({command, *(f"/audit {k}=" for k in given)})
        case "/incident":
            return frozenset(_said_of_incident(parse_incident(text)))
        case _:
            return frozenset()


_WAYS = ("on", "off")


def _said_of_runbook(parsed: RunCommand | Query | TemplateCommand | ScheduleCommand, text: str) -> Iterator[str]:
    match parsed:
        case RunCommand():
            words = _words(text, command="/runbook")
            yield "/runbook plan NAME" if words[0].is_bare("plan") else "/runbook NAME"
            yield from (f"/runbook NAME --{flag}" for flag in _split_flags(words, known=_RUN_FLAGS)[0])
        case Query(verb=verb):
            form = _FORMS[verb]
            action = (parsed.words[0] if parsed.words else "list") if form.actions else ""
            head = f"/runbook {verb} {action}".rstrip()
            yield head
            yield from [f"{head} @someone"] if parsed.person is not None else []
            yield from (f"{head} {form.also}" for word in parsed.words[1:] if word == form.also)
            if form.flags:
                flags, _ = _split_flags(_words(text, command="/runbook"), known=_RUN_FLAGS)
                yield from (f"{head} --{flag}" for flag in flags)
            if form.keys or verb is Verb.HISTORY:
                yield from (f"{head} {key}=" for key in parsed.named)
        case TemplateCommand():
            yield f"/runbook template {parsed.action}"
        case ScheduleCommand(action="make"):
            yield "/runbook schedule CRON"
            yield from ["/runbook schedule CRON as"] if parsed.name else []
            yield from ["/runbook schedule CRON tz"] if parsed.timezone is not None else []
        case ScheduleCommand():
            yield f"/runbook schedule {parsed.action}"
            yield from ["/runbook schedule approve limit="] if parsed.limit is not None else []
            yield from ["/runbook schedule approve mark="] if parsed.mark is not None else []
            yield from ["/runbook schedule list page="] if parsed.page > 1 else []


def _said_of_switch(parsed: SwitchCommand | SwitchStatus | Unclear, text: str) -> Iterator[str]:
    match parsed:
        case SwitchStatus():
            yield "/killswitch status"
        case SwitchCommand():
            yield f"/killswitch {parsed.scope} {_WAYS[0] if parsed.engage else _WAYS[1]}"
            words = _with_reason_joined(_words(text, command="/killswitch"))
            yield from (f"/killswitch --{flag}" for flag in _split_flags(words, known=_SWITCH_FLAGS)[0])
        case Unclear():
            return


def _said_of_incident(parsed: IncidentCommand | Unclear) -> Iterator[str]:
    if isinstance(parsed, Unclear):
        return
    yield f"/incident {parsed.action}"
    if parsed.action == "open":
        yield from ["/incident open sev"] if parsed.severity is not None else []
        yield from ["/incident open service="] if parsed.service is not None else []


# Spelling.


def _spelled(command: RunCommand) -> str:
    parts = [command.runbook, *_spelled_words(command.values, command.named, command.targets)]
    parts += ["--dry-run"] if command.dry_run else []
    parts += [f"--reason {_spelled_value(command.reason)}"] if command.reason else []
    parts += [f"--priority {command.priority}"] if command.priority is not Priority.NORMAL else []
    parts += ["--emergency"] if command.emergency else []
    rollout = command.rollout
    parts += [f"--waves {rollout.waves}"] if rollout.waves is not None else []
    parts += [f"--pause {rollout.pause:g}s"] if rollout.pause is not None else []
    parts += [f"--max-failures {rollout.max_failures}"] if rollout.max_failures is not None else []
    return " ".join(parts)


def _spelled_template(command: TemplateCommand) -> str:
    start = " ".join(["template", command.action, *([command.name] if command.name else [])])
    if command.request is None:
        return start
    spelled = _spelled(command.request)
    return f"{start} {spelled if command.action == 'save' else spelled.partition(' ')[2]}".rstrip()


def question(query: Query) -> str:
    """The one spelling of a question, as Slack hands it over; reading it again gives the same."""
    return _escaped(_spelled_query(query))


def _spelled_schedule(command: ScheduleCommand) -> str:
    if command.request is None and command.cron:
        return f"schedule {_quotes(command.cron)}"
    if command.request is None:
        parts = ["schedule", command.action, *([_spelled_value(command.name)] if command.name else [])]
        parts += [f"page={command.page}"] if command.page > 1 else []
        parts += [f"limit={command.limit}"] if command.limit is not None else []
        return " ".join([*parts, *([f"mark={command.mark}"] if command.mark is not None else [])])
    parts = ["schedule", _quotes(command.cron), _spelled(command.request)]
    parts += [f"tz {_spelled_value(command.timezone)}"] if command.timezone is not None else []
    parts += [f"as {_spelled_value(command.name)}"] if command.name else []
    return " ".join(parts)


def spelling(command: RunCommand) -> str:
    """The one spelling of a run, as Slack hands it over; reading it again gives the same."""
    return _escaped(_spelled(command))


def schedule_spelling(command: ScheduleCommand) -> str:
    """The same of something about a schedule."""
    return _escaped(_spelled_schedule(command))


def kept_text(command: RunCommand) -> str:
    """The request in the one spelling, which reads back as the same; raises Invalid when there is none."""
    text = spelling(command)
    if parse_runbook(text) != command:
        raise Invalid("This request cannot be kept: it is too long, or ends a value with a backslash.")
    return text


def _spelled_query(query: Query) -> str:
    parts = [query.verb.value, *([f"@{query.person}"] if query.person else [])]
    parts += _spelled_words(query.words, query.named, query.targets)
    parts += [f"--reason {_spelled_value(query.reason)}"] if query.reason else []
    parts += ["--emergency"] if query.emergency else []
    return " ".join(parts)


def _spelled_words(values: Sequence[str], named: Mapping[str, str], targets: Sequence[str]) -> list[str]:
    words = [_spelled_value(value) for value in values]
    words += [f"{key}={_spelled_value(named[key])}" for key in sorted(named)]
    return [*words, f"on {','.join(targets)}"] if targets else words


def _spelled_value(value: str) -> str:
    plain = _PLAIN_VALUE.fullmatch(value) and value.lower() not in {"on", *_BEHIND}
    return value if plain or value.endswith("\\") else _quotes(value)  # quotes can't hold a last backslash


_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_/.:@][A-Za-z0-9_/.:@+%-]*")


def _quotes(value: str) -> str:
    return '"' + re.sub(f"([{_DOUBLE}])", r"\\\1", value) + '"'


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _texts(words: Iterable[_Word]) -> tuple[str, ...]:
    return tuple(word.text for word in words)


def _name(text: str) -> str:
    return re.sub(f"[{_DASHES}]", "-", text).lower()


def _clip(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"


def _clipped(text: str) -> str:
    return f"“{_clip(text)}”"
