"""The kit's sentinels and clusters."""

import time

import pytest
from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from pegboard.redis import Script, command, get_channel
from pegboard.testing.clusters import ClusterServers
from pegboard.testing.fixtures import Clock, MakeApp
from pegboard.testing.sentinels import SentinelServers

pytestmark = pytest.mark.slow


def test_failover_changes_the_master(own_sentinels: SentinelServers):
    """What was written is there, the former master follows, and it works in both directions."""
    with (
        Redis(port=own_sentinels.sentinels[0].port, retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(RedisError),
    ):
        stranger.ping()
    first = own_sentinels.master
    with Redis.from_url(first.url) as client:
        client.set("key", "value")
        client.wait(1, 1000)
    own_sentinels.failover()
    second = own_sentinels.master
    assert (second, first) == (own_sentinels.master, own_sentinels.replica)
    assert second is not first
    with Redis.from_url(second.url) as client:
        assert b"value" == client.get("key")
        assert "master" == client.info("replication")["role"]
    second.kill()
    own_sentinels.wait_for_failover(second)
    assert first is own_sentinels.master


@pytest.mark.parametrize("fixture", ["own_sentinels", "own_cluster"])
def test_the_clock_moves_all_servers(
    request: pytest.FixtureRequest, make_app: MakeApp, clock: Clock, fixture: str
):
    """Keys expire on each master that runs, and scripts get the later time."""
    servers: SentinelServers | ClusterServers = request.getfixturevalue(fixture)
    channel = get_channel(make_app(REDIS_URL=servers.url))
    assert channel
    keys = ["key1", "key2", "key3", "key4"]
    script = Script("return redis.call('TIME')[1]")
    channel.exchange([command("SET", key, "1", "PX", 60_000, key=key) for key in keys])
    servers.servers[-1].kill()  # a replica
    clock.advance(3600)
    found = channel.exchange([command("GET", key, key=key) for key in keys])
    assert [None] * 4 == [reply.value for reply in found]
    times = channel.exchange([script.call(keys=[key]) for key in keys])
    assert all(int(reply.value) > time.time() + 3500 for reply in times)


def test_cluster_serves_keys_of_all_shards(own_cluster: ClusterServers):
    """Three masters, each with a replica, whatever the key."""
    keys = [f"key{number}" for number in range(30)]
    url = own_cluster.url.replace("+cluster", "").partition(",")[0]
    with RedisCluster.from_url(url) as client:
        for key in keys:
            client.set(key, key)
        assert [key.encode() for key in keys] == [client.get(key) for key in keys]
    masters = {own_cluster.master_of(key) for key in keys}
    assert 3 == len(masters)
    assert 3 == len({own_cluster.replica_of(master) for master in masters})


def test_shard_changes_its_master(own_cluster: ClusterServers):
    """On demand, and when the master dies."""
    first = own_cluster.master_of("key")
    replica = own_cluster.replica_of(first)
    own_cluster.failover("key")
    assert replica is own_cluster.master_of("key")
    assert first is own_cluster.replica_of(replica)
    replica.kill()
    own_cluster.wait_for_failover(replica)
    assert first is own_cluster.master_of("key")
    with pytest.raises(LookupError, match="has no replica"):
        own_cluster.replica_of(first)


def test_slot_moves(own_cluster: ClusterServers):
    """Its new owner is known."""
    source = own_cluster.master_of("key")
    target = next(server for server in own_cluster.servers[:3] if server is not source)
    own_cluster.move("key", to=target)
    assert target is own_cluster.master_of("key")
