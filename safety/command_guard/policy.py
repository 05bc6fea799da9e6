"""What a team adds to the guard: rules of its own, and exceptions for hosts it names."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from safety.command_guard.verdicts import Severity


@dataclass(frozen=True, kw_only=True)
class ExtraRule:
    """One more rule. It can only make the guard stricter, except towards programs the guard does not know.

    `program` and `operands` are globs, whole words; each operand pattern must be met by some operand, each option must
    be there (`-f`, `--force`, `--force=*`). `tags` empty means every host.
    """

    name: str
    program: str
    verdict: Severity
    reason: str
    options: tuple[str, ...] = ()
    operands: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class GuardException:
    """A command a team has looked at and allows on hosts that carry one of the tags (none: on every host).

    `command` is matched against the whole text: exactly, or with `*` and `?` where `pattern` is set. A pattern never
    stretches over `;`, `&`, `|`, quotes, substitutions, redirections or newlines.
    """

    name: str
    command: str
    tags: frozenset[str] = frozenset()
    pattern: bool = False

    def covers(self, command: str, tags: frozenset[str]) -> bool:
        """Whether it speaks of this command on a host with these tags."""
        if self.tags and not self.tags & tags:
            return False
        text = command.strip()
        if not self.pattern:
            return text == self.command.strip()
        if any(char in "\n;&|<>`$()'\"\\*?[]{}~#!" for char in text):
            return False
        return _words_match(text.split(), self.command.split())


def _words_match(words: Sequence[str], patterns: Sequence[str]) -> bool:
    """Word by word, so that a `*` cannot let another word in; no `..` may climb out of a folder a pattern names."""
    if len(words) != len(patterns):
        return False
    return all(
        word == pattern or (fnmatchcase(word, pattern) and ".." not in word and not word.startswith("-"))
        for word, pattern in zip(words, patterns, strict=True)
    )


@dataclass(frozen=True, kw_only=True)
class GuardPolicy:
    """Everything a team may set."""

    rules: tuple[ExtraRule, ...] = ()
    exceptions: tuple[GuardException, ...] = ()


DEFAULT_POLICY = GuardPolicy()
