"""One history of revisions for each plugin, on top of Alembic and Flask-Migrate."""

from pegboard.migrations.drift import Difference, differences
from pegboard.migrations.environment import READ_ONLY, run
from pegboard.migrations.execution import downgrade, explained, stamp, upgrade
from pegboard.migrations.histories import (
    PACKAGED_ENVIRONMENT,
    SITE,
    History,
    Migrate,
    MigrationError,
    chosen,
    get_migrate,
    init_migrations,
    label_of,
    revisions_of,
)
from pegboard.migrations.revisions import write_differences, write_empty, write_merge
from pegboard.migrations.status import Pending, current_heads, pending
from pegboard.migrations.uninstall import Orphan, orphans, remove

__all__ = [
    "PACKAGED_ENVIRONMENT",
    "READ_ONLY",
    "SITE",
    "Difference",
    "History",
    "Migrate",
    "MigrationError",
    "Orphan",
    "Pending",
    "chosen",
    "current_heads",
    "differences",
    "downgrade",
    "explained",
    "get_migrate",
    "init_migrations",
    "label_of",
    "orphans",
    "pending",
    "remove",
    "revisions_of",
    "run",
    "stamp",
    "upgrade",
    "write_differences",
    "write_empty",
    "write_merge",
]
