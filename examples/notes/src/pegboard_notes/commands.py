"""The commands `pegboard notes …`."""

import click
from flask.cli import with_appcontext
from sqlalchemy import func, select

import pegboard
from pegboard_notes.models import Note
from pegboard_notes.resource import resource

commands = pegboard.transfer_commands(resource)  # import and export


@commands.command()
@with_appcontext
def count() -> None:
    """Say how many rows there are."""
    rows = select(func.count()).select_from(Note)
    click.echo(pegboard.db.session.scalar(rows))
