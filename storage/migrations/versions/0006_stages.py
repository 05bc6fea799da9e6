"""Plans have stages, runbooks include others, and requests are kept under a name."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

JSON_ = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Add columns and a table; what waits or runs is in its first stage, as it was."""
    op.add_column("executions", sa.Column("stage", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("executions", sa.Column("includes", JSON_, nullable=False, server_default="[]"))
    op.add_column("step_runs", sa.Column("altered", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("step_runs", sa.Column("result_from", sa.Integer(), nullable=False, server_default="1"))
    op.create_table(
        "templates",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("saved_by", sa.String(length=80), nullable=False),
        sa.Column("saved_by_name", sa.String(length=200), nullable=False),
        sa.Column("saved_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_templates")),
    )


def downgrade() -> None:
    """There is no way back: a former version cannot read what this one keeps."""
    raise NotImplementedError("Restore the backup that was made before the upgrade.")
