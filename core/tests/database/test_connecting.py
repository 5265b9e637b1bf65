"""Who takes part in connecting: plugins' listeners, options of the engine, several servers."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest
from flask import Flask
from psycopg2.extras import LoggingConnection
from sqlalchemy import event, text
from sqlalchemy.exc import InternalError, OperationalError
from sqlalchemy.pool import NullPool

from pegboard import hookimpl
from pegboard.database import db, no_time_limit
from pegboard.database.connection import WatchedConnection
from pegboard.testing.fixtures import MakeApp as MakeServiceApp
from pegboard.testing.fixtures import RunCLI
from pegboard.testing.processes import free_port, run_python

MakeApp = Callable[..., Flask]


def port_of(url: str) -> int:
    """Return the port in a URL."""
    port = urlsplit(url).port
    assert port
    return port


def with_hosts(url: str, *ports: int, query: str = "") -> str:
    """Return the URL with several ports of the loopback address in place of its host."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return f"postgresql://{user}@{hosts}{parts.path}?{query}"


@contextmanager
def accepting(address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Accept connections and say nothing; yields the port."""
    with socket.create_server((address, port)) as listener:
        yield int(listener.getsockname()[1])


@contextmanager
def dropping(address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Answer no attempt to connect, as a firewall that drops packets; yields the port."""
    with socket.create_server((address, port), backlog=0) as listener, ExitStack() as stack:
        port = int(listener.getsockname()[1])
        for _ in range(4):  # those beyond the backlog are not answered
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - the parameter has no name
            waiting.connect_ex((address, port))
        yield port


def ask(app: Flask, statement: str = "SELECT 1") -> Any:
    """Return the first value of a statement, executed as a request would."""
    with app.app_context():
        return db.session.scalar(text(statement))


def test_a_listener_sets_the_password_of_each_connection(
    postgres_url: str, make_engine_app: MakeApp
) -> None:
    """A token that is valid for minutes is put in by `do_connect`, as SQLAlchemy's guide shows."""
    password = urlsplit(postgres_url).password
    app = make_engine_app(postgres_url.replace(f":{password}@", "@"), {}, pool_size=1)
    asked = []

    with app.app_context():

        @event.listens_for(db.engine, "do_connect")
        def set_token(_dialect: Any, _record: Any, _args: Any, parameters: dict[str, Any]) -> None:
            asked.append(dict(parameters))
            parameters["password"] = password

        assert 1 == ask(app)
        db.engine.dispose()
        assert 1 == ask(app)
        connection = db.session.connection().connection.driver_connection

    # SQLAlchemy may give each call parameters of its own, or the same to all.
    assert 2 == len(asked)
    assert isinstance(connection, WatchedConnection)


class Tokens:
    """A plugin that gives each connection a password."""

    name = "tokens"

    def __init__(self, password: str) -> None:
        """Give this one."""
        self.password = password

    @hookimpl
    def pegboard_setup(self, app: Flask) -> None:
        """Listen, as the guide shows."""
        with app.app_context():

            @event.listens_for(db.engine, "do_connect")
            def set_token(
                _dialect: Any, _record: Any, _args: Any, parameters: dict[str, Any]
            ) -> None:
                parameters["password"] = self.password


def test_commands_and_migrations_use_the_password_of_a_listener(
    postgres_url: str, make_app: MakeServiceApp, cli: RunCLI
) -> None:
    """Also for the connection that holds the migration lock, and for readiness."""
    password = urlsplit(postgres_url).password or ""
    url = postgres_url.replace(f":{password}@", "@")
    app = make_app(plugins=[Tokens(password)], upgrade=False, DATABASE_URL=url)

    for command in ("upgrade", "current", "check"):
        result = cli("db", command, app=app)
        assert 0 == result.exit_code, result.output
    assert 200 == app.test_client().get("/health/ready").status_code


def test_a_listener_may_connect_by_itself(postgres_url: str, make_engine_app: MakeApp) -> None:
    """The core connects only when no listener has; what the server enforces holds even so."""
    app = make_engine_app(postgres_url, statement_timeout=1.25)
    with app.app_context():

        @event.listens_for(db.engine, "do_connect")
        def connect(_dialect: Any, _record: Any, args: Any, parameters: dict[str, Any]) -> Any:
            return psycopg2.connect(*args, connection_factory=Plain, **parameters)

        for _ in range(2):
            assert "1250ms" == ask(app, "SHOW statement_timeout")
            assert "UTC" == ask(app, "SHOW TimeZone")
        with no_time_limit():
            assert "0" == ask(app, "SHOW statement_timeout")
        assert isinstance(db.session.connection().connection.driver_connection, Plain)


class Plain(LoggingConnection):
    """A connection that is not the core's."""

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Return an ordinary cursor."""
        return psycopg2.extensions.connection.cursor(self, *args, **kwargs)


def test_listeners_see_every_connection(database_url: str, make_engine_app: MakeApp) -> None:
    """Events of the pool are sent for connections that the core makes."""
    app = make_engine_app(database_url)
    seen = []
    with app.app_context():
        for name in ("connect", "checkout", "checkin"):
            event.listen(db.engine, name, lambda *_, name=name: seen.append(name))
        ask(app)

    assert ["connect", "checkout", "checkin"] == seen


def test_options_of_the_engine_are_added(database_url: str, make_engine_app: MakeApp) -> None:
    """`SQLALCHEMY_ENGINE_OPTIONS` of the app's configuration count, beside the core's own."""
    made = []
    driver: Any = __import__("psycopg2" if database_url.startswith("postgres") else "sqlite3")
    place = database_url.removeprefix("sqlite:///")

    def creator() -> Any:
        made.append(1)
        return driver.connect(place)

    app = make_engine_app(
        database_url,
        {"SQLALCHEMY_ENGINE_OPTIONS": {"creator": creator, "poolclass": NullPool}},
        statement_timeout=1.25,
    )
    with app.app_context():
        assert isinstance(db.engine.pool, NullPool)
    assert [1, 1] == [ask(app), ask(app)]
    assert [1, 1] == made


def test_an_option_of_the_engine_wins(postgres_url: str, make_engine_app: MakeApp) -> None:
    """What is said both ways is as the options of the engine say; the rest is as ever."""
    options = {
        "pool_size": 3,
        "isolation_level": "AUTOCOMMIT",
        "connect_args": {"sslmode": "allow"},
    }
    app = make_engine_app(
        postgres_url, {"SQLALCHEMY_ENGINE_OPTIONS": options}, pool_size=1, statement_timeout=0.1
    )
    with app.app_context():
        assert 3 == db.engine.pool.size()  # type: ignore[attr-defined]
        for _ in range(2):
            with db.engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                assert driver.autocommit
                with pytest.raises(OperationalError, match="statement timeout"):
                    connection.execute(text("SELECT pg_sleep(30)"))


FORK = """
import os, sys
from flask import Flask
from sqlalchemy import event, text
from pegboard.database import DatabaseOptions, db, init_database

app = Flask(__name__)
init_database(app, DatabaseOptions(sys.argv[1]))
calls = []
with app.app_context():
    event.listen(db.engine, "do_connect", lambda *_: calls.append(os.getpid()))
    db.session.execute(text("SELECT 1"))
    db.session.remove()
    child = os.fork()
    db.session.execute(text("SELECT 1"))
    if not child:
        os._exit(0 if calls[-1] == os.getpid() else 1)
    print(os.waitpid(child, 0)[1], len(calls))
"""


@pytest.mark.slow
def test_a_forked_process_calls_listeners(postgres_url: str) -> None:
    """A worker that is forked after the set-up asks for a token of its own."""
    assert "0 1\n" == run_python(FORK, postgres_url)


@pytest.mark.parametrize("silent", [accepting, dropping])
def test_a_silent_server_leaves_time_for_the_next(
    postgres_url: str, make_engine_app: MakeApp, silent: Callable[[], Any]
) -> None:
    """The first server has its share of the time, and is not waited for again."""
    with silent() as port:
        url = with_hosts(postgres_url, port, port_of(postgres_url))
        app = make_engine_app(url, connect_timeout=1.0)
        assert 1 == ask(app)

        with app.app_context(), ExitStack() as stack:
            began = time.monotonic()
            for _ in range(4):
                stack.enter_context(db.engine.connect())
            assert time.monotonic() - began < 0.5 * 4  # the share of the first, each time


def test_a_name_with_a_silent_address_leaves_time_for_the_next(
    postgres_url: str, make_engine_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several addresses of one name, each has its share of the time."""
    real = socket.getaddrinfo

    def resolve(host: str, *args: Any, **kwargs: Any) -> Sequence[Any]:
        if host != "database.test":
            return real(host, *args, **kwargs)
        return [one for at in ("127.0.0.2", "127.0.0.1") for one in real(at, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with accepting("127.0.0.2", port_of(postgres_url)):
        app = make_engine_app(postgres_url.replace("127.0.0.1", "database.test"), connect_timeout=1)
        assert 1 == ask(app)


@pytest.mark.slow
def test_an_address_that_was_preferred_is_left_when_its_server_becomes_read_only(
    postgres_url: str, make_engine_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failover the name leads elsewhere, and the old primary still answers."""
    real, addresses = socket.getaddrinfo, ["127.0.0.2", "127.0.0.1"]

    def resolve(host: str, *args: Any, **kwargs: Any) -> Sequence[Any]:
        if host != "database.test":
            return real(host, *args, **kwargs)
        return [one for at in addresses for one in real(at, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    port = port_of(postgres_url)
    with accepting("127.0.0.2", port), accepting("127.0.0.3", port):
        app = make_engine_app(postgres_url.replace("127.0.0.1", "database.test"), connect_timeout=1)
        assert 1 == ask(app)
        addresses[:] = ["127.0.0.3"]
        with app.app_context(), db.engine.connect() as connection:
            connection.execute(text("SET default_transaction_read_only = on"))
            connection.commit()
            with pytest.raises(InternalError, match="read-only"):
                connection.execute(text("CREATE TABLE refused ()"))

        with pytest.raises(OperationalError, match="does not answer"):
            ask(app)


def test_a_resolver_without_an_answer_leaves_time_for_the_next(
    postgres_url: str, make_engine_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is looked up for ever has its share of the time, too."""
    real, is_over = socket.getaddrinfo, threading.Event()

    def resolve(host: str, *args: Any, **kwargs: Any) -> Sequence[Any]:
        if host == "database.test":
            is_over.wait(60)
            raise socket.gaierror
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = with_hosts(postgres_url, 1, port_of(postgres_url)).replace(
        "127.0.0.1:1,", "database.test:1,"
    )
    try:
        assert 1 == ask(make_engine_app(url, connect_timeout=1.0))
    finally:
        is_over.set()


def test_servers_that_refuse_are_passed_over(postgres_url: str, make_engine_app: MakeApp) -> None:
    """Nothing listens at the first, and the second is not of the wanted kind."""
    url = with_hosts(
        postgres_url, free_port(), port_of(postgres_url), query="target_session_attrs={}"
    )

    assert 1 == ask(make_engine_app(url.format("read-write")))
    assert 1 == ask(make_engine_app(url.format("prefer-standby")))
    with pytest.raises(OperationalError, match="not in hot standby") as raised:
        ask(make_engine_app(url.format("standby")))
    assert "refused" in str(raised.value)


@pytest.mark.slow
def test_silence_of_all_servers_takes_the_limit_once(
    postgres_url: str, make_engine_app: MakeApp
) -> None:
    """The limit is for all servers together, and afterwards requests fail at once."""
    with accepting() as one, accepting() as two:
        app = make_engine_app(with_hosts(postgres_url, one, two), connect_timeout=1.0)
        began = time.monotonic()
        for _ in range(5):
            with pytest.raises(OperationalError, match="does not answer"):
                ask(app)
        assert time.monotonic() - began < 2.0


def test_connections_that_come_too_late_are_closed(
    postgres_url: str, make_engine_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two servers that answer, the other's connection does not stay open."""
    real, late, closed = psycopg2.connect, threading.Event(), threading.Event()

    class Noticed(WatchedConnection):
        def close(self) -> None:
            super().close()
            closed.set()

    def connect(*args: Any, **kwargs: Any) -> Any:
        if kwargs["port"] == "1":
            late.wait(60)
            kwargs |= {"port": str(port_of(postgres_url)), "connection_factory": Noticed}
        return real(*args, **kwargs)

    monkeypatch.setattr(psycopg2, "connect", connect)
    app = make_engine_app(with_hosts(postgres_url, 1, port_of(postgres_url)), connect_timeout=1.0)
    assert 1 == ask(app)
    late.set()

    assert closed.wait(60)


def test_load_is_balanced(postgres_url: str, make_engine_app: MakeApp) -> None:
    """With `load_balance_hosts=random` each server is the first one at times."""
    query = "load_balance_hosts=random&application_name=balanced"
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port, tried = other.getsockname()[1], threading.Event()

        def refuse() -> None:
            other.accept()[0].close()
            tried.set()

        threading.Thread(target=refuse, daemon=True).start()
        app = make_engine_app(
            with_hosts(postgres_url, port_of(postgres_url), port, query=query), pool_size=64
        )
        with app.app_context(), ExitStack() as stack:
            while not tried.is_set():
                stack.enter_context(db.engine.connect())
