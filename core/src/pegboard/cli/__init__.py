"""The `pegboard` command: everything the `flask` command has, and the platform's own."""

from typing import Any

import click
from flask.cli import FlaskGroup

from pegboard.app import create_app
from pegboard.cli.cache import cache
from pegboard.cli.config import config
from pegboard.cli.db import db
from pegboard.cli.explained import explained
from pegboard.cli.plugins import plugins
from pegboard.cli.serve import dev, serve


class PlatformGroup(FlaskGroup):
    """Tells in a line, whatever the command, that the database cannot be asked."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with explained():
            return super().invoke(ctx)


main = PlatformGroup(
    name="pegboard",
    create_app=create_app,
    set_debug_flag=False,  # the configuration decides, not FLASK_DEBUG
    help="Assemble, serve and look after a service made of plugins.",
)
for _command in (serve, dev, db, plugins, config, cache):
    main.add_command(_command)
