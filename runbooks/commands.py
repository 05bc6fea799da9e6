"""The one place where an argument list becomes shell text."""

import shlex
from collections.abc import Sequence


def shell_line(argv: Sequence[str], *, sudo: bool = False) -> str:
    """Each word quoted as one word; `sudo -n` in front where the step asks for it, and never a shell inside it."""
    return shlex.join(["sudo", "-n", *argv] if sudo else list(argv))
