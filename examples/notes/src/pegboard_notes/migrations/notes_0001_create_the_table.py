"""Create the table.

Revision notes_0001.
"""

import sqlalchemy as sa
from alembic import op

TABLE = "notes"
BY_TITLE = "ix_notes_title_id"
BY_TIME = "ix_notes_created_at_id"

revision = "notes_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        TABLE,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=100), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(), server_default=sa.func.current_timestamp(), nullable=True
        ),
        sa.Column(
            "updated_at", sa.DateTime(), server_default=sa.func.current_timestamp(), nullable=True
        ),
        sa.PrimaryKeyConstraint("id", name="pk_notes"),
        sqlite_autoincrement=True,
    )
    op.create_index(BY_TITLE, TABLE, ["title", "id"])
    op.create_index(BY_TIME, TABLE, ["created_at", "id"])


def downgrade() -> None:
    """Undo the revision."""
    op.drop_index(BY_TIME, table_name=TABLE)
    op.drop_index(BY_TITLE, table_name=TABLE)
    op.drop_table(TABLE)
