"""Fixtures of this test tree: the items plugin on both databases."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings
from sqlalchemy import delete, event, insert, text

import pegboard
from pegboard.cache import get_cache
from pegboard.testing.databases import fresh_database
from pegboard_items.models import table

pytest_plugins = ["pegboard.testing.fixtures"]

# The same examples every time, and no limit of time: a busy machine is no failure.
settings.register_profile("pegboard", deadline=None, derandomize=True)
settings.load_profile("pegboard")


@pytest.fixture
def app(make_app: Any, database_url: str) -> Flask:
    """An app with items alone, on SQLite and on PostgreSQL."""
    app: Flask = make_app(plugins=["items"], DATABASE_URL=database_url)
    return app


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_app(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    make_shared_app: Callable[..., Flask],
) -> Iterator[Flask]:
    """Such an app for all tests of a module that do nothing to it but send requests."""
    if request.param == "sqlite":
        folder = tmp_path_factory.mktemp("shared")
        yield make_shared_app(plugins=["items"], DATABASE_URL=f"sqlite:///{folder / 'items.db'}")
        return
    with fresh_database(request.getfixturevalue("postgres_server")) as url:
        yield make_shared_app(plugins=["items"], DATABASE_URL=url)


@pytest.fixture
def emptied_app(shared_app: Flask) -> Iterator[Flask]:
    """The app of the module, without the rows and the cached answers of the tests before."""
    yield shared_app
    with shared_app.app_context(), pegboard.db.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("TRUNCATE items RESTART IDENTITY"))
        else:
            connection.execute(delete(table))
            connection.execute(text("DELETE FROM sqlite_sequence"))
    get_cache(shared_app).strategy.clear()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the app."""
    return app.test_client()


@pytest.fixture
def create(client: FlaskClient) -> Callable[..., dict[str, Any]]:
    """Create an item by the API; returns its representation."""

    def create(name: str = "Hammer", **fields: Any) -> dict[str, Any]:
        response = client.post("/api/items/", json={"name": name, **fields})
        assert 201 == response.status_code, response.json
        item: dict[str, Any] = response.get_json()
        return item

    return create


@pytest.fixture
def write_rows(app: Flask) -> Callable[..., None]:
    """Write rows as another program would."""

    def write(*rows: dict[str, Any]) -> None:
        with app.app_context(), pegboard.db.engine.begin() as connection:
            for row in rows:
                connection.execute(insert(table).values(row))

    return write


@pytest.fixture
def read_rows(app: Flask) -> Callable[[], list[dict[str, Any]]]:
    """Read all rows as another program would."""

    def read() -> list[dict[str, Any]]:
        with app.app_context(), pegboard.db.engine.begin() as connection:
            rows = connection.execute(table.select().order_by(table.columns.id))
            return [dict(row) for row in rows.mappings()]

    return read


@pytest.fixture
def sql(app: Flask) -> Callable[[], Any]:
    """Record the SQL statements that are sent inside the block, and their parameters."""

    @contextmanager
    def record() -> Iterator[list[tuple[str, Any]]]:
        sent: list[tuple[str, Any]] = []

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if not statement.startswith("BEGIN"):
                sent.append((statement, parameters))

        with app.app_context():
            engine = pegboard.db.engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            event.remove(engine, "before_cursor_execute", note)

    return record
