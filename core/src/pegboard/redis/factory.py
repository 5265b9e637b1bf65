"""Make the client and the channel for each arrangement of servers."""

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

from redis import Connection, ConnectionPool, Redis, RedisCluster, SSLConnection
from redis.backoff import AbstractBackoff, NoBackoff
from redis.cluster import ClusterNode
from redis.connection import UnixDomainSocketConnection
from redis.retry import Retry
from redis.sentinel import (
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from pegboard.redaction import reason_of
from pegboard.redis.channel import Channel
from pegboard.redis.cluster import ClusterChannel
from pegboard.redis.pool import ServerChannel
from pegboard.redis.topology import ClusterTopology, FixedEndpoint, SentinelEndpoint
from pegboard.redis.url import RedisURL

Client = Redis | RedisCluster

_node: Callable[[str, int], ClusterNode] = ClusterNode  # which has no types
_no_backoff: Callable[[], AbstractBackoff] = NoBackoff  # neither has this


class _Nameless:
    """A connection whose errors do not name the server, which the URL says."""

    def _host_error(self) -> str:
        return "Redis"

    def _error_message(self, exception: Exception) -> str:
        return f"Error connecting to Redis: {reason_of(exception)}"


class _PlainConnection(_Nameless, Connection):
    pass


class _EncryptedConnection(_Nameless, SSLConnection):
    pass


class _SocketConnection(_Nameless, UnixDomainSocketConnection):
    pass


class _MasterConnection(_Nameless, SentinelManagedConnection):
    pass


class _EncryptedMasterConnection(_Nameless, SentinelManagedSSLConnection):
    pass


# Redis 7.0 knows no CLIENT SETINFO, and a user with few rights need not be allowed it.
_ANONYMOUS: dict[str, None] = (
    {"driver_info": None}
    if importlib.util.find_spec("redis.driver_info")
    else {"lib_name": None, "lib_version": None}  # as older versions call it
)


def make(url: RedisURL, *, timeout: float, pool_size: int) -> tuple[Callable[[], Client], Channel]:
    """Return what makes the client, and the channel; neither connects before it is used."""
    options = {**url.options, **_limits(timeout), **_ANONYMOUS, "max_connections": pool_size}
    if url.arrangement == "cluster":
        topology = ClusterTopology(url, timeout)
        channel = ClusterChannel(topology, size=pool_size, timeout=timeout)
        return partial(_cluster_client, url, topology, options), channel
    if url.arrangement == "sentinel":
        endpoint = SentinelEndpoint(url, timeout)
        kind = _EncryptedMasterConnection if url.tls else _MasterConnection
        pool = partial(
            SentinelConnectionPool, url.service, endpoint, connection_class=kind, **options
        )
        return lambda: Redis.from_pool(pool()), ServerChannel(
            endpoint, size=pool_size, timeout=timeout
        )
    return partial(_client, url, options), ServerChannel(
        FixedEndpoint(url, timeout), size=pool_size, timeout=timeout
    )


def _limits(timeout: float) -> dict[str, Any]:
    """Return the arguments that bound the time of a connection of redis-py."""
    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # A retry would pay the time-out again, within the same request.
        "retry": Retry(_no_backoff(), 0),
    }


def _client(url: RedisURL, options: dict[str, Any]) -> Redis:
    if url.socket:
        pool = ConnectionPool(connection_class=_SocketConnection, path=url.socket, **options)
    else:
        [(host, port)] = url.addresses
        kind = _EncryptedConnection if url.tls else _PlainConnection
        pool = ConnectionPool(connection_class=kind, host=host, port=port, **options)
    return Redis.from_pool(pool)


def _cluster_client(
    url: RedisURL, topology: ClusterTopology, options: dict[str, Any]
) -> RedisCluster:
    # The nodes that are known to serve come first: the client tries one after the other.
    first, *others = dict.fromkeys((*topology.map().nodes, *url.addresses))
    host = f"[{first[0]}]" if ":" in first[0] else first[0]
    return RedisCluster(
        # Only with a URL does it take a class of connections.
        url=f"redis://{host}:{first[1]}",
        connection_class=_EncryptedConnection if url.tls else _PlainConnection,
        startup_nodes=[_node(host, port) for host, port in others],
        require_full_coverage=False,
        **options,
    )
