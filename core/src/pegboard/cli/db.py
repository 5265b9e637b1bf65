"""`pegboard db`: the commands of Flask-Migrate, for all histories at once or for one by name.

The module changes Flask-Migrate's own group, which Flask-Migrate adds to each app.
"""

import importlib
import shutil
import sys
from collections.abc import Collection, Sequence
from typing import Any

import click
from alembic import command
from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from pegboard import migrations
from pegboard.cli.database_only import database_only
from pegboard.cli.db_arguments import (
    SIGNED,
    DatabaseCommand,
    arguments,
    note_x,
    option_allow_foreign,
    option_message,
    option_sql,
    option_verbose,
    option_x,
    plugin,
    split,
)
from pegboard.cli.db_output import places, show_histories
from pegboard.cli.inactive_owners import name_inactive_owners
from pegboard.database import db as database
from pegboard.migrations import (
    PACKAGED_ENVIRONMENT,
    SITE_HISTORY,
    MigrationError,
    current_heads,
    get_migrate,
    read_script_directory,
    translate_alembic_errors,
    write_sql,
)
from pegboard.redaction import reason_of

# Imported by name as the published types of Flask-Migrate lack this module.
db: click.Group = importlib.import_module("flask_migrate.cli").db


@click.pass_context
def _begin(context: click.Context, x_arg: Sequence[str]) -> None:
    note_x(context, None, x_arg)
    context.with_resource(database_only())


db.callback = _begin
db.command_class = DatabaseCommand
db.help = "Migrate the database: the histories of all plugins, or of one PLUGIN."
db.params = [option for option in db.params if option.name == "x_arg"]
db.commands.pop("list-templates", None)


def _app() -> Flask:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - werkzeug's public way to unwrap a proxy
    return app


@db.command(context_settings=SIGNED)
@option_sql
@option_allow_foreign
@option_x
@arguments
def upgrade(*, arguments: Sequence[str], sql: bool, allow_foreign: bool) -> None:
    """Upgrade the database to a revision, by default the newest.

    Fails if the database then lacks a table or a column of the models, and warns of other
    differences. Of a plugin whose database a newer release has migrated, nothing is applied: a
    warning says so.
    """
    name, revision = split(arguments, "head")
    if sql:
        click.echo(write_sql(command.upgrade, get_migrate().select(name), revision), nl=False)
    else:
        found = migrations.upgrade(
            _app(), name, revision, allow_foreign=allow_foreign, report=click.echo
        )
        for ahead in found:
            click.echo(f"Warning: {ahead.as_problem()}", err=True)
        if revision in {"head", "heads"}:
            _require_models(name)
            _warn_of_drift(name, {ahead.history.name for ahead in found})


def _require_models(name: str | None) -> None:
    """Fail if the upgraded database lacks what the models need."""
    if missing := migrations.find_missing(_app(), name):
        raise MigrationError("\n".join(str(one.as_problem()) for one in missing))


def _warn_of_drift(name: str | None, without: Collection[str]) -> None:
    """Say where the upgraded database differs from the models, for which revisions are missing."""
    try:
        found = migrations.find_drift(_app(), name, without=without)
    except Exception as error:  # noqa: BLE001 - the upgrade has succeeded, and must not seem to fail
        reason = reason_of(error) if isinstance(error, SQLAlchemyError) else error
        click.echo(f"Warning: the models and the database cannot be compared: {reason}", err=True)
        return
    for drift in found:
        click.echo(f"Warning: {drift.as_problem()}", err=True)


@db.command(context_settings=SIGNED)
@option_sql
@option_allow_foreign
@option_x
@arguments
def downgrade(*, arguments: Sequence[str], sql: bool, allow_foreign: bool) -> None:
    """Downgrade the database to a revision, by default one step; dependent plugins first."""
    name, revision = split(arguments, "-1")
    if sql:
        offline = "head:-1" if revision == "-1" else revision
        histories = get_migrate().select(name)[::-1]
        click.echo(write_sql(command.downgrade, histories, offline), nl=False)
    else:
        with name_inactive_owners():
            migrations.downgrade(
                _app(), name, revision, allow_foreign=allow_foreign, report=click.echo
            )


@db.command(context_settings=SIGNED)
@click.option("--purge", is_flag=True, help="Empty the version table first.")
@option_sql
@arguments
def stamp(*, arguments: Sequence[str], purge: bool, sql: bool) -> None:
    """Record that the database is at a revision, without applying anything."""
    name, revision = split(arguments, "head")
    if sql:
        click.echo(write_sql(command.stamp, get_migrate().select(name), revision), nl=False)
    else:
        migrations.stamp(_app(), name, revision, purge=purge, report=click.echo)


@db.command()
@option_message
@option_x
@plugin
def migrate(*, plugin: str | None, message: str | None) -> None:
    """Write a revision for each plugin whose models differ from the database."""
    migrations.write_revisions(_app(), plugin, message, report=click.echo)


@db.command()
@option_message
@click.option("--autogenerate", is_flag=True, help="Compare the models, as `migrate` does.")
@click.option("--head", default="head", help="The revision that the new one follows.")
@click.option("--splice", is_flag=True, help="Allow that revision not to be the newest.")
@click.option("--branch-label", help="A label for the branch that begins here.")
@click.option("--rev-id", help="The id of the revision, instead of the next number.")
@option_x
@plugin
def revision(*, plugin: str | None, message: str | None, autogenerate: bool, **how: object) -> None:
    """Write an empty revision, to be filled in by hand."""
    if autogenerate:
        migrations.write_revisions(_app(), plugin, message, report=click.echo)
    else:
        migrations.write_empty_revisions(_app(), plugin, message, report=click.echo, **how)


@db.command()
@option_message
@click.option("--branch-label", help="A label for the branch that begins here.")
@click.option("--rev-id", help="The id of the revision, instead of the next number.")
@click.argument("plugin")
@click.argument("revisions", nargs=-1)
def merge(
    *,
    plugin: str,
    revisions: Sequence[str],
    message: str | None,
    branch_label: str | None,
    rev_id: str | None,
) -> None:
    """Merge the newest revisions of a history, or those given, in a new one."""
    path = migrations.write_merge_revision(
        _app(), plugin, revisions, message, branch_label=branch_label, rev_id=rev_id
    )
    click.echo(f"{plugin}: wrote {path}")


@db.command()
@plugin
def check(*, plugin: str | None) -> None:
    """Exit with 1 and print every difference if the models and the database differ."""
    found = migrations.find_drift(_app(), plugin, report=click.echo)
    for difference in found:
        click.echo(str(difference.as_problem()))
    if found:
        sys.exit(1)
    click.echo("The models and the database agree.")


@db.command()
@option_verbose
@plugin
def current(*, plugin: str | None, verbose: bool) -> None:
    """Show the revision that the database is at."""
    migrate = get_migrate()
    with database.engine.connect() as connection:
        for history in migrate.select(plugin):
            directory = read_script_directory(migrate.configuration(history))
            for place in places(directory, current_heads(connection, history), verbose=verbose):
                click.echo(f"{history.name}: {place}")


@db.command()
@click.option("-r", "--rev-range", help="Only START:END; either may be omitted.")
@click.option(
    "-i", "--indicate-current", is_flag=True, help="Mark the revision that the database is at."
)
@option_verbose
@plugin
def history(*, plugin: str | None, **how: Any) -> None:
    """List the revisions, the newest first."""
    show_histories(plugin, lambda config: command.history(config, **how))


@db.command()
@click.option("--resolve-dependencies", is_flag=True, help="Treat dependencies as predecessors.")
@option_verbose
@plugin
def heads(*, plugin: str | None, **how: Any) -> None:
    """Show the newest revisions."""
    show_histories(plugin, lambda config: command.heads(config, **how))


@db.command()
@option_verbose
@plugin
def branches(*, plugin: str | None, **how: Any) -> None:
    """Show the revisions that several others follow."""
    show_histories(plugin, lambda config: command.branches(config, **how))


@db.command(context_settings=SIGNED)
@arguments
def show(*, arguments: Sequence[str]) -> None:
    """Show one revision, by default the newest."""
    name, revision = split(arguments, "head")
    show_histories(name, lambda config: command.show(config, revision))


@db.command(context_settings=SIGNED)
@arguments
def edit(*, arguments: Sequence[str]) -> None:
    """Open the file of a revision in an editor, by default the newest."""
    name, revision = split(arguments, "head")
    history = get_migrate().find(name)
    with translate_alembic_errors(history):
        script = read_script_directory(get_migrate().configuration(history)).get_revision(revision)
    click.edit(filename=script.path)


@db.command()
def init() -> None:
    """Create the folder of the deployment's own history, which is called `site`."""
    folder = get_migrate().site
    if folder.exists():
        message = f"{folder} is there already"
        raise click.ClickException(message)
    shutil.copytree(
        PACKAGED_ENVIRONMENT, folder, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    (folder / "versions").mkdir()
    click.echo(f"created {folder}; write revisions with pegboard db revision {SITE_HISTORY} -m '…'")
