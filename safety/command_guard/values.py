"""Words as far as they can be known: plain text in which private characters stand for what cannot.

A command that itself holds such a character is refused at the door, so they never mean anything else here.
"""

import re

UNKNOWN = "\ue000"
"""Any text at all: nothing, one word or many."""
TOKEN = "\ue001"  # noqa: S105
"""Some non-empty run of letters, digits, `.`, `:`, `_` and `-`: a date, a pid, a host name."""
STAR, QUESTION, BRACKET = "\ue002", "\ue003", "\ue004"
"""An unquoted `*`, `?` or `[`: the shell looks for files here."""
OPEN, COMMA, CLOSE = "\ue005", "\ue006", "\ue007"
"""An unquoted `{`, `,` or `}`."""
SPLIT, EMPTY = "\ue008", "\ue009"
"""Where a word falls apart; and quotes with nothing in them, which still make a word."""
FIRST_ORIGIN, LAST_PRIVATE = 0xE100, 0xF8FF
"""Characters from here on are unknown text of which it is known where it came from."""

GLOBS = frozenset((STAR, QUESTION, BRACKET))
HOME = f"/home/{TOKEN}"

_SHOWN = {UNKNOWN: "…", TOKEN: "…", STAR: "*", QUESTION: "?", BRACKET: "[", OPEN: "{", COMMA: ",", CLOSE: "}"}


_TYPED = tuple(zip(f"{STAR}{QUESTION}{BRACKET}{OPEN}{COMMA}{CLOSE}", "*?[{,}", strict=True))
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_UNKNOWN = re.compile("[\ue000\ue100-\uf8ff]")
_GLOB = re.compile("[\ue002-\ue004]")


def is_private(char: str) -> bool:
    """Whether it is one of the characters that mean something here."""
    return 0xE000 <= ord(char) <= LAST_PRIVATE


def has_unknown(word: str) -> bool:
    """Whether any part of it could be anything."""
    return not word.isascii() and _UNKNOWN.search(word) is not None


def has_glob(word: str) -> bool:
    """Whether the shell would replace it by file names."""
    return not word.isascii() and _GLOB.search(word) is not None


def is_plain(word: str) -> bool:
    """Whether it is exactly what it looks like."""
    return word.isascii() or _PRIVATE.search(word) is None


def origins(word: str) -> list[int]:
    """The numbers of the substitutions that took part in it."""
    return [ord(char) - FIRST_ORIGIN for char in word if FIRST_ORIGIN <= ord(char) <= LAST_PRIVATE]


def shown(word: str) -> str:
    """For people: unknown parts as an ellipsis, at most 60 characters."""
    text = "".join(_SHOWN.get(char, "…" if is_private(char) else char) for char in word)
    return text if len(text) <= 60 else text[:57] + "…"


def as_typed(word: str) -> str:
    """The word as an operand that is no file name: globs and braces become their own characters again."""
    if not word.isascii():
        for mark, typed in _TYPED:
            word = word.replace(mark, typed)
    return word


def expand_braces(word: str, limit: int = 64) -> list[str]:
    """`a{b,c}` as `ab` and `ac`; unbalanced or single braces become plain characters.

    More than `limit` words end as one UNKNOWN: whatever they are, nobody meant to read them.
    """
    done: list[str] = []
    waiting = [word]
    while waiting:
        current = waiting.pop()
        if len(done) + len(waiting) > limit:
            return [UNKNOWN]
        start, end = _innermost(current)
        if start < 0:
            done.append(current.replace(OPEN, "{").replace(CLOSE, "}").replace(COMMA, ","))
            continue
        inside = current[start + 1 : end]
        parts = inside.split(COMMA) if COMMA in inside else _sequence(inside)
        if parts is None:
            waiting.append(f"{current[:start]}{{{inside}}}{current[end + 1 :]}")
        else:
            waiting.extend(f"{current[:start]}{part}{current[end + 1 :]}" for part in reversed(parts))
    return done


def _innermost(word: str) -> tuple[int, int]:
    end = word.find(CLOSE)
    while end >= 0:
        start = word.rfind(OPEN, 0, end)
        if start >= 0:
            return start, end
        end = word.find(CLOSE, end + 1)
    return -1, -1


def _sequence(inside: str) -> list[str] | None:
    bounds = inside.split("..")
    if len(bounds) not in (2, 3):
        return None
    if len(bounds[0]) == len(bounds[1]) == 1 and bounds[0].isalpha() and bounds[1].isalpha():
        first, last = sorted((ord(bounds[0]), ord(bounds[1])))
        return [chr(code) for code in range(first, last + 1)] if last - first < 64 else [UNKNOWN]
    digits = [bound.lstrip("-+") for bound in bounds]
    if all(d.isascii() and d.isdigit() and len(d) < 10 for d in digits):
        return [TOKEN] if abs(int(bounds[0]) - int(bounds[1])) > 32 else _numbers(int(bounds[0]), int(bounds[1]))
    return None


def _numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(min(first, last), max(first, last) + 1)]
