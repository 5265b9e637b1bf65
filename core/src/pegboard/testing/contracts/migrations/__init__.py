"""What the revisions of a plugin must do on each database."""

from pegboard.testing.contracts.migrations.revisions import Revisions


class MigrationsContract(Revisions):
    """Tests of a plugin's revisions, on SQLite and PostgreSQL, with rows in its tables.

    A subclass says which plugin; its distribution is installed::

        class TestMigrations(MigrationsContract):
            @pytest.fixture
            def plugin_name(self):
                return "notes"
    """
