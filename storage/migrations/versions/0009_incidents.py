"""Incidents, with the channel of each and what happened to it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

JSON_ = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IS_OPEN = sa.text("channel IS NOT NULL AND status <> 'resolved'")
IS_DUE = sa.text("due_at IS NOT NULL")
STATUSES = "status IN ('investigating', 'identified', 'monitoring', 'resolved')"
CHANGES = "change IN ('opened', 'channel', 'severity', 'status', 'role', 'note', 'resolved', 'trouble')"


def upgrade() -> None:
    """Add two tables."""
    op.create_table(
        "incidents",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("service", sa.String(length=255), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("opened_by", sa.String(length=80), nullable=False),
        sa.Column("opened_by_name", sa.String(length=200), nullable=False),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("asked_in", sa.String(length=40), nullable=True),
        sa.Column("channel", sa.String(length=40), nullable=True),
        sa.Column("is_ours", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("roles", JSON_, nullable=False, server_default="{}"),
        sa.Column("acknowledged_at", UtcDateTime(), nullable=True),
        sa.Column("mitigated_at", UtcDateTime(), nullable=True),
        sa.Column("resolved_at", UtcDateTime(), nullable=True),
        sa.Column("resolved_by", sa.String(length=80), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("wants_channel", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("may_exist", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("to_invite", JSON_, nullable=False, server_default="[]"),
        sa.Column("topic", sa.Text(), nullable=True),
        sa.Column("headline_id", sa.String(length=40), nullable=True),
        sa.Column("headline_channel", sa.String(length=40), nullable=True),
        sa.Column("headline_ts", sa.String(length=40), nullable=True),
        sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("version", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("shown", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("told", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.CheckConstraint(STATUSES, name=op.f("ck_incidents_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
        sa.UniqueConstraint("name", name=op.f("uq_incidents_name")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_incidents_channel", "incidents", ["channel", "id"])
    op.create_index("ix_incidents_due", "incidents", ["due_at"], sqlite_where=IS_DUE, postgresql_where=IS_DUE)
    op.create_index(
        "uq_incidents_channel", "incidents", ["channel"], unique=True, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN
    )
    op.create_table(
        "incident_entries",
        sa.Column("incident_id", ID, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("actor_name", sa.String(length=200), nullable=False),
        sa.Column("change", sa.String(length=20), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.CheckConstraint(CHANGES, name=op.f("ck_incident_entries_change")),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f("fk_incident_entries_incident_id_incidents")
        ),
        sa.PrimaryKeyConstraint("incident_id", "seq", name=op.f("pk_incident_entries")),
    )


def downgrade() -> None:
    """There is no way back: a former version cannot read what this one keeps."""
    raise NotImplementedError("Restore the backup that was made before the upgrade.")
