"""The tables, as SQLAlchemy Core sees them. Migrations make them; `alembic check` keeps both the same.

Strings with a CHECK instead of native enums, a naming convention from the first day, times as aware UTC.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect

from storage.canonical import storable
from storage.records import (
    ApprovalState,
    BreakerState,
    Consent,
    Danger,
    Death,
    FiringOutcome,
    HostState,
    InboxState,
    IncidentChange,
    IncidentStatus,
    OutboxKind,
    OutboxState,
    Phase,
    Priority,
    Scope,
    State,
    StepState,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC; SQLite keeps it without its zone."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """`timestamptz` on PostgreSQL."""
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse what has no zone: it would be somebody's local time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Always aware."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Line(TypeDecorator[str]):
    """A short text; what no database can keep of it is replaced."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """See `storable`."""
        return storable(value) if isinstance(value, str) else value


class Words(Line):
    """The same of any length."""

    impl = Text
    cache_ok = True


Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Id = BigInteger().with_variant(Integer, "sqlite")


def _one_of(column: str, kind: type[StrEnum]) -> CheckConstraint:
    values = ", ".join(f"'{member.value}'" for member in kind)
    return CheckConstraint(f"{column} IN ({values})", name=column)


requests = Table(
    "requests",
    metadata,
    Column("id", Line(40), primary_key=True),
    Column("key", Line(255), nullable=False),
    Column("kind", Line(20), nullable=False),
    Column("actor_id", Line(80), nullable=False),
    Column("actor_name", Line(200), nullable=False),
    Column("channel", Line(40)),
    Column("text", Words, nullable=False),
    Column("payload", Json, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("state", Line(10), nullable=False),
    Column("answer", Words),  # what was said back, for who waits at a command line
    Column("starts", Integer, nullable=False, server_default="0"),  # of a process that found it not handled
    Column("started_at", UtcDateTime),  # the last of them
    UniqueConstraint("key"),
    _one_of("state", InboxState),
    Index("ix_requests_new", "received_at", sqlite_where=text("state = 'new'"), postgresql_where=text("state = 'new'")),
)

_IS_OPEN_INCIDENT = text("channel IS NOT NULL AND status <> 'resolved'")
_OPEN = "state IN ('pending', 'awaiting_approval', 'running', 'interrupted')"
_UNFINISHED = text(f"normalised IS NOT NULL AND {_OPEN}")
executions = Table(
    "executions",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("request_id", Line(40)),
    Column("runbook", Line(100), nullable=False),
    Column("params", Json, nullable=False),
    Column("hosts", Json, nullable=False),
    Column("services", Json, nullable=False),
    Column("tags", Json, nullable=False, server_default="[]"),
    Column("danger", Line(10), nullable=False),
    Column("actor_id", Line(80), nullable=False),
    Column("actor_name", Line(200), nullable=False),
    Column("origin", Line(10), nullable=False),
    Column("channel", Line(40)),
    Column("text", Words, nullable=False),
    Column("normalised", Line(80)),  # hash of person, channel and text: the same while unfinished is a duplicate
    Column("reason", Words),
    Column("dry_run", Boolean, nullable=False),
    Column("priority", Line(10), nullable=False),
    Column("priority_rank", Integer, nullable=False),
    Column("state", Line(20), nullable=False),
    Column("phase", Line(10), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("queued_at", UtcDateTime, nullable=False),
    Column("timeout", Float, nullable=False),
    Column("emergency_at", UtcDateTime),
    Column("fingerprint", Line(64)),
    Column("plan", Json),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("ending", Words),
    Column("note", Words),
    Column("cancel_by", Line(80)),
    Column("cancel_at", UtcDateTime),
    Column("cancel_reason", Words),
    Column("owner", Line(80)),
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("lease_until", UtcDateTime),
    Column("retry_of", Id),
    Column("rolls_back", Id),
    Column("resume", Json),
    Column("steps_total", Integer, nullable=False, server_default="0"),
    Column("steps_done", Integer, nullable=False, server_default="0"),
    Column("current", Words),
    Column("stage", Integer, nullable=False, server_default="1"),
    Column("includes", Json, nullable=False, server_default="[]"),
    Column("rollout", Json),
    Column("unsaid", Json, nullable=False, server_default="[]"),  # parameters left as the runbook has them
    _one_of("danger", Danger),
    _one_of("priority", Priority),
    _one_of("state", State),
    _one_of("phase", Phase),
    Index(
        "ix_executions_queue",
        "priority_rank",
        "queued_at",
        "id",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
    Index(
        "ix_executions_open",
        "state",
        sqlite_where=text(_OPEN),
        postgresql_where=text(_OPEN),
    ),
    Index(
        "uq_executions_unfinished",
        "normalised",
        unique=True,
        sqlite_where=_UNFINISHED,
        postgresql_where=_UNFINISHED,
    ),
    Index("ix_executions_created", "created_at", "id"),
    Index("ix_executions_runbook", "runbook", "id"),
    Index(
        "ix_executions_rolls_back",
        "rolls_back",
        sqlite_where=text("rolls_back IS NOT NULL"),
        postgresql_where=text("rolls_back IS NOT NULL"),
    ),
    Index(
        "ix_executions_owned",
        "runbook",
        sqlite_where=text("owner IS NOT NULL"),
        postgresql_where=text("owner IS NOT NULL"),
    ),
    sqlite_autoincrement=True,  # an id is never given twice, whatever is deleted behind our back
)
is_open = text(f"executions.{_OPEN}")
"""An execution that has not ended. In these very words: by values of its own SQLite recognises no index, and would look
through all that ever ran.
"""

host_runs = Table(
    "host_runs",
    metadata,
    Column("execution_id", Id, ForeignKey("executions.id"), nullable=False),
    Column("host", Line(255), nullable=False),
    Column("position", Integer, nullable=False),
    Column("state", Line(20), nullable=False),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("reason", Words),
    Column("outcome", Words),
    Column("before", Json),
    Column("after", Json),
    Column("wave", Integer),
    PrimaryKeyConstraint("execution_id", "host"),
    _one_of("state", HostState),
)

step_runs = Table(
    "step_runs",
    metadata,
    Column("execution_id", Id, ForeignKey("executions.id"), nullable=False),
    Column("host", Line(255), nullable=False),
    Column("step", Line(20), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("title", Words, nullable=False),
    Column("changing", Boolean, nullable=False),
    Column("sent", Boolean, nullable=False),
    Column("state", Line(20), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("exit_status", Integer),
    Column("signal", Line(20)),
    Column("pgid", Integer),
    Column("death", Line(20)),
    Column("reason", Words),
    Column("lines", Integer, nullable=False, server_default="0"),
    Column("dropped", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", UtcDateTime),
    Column("token", Line(40)),  # under which the host keeps a record of the command
    Column("altered", Boolean, nullable=False, server_default=false()),  # its result was masked, cut or lost in part
    Column("result_from", Integer, nullable=False, server_default="1"),  # the first line of its result
    PrimaryKeyConstraint("execution_id", "host", "step", "attempt"),
    _one_of("state", StepState),
    _one_of("death", Death),
    Index(
        "ix_step_runs_stopped",
        "ended_at",
        sqlite_where=text("death IS NOT NULL"),
        postgresql_where=text("death IS NOT NULL"),
    ),
)

output = Table(
    "output",
    metadata,
    Column("execution_id", Id, ForeignKey("executions.id"), nullable=False),
    Column("host", Line(255), nullable=False),
    Column("step", Line(20), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("stream", Line(10), nullable=False),
    Column("text", Words, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("execution_id", "host", "step", "attempt", "seq"),
    Index("ix_output_at", "at"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("execution_id", Id, ForeignKey("executions.id"), nullable=False),
    Column("fingerprint", Line(64), nullable=False),
    Column("kind", Line(10), nullable=False),
    Column("state", Line(10), nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("quorum", Integer, nullable=False, server_default="1"),
    Column("group", Line(40)),
    Column("reminded_at", UtcDateTime),
    Column("decided_by", Line(80)),
    Column("decided_at", UtcDateTime),
    Column("good_until", UtcDateTime),
    Column("reason", Words),
    _one_of("kind", Consent),
    _one_of("state", ApprovalState),
    Index(
        "uq_approvals_waiting",
        "execution_id",
        unique=True,
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    Index("ix_approvals_execution", "execution_id"),
)

templates = Table(
    "templates",  # requests kept under a name
    metadata,
    Column("name", Line(64), primary_key=True),
    Column("text", Words, nullable=False),  # as it is typed after `/runbook`, redacted
    Column("saved_by", Line(80), nullable=False),
    Column("saved_by_name", Line(200), nullable=False),
    Column("saved_at", UtcDateTime, nullable=False),
)

schedules = Table(
    "schedules",  # requests that are made again and again
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("name", Line(64), nullable=False),
    Column("key", Line(80), nullable=False),  # the name as it is compared
    Column("text", Words, nullable=False),  # as it is typed after `/runbook`, redacted
    Column("cron", Line(200), nullable=False),
    Column("timezone", Line(64), nullable=False),
    Column("channel", Line(40)),
    Column("made_by", Line(80), nullable=False),
    Column("made_by_name", Line(200), nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("next_at", UtcDateTime),
    Column("paused_by", Line(80)),
    Column("paused_at", UtcDateTime),
    UniqueConstraint("key"),
    Index("ix_schedules_next_at", "next_at"),
    sqlite_autoincrement=True,  # a firing must never be taken for one of another schedule
)

firings = Table(
    "firings",  # what became of each moment at which a schedule was due; kept when the schedule is deleted
    metadata,
    Column("schedule_id", Id, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("name", Line(64), nullable=False),
    Column("outcome", Line(10), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("count", Integer, nullable=False, server_default="1"),
    Column("last_due", UtcDateTime),
    Column("reason", Words),
    Column("execution_id", Id),
    Column("wait_until", UtcDateTime),
    PrimaryKeyConstraint("schedule_id", "due_at"),
    _one_of("outcome", FiringOutcome),
    Index("ix_firings_at", "at"),
    Index("ix_firings_execution", "execution_id"),
)

standing_approvals = Table(
    "standing_approvals",  # consent to every firing of a schedule, until something of what it is bound to changes
    metadata,
    Column("schedule_id", Id, ForeignKey("schedules.id"), primary_key=True, autoincrement=False),
    Column("mark", Line(64), nullable=False),
    Column("changes", Integer, nullable=False),
    Column("votes", Json, nullable=False),
    Column("given_at", UtcDateTime, nullable=False),
)

approval_votes = Table(
    "approval_votes",  # one yes of one person; an approval is given when as many as its quorum are there
    metadata,
    Column("approval_id", Id, ForeignKey("approvals.id"), nullable=False),
    Column("person", Line(80), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("approval_id", "person"),
)

kill_switches = Table(
    "kill_switches",
    metadata,
    Column("scope", Line(10), nullable=False),
    Column("subject", Line(255), nullable=False),
    Column("engaged_by", Line(80), nullable=False),
    Column("engaged_by_name", Line(200), nullable=False),
    Column("engaged_at", UtcDateTime, nullable=False),
    Column("now", Boolean, nullable=False),
    Column("reason", Words),
    Column("reminded_at", UtcDateTime),
    PrimaryKeyConstraint("scope", "subject"),
    _one_of("scope", Scope),
)

token_buckets = Table(
    "token_buckets",
    metadata,
    Column("key", Line(300), primary_key=True),
    Column("tat", Float, nullable=False),  # GCRA's theoretical arrival time, seconds since 1970
)

refusals = Table(
    "refusals",  # what limits refused within the last hour, to notice one that refuses too often
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("rule", Line(300), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("alerted", Boolean, nullable=False),
    Index("ix_refusals_rule", "rule", "at"),
)

cooldowns = Table(
    "cooldowns",
    metadata,
    Column("runbook", Line(100), nullable=False),
    Column("host", Line(255), nullable=False),
    Column("execution_id", Id, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("runbook", "host"),
)

admissions = Table(
    "admissions",  # the budgets one execution has taken, once
    metadata,
    Column("execution_id", Id, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
)

breakers = Table(
    "breakers",
    metadata,
    Column("runbook", Line(100), nullable=False),
    Column("host", Line(255), nullable=False),
    Column("state", Line(10), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("successes", Integer, nullable=False),
    Column("opened_at", UtcDateTime),
    Column("probing", Id),
    Column("probing_until", UtcDateTime),
    PrimaryKeyConstraint("runbook", "host"),
    _one_of("state", BreakerState),
)

host_locks = Table(
    "host_locks",
    metadata,
    Column("host", Line(255), primary_key=True),
    Column("execution_id", Id, ForeignKey("executions.id"), nullable=False),
    Column("since", UtcDateTime, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Id, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", Line(60), nullable=False),
    Column("actor", Line(80), nullable=False),
    Column("origin", Line(10), nullable=False),
    Column("execution_id", Id),
    Column("data", Words, nullable=False),  # canonical JSON, byte for byte what was hashed
    Column("previous", Line(64), nullable=False),
    Column("hash", Line(64), nullable=False),
    UniqueConstraint("hash"),
    Index("ix_audit_execution", "execution_id", "seq"),
    Index("ix_audit_actor", "actor", "seq"),
    Index("ix_audit_kind", "kind", "seq"),
    Index("ix_audit_at", "at", "seq"),
    Index("ix_audit_actor_at", "actor", "at", "seq"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Id, nullable=False),
    Column("hash", Line(64), nullable=False),
    CheckConstraint("id = 1", name="single"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Line(40), primary_key=True),
    Column("kind", Line(10), nullable=False),
    Column("kind_rank", Integer, nullable=False),
    Column("method", Line(20), nullable=False),
    Column("channel", Line(40)),
    Column("execution_id", Id),
    Column("coalesce_key", Line(120)),
    Column("payload", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("position", Id, nullable=False),  # order among messages of one rank
    Column("state", Line(10), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", UtcDateTime),
    Column("unsure", Boolean, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("ts", Line(40)),
    Column("error", Words),
    Column("announced_at", UtcDateTime),  # of a dead letter: when the alerts channel was told of it
    _one_of("kind", OutboxKind),
    _one_of("state", OutboxState),
    Index(
        "ix_outbox_waiting",
        "kind_rank",
        "position",
        sqlite_where=text("state IN ('waiting', 'sending')"),
        postgresql_where=text("state IN ('waiting', 'sending')"),
    ),
    Index(
        "uq_outbox_coalesce_key",
        "coalesce_key",
        unique=True,
        sqlite_where=text("state = 'waiting' AND coalesce_key IS NOT NULL"),
        postgresql_where=text("state = 'waiting' AND coalesce_key IS NOT NULL"),
    ),
    Index(
        "ix_outbox_dead",
        "position",
        sqlite_where=text("state = 'dead'"),
        postgresql_where=text("state = 'dead'"),
    ),
    Index("ix_outbox_execution", "execution_id"),
)

speaker = Table(
    "speaker",  # one row: the process that speaks to Slack for all, and until when it has that from itself
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("process", Line(40), nullable=False),
    Column("until", UtcDateTime, nullable=False),
)

threads = Table(
    "threads",
    metadata,
    Column("execution_id", Id, primary_key=True, autoincrement=False),
    Column("channel", Line(40), nullable=False),
    Column("ts", Line(40), nullable=False),
    Column("asked_in", Line(40)),
)

channels = Table(
    "channels",  # what we learned about posting there
    metadata,
    Column("id", Line(40), primary_key=True),
    Column("postable", Boolean, nullable=False),
    Column("error", Line(80)),
    Column("checked_at", UtcDateTime, nullable=False),
)

owners = Table(
    "owners",  # processes that execute; their rows tell which switches and cancels they have seen
    metadata,
    Column("id", Line(80), primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

user_groups = Table(
    "user_groups",  # Slack's user groups as they were last looked up
    metadata,
    Column("id", Line(40), primary_key=True),
    Column("members", Json, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

credentials = Table(
    "credentials",  # secrets at rest, each sealed and bound to its name
    metadata,
    Column("name", Line(200), primary_key=True),
    Column("sealed", Words, nullable=False),
    Column("key_id", Line(16), nullable=False),
    Column("created_by", Line(80), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("sealed_at", UtcDateTime, nullable=False),
)

chores = Table(
    "chores",  # what is done once a while by whichever process comes first, and when it was done last
    metadata,
    Column("name", Line(60), primary_key=True),
    Column("done_at", UtcDateTime, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("name", Line(80), nullable=False),
    Column("title", Words, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("service", Line(255)),
    Column("status", Line(20), nullable=False),
    Column("opened_by", Line(80), nullable=False),
    Column("opened_by_name", Line(200), nullable=False),
    Column("origin", Line(10), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("asked_in", Line(40)),
    Column("channel", Line(40)),
    Column("is_ours", Boolean, nullable=False, server_default=false()),
    Column("roles", Json, nullable=False, server_default="{}"),
    Column("acknowledged_at", UtcDateTime),
    Column("mitigated_at", UtcDateTime),
    Column("resolved_at", UtcDateTime),
    Column("resolved_by", Line(80)),
    Column("summary", Words),
    Column("wants_channel", Boolean, nullable=False, server_default=false()),
    Column("may_exist", Boolean, nullable=False, server_default=false()),
    Column("to_invite", Json, nullable=False, server_default="[]"),
    Column("topic", Words),
    Column("headline_id", Line(40)),
    Column("headline_channel", Line(40)),
    Column("headline_ts", Line(40)),
    Column("pinned", Boolean, nullable=False, server_default=false()),
    Column("version", Integer, nullable=False, server_default="0"),
    Column("shown", Integer, nullable=False, server_default="0"),
    Column("told", Integer, nullable=False, server_default="0"),
    Column("due_at", UtcDateTime),
    Column("attempts", Integer, nullable=False, server_default="0"),
    UniqueConstraint("name"),
    _one_of("status", IncidentStatus),
    Index(
        "uq_incidents_channel",  # a channel is about one thing at a time
        "channel",
        unique=True,
        sqlite_where=_IS_OPEN_INCIDENT,
        postgresql_where=_IS_OPEN_INCIDENT,
    ),
    Index("ix_incidents_channel", "channel", "id"),
    Index(
        "ix_incidents_due",
        "due_at",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

incident_entries = Table(
    "incident_entries",  # what happened to an incident itself; what ran in its channel is in `executions`
    metadata,
    Column("incident_id", Id, ForeignKey("incidents.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Line(80), nullable=False),
    Column("actor_name", Line(200), nullable=False),
    Column("change", Line(20), nullable=False),
    Column("text", Words, nullable=False),
    PrimaryKeyConstraint("incident_id", "seq"),
    _one_of("change", IncidentChange),
)

controls = Table(
    "controls",  # one row; its number grows with every switch and cancel, so that watching costs one small read
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", Id, nullable=False),
    CheckConstraint("id = 1", name="single"),
)

Row = Mapping[str, Any]
