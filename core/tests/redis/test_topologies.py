"""The channel and the client through sentinels and in a cluster, on real servers."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from flask import Flask
from redis import Redis, RedisCluster
from redis.exceptions import RedisClusterException

from pegboard.redis import (
    Channel,
    ChannelError,
    Command,
    Reply,
    Script,
    command,
    get_channel,
    get_redis,
)
from pegboard.redis.connection import Connection
from pegboard.testing.clusters import ClusterServers
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import wait_until
from pegboard.testing.sentinels import SentinelServers

pytestmark = pytest.mark.faults

BOUND = 0.5
"""Seconds that one command may take; far longer than by default, as a busy machine is slow."""

RECOVERY = 10.0


def set_(key: bytes, value: bytes) -> Command:
    """Make a command that writes."""
    return command("SET", key, value, key=key)


def get(key: bytes) -> Command:
    """Make a command that reads."""
    return command("GET", key, key=key)


def values(replies: list[Reply]) -> list[object]:
    """Leave out who answered."""
    return [reply.value for reply in replies]


def channel_of(app: Flask) -> Channel:
    """Return the channel of an app that has one."""
    channel = get_channel(app)
    assert channel is not None
    return channel


@pytest.fixture
def sentinel_channel(make_app: MakeApp, own_sentinels: SentinelServers) -> Channel:
    """A channel that finds its server by sentinels."""
    return channel_of(make_app(REDIS_URL=own_sentinels.url, REDIS_TIMEOUT=BOUND))


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[ClusterServers]:
    """A cluster that tests leave as it is; each takes keys of its own."""
    with ClusterServers(replicas=False) as cluster:
        yield cluster


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> ClusterServers:
    """The test's own cluster where it asks for that, else the shared one."""
    own = "own_cluster" in request.fixturenames
    found = request.getfixturevalue("own_cluster" if own else "shared_cluster")
    assert isinstance(found, ClusterServers)
    return found


@pytest.fixture
def cluster_channel(make_app: MakeApp, cluster: ClusterServers) -> Channel:
    """A channel to a cluster."""
    return channel_of(make_app(REDIS_URL=cluster.url, REDIS_TIMEOUT=BOUND))


def keys_of_all(cluster: ClusterServers) -> list[bytes]:
    """Return a key for each master."""
    keys = {cluster.master_of(b"key%d" % number).port: b"key%d" % number for number in range(50)}
    assert 3 == len(keys)
    return list(keys.values())


def worst_until_back(channel: Channel, key: bytes) -> float:
    """Ask until Redis answers again; return the longest time that one question took."""
    worst, deadline = 0.0, time.monotonic() + RECOVERY
    pause = 0.02
    while time.monotonic() < deadline:
        began = time.perf_counter()
        try:
            channel.exchange([set_(key, b"new")])
        except ChannelError:
            worst = max(worst, time.perf_counter() - began)
            time.sleep(pause)
        else:
            return worst
    pytest.fail(f"Redis is not back after {RECOVERY} s")


@pytest.mark.slow
def test_sentinels_name_the_server(own_sentinels, sentinel_channel):
    """Commands reach the master, and its identity is told."""
    replies = sentinel_channel.exchange([set_(b"key", b"value"), get(b"key")])
    assert [b"OK", b"value"] == values(replies)
    with Redis.from_url(own_sentinels.master.url) as master:
        assert b"value" == master.get("key")
        assert replies[0].server.startswith(master.info("server")["run_id"])


@pytest.mark.slow
def test_ordered_failover_is_followed(own_sentinels, sentinel_channel):
    """The new master has another identity, and is used within seconds."""
    [before] = sentinel_channel.exchange([set_(b"key", b"old")])
    own_sentinels.failover()
    worst = worst_until_back(sentinel_channel, b"key")
    [after] = sentinel_channel.exchange([get(b"key")])
    assert b"new" == after.value
    assert before.server != after.server
    with Redis.from_url(own_sentinels.master.url) as master:
        assert b"new" == master.get("key")
    assert worst < 3 * BOUND


@pytest.mark.slow
@pytest.mark.parametrize("way", ["killed", "suspended"])
def test_failing_master_is_replaced(own_sentinels, sentinel_channel, way):
    """No exchange waits for the sentinels, who need seconds; the channel is back within ten."""
    sentinel_channel.exchange([set_(b"key", b"old")])
    former = own_sentinels.master
    with ExitStack() as stack:
        if way == "killed":
            former.kill()
        else:
            stack.enter_context(former.suspended())
        worst = worst_until_back(sentinel_channel, b"key")
        assert own_sentinels.master is not former
    assert worst < 3 * BOUND


@pytest.mark.slow
def test_client_follows_the_master(make_app: MakeApp, own_sentinels):
    """The client of redis-py finds the master by the same sentinels."""
    app = make_app(REDIS_URL=own_sentinels.url, REDIS_TIMEOUT=BOUND)
    client = get_redis(app)
    assert isinstance(client, Redis)
    client.set("key", "old")
    own_sentinels.failover()

    def is_back() -> bool:
        with suppress(Exception):
            return bool(client.set("key", "new"))
        return False

    wait_until(is_back, "the client is back", RECOVERY)


@pytest.mark.slow
def test_unavailable_sentinels_cost_no_more_than_the_bound(make_app: MakeApp, own_sentinels):
    """They hang, all three; the first exchange fails in time, the next at once."""
    channel = channel_of(make_app(REDIS_URL=own_sentinels.url, REDIS_TIMEOUT=BOUND))
    with ExitStack() as stack:
        for sentinel in own_sentinels.sentinels:
            stack.enter_context(sentinel.suspended())
        began = time.perf_counter()
        with pytest.raises(ChannelError):
            channel.exchange([get(b"key")])
        assert time.perf_counter() - began < 2 * BOUND
        assert channel.is_unavailable
    assert worst_until_back(channel, b"key") < 2 * BOUND


@pytest.mark.slow
def test_commands_reach_the_nodes_that_own_their_keys(cluster, cluster_channel):
    """One exchange serves keys of all shards, in order, each told by its own server."""
    keys = keys_of_all(cluster)
    cluster_channel.exchange([set_(key, b"value of " + key) for key in keys])
    replies = cluster_channel.exchange([get(key) for key in (*keys, *keys)])
    assert [b"value of " + key for key in (*keys, *keys)] == values(replies)
    assert 3 == len({reply.server for reply in replies})
    for key in keys:
        client = cluster.client_of(cluster.master_of(key))
        assert f"value of {key.decode()}" == client.get(key)


@pytest.mark.slow
def test_one_exchange_takes_one_round_trip(
    cluster, cluster_channel, monkeypatch: pytest.MonkeyPatch
):
    """Nothing is read before everything is sent."""
    keys = keys_of_all(cluster)
    cluster_channel.exchange([get(key) for key in keys])
    steps: list[str] = []

    def noted(name: str) -> Callable[..., object]:
        original: Callable[..., object] = getattr(Connection, name)

        def step(*given: object) -> object:
            steps.append(name)
            return original(*given)

        return step

    monkeypatch.setattr(Connection, "send", noted("send"))
    monkeypatch.setattr(Connection, "read", noted("read"))
    cluster_channel.exchange([get(key) for key in keys])
    assert ["send"] * 3 + ["read"] * 3 == steps


def test_every_server_tells_its_identity(cluster, cluster_channel):
    """All masters are asked, whatever keys there are."""
    ids = {cluster.client_of(server).info("server")["run_id"] for server in cluster.servers}
    assert ids == {server.split("/")[0] for server in cluster_channel.servers()}
    assert cluster_channel.is_sharded


def test_a_node_that_takes_no_writes_is_seen(cluster, cluster_channel):
    """One full node of several is enough: a part of all keys is on it."""
    cluster_channel.check_writes()
    node = cluster.client_of(cluster.servers[-1])
    node.config_set("maxmemory", 1)
    try:
        with pytest.raises(ChannelError, match="its memory is full"):
            cluster_channel.check_writes()
    finally:
        node.config_set("maxmemory", 0)


def test_scripts_are_sent_once(cluster, cluster_channel):
    """A node that does not know the script gets it in full, and answers."""
    script = Script("return {KEYS[1], ARGV[1]}")
    keys = keys_of_all(cluster)
    calls = [script.call(keys=[key], arguments=[1]) for key in keys]
    for _ in range(2):
        assert [[key, b"1"] for key in keys] == values(cluster_channel.exchange(calls))


@pytest.mark.slow
def test_slot_that_moved_is_followed(own_cluster, cluster_channel):
    """The command is sent again, to where it belongs, within the same exchange."""
    key, other, *_ = keys_of_all(own_cluster)
    cluster_channel.exchange([get(key), get(other)])
    own_cluster.move(key, to=own_cluster.master_of(other))
    replies = cluster_channel.exchange([set_(key, b"moved"), get(other), get(key)])
    assert [b"OK", None, b"moved"] == values(replies)
    assert 1 == len({reply.server for reply in replies})


@pytest.mark.slow
def test_slot_that_is_moving_is_asked_for(own_cluster, cluster_channel):
    """While a slot moves, its new keys are already at the other node."""
    key, other, *_ = keys_of_all(own_cluster)
    target = own_cluster.master_of(other)
    cluster_channel.exchange([get(key), get(other)])
    own_cluster.move(key, to=target, finish=False)
    assert [b"OK"] == values(cluster_channel.exchange([set_(key, b"moving")]))
    assert [b"moving", None] == values(cluster_channel.exchange([get(key), get(other)]))


@pytest.mark.slow
def test_ordered_failover_of_a_shard_is_followed(own_cluster, cluster_channel):
    """The former master redirects; nothing fails, and the identity is another."""
    [key, *_] = keys_of_all(own_cluster)
    [before] = cluster_channel.exchange([set_(key, b"old")])
    own_cluster.failover(key)
    assert worst_until_back(cluster_channel, key) < 2 * BOUND
    [after] = cluster_channel.exchange([get(key)])
    assert b"new" == after.value
    assert before.server != after.server


@pytest.mark.slow
@pytest.mark.parametrize("way", ["killed", "suspended"])
def test_failing_shard_is_replaced(own_cluster, cluster_channel, way):
    """Other shards serve on; the keys of the failed one are back within ten seconds."""
    key, other, *_ = keys_of_all(own_cluster)
    cluster_channel.exchange([set_(key, b"old"), set_(other, b"kept")])
    former = own_cluster.master_of(key)
    with ExitStack() as stack:
        if way == "killed":
            former.kill()
        else:
            stack.enter_context(former.suspended())
        with pytest.raises(ChannelError):
            cluster_channel.exchange([get(key)])
        assert cluster_channel.is_unavailable
        assert [b"kept"] == values(cluster_channel.exchange([get(other)]))
        assert worst_until_back(cluster_channel, key) < 2 * BOUND
        wait_until(lambda: not cluster_channel.is_unavailable, "nothing is unavailable", RECOVERY)


def test_client_of_a_cluster_is_made_when_it_is_wanted(make_app: MakeApp, cluster):
    """The client of redis-py serves keys of all shards, and readiness asks all masters."""
    app = make_app(REDIS_URL=cluster.url, REDIS_TIMEOUT=BOUND)
    client = get_redis(app)
    assert isinstance(client, RedisCluster)
    for key in keys_of_all(cluster):
        client.set(key, "value")
        assert b"value" == client.get(key)
    assert "ok" == app.test_client().get("/health/ready").get_json()["checks"]["redis"]


@pytest.mark.slow
def test_no_error_of_a_node_names_it(make_app: MakeApp, own_cluster, caplog):
    """Neither of the channel, which logs it, nor of redis-py, of which several nodes are asked."""
    caplog.set_level("DEBUG", "pegboard")
    app = make_app(REDIS_URL=own_cluster.url, REDIS_TIMEOUT=BOUND)
    channel, client = channel_of(app), get_redis(app)
    assert isinstance(client, RedisCluster)
    keys = keys_of_all(own_cluster)
    channel.exchange([get(key) for key in keys])
    assert [None] * len(keys) == [client.get(key) for key in keys]
    shown = []
    for server in own_cluster.servers:
        server.kill()
    for ask in (
        lambda: channel.exchange([get(keys[0])]),
        lambda: channel.exchange([get(keys[0])]),
        lambda: client.get(keys[0]),
        lambda: client.pipeline().get(keys[1]).execute(),
    ):
        with pytest.raises((ChannelError, RedisClusterException)) as caught:
            ask()
        shown.append(str(caught.value))
    assert "a node of Redis Cluster is unavailable" in shown
    told = "\n".join([*shown, caplog.text])
    assert [] == [word for word in ("127.0.0.1", *ports(own_cluster)) if word in told]


def ports(cluster: ClusterServers) -> list[str]:
    """Return the ports of all nodes."""
    return [str(server.port) for server in cluster.servers]


@pytest.mark.slow
def test_cluster_that_is_unavailable_is_found_when_it_is_back(make_app: MakeApp, own_cluster):
    """An app starts without it, and no exchange waits longer than the bound."""
    app = make_app(REDIS_URL=own_cluster.url, REDIS_TIMEOUT=BOUND)
    channel = channel_of(app)
    with ExitStack() as stack:
        for server in own_cluster.servers:
            stack.enter_context(server.suspended())
        began = time.perf_counter()
        with pytest.raises(ChannelError):
            channel.exchange([get(b"key")])
        assert time.perf_counter() - began < 2 * BOUND
        assert channel.is_unavailable
        began = time.perf_counter()
        with pytest.raises(ChannelError):
            channel.servers()
        assert time.perf_counter() - began < BOUND
        assert ["redis"] == app.test_client().get("/health/ready").get_json()["degraded"]
    assert worst_until_back(channel, b"key") < 2 * BOUND
