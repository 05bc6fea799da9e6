"""Options and operands of an argument list, in long, short and joined spellings."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from safety.command_guard.options import SAME, SINGLE_DASH_LONG, SPLITTING, VALUES
from safety.command_guard.values import as_typed

MAX_CLUSTER = 200
"""Letters of `-abc` that are taken for options of their own."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """A program's name, the options it was given as (name, value), and the rest in order."""

    program: str
    options: tuple[tuple[str, str | None], ...]
    operands: tuple[str, ...]

    def has(self, *names: str) -> bool:
        """Whether one of these options is there: `-f`, `--force`, also shortened as GNU programs allow."""
        return any(_is_option(given, value, name) for given, value in self.options for name in names)

    def value(self, *names: str) -> str | None:
        """The value of the last of these options."""
        found = None
        for given, value in self.options:
            if given in names and value is not None:
                found = value
        return found


def _is_option(given: str, value: str | None, name: str) -> bool:
    if "=" in name:
        name, _, wanted = name.partition("=")
        if value is None or not fnmatchcase(value, wanted):
            return False
    if given == name or ("*" in name and fnmatchcase(given, name)):
        return True
    return given.startswith("--") and len(given) > 3 and name.startswith(given)


@lru_cache(maxsize=256)
def _value_options(program: str) -> frozenset[str]:
    return frozenset((VALUES.get(program) or VALUES.get(SAME.get(program, ""), "")).split())


def parse(program: str, words: tuple[str, ...]) -> Arguments:
    """Take the words after the program apart. Words a glob may replace stay operands."""
    takes = _value_options(program)
    if program in SPLITTING:
        words = tuple(part for word in words for part in word.split())
    options: list[tuple[str, str | None]] = []
    operands: list[str] = []
    at = 0
    while at < len(words):
        word = as_typed(words[at])
        at += 1
        if word == "--":
            operands.extend(words[at:])
            break
        if not word.startswith("-") or word == "-":
            operands.append(words[at - 1])
            continue
        name, joined, value = word.partition("=")
        if word.startswith("--") or program in SINGLE_DASH_LONG:
            if joined:
                options.append((name, value))
            elif name in takes and at < len(words):
                options.append((name, as_typed(words[at])))
                at += 1
            else:
                options.append((name, None))
            continue
        at = _cluster(word, words, at, takes, options)
    return Arguments(program=program, options=tuple(options), operands=tuple(operands))


def _cluster(
    word: str, words: tuple[str, ...], at: int, takes: frozenset[str], options: list[tuple[str, str | None]]
) -> int:
    for index, letter in enumerate(word[1:], start=1):
        name = f"-{letter}"
        if name not in takes:
            if index <= MAX_CLUSTER:
                options.append((name, None))
            continue
        rest = word[index + 1 :]
        if rest or at >= len(words):
            options.append((name, rest or None))
            return at
        options.append((name, as_typed(words[at])))
        return at + 1
    return at
