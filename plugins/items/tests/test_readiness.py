"""The health check of items."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from flask.testing import FlaskClient

import pegboard


@contextmanager
def no_table(app: Flask) -> Iterator[None]:
    """Have the table under another name for a while."""
    with app.app_context():
        engine = pegboard.db.engine
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE items RENAME TO items_away")
    yield
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE items_away RENAME TO items")


def test_a_readable_table_is_ready(client: FlaskClient) -> None:
    """The check has the plugin's name before its own."""
    response = client.get("/health/ready")
    assert 200 == response.status_code
    assert "ok" == response.get_json()["checks"]["items.table"]


def test_a_table_that_cannot_be_read_is_a_503_that_names_it(
    app: Flask, client: FlaskClient
) -> None:
    """However that came about while the history stayed at head."""
    with no_table(app):
        response = client.get("/health/ready")
    assert 503 == response.status_code
    assert "failing" == response.get_json()["checks"]["items.table"]
