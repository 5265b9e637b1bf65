"""The forms of `REDIS_URL`, and what is said of one that is wrong."""

from pathlib import Path

import pytest

from pegboard import StartupError
from pegboard.redis.url import Address, RedisURL, parse

SECRET = "hunter2"


@pytest.mark.parametrize(
    "url, expected",
    [
        ("redis://cache", RedisURL("server", tls=False, addresses=(Address("cache", 6379),))),
        (
            "redis://ann:p%40ss@cache:7000/3",
            RedisURL(
                "server",
                tls=False,
                addresses=(Address("cache", 7000),),
                options={"username": "ann", "password": "p@ss", "db": 3},
            ),
        ),
        (
            "rediss://:p:w@[::1]/",
            RedisURL(
                "server", tls=True, addresses=(Address("::1", 6379),), options={"password": "p:w"}
            ),
        ),
        (
            "redis://cache?db=2&client_name=board",
            RedisURL(
                "server",
                tls=False,
                addresses=(Address("cache", 6379),),
                options={"db": 2, "client_name": "board"},
            ),
        ),
        (
            "rediss://cache?ssl_cert_reqs=none&ssl_check_hostname=no",
            RedisURL(
                "server",
                tls=True,
                addresses=(Address("cache", 6379),),
                options={"ssl_cert_reqs": "none", "ssl_check_hostname": False},
            ),
        ),
        (
            "unix:///run/redis%20main.sock?db=1&password=pw",
            RedisURL(
                "server",
                tls=False,
                addresses=(),
                socket="/run/redis main.sock",
                options={"db": 1, "password": "pw"},
            ),
        ),
        (
            "redis+sentinel://ann:pw@one,two:7000,[::1]:7001/main/4?sentinel_password=s",
            RedisURL(
                "sentinel",
                tls=False,
                addresses=(Address("one", 26379), Address("two", 7000), Address("::1", 7001)),
                service="main",
                options={"username": "ann", "password": "pw", "db": 4},
                sentinel_options={"password": "s"},
            ),
        ),
        (
            "rediss+cluster://:pw@one,two:7000/0",
            RedisURL(
                "cluster",
                tls=True,
                addresses=(Address("one", 6379), Address("two", 7000)),
                options={"password": "pw"},
            ),
        ),
    ],
)
def test_every_form_is_read(url, expected):
    """Hosts, credentials, database and parameters, each with its default."""
    assert expected == parse(url)


@pytest.mark.parametrize(
    "url, summary",
    [
        (f"http://:{SECRET}@host", "unknown scheme"),
        (f":{SECRET}@host", "unknown scheme"),
        (f"redis+ring://:{SECRET}@host", "unknown scheme"),
        (f"unix+cluster://:{SECRET}@/path", "unknown scheme"),
        (f"redis://:{SECRET}[@host", "cannot be read"),
        (f"redis://:{SECRET}@", "a host or a port"),
        (f"redis://:{SECRET}@:6379", "a host or a port"),
        (f"redis://:{SECRET}@host:0", "a host or a port"),
        (f"redis://:{SECRET}@host:65536", "a host or a port"),
        (f"redis://:{SECRET}@host:port", "a host or a port"),
        (f"redis://:{SECRET}@::1", "a host or a port"),
        (f"redis://:{SECRET}/x@host", "a host or a port"),
        (f"redis+cluster://:{SECRET}@one,,two", "a host or a port"),
        (f"redis://:{SECRET}@host/main", "a database that is no number"),
        (f"redis://:{SECRET}@host/-1", "a database that is no number"),
        (f"redis://:{SECRET}@host?db={SECRET}", "a database that is no number"),
        (f"redis://:{SECRET}@one,two", "several servers"),
        (f"redis+sentinel://:{SECRET}@one", "does not say what the sentinels call the master"),
        (f"redis+sentinel://:{SECRET}@one/main/x", "a database that is no number"),
        (f"redis+cluster://:{SECRET}@one/1", "a database other than 0"),
        (f"redis+cluster://:{SECRET}@one?db=1", "a database other than 0"),
        (f"unix://:{SECRET}@host/path", "names no socket"),
        ("unix://", "names no socket"),
        (f"redis://:{SECRET}@host?ssl_ca_certs=ca.pem", "not the scheme of TLS"),
        (f"redis://a?{SECRET}@host", "parameters that cannot be read"),
        (f"redis://a?{SECRET}=host", "an unknown parameter"),
        (f"redis://:{SECRET}@host?sentinel_password=x", "an unknown parameter"),
        (f"redis://:{SECRET}@host?db=1&db=2", "the parameter db twice"),
        (f"redis://:{SECRET}@host?socket_timeout=5", "the parameter socket_timeout"),
        (f"redis://:{SECRET}@host?max_connections=5", "the parameter max_connections"),
        (f"rediss://:{SECRET}@host?ssl_cert_reqs={SECRET}", "an ssl_cert_reqs other than"),
        (f"rediss://:{SECRET}@host?ssl_check_hostname={SECRET}", "neither true nor false"),
        (f"rediss://:{SECRET}@host?ssl_ciphers={SECRET}", "ssl_ciphers of which none is known"),
        (f"rediss://:{SECRET}@host?ssl_ca_certs=/no/ca.pem", "authorities that cannot be loaded"),
        (f"rediss://:{SECRET}@host?ssl_certfile=/no/cert.pem", "a certificate that cannot be"),
    ],
)
def test_every_mistake_is_named_without_the_password(url, summary):
    """The error says what is wrong and how to write it, and repeats nothing of the URL."""
    with pytest.raises(StartupError) as caught:
        parse(url)
    [problem] = caught.value.problems
    assert summary in problem.summary
    assert problem.summary.startswith("REDIS_URL ")
    assert problem.hint
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_misspelled_parameter_gets_its_name():
    """What it may have been is told, not what it was."""
    with pytest.raises(StartupError, match="Did you mean ssl_ca_certs"):
        parse("rediss://host?ssl_ca_cert=x")


def test_settings_are_named_that_stand_for_a_parameter():
    """The bounds of time hold for everything, so the URL must not change them."""
    with pytest.raises(StartupError, match="Set PEGBOARD_REDIS_TIMEOUT instead"):
        parse("redis://host?socket_connect_timeout=5")


def test_file_that_is_no_certificate_is_named_at_the_start(tmp_path: Path):
    """Not at the first connection."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(StartupError, match="authorities that cannot be loaded"):
        parse(f"rediss://host?ssl_ca_certs={file}")


def test_nothing_secret_is_shown():
    """Not even by what was read."""
    shown = repr(parse(f"redis+sentinel://:{SECRET}@one/main?sentinel_password={SECRET}"))
    assert SECRET not in shown
