"""What is left of a plugin after `pegboard plugins remove`."""

import pytest
from flask import Flask
from sqlalchemy import text

from pegboard.database import db
from pegboard.migrations import MigrationError, find_orphans, get_migrate, remove_history
from pegboard.testing.contracts.migrations.history import PluginHistory, ignore
from pegboard.testing.contracts.named import BuildApp, Named, RowValues, fail, needs_of
from pegboard.testing.fixtures import MakeApp

_SQLITE = "SELECT type || ' ' || name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
_POSTGRESQL = """
SELECT kind || ' ' || name FROM (
    SELECT 'relation' AS kind, relname AS name, relnamespace AS space, oid, 'pg_class' AS catalog
        FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    UNION ALL SELECT 'type', typname, typnamespace, oid, 'pg_type'
        FROM pg_type WHERE typtype IN ('e', 'd', 'r')
    UNION ALL SELECT 'function', proname, pronamespace, oid, 'pg_proc' FROM pg_proc
    UNION ALL SELECT 'schema', nspname, oid, oid, 'pg_namespace' FROM pg_namespace
) AS found JOIN pg_namespace ON pg_namespace.oid = found.space
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT EXISTS (
    SELECT FROM pg_depend WHERE objid = found.oid AND deptype = 'e'
    AND classid = found.catalog::regclass
)
"""


class Removed(Named):
    """Its removal."""

    @pytest.mark.parametrize("database", ["sqlite", "postgresql"])
    def test_its_removal_leaves_nothing(
        self,
        request: pytest.FixtureRequest,
        build: BuildApp,
        make_app: MakeApp,
        plugin_name: str,
        row_values: RowValues,
        database: str,
    ) -> None:
        """The database is as it was before, and the service goes on without the plugin."""
        url = request.getfixturevalue(
            {"sqlite": "sqlite_url", "postgresql": "postgres_url"}[database]
        )
        app = build(DATABASE_URL=url)
        if plugin_name not in {one.name for one in get_migrate(app).histories}:
            pytest.skip("the plugin has no tables")
        history = PluginHistory(app, plugin_name, row_values)
        before = _catalog(app)
        history.up()
        history.fill()
        try:
            remove_history(app, plugin_name, report=ignore)
        except MigrationError as error:
            fail(f"pegboard plugins remove {plugin_name} fails on {database}: {error.message}")
        if left := sorted(_catalog(app) - before):
            fail(
                f"pegboard plugins remove {plugin_name} leaves on {database}: {', '.join(left)}. "
                "Drop in the downgrade of each revision what its upgrade creates"
            )
        without = make_app(plugins=needs_of(plugin_name), DATABASE_URL=url)
        if orphans := find_orphans(without):
            fail(f"without {plugin_name} there are still {', '.join(map(str, orphans))}")


def _catalog(app: Flask) -> set[str]:
    """Return what the database has, other than what belongs to an extension."""
    with app.app_context(), db.engine.connect() as connection:
        query = _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL
        return {*connection.scalars(text(query))}
