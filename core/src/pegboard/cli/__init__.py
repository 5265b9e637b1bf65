"""The `pegboard` command: the commands of `flask`, and Pegboard's own.

`main` is the command. `flask` gets `cache` and `plugins` by the entry points of the distribution.
"""

from typing import Any

import click
from flask.cli import FlaskGroup

from pegboard.app import create_app
from pegboard.cli.cache import cache
from pegboard.cli.config import config
from pegboard.cli.database_errors import explain_database_errors
from pegboard.cli.db import db
from pegboard.cli.plugins import plugins
from pegboard.cli.serve import dev, serve


class PlatformGroup(FlaskGroup):
    """Reports an unavailable database as a problem instead of a traceback, in all commands."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with explain_database_errors():
            return super().invoke(ctx)


main = PlatformGroup(
    name="pegboard",
    create_app=create_app,
    set_debug_flag=False,  # the configuration decides, not FLASK_DEBUG
    help="Serve and operate a service made of plugins.",
)
for _command in (serve, dev, db, plugins, config, cache):
    main.add_command(_command)
