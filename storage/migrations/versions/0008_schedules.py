"""Schedules, what became of each moment at which one was due, and consent to every firing of one."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
JSON_ = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Add three tables; nothing that is there changes."""
    op.create_table(
        "schedules",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("cron", sa.String(length=200), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=40)),
        sa.Column("made_by", sa.String(length=80), nullable=False),
        sa.Column("made_by_name", sa.String(length=200), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("next_at", UtcDateTime()),
        sa.Column("paused_by", sa.String(length=80)),
        sa.Column("paused_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        sa.UniqueConstraint("key", name=op.f("uq_schedules_key")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_schedules_next_at", "schedules", ["next_at"])
    op.create_table(
        "firings",
        sa.Column("schedule_id", ID, nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("last_due", UtcDateTime()),
        sa.Column("reason", sa.Text()),
        sa.Column("execution_id", ID),
        sa.Column("wait_until", UtcDateTime()),
        sa.PrimaryKeyConstraint("schedule_id", "due_at", name=op.f("pk_firings")),
        sa.CheckConstraint("outcome IN ('fired', 'missed', 'skipped', 'refused')", name=op.f("ck_firings_outcome")),
    )
    op.create_index("ix_firings_at", "firings", ["at"])
    op.create_index("ix_firings_execution", "firings", ["execution_id"])
    op.create_table(
        "standing_approvals",
        sa.Column("schedule_id", ID, autoincrement=False, nullable=False),
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("votes", JSON_, nullable=False),
        sa.Column("given_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["schedules.id"], name=op.f("fk_standing_approvals_schedule_id_schedules")
        ),
        sa.PrimaryKeyConstraint("schedule_id", name=op.f("pk_standing_approvals")),
    )


def downgrade() -> None:
    """There is no way back: a former version cannot read what this one keeps."""
    raise NotImplementedError("Restore the backup that was made before the upgrade.")
