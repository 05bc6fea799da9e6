"""What is carried, how long a runbook usually takes, and what was stopped just now are each found by an index."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add three indexes; what waits or runs is kept as it is."""
    op.create_index(
        "ix_executions_owned",
        "executions",
        ["runbook"],
        sqlite_where=sa.text("owner IS NOT NULL"),
        postgresql_where=sa.text("owner IS NOT NULL"),
    )
    op.create_index("ix_executions_runbook", "executions", ["runbook", "id"])
    op.create_index(
        "ix_step_runs_stopped",
        "step_runs",
        ["ended_at"],
        sqlite_where=sa.text("death IS NOT NULL"),
        postgresql_where=sa.text("death IS NOT NULL"),
    )


def downgrade() -> None:
    """There is no way back: a former version cannot read what this one keeps."""
    raise NotImplementedError("Restore the backup that was made before the upgrade.")
