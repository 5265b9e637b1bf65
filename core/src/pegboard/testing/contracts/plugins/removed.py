"""What is left of a plugin after `pegboard plugins remove`."""

from collections.abc import Mapping, Sequence

import pytest
from flask import Flask
from sqlalchemy import text

from pegboard.database import db
from pegboard.migrations import MigrationError, find_orphans, get_migrate, remove_history
from pegboard.testing.contracts.migrations.history import PluginHistory, ignore
from pegboard.testing.contracts.named import BuildApp, Named, RowValues, fail, needs_of
from pegboard.testing.fixtures import MakeApp

_SQLITE = "SELECT type || ' ' || name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
# Each object depends on its schema at least, but for those of the kinds that are in none. An
# extension stays, as others may use it, with what it has brought; so do the parts of an object.
_POSTGRESQL = """
WITH RECURSIVE objects (class, id) AS (
    SELECT classid, objid FROM pg_depend
    UNION SELECT CAST('pg_namespace' AS regclass), oid FROM pg_namespace
    UNION SELECT CAST('pg_publication' AS regclass), oid FROM pg_publication
    UNION SELECT CAST('pg_event_trigger' AS regclass), oid FROM pg_event_trigger
    UNION SELECT CAST('pg_foreign_data_wrapper' AS regclass), oid FROM pg_foreign_data_wrapper
    UNION SELECT CAST('pg_largeobject' AS regclass), oid FROM pg_largeobject_metadata
),
of_extensions (class, id) AS (
    SELECT CAST(CAST('pg_extension' AS regclass) AS oid), oid FROM pg_extension
    UNION SELECT classid, objid FROM pg_depend
    JOIN of_extensions ON refclassid = class AND refobjid = id WHERE deptype IN ('e', 'a', 'i')
)
SELECT pg_describe_object(class, id, 0)
FROM objects, pg_identify_object(class, id, 0) AS named
WHERE id >= 16384 AND (class, id) NOT IN (SELECT class, id FROM of_extensions)
AND coalesce(named.schema, '') !~ '^pg_' AND NOT (named.type = 'schema' AND named.name ~ '^pg_')
AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = class AND objid = id AND deptype = 'i')
"""


class Removed(Named):
    """Its removal."""

    @pytest.fixture
    def history_beside_others(
        self,
        request: pytest.FixtureRequest,
        build: BuildApp,
        plugin_name: str,
        row_values: RowValues,
        beside: Sequence[str],
    ) -> PluginHistory:
        """The plugin's history on an empty database, beside other plugins with tables."""
        name = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}
        database: str = request.node.callspec.params["database"]
        app = build(*beside, DATABASE_URL=request.getfixturevalue(name[database]))
        if plugin_name not in {one.name for one in get_migrate(app).histories}:
            pytest.skip("the plugin has no tables")
        return PluginHistory(app, plugin_name, row_values)

    @pytest.mark.parametrize("database", ["sqlite", "postgresql"])
    def test_its_removal_leaves_nothing(
        self,
        history_beside_others: PluginHistory,
        make_app: MakeApp,
        plugin_config: Mapping[str, object],
        beside: Sequence[str],
        database: str,
    ) -> None:
        """The database is as it was before, and the service goes on without the plugin."""
        history = history_beside_others
        app, plugin_name = history.app, history.name
        history.fill_others()
        before, others = _catalog(app), history.describe_others()
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
        if gone := sorted(before - _catalog(app)):
            fail(
                f"pegboard plugins remove {plugin_name} takes on {database} what was there before: "
                f"{', '.join(gone)}. Drop in a downgrade only what the upgrade creates"
            )
        if changed := sorted(others ^ history.describe_others()):
            fail(
                f"pegboard plugins remove {plugin_name} leaves tables of others changed on "
                f"{database}: {'; '.join(changed)}. Leave them to their own revisions"
            )
        with app.app_context():
            url = db.engine.url.render_as_string(hide_password=False)
        plugins = [*needs_of(plugin_name), *beside]
        config = {**plugin_config, "DATABASE_URL": url}
        without = make_app(plugins=plugins, upgrade=True, **config)
        if orphans := find_orphans(without):
            fail(f"without {plugin_name} there are still {', '.join(map(str, orphans))}")


def _catalog(app: Flask) -> set[str]:
    """Return what the database has, other than what belongs to an extension."""
    with app.app_context(), db.engine.connect() as connection:
        query = _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL
        return {*connection.scalars(text(query))}
