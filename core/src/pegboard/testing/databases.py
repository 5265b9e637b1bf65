"""Empty databases on the servers that tests share."""

import os
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
from psycopg2 import sql

from pegboard.testing.servers import PostgresServer, RedisServer

DATABASE_VARIABLE = "PEGBOARD_TEST_DATABASE_URL"
REDIS_VARIABLE = "PEGBOARD_TEST_REDIS_URL"
DATABASE_KIND_VARIABLE = "PEGBOARD_TEST_DATABASE"
REDIS_KIND_VARIABLE = "PEGBOARD_TEST_REDIS"


def database_kinds() -> list[str]:
    """Return `sqlite` and `postgresql`, or the one that `PEGBOARD_TEST_DATABASE` names."""
    return _chosen(DATABASE_KIND_VARIABLE, ["sqlite", "postgresql"])


def redis_kinds() -> list[str]:
    """Return `valkey` and `redis`, or the one that `PEGBOARD_TEST_REDIS` names; none for `none`."""
    chosen = _chosen(REDIS_KIND_VARIABLE, ["valkey", "redis", "none"])
    return [one for one in chosen if one != "none"]


def _chosen(variable: str, kinds: list[str]) -> list[str]:
    kind = os.environ.get(variable)
    if kind is None:
        return kinds
    if kind not in kinds:
        message = f"{variable} is {kind!r}, and must be one of {', '.join(kinds)}"
        raise ValueError(message)
    return [kind]


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the URL of a PostgreSQL database whose user may create others.

    It is `PEGBOARD_TEST_DATABASE_URL`, else that of a server which is started for the block.
    """
    if url := os.environ.get(DATABASE_VARIABLE):
        yield url
        return
    with PostgresServer() as server:
        yield server.url


@contextmanager
def redis(program: Path | None = None) -> Iterator[str]:
    """Yield the URL of a Redis database that may be emptied.

    It is `PEGBOARD_TEST_REDIS_URL`, else that of a server which is started for the block, of the
    program if one is given. Each worker of pytest-xdist gets a database of its own.
    """
    if url := os.environ.get(REDIS_VARIABLE):
        worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
        yield _with_path(url, worker.removeprefix("gw"))
        return
    with RedisServer(program=program) as server:
        yield server.url


@contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """Yield the URL of an empty database on the server of the URL; drop it afterwards."""
    name = f"pegboard_test_{secrets.token_hex(6)}"
    execute(url, sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    try:
        yield _with_path(url, name)
    finally:
        execute(url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def empty_database(url: str) -> None:
    """End all other connections and drop all schemas; faster than a fresh database."""
    name = sql.Identifier(urlsplit(url).path.removeprefix("/"))
    execute(url, _EVICT, _EMPTY, sql.SQL("ALTER DATABASE {} RESET ALL").format(name))


_EVICT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

_EMPTY = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT nspname FROM pg_namespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    LOOP EXECUTE format('DROP SCHEMA %I CASCADE', name); END LOOP;
END $$;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""


def execute(url: str, *statements: str | sql.Composable) -> None:
    """Run statements on PostgreSQL on one connection, each outside a transaction."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def _with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))
