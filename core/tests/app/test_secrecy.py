"""Nothing that a URL says after its scheme is shown, whatever goes wrong with the server."""

import logging
import re
import socket
import traceback
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pegboard.database import db
from pegboard.problems import StartupError
from pegboard.redis import ChannelError, command, get_channel, get_redis
from pegboard.testing.fixtures import MakeApp, RunCLI
from pegboard.testing.processes import free_port
from pegboard.testing.proxy import RedisProxy
from pegboard.testing.servers import Certificates, RedisServer

SECRET = "hunter2"

MISREAD = [
    f"{{scheme}}://user:p@{SECRET}@host/1",
    f"{{scheme}}://user:p@{SECRET}:1@host/1",
    f"{{scheme}}://user:p@5432/{SECRET}@host/1",
    f"{{scheme}}://user:p@host/1?{SECRET}@host=1",
    f"{{scheme}}://us/er:{SECRET}@host/1",
]
"""URLs with an unencoded character, which a library takes for the end of the password."""

MISREAD_REDIS = [
    f"redis://user:12/{SECRET}@host",
    f"redis://user:12#{SECRET}@host",
    f"redis://user:12?{SECRET}@host",
    f"redis://host:12#{SECRET}",
    f"redis+sentinel://user:12/{SECRET}@host",
    f"redis+sentinel://user:12/{SECRET}@host/main",
    f"redis+cluster://one:12,two:12#{SECRET}@host",
]


@pytest.fixture
def output(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was shown: a test adds to it, and all that was logged is added when it is read."""
    caplog.set_level(logging.DEBUG)

    class Output(list[str]):
        def __str__(self) -> str:
            formatter = logging.Formatter()
            return "\n".join([*self, *map(formatter.format, caplog.records)])

    return Output()


def check_url(make_app: MakeApp, url: str, output: list[str], *, name: str) -> None:
    """Start an app with a URL that stops the start."""
    with pytest.raises(StartupError, match="percent-encode") as caught:
        make_app(upgrade=False, **{name: url})
    output += [str(caught.value), *traceback.format_exception(caught.value)]


@pytest.mark.parametrize("url", MISREAD)
def test_a_database_url_that_may_be_misread_stops_the_start(
    make_app: MakeApp, output: list[str], url: str
) -> None:
    """The hint says how to write the password, and no part of it is shown."""
    check_url(make_app, url.format(scheme="postgresql"), output, name="DATABASE_URL")

    assert "p@" not in str(output)
    assert SECRET not in str(output)


@pytest.mark.parametrize("query", ["sslmod=modepart", "sslmode=modepart", "password=x&modepart=x"])
def test_a_parameter_that_the_driver_refuses_stops_the_start(
    make_app: MakeApp, output: list[str], query: str
) -> None:
    """Its name is told, unless it may be the rest of a password; its value is not."""
    # Not in the call, whose source a traceback shows.
    url = f"postgresql://userpart:passpart@hostpart/name?{query}"
    with pytest.raises(StartupError, match=r"parameter (sslmode?|after the .) ") as caught:
        make_app(upgrade=False, DATABASE_URL=url)
    output += [str(caught.value), *traceback.format_exception(caught.value)]

    assert [] == re.findall(r"\w+part\b", str(output))


@pytest.mark.parametrize("url", [*MISREAD_REDIS, MISREAD[2].format(scheme="redis")])
def test_a_redis_url_that_may_be_misread_stops_the_start(
    make_app: MakeApp, output: list[str], url: str
) -> None:
    """The hint says how to write the password, and no part of it is shown."""
    check_url(make_app, url, output, name="REDIS_URL")

    assert SECRET not in str(output)


def use_database(app: Flask, cli: RunCLI, output: list[str]) -> None:
    """Do all with the database that tells of its failure."""
    commands = ("config show", "config check", "db current", "db upgrade", "plugins doctor")
    given = {"DATABASE_URL": app.config["DATABASE_URL"]}
    output += [cli(*line.split(), app=app, env=given).output for line in commands]
    answer = app.test_client().get("/health/ready")
    assert 503 == answer.status_code
    output.append(answer.text)
    with app.app_context():
        try:
            db.session.execute(text("SELECT 1"))
        except DBAPIError as error:
            output += [repr(error), *traceback.format_exception(error)]


@pytest.mark.parametrize(
    "url, reason",
    [
        ("{user}:{password}@hostpart.invalid/basepart", "the host of the database cannot be found"),
        ("{user}:{password}@hostpart.invalid,{host}:{free}/basepart", "Connection refused"),
        ("{user}:{password}@{host}:{free}/basepart", "Connection refused"),
        ("{user}:passpart@{host}:{port}/basepart", "password authentication failed"),
        ("userpart:{password}@{host}:{port}/basepart", "password authentication failed"),
        ("{user}:{password}@{host}:{port}/basepart", "does not exist"),
        ("{user}:{password}@/basepart?host=/none/socketpart", "No such file"),
        ("{user}:{password}@{host}:{port}/basepart?sslmode=verify-ca&sslrootcert=filepart", "SSL"),
        ("{user}:{password}@{host}:{port}{path}?options=-c%20optionpart=1", "unrecognized"),
    ],
)
def test_no_failure_of_the_database_shows_its_url(
    make_app: MakeApp, cli: RunCLI, postgres_url: str, output: list[str], url: str, reason: str
) -> None:
    """The reason is told, in commands, answers, logs and tracebacks; the place is not."""
    known = urlsplit(postgres_url)
    free = free_port()
    given = url.format(
        user=known.username,
        password=known.password,
        host="localhost",
        port=known.port,
        path=known.path,
        free=free,
    )
    app = make_app(upgrade=False, DATABASE_URL=f"postgresql://{given}", TESTING=False)

    use_database(app, cli, output)

    shown = str(output)
    assert reason in shown
    assert [] == re.findall(rf"\w+part\b|{known.password}|{known.port}|{free}|localhost", shown)


@pytest.mark.parametrize(
    "url, reason",
    [
        ("redis://userpart:passpart@hostpart.invalid:{free}/3", "not known|resolution"),
        ("redis://userpart:passpart@localhost:{free}/3", "refused"),
        ("redis://userpart:passpart@localhost:{port}/3", "invalid username-password"),
        ("redis://localhost:{port}/3", "Authentication required"),
        ("unix:///none/socketpart?password=passpart", "No such file"),
        ("redis+sentinel://:passpart@localhost:{free},hostpart.invalid/mainpart", "refused"),
        ("redis+sentinel://localhost:{port}/mainpart?sentinel_password={password}", "unknown"),
        ("redis+cluster://userpart:passpart@localhost:{free},hostpart.invalid", "refused"),
        ("redis+cluster://userpart:passpart@localhost:{port}", "invalid username-password"),
    ],
)
def test_no_failure_of_redis_shows_its_url(
    make_app: MakeApp, cli: RunCLI, own_redis: RedisServer, output: list[str], url: str, reason: str
) -> None:
    """The reason is told, by the channel, by redis-py and by readiness; the place is not."""
    free = free_port()
    given = url.format(free=free, port=own_redis.port, password=own_redis.password)
    use_redis(make_app(REDIS_URL=given, REDIS_TIMEOUT=2, TESTING=False), cli, output)

    shown = str(output)
    assert re.search(reason, shown)
    parts = ("userpart", "passpart", "hostpart", "socketpart", "mainpart", "localhost")
    hidden = (*parts, str(free), str(own_redis.port), own_redis.password)
    assert [] == [part for part in hidden if part in shown]


def use_redis(app: Flask, cli: RunCLI, output: list[str]) -> None:
    """Do all with Redis that tells of its failure."""
    output.append(cli("config", "show", app=app, env={"REDIS_URL": app.config["REDIS_URL"]}).output)
    output.append(app.test_client().get("/health/ready").text)
    with app.app_context():
        channel = get_channel()
        assert channel
        try:
            channel.exchange([command("GET", "key", key="key")])
        except ChannelError as error:
            output += traceback.format_exception(error)
        try:
            client = get_redis()
            assert client
            client.get("key")
        except RedisError as error:
            output += [repr(error), str(error)]


def test_a_certificate_of_another_server_does_not_show_the_host(
    make_app: MakeApp,
    cli: RunCLI,
    redis_url: str,
    certificates: Certificates,
    output: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message of the TLS library quotes the name that the certificate should bear."""
    real = socket.getaddrinfo

    def resolve(host: str, *args: Any, **options: Any) -> object:
        return real("127.0.0.1" if host == "hostpart" else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with RedisProxy(redis_url, certificates) as proxy:
        url = proxy.url.replace("127.0.0.1", "hostpart")
        app = make_app(REDIS_URL=url, REDIS_TIMEOUT=2, TESTING=False)
        with app.app_context():
            channel, client = get_channel(), get_redis()
            assert channel
            assert client
            with suppress(ChannelError):
                channel.exchange([command("GET", "key", key="key")])
            with pytest.raises(RedisError, match="certificate is not valid for") as caught:
                client.get("key")
    output.append(str(caught.value))

    assert "certificate is not valid for" in str(output)
    assert "hostpart" not in str(output)
