import io
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from functools import partial
from threading import Barrier
from typing import Any

import psutil
import psycopg2
import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError

from pegboard.database import DatabaseOptions, db, init_database, no_time_limit
from pegboard.database.connection import WatchedConnection
from pegboard.testing.processes import wait_until
from pegboard.testing.servers import PostgresServer

pytestmark = pytest.mark.faults

MAX_WAIT = 3.0
"""Seconds after which every request has its error, whatever the server does."""

AT_ONCE = 1.0
"""Far less than any time-out."""

STATEMENT_TIMEOUT = 2.0

POOL_SIZE = 4

MakeApp = Callable[..., Flask]


@pytest.fixture
def make_app() -> Iterator[MakeApp]:
    """Make apps that have nothing but a database."""
    with ExitStack() as stack:
        defaults: Any = {"pool_size": POOL_SIZE, "statement_timeout": STATEMENT_TIMEOUT}

        def make(url: str, **options: Any) -> Flask:
            app = Flask(__name__)
            init_database(app, DatabaseOptions(url, **{**defaults, **options}))
            with app.app_context():
                stack.callback(db.engine.dispose)
            return app

        yield make


@pytest.fixture
def watched(postgres_url: str) -> Iterator[WatchedConnection]:
    """A connection whose calls may take a fifth of a second."""
    with closing(psycopg2.connect(postgres_url, connection_factory=WatchedConnection)) as one:
        one.limit = 0.2
        yield one


def ask(app: Flask, statement: str = "SELECT 1") -> tuple[str, float]:
    """Execute a statement as a request would; return how it ended, and after how many seconds."""
    began = time.monotonic()
    try:
        with app.app_context():
            db.session.execute(text(statement))
            db.session.commit()
    except OperationalError:  # and no other, as this one is answered by 503
        outcome = "failed"
    else:
        outcome = "served"
    return outcome, time.monotonic() - began


def ask_at_once(app: Flask, times: int = POOL_SIZE) -> tuple[set[str], float]:
    """Execute in so many threads; return how it ended, and how long the longest took."""
    together = Barrier(times, timeout=10)

    def one(_: int) -> tuple[str, float]:
        together.wait()
        return ask(app)

    with ThreadPoolExecutor(times) as threads:
        answers = list(threads.map(one, range(times)))
    return {outcome for outcome, _ in answers}, max(seconds for _, seconds in answers)


def serves(app: Flask) -> bool:
    """Return whether a request is served."""
    return ask(app)[0] == "served"


def test_an_overdue_call_is_ended(watched: WatchedConnection) -> None:
    """A call that the server does not answer in time is an error, and the connection is closed."""
    with watched.cursor() as cursor, pytest.raises(psycopg2.OperationalError, match=r"0\.2 s"):
        cursor.execute("SELECT pg_sleep(30)")

    assert watched.closed


@pytest.mark.parametrize(
    "call",
    [
        lambda cursor: cursor.executemany("SELECT pg_sleep(%s)", [(30,)]),
        lambda cursor: cursor.callproc("pg_sleep", [30]),
        lambda cursor: cursor.copy_expert("COPY (SELECT pg_sleep(30)) TO STDOUT", io.StringIO()),
    ],
    ids=["executemany", "callproc", "copy"],
)
def test_every_way_to_execute_is_watched(
    watched: WatchedConnection, call: Callable[[object], object]
) -> None:
    """It makes no difference how the statement is given."""
    with watched.cursor() as cursor, pytest.raises(psycopg2.OperationalError, match=r"0\.2 s"):
        call(cursor)


@pytest.mark.parametrize("fetch", ["fetchone", "fetchmany", "fetchall"])
def test_fetching_from_the_server_is_watched(watched: WatchedConnection, fetch: str) -> None:
    """A cursor on the server executes when rows are fetched."""
    cursor = watched.cursor("slow")
    cursor.execute("SELECT pg_sleep(30)")

    with pytest.raises(psycopg2.OperationalError, match=r"0\.2 s"):
        getattr(cursor, fetch)()


def test_a_cursor_on_the_server_works(watched: WatchedConnection) -> None:
    """In time, it fetches as any other."""
    with watched.cursor("quick") as cursor:
        cursor.execute("SELECT generate_series(1, 5)")

        assert ((1,), [(2,)], [(3,), (4,), (5,)]) == (
            cursor.fetchone(),
            cursor.fetchmany(),
            cursor.fetchall(),
        )


def test_a_call_in_time_is_left_alone(watched: WatchedConnection) -> None:
    """Calls one after the other take longer than one may, and none is ended."""
    with watched.cursor() as cursor:
        for _ in range(5):
            cursor.execute("SELECT pg_sleep(0.1)")
    watched.commit()

    assert not watched.closed


def test_an_error_of_the_server_is_passed_on(watched: WatchedConnection) -> None:
    """An error that the server answers in time is raised, and the connection stays open."""
    with watched.cursor() as cursor, pytest.raises(psycopg2.errors.DivisionByZero):
        cursor.execute("SELECT 1/0")
    watched.rollback()

    assert not watched.closed


def test_time_is_unlimited_where_it_is_said(postgres_url: str, make_app: MakeApp) -> None:
    """Neither the server nor the watchdog ends long work, and afterwards both do again."""
    app = make_app(postgres_url, statement_timeout=0.1)
    with app.app_context():
        with no_time_limit():
            db.session.execute(text("SELECT pg_sleep(0.7)"))
            assert "0" == db.session.scalar(text("SHOW statement_timeout"))
            db.session.remove()
        with pytest.raises(OperationalError, match="statement timeout"):
            db.session.execute(text("SELECT pg_sleep(0.7)"))


def test_a_statement_is_ended_by_the_server_first(postgres_url: str, make_app: MakeApp) -> None:
    """A server that works ends a slow statement itself, so the connection stays open."""
    app = make_app(postgres_url, statement_timeout=0.1)
    with app.app_context():
        pid = db.session.scalar(select(func.pg_backend_pid()))
        with pytest.raises(OperationalError, match="statement timeout"):
            db.session.execute(text("SELECT pg_sleep(30)"))
        db.session.rollback()

        assert pid == db.session.scalar(select(func.pg_backend_pid()))


def test_a_lost_connection_can_be_rolled_back(postgres_url: str, make_app: MakeApp) -> None:
    """The end of a request whose answer is complete does not fail when the server is lost."""
    app = make_app(postgres_url)
    with app.app_context():
        terminate(postgres_url, db.session.scalar(select(func.pg_backend_pid())))
        db.session.rollback()
        assert 1 == db.session.scalar(text("SELECT 1"))

    with app.app_context():
        terminate(postgres_url, db.session.scalar(select(func.pg_backend_pid())))
    assert serves(app)


def test_a_closed_connection_is_not_handed_out(postgres_url: str, make_app: MakeApp) -> None:
    """A connection that the server closed while it was idle costs no request."""
    app = make_app(postgres_url)
    ask_at_once(app)
    with closing(psycopg2.connect(postgres_url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    assert {"served"} == ask_at_once(app)[0]


def terminate(url: str, pid: int | None) -> None:
    """End the server's side of a connection, and wait until it has ended."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(5)


@pytest.mark.slow
def test_a_restart_costs_only_requests_in_flight(
    own_postgres: PostgresServer, make_app: MakeApp
) -> None:
    """Once the server is back, the first request is served, though every connection is stale."""
    app = make_app(own_postgres.url)
    assert {"served"} == ask_at_once(app)[0]

    own_postgres.stop()
    assert "failed" == ask(app)[0]
    own_postgres.start()

    assert {"served"} == ask_at_once(app)[0]


@pytest.mark.slow
def test_a_hanging_server_costs_nobody_more_than_three_seconds(
    own_postgres: PostgresServer, make_app: MakeApp
) -> None:
    """Requests in all states fail in time, later ones at once, and all work once it is back."""
    busy = make_app(own_postgres.url)
    idle = make_app(own_postgres.url)
    new = make_app(own_postgres.url)
    for app in (busy, idle):
        ask_at_once(app)
    wait_until(_a_while_after(time.monotonic()), "the connections count as idle")
    ask_at_once(busy)

    with own_postgres.suspended(), ThreadPoolExecutor(3) as threads:
        asked_alone = threads.submit(ask, idle)
        for outcomes, seconds in threads.map(ask_at_once, (busy, new)):
            assert {"failed"} == outcomes
            assert seconds < MAX_WAIT
        outcome, seconds = asked_alone.result()
        assert "failed" == outcome
        assert seconds < STATEMENT_TIMEOUT  # it was asked for a sign of life first
        for outcomes, seconds in threads.map(ask_at_once, (busy, idle, new)):
            assert {"failed"} == outcomes
            assert seconds < AT_ONCE

    for app in (busy, idle, new):
        wait_until(partial(serves, app), "service is normal", timeout=5)
        assert {"served"} == ask_at_once(app)[0]


def _a_while_after(moment: float) -> Callable[[], bool]:
    return lambda: time.monotonic() > moment + 1.2


@pytest.mark.slow
def test_a_commit_that_hangs_fails_in_time(own_postgres: PostgresServer, make_app: MakeApp) -> None:
    """The wait for the outcome of a commit is bounded like any other."""
    app = make_app(own_postgres.url)
    with app.app_context():
        db.session.execute(text("CREATE TABLE t (a integer)"))
        with own_postgres.suspended():
            began = time.monotonic()
            with pytest.raises(OperationalError, match="did not answer"):
                db.session.commit()
            assert time.monotonic() - began < MAX_WAIT


@pytest.mark.slow
def test_old_connections_serve_while_no_new_one_can_be_had(
    own_postgres: PostgresServer, make_app: MakeApp
) -> None:
    """When only the postmaster hangs, connections that are open still work."""
    app = make_app(own_postgres.url)
    assert serves(app)
    postmaster = psutil.Process(own_postgres.pid)
    postmaster.send_signal(signal.SIGSTOP)
    try:
        with app.app_context():
            db.session.execute(text("SELECT 1"))  # holds the one connection there is
            assert "failed" == ask(app)[0]
            outcome, seconds = ask(app)
            assert "failed" == outcome
            assert seconds < AT_ONCE
        assert serves(app)
    finally:
        postmaster.send_signal(signal.SIGCONT)

    def two_are_served() -> bool:
        return ask_at_once(app, 2)[0] == {"served"}

    wait_until(two_are_served, "new connections can be had", timeout=5)


FORK = """
import os, sys, time
import psycopg2
from pegboard.database.connection import WatchedConnection

def is_cut_in_time():
    connection = psycopg2.connect(sys.argv[1], connection_factory=WatchedConnection)
    connection.limit = 0.2
    try:
        connection.cursor().execute("SELECT pg_sleep(5)")
    except psycopg2.OperationalError as error:
        return "did not answer within 0.2 s" in str(error)

assert is_cut_in_time()
child = os.fork()
mine = is_cut_in_time()
if not child:
    os._exit(0 if mine else 1)
print(mine, os.waitpid(child, 0)[1])
"""


@pytest.mark.slow
def test_a_forked_process_has_a_watchdog_of_its_own(postgres_url: str) -> None:
    """A forked process has a watchdog thread of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, postgres_url],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ("True 0\n", "") == (done.stdout, done.stderr)
