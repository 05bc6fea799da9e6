"""Every noun Handrail keeps, as frozen values. Standard library only.

Read in this order: who asked (`Actor`, `RunRequest`), what came of it (`Execution`, `HostRun`, `StepRun`), who
consented (`Approval`), what holds things back (`KillSwitch`, `HostLock`, `Breaker`), what was witnessed
(`AuditEntry`) and what must be said (`OutboxMessage`). Every `datetime` is aware and in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class Origin(StrEnum):
    """The door a request came through."""

    COMMAND = "command"
    BUTTON = "button"
    MODAL = "modal"
    SHORTCUT = "shortcut"
    SCHEDULE = "schedule"
    ALERT = "alert"
    API = "api"
    CLI = "cli"
    ENGINE = "engine"  # what Handrail does by itself: expiry, interruption


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who asked. `id` is a Slack user id, or `cli:LOGIN` for somebody at the command line."""

    id: str
    name: str = ""

    @property
    def is_slack(self) -> bool:
        """Whether this person can be mentioned in Slack."""
        return self.id.startswith(("U", "W"))


HANDRAIL = Actor(id="handrail", name="Handrail")


class Platform(StrEnum):
    """What a host runs; a runbook names those it supports."""

    LINUX = "LINUX"
    MACOS = "MACOS"
    WINDOWS = "WINDOWS"


class Danger(StrEnum):
    """How much a runbook can break; it decides who must consent."""

    READ = "read"
    LOW = "low"
    HIGH = "high"
    DANGEROUS = "dangerous"

    @property
    def changes_hosts(self) -> bool:
        """READ runbooks take no cooldown, no budget and share their host."""
        return self is not Danger.READ

    @property
    def rank(self) -> int:
        """Order of severity, 0 for READ."""
        return list(Danger).index(self)


class Priority(StrEnum):
    """The order in which waiting executions start."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 starts first."""
        return list(Priority).index(self)

    @property
    def comes_later(self) -> timedelta:
        """As if it had been asked for so much later: by so much it is overtaken at most, so that none starves."""
        return (timedelta(0), timedelta(minutes=5), timedelta(minutes=30))[self.rank]


@dataclass(frozen=True, kw_only=True)
class Caps:
    """How many executions are carried at once, over all processes, and how many may wait to be."""

    overall: int = 500
    host: int = 20
    runbook: int = 200
    runbooks: Mapping[str, int] = field(default_factory=dict)  # those with a cap of their own
    waiting: int = 2_000

    def of(self, runbook: str) -> int:
        """The cap of one runbook."""
        return self.runbooks.get(runbook, self.runbook)


USUAL_CAPS = Caps()


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How to go over several hosts, as far as somebody said; None leaves it to whoever is asked next."""

    waves: str | None = None  # "1,25%,rest"
    pause: float | None = None  # seconds between two waves
    max_failures: str | None = None  # so many hosts may fail before it stops: "1", "10%"


UNSAID = Rollout()


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What a person (or a schedule, an alert, the API) asked for, before anything is known about hosts."""

    actor: Actor
    origin: Origin
    runbook: str
    values: tuple[str, ...] = ()  # in the order typed; given to the positional parameters
    named: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    channel: str | None = None
    text: str = ""  # as typed, redacted
    dry_run: bool = False
    reason: str | None = None
    priority: Priority = Priority.NORMAL
    emergency: bool = False
    rollout: Rollout = UNSAID
    retry_of: int | None = None  # the execution this one continues; skips the cooldown that one took
    request_id: str | None = None  # the inbox row it came from


@dataclass(frozen=True, kw_only=True)
class Template:
    """A request kept under a name, as it is typed after `/runbook`. Whoever runs it is judged, not who saved it."""

    name: str
    text: str
    saved_by: Actor
    saved_at: datetime


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A request that is made again and again, with the rights that whoever made it has at that moment."""

    id: int
    name: str
    text: str  # the request as it is typed after `/runbook`, in its one spelling
    cron: str  # five fields, in one spelling
    timezone: str
    channel: str | None
    made_by: Actor
    made_at: datetime
    revision: int = 1  # grows with every change, so that nothing is done with what it was before
    next_at: datetime | None = None  # None while it is paused, and where no further moment fits
    paused_by: str | None = None
    paused_at: datetime | None = None


class FiringOutcome(StrEnum):
    """What became of one moment of a schedule."""

    FIRED = "fired"  # its execution says how it went on
    MISSED = "missed"  # nobody was there, and it was too late to catch up
    SKIPPED = "skipped"  # the one before is not finished
    REFUSED = "refused"  # it made no sense any more, or was not allowed


@dataclass(frozen=True, kw_only=True)
class Firing:
    """One moment at which a schedule was due; of missed ones, several in a row are one."""

    schedule_id: int
    name: str  # the schedule's, then
    due_at: datetime
    outcome: FiringOutcome
    at: datetime
    count: int = 1  # how many moments it stands for
    last_due: datetime | None = None  # the newest of them
    reason: str | None = None
    execution_id: int | None = None
    wait_until: datetime | None = None  # so long its execution may wait for tokens


@dataclass(frozen=True, kw_only=True)
class StandingApproval:
    """Consent to every firing of one schedule, as long as nothing of what `mark` is made of changes."""

    schedule_id: int
    mark: str  # a hash over runbook, its module's hash, parameters and hosts
    changes: int  # so many changing steps at most, on all hosts together
    votes: tuple[str, ...]  # who gave it, in that order
    given_at: datetime  # when the last of them did


class State(StrEnum):
    """States of an execution. `is_final` ones never change again, except that *interrupted* may be continued."""

    PENDING = "pending"
    AWAITING_APPROVAL = "awaiting_approval"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    REFUSED = "refused"
    DENIED = "denied"
    EXPIRED = "expired"
    INTERRUPTED = "interrupted"
    ROLLED_BACK = "rolled_back"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self not in {State.PENDING, State.AWAITING_APPROVAL, State.RUNNING, State.INTERRUPTED}

    @property
    def words(self) -> str:
        """As people read it."""
        return self.value.replace("_", " ")


class Phase(StrEnum):
    """What a pending execution waits for an owner to do."""

    PLAN = "plan"  # probe, plan, review
    APPLY = "apply"  # review again (the approval is there now), admit, run


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One attempt to carry out a plan. `params` are validated values; `plan` is read apart (it can be long)."""

    id: int
    runbook: str
    params: Mapping[str, Any]
    hosts: tuple[str, ...]
    services: tuple[str, ...]  # normalised; every kill switch on one of them holds this execution
    tags: tuple[str, ...] = ()  # of its hosts, when it was asked for
    danger: Danger
    actor: Actor
    origin: Origin
    channel: str | None
    text: str
    reason: str | None
    dry_run: bool
    priority: Priority
    state: State
    phase: Phase
    created_at: datetime
    queued_at: datetime  # when it last became claimable
    timeout: float  # seconds per host, counted from its first step
    emergency_at: datetime | None = None  # switches engaged before this instant are overridden
    fingerprint: str | None = None
    started_at: datetime | None = None  # first step of the first host
    ended_at: datetime | None = None
    ending: str | None = None  # the reason of its ending, in words
    note: str | None = None  # why it waits, in words
    cancel_by: str | None = None
    cancel_at: datetime | None = None
    cancel_reason: str | None = None
    owner: str | None = None
    epoch: int = 0
    lease_until: datetime | None = None
    retry_of: int | None = None
    rolls_back: int | None = None  # the execution whose steps this one takes back
    resume: Mapping[str, str] | None = None  # host -> first step to run again, after an interruption
    steps_total: int = 0
    steps_done: int = 0
    current: str | None = None  # the step being run, in words
    stage: int = 1  # of its plan: a further one is planned when the one before is over
    includes: tuple[str, ...] = ()  # the runbooks whose plans may be parts of its plan
    unsaid: tuple[str, ...] = ()  # of its parameters, those that were left as the runbook has them
    rollout: Rollout = UNSAID  # as asked; the plan says what comes of it

    @property
    def state_words(self) -> str:
        """Its state as a person says it; a dry run that went well was planned, and nothing else."""
        return "planned" if self.dry_run and self.state is State.SUCCEEDED else self.state.words


class HostState(StrEnum):
    """How far one host of an execution is."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class HostRun:
    """One host within one execution."""

    execution_id: int
    host: str
    position: int
    state: HostState
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    outcome: str | None = None  # what the runbook says changed, e.g. "pid 812 -> 1043"
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    wave: int | None = None  # counted from 1; None where it goes without waves


class StepState(StrEnum):
    """How one step run stands or ended."""

    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    STOPPED = "stopped"  # by cancel or kill switch
    SKIPPED = "skipped"  # not needed
    INTERRUPTED = "interrupted"  # we stopped; its outcome is unknown


class Death(StrEnum):
    """What we found when we looked for a command that we stopped."""

    STOPPED = "stopped"
    STILL_RUNNING = "still running"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class StepRun:
    """One step on one host. `step` is its place in the host's plan: "1", "2", "3.1" inside a parallel group, "w2.1"
    for the first health check after the second wave."""

    execution_id: int
    host: str
    step: str
    attempt: int
    title: str
    state: StepState
    started_at: datetime
    changing: bool = True
    sent: bool = True  # False: it is certain that nothing reached the host
    ended_at: datetime | None = None
    exit_status: int | None = None
    signal: str | None = None
    pgid: int | None = None  # the remote process group
    death: Death | None = None
    reason: str | None = None
    lines: int = 0
    dropped: int = 0  # lines beyond what we keep
    next_attempt_at: datetime | None = None  # set when this try failed and another follows: not before then
    token: str | None = None  # under which the host keeps a record of the command
    altered: bool = False  # its result was masked, cut or lost in part, and so is no value to go on with
    result_from: int = 1  # the first line of its result; those before belong to what was asked before it


@dataclass(frozen=True, kw_only=True)
class OutputLine:
    """One line of a step's output, already redacted."""

    host: str
    step: str
    attempt: int
    seq: int
    stream: str
    text: str
    at: datetime


class Consent(StrEnum):
    """What a danger asks for: nothing, the requester's own confirmation, or somebody else's approval."""

    NONE = "none"
    CONFIRM = "confirm"
    APPROVE = "approve"


class ApprovalState(StrEnum):
    """How an approval stands."""

    WAITING = "waiting"
    GIVEN = "given"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"  # the execution ended before anybody decided


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Someone's consent to exactly one plan. Given in time, it is good for the same time again."""

    id: int
    execution_id: int
    fingerprint: str
    kind: Consent
    state: ApprovalState
    requested_at: datetime
    expires_at: datetime
    quorum: int = 1  # so many different people must say yes
    group: str | None = None  # of this Slack user group; None: whoever may approve
    votes: tuple[str, ...] = ()  # who said yes so far, in that order
    reminded_at: datetime | None = None
    decided_by: str | None = None  # whose yes made it given, or who denied it
    decided_at: datetime | None = None
    good_until: datetime | None = None
    reason: str | None = None


class Scope(StrEnum):
    """What a kill switch covers."""

    GLOBAL = "global"
    SERVICE = "service"
    RUNBOOK = "runbook"
    HOST = "host"
    TAG = "tag"


@dataclass(frozen=True, kw_only=True)
class KillSwitch:
    """An engaged switch. A released one has no row; the audit remembers it. `subject` is "" for global."""

    scope: Scope
    subject: str
    engaged_by: Actor
    engaged_at: datetime
    now: bool
    reason: str | None
    reminded_at: datetime | None = None

    @property
    def words(self) -> str:
        """The switch as people name it."""
        return "global" if self.scope is Scope.GLOBAL else f"{self.scope} {self.subject}"


@dataclass(frozen=True, kw_only=True)
class HostLock:
    """A changing execution holds its hosts from admission to its end."""

    host: str
    execution_id: int
    since: datetime


TRANSPORT = ""
"""What stands for the runbook in the breaker of a host's transport: connecting and logging in, whatever is to run."""


class BreakerState(StrEnum):
    """pybreaker's states, by its names."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """The circuit breaker of one runbook on one host; with `TRANSPORT` as the runbook, that of the way to the host."""

    runbook: str
    host: str
    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    successes: int = 0
    opened_at: datetime | None = None
    probing: int | None = None  # the one execution let through while half-open
    probing_until: datetime | None = None  # its lease; after that another one may try


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A secret at rest: sealed, bound to its name. `key_id` tells which key sealed it."""

    name: str
    sealed: str = field(repr=False)
    key_id: str
    created_by: str
    created_at: datetime
    sealed_at: datetime


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One witness. `hash` is SHA-256 over the canonical JSON of everything else, `previous` included."""

    seq: int
    at: datetime
    kind: str
    actor: str
    origin: str
    execution_id: int | None
    data: Mapping[str, Any]
    previous: str
    hash: str

    @property
    def id(self) -> str:
        """Made of its content alone, so it is the same wherever the entry is shown, and in every export."""
        return f"a-{self.hash[:16]}"


class InboxState(StrEnum):
    """What became of something Slack sent us."""

    NEW = "new"
    HANDLED = "handled"


@dataclass(frozen=True, kw_only=True)
class Received:
    """What Slack sent and we acknowledged: handled once, also across a restart. `key` is what makes it unique."""

    id: str
    key: str
    kind: str
    actor: Actor
    channel: str | None
    text: str
    payload: Mapping[str, Any]
    received_at: datetime
    state: InboxState = InboxState.NEW


class OutboxKind(StrEnum):
    """What a message is; its rank is the order in which waiting messages are said.

    Approvals come first, because somebody has to act on them, and they are few: every execution has an ending, and of
    Slack's few edits the endings alone may need all for minutes.
    """

    APPROVAL = "approval"
    ENDING = "ending"
    ANSWER = "answer"  # to one person
    ALERT = "alert"
    HEADLINE = "headline"
    PLAN = "plan"
    CARD = "card"  # an edit of the headline
    PROGRESS = "progress"

    @property
    def rank(self) -> int:
        """0 is said first."""
        return _RANKS[self]


_RANKS = {kind: rank for rank, kind in enumerate(OutboxKind)}


class OutboxState(StrEnum):
    """Where a message stands."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    DEAD = "dead"


@dataclass(frozen=True, kw_only=True)
class OutboxMessage:
    """Something that must be said. `method` is how: post, update, ephemeral or respond (through a response URL)."""

    id: str
    kind: OutboxKind
    method: str
    channel: str | None
    execution_id: int | None
    coalesce_key: str | None  # a waiting message with the same key is replaced: latest wins
    payload: Mapping[str, Any]
    created_at: datetime
    state: OutboxState = OutboxState.WAITING
    attempts: int = 0
    next_attempt_at: datetime | None = None
    unsure: bool = False  # an earlier attempt may have been delivered
    sent_at: datetime | None = None
    ts: str | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Thread:
    """Where one execution reports: its headline message."""

    execution_id: int
    channel: str
    ts: str
    asked_in: str | None = None  # the channel it was asked in, when that one could not be posted to


class IncidentStatus(StrEnum):
    """How far an incident is. Only the last one is an end."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


class IncidentRole(StrEnum):
    """What somebody does in an incident; each is one person's."""

    COMMANDER = "commander"
    COMMUNICATIONS = "communications"
    OPERATIONS = "operations"
    SCRIBE = "scribe"
    LIAISON = "liaison"


class IncidentChange(StrEnum):
    """What an entry of an incident's own history tells."""

    OPENED = "opened"
    CHANNEL = "channel"  # where it lives
    SEVERITY = "severity"
    STATUS = "status"
    ROLE = "role"
    NOTE = "note"
    RESOLVED = "resolved"
    TROUBLE = "trouble"  # something of its channel could not be done


SEVERITIES = (1, 2, 3, 4)
"""1 is the worst."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """Something that is wrong, and the channel in which it is dealt with.

    From `wants_channel` on, all is for whoever sets its channel up: what is done is noted here, so that a start after a
    crash goes on where the one before stopped.
    """

    id: int
    name: str  # the name of its channel, or what it would have been; unique
    title: str
    severity: int
    service: str | None
    status: IncidentStatus
    opened_by: Actor
    origin: Origin
    opened_at: datetime
    asked_in: str | None  # the channel in which it was opened
    channel: str | None = None
    is_ours: bool = False  # the channel was made for it
    roles: Mapping[str, str] = field(default_factory=dict)  # IncidentRole's value -> person
    acknowledged_at: datetime | None = None
    mitigated_at: datetime | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    summary: str | None = None
    wants_channel: bool = False
    may_exist: bool = False  # a channel of this name was asked for, and what came of it is not known
    to_invite: tuple[str, ...] = ()
    topic: str | None = None  # as it was set
    headline_id: str | None = None  # the outbox row of its headline
    headline_channel: str | None = None
    headline_ts: str | None = None  # "" when there is none to edit
    pinned: bool = False  # or known not to be possible
    version: int = 0  # grows with every change that the headline shows
    shown: int = 0  # the version that it shows
    told: int = 0  # the newest entry of its history that the channel was told
    due_at: datetime | None = None  # when to see to its channel next; None: nothing is left to do
    attempts: int = 0  # in vain, in a row

    @property
    def is_open(self) -> bool:
        """Whether it is still being dealt with."""
        return self.status is not IncidentStatus.RESOLVED


@dataclass(frozen=True, kw_only=True)
class IncidentEntry:
    """One line of an incident's own history."""

    incident_id: int
    seq: int
    at: datetime
    actor: Actor
    change: IncidentChange
    text: str
