"""What rights, limits, switches, breakers, approvals and credentials keep beyond the beginning."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
JSON_ = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Add columns, tables and indexes; what waits or runs is kept as it is."""
    op.add_column("executions", sa.Column("tags", JSON_, nullable=False, server_default="[]"))
    op.add_column("step_runs", sa.Column("next_attempt_at", UtcDateTime(), nullable=True))
    op.add_column("approvals", sa.Column("quorum", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("approvals", sa.Column("group", sa.String(length=40), nullable=True))
    op.add_column("outbox", sa.Column("announced_at", UtcDateTime(), nullable=True))
    op.add_column("breakers", sa.Column("probing_until", UtcDateTime(), nullable=True))
    _switches_of_tags()
    op.create_table(
        "approval_votes",
        sa.Column("approval_id", ID, nullable=False),
        sa.Column("person", sa.String(length=80), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["approval_id"], ["approvals.id"], name=op.f("fk_approval_votes_approval_id_approvals")
        ),
        sa.PrimaryKeyConstraint("approval_id", "person", name=op.f("pk_approval_votes")),
    )
    op.create_table(
        "refusals",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("rule", sa.String(length=300), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("alerted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refusals")),
    )
    op.create_index("ix_refusals_rule", "refusals", ["rule", "at"], unique=False)
    op.create_table(
        "user_groups",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("members", JSON_, nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_groups")),
    )
    op.create_table(
        "credentials",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("sealed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_credentials")),
    )
    op.create_table(
        "chores",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("done_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_chores")),
    )
    op.create_index(
        "ix_outbox_dead",
        "outbox",
        ["position"],
        unique=False,
        sqlite_where=sa.text("state = 'dead'"),
        postgresql_where=sa.text("state = 'dead'"),
    )
    op.create_index("ix_audit_kind", "audit", ["kind", "seq"], unique=False)
    op.create_index("ix_audit_at", "audit", ["at", "seq"], unique=False)


def _switches_of_tags() -> None:
    """A switch may cover a tag: SQLite cannot change a CHECK, so the table is made anew there and its rows moved."""
    columns: tuple[sa.Column[Any], ...] = (
        sa.Column("scope", sa.String(length=10), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("engaged_by", sa.String(length=80), nullable=False),
        sa.Column("engaged_by_name", sa.String(length=200), nullable=False),
        sa.Column("engaged_at", UtcDateTime(), nullable=False),
        sa.Column("now", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("reminded_at", UtcDateTime(), nullable=True),
    )
    scopes = "scope IN ('global', 'service', 'runbook', 'host', 'tag')"
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f("ck_kill_switches_scope"), "kill_switches", type_="check")
        op.create_check_constraint(op.f("ck_kill_switches_scope"), "kill_switches", scopes)
        op.add_column("kill_switches", columns[-1])
        return
    kept = ", ".join(column.name for column in columns[:-1])
    op.rename_table("kill_switches", "kill_switches_before")
    op.create_table(
        "kill_switches",
        *columns,
        sa.CheckConstraint(scopes, name=op.f("ck_kill_switches_scope")),
        sa.PrimaryKeyConstraint("scope", "subject", name=op.f("pk_kill_switches")),
    )
    op.execute(f"INSERT INTO kill_switches ({kept}) SELECT {kept} FROM kill_switches_before")
    op.drop_table("kill_switches_before")


def downgrade() -> None:
    """There is no way back: a former version cannot read what this one keeps."""
    raise NotImplementedError("Restore the backup that was made before the upgrade.")
