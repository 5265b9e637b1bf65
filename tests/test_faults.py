"""The running service while its database restarts, hangs, or keeps rows locked."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

from pegboard.testing.fixtures import StartService
from pegboard.testing.processes import wait_until
from pegboard.testing.servers import PostgresServer
from pegboard.testing.services import LiveServer

pytestmark = pytest.mark.slow

ITEMS = "/api/items/"


@pytest.fixture
def service(own_postgres: PostgresServer, live_server: StartService) -> LiveServer:
    """The service on a PostgreSQL server of its own, with one item."""
    service = live_server(DATABASE_URL=own_postgres.url, PEGBOARD_DATABASE_POOL_SIZE="5")
    assert 201 == service.request("POST", ITEMS, {"name": "one"})[0]
    return service


@pytest.fixture
def locked(own_postgres: PostgresServer, service: LiveServer) -> Iterator[None]:
    """The item's row, locked by another transaction."""
    with closing(psycopg2.connect(own_postgres.url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM items WHERE id = 1 FOR UPDATE")
        yield


def statuses(service: LiveServer, number: int, method: str, path: str, body=None) -> list[int]:
    """Send that many requests at once, and return the statuses of the answers."""
    with ThreadPoolExecutor(number) as pool:
        calls = [pool.submit(service.request, method, path, body) for _ in range(number)]
        return [call.result()[0] for call in calls]


def test_a_restart_of_the_database_is_survived(service: LiveServer, own_postgres: PostgresServer):
    """Pooled connections are found dead before they are used, and no worker restarts."""
    assert {200} == set(statuses(service, 5, "GET", f"{ITEMS}1"))
    own_postgres.stop()
    assert 503 == service.request("GET", f"{ITEMS}1")[0]
    assert 200 == service.request("GET", "/health")[0]
    own_postgres.start()
    wait_until(lambda: service.request("GET", f"{ITEMS}1")[0] == 200, "the service is back", 5)
    assert {200} == set(statuses(service, 5, "GET", f"{ITEMS}1"))


def test_a_restart_between_two_requests_is_not_noticed(
    service: LiveServer, own_postgres: PostgresServer
):
    """Only requests in flight may fail, and none is."""
    assert {200} == set(statuses(service, 5, "GET", f"{ITEMS}1"))
    own_postgres.kill()
    own_postgres.start()
    assert {200} == set(statuses(service, 5, "GET", f"{ITEMS}1"))


def test_a_database_that_hangs_is_answered_for(service: LiveServer, own_postgres: PostgresServer):
    """Every request gets its 503 while the server hangs, not when it wakes; the process lives."""
    assert 200 == service.request("GET", f"{ITEMS}1")[0]
    with own_postgres.suspended():
        assert {503} == set(statuses(service, 16, "GET", f"{ITEMS}1"))
        assert 503 == service.request("POST", ITEMS, {"name": "two"})[0]
        status, body = service.request("GET", "/health/ready")
        assert 503 == status
        assert b"not ready: database" in body
        assert 200 == service.request("GET", "/health")[0]
    wait_until(lambda: service.request("GET", f"{ITEMS}1")[0] == 200, "the service is back", 5)


@pytest.mark.usefixtures("locked")
def test_a_row_that_somebody_else_keeps_locked_is_a_503(service: LiveServer):
    """At the lock time-out; reads go on meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(service.request, "PUT", f"{ITEMS}1", {"name": "two"})
        assert 200 == service.request("GET", f"{ITEMS}1")[0]
        assert 503 == writing.result()[0]


@pytest.mark.usefixtures("locked")
def test_slow_requests_in_excess_of_the_pool_are_turned_away(service: LiveServer):
    """The surplus is told to try again, and the service is normal right after."""
    assert {503} == set(statuses(service, 50, "PUT", f"{ITEMS}1", {"name": "two"}))
    assert 200 == service.request("GET", f"{ITEMS}1")[0]


def test_what_was_acknowledged_survives_a_crash_of_the_database(
    service: LiveServer, own_postgres: PostgresServer
):
    """A 201 means that the row is on disk."""
    status, body = service.request("POST", ITEMS, {"name": "precious"})
    assert 201 == status
    own_postgres.kill()
    own_postgres.start()
    assert (200, body) == service.request("GET", f"{ITEMS}2")
