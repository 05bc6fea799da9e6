"""Secrets that run over several lines: private keys, YAML and JSON of Kubernetes secrets, block scalars, netrc files.

`Blocks` is fed the lines of one text in order and gives, for each, the places owed to lines before it. It keeps a few
words of state and never a line.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator

from safety.redaction.names import is_harmless, names_secret
from safety.redaction.shapes import Span

_BEGIN = re.compile(r"-{4,5} ?BEGIN (?:[A-Z0-9 ]{0,40} )?PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_END = re.compile(r"-{4,5} ?END (?:[A-Z0-9 ]{0,40} )?PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_BODY_RUN = re.compile(r"[A-Za-z0-9+/_]{40}")
_BODY_REST = re.compile(r"[\s|>+\"',\\nr]*[A-Za-z0-9+/=_-]{1,76}[\s\"',\\nr]*")
_KEY_HEADER = re.compile(r"(?:Proc-Type|DEK-Info|Version|Comment|Charset|Hash|Subject|x-[\w-]+): ?[^\n]*")
_PUTTY = re.compile(r"Private-Lines: (\d{1,3})\s*\Z")
_PUTTY_MAC = re.compile(r"Private-(?:MAC|Hash): (?P<value>[0-9a-f]{32,})")

_API_VERSION = re.compile(r"\s*(?:- )?\"?apiVersion\"?: ?\"?v1\"?,?\s*\Z")
_KIND = re.compile(r"\s*(?:- )?\"?kind\"?: ?[\"']?(?P<kind>\w+)[\"']?,?\s*\Z")
_DATA = re.compile(r"(?P<indent>[ ]{0,60})(?:- )?\"?(?P<name>data|stringData)\"?: ?(?P<brace>\{?)\s*\Z")
_ENTRY = re.compile(
    r"(?P<indent>[ ]{0,60})[\"']?(?P<key>[\w.-]{1,253}+)[\"']?: ?(?P<quote>[\"']?)(?P<value>[^\"'\r\n]*)[\"']?,?\s*\Z"
)
_SCALAR = re.compile(
    r"(?P<indent>[ ]{0,60})(?:- )?[\"']?(?P<name>[\w.-]{1,100}+)[\"']?: ?(?:![\w!]+ )?[|>][+-]?\d?\s*(?:#[^\n]*)?\Z"
)
_NAME = re.compile(
    r"[ \t]{0,60}(?:- |\{ ?)?[\"']?(?:name|key|Name|Key|ParameterKey)[\"']?[ \t]?[:=][ \t]"
    r"{0,8}[\"']?(?P<name>[\w./-]{1,100}+)[\"']?,?\s*\Z"
)
_VALUE = re.compile(
    r"[ \t]{0,60}[\"']?(?:value|Value|ParameterValue)[\"']?[ \t]?[:=][ \t]{0,8}"
    r"(?P<quote>[\"']?)(?P<value>[^\r\n]+?)[\"']?,?\s*\Z"
)
_MACHINE = re.compile(r"\s*machine\s+\S+\s*\Z|\s*machine\s+\S+\s+login\s+\S+\s*\Z")
_NETRC_WORD = re.compile(r"\s*(?:login|account|macdef|port)\s+\S+\s*\Z")
_NETRC_PASSWORD = re.compile(r"\s*(?:login\s+\S+\s+)?password\s+(?P<value>\S+)\s*\Z")
_INLINE_SECRET = re.compile(r"\"kind\": ?\"Secret\"")
_INLINE_DATA = re.compile(r"\"(?:data|stringData)\": ?\{")
_INLINE_ENTRY = re.compile(r"[ ,]{0,8}\"[^\"\\]{1,253}\" ?: ?\"(?P<value>(?:[^\"\\]|\\.)*+)(?:\"|\Z)")


class Blocks:
    """What the lines so far say about the next one."""

    def __init__(self) -> None:
        self._key_column = -1  # of the BEGIN mark, while inside a private key; -1 outside
        self._key_was_long = True
        self._putty_lines = 0
        self._kind = ""  # of the Kubernetes object, as far as known
        self._data_indent = -1
        self._scalar_indent = -1
        self._pending_name = False
        self._netrc = False

    @property
    def waiting(self) -> bool:
        """Whether the next line can hold a secret because of the lines before it."""
        return (
            self._key_column >= 0
            or self._putty_lines > 0
            or self._data_indent >= 0
            or self._scalar_indent >= 0
            or self._pending_name
            or self._netrc
            or self._kind in {"Secret", "v1"}
        )

    def spans(self, line: str) -> list[Span]:
        """The secrets of this line that the lines before it explain, and those that a private key's marks enclose."""
        if self._key_column >= 0 or "PRIVATE KEY" in line:
            return list(self._private_key(line))
        if self._putty_lines > 0:
            self._putty_lines -= 1
            return [_inner(line)]
        found = [match.span("value") for match in _PUTTY_MAC.finditer(line)] if "Private-" in line else []
        return [*found, *self._scalar(line), *self._kubernetes(line), *self._pairs(line), *self._login_file(line)]

    def _private_key(self, line: str) -> Iterator[Span]:
        """The body between the marks, on one line or many; the marks stay."""
        position = 0
        while True:
            if self._key_column < 0:
                begin = _BEGIN.search(line, position)
                if not begin:
                    return
                self._key_column, self._key_was_long, position = begin.start(), True, begin.end()
                if not line[position:].strip(" \r\"'\\n,"):
                    return
            end = _END.search(line, position)
            stop = end.start() if end else len(line)
            if position == 0 and not end and not self._is_body(line):
                self._key_column = -1
                return
            span = self._body(line, position, stop)
            if span[0] < span[1]:
                yield span
            if not end:
                return
            self._key_column, position = -1, end.end()

    def _is_body(self, line: str) -> bool:
        """A line of base64, also behind a log's prefix; a shorter one only once, as the last."""
        rest = line[self._key_column :] if len(line) > self._key_column else line
        text = rest.strip()
        if not line.strip() or _KEY_HEADER.match(text) or _KEY_HEADER.match(line.strip()):
            return True
        long = _BODY_RUN.search(line) is not None
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

    def _scalar(self, line: str) -> Iterator[Span]:
        """`password: |` and the deeper lines that follow it; PuTTY's counted lines."""
        if putty := _PUTTY.match(line):
            self._putty_lines = int(putty[1])
        if self._scalar_indent >= 0:
            if not line.strip():
                return
            if _indent(line) > self._scalar_indent:
                yield _inner(line)
                return
            self._scalar_indent = -1
        if (line.rstrip()[-1:] in "|>+-0123456789") and (match := _SCALAR.match(line)):
            inside_secret = (
                self._data_indent >= 0 and self._kind == "Secret" and len(match["indent"]) > self._data_indent
            )
            if names_secret(match["name"]) or inside_secret:
                self._scalar_indent = len(match["indent"])

    def _kubernetes(self, line: str) -> Iterator[Span]:
        """Values under `data:` of a Secret. Sorted output names the kind last: till then, base64 is masked."""
        if line.startswith("---") or _API_VERSION.match(line):
            self._kind, self._data_indent = "v1" if _API_VERSION.match(line) else "", -1
            return
        if kind := _KIND.match(line):
            self._kind, self._data_indent = kind["kind"], -1
            return
        if self._data_indent >= 0 and line.strip() and _indent(line) <= self._data_indent:
            self._data_indent = -1
        if self._data_indent >= 0:
            yield from self._data_entry(line)
        elif self._kind in {"Secret", "v1"} and (match := _DATA.match(line)):
            self._data_indent = len(match["indent"])
        if "Secret" in line and _INLINE_SECRET.search(line):
            yield from _inline_data(line)

    def _data_entry(self, line: str) -> Iterator[Span]:
        match = _ENTRY.match(line)
        if not match or not match["value"].strip() or match["value"].strip() in {"|", ">", "|-", ">-", "{}"}:
            return
        value = match["value"].strip()
        if self._kind == "Secret" or (self._kind == "v1" and _is_base64(value)):
            begin = match.start("value")
            yield begin, begin + len(match["value"].rstrip())

    def _pairs(self, line: str) -> Iterator[Span]:
        """`name: DB_PASSWORD` and then `value: x`."""
        if self._pending_name:
            self._pending_name = False
            match = _VALUE.match(line)
            if match and not is_harmless(match["value"], quoted=True):
                yield match.span("value")
        elif "ame" in line or "ey" in line:
            match = _NAME.match(line)
            self._pending_name = match is not None and names_secret(match["name"])

    def _login_file(self, line: str) -> Iterator[Span]:
        """A netrc entry with a word per line."""
        if self._netrc:
            if match := _NETRC_PASSWORD.match(line):
                self._netrc = False
                yield match.span("value")
            elif not _NETRC_WORD.match(line):
                self._netrc = False
        if not self._netrc and _MACHINE.match(line):
            self._netrc = True


def _inline_data(line: str) -> Iterator[Span]:
    """The values of an object on one line; what was read is not read again."""
    position = 0
    while start := _INLINE_DATA.search(line, position):
        position = start.end()
        while entry := _INLINE_ENTRY.match(line, position):
            yield entry.span("value")
            position = entry.end()


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _inner(line: str) -> Span:
    begin = len(line) - len(line.lstrip())
    return begin, max(begin, len(line.rstrip()))


def _is_base64(value: str) -> bool:
    """Padded base64 with both cases or a digit: not `true`, `info` or `prod`."""
    if (
        len(value) < 4
        or len(value) % 4
        or not (value.endswith("=") or (not value.islower() and not value.isdigit() and len(value) >= 8))
    ):
        return False
    try:
        b64decode(value, validate=True)
    except (Base64Error, ValueError):
        return False
    return True
