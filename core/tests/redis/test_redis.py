"""The optional Redis client, and the way into a single server."""

import os
import re
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from redis import Redis

from pegboard import StartupError, create_app
from pegboard.redis import Channel, ChannelError, command, get_channel, get_redis
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.proxy import RedisProxy
from pegboard.testing.servers import Certificates, RedisServer, tls_program

SET = command("SET", "key", "value", key="key")
GET = command("GET", "key", key="key")


def channel_to(make_app: MakeApp, url: str, **settings: object) -> Channel:
    """Return the channel of an app on this Redis."""
    channel = get_channel(make_app(REDIS_URL=url, **settings))  # type: ignore[arg-type]  # settings
    assert channel is not None
    return channel


def serves(make_app: MakeApp, url: str) -> bool:
    """Return whether an app reaches its Redis, by client and by channel."""
    app = make_app(REDIS_URL=url)
    channel, client = get_channel(app), get_redis(app)
    assert channel is not None
    assert isinstance(client, Redis)
    [_, reply] = channel.exchange([SET, GET])
    readiness = app.test_client().get("/health/ready").get_json()["checks"]["redis"]
    return (b"value", b"value", "ok") == (reply.value, client.get("key"), readiness)


def test_there_is_no_client_without_a_url(app):
    """And readiness does not speak of Redis."""
    assert get_redis(app) is None
    assert "redis" not in app.test_client().get("/health/ready").get_json()["checks"]


def test_the_client_reaches_a_real_server(make_app: MakeApp, any_redis: RedisServer):
    """Be it Valkey or Redis."""
    assert serves(make_app, any_redis.url)


def test_a_service_without_its_redis_is_ready_and_degraded(make_app: MakeApp, own_redis):
    """A load balancer must not take out every replica while all of them serve."""
    app = make_app(REDIS_URL=own_redis.url)
    own_redis.kill()
    response = app.test_client().get("/health/ready")
    assert 200 == response.status_code
    assert ["redis"] == response.get_json()["degraded"]


@pytest.mark.parametrize(
    "setting,value,reason",
    [
        ("maxmemory", 1, "its memory is full (maxmemory)"),
        ("min-replicas-to-write", 1, "it has too few replicas (min-replicas-to-write)"),
    ],
)
def test_a_redis_that_takes_no_writes_is_seen(
    make_app: MakeApp, own_redis, caplog, setting: str, value: int, reason: str
):
    """No session could be begun; where it is required, the service is not ready."""
    with Redis.from_url(own_redis.url) as client:
        client.config_set(setting, value)
    app = make_app(REDIS_URL=own_redis.url)
    assert ["redis"] == app.test_client().get("/health/ready").get_json()["degraded"]
    assert f"the health check redis fails: Redis takes no writes: {reason}" in caplog.text
    strict = make_app(REDIS_URL=own_redis.url, READY_REQUIRES="redis")
    assert 503 == strict.test_client().get("/health/ready").status_code


def test_a_url_that_cannot_be_read_stops_the_start():
    """The hint shows how to write it; the password is not printed."""
    with pytest.raises(StartupError, match="REDIS_URL") as caught:
        create_app({"ENV": "testing", "REDIS_URL": "http://:hunter2@host"}, plugins=[])
    assert "hunter2" not in str(caught.value)


def test_a_url_without_the_library_stops_the_start(monkeypatch: pytest.MonkeyPatch):
    """The hint says what to install."""
    monkeypatch.delattr("pegboard.redis.factory", raising=False)
    monkeypatch.setitem(sys.modules, "pegboard.redis.factory", None)
    with pytest.raises(StartupError, match=r"pip install 'pegboard\[redis\]'"):
        create_app({"ENV": "testing", "REDIS_URL": "redis://host"}, plugins=[])


def test_tls_by_a_proxy(make_app: MakeApp, redis_url, certificates: Certificates):
    """The authority is in the URL; who is not vouched for is not spoken to."""
    with RedisProxy(redis_url, certificates) as proxy:
        assert serves(make_app, proxy.url)
        stranger = channel_to(make_app, proxy.url.partition("?")[0])
        with pytest.raises(ChannelError, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.exchange([GET])
        unchecked = channel_to(make_app, proxy.url.partition("?")[0] + "?ssl_cert_reqs=none")
        assert b"value" == unchecked.exchange([GET])[0].value


def test_tls_by_the_server(make_app: MakeApp, certificates: Certificates):
    """As the system's own server speaks it, which wants to know the client, too."""
    if (program := tls_program()) is None:
        pytest.skip("no server speaks TLS: install redis-server")
    options = {"tls-auth-clients": "yes"}
    own = f"&ssl_certfile={quote(str(certificates.certificate))}"
    own += f"&ssl_keyfile={quote(str(certificates.key))}"
    with RedisServer(program=program, certificates=certificates) as server:
        assert serves(make_app, server.url)
        with Redis.from_url(server.url) as client:
            for name, value in options.items():
                client.config_set(name, value)
        assert serves(make_app, server.url + own)
        with pytest.raises(ChannelError):
            channel_to(make_app, server.url).exchange([GET])


def test_socket_of_the_file_system(make_app: MakeApp, tmp_path: Path):
    """With credentials and a database by parameters."""
    path = tmp_path / "redis.sock"
    with RedisServer(options={"unixsocket": str(path)}) as server:
        assert serves(make_app, f"unix://{path}?password={server.password}&db=2")
        with Redis.from_url(server.url.replace("/0", "/2")) as client:
            assert b"value" == client.get("key")


def test_credentials_database_and_name(make_app: MakeApp):
    """All are said in the greeting."""
    with RedisServer(users={"ann": "on >pa/ss@ ~* +@all"}) as server:
        url = server.url_of("ann", "pa%2Fss%40").replace("/0", "/3?client_name=board")
        channel = channel_to(make_app, url)
        [reply] = channel.exchange([command("CLIENT", "INFO", key="")])
        assert isinstance(reply.value, bytes)
        facts = dict(fact.split("=", 1) for fact in reply.value.decode().split())
        assert ("ann", "3", "board") == (facts["user"], facts["db"], facts["name"])
        assert serves(make_app, url)


@pytest.mark.parametrize("credentials", ["", ":wrong@", "nobody:wrong@"])
def test_wrong_credentials_are_named_not_shown(
    make_app: MakeApp, own_redis: RedisServer, credentials, caplog: pytest.LogCaptureFixture
):
    """The log says what is wrong."""
    channel = channel_to(make_app, f"redis://{credentials}127.0.0.1:{own_redis.port}")
    with pytest.raises(ChannelError, match=r"(?i)auth|password"):
        channel.exchange([GET])
    assert channel.is_unavailable
    assert re.search(r"(?i)auth|password", caplog.text)
    assert "wrong@" not in caplog.text
    assert own_redis.password not in caplog.text


def test_server_that_hides_its_identity_serves(make_app: MakeApp):
    """Who needs to know it finds it empty."""
    with RedisServer(users={"ann": "on >pw ~* +@all -info"}) as server:
        [reply] = channel_to(make_app, server.url_of("ann", "pw")).exchange([SET])
        assert (b"OK", "") == (reply.value, reply.server)


def test_greeting_takes_one_round_trip(make_app: MakeApp, redis_proxy: RedisProxy):
    """Credentials, database, name and the question for the identity included."""
    url = redis_proxy.url.replace("/0", "/1?client_name=board")
    channel = channel_to(make_app, url, REDIS_TIMEOUT=30)
    for round_trips in (2, 1):
        redis_proxy.round_trips.clear()
        channel.exchange([GET])
        assert round_trips == len(redis_proxy.round_trips)
        assert ["GET"] == redis_proxy.round_trips[-1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_asks_anew(make_app: MakeApp, redis_url):
    """Two processes never speak on one connection."""
    channel = channel_to(make_app, redis_url)
    channel.exchange([SET])
    if (child := os.fork()) == 0:
        found = [reply.value for _ in range(100) for reply in channel.exchange([GET])]
        os._exit(0 if [b"value"] * 100 == found else 1)
    found = [reply.value for _ in range(100) for reply in channel.exchange([GET])]
    assert [b"value"] * 100 == found
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
