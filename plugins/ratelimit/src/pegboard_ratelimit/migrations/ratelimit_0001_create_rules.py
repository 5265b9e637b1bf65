"""Create the table of rules.

Revision ratelimit_0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "ratelimit_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "ratelimit_rules",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("client", sa.String(length=200), server_default="*", nullable=False),
        sa.Column("route", sa.String(length=200), server_default="*", nullable=False),
        sa.Column("methods", sa.String(length=200), server_default="*", nullable=False),
        sa.Column("limits", sa.String(length=200), nullable=False),
        sa.Column("on_failure", sa.String(length=200), nullable=True),
        sa.Column("until", sa.DateTime(), nullable=True),
        sa.Column("note", sa.String(length=200), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(), server_default=sa.func.current_timestamp(), nullable=True
        ),
        sa.Column(
            "updated_at", sa.DateTime(), server_default=sa.func.current_timestamp(), nullable=True
        ),
        sa.PrimaryKeyConstraint("id", name="pk_ratelimit_rules"),
    )


def downgrade() -> None:
    """Undo the revision."""
    op.drop_table("ratelimit_rules")
