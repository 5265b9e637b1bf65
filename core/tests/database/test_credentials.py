"""Tests of a password of the database that is replaced while the service runs."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
from flask import Flask
from psycopg2 import sql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from pegboard.database import AsyncPool, CompiledStatement, db
from pegboard.testing.databases import execute


class Role:
    """A role of the server, and the file that has a URL with its password."""

    def __init__(self, server: str, file: Path) -> None:
        self.server, self.file = server, file
        self.name = make_url(server).database
        execute(server, f"CREATE ROLE {self.name} LOGIN PASSWORD 'first'")
        self.write("first")

    def url(self, password: str | None, **changes: Any) -> str:
        """Return the URL of the database for the role."""
        url = make_url(self.server).set(username=self.name, **changes)._replace(password=password)
        return url.render_as_string(hide_password=False)

    def write(self, password: str, **changes: Any) -> None:
        """Write the URL into the file."""
        self.file.write_text(f"{self.url(password, **changes)}\n")

    def replace(self, password: str) -> None:
        """Give the role another password, and end its connections."""
        execute(
            self.server,
            f"ALTER ROLE {self.name} PASSWORD '{password}'",
            sql.SQL(
                "SELECT pg_terminate_backend(pid, 9000) FROM pg_stat_activity WHERE usename = {}"
            ).format(sql.Literal(self.name)),
        )


@pytest.fixture
def role(postgres_url: str, tmp_path: Path) -> Iterator[Role]:
    """A role whose password is `first`, as its file says."""
    found = Role(postgres_url, tmp_path / "url")
    yield found
    found.replace("last")
    execute(postgres_url, f"DROP ROLE {found.name}")


@pytest.fixture
def app(role: Role, make_engine_app: Callable[..., Flask]) -> Flask:
    """An app whose URL is in the file."""
    return make_engine_app(
        role.url("first"), read_url=lambda: role.file.read_text().strip(), pool_size=2
    )


def ask(app: Flask) -> Any:
    """Ask on a connection of the pool who one is."""
    with app.app_context(), db.engine.connect() as connection:
        return connection.scalar(sa.text("SELECT current_user"))


def ask_in_loop(app: Flask) -> Any:
    """Ask on a connection of an event loop."""
    with app.app_context():
        engine = db.engine
    text = sa.text("SELECT current_user").columns(name=sa.String)

    async def run() -> Any:
        with closing(AsyncPool(engine, asyncio.get_running_loop())) as pool:
            [[name]] = await pool.execute(CompiledStatement(text, engine.dialect, {}), {})
            return name

    return asyncio.run(run())


@pytest.mark.parametrize("ask", [ask, ask_in_loop])
def test_the_file_is_read_again_when_the_server_refuses(app: Flask, role: Role, ask: Any, caplog):
    """Also in the order in which the file is changed first, and back; the log says it once."""
    caplog.set_level(logging.WARNING, "pegboard.database.credentials")
    assert role.name == ask(app)
    role.replace("second")
    with pytest.raises((OperationalError, psycopg2.OperationalError)):
        ask(app)
    role.write("second")
    assert role.name == ask(app)
    role.write("third")
    role.replace("second")
    assert role.name == ask(app)
    role.replace("third")
    assert role.name == ask(app)
    assert 2 == caplog.text.count("the password of the database was replaced, as in its file")
    assert "third" not in caplog.text


def test_another_database_in_the_file_is_not_used(app: Flask, role: Role, caplog):
    """Half of the service would read another one: that needs a restart, which the log says."""
    role.replace("second")
    role.write("second", database="postgres")
    for _ in range(2):
        with pytest.raises(OperationalError, match="password authentication failed"):
            ask(app)
    assert 1 == caplog.text.count("restart the service to use it")


@pytest.mark.parametrize("content", ["", "no url", None])
def test_a_file_that_cannot_be_read_changes_nothing(app: Flask, role: Role, content: str | None):
    """As while it is written; the error is that of the server."""
    role.replace("second")
    role.file.unlink()
    if content is not None:
        role.file.write_text(content)
    with pytest.raises(OperationalError, match="password authentication failed"):
        ask(app)


def test_a_password_file_of_libpq_is_read_for_each_connection(
    role: Role, make_engine_app: Callable[..., Flask], tmp_path: Path
):
    """The parameter `passfile`, as the variable PGPASSFILE."""
    file = tmp_path / "pgpass"

    def write(password: str) -> None:
        file.write_text(f"*:*:*:{role.name}:{password}\n")
        file.chmod(0o600)

    write("first")
    app = make_engine_app(f"{role.url(None)}?passfile={file}")
    assert role.name == ask(app)
    role.replace("second")
    write("second")
    assert role.name == ask(app)
