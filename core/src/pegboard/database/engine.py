"""The database of an app: its URL, its engine and its connection pool."""

from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import QueuePool, StaticPool

from pegboard.database.postgresql import Limits, init_postgresql
from pegboard.database.sqlite import init_sqlite
from pegboard.database.violations import remember_statements
from pegboard.forking import after_fork

db = SQLAlchemy()
"""The database of the current app, a Flask-SQLAlchemy object: `db.session`, `db.engine`."""


@dataclass(frozen=True)
class DatabaseOptions:
    """The URL of the database, and the bounds of its use; times are in seconds."""

    url: str
    pool_size: int = 8
    max_overflow: int = 0
    pool_timeout: float = 1.5
    statement_timeout: float = 2.0
    lock_timeout: float = 1.5
    connect_timeout: float = 2.0
    busy_timeout: float = 5.0


def init_database(app: Flask, options: DatabaseOptions) -> None:
    """Create the app's engine, without connecting yet; raises `ValueError` for an unusable URL."""
    url = database_url(options.url)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = _engine_options(url, options)
    db.init_app(app)
    with app.app_context():
        engine = db.engine
    remember_statements(engine)
    if engine.dialect.name == "postgresql":
        limits = Limits(options.connect_timeout, options.statement_timeout, options.lock_timeout)
        init_postgresql(engine, limits)
    elif engine.dialect.name == "sqlite":
        init_sqlite(engine, busy_timeout=options.busy_timeout)
    after_fork(engine, _drop_inherited_connections)


def database_url(text: str) -> URL:
    """Parse a database URL; `postgres:` and `postgresql:` mean the driver psycopg2.

    Raises `ValueError`, whose message quotes nothing of the URL but its scheme: the rest may be the
    password.
    """
    # `from None`: the messages of the libraries may quote the URL.
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        message = (
            "not a database URL; write postgresql://user:password@host:5432/name or "
            "sqlite:////path/to/file.db, with special characters of the password percent-encoded"
        )
        raise ValueError(message) from None
    if url.drivername in {"postgres", "postgresql"}:
        url = url.set(drivername="postgresql+psycopg2")
    try:
        url.get_dialect().import_dbapi()
    except NoSuchModuleError:
        message = f"{url.drivername}: no such database driver is known"
        raise ValueError(message) from None
    except ImportError as error:
        message = f"{url.drivername}: the driver {error.name} is not installed"
        raise ValueError(message) from None
    if url.get_backend_name() == "sqlite" and (url.host or url.username or url.password):
        message = "a SQLite URL has three slashes before a relative path, four before an absolute"
        raise ValueError(message)
    return url


def is_in_memory(url: URL) -> bool:
    """Return whether the URL is that of a SQLite database in memory, which has one connection."""
    if url.get_backend_name() != "sqlite":
        return False
    return url.database in {None, "", ":memory:"} or url.query.get("mode") == "memory"


def _pool_class(timeout: float) -> type[QueuePool]:
    """Return a pool class with this time-out: `create_engine` would round it to whole seconds."""

    class BoundedPool(QueuePool):
        def __init__(self, creator: Any, **options: Any) -> None:
            super().__init__(creator, **{**options, "timeout": timeout})

    # The pool's logger is named after its class, and must remain one of SQLAlchemy's.
    BoundedPool.__module__ = QueuePool.__module__
    return BoundedPool


def _engine_options(url: URL, options: DatabaseOptions) -> dict[str, Any]:
    if is_in_memory(url):
        return {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    bounds: dict[str, Any] = {
        "poolclass": _pool_class(options.pool_timeout),
        "pool_size": options.pool_size,
        "max_overflow": options.max_overflow,
        # The connection used last is used first, so that those of a peak become idle.
        "pool_use_lifo": True,
    }
    # SQLite cannot lose its server, and psycopg2 connections are checked without a round trip.
    if url.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg2"}:
        bounds["pool_pre_ping"] = True
    return bounds


def _drop_inherited_connections(engine: Engine) -> None:
    if not isinstance(engine.pool, StaticPool):
        engine.dispose(close=False)
