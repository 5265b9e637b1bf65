"""`pegboard plugins`: the group, whose commands have a module each."""

import click

from pegboard.cli.compat import compat
from pegboard.cli.grade import grade
from pegboard.cli.matrix import matrix
from pegboard.cli.plugins_check import check
from pegboard.cli.plugins_doctor import doctor
from pegboard.cli.plugins_list import list_plugins, show
from pegboard.cli.plugins_remove import remove
from pegboard.cli.plugins_time import time


@click.group()
def plugins() -> None:
    """List, diagnose and remove plugins."""


plugins.add_command(compat)
plugins.add_command(grade)
plugins.add_command(matrix)
plugins.add_command(list_plugins)
plugins.add_command(show)
plugins.add_command(check)
plugins.add_command(doctor)
plugins.add_command(time)
plugins.add_command(remove)
