"""The commands of shell text, as `grammar.py` reads them and `shell.py` runs them."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class Text:
    """Literal characters of a word."""

    text: str
    quoted: bool


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """`$name` and `${name OPERATOR argument}`; the operator `length` is `${#name}`."""

    name: str
    operator: str
    argument: "Word"
    quoted: bool


@dataclass(frozen=True, kw_only=True)
class Substitution:
    """`$(...)`."""

    body: "Sequenced"
    quoted: bool


@dataclass(frozen=True, kw_only=True)
class Sum:
    """`$((...))`."""

    expression: "Word"
    quoted: bool


Part: TypeAlias = "Text | Parameter | Substitution | Sum"
Word: TypeAlias = "tuple[Part, ...]"


@dataclass(kw_only=True)
class Redirect:
    """`number OPERATOR target`. The target of a here-document is its body, known once its line has ended."""

    number: int
    operator: str
    target: Word


@dataclass(frozen=True, kw_only=True)
class Simple:
    """Assignments, words and redirections."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True, kw_only=True)
class Redirected:
    """A compound command with redirections."""

    body: "Command"
    redirects: tuple[Redirect, ...]


@dataclass(frozen=True, kw_only=True)
class Piped:
    """`! a | b | c`."""

    commands: "tuple[Command, ...]"
    negated: bool


@dataclass(frozen=True, kw_only=True)
class Chained:
    """`first && b || c`."""

    first: "Command"
    rest: "tuple[tuple[str, Command], ...]"


@dataclass(frozen=True, kw_only=True)
class Sequenced:
    """`a; b & c`: each with whether it goes to the background."""

    items: "tuple[tuple[Command, bool], ...]"


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """`( ... )`: a shell of its own."""

    body: Sequenced


@dataclass(frozen=True, kw_only=True)
class Branches:
    """`if`: conditions with what follows them, and `else`."""

    branches: tuple[tuple[Sequenced, Sequenced], ...]
    otherwise: Sequenced | None


@dataclass(frozen=True, kw_only=True)
class Loop:
    """`while` and `until`."""

    condition: Sequenced
    body: Sequenced
    until: bool


@dataclass(frozen=True, kw_only=True)
class Each:
    """`for name in words`; without `in`, the positional parameters."""

    name: str
    words: tuple[Word, ...] | None
    body: Sequenced


@dataclass(frozen=True, kw_only=True)
class Case:
    """`case word in pattern) ... ;; esac`."""

    word: Word
    arms: tuple[tuple[tuple[Word, ...], Sequenced], ...]


@dataclass(frozen=True, kw_only=True)
class Function:
    """`name() body`."""

    name: str
    body: "Command"


Command: TypeAlias = (
    Simple | Redirected | Piped | Chained | Sequenced | Grouped | Branches | Loop | Each | Case | Function
)
