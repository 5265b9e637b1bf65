"""Create the table of items.

Revision items_0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "items_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "items",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(), server_default=sa.func.current_timestamp(), nullable=True
        ),
        sa.Column(
            "updated_at", sa.DateTime(), server_default=sa.func.current_timestamp(), nullable=True
        ),
        sa.PrimaryKeyConstraint("id", name="pk_items"),
    )
    op.create_index("ix_items_name_items_id", "items", ["name", "id"])


def downgrade() -> None:
    """Undo the revision."""
    op.drop_index("ix_items_name_items_id", table_name="items")
    op.drop_table("items")
