"""The first schema, and the triggers that keep the audit append-only."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
JSON_ = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

SQLITE_TRIGGERS = (
    """CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
       BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
    """CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
       BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
    # REPLACE deletes the old row without asking the delete trigger, so a row that exists may not be inserted again.
    """CREATE TRIGGER audit_only_append BEFORE INSERT ON audit
       WHEN NEW.seq IS NULL OR NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit)
         OR EXISTS (SELECT 1 FROM audit WHERE hash = NEW.hash)
       BEGIN SELECT RAISE(ABORT, 'the audit is append-only: entries follow each other'); END""",
)
POSTGRESQL_TRIGGERS = (
    """CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$""",
    """CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
       FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()""",
    """CREATE FUNCTION audit_follows() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
         IF NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit) THEN
           RAISE EXCEPTION 'the audit is append-only: entries follow each other';
         END IF;
         RETURN NEW;
       END $$""",
    """CREATE TRIGGER audit_only_append BEFORE INSERT ON audit
       FOR EACH ROW EXECUTE FUNCTION audit_follows()""",
    # An upsert meets the update trigger only when a row is really in the way; the rule above refuses it before that.
)


def upgrade() -> None:
    """Make every table, then the single rows and the triggers."""
    op.create_table(
        "admissions",
        sa.Column("execution_id", ID, autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("execution_id", name=op.f("pk_admissions")),
    )
    op.create_table(
        "audit",
        sa.Column("seq", ID, autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("kind", sa.String(length=60), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.Column("execution_id", ID, nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
        sa.UniqueConstraint("hash", name=op.f("uq_audit_hash")),
    )
    op.create_index("ix_audit_actor", "audit", ["actor", "seq"], unique=False)
    op.create_index("ix_audit_execution", "audit", ["execution_id", "seq"], unique=False)
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", ID, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "breakers",
        sa.Column("runbook", sa.String(length=100), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("successes", sa.Integer(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=True),
        sa.Column("probing", ID, nullable=True),
        sa.CheckConstraint("state IN ('closed', 'open', 'half-open')", name=op.f("ck_breakers_state")),
        sa.PrimaryKeyConstraint("runbook", "host", name=op.f("pk_breakers")),
    )
    op.create_table(
        "channels",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("postable", sa.Boolean(), nullable=False),
        sa.Column("error", sa.String(length=80), nullable=True),
        sa.Column("checked_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channels")),
    )
    op.create_table(
        "controls",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", ID, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_controls_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_controls")),
    )
    op.create_table(
        "cooldowns",
        sa.Column("runbook", sa.String(length=100), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("runbook", "host", name=op.f("pk_cooldowns")),
    )
    op.create_table(
        "executions",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("request_id", sa.String(length=40), nullable=True),
        sa.Column("runbook", sa.String(length=100), nullable=False),
        sa.Column("params", JSON_, nullable=False),
        sa.Column("hosts", JSON_, nullable=False),
        sa.Column("services", JSON_, nullable=False),
        sa.Column("danger", sa.String(length=10), nullable=False),
        sa.Column("actor_id", sa.String(length=80), nullable=False),
        sa.Column("actor_name", sa.String(length=200), nullable=False),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("normalised", sa.String(length=80), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.String(length=10), nullable=False),
        sa.Column("priority_rank", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("phase", sa.String(length=10), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("queued_at", UtcDateTime(), nullable=False),
        sa.Column("timeout", sa.Float(), nullable=False),
        sa.Column("emergency_at", UtcDateTime(), nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("plan", JSON_, nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("ending", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("cancel_by", sa.String(length=80), nullable=True),
        sa.Column("cancel_at", UtcDateTime(), nullable=True),
        sa.Column("cancel_reason", sa.Text(), nullable=True),
        sa.Column("owner", sa.String(length=80), nullable=True),
        sa.Column("epoch", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("retry_of", ID, nullable=True),
        sa.Column("rolls_back", ID, nullable=True),
        sa.Column("resume", JSON_, nullable=True),
        sa.Column("steps_total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("steps_done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("current", sa.Text(), nullable=True),
        sa.CheckConstraint("danger IN ('read', 'low', 'high', 'dangerous')", name=op.f("ck_executions_danger")),
        sa.CheckConstraint("phase IN ('plan', 'apply')", name=op.f("ck_executions_phase")),
        sa.CheckConstraint("priority IN ('high', 'normal', 'low')", name=op.f("ck_executions_priority")),
        sa.CheckConstraint(
            "state IN ('pending', 'awaiting_approval', 'running', 'succeeded', 'failed', 'cancelled', 'timed_out', 'refused', 'denied', 'expired', 'interrupted', 'rolled_back')",
            name=op.f("ck_executions_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_executions")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_executions_created", "executions", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_executions_open",
        "executions",
        ["state"],
        unique=False,
        sqlite_where=sa.text("state IN ('pending', 'awaiting_approval', 'running', 'interrupted')"),
        postgresql_where=sa.text("state IN ('pending', 'awaiting_approval', 'running', 'interrupted')"),
    )
    op.create_index(
        "ix_executions_queue",
        "executions",
        ["priority_rank", "queued_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "uq_executions_unfinished",
        "executions",
        ["normalised"],
        unique=True,
        sqlite_where=sa.text(
            "normalised IS NOT NULL AND state IN ('pending', 'awaiting_approval', 'running', 'interrupted')"
        ),
        postgresql_where=sa.text(
            "normalised IS NOT NULL AND state IN ('pending', 'awaiting_approval', 'running', 'interrupted')"
        ),
    )
    op.create_table(
        "kill_switches",
        sa.Column("scope", sa.String(length=10), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("engaged_by", sa.String(length=80), nullable=False),
        sa.Column("engaged_by_name", sa.String(length=200), nullable=False),
        sa.Column("engaged_at", UtcDateTime(), nullable=False),
        sa.Column("now", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("scope IN ('global', 'service', 'runbook', 'host')", name=op.f("ck_kill_switches_scope")),
        sa.PrimaryKeyConstraint("scope", "subject", name=op.f("pk_kill_switches")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("kind_rank", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(length=20), nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=True),
        sa.Column("execution_id", ID, nullable=True),
        sa.Column("coalesce_key", sa.String(length=120), nullable=True),
        sa.Column("payload", JSON_, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("position", ID, nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", UtcDateTime(), nullable=True),
        sa.Column("unsure", sa.Boolean(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("ts", sa.String(length=40), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('ending', 'approval', 'answer', 'alert', 'headline', 'plan', 'card', 'progress')",
            name=op.f("ck_outbox_kind"),
        ),
        sa.CheckConstraint("state IN ('waiting', 'sending', 'sent', 'dead')", name=op.f("ck_outbox_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_execution", "outbox", ["execution_id"], unique=False)
    op.create_index(
        "ix_outbox_waiting",
        "outbox",
        ["kind_rank", "position"],
        unique=False,
        sqlite_where=sa.text("state IN ('waiting', 'sending')"),
        postgresql_where=sa.text("state IN ('waiting', 'sending')"),
    )
    op.create_index(
        "uq_outbox_coalesce_key",
        "outbox",
        ["coalesce_key"],
        unique=True,
        sqlite_where=sa.text("state = 'waiting' AND coalesce_key IS NOT NULL"),
        postgresql_where=sa.text("state = 'waiting' AND coalesce_key IS NOT NULL"),
    )
    op.create_table(
        "owners",
        sa.Column("id", sa.String(length=80), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_owners")),
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("actor_id", sa.String(length=80), nullable=False),
        sa.Column("actor_name", sa.String(length=200), nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("payload", JSON_, nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('new', 'handled')", name=op.f("ck_requests_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
        sa.UniqueConstraint("key", name=op.f("uq_requests_key")),
    )
    op.create_index(
        "ix_requests_new",
        "requests",
        ["received_at"],
        unique=False,
        sqlite_where=sa.text("state = 'new'"),
        postgresql_where=sa.text("state = 'new'"),
    )
    op.create_table(
        "threads",
        sa.Column("execution_id", ID, autoincrement=False, nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("ts", sa.String(length=40), nullable=False),
        sa.Column("asked_in", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("execution_id", name=op.f("pk_threads")),
    )
    op.create_table(
        "token_buckets",
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("tat", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_token_buckets")),
    )
    op.create_table(
        "approvals",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("reminded_at", UtcDateTime(), nullable=True),
        sa.Column("decided_by", sa.String(length=80), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("good_until", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('none', 'confirm', 'approve')", name=op.f("ck_approvals_kind")),
        sa.CheckConstraint(
            "state IN ('waiting', 'given', 'denied', 'expired', 'withdrawn')", name=op.f("ck_approvals_state")
        ),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name=op.f("fk_approvals_execution_id_executions")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    op.create_index("ix_approvals_execution", "approvals", ["execution_id"], unique=False)
    op.create_index(
        "uq_approvals_waiting",
        "approvals",
        ["execution_id"],
        unique=True,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "host_locks",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name=op.f("fk_host_locks_execution_id_executions")
        ),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_host_locks")),
    )
    op.create_table(
        "host_runs",
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("before", JSON_, nullable=True),
        sa.Column("after", JSON_, nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled', 'interrupted', 'skipped')",
            name=op.f("ck_host_runs_state"),
        ),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name=op.f("fk_host_runs_execution_id_executions")),
        sa.PrimaryKeyConstraint("execution_id", "host", name=op.f("pk_host_runs")),
    )
    op.create_table(
        "output",
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("step", sa.String(length=20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("stream", sa.String(length=10), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name=op.f("fk_output_execution_id_executions")),
        sa.PrimaryKeyConstraint("execution_id", "host", "step", "attempt", "seq", name=op.f("pk_output")),
    )
    op.create_index("ix_output_at", "output", ["at"], unique=False)
    op.create_table(
        "step_runs",
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("step", sa.String(length=20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("changing", sa.Boolean(), nullable=False),
        sa.Column("sent", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("exit_status", sa.Integer(), nullable=True),
        sa.Column("signal", sa.String(length=20), nullable=True),
        sa.Column("pgid", sa.Integer(), nullable=True),
        sa.Column("death", sa.String(length=20), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("lines", sa.Integer(), server_default="0", nullable=False),
        sa.Column("dropped", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("death IN ('stopped', 'still running', 'unknown')", name=op.f("ck_step_runs_death")),
        sa.CheckConstraint(
            "state IN ('started', 'succeeded', 'failed', 'timed_out', 'stopped', 'skipped', 'interrupted')",
            name=op.f("ck_step_runs_state"),
        ),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name=op.f("fk_step_runs_execution_id_executions")),
        sa.PrimaryKeyConstraint("execution_id", "host", "step", "attempt", name=op.f("pk_step_runs")),
    )
    op.execute("INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '" + "0" * 64 + "')")
    op.execute("INSERT INTO controls (id, version) VALUES (1, 0)")
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE_TRIGGERS if sqlite else POSTGRESQL_TRIGGERS:
        op.execute(statement)
