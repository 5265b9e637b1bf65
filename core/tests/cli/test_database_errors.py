"""What a command of a plugin says when the database refuses its statement."""

from pathlib import Path

import click
import pytest
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import pegboard
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp, RunCLI


@click.command("execute")
@click.argument("statement")
@with_appcontext
def execute(statement: str) -> None:
    """Execute a statement."""
    pegboard.db.session.execute(text(statement))
    pegboard.db.session.commit()


class Commands:
    """A plugin with the command."""

    name = "commands"

    @pegboard.hookimpl
    def pegboard_commands(self) -> list[click.Command]:
        """Add the command."""
        return [execute]


@pytest.fixture
def loans(plugin_folder: PluginFolder) -> None:
    """A plugin with a table, whose revision lacks one column of the model."""
    plugin_folder.add_table("loans", columns="note: Mapped[str | None]")


def make(make_app: MakeApp, url: str, *, upgrade: bool) -> Flask:
    """Return an app of both plugins."""
    return make_app(plugins=["loans", Commands()], upgrade=upgrade, DATABASE_URL=url)


@pytest.mark.usefixtures("loans")
def test_a_table_that_no_migration_has_made_yet_is_told_with_the_command_that_does(
    make_app: MakeApp, cli: RunCLI, database_url: str
) -> None:
    """Nothing is wrong with the database or its URL."""
    app = make(make_app, database_url, upgrade=False)
    done = cli("execute", "SELECT count(*) FROM loans", app=app)
    assert (1, "") == (done.exit_code, done.stdout)
    assert (
        "Error: loans: the database is at no revision, the newest is loans_0001 "
        "[PB_DATABASE_BEHIND]\n"
        "    Run pegboard db upgrade, or start with pegboard serve --upgrade.\n"
    ) == done.stderr


@pytest.mark.usefixtures("loans")
@pytest.mark.parametrize(
    "statement", ["SELECT note FROM loans", "INSERT INTO loans (note) VALUES ('x')"]
)
def test_a_column_that_no_revision_makes_is_told(
    make_app: MakeApp, cli: RunCLI, database_url: str, statement: str
) -> None:
    """All migrations have been applied, so that it is no use to apply them again."""
    done = cli("execute", statement, app=make(make_app, database_url, upgrade=True))
    assert 1 == done.exit_code
    assert done.stderr.startswith(
        "Error: loans: its models need what the database lacks: column loans.note "
        "[PB_DATABASE_INCOMPLETE]\n"
    )


@pytest.mark.parametrize("statement", ["SELEC", "INSERT INTO loans (id) VALUES (1), (1)"])
def test_a_statement_that_is_wrong_is_no_unavailable_database(
    make_app: MakeApp, cli: RunCLI, plugin_folder: PluginFolder, database_url: str, statement: str
) -> None:
    """The author of the command has to see where it is."""
    plugin_folder.add_table("loans")
    done = cli("execute", statement, app=make(make_app, database_url, upgrade=True))
    assert isinstance(done.exception, DBAPIError)


def test_a_table_of_no_model_is_a_mistake_of_the_command(
    make_app: MakeApp, cli: RunCLI, plugin_folder: PluginFolder, database_url: str
) -> None:
    """All tables of the models are there."""
    plugin_folder.add_table("notes")
    app = make_app(plugins=["notes", Commands()], DATABASE_URL=database_url)
    done = cli("execute", "SELECT * FROM nots", app=app)
    assert isinstance(done.exception, DBAPIError)


def test_a_database_that_is_unavailable_does_not_keep_the_service_from_starting(
    make_app: MakeApp, cli: RunCLI, tmp_path: Path
) -> None:
    """The service may have started long ago: what the command lacks is told."""
    (tmp_path / "file.db").write_text("no database, but a text that is long enough" * 99)
    url = f"sqlite:///{tmp_path / 'file.db'}"
    app = make_app(plugins=[Commands()], upgrade=False, DATABASE_URL=url)
    done = cli("execute", "SELECT 1 FROM nothing", app=app)
    assert 1 == done.exit_code
    assert done.stderr.startswith("Error: the database cannot be queried: ")
    assert "[PB_DATABASE_UNAVAILABLE]\n    Look at the file" in done.stderr
