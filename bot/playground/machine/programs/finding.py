"""find: tests and actions joined by and, or, not and brackets, as GNU find reads them. It changes nothing."""

import fnmatch
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from bot.playground.machine.files import Node
from bot.playground.machine.programs.printing import unescape
from bot.playground.machine.streams import encoded
from bot.playground.machine.system import Call

UNITS = {"": 512, "c": 1, "k": 1024, "M": 1024**2, "G": 1024**3}
BITS = {"-readable": 4, "-writable": 2, "-executable": 1}
VALUED = {"-name", "-path", "-type", "-size", "-links", "-inum", "-newermt", "-lname", "-printf"}
PLAIN = {"-print", "-prune", "-true", *BITS}


@dataclass
class Found:
    """One path as the tests see it; `pruned`: nothing below it is looked at; `said`: what is printed of it."""

    call: Call
    path: str
    name: str  # as it is shown: the start as typed, and the rest
    node: Node
    pruned: bool = False
    said: list[str] = field(default_factory=list)


Test = Callable[[Found], bool]


async def find(call: Call) -> int:
    """What is found of each start; 1 after a complaint about one that is not there."""
    words = call.words[1:]
    starts: list[str] = []
    while words and not words[0].startswith(("-", "(", "!")):
        starts.append(words.pop(0))
    try:
        deepest, highest, rest = _depths(words)
        test = Expression(rest).read() if rest else _always
    except ValueError as problem:
        return await call.complain(f"find: {problem}")
    prints = any(word in ("-printf", "-print") for word in words)
    status = 0
    for start in starts or ["."]:
        base = call.path(start)
        if not call.system.files.exists(base):
            status = await call.complain(f"find: '{start}': No such file or directory")
        pruned: list[str] = []
        for path in call.system.files.below(base):
            depth = path[len(base.rstrip("/")) :].count("/") if path != base else 0
            if depth > deepest or any(path.startswith(f"{one}/") for one in pruned):
                continue
            found = Found(call, path, start + path[len(base) :], call.system.files.nodes[path])
            if depth < highest:
                continue
            matched = test(found)
            if found.pruned:
                pruned.append(path)
            if matched and not prints:
                found.said.append(f"{found.name}\n")
            await call.put(1, encoded("".join(found.said)))
    return status


def _always(found: Found) -> bool:
    return True


def _depths(words: list[str]) -> tuple[int, int, list[str]]:
    """How deep is looked, from where on, and the words that are left."""
    limits, rest = {"-maxdepth": 10**6, "-mindepth": 0}, []
    words = list(words)
    while words:
        word = words.pop(0)
        if word in limits:
            if not words or not words[0].isdigit():
                raise ValueError(f"Expected a positive decimal integer argument to {word}")
            limits[word] = int(words.pop(0))
        elif word != "-xdev":
            rest.append(word)
    return limits["-maxdepth"], limits["-mindepth"], rest


class Expression:
    """The words of an expression, read from the left; `-o` binds less than the and between two words."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def read(self) -> Test:
        """All of it; raises ValueError for what find would not read."""
        test = self._either()
        if self._words:
            raise ValueError(f"paths must precede expression: `{self._words[0]}'")
        return test

    def _either(self) -> Test:
        tests = [self._both()]
        while self._words and self._words[0] == "-o":
            self._words.pop(0)
            tests.append(self._both())
        return lambda found: any(test(found) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._words and self._words[0] not in ("-o", ")"):
            if self._words[0] == "-a":
                self._words.pop(0)
            tests.append(self._one())
        return lambda found: all(test(found) for test in tests)

    def _one(self) -> Test:
        if not self._words:
            raise ValueError("expected an expression")
        word = self._words.pop(0)
        if word == "!":
            inner = self._one()
            return lambda found: not inner(found)
        if word == "(":
            inner = self._either()
            if not self._words or self._words.pop(0) != ")":
                raise ValueError("invalid expression; I was expecting to find a ')' somewhere but did not see one")
            return inner
        if word in PLAIN:
            return lambda found: _plain(found, word)
        if word not in VALUED:
            raise ValueError(f"unknown predicate `{word}'")
        if not self._words:
            raise ValueError(f"missing argument to `{word}'")
        value = self._words.pop(0)
        return lambda found: _valued(found, word, value)


def _plain(found: Found, word: str) -> bool:
    if word == "-prune":
        found.pruned = True
    elif word == "-print":
        found.said.append(f"{found.name}\n")
    elif word in BITS:
        return found.call.system.files.may(found.call.process.user, found.path, BITS[word])
    return True


def _valued(found: Found, word: str, value: str) -> bool:
    node = found.node
    match word:
        case "-name":
            return _like(posixpath.basename(found.path), value)
        case "-path":
            return _like(found.name, value)
        case "-type":
            return value == ("d" if node.directory else "f")
        case "-size":
            return _sized(node.size, value)
        case "-links":
            return value == "1"
        case "-inum":
            return value == str(node.number)
        case "-lname":
            return False  # there are no links here
        case "-newermt":
            return _newer(found, value)
        case _:
            found.said.append(unescape(_printed(found, value)))
            return True


def _like(text: str, pattern: str) -> bool:
    # Python knows no classes; names here are plain, so nothing is outside of what is printable.
    return fnmatch.fnmatchcase(text, pattern.replace("[![:print:]]", "[!\x20-\x7e]"))


def _sized(size: int, value: str) -> bool:
    wanted = re.fullmatch(r"([-+]?)(\d+)([ckMG]?)", value)
    if not wanted:
        raise ValueError(f"invalid argument `{value}' to `-size'")
    unit, limit = UNITS[wanted[3]], int(wanted[2])
    rounded = -(-size // unit)
    return rounded > limit if wanted[1] == "+" else rounded < limit if wanted[1] == "-" else rounded == limit


def _newer(found: Found, value: str) -> bool:
    ago = re.fullmatch(r"-(\d+) seconds", value)
    if not ago:
        raise ValueError(f"I cannot figure out how to interpret `{value}' as a date or time")
    return found.node.modified > found.call.system.now() - timedelta(seconds=int(ago[1]))


def _printed(found: Found, form: str) -> str:
    node = found.node
    values = {
        "p": found.name,
        "f": posixpath.basename(found.path),
        "s": str(node.size),
        "b": str(-(-node.size // 512)),
        "i": str(node.number),
        "n": "1",
        "m": f"{node.mode:o}",
        "u": node.owner,
        "y": "d" if node.directory else "f",
        "T@": f"{node.modified.timestamp():.10f}",
        "%": "%",
    }
    return re.sub(r"%(T@|.)", lambda each: values.get(each[1], "?"), form)
