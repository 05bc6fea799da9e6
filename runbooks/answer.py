"""What the engine answers to the person who asked, and a few words that its answers share."""

import re
from dataclasses import dataclass

from runbooks.plans import StoredPlan
from safety.decision import Decision
from storage.errors import OperatorError
from storage.records import Actor, Execution


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What to tell the person who asked. `execution` when it is about one."""

    message: str
    execution: Execution | None = None
    decision: Decision | None = None
    duplicate: bool = False


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """What a request would do, before it is made: exactly what would run, and what every gate says to it now.

    `plan` and `fingerprint` are None where a gate refused before a host was looked at.
    """

    runbook: str
    hosts: tuple[str, ...]
    decision: Decision
    plan: StoredPlan | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The plan that somebody was shown before they asked for it to run; `whole` if they could see all of it."""

    plan: StoredPlan
    fingerprint: str
    whole: bool = True


def said(answer: Answer | OperatorError) -> Answer:
    """An expected no is recorded in its transaction first, and raised after the commit."""
    if isinstance(answer, OperatorError):
        raise answer
    return answer


def refused(gate: str, reason: str) -> str:
    """A refusal as an ending says it."""
    return f"by the {gate} gate: {reason}"


def unmentioned(text: str) -> str:
    """Text that may hold what a host printed, in which nobody is mentioned: an ending's words may mention people."""
    return re.sub("<(?=[@!#])", "<\u200b", text)


def mention(actor: Actor) -> str:
    """A person, mentioned if Slack knows them."""
    return f"<@{actor.id}>" if actor.is_slack else actor.id
