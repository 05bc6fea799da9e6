"""Executions know which parameters were left as the runbook has them, so that a headline names the others alone."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

JSON_ = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Add a column; of what is there already every parameter is named, as before."""
    op.add_column("executions", sa.Column("unsaid", JSON_, nullable=False, server_default="[]"))


def downgrade() -> None:
    """There is no way back: a former version cannot read what this one keeps."""
    raise NotImplementedError("Restore the backup that was made before the upgrade.")
