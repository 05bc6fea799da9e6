"""Steps know the token under which their host keeps a record of the command."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; what waits or runs is kept as it is."""
    op.add_column("step_runs", sa.Column("token", sa.String(length=40), nullable=True))


def downgrade() -> None:
    """There is no way back: a former version cannot read what this one keeps."""
    raise NotImplementedError("Restore the backup that was made before the upgrade.")
