"""Private keys: between their marks, counted as PuTTY does, or spelled out as openssl does.

`Keys` is fed the lines of one text in order and keeps a few words of state, never a line.
"""

import re
from collections.abc import Iterator

from safety.redaction.names import MASK, looks_random
from safety.redaction.shapes import Span

# Editors and chats turn hyphens into dashes, and some text formats space them. Every key that isn't public is private.
_DASHES = r"(?:[-\u2013\u2014\u2212]{2,10}+|(?:[-\u2013\u2014\u2212] ){2,9}[-\u2013\u2014\u2212])"
_KEY = r"(?![A-Za-z0-9 -]{0,60}PUBLIC)(?:[A-Za-z0-9 -]{0,60} )?(?:KEY|[Kk]ey)(?: BLOCK)?(?: [Vv]\d)?"
BEGIN = re.compile(rf"{_DASHES} ?BEGIN {_KEY} ?{_DASHES}")
_END = re.compile(rf"{_DASHES} ?END {_KEY} ?{_DASHES}")
_ON_ONE_LINE = re.compile(r"[A-Za-z0-9+/=]{16}|\\n")
_BODY_RUN = re.compile(r"[A-Za-z0-9+/_]{40}")
_BODY_REST = re.compile(r"[\s|>+\"',\\nr]*[A-Za-z0-9+/=_-]{1,76}[\s\"',\\nr]*")
_KEY_HEADER = re.compile(r"(?:Proc-Type|DEK-Info|Version|Comment|Charset|Hash|Subject|x-[\w-]+): ?[^\n]*")
_PUTTY = re.compile(r"Private-Lines: (\d{1,3})\s*\Z")
_PUTTY_MAC = re.compile(r"Private-(?:MAC|Hash): (?P<value>[0-9a-f]{32,})")

# What `openssl rsa -text` and its like print: labels, and below each of them bytes.
_SPELLED_OUT = re.compile(r"\s{0,8}(?:\w{1,10} )?Private-Key: \(\d")
_LABEL = re.compile(r"\s{0,8}(?P<label>[A-Za-z][\w ]{0,30}):(?:\s.{0,200})?\Z")
_PRIVATE_LABEL = re.compile(r"priv|privateExponent|prime\d|exponent\d|coefficient|private")
_BYTES = re.compile(r"\s{1,16}(?P<value>(?:[0-9a-fA-F]{2}:){1,40}(?:[0-9a-fA-F]{2})?)\s*\Z")


class Keys:
    """What the lines so far say about a private key in the next one."""

    def __init__(self) -> None:
        self._key_column = -1  # of the BEGIN mark, while inside a private key; -1 outside
        self._key_was_long = True
        self._putty_lines = 0
        self._spelled_out = False
        self._label = ""

    @property
    def waiting(self) -> bool:
        """Whether the next line can be part of a key."""
        return self._key_column >= 0 or self._putty_lines > 0 or self._spelled_out

    @property
    def inside(self) -> bool:
        """Whether nothing but a key can stand in the next line."""
        return self._key_column >= 0 or self._putty_lines > 0

    def spans(self, line: str) -> Iterator[Span]:
        """The parts of a key in this line."""
        if self._key_column >= 0 or begins_a_key(line):
            yield from self._private_key(line)
        elif self._putty_lines > 0:
            self._putty_lines -= 1
            yield inner(line)
        elif "Private-" in line:
            yield from (match.span("value") for match in _PUTTY_MAC.finditer(line))
            if putty := _PUTTY.match(line):
                self._putty_lines = int(putty[1])
            self._spelled_out = _SPELLED_OUT.match(line) is not None
        elif self._spelled_out:
            yield from self._bytes(line)

    def _bytes(self, line: str) -> Iterator[Span]:
        if label := _LABEL.match(line):
            self._label = label["label"]
        elif found := _BYTES.match(line):
            if _PRIVATE_LABEL.fullmatch(self._label):
                yield found.span("value")
        else:
            self._spelled_out, self._label = False, ""

    def _private_key(self, line: str) -> Iterator[Span]:
        """The body between the marks, on one line or many; the marks stay."""
        position = 0
        while True:
            if self._key_column < 0:
                begin = BEGIN.search(line, position)
                if not begin:
                    return
                self._key_column, self._key_was_long, position = begin.start(), True, begin.end()
                if not line[position:].strip(" \r\"'\\n,"):
                    return
                near = position + 200
                if not _END.search(line, position, near) and not _ON_ONE_LINE.search(line, position, near):
                    self._key_column = -1  # a sentence about the mark
                    continue
            end = _END.search(line, position)
            stop = end.start() if end else len(line)
            if position == 0 and not end and not self._is_body(line):
                self._key_column = -1
                return
            if MASK in line[position:stop] and not _BODY_RUN.search(line, position, stop):
                if not end:
                    return  # redacted before
                self._key_column, position = -1, end.end()
                continue
            span = self._body(line, position, stop)
            if span[0] < span[1]:
                yield span
            if not end:
                return
            self._key_column, position = -1, end.end()

    def _is_body(self, line: str) -> bool:
        """A line of base64, also behind a log's prefix; a very short one only once, as the last."""
        if MASK in line:
            self._key_was_long = False  # no line that was left after it is a part of the key
            place = line.find(MASK)
            ends = line.rstrip(" \t\"',\\nr").endswith(MASK)
            return ends and (place == self._key_column or not line[:place].strip())
        rest = line[self._key_column :] if len(line) > self._key_column else line
        text = rest.strip()
        if not line.strip() or _KEY_HEADER.match(text) or _KEY_HEADER.match(line.strip()):
            return True
        long = _BODY_RUN.search(line) is not None or (_BODY_REST.fullmatch(rest) is not None and looks_random(text))
        if not long and not (self._key_was_long and (_BODY_REST.fullmatch(rest) or _BODY_REST.fullmatch(line))):
            return False
        self._key_was_long = long or text.startswith("=") or len(text) < 2
        return True

    def _body(self, line: str, start: int, stop: int) -> Span:
        """The part of the line that is key: without the prefix that stood before the first mark, and without spaces."""
        column = self._key_column
        prefix = line[:column].strip()
        if start == 0 and prefix and column <= stop and not _BODY_REST.fullmatch(prefix):
            start = column
        text = line[start:stop]
        if start == 0 and stop < len(line) and not re.search(r"[A-Za-z0-9+/=]{4}", text):
            return start, start  # a prefix before the last mark
        begin = start + len(text) - len(text.lstrip(" \t"))
        return begin, begin + len(line[begin:stop].rstrip())


def begins_a_key(line: str) -> bool:
    """Whether a private key's first mark is in this line."""
    return "BEGIN " in line and BEGIN.search(line) is not None


def inner(line: str) -> Span:
    """The line without the spaces around it."""
    begin = len(line) - len(line.lstrip())
    return begin, max(begin, len(line.rstrip()))
