"""Index what `q` looks into.

Revision reviews_0002, after reviews_0001; written on 2026-11-29.
"""

from pegboard.resources import create_search_index, drop_search_index

revision = "reviews_0002"
down_revision = "reviews_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    create_search_index("reviews", ["text"])  # the columns of search=


def downgrade() -> None:
    """Undo the revision."""
    drop_search_index("reviews")
