from contextlib import closing

import psycopg2
import pytest

from pegboard.testing import databases


def test_fresh_database_is_gone_afterwards(postgres_server: str) -> None:
    """It is dropped even while a connection is still open to it."""
    with databases.fresh_database(postgres_server) as url:
        connection = psycopg2.connect(url)

    with closing(connection), pytest.raises(psycopg2.OperationalError, match="does not exist"):
        psycopg2.connect(url)


def test_environment_names_the_servers(
    monkeypatch: pytest.MonkeyPatch, postgres_server: str
) -> None:
    """A server that the environment names is used, and none is started."""
    monkeypatch.setenv(databases.DATABASE_VARIABLE, postgres_server)
    monkeypatch.setenv(databases.REDIS_VARIABLE, "redis://cache.example/0")
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw3")

    with databases.postgres() as postgres, databases.redis() as redis:
        assert postgres_server == postgres
        assert "redis://cache.example/3" == redis


def test_emptied_database_is_as_good_as_new(postgres_url: str) -> None:
    """Tables, schemas, settings and the connections of others are gone."""
    name = postgres_url.rpartition("/")[2]
    with closing(psycopg2.connect(postgres_url)) as other, other.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (id integer); CREATE SCHEMA more")
        cursor.execute(f"ALTER DATABASE {name} SET work_mem = '1MB'")
        other.commit()
        cursor.execute("LOCK TABLE kept")

        databases.empty_database(postgres_url)

        with pytest.raises(psycopg2.OperationalError):
            cursor.execute("SELECT 1")
    with closing(psycopg2.connect(postgres_url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_schemas(false), to_regclass('kept'), to_regnamespace('more')"
        )
        assert (["public"], None, None) == cursor.fetchone()
        cursor.execute("SELECT count(*) FROM pg_db_role_setting")
        assert (0,) == cursor.fetchone()
