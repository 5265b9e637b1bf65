"""Tests of the fixture `clock`, and of what asks the time of the platform."""

import ast
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import session
from redis import Redis

import pegboard
from pegboard import clock as platform
from pegboard.redis import Script, get_channel
from pegboard.testing.fixtures import Clock, MakeApp

ROOT = Path(__file__).parents[3]

TIMES = {"monotonic", "monotonic_ns", "time", "time_ns", "now", "utcnow", "today"}
"""Functions of `time` and `datetime` that tell the time."""

BY_THE_MACHINE = {
    "background.py": "bounds waiting for a reading",
    "server": "waits for workers and for the end of connections",
    "database/watchdog.py": "bounds calls to the server",
    "database/postgresql.py": "knows the age of connections",
    "database/async_link.py": "bounds calls to the server",
    "database/async_pool.py": "bounds waiting for a connection",
    "database/targets.py": "bounds connecting",
    "database/transactions.py": "bounds attempts at a transaction",
    "database/connection.py": "knows the age of connections",
    "database/connector.py": "bounds connecting",
    "database/failover.py": "bounds calls to the server",
    "database/sqlite.py": "bounds waiting for a lock",
    "redis": "bounds exchanges, and knows the age of connections",
    "cache/acknowledgement.py": "waits until no other process has an older value",
    "circuit_breaker.py": "waits for a server",
    "deadline.py": "bounds requests",
    "http/envelope.py": "measures requests",
    "logs": "knows when a request was answered",
    "api/health.py": "knows how long a check has been running, and when stats were logged",
    "management": "bounds requests of operators, and measures checks",
    "migrations/execution.py": "bounds waiting for a lock",
    "pegboard_cache_redis/cache/epoch.py": "trusts what other processes may have changed",
    "pegboard_cache_redis/cache/writer.py": "waits until no other process trusts an older value",
    "pegboard_observe/traces.py": "tells when spans have begun and ended",
    "pegboard_cache_redis/cache/background.py": "knows the age of a connection",
}
"""Modules that ask for the time of the machine, which no test moves, and what for."""


NO_SERVICE = {"cli", "combinations", "grading", "inspection", "scaffold", "testing"}
"""Packages of commands and tests, which keep nothing for a service."""


def asks_the_machine(path: Path) -> bool:
    """Return whether a module calls a function of Python that tells the time."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(module="time" | "datetime", names=names):
                if TIMES & {name.name for name in names} - {"time"} or (
                    node.module == "time" and any(name.name == "time" for name in names)
                ):
                    return True
            case ast.Attribute(value=ast.Name(id="time" | "datetime" | "date"), attr=attr):
                if attr in TIMES:
                    return True
    return False


def modules() -> Iterator[tuple[str, Path]]:
    """Yield the modules of the core and of the plugins, as the table names them."""
    core = ROOT / "core/src/pegboard"
    for path in sorted(core.glob("**/*.py")):
        name = path.relative_to(core).as_posix()
        if name.partition("/")[0] not in {*NO_SERVICE, "clock.py"}:
            yield name, path
    for path in sorted(ROOT.glob("plugins/*/src/**/*.py")):
        yield path.relative_to(path.parents[-1]).as_posix().partition("/src/")[2], path


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "core/src").exists(), reason="the source is not here")
def test_what_is_kept_for_a_time_asks_the_platform() -> None:
    """Only what waits or measures asks the machine, and each module of that is in the table."""
    found = {name for name, path in modules() if asks_the_machine(path)}
    assert [] == sorted(
        name
        for name in found
        if name not in BY_THE_MACHINE and name.partition("/")[0] not in BY_THE_MACHINE
    )


@pytest.mark.slow
def test_the_time_stands_still_until_it_is_moved(clock: Clock) -> None:
    """All functions tell one time."""
    began = (platform.monotonic(), platform.monotonic_ns(), platform.time(), pegboard.utcnow())
    assert began == (platform.monotonic(), platform.monotonic_ns(), platform.time(), clock.now)
    clock.advance(90)
    assert pytest.approx(90) == platform.monotonic() - began[0]
    assert 90_000_000_000 == platform.monotonic_ns() - began[1]
    assert pytest.approx(90) == platform.time() - began[2]
    assert timedelta(seconds=90) == pegboard.utcnow() - began[3]


@pytest.mark.slow
def test_the_time_can_be_moved_to_a_moment(clock: Clock) -> None:
    """With a time zone or in UTC, and never back."""
    clock.advance_to(datetime(2090, 5, 1))  # noqa: DTZ001 - as `utcnow` returns it
    assert datetime(2090, 5, 1) == pegboard.utcnow()  # noqa: DTZ001 - as above
    clock.advance_to(datetime(2090, 5, 2, tzinfo=UTC))
    assert datetime(2090, 5, 2) == pegboard.utcnow()  # noqa: DTZ001 - as above
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)


def test_without_the_fixture_the_functions_are_those_of_python() -> None:
    """So that production pays nothing."""
    assert (time.monotonic, time.monotonic_ns) == (platform.monotonic, platform.monotonic_ns)
    assert platform.time is time.time


@pytest.mark.slow
def test_a_session_in_a_cookie_ends(make_app: MakeApp, clock: Clock) -> None:
    """After its lifetime, by the signature of the cookie."""
    app = make_app(SECRET_KEY="k" * 32, PERMANENT_SESSION_LIFETIME=60)

    @app.get("/count")
    def count() -> dict[str, int]:
        session.permanent = True
        session["count"] = session.get("count", 0) + 1
        return {"count": session["count"]}

    client = app.test_client()
    found = []
    for seconds in (0, 59, 61):
        clock.advance(seconds)
        found.append(client.get("/count").get_json()["count"])
    assert [1, 2, 1] == found


@pytest.mark.slow
def test_keys_of_redis_expire(redis_url: str, clock: Clock) -> None:
    """Those without an expiry stay."""
    with Redis.from_url(redis_url) as redis:
        redis.set("short", "1", px=60_000)
        redis.set("long", "1", px=600_000)
        redis.set("always", "1")
        clock.advance(61)
        assert [None, b"1", b"1"] == redis.mget("short", "long", "always")
        assert 0 < redis.pttl("long") <= 539_000


TIME = "return {call}[1] * 1000 + math.floor({call}[2] / 1000)"


@pytest.mark.slow
@pytest.mark.parametrize(
    "call",
    [
        "redis.call('TIME')",
        'redis.pcall ( "time" )',
        "redis.call 'TIME'",
        "server.call([[TIME]])",
        "call('TIME')",
    ],
)
def test_scripts_get_the_later_time(
    redis_url: str, make_app: MakeApp, clock: Clock, call: str
) -> None:
    """Also one that a server has already, one that it has lost, and after each move."""
    script = Script(f"local call = redis.call local server = redis {TIME.format(call=f'({call})')}")
    channel = get_channel(make_app(REDIS_URL=redis_url))
    assert channel

    def told() -> int:
        return int(channel.exchange([script.call(keys=["a"])])[0].value)

    first = told()
    clock.advance(3600)
    second = told()
    clock.advance(0.5)
    with Redis.from_url(redis_url) as redis:
        redis.script_flush()
    third = told()
    assert 0 <= second - first - 3_600_000 < 60_000
    assert 0 <= third - second - 500 < 60_000


@pytest.mark.slow
def test_a_script_that_is_made_later_gets_the_later_time(
    redis_url: str, make_app: MakeApp, clock: Clock
) -> None:
    """The clock has not seen it when it was moved."""
    channel = get_channel(make_app(REDIS_URL=redis_url))
    assert channel
    clock.advance(timedelta(days=365))
    script = Script(TIME.format(call="(redis.call('TIME'))"))
    (reply,) = channel.exchange([script.call(keys=["a"])])
    assert 365 * 24 * 3600 * 1000 < int(reply.value) - time.time() * 1000 + 60_000


@pytest.mark.slow
def test_a_script_whose_time_cannot_be_moved_is_refused(redis_url: str, clock: Clock) -> None:
    """It would silently keep the time of the server."""
    script = Script("local ask = redis.call return ask('TIME')")
    with pytest.raises(ValueError, match=r"asks for it by ask\('TIME'\): write redis.call"):
        clock.advance(1)
    assert "ask" in script.source


@pytest.mark.slow
def test_shared_results_of_health_checks_get_old(make_app: MakeApp, clock: Clock) -> None:
    """Probes within a moment share one; the next moment has its own."""
    runs = []

    class Plugin:
        name = "ill"

        @pegboard.hookimpl
        def pegboard_health_checks(self) -> list[pegboard.HealthCheck]:
            return [pegboard.HealthCheck("ill", lambda: runs.append(1))]

    client = make_app(plugins=[Plugin()]).test_client()
    found = []
    for seconds in (0, 0, 60):
        clock.advance(seconds)
        client.get("/health/ready")
        found.append(len(runs))
    assert [1, 1, 2] == found
