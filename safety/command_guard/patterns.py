"""Whether a pattern of the rules means a given argument list."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from safety.command_guard.arguments import Arguments
from safety.command_guard.values import as_typed, has_unknown


@dataclass(frozen=True, kw_only=True)
class _Token:
    kind: str  # next, some, option, none
    choices: tuple[str, ...]


@lru_cache(maxsize=8192)
def _compiled(pattern: str) -> tuple[tuple[str, ...], tuple[_Token, ...]]:
    programs, *words = pattern.split()
    return tuple(programs.split("|")), tuple(_token(word) for word in words)


def _token(word: str) -> _Token:
    if word.startswith("!"):
        return _Token(kind="none", choices=tuple(word[1:].split("|")))
    if word.startswith("@"):
        return _Token(kind="some", choices=tuple(word[1:].split("|")))
    return _Token(kind="option" if word.startswith("-") else "next", choices=tuple(word.split("|")))


def programs(pattern: str) -> tuple[str, ...]:
    """The program names a pattern is about; they may hold `*`."""
    return _compiled(pattern)[0]


def takes_subcommand(pattern: str) -> bool:
    """Whether the pattern wants the operands in an order, so that the first ones are sub-commands."""
    return any(token.kind == "next" for token in _compiled(pattern)[1])


def matches(pattern: str, arguments: Arguments, *, cautious: bool) -> bool:
    """Whether the pattern means these arguments, whose program is already known to be one of its programs.

    `cautious` is for patterns that refuse: an unknown sub-command may be the one meant. For patterns that allow it is
    False, and what is unknown is never the one meant.
    """
    position = 0
    for token in _compiled(pattern)[1]:
        match token.kind:
            case "next":
                if not _next(token, arguments, position, cautious):
                    return False
                position += 1
            case "some":
                if not _some(token, arguments):
                    return False
            case "option":
                if not _option(token, arguments):
                    return False
            case _:
                if _option(token, arguments) or _some(token, arguments):
                    return False
                if not cautious and any(has_unknown(operand) for operand in arguments.operands[:1]) and position == 0:
                    continue
    return True


def _next(token: _Token, arguments: Arguments, position: int, cautious: bool) -> bool:
    if any(choice.startswith("-") and arguments.has(choice) for choice in token.choices):
        return True
    if position >= len(arguments.operands):
        return "''" in token.choices
    operand = arguments.operands[position]
    if has_unknown(operand):
        return cautious
    return any(fnmatchcase(as_typed(operand), choice) for choice in token.choices)


def _some(token: _Token, arguments: Arguments) -> bool:
    operands = [as_typed(operand) for operand in arguments.operands]
    return any(fnmatchcase(o, choice) for o in operands for choice in token.choices if not choice.startswith("-"))


def _option(token: _Token, arguments: Arguments) -> bool:
    options = [choice for choice in token.choices if choice.startswith("-")]
    return bool(options) and arguments.has(*options)
