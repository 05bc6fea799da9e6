"""Columns of secrets in tables: the head names them, the rows below hold them.

Known are the tables of database shells and of Markdown, whose head is followed by a rule, and comma-separated values
whose head also names a person or a host.
"""

import re
from collections.abc import Iterator

from safety.redaction.names import has_password_look, is_harmless, looks_random, names_secret
from safety.redaction.shapes import Span

_RULE = re.compile(r"[ \t]*[|+]?[ \t]*:?-{2,}[-+|: \t]*\r?\Z")
_HEAD_OF_VALUES = re.compile(r"[\"']?[\w.-]{1,60}[\"']?(?:,[\"']?[\w .-]{1,60}[\"']?){1,40}\r?\Z")
# Columns parted by tabs or by more than one space, as most command lines print them.
_ALIGNED = re.compile(
    r"[A-Z][\w()/-]*(?: [\w()/-]+){0,3}(?:(?:[ ]{2,}|[ ]?\t+[ ]?)[A-Z][\w()/-]*(?: [\w()/-]+){0,3}){1,20}[ \t\r]*\Z"
)
_BETWEEN = re.compile(r"[ ]{2,}|[ ]?\t+[ ]?")
_JOIN_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_PERSONS = frozenset({"user", "username", "login", "email", "name", "host", "hostname", "id", "account", "site", "url"})


class Table:
    """Where secrets stand in the rows of the table that the lines so far have begun."""

    def __init__(self) -> None:
        self._mark = ""  # what parts the cells, once a head was seen
        self._columns: dict[int, bool] = {}  # which cells hold a secret; True: whatever they look like
        self._count = 0
        self._ruled = False

    @property
    def waiting(self) -> bool:
        """Whether the next line can be a row."""
        return self._mark != ""

    def spans(self, line: str) -> Iterator[Span]:
        """The secrets of a row; a head or a rule has none."""
        if self._mark == " ":
            yield from self._aligned_row(line)
            return
        if self._mark == "|" and not self._ruled and not _RULE.match(line):
            self._mark = ""
        if self._mark == "|" and _RULE.match(line):
            self._ruled = True
        elif self._mark and line.count(self._mark) == self._count:
            yield from self._row(line)
        elif self._mark != "" or self._count:
            self._mark, self._count, self._ruled = "", 0, False
        if not self._mark and len(line) <= 1_000:
            self._head(line)

    def _head(self, line: str) -> None:
        mark = "|" if "|" in line else "," if "," in line else ""
        if not mark and ("  " in line or "\t" in line) and _ALIGNED.match(line):
            names = _BETWEEN.split(line.rstrip())
            columns = {index: False for index, name in enumerate(names) if names_secret(name)}
            if columns:
                self._mark, self._columns, self._count, self._ruled = " ", columns, len(names), False
            return
        if not mark or (mark == "," and not _HEAD_OF_VALUES.match(line)):
            return
        names = [cell.strip(" \t\r\"'") for cell in line.split(mark)]
        columns = {index: _is_password(name) for index, name in enumerate(names) if names_secret(name)}
        if not columns or len(names) < 2 or (mark == "," and not _PERSONS & {name.lower() for name in names}):
            return
        if all(not name or name.replace(" ", "").replace("_", "").isalnum() for name in names):
            self._mark, self._columns, self._count, self._ruled = mark, columns, line.count(mark), False

    def _aligned_row(self, line: str) -> Iterator[Span]:
        cells = _BETWEEN.split(line.strip())
        if not line.strip():
            self._mark, self._count = "", 0
            return
        if len(cells) != self._count:
            return
        position = 0
        for index, cell in enumerate(cells):
            position = line.index(cell, position)
            if index in self._columns and (looks_random(cell, length=12) or _JOIN_TOKEN.fullmatch(cell)):
                yield position, position + len(cell)
            position += len(cell)

    def _row(self, line: str) -> Iterator[Span]:
        position = 0
        for index, cell in enumerate(line.split(self._mark)):
            value = cell.strip(" \t\r\"'")
            if index in self._columns and value and not is_harmless(value, quoted=True):
                sure = self._columns[index] and (" " not in value or has_password_look(value))
                if sure or looks_random(value, length=12):
                    begin = position + cell.index(value)
                    yield begin, begin + len(value)
            position += len(cell) + 1


def _is_password(name: str) -> bool:
    return "pass" in name.lower() or "pw" in name.lower()
