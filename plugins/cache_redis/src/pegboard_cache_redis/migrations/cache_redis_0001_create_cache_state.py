"""Create the table of the cache's state, with its one row: caching was never on.

Revision cache_redis_0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "cache_redis_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    table = op.create_table(
        "cache_state",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("servers", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "created_at", sa.DateTime(), server_default=sa.func.current_timestamp(), nullable=True
        ),
        sa.Column(
            "updated_at", sa.DateTime(), server_default=sa.func.current_timestamp(), nullable=True
        ),
        sa.PrimaryKeyConstraint("id", name="pk_cache_state"),
    )
    op.bulk_insert(table, [{"id": 1}])


def downgrade() -> None:
    """Undo the revision."""
    op.drop_table("cache_state")
