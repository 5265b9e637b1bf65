"""Fixtures of the tests of the database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask

from pegboard.database import DatabaseOptions, db, init_database


@pytest.fixture
def make_engine_app() -> Iterator[Callable[..., Flask]]:
    """Make apps that have nothing but a database; `config` is that of Flask-SQLAlchemy."""
    with ExitStack() as stack:

        def make(url: str, config: dict[str, Any] | None = None, **options: Any) -> Flask:
            app = Flask(__name__)
            app.config.update(config or {})
            init_database(app, DatabaseOptions(url, **options))
            with app.app_context():
                stack.callback(db.engine.dispose)
            return app

        yield make
