"""Text to a request: the grammar of the slash commands, pure and without knowledge of the catalogue.

A text is cleaned (Slack's entities, mentions and links, typographic spaces), cut into words (quotes, backticks), and
the words are read: name, values, `key=value`, `on` targets, flags. Whatever could be read in two ways is not read at
all: the answer is `Unclear`, which names the thing and the next move. Nothing here raises.

    /runbook NAME [values…] [key=value…] [on TARGET[,TARGET…|tag:web]]
             [--dry-run] [--reason "…"] [--priority high|normal|low] [--emergency]
    /runbook help|list|show|plan|status|logs|cancel|retry|rollback|resume|history|why|can …
    /killswitch global on|off [--now] [reason]
    /killswitch service|runbook|host|tag NAME on|off [--now] [reason]
    /killswitch status
    /audit [words…]
    /incident [words…]
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import Literal, get_args

from safety.redaction import MASK
from storage.records import Priority

TEXT_LIMIT = 4_000  # characters of one slash command
VALUE_LIMIT = 1_000  # characters of one value

Scope = Literal["global", "service", "runbook", "host", "tag"]


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
    WHY = "why"
    CAN = "can"

    @property
    def flags(self) -> frozenset[str]:
        """Flags that mean something here; any other is asked about, never dropped."""
        if self in {Verb.RETRY, Verb.ROLLBACK, Verb.RESUME}:
            return frozenset({"reason", "emergency"})
        return frozenset({"reason"}) if self is Verb.CANCEL else frozenset()


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


@dataclass(frozen=True, kw_only=True)
class Query:
    """Any other subcommand of `/runbook`, with its words."""

    verb: Verb
    words: tuple[str, ...] = ()
    named: Mapping[str, str] = field(default_factory=dict, hash=False)
    targets: tuple[str, ...] = ()
    reason: str | None = None
    emergency: bool = False


@dataclass(frozen=True, kw_only=True)
class SwitchCommand:
    """Engage or release one kill switch. `subject` is empty for the global one."""

    scope: Scope
    subject: str = ""
    engage: bool
    now: bool = False
    reason: str | None = None
    emergency: bool = False


@dataclass(frozen=True, kw_only=True)
class SwitchStatus:
    """Which kill switches are engaged?"""


@dataclass(frozen=True, kw_only=True)
class AuditSearch:
    """What to look for in the audit; nothing means the latest entries. `before`: only entries with a lower number."""

    words: tuple[str, ...] = ()
    before: int | None = None


@dataclass(frozen=True, kw_only=True)
class IncidentCommand:
    """The words of `/incident`."""

    words: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Unclear:
    """Not run: what could not be read, and the next move. `suggestion` is a command to copy, or an example."""

    message: str
    suggestion: str | None = None


def parse_runbook(text: str) -> RunCommand | Query | Unclear:
    """The text after `/runbook` (or with it) as a run, a question, or a question back."""
    try:
        return _runbook(_words(text, command="/runbook"))
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
        typed = _texts(_words(text, command="/audit"))
    except _Puzzle as puzzle:
        return puzzle.answer
    pages = [word for word in typed if _BEFORE.fullmatch(word)]
    words = tuple(word for word in typed if word not in pages)
    return AuditSearch(words=words, before=int(pages[-1].partition("=")[2]) if pages else None)


_BEFORE = re.compile(r"before=[0-9]{1,18}", re.IGNORECASE)


def parse_incident(text: str) -> IncidentCommand | Unclear:
    """The text after `/incident` (or with it); a quoted phrase is one word."""
    try:
        return IncidentCommand(words=_texts(_words(text, command="/incident")))
    except _Puzzle as puzzle:
        return puzzle.answer


def normalised(text: str) -> str:
    """One spelling for every text of `/runbook` that asks for the same; two texts that ask for different things differ.

    Reading the result again gives the same request. A text that is unclear keeps its words, with single spaces.
    """
    match parse_runbook(text):
        case RunCommand() as command:
            return _escaped(_spelled(command))
        case Query() as query:
            return _escaped(_spelled_query(query))
        case Unclear():
            return " ".join(text.split())


class _Puzzle(Exception):
    """The text can be read in no way, or in two."""

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.answer = Unclear(message=message, suggestion=suggestion)


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


_TAKES_VALUE = {"reason": '--reason "disk is full"', "priority": "--priority high"}
_RUN_FLAGS = ("dry-run", "reason", "priority", "emergency")
_SWITCH_FLAGS = ("now", "reason", "emergency")


def _runbook(words: list[_Word]) -> RunCommand | Query:
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
    if name in set(Verb):
        return _query(Verb(name), rest)
    return _run(name, rest)


def _plan(words: list[_Word]) -> RunCommand:
    if not words:
        raise _Puzzle("Which runbook should be planned?", "/runbook plan restart nginx on web-01")
    if _name(words[0].text) in {"plan", *Verb}:
        raise _Puzzle(
            f"`{_name(words[0].text)}` is a subcommand and can't be planned.", "/runbook plan restart nginx on web-01"
        )
    return _run(_name(words[0].text), words[1:], planning=True)


def _run(name: str, words: list[_Word], *, planning: bool = False) -> RunCommand:
    if name == "on":
        raise _Puzzle("Which runbook? Its name comes first.", "/runbook restart nginx on web-01")
    if not _NAME.fullmatch(name):
        raise _Puzzle(f"{_clipped(name)} is not the name of a runbook. See `/runbook list`.", "/runbook list")
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
    )


def _query(verb: Verb, words: list[_Word]) -> Query:
    request = _sorted(verb.value, words, flags=_RUN_FLAGS)
    for flag in request.flags:
        if flag not in verb.flags:
            raise _Puzzle(
                f"`{verb}` takes no `--{flag}`. Leave it out.",
                "/runbook " + _spelled_query(Query(verb=verb, words=request.values)),
            )
    return Query(
        verb=verb,
        words=request.values,
        named=request.named,
        targets=request.targets,
        reason=request.reason,
        emergency="emergency" in request.flags,
    )


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
    raise _Puzzle(f"There is no flag {_clipped(typed)}; there are {listed}. Parameters are written `name=value`.")


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
    _refuse_loose_reason(value, quoted, waiting)
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
    return re.sub(r" *, *", ",", " ".join(word.text for word in words))


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
        emergency="emergency" in flags,
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


# Spelling.


def _spelled(command: RunCommand) -> str:
    parts = [command.runbook, *_spelled_words(command.values, command.named, command.targets)]
    parts += ["--dry-run"] if command.dry_run else []
    parts += [f"--reason {_spelled_value(command.reason)}"] if command.reason else []
    parts += [f"--priority {command.priority}"] if command.priority is not Priority.NORMAL else []
    parts += ["--emergency"] if command.emergency else []
    return " ".join(parts)


def _spelled_query(query: Query) -> str:
    parts = [query.verb.value, *_spelled_words(query.words, query.named, query.targets)]
    parts += [f"--reason {_spelled_value(query.reason)}"] if query.reason else []
    parts += ["--emergency"] if query.emergency else []
    return " ".join(parts)


def _spelled_words(values: Sequence[str], named: Mapping[str, str], targets: Sequence[str]) -> list[str]:
    words = [_spelled_value(value) for value in values]
    words += [f"{key}={_spelled_value(named[key])}" for key in sorted(named)]
    return [*words, f"on {','.join(targets)}"] if targets else words


def _spelled_value(value: str) -> str:
    plain = _PLAIN_VALUE.fullmatch(value) and value.lower() != "on"
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
