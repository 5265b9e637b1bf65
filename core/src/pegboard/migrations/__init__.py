"""Database migrations: one Alembic history and one version table for each plugin.

What `_LAZY` lists is imported when it is first used: it needs Alembic, which takes 60 ms and 9 MiB,
and a process that only serves does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from pegboard.migrations.errors import MigrationError
from pegboard.migrations.histories import (
    PACKAGED_ENVIRONMENT,
    SITE_HISTORY,
    History,
    get_migrate,
    init_migrations,
)
from pegboard.migrations.missing import Missing, find_missing
from pegboard.migrations.schema_errors import as_schema_error, schema_problems
from pegboard.migrations.search_index import create_search_index, drop_search_index
from pegboard.migrations.status import (
    HistoryState,
    PendingHistory,
    current_heads,
    history_states,
    pending_histories,
)

if TYPE_CHECKING:
    from pegboard.migrations.absent import Absent, find_absent, remove_absent
    from pegboard.migrations.ahead import Ahead
    from pegboard.migrations.alembic_errors import translate_alembic_errors
    from pegboard.migrations.drift import Drift, find_drift
    from pegboard.migrations.environment import READ_ONLY_ATTRIBUTE, run_environment
    from pegboard.migrations.execution import downgrade, stamp, upgrade
    from pegboard.migrations.offline import write_sql
    from pegboard.migrations.referring import ReferringTableError
    from pegboard.migrations.revisions import (
        write_empty_revisions,
        write_merge_revision,
        write_revisions,
    )
    from pegboard.migrations.script_directory import (
        check_revisions,
        read_script_directory,
        revision_label,
    )
    from pegboard.migrations.sql_texts import normalized_sql
    from pegboard.migrations.uninstall import (
        Orphan,
        adopt_history,
        find_orphans,
        remove_history,
    )

__all__ = [
    "PACKAGED_ENVIRONMENT",
    "READ_ONLY_ATTRIBUTE",
    "SITE_HISTORY",
    "Absent",
    "Ahead",
    "Drift",
    "History",
    "HistoryState",
    "MigrationError",
    "Missing",
    "Orphan",
    "PendingHistory",
    "ReferringTableError",
    "adopt_history",
    "as_schema_error",
    "check_revisions",
    "create_search_index",
    "current_heads",
    "downgrade",
    "drop_search_index",
    "find_absent",
    "find_drift",
    "find_missing",
    "find_orphans",
    "get_migrate",
    "history_states",
    "init_migrations",
    "normalized_sql",
    "pending_histories",
    "read_script_directory",
    "remove_absent",
    "remove_history",
    "revision_label",
    "run_environment",
    "schema_problems",
    "stamp",
    "translate_alembic_errors",
    "upgrade",
    "write_empty_revisions",
    "write_merge_revision",
    "write_revisions",
    "write_sql",
]

_LAZY = {
    "absent": ("Absent", "find_absent", "remove_absent"),
    "ahead": ("Ahead",),
    "alembic_errors": ("translate_alembic_errors",),
    "drift": ("Drift", "find_drift"),
    "environment": ("READ_ONLY_ATTRIBUTE", "run_environment"),
    "execution": ("downgrade", "stamp", "upgrade"),
    "offline": ("write_sql",),
    "referring": ("ReferringTableError",),
    "revisions": ("write_empty_revisions", "write_merge_revision", "write_revisions"),
    "script_directory": ("check_revisions", "read_script_directory", "revision_label"),
    "sql_texts": ("normalized_sql",),
    "uninstall": ("Orphan", "adopt_history", "find_orphans", "remove_history"),
}
"""The names of each module that needs Alembic."""


def __getattr__(name: str) -> object:
    """Import a name of `_LAZY`."""
    for module, names in _LAZY.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
