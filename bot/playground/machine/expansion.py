"""From the words of a command to its fields: parameters, substitutions, splitting, names of files, quotes gone."""

import fnmatch
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from bot.playground.machine.arithmetic import Calculation
from bot.playground.machine.files import FileTree
from bot.playground.machine.syntax import Parameter, Part, Sequenced, Substitution, Sum, Text, Word
from bot.playground.machine.variables import Trouble, Variables

Substitute: TypeAlias = "Callable[[Sequenced], Awaitable[str]]"  # what running this prints, without its last line ends


@dataclass(frozen=True, kw_only=True)
class Fragment:
    """A piece of an expanded word. `split`: came from an unquoted expansion. `ends`: a field ends here, from "$@"."""

    text: str
    quoted: bool
    split: bool = False
    ends: bool = False


class Expansion:
    """Expands words with the variables of one shell. Raises Trouble."""

    def __init__(self, variables: Variables, files: FileTree, substitute: Substitute) -> None:
        self.variables, self.files, self.substitute = variables, files, substitute

    async def fields(self, words: Iterable[Word]) -> list[str]:
        """Expand words into fields: parameters, splitting, names of files, quotes gone."""
        found: list[str] = []
        for word in words:
            for field_ in self.split([each for part in self.home(word) for each in await self.fragments(part)]):
                found.extend(self.globbed(field_))
        return found

    def home(self, word: Word) -> Word:
        """`~` at the beginning of a word."""
        if not word or word[0] != Text(text="~", quoted=False):
            return word
        if len(word) > 1 and word[1] != Text(text="/", quoted=False):
            return word
        return (Text(text=self.variables.values.get("HOME", "/"), quoted=True), *word[1:])

    async def single(self, word: Word) -> str:
        """Expand a word that is not split."""
        pieces = [each for part in self.home(word) for each in await self.fragments(part)]
        return "".join(each.text + " " * each.ends for each in pieces)

    async def pattern(self, word: Word) -> str:
        """Expand a pattern: what was quoted matches itself."""
        pieces = [each for part in word for each in await self.fragments(part)]
        return "".join(escape_pattern(each.text) if each.quoted else each.text for each in pieces).replace("[^", "[!")

    async def fragments(self, part: Part) -> list[Fragment]:
        """Expand one part of a word."""
        match part:
            case Text():
                return [Fragment(text=part.text, quoted=part.quoted)]
            case Substitution():
                return [Fragment(text=await self.substitute(part.body), quoted=part.quoted, split=not part.quoted)]
            case Sum():
                result = Calculation(self.variables, await self.single(part.expression)).result()
                return [Fragment(text=str(result), quoted=part.quoted, split=not part.quoted)]
            case Parameter():
                return await self.parameter(part)
            case _:
                assert_never(part)

    async def parameter(self, part: Parameter) -> list[Fragment]:
        """$name and its forms."""
        if part.name in "@*" and part.operator == "":
            return self.all_positional(part)
        value = self.variables.value(part.name)
        operator = part.operator
        if operator.startswith(":"):
            operator, value = operator[1:], value or None
        match operator:
            case "length":
                value = str(len(self.variables.positional) if part.name in "@*" else len(value or ""))
            case "-" | "=" if value is None:
                if operator == "-" and not part.quoted:
                    pieces = [each for inner in part.argument for each in await self.fragments(inner)]
                    return [replace(each, split=not each.quoted) for each in pieces]
                value = await self.single(part.argument)
                if operator == "=":
                    self.variables.assign(part.name, value)
            case "?" if value is None:
                raise Trouble(f"{part.name}: {await self.single(part.argument) or 'parameter not set'}")
            case "+":
                if value is None:
                    return [Fragment(text="", quoted=part.quoted)]
                pieces = [each for inner in part.argument for each in await self.fragments(inner)]
                return [replace(each, quoted=each.quoted or part.quoted) for each in pieces]
            case "%" | "%%" | "#" | "##":
                value = trimmed(value or "", operator, await self.pattern(part.argument))
        if value is None and "u" in self.variables.options:
            raise Trouble(f"{part.name}: parameter not set")
        return [Fragment(text=value or "", quoted=part.quoted, split=not part.quoted)]

    def all_positional(self, part: Parameter) -> list[Fragment]:
        """$@ and $*."""
        if part.quoted and part.name == "*":
            joint = self.variables.values.get("IFS", " ")[:1]
            return [Fragment(text=joint.join(self.variables.positional), quoted=True)]
        last = len(self.variables.positional) - 1
        return [
            Fragment(text=text, quoted=part.quoted, split=not part.quoted, ends=place < last)
            for place, text in enumerate(self.variables.positional)
        ]

    def split(self, fragments: Sequence[Fragment]) -> list[list[Fragment]]:
        """Fragments into fields."""
        separators = self.variables.values.get("IFS", " \t\n")
        fields: list[list[Fragment]] = [[]]
        for each in fragments:
            if each.split and separators:
                pieces = re.split(
                    f"[{re.escape(separators)}]+"
                    if separators.isspace()
                    else f"[ \t\n]*[{re.escape(separators)}][ \t\n]*",
                    each.text,
                )
                for place, piece in enumerate(pieces):
                    if place and fields[-1]:
                        fields.append([])
                    if piece:
                        fields[-1].append(replace(each, text=piece, ends=False))
            elif each.text or each.quoted:
                fields[-1].append(each)
            if each.ends and (fields[-1] or each.quoted):
                fields.append([])
        return [field_ for field_ in fields if field_]

    def globbed(self, fragments: Sequence[Fragment]) -> list[str]:
        """A field, or the names of files it stands for."""
        plain = "".join(each.text for each in fragments)
        if "f" in self.variables.options or not any(
            not each.quoted and set(each.text) & set("*?[") for each in fragments
        ):
            return [plain]
        pattern = "".join(escape_pattern(each.text) if each.quoted else each.text for each in fragments)
        start = "" if pattern.startswith("/") else self.variables.process.directory.rstrip("/") + "/"
        names = match_paths(self.files, (start + pattern).split("/"))
        return [name[len(start) :] for name in names] or [plain]


def escape_pattern(text: str) -> str:
    """A pattern that matches just this."""
    return re.sub(r"([*?\[])", r"[\1]", text)


def match_paths(files: FileTree, parts: Sequence[str]) -> list[str]:
    """The paths that match a pattern, given component by component."""
    found = [""]
    for part in parts[1:]:
        if set(part) & set("*?["):
            found = [
                f"{folder}/{name}"
                for folder in found
                for name in files.children(folder or "/")
                if fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))
            ]
        else:
            found = [f"{folder}/{part}" for folder in found]
    return sorted(path for path in found if files.exists(path))


def trimmed(value: str, operator: str, pattern: str) -> str:
    """`%` and `#`: the value without its shortest or longest matching end or beginning."""
    longest = len(operator) == 2
    if operator.startswith("%"):
        places = range(len(value) + 1) if longest else range(len(value), -1, -1)
        return next((value[:at] for at in places if fnmatch.fnmatchcase(value[at:], pattern)), value)
    places = range(len(value), -1, -1) if longest else range(len(value) + 1)
    return next((value[at:] for at in places if fnmatch.fnmatchcase(value[:at], pattern)), value)
