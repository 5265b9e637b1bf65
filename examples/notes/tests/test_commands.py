"""The commands of the plugin."""

from flask import Flask
from flask.testing import FlaskClient

from pegboard.testing.fixtures import RunCLI

NAME = "notes"


def test_rows_are_counted(app: Flask, client: FlaskClient, cli: RunCLI) -> None:
    """Those that the API has made."""
    client.post(f"/api/{NAME}/", json={"title": "A title"})
    assert "1\n" == cli(NAME, "count", app=app).stdout


def test_what_is_exported_can_be_imported(app: Flask, cli: RunCLI) -> None:
    """One JSON object on each line."""
    done = cli(NAME, "import", "-", app=app, input='{"title": "A title"}\n')
    assert 0 == done.exit_code, done.output
    assert '"title":"A title"' in cli(NAME, "export", app=app).stdout
