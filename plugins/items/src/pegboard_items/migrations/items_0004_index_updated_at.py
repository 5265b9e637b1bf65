"""Index updated_at, so that lists in its order cost the same however many items there are.

Revision items_0004, after items_0003; written on 2026-11-29.
"""

from alembic import op

revision = "items_0004"
down_revision = "items_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision, without a lock that keeps others from writing."""
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_items_updated_at_items_id",
            "items",
            ["updated_at", "id"],
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    """Undo the revision."""
    op.drop_index("ix_items_updated_at_items_id", table_name="items")
