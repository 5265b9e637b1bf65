"""Has Alembic's autogenerate compare what it leaves out by itself."""

from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority

from pegboard.migrations.circles import sort_tables
from pegboard.migrations.column_comparison import compare_default, compare_enum
from pegboard.migrations.table_comparison import compare_table

PLUGIN = "pegboard.migrations"
"""The name under which Alembic's option `autogenerate_plugins` knows these comparisons."""


def _register() -> None:
    plugin = Plugin(PLUGIN)
    first, last = DispatchPriority.FIRST, DispatchPriority.LAST
    plugin.add_autogenerate_comparator(sort_tables, "schema", "order", priority=first)
    plugin.add_autogenerate_comparator(compare_enum, "column", "types", priority=first)
    plugin.add_autogenerate_comparator(compare_default, "column", "server_default", priority=first)
    plugin.add_autogenerate_comparator(compare_table, "table", "checks", priority=last)


_register()
