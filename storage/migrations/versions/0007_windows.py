"""What one person did within a time is found by an index, however long the audit is."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add an index to the audit; no entry changes."""
    op.create_index("ix_audit_actor_at", "audit", ["actor", "at", "seq"])


def downgrade() -> None:
    """There is no way back: a former version cannot read what this one keeps."""
    raise NotImplementedError("Restore the backup that was made before the upgrade.")
