"""Executions know how they were asked to go over their hosts, and each host its wave."""

import sqlalchemy as sa
from alembic import op

from storage.tables import Json

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns; what waits or runs is kept as it is, and goes one host after the other as before."""
    op.add_column("executions", sa.Column("rollout", Json, nullable=True))
    op.add_column("host_runs", sa.Column("wave", sa.Integer(), nullable=True))
    known = sa.text("rolls_back IS NOT NULL")
    op.create_index(
        "ix_executions_rolls_back", "executions", ["rolls_back"], sqlite_where=known, postgresql_where=known
    )


def downgrade() -> None:
    """There is no way back: a former version cannot read what this one keeps."""
    raise NotImplementedError("Restore the backup that was made before the upgrade.")
