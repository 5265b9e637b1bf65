"""Create audit entries.

Revision audit_0001; written on 2026-11-29.
"""

import sqlalchemy as sa
from alembic import op

revision = "audit_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=7), nullable=False),
        sa.Column("table_name", sa.String(length=130), nullable=False),
        sa.Column("row_key", sa.Text(), nullable=True),
        sa.Column("before", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("after", sa.JSON(none_as_null=True), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(), server_default=sa.func.current_timestamp(), nullable=True
        ),
        sa.Column(
            "updated_at", sa.DateTime(), server_default=sa.func.current_timestamp(), nullable=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_audit_entries_table_name_audit_entries_row_key"),
        "audit_entries",
        ["table_name", "row_key"],
        unique=False,
    )


def downgrade() -> None:
    """Undo the revision."""
    op.drop_index(
        op.f("ix_audit_entries_table_name_audit_entries_row_key"), table_name="audit_entries"
    )
    op.drop_table("audit_entries")
