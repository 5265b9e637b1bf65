"""Index what `q` looks into.

Revision items_0005, after items_0004; written on 2026-11-29.
"""

from pegboard.resources import create_search_index, drop_search_index

revision = "items_0005"
down_revision = "items_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    create_search_index("items", ["name", "description"])


def downgrade() -> None:
    """Undo the revision."""
    drop_search_index("items")
