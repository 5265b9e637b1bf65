"""The database of an app: its URL, its engine and its connection pool."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine
from sqlalchemy.engine import URL

from pegboard.database.credentials import Credentials
from pegboard.database.fair_pool import pool_class
from pegboard.database.limits import Limits
from pegboard.database.memory import file_url, keep, stand_in
from pegboard.database.postgresql import init_postgresql
from pegboard.database.sqlite import init_sqlite
from pegboard.database.url import database_url, is_in_memory
from pegboard.database.violations import remember_statements
from pegboard.forking import after_fork

db = SQLAlchemy()
"""The database of the current app, a Flask-SQLAlchemy object: `db.session`, `db.engine`."""


@dataclass(frozen=True)
class DatabaseOptions:
    """The URL of the database, and the bounds of its use; times are in seconds."""

    url: str = field(repr=False)
    read_url: Callable[[], str] | None = field(default=None, repr=False)
    """Reads the URL again from the file that it is in; None if it is in none."""
    pool_size: int = 8
    max_overflow: int = 0
    pool_timeout: float = 1.5
    statement_timeout: float = 2.0
    lock_timeout: float = 1.5
    connect_timeout: float = 2.0
    busy_timeout: float = 5.0


def init_database(app: Flask, options: DatabaseOptions) -> None:
    """Create the app's engine, without connecting yet; raises `ValueError` for an unusable URL.

    `SQLALCHEMY_ENGINE_OPTIONS` in the app's configuration are added, and win over the options.
    """
    url = database_url(options.url)
    file = stand_in(url) if is_in_memory(url) else None
    app.config["SQLALCHEMY_DATABASE_URI"] = file_url(url, file) if file else url
    given = app.config.get("SQLALCHEMY_ENGINE_OPTIONS") or {}
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = _engine_options(url, options, given)
    db.init_app(app)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    with app.app_context():
        engine = db.engine
    if file:
        keep(file, engine, url)
    remember_statements(engine)
    if engine.dialect.name == "postgresql":
        limits = Limits(options.connect_timeout, options.statement_timeout, options.lock_timeout)
        init_postgresql(engine, limits, _credentials(url, options.read_url))
    elif engine.dialect.name == "sqlite":
        init_sqlite(engine, busy_timeout=options.busy_timeout, is_durable=file is None)
    after_fork(engine, _drop_inherited_connections)


def _credentials(url: URL, read_url: Callable[[], str] | None) -> Credentials | None:
    return None if read_url is None else Credentials(url, lambda: database_url(read_url()))


def _engine_options(url: URL, options: DatabaseOptions, given: Mapping[str, Any]) -> dict[str, Any]:
    timeout = options.pool_timeout
    if is_in_memory(url):
        # Tests with many threads wait for a connection as long as for the database.
        timeout = max(timeout, options.busy_timeout)
    bounds: dict[str, Any] = {}
    if "poolclass" not in given and "pool" not in given:
        bounds = {
            "poolclass": pool_class(given.get("pool_timeout", timeout)),
            "pool_size": options.pool_size,
            "max_overflow": options.max_overflow,
            # The connection used last is used first, so that those of a peak become idle.
            "pool_use_lifo": True,
        }
    # SQLite cannot lose its server, and psycopg2 connections are checked without a round trip.
    if url.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg2"}:
        bounds["pool_pre_ping"] = True
    return {**bounds, **given}


def _drop_inherited_connections(engine: Engine) -> None:
    engine.dispose(close=False)
