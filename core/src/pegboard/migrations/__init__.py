"""One history of revisions for each plugin, on top of Alembic and Flask-Migrate."""

from pegboard.migrations.differences import Difference, differences
from pegboard.migrations.environment import run
from pegboard.migrations.histories import (
    SITE,
    History,
    Migrate,
    MigrationError,
    get_migrate,
    init_migrations,
)
from pegboard.migrations.removal import Stray, remove, strays
from pegboard.migrations.running import downgrade, stamp, upgrade
from pegboard.migrations.state import Pending, pending
from pegboard.migrations.writing import write_differences, write_empty, write_merge

__all__ = [
    "SITE",
    "Difference",
    "History",
    "Migrate",
    "MigrationError",
    "Pending",
    "Stray",
    "differences",
    "downgrade",
    "get_migrate",
    "init_migrations",
    "pending",
    "remove",
    "run",
    "stamp",
    "strays",
    "upgrade",
    "write_differences",
    "write_empty",
    "write_merge",
]
