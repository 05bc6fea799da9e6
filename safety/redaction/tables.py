"""Columns of secrets in tables: the head names them, the rows below hold them.

Known are the tables of database shells and of Markdown, whose head is followed by a rule, and values parted by commas
or tabs whose head also names a person or a host. A shell that shows a row on lines of its own names each value.
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
# What a database's shell prints for another program: names as they are, and a tab between them.
_HEAD_OF_TABS = re.compile(r"[A-Za-z_][\w.-]{0,60}(?:\t[A-Za-z_][\w.-]{0,60}){1,40}[ \t]*\r?\Z")
# `-[ RECORD 1 ]----`, and below it `password | x`.
_RECORD = re.compile(r"[ \t|+*-]{0,8}\[ RECORD \d{1,9} \][-+|* \t]*\r?\Z")
_FIELD = re.compile(r"[ \t|]{0,4}(?P<name>[\w.-]{0,64})[ \t]*\|(?P<value>[^\r\n]*)\r?\Z")
_BETWEEN = re.compile(r"[ ]{2,}|[ ]?\t+[ ]?")
_JOIN_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_PERSONS = frozenset({"user", "username", "login", "email", "name", "host", "hostname", "id", "account", "site", "url"})

_BARS = str.maketrans("│┃║─━═┌┬┐├┼┤└┴┘┏┳┓┣╋┫┗┻┛╔╦╗╠╬╣╚╩╝┡╇┩╞╪╡╭╮╰╯", "|||---" + 37 * "+")

_LONGEST_FLAG = 3  # `t`, `Y` or `NP`: what a shell prints where it is told whether there is a password
_COUNTS = frozenset({"fail", "fails", "failed", "failures", "skip", "skipped"})


def with_bars(line: str) -> str:
    """The line with the bars of ASCII in the place of those that boxes are drawn with, as long as it was."""
    return line if line.isascii() else line.translate(_BARS)


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
        line = with_bars(line)
        if self._mark == " ":
            yield from self._aligned_row(line)
            return
        if self._mark == "[":
            yield from self._field(line)
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
        if _RECORD.match(line):
            self._mark = "["
            return
        mark = "|" if "|" in line else "," if "," in line else ""
        if not mark and _HEAD_OF_TABS.match(line) and _PERSONS.intersection(line.lower().split()):
            mark = "\t"
        if not mark and ("  " in line or "\t" in line) and _ALIGNED.match(line):
            names = _BETWEEN.split(line.rstrip())
            columns = {index: False for index, name in enumerate(names) if names_secret(name)}
            if columns:
                self._mark, self._columns, self._count, self._ruled = " ", columns, len(names), False
            return
        if not mark or (mark == "," and not _HEAD_OF_VALUES.match(line)):
            return
        names = [cell.strip(" \t\r\"'") for cell in line.split(mark)]
        counts = _COUNTS.intersection(name.lower() for name in names)  # and so does `pass` beside them
        columns = {
            index: _is_password(name)
            for index, name in enumerate(names)
            if names_secret(name) and not (counts and name.lower() == "pass")
        }
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
            if index in self._columns:
                sure = self._columns[index] and (self._mark != "\t" or len(cell) > _LONGEST_FLAG)
                yield from _cell(cell, position, of_passwords=sure)
            position += len(cell) + 1

    def _field(self, line: str) -> Iterator[Span]:
        """A line of a record: one cell and its name."""
        match = _FIELD.match(line)
        if not match and not _RECORD.match(line):
            self._mark = ""
        elif match and names_secret(match["name"]):
            cell = match["value"].rstrip(" \t|") if line.startswith("|") else match["value"]
            sure = _is_password(match["name"]) and len(cell.strip()) > _LONGEST_FLAG
            yield from _cell(cell, match.start("value"), of_passwords=sure)


def _cell(cell: str, position: int, *, of_passwords: bool) -> Iterator[Span]:
    value = cell.strip(" \t\r\"'")
    if value and not is_harmless(value, quoted=True):
        sure = of_passwords and (" " not in value or has_password_look(value))
        if sure or looks_random(value, length=12):
            begin = position + cell.index(value)
            yield begin, begin + len(value)


def _is_password(name: str) -> bool:
    return "pass" in name.lower() or "pw" in name.lower()
