"""What the guard answers, and what it finds on the way there."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Allow it, have a person approve it, or refuse it."""

    ALLOW = "allow"
    APPROVE = "approve"
    REFUSE = "refuse"

    @property
    def rank(self) -> int:
        """0 for the mildest, 2 for the strictest."""
        return ("allow", "approve", "refuse").index(self.value)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The guard's answer to one command.

    `rule` is the stable id of what decided, `span` the characters of `command` it is about (start, end), None where
    the whole text is meant, and `exception` the name of the team's exception that was used, for the audit.
    """

    command: str
    verdict: Severity
    rule: str
    reason: str
    span: tuple[int, int] | None
    exception: str | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One reason to allow, ask or refuse, about the bytes `span` of the text that is judged."""

    severity: Severity
    rule: str
    reason: str
    span: tuple[int, int] = (0, 0)
    exception: str | None = None


def allow(rule: str, reason: str = "Known and harmless.") -> Finding:
    """Nothing stands against it."""
    return Finding(severity=Severity.ALLOW, rule=rule, reason=reason)


def ask(rule: str, reason: str) -> Finding:
    """A person must look at it first."""
    return Finding(severity=Severity.APPROVE, rule=rule, reason=reason)


def refuse(rule: str, reason: str) -> Finding:
    """It must not run."""
    return Finding(severity=Severity.REFUSE, rule=rule, reason=reason)
