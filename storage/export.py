"""Audit entries as a file that proves itself: JSON lines, and a last line with a checksum over all before it.

A line is the very text whose SHA-256 is the entry's hash, with `hash` and `id` put in before its closing brace. So a
stranger needs no program of ours: cut `,"hash":…` off, close the brace, hash the rest, and see that each `previous` is
the hash of the line before. `data` is JSON within JSON, because its bytes are what was hashed.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, BinaryIO

from sqlalchemy import Connection

from storage.audit import FIRST, Chain, Head, Wanted, conditions, hashed_text, head, parse_head, stored
from storage.canonical import canonical

PROBLEMS = 20
"""How many are named."""


@dataclass(frozen=True, kw_only=True)
class Checksum:
    """The last line. `sha256` is over all lines before it, `head` the newest entry when it was made, wanted or not."""

    sha256: str
    entries: int
    first: int | None
    last: int | None
    head: Head
    wanted: Mapping[str, Any]

    def as_data(self) -> dict[str, Any]:
        """As it is written, and audited."""
        return {
            "checksum": self.sha256,
            "entries": self.entries,
            "first": self.first,
            "last": self.last,
            "head": str(self.head),
            "wanted": dict(self.wanted),
        }


def write(connection: Connection, out: BinaryIO, wanted: Wanted) -> Checksum:
    """Write the wanted entries, oldest first, and the checksum. Entries appended meanwhile are left out."""
    seq, mark = head(connection)
    total = sha256()
    entries, first, last = 0, None, None
    for row in stored(connection, *conditions(connection, wanted), upto=seq):
        line = _line(hashed_text(*row[:8]), row.hash)
        total.update(line)
        out.write(line)
        entries, first, last = entries + 1, row.seq if first is None else first, row.seq
    made = Checksum(
        sha256=total.hexdigest(),
        entries=entries,
        first=first,
        last=last,
        head=Head(hash=mark, seq=seq),
        wanted=_shown(wanted),
    )
    out.write(f"{canonical(made.as_data())}\n".encode())
    return made


def _line(text: str, mark: str) -> bytes:
    return f'{text[:-1]},"hash":"{mark}","id":"a-{mark[:16]}"}}\n'.encode("utf-8", "backslashreplace")


def _shown(wanted: Wanted) -> dict[str, Any]:
    """The filter as JSON; what was not asked for is not in it."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in wanted.items() if value
    }


# --- reading it -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class FileVerification:
    """What a file says of itself. `complete`: it has every entry up to the head of its time."""

    entries: int
    first: int | None
    last: int | None
    head: str
    complete: bool
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.problems

    @property
    def words(self) -> str:
        """How much it holds, and what it cannot show."""
        if self.complete:
            return f"{self.entries} entries, every one up to head {self.head}"
        shown = f"{self.entries} entries ({self.first} to {self.last})" if self.entries else "No entries"
        return f"{shown} of those up to head {self.head}; what was left out cannot be seen from the file"


_ENTRY = re.compile(rb'(\{.*),"hash":"([0-9a-f]{64})","id":"(a-[0-9a-f]{16})"\}\n', re.DOTALL)


def verify(lines: Iterable[bytes], *, against: str | None = None) -> FileVerification:
    """Check every hash, every link between neighbours, and the checksum. Needs no database. Raises Invalid.

    `against` is a head noted earlier; one that is newer than the file cannot be in it.
    """
    noted = parse_head(against) if against is not None else None
    chain = Chain(first=None, most=PROBLEMS, against=noted)
    total, first = sha256(), None
    checksum: Mapping[str, Any] | None = None
    for number, line in enumerate(lines, 1):
        if checksum is not None:
            chain.add(f"line {number} stands after the checksum")
            break
        found = _ENTRY.fullmatch(line)
        entry = _object(found[1] + b"}") if found else None
        if found is None or not isinstance(entry.get("seq") if entry else None, int):
            checksum = _checksum(line)
            if checksum is None:
                chain.add(f"line {number} is no audit entry: it was changed")
            continue
        total.update(line)
        first = entry["seq"] if entry and first is None else first
        _take(chain, entry or {}, found)
    return _found(chain, checksum, total.hexdigest(), first, noted)


def _take(chain: Chain, entry: Mapping[str, Any], found: re.Match[bytes]) -> None:
    mark, number = found[2].decode(), found[3].decode()
    seq, previous = entry["seq"], str(entry.get("previous"))
    if number != f"a-{mark[:16]}":
        chain.add(f"entry {seq} has the id of another entry")
    if chain.last is None and seq == 1 and previous != FIRST:
        chain.add("entry 1 is not the first of a chain: its link was changed")
    chain.take(seq, previous, mark, honest=sha256(found[1] + b"}").hexdigest() == mark)


def _object(text: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:  # no JSON, or no UTF-8
        return None
    return found if isinstance(found, dict) else None


def _checksum(line: bytes) -> Mapping[str, Any] | None:
    found = _object(line)
    return found if found is not None and "checksum" in found else None


def _found(
    chain: Chain, checksum: Mapping[str, Any] | None, total: str, first: int | None, noted: Head | None
) -> FileVerification:
    says = checksum or {}
    if checksum is None:
        chain.add("the last line, with the checksum, is missing: the file was cut off")
    elif says.get("checksum") != total:
        chain.add("the checksum is not that of the lines: something was changed, added or left out")
    elif (says.get("entries"), says.get("first"), says.get("last")) != (chain.entries, first, chain.last):
        chain.add("the last line counts other entries than the file has: it was changed")
    ends = f"{chain.last or 0}:{chain.hash}"
    complete = checksum is not None and not chain.gaps and first in (1, None) and says.get("head") == ends
    if noted is not None and not chain.seen_head:
        chain.add(f"the file has no entry with the given head {noted}: it is older, filtered, or was rewritten")
    return FileVerification(
        entries=chain.entries,
        first=first,
        last=chain.last,
        head=str(says.get("head", "")),
        complete=complete,
        problems=tuple(chain.problems),
    )
