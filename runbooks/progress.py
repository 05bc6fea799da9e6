"""What happened, in the past tense, and the port through which it is told.

Every event is reported inside the transaction of the thing it tells, so that what must be said is kept with it. A
reporter only writes down what to say; it never talks to anybody, and it never fails an execution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from sqlalchemy import Connection

from storage.records import (
    Actor,
    Approval,
    Breaker,
    Death,
    Execution,
    Firing,
    HostLock,
    HostRun,
    KillSwitch,
    OutputLine,
    Schedule,
    StepRun,
)


@dataclass(frozen=True, kw_only=True)
class ExecutionSubmitted:
    """A request was accepted (state pending): the headline is due."""

    execution: Execution


@dataclass(frozen=True, kw_only=True)
class PlanMade:
    """The plan is stored. `plan` is its JSON as `plans.to_json` makes it: {"hosts": [{"host", "steps", "facts"}]}."""

    execution: Execution
    plan: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class LookRetried:
    """A host could not be reached while it was looked at for the plan; another try follows (`execution.note`)."""

    execution: Execution


@dataclass(frozen=True, kw_only=True)
class ApprovalAsked:
    """The execution waits for consent. `why` says in words why it is needed; `notify` is a user or group id."""

    execution: Execution
    approval: Approval
    plan: Mapping[str, Any]
    why: str
    notify: str | None
    approvers: tuple[str, ...]  # Slack user and group ids that may approve; empty for `confirm`
    needs: tuple[str, ...] = ()  # what must be given, all of it: "2 of S0DBA"
    last: tuple[Execution, ...] = ()  # the newest that this runbook ran on these hosts, newest first


@dataclass(frozen=True, kw_only=True)
class ApprovalVoted:
    """One more person said yes, and it is not enough yet. `asked` is the request as it stands now."""

    asked: ApprovalAsked
    actor: Actor
    missing: tuple[str, ...]  # what is still to be given: "1 of S0DBA"


@dataclass(frozen=True, kw_only=True)
class ApprovalReminded:
    """Half of its time is over and it is not decided."""

    execution: Execution
    approval: Approval
    notify: str | None
    approvers: tuple[str, ...]  # those who have said yes are not among them
    missing: tuple[str, ...] = ()  # what is still to be given


@dataclass(frozen=True, kw_only=True)
class ApprovalDecided:
    """It was given, denied or expired (`approval.state`). `actor` is None when it expired."""

    execution: Execution
    approval: Approval
    actor: Actor | None


@dataclass(frozen=True, kw_only=True)
class ExecutionWaiting:
    """Approved and allowed, but a host is locked by another execution."""

    execution: Execution
    locks: tuple[HostLock, ...]
    holders: tuple[Execution, ...]


@dataclass(frozen=True, kw_only=True)
class ExecutionStarted:
    """It was admitted: budgets and locks are taken, steps follow."""

    execution: Execution
    steps_total: int


@dataclass(frozen=True, kw_only=True)
class StepStarted:
    """A step was marked started, right before it starts. `number` of `total` over all hosts."""

    execution: Execution
    step: StepRun
    command: str | None  # the shell text, if it runs one
    number: int
    total: int


@dataclass(frozen=True, kw_only=True)
class StepPrinted:
    """New output of a running step; `tail` are its newest lines so far, `lines` how many there were in all."""

    execution: Execution
    step: StepRun
    tail: Sequence[OutputLine]
    lines: int


@dataclass(frozen=True, kw_only=True)
class StepRetried:
    """A try failed and another follows in `seconds`."""

    execution: Execution
    step: StepRun
    reason: str
    seconds: float
    attempt: int
    most: int


@dataclass(frozen=True, kw_only=True)
class StepFinished:
    """A step ended; `tail` are its last lines. `look` is what a daemon says about work it was handed."""

    execution: Execution
    step: StepRun
    tail: Sequence[OutputLine]
    look: str | None = None


@dataclass(frozen=True, kw_only=True)
class HostFinished:
    """One host of several is through."""

    execution: Execution
    host: HostRun


@dataclass(frozen=True, kw_only=True)
class WaveEnded:
    """All hosts of one wave are through, and another one follows after `pause` seconds."""

    execution: Execution
    number: int
    of: int
    hosts: tuple[str, ...]
    succeeded: int
    pause: float


@dataclass(frozen=True, kw_only=True)
class ExecutionEnded:
    """It reached a final state (also refused, denied, expired). `tail` are the last lines of a failed step."""

    execution: Execution
    hosts: tuple[HostRun, ...]
    steps: tuple[StepRun, ...]
    tail: Sequence[OutputLine] = ()
    gate: str | None = None  # the gate that refused
    undoable: bool = False  # some applied step has an undo
    retriable: bool = False
    rollback: Execution | None = None  # what takes back by itself what was applied


@dataclass(frozen=True, kw_only=True)
class ExecutionInterrupted:
    """Its owner died, or a stopped command could not be confirmed dead; the outcome of `steps` is unknown."""

    execution: Execution
    steps: tuple[StepRun, ...]
    reason: str
    resumable: bool
    undoable: bool


@dataclass(frozen=True, kw_only=True)
class ExecutionContinued:
    """It goes on: after an interruption by itself or because `actor` said so, or with its next stage."""

    execution: Execution
    actor: Actor | None
    words: str


@dataclass(frozen=True, kw_only=True)
class SwitchEngaged:
    """A kill switch is on. `waiting` and `running` are the executions it holds or stops."""

    switch: KillSwitch
    actor: Actor
    running: tuple[Execution, ...]
    waiting: tuple[Execution, ...]
    channel: str | None  # where it was asked


@dataclass(frozen=True, kw_only=True)
class SwitchStopped:
    """What `--now` found after ending the running commands: (execution id, host, what the look said)."""

    switch: KillSwitch
    found: tuple[tuple[int, str, Death], ...]
    seconds: float
    channel: str | None


@dataclass(frozen=True, kw_only=True)
class SwitchReleased:
    """A kill switch is off again."""

    switch: KillSwitch
    actor: Actor
    reason: str
    channel: str | None


@dataclass(frozen=True, kw_only=True)
class EmergencyUsed:
    """Somebody runs in spite of engaged switches."""

    execution: Execution
    switches: tuple[KillSwitch, ...]


@dataclass(frozen=True, kw_only=True)
class SwitchReminded:
    """A kill switch has been engaged for another hour."""

    switch: KillSwitch


@dataclass(frozen=True, kw_only=True)
class LimitRefuses:
    """A limit refused `count` times within an hour, which is more than people notice one by one."""

    execution: Execution  # the one that was refused last
    rule: str
    reason: str
    count: int


@dataclass(frozen=True, kw_only=True)
class BreakerMoved:
    """A circuit breaker opened, half-opened or closed: by an execution, or because `actor` reset it."""

    breaker: Breaker
    execution: Execution | None = None
    actor: Actor | None = None


@dataclass(frozen=True, kw_only=True)
class ScheduleChanged:
    """A schedule was made, replaced, paused, resumed or deleted, or consent to all its firings was given or is gone."""

    schedule: Schedule
    actor: Actor | None  # None: Handrail by itself
    words: str  # "was paused", with what more there is to say


@dataclass(frozen=True, kw_only=True)
class FiringLost:
    """A moment of a schedule passed, and it did not run: missed, skipped or refused (`firing.outcome`)."""

    schedule: Schedule
    firing: Firing
    caught_up: bool = False  # the newest of them is made up for now


Event: TypeAlias = (
    ExecutionSubmitted
    | PlanMade
    | LookRetried
    | ApprovalAsked
    | ApprovalVoted
    | ApprovalReminded
    | ApprovalDecided
    | ExecutionWaiting
    | ExecutionStarted
    | StepStarted
    | StepPrinted
    | StepRetried
    | StepFinished
    | HostFinished
    | WaveEnded
    | ExecutionEnded
    | ExecutionInterrupted
    | ExecutionContinued
    | SwitchEngaged
    | SwitchStopped
    | SwitchReleased
    | SwitchReminded
    | EmergencyUsed
    | LimitRefuses
    | BreakerMoved
    | ScheduleChanged
    | FiringLost
)


class Reporter(Protocol):
    """Writes down what must be said."""

    def report(self, connection: Connection, event: Event, now: datetime) -> None:
        """In the transaction of what happened; never slow, never raises for what an event holds."""
        ...

    async def headline_settled(self, execution: Execution) -> None:
        """Return when a headline stands, or when it is known that waiting for one would be waiting for Slack.

        Nothing is run before: in a channel that can't be posted to, the headline first goes elsewhere.
        """
        ...
