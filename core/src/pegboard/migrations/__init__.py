"""Database migrations: one Alembic history and one version table for each plugin."""

from pegboard.migrations.drift import Drift, find_drift
from pegboard.migrations.environment import READ_ONLY_ATTRIBUTE, run_environment
from pegboard.migrations.errors import MigrationError, translate_alembic_errors
from pegboard.migrations.execution import downgrade, stamp, upgrade
from pegboard.migrations.histories import (
    PACKAGED_ENVIRONMENT,
    SITE_HISTORY,
    History,
    get_migrate,
    init_migrations,
    read_script_directory,
    revision_label,
)
from pegboard.migrations.missing import Missing, find_missing
from pegboard.migrations.referring import ReferringTableError
from pegboard.migrations.revisions import (
    write_empty_revisions,
    write_merge_revision,
    write_revisions,
)
from pegboard.migrations.status import PendingHistory, current_heads, pending_histories
from pegboard.migrations.uninstall import Orphan, find_orphans, remove_history

__all__ = [
    "PACKAGED_ENVIRONMENT",
    "READ_ONLY_ATTRIBUTE",
    "SITE_HISTORY",
    "Drift",
    "History",
    "MigrationError",
    "Missing",
    "Orphan",
    "PendingHistory",
    "ReferringTableError",
    "current_heads",
    "downgrade",
    "find_drift",
    "find_missing",
    "find_orphans",
    "get_migrate",
    "init_migrations",
    "pending_histories",
    "read_script_directory",
    "remove_history",
    "revision_label",
    "run_environment",
    "stamp",
    "translate_alembic_errors",
    "upgrade",
    "write_empty_revisions",
    "write_merge_revision",
    "write_revisions",
]
