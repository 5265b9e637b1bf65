"""Use ids once.

Revision ratelimit_0002, after ratelimit_0001; written on 2026-11-28.
"""

import sqlalchemy as sa
from alembic import op

revision = "ratelimit_0002"
down_revision = "ratelimit_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    with op.batch_alter_table(
        "ratelimit_rules", table_kwargs={"sqlite_autoincrement": True}
    ) as batch_op:
        batch_op.alter_column("id", existing_type=sa.Integer(), nullable=False)


def downgrade() -> None:
    """Undo the revision."""
    with op.batch_alter_table(
        "ratelimit_rules", table_kwargs={"sqlite_autoincrement": False}
    ) as batch_op:
        batch_op.alter_column("id", existing_type=sa.Integer(), nullable=False)
