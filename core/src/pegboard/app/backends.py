"""What a service keeps its data in: the database, its migrations, and Redis."""

from pathlib import Path

from flask import Flask
from sqlalchemy import MetaData
from sqlalchemy.engine import make_url

from pegboard.database import DatabaseOptions, db, init_database
from pegboard.migrations import History, init_migrations
from pegboard.plugins import Registry
from pegboard.problems import Code, Problem, StartupError
from pegboard.redis import close_redis, init_fleet_keys, init_redis
from pegboard.settings import Configuration, reader_of
from pegboard.start_times import timed

_POSTGRESQL_PORT = 5432


@timed("database, Redis, migrations")
def init_backends(app: Flask, configuration: Configuration, assembled: Registry) -> None:
    """Set up the database, Redis and the migrations; connects to nothing yet.

    Raises `StartupError` for a `DATABASE_URL` that cannot be used.
    """
    core = configuration.core
    _init_database(app, configuration)
    init_redis(app, core.redis_url, timeout=core.redis_timeout, pool_size=core.redis_pool_size)
    keys = (core.secret_key, *core.secret_key_fallbacks)
    init_fleet_keys(app, _fleet(app), keys)
    init_migrations(app, _histories(assembled), Path(core.migrations_directory))


def disconnect(app: Flask) -> None:
    """Close the connections of an app to the database and to Redis."""
    with app.app_context():
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()
    close_redis(app)


def _init_database(app: Flask, configuration: Configuration) -> None:
    core = configuration.core
    [url] = [one for one in configuration.values if one.declaration.field == "database_url"]
    options = DatabaseOptions(
        url=core.database_url,
        read_url=reader_of(url),
        pool_size=core.database_pool_size,
        max_overflow=core.database_max_overflow,
        pool_timeout=core.database_pool_timeout,
        statement_timeout=core.database_statement_timeout,
        lock_timeout=core.database_lock_timeout,
        connect_timeout=core.database_connect_timeout,
        busy_timeout=core.database_busy_timeout,
    )
    try:
        init_database(app, options)
    except ValueError as error:
        hint = "Write it as postgresql://user@host/name or sqlite:///file.db."
        summary = f"DATABASE_URL cannot be used: {error}"
        raise StartupError([Problem(Code.DATABASE_URL_INVALID, summary, hint)]) from None


def _fleet(app: Flask) -> str:
    """Return what the processes of one service share besides Redis: the database's place."""
    url = make_url(app.config["SQLALCHEMY_DATABASE_URI"])
    host = str(url.query.get("host") or url.host or "").lower()
    port = url.port or (_POSTGRESQL_PORT if host else None)
    is_file = url.get_backend_name() == "sqlite" and url.database
    return str(Path(str(url.database)).absolute() if is_file else (host, port, url.database))


def _histories(assembled: Registry) -> list[History]:
    return [
        # Without models there are none of the tables that the revisions make.
        History(
            plugin.name,
            plugin.migrations,
            plugin.metadata if plugin.metadata is not None else MetaData(),
            plugin.label or "",
        )
        for plugin in assembled.plugins
        if plugin.migrations is not None
    ]
