"""Use ids once.

Revision items_0002, after items_0001; written on 2026-11-28.
"""

import sqlalchemy as sa
from alembic import op

revision = "items_0002"
down_revision = "items_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    with op.batch_alter_table("items", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.alter_column("id", existing_type=sa.Integer(), nullable=False)


def downgrade() -> None:
    """Undo the revision."""
    with op.batch_alter_table("items", table_kwargs={"sqlite_autoincrement": False}) as batch_op:
        batch_op.alter_column("id", existing_type=sa.Integer(), nullable=False)
