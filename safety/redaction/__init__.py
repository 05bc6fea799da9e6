"""The one boundary where text enters: what is secret becomes a mask, everything else stays byte for byte.

Three layers, each with its own file: values we hold, in every form a program may print them (`known`); tokens with a
shape of their own (`shapes`); and secrets named by what stands around them, on one line (`forms` lists the ways, with
names and harmless values in `names`) or over several (`blocks`, `keys`, `tables`). A bare word without any form can't
be seen.

Every line goes through `_Lines`: unless one of a few dozen words occurs, or a block is open, it is left at once; and so
are all lines of a chunk, where that can be said of them together.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from traceback import extract_tb

import structlog

from safety.redaction.blocks import Blocks
from safety.redaction.documents import account_files
from safety.redaction.forms import FORMS
from safety.redaction.keys import BEGIN
from safety.redaction.known import Known
from safety.redaction.names import MASK, is_harmless, names_secret
from safety.redaction.shapes import Span, has_long_run, tokens

__all__ = ["MASK", "Redacted", "RedactingFilter", "RedactingStream", "Redactor"]

LONGEST_LINE = 32_768  # characters looked at together; longer lines are cut
OVERLAP = 2_048  # characters looked at again on each side of a cut

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Redacted:
    """A text that may be stored and posted. `altered`: it is not what was printed, so it can't become a fact."""

    text: str
    altered: bool


class Redactor:
    """Masks secrets. `secrets` are exact values we hold; those shorter than six characters are ignored."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = Known(secrets)

    def hold(self, secret: str) -> None:
        """Mask this value, too, from now on: also in streams that are open already."""
        self._known.add(secret)

    def redact(self, text: str) -> Redacted:
        """A whole text, with its line ends as they were. Never raises."""
        if "\n" not in text and "\r" not in text and len(text) <= LONGEST_LINE:
            result = _Lines(self._known).redact(text)
            return Redacted(text=result, altered=result is not text and result != text)
        pieces = self.filter()
        result = pieces.feed(text) + pieces.close()
        return Redacted(text=result, altered=result != text)

    def redact_field(self, name: str, text: str) -> Redacted:
        """The text of a field that has this name, as `password` of a log's event."""
        if names_secret(name) and not is_harmless(text, name=name, quoted=True):
            return Redacted(text=MASK, altered=True)
        return self.redact(text)

    def filter(self) -> "RedactingFilter":
        """For a text that arrives in chunks and leaves with its line ends, as from a pipe."""
        return RedactingFilter(_Pieces(self._known))

    def stream(self) -> "RedactingStream":
        """For a text that arrives in chunks and is kept by the line."""
        return RedactingStream(_Pieces(self._known))


class RedactingFilter:
    """A text in chunks, cut anywhere. What comes out, put together, is the whole text redacted at once."""

    def __init__(self, pieces: "_Pieces") -> None:
        self._pieces = pieces

    def feed(self, text: str) -> str:
        """What can be passed on by now: complete lines, and pieces of a line that is too long to wait for."""
        return "".join(text + end for text, end, _ in self._pieces.feed(text))

    def close(self) -> str:
        """The last line, if it had no line end."""
        return "".join(text + end for text, end, _ in self._pieces.close())


class RedactingStream:
    """Lines of a text that arrives in chunks, cut anywhere. Keeps at most `LONGEST_LINE` and one chunk."""

    def __init__(self, pieces: "_Pieces") -> None:
        self._pieces = pieces

    def feed(self, text: str) -> list[Redacted]:
        """The lines that are complete by now, without their line ends. A very long line comes in altered pieces."""
        return [Redacted(text=text, altered=altered) for text, _, altered in self._pieces.feed(text)]

    def close(self) -> list[Redacted]:
        """The last line, if it had no line end."""
        return [Redacted(text=text, altered=altered) for text, _, altered in self._pieces.close()]


_TOGETHER = 16  # lines that are not parted any more to find out which of them are plain
# A line, or a part of a very long one, as it may be passed on; its line end, empty where none stood; and whether it
# was altered.
_Piece = tuple[str, str, bool]


class _Pieces:
    """A text that arrives in chunks, as redacted pieces. Where the chunks are cut makes no difference to them."""

    def __init__(self, known: Known) -> None:
        self._lines = _Lines(known)
        self._rest = ""
        self._cut: _LongLine | None = None

    def feed(self, text: str) -> list[_Piece]:
        """The pieces that are complete by now."""
        if "\n" not in text:
            self._rest += text
            return list(self._long()) if len(self._rest) > LONGEST_LINE else []
        *lines, rest = (self._rest + text).split("\n")
        done = self._all(lines)
        self._rest = rest
        if len(self._rest) > LONGEST_LINE:
            done.extend(self._long())
        return done

    def _all(self, lines: Sequence[str]) -> list[_Piece]:
        """Whole lines. Of many, those in whose midst there is something to look at are looked at one by one."""
        if self._cut is None and self._lines.leave_alone(lines):
            return [(line[:-1], "\r\n", False) if line.endswith("\r") else (line, "\n", False) for line in lines]
        if len(lines) > _TOGETHER:
            half = len(lines) // 2
            return [*self._all(lines[:half]), *self._all(lines[half:])]
        done: list[_Piece] = []
        for line in lines:
            if self._cut is None and len(line) <= LONGEST_LINE:
                done.append(self._line(line, "\n"))
            else:
                self._rest = line
                done.extend(self._last_of_long("\n"))
        return done

    def close(self) -> list[_Piece]:
        """The last piece, if the text did not end with a line's end."""
        line, self._rest = self._rest, ""
        if self._cut is not None or len(line) > LONGEST_LINE:
            self._rest = line
            return self._last_of_long("")
        return [self._line(line, "")] if line else []

    def _line(self, line: str, end: str) -> _Piece:
        if line.endswith("\r"):
            line, end = line[:-1], "\r" + end
        text = self._lines.redact(line)
        return text, end, text is not line and text != line

    def _long(self) -> Iterator[_Piece]:
        """Pieces of a line that is too long to wait for."""
        cut = self._cut = self._cut or _LongLine(self._lines)
        while len(self._rest) > LONGEST_LINE:
            piece, self._rest = cut.piece(self._rest)
            yield piece, "", True

    def _last_of_long(self, end: str) -> list[_Piece]:
        """What is left of a line that came, or will come, in pieces."""
        cut = self._cut = self._cut or _LongLine(self._lines)
        pieces = list(self._long())
        if self._rest.endswith("\r"):
            self._rest, end = self._rest[:-1], "\r" + end
        pieces.append((cut.end(self._rest), end, True))
        self._rest, self._cut = "", None
        return pieces


# One line.

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]|\x1b\][0-9]*;"
    r"(?:[^;\x07\x1b]*;)?|\x1b\\|\x07|\x1b[()*+][0-9A-Za-z]"
    r"|\x1b[=>78cDEHMNOZ]|[^\x08]\x08"
)


def _fewest(words: Iterable[str]) -> tuple[str, ...]:
    """The words that don't contain another one: `pass` finds `password` too."""
    known = set(words)
    return tuple(sorted(word for word in known if not any(other in word for other in known - {word})))


# Without one of these, only an open block, a long run or a password file's colons can make a line secret. Words that
# hold one of the marks are looked for only in lines that have the mark at all.
_MARKS = (
    "]:",
    " -",
    "=",
    "{",
    " /",
    "\x00",
    '"',
    "'",
    "%",
    "_",
    "ctl",
    "sql",
    "pdp",
    "crypt",
    "user",
    "|",
    "(",
    "<<<",
    "set",
    "ss",
)
_NEEDLES = {*(needle for form in FORMS for needle in form.rare), "private-", "machine ", "apiversion", "ugfzc3dvcmq6"}


def _with_marks() -> Iterator[tuple[str, tuple[str, ...]]]:
    left = set(_NEEDLES)
    for mark in _MARKS:
        words = {word for word in left if mark in word}
        left -= words
        yield mark, _fewest(words)
    yield "", _fewest(left)


*_MARKED, (_, _WORDS) = _with_marks()


class _Lines:
    """The lines of one text, in order."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._blocks: Blocks | None = None  # made when a line first needs it: most texts have none

    def leave_alone(self, lines: Sequence[str]) -> bool:
        """Whether it is plain that none of these lines holds a secret, or explains one that follows.

        Asked of them together, which costs a fraction: whatever is looked for stands in one line.
        """
        if len(lines) < 2 or (self._blocks is not None and self._blocks.waiting):
            return False
        text, pattern = "\n".join(lines), self._known.pattern
        if len(text) > LONGEST_LINE or "\x1b" in text or "\b" in text or "\x9b" in text:
            return False
        if has_long_run(text) or _has_words(_lower(text)) or any(_is_account(line) for line in lines):
            return False
        return pattern is None or pattern.search(text) is None

    def redact(self, line: str) -> str:
        """The line with its secrets masked; the very same object if there are none."""
        spans = self.spans(line)
        if not spans:
            return line
        # A mask parts what was together, and so may show a form that was hidden: redacting twice changes nothing.
        line = _masked(line, spans)
        for _ in range(_ROUNDS):
            spans = self._found(line, self._lone_spans)  # what the line tells by itself, whatever came before it
            if not spans:
                break
            line = _masked(line, spans)
        return line

    def spans(self, line: str) -> list[Span]:
        """Where the secrets stand, in order, none touching another."""
        return self._found(line, self._spans)

    def _found(self, line: str, spans_of: Callable[[str], list[Span]]) -> list[Span]:
        try:
            escaped = "\x1b" in line or "\b" in line or "\x9b" in line
            found = self._through_escapes(line, spans_of) if escaped else spans_of(line)
        except Exception as error:  # no fault of ours may let a secret through, or stop the text that follows
            last = extract_tb(error.__traceback__)[-1]
            log.error("redaction_failed", error=type(error).__name__, at=f"{last.name}:{last.lineno}")
            return [(0, len(line))]
        return _merged([span for span in found if span[0] < span[1]]) if found else found

    def _through_escapes(self, line: str, spans_of: Callable[[str], list[Span]]) -> list[Span]:
        """Places found in the text as a terminal shows it, as places of the text that was sent."""
        plain, places = _shown(line)
        found = [(places[begin], places[end - 1] + 1) for begin, end in spans_of(plain) if begin < end]
        found.extend(self._held(line))
        # A colour code may be all that parts a token from the word before it.
        spaced = _ESCAPES.sub(lambda match: " " * len(match[0]), line)
        found.extend(_beside_masks(line, list(tokens(spaced))) if MASK in line else tokens(spaced))
        return found

    def _spans(self, line: str) -> list[Span]:
        lower = _lower(line)
        if (self._blocks is not None and self._blocks.waiting) or _has_words(lower):
            self._blocks = self._blocks or Blocks()
            found = [*_of_forms(line, lower), *self._blocks.spans(line)]
        else:
            found = []
        if has_long_run(line) or line.count(":") > 3:
            found.extend(_of_shapes(line))
        if self._known.pattern is not None:
            found.extend(self._held(line))
        return found

    def _lone_spans(self, line: str) -> list[Span]:
        lower = _lower(line)
        return [*(_of_forms(line, lower) if _has_words(lower) else ()), *_of_shapes(line), *self._held(line)]

    def _held(self, line: str) -> list[Span]:
        pattern = self._known.pattern
        return [match.span() for match in pattern.finditer(line)] if pattern else []


_ROUNDS = 4


def _of_forms(line: str, lower: str) -> list[Span]:
    found: list[Span] = []
    for form in FORMS:
        for needle in form.needles:
            if needle in lower:
                found.extend(form.find(line))
                break
    if "PRIVATE KEY" in line:
        found = _up_to_key(line, found)
    return _beside_masks(line, found) if MASK in line else found


def _up_to_key(line: str, spans: list[Span]) -> list[Span]:
    """A value that runs into the mark of a private key ends before it: the mark must be seen again."""
    marks = [match.span() for match in BEGIN.finditer(line)]
    cut: list[Span] = []
    for begin, end in spans:
        stops = [start for start, stop in marks if begin < start < end < stop]
        cut.append((begin, min([end, *stops])))
    return cut


def _of_shapes(line: str) -> list[Span]:
    found: list[Span] = []
    if line.count(":") > 3:
        found.extend(account_files(line))
    if has_long_run(line):
        found.extend(tokens(line))
    return _beside_masks(line, found) if found and MASK in line else found


def _lower(text: str) -> str:
    """In lower case, with a line feed before each line: so that a word may ask to stand at the beginning of one."""
    return f"\n{text.lower()}"


def _is_account(line: str) -> bool:
    return line.count(":") > 3 and next(account_files(line), None) is not None


def _has_words(lower: str) -> bool:
    for word in _WORDS:  # not any(): this is every line
        if word in lower:
            return True
    for mark, words in _MARKED:
        if mark in lower:
            for word in words:
                if word in lower:
                    return True
    return False


def _shown(line: str) -> tuple[str, list[int]]:
    """The text without colour codes and overstrikes, and for each of its characters the place it came from."""
    kept: list[str] = []
    places: list[int] = []
    position = 0
    for match in _ESCAPES.finditer(line):
        kept.append(line[position : match.start()])
        places.extend(range(position, match.start()))
        position = match.end()
    kept.append(line[position:])
    places.extend(range(position, len(line)))
    return "".join(kept), places


def _beside_masks(line: str, spans: list[Span]) -> list[Span]:
    """The places that no mask in the text touches: what was redacted once stays as it is."""
    masks = [match.span() for match in re.finditer(re.escape(MASK), line)]
    return [span for span in spans if not any(span[0] < end and begin < span[1] for begin, end in masks)]


def _merged(spans: list[Span]) -> list[Span]:
    if len(spans) < 2:
        return spans
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _masked(line: str, spans: list[Span]) -> str:
    """Masks instead of the secrets; colour codes inside them stay, so that a colour doesn't run on."""
    pieces: list[str] = []
    position = 0
    for begin, end in spans:
        pieces += (line[position:begin], MASK)
        if "\x1b" in line[begin:end]:
            pieces += _COLOURS.findall(line, begin, end)
        position = end
    return "".join((*pieces, line[position:]))


_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")


class _LongLine:
    """A line cut into pieces. Each piece is looked at with what stood before it and what follows it.

    A secret that reaches the end of what can be seen is swallowed up to the next space or quote, however far that is.
    """

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines
        self._before = ""  # the end of the piece before, as it was
        self._inside = False  # the piece before ended inside a secret

    def piece(self, text: str) -> tuple[str, str]:
        """The redacted first piece of a text longer than `LONGEST_LINE`, and the rest."""
        cut = LONGEST_LINE - OVERLAP
        return self._redacted(text[:LONGEST_LINE], cut), text[cut:]

    def end(self, text: str) -> str:
        """The redacted last piece."""
        return self._redacted(text, len(text))

    def _redacted(self, window: str, cut: int) -> str:
        swallowed = self._swallowed(window)
        shift = len(self._before)
        whole = self._before + window
        spans = [(max(0, begin - shift), end - shift) for begin, end in self._lines.spans(whole) if end > shift]
        if swallowed:
            spans = _merged([(0, swallowed), *spans])
        self._inside = any(begin < cut <= end for begin, end in spans) and len(window) > cut
        text = _masked(window[:cut], [(begin, min(end, cut)) for begin, end in spans if begin < cut])
        self._before = whole[shift + cut - OVERLAP : shift + cut] if shift + cut >= OVERLAP else whole[: shift + cut]
        return text

    def _swallowed(self, window: str) -> int:
        if not self._inside:
            return 0
        end = _SWALLOWED.match(window)
        return end.end() if end else 0


_SWALLOWED = re.compile(r"[^\s\"']+")
