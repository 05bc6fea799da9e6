"""Requests know how often a process that started found them not handled: one that ends every process is put aside."""

import sqlalchemy as sa
from alembic import op

from storage.tables import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns; what waits has been found by nobody yet."""
    op.add_column("requests", sa.Column("starts", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("requests", sa.Column("started_at", UtcDateTime()))


def downgrade() -> None:
    """There is no way back: a former version cannot read what this one keeps."""
    raise NotImplementedError("Restore the backup that was made before the upgrade.")
