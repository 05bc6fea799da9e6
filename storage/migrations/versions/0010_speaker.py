"""Of several processes one speaks to Slack."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from storage.tables import UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a table with its only row, of nobody."""
    speaker = op.create_table(
        "speaker",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("process", sa.String(length=40), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_speaker")),
    )
    op.bulk_insert(speaker, [{"id": 1, "process": "", "until": datetime(1970, 1, 1, tzinfo=UTC)}])


def downgrade() -> None:
    """There is no way back: a former version cannot read what this one keeps."""
    raise NotImplementedError("Restore the backup that was made before the upgrade.")
