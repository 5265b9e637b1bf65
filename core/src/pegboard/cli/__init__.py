"""The `pegboard` command: everything the `flask` command has, and the platform's own."""

from flask import Flask
from flask.cli import FlaskGroup

from pegboard.app import create_app
from pegboard.cli.config import config
from pegboard.cli.db import db
from pegboard.cli.plugins import plugins
from pegboard.cli.serve import dev, serve


def _create_app() -> Flask:
    return create_app()


main = FlaskGroup(
    name="pegboard",
    create_app=_create_app,
    set_debug_flag=False,  # the configuration decides, not FLASK_DEBUG
    help="Assemble, serve and look after a service made of plugins.",
)
for _command in (serve, dev, db, plugins, config):
    main.add_command(_command)
