"""The database of an app, and the base of every model."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import DateTime, Engine, Integer, MetaData, func, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import QueuePool, StaticPool

from pegboard.database.postgresql import Limits, init_postgresql
from pegboard.database.sqlite import init_sqlite
from pegboard.database.watchdog import no_time_limit
from pegboard.forking import after_fork

__all__ = [
    "NAMING_CONVENTION",
    "DatabaseOptions",
    "Model",
    "database_url",
    "db",
    "init_database",
    "is_in_memory",
    "no_time_limit",
    "utcnow",
]

NAMING_CONVENTION = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Names for constraints that have none, so that a migration can drop them on any database."""

db = SQLAlchemy()
"""The database of the current app, a Flask-SQLAlchemy object: `db.session`, `db.engine`."""


def utcnow() -> datetime:
    """Return the time as it is stored: UTC, without a time zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def _creation_time(context: DefaultExecutionContext) -> datetime:
    created_at: datetime | None = context.get_current_parameters().get("created_at")  # type: ignore[no-untyped-call]
    return created_at or utcnow()


class Model:
    """Mixin for the declarative base of a plugin: an id and two times for every model.

    `created_at` and `updated_at` are UTC without a time zone. The base gets a registry and metadata
    of its own, so that the tables of two plugins stay apart, and names for constraints that have
    none::

        class Base(pegboard.Model, DeclarativeBase):
            \"\"\"The models of this plugin.\"\"\"
    """

    if TYPE_CHECKING:
        metadata: ClassVar[MetaData]

    id: Mapped[int] = mapped_column(Integer, primary_key=True, sort_order=-1)
    created_at: Mapped[datetime | None] = mapped_column(
        DateTime, default=utcnow, server_default=func.current_timestamp(), sort_order=998
    )
    updated_at: Mapped[datetime | None] = mapped_column(
        DateTime,
        default=_creation_time,
        onupdate=utcnow,
        server_default=func.current_timestamp(),
        sort_order=999,
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if DeclarativeBase in cls.__bases__ and "metadata" not in cls.__dict__:
            cls.metadata = MetaData(naming_convention=NAMING_CONVENTION)
        super().__init_subclass__(**kwargs)

    def to_dict(self) -> dict[str, Any]:
        """Return the row: the value of every column under the column's name."""
        attributes = inspect(type(self)).column_attrs
        return {attribute.key: getattr(self, attribute.key) for attribute in attributes}


@dataclass(frozen=True)
class DatabaseOptions:
    """Where the database is and what bounds its use; times in seconds."""

    url: str
    pool_size: int = 8
    max_overflow: int = 0
    pool_timeout: float = 1.5
    statement_timeout: float = 2.0
    lock_timeout: float = 1.5
    connect_timeout: float = 2.0
    busy_timeout: float = 5.0


def init_database(app: Flask, options: DatabaseOptions) -> None:
    """Give the app its engine; connects to nothing yet. Raises `ValueError` for an unusable URL."""
    url = database_url(options.url)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = _engine_options(url, options)
    db.init_app(app)
    with app.app_context():
        engine = db.engine
    if engine.dialect.name == "postgresql":
        limits = Limits(options.connect_timeout, options.statement_timeout, options.lock_timeout)
        init_postgresql(engine, limits)
    elif engine.dialect.name == "sqlite":
        init_sqlite(engine, busy_timeout=options.busy_timeout)
    after_fork(engine, _drop_inherited_connections)


def database_url(text: str) -> URL:
    """Read a URL; PostgreSQL means psycopg2 unless the URL says otherwise.

    The text of the `ValueError` never holds any part of the URL but its scheme: the rest may be
    the password.
    """
    # `from None`: what the libraries say may quote the URL.
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
    """Return whether the URL means a SQLite database that ends with its only connection."""
    if url.get_backend_name() != "sqlite":
        return False
    return url.database in {None, "", ":memory:"} or url.query.get("mode") == "memory"


def _pool_class(timeout: float) -> type[QueuePool]:
    """Return a pool that waits for so long; given as an option, it would lose its fraction."""

    class BoundedPool(QueuePool):
        def __init__(self, creator: Any, **options: Any) -> None:
            super().__init__(creator, **{**options, "timeout": timeout})

    # A pool logs under the name of its class; its lines are a library's, not the platform's.
    BoundedPool.__module__ = QueuePool.__module__
    return BoundedPool


def _engine_options(url: URL, options: DatabaseOptions) -> dict[str, Any]:
    if is_in_memory(url):
        return {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    bounds: dict[str, Any] = {
        "poolclass": _pool_class(options.pool_timeout),
        "pool_size": options.pool_size,
        "max_overflow": options.max_overflow,
        # The connection used last is used next: the surplus of a peak ages and can be closed.
        "pool_use_lifo": True,
    }
    # SQLite cannot lose its server, and psycopg2 connections are checked without a round trip.
    if url.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg2"}:
        bounds["pool_pre_ping"] = True
    return bounds


def _drop_inherited_connections(engine: Engine) -> None:
    if not isinstance(engine.pool, StaticPool):
        engine.dispose(close=False)
