"""What a Redis-protocol server of the kit can do beyond serving."""

from contextlib import closing

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from pegboard.testing.processes import ServerError
from pegboard.testing.servers import Certificates, RedisServer, redis_program, tls_program


def test_both_servers_serve(any_redis: RedisServer, request: pytest.FixtureRequest):
    """The fixture runs a test on Valkey and on Redis."""
    with closing(Redis.from_url(any_redis.url)) as client:
        name = client.info("server").get("server_name", "redis")
    assert name == request.node.callspec.params["any_redis_program"]


def test_a_server_of_ones_own_is_of_the_chosen_kind(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
):
    """As the servers that tests share."""
    monkeypatch.setenv("PEGBOARD_TEST_REDIS", "redis")
    server: RedisServer = request.getfixturevalue("own_redis")
    with closing(Redis.from_url(server.url)) as client:
        assert "redis" == client.info("server").get("server_name", "redis")


def test_users_have_the_rights_of_their_rules():
    """Each has a URL of its own."""
    rules = "on >secret ~public:* +get +client"
    with RedisServer(users={"reader": rules}) as server:
        url = server.url_of("reader", "secret")
        with closing(Redis.from_url(url, protocol=2)) as client:
            assert client.get("public:key") is None
            with pytest.raises(NoPermissionError):
                client.get("private:key")


def test_options_are_those_of_the_configuration_file():
    """A test may bound the memory, for one."""
    with (
        RedisServer(options={"maxmemory": "3mb"}) as server,
        closing(Redis.from_url(server.url)) as client,
    ):
        assert {"maxmemory": "3145728"} == client.config_get("maxmemory")


def test_server_comes_back_from_an_old_snapshot():
    """Once: what it held later is gone, and after the next restart it is empty."""
    with RedisServer() as server, closing(Redis.from_url(server.url)) as client:
        client.set("key", "old")
        snapshot = server.snapshot()
        client.set("key", "new")
        server.kill()
        server.restore(snapshot)
        server.start()
        assert b"old" == client.get("key")
        server.kill()
        server.start()
        assert client.get("key") is None


def test_server_speaks_tls(certificates: Certificates):
    """Where the system has a server that can."""
    if (program := tls_program()) is None:
        pytest.skip("no redis-server")
    with (
        RedisServer(program=program, certificates=certificates) as server,
        closing(Redis.from_url(server.url)) as client,
    ):
        assert server.url.startswith("rediss://")
        assert client.ping()


def test_server_without_tls_says_so(certificates: Certificates):
    """The wheel's server is built without."""
    with pytest.raises(ServerError, match="TLS"), RedisServer(certificates=certificates):
        pass


def test_there_may_be_no_redis(monkeypatch: pytest.MonkeyPatch):
    """Valkey is enough for all but the tests that want both."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    assert redis_program() is None
