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
    stretches over `;`, `&`, `|`, quotes, substitutions, redirections or newlines. The bot's own `sudo -n` is the same
    as `sudo`.
    """

    name: str
    command: str
    tags: frozenset[str] = frozenset()
    pattern: bool = False

    def covers(self, command: str, tags: frozenset[str]) -> bool:
        """Whether it speaks of this command on a host with these tags."""
        if self.tags and not self.tags & tags:
            return False
        text, wanted = _without_mode(command), _without_mode(self.command)
        if not self.pattern:
            return text == wanted
        if any(char in _SHELL for char in text):
            return False
        return _words_match(text.split(), wanted.split())


_SHELL = "\n;&|<>`$()'\"\\*?[]{}~#!"
"""Characters that mean something to a shell, so that no pattern stretches over them."""


def _without_mode(command: str) -> str:
    """`sudo -n` asks for no password, and is otherwise `sudo`."""
    text = command.strip()
    return "sudo " + text.removeprefix("sudo -n ") if text.startswith("sudo -n ") else text


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

    def complaints(self, tags: frozenset[str] | None = None) -> list[str]:
        """What is wrong with it, a sentence each. `tags` are those that hosts carry; None: nobody can know."""
        found = []
        for kind, entries in (("rules", self.rules), ("exceptions", self.exceptions)):
            seen = [entry.name for entry in entries]
            found += [
                f"guard.{kind}: '{name}' is there twice." for name in sorted({n for n in seen if seen.count(n) > 1})
            ]
            for entry in entries:
                strangers = sorted(entry.tags - tags) if tags is not None else []
                found += [f"guard.{kind} '{entry.name}': no host has the tag '{tag}'." for tag in strangers]
        return (
            found
            + [said for rule in self.rules for said in _about_rule(rule)]
            + [said for exception in self.exceptions for said in _about_exception(exception)]
        )


def _about_rule(rule: ExtraRule) -> list[str]:
    wrong = [option for option in rule.options if not option.startswith("-")]
    return [f"guard.rules '{rule.name}': '{option}' is no option, it does not begin with a dash." for option in wrong]


def _about_exception(exception: GuardException) -> list[str]:
    words = exception.command.split()
    program = words[1] if words[:1] == ["sudo"] and len(words) > 1 else (words or [""])[0]
    where = f"guard.exceptions '{exception.name}'"
    if not words:
        return [f"{where}: the command is empty."]
    if exception.pattern and any(char in program for char in "*?["):
        return [f"{where}: a pattern must begin with the program's own name, not with '{program}'."]
    if exception.pattern and any(char in exception.command.replace("*", "").replace("?", "") for char in _SHELL):
        return [f"{where}: a pattern holds plain words, `*` and `?`, and nothing else a shell would act on."]
    if not exception.pattern and any(char in exception.command for char in "*?") and "'" not in exception.command:
        return [f"{where}: it has a `*` or `?` but no `pattern: true`, so it means that very character. Say which."]
    return []


DEFAULT_POLICY = GuardPolicy()
