"""What a command leaves open of its app."""

from pathlib import Path
from types import SimpleNamespace

import click
from flask.cli import with_appcontext
from sqlalchemy import text

import pegboard
from pegboard.testing.fixtures import MakeApp, RunCLI


@click.command("ask")
@with_appcontext
def ask() -> None:
    """Read, and leave the transaction to the end of the context."""
    click.echo(pegboard.db.session.scalar(text("SELECT 1")))


@pegboard.hookimpl
def pegboard_commands() -> list[click.Command]:
    """Add the command."""
    return [ask]


def test_a_command_leaves_no_connection_open(
    make_app: MakeApp, cli: RunCLI, tmp_path: Path
) -> None:
    """Not even the one that its session had to the end: a test runs many in one process."""
    file = tmp_path / "service.db"
    plugin = SimpleNamespace(name="asking", pegboard_commands=pegboard_commands)
    app = make_app(plugins=[plugin], DATABASE_URL=f"sqlite:///{file}")
    done = cli("ask", app=app)
    assert "1\n" == done.stdout, done.output
    assert [] == [one for one in open_files() if one.startswith(str(file))]


def open_files() -> list[str]:
    """Return the paths of the files that this process has open."""
    folder = Path("/proc/self/fd")
    return [str(one.readlink()) for one in folder.iterdir() if one.exists()]
