"""The one place where an argument list becomes shell text."""

import shlex
from collections.abc import Sequence

from storage.errors import DefinitionError

_SHELLS_OWN = frozenset(
    {"case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in", "select", "then"}
    | {"time", "until", "while"}
)
"""Words that a shell reads as the start of a construct, not as a program."""


def shell_line(argv: Sequence[str], *, sudo: bool = False) -> str:
    """Each word quoted as one word; `sudo -n` in front where the step asks for it, and never a shell inside it.

    Raises DefinitionError when the words are no command.
    """
    fault = fault_of(argv)
    if fault is not None:
        raise DefinitionError(f"A command {fault}.")
    return shlex.join(["sudo", "-n", *argv] if sudo else list(argv))


def fault_of(argv: Sequence[str]) -> str | None:
    """Why these words are no command that a shell would start as it stands; None when they are one."""
    if not argv or not all(isinstance(word, str) for word in argv):
        return "needs a command: words, each a string"
    if any(char in word for word in argv for char in "\x00\n\r"):
        return "has a line break or NUL in its command"
    program = argv[0]
    if not program.strip() or program.startswith("-") or "=" in program or program in _SHELLS_OWN:
        return f"starts with {program!r}, which is not a program"  # `A=b` is a setting, to a shell and to sudo
    if any("\ud800" <= char <= "\udfff" for word in argv for char in word):
        return "has half a character in its command, which no host can be sent"
    return None
