"""The one Redis client of an app, made from `REDIS_URL`; there is none without it."""

import threading
from typing import TYPE_CHECKING

from flask import Flask

from pegboard.extensions import get_extension
from pegboard.problems import Code, Problem, StartupError
from pegboard.redis import channel
from pegboard.redis import url as redis_url
from pegboard.redis.channel import (
    Channel,
    ChannelError,
    Command,
    Pipeline,
    Reply,
    Script,
    command,
    get_channel,
)
from pegboard.redis.channel import scripts as scripts
from pegboard.redis.fleet_keys import get_fleet_keys as get_fleet_keys
from pegboard.redis.fleet_keys import init_fleet_keys as init_fleet_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis, RedisCluster

    from pegboard.redis.connection import Connection

    Client = Redis | RedisCluster

__all__ = [
    "Channel",
    "ChannelError",
    "Command",
    "Pipeline",
    "Reply",
    "Script",
    "command",
    "get_channel",
    "get_redis",
]

EXTENSION = "pegboard.redis"


def init_redis(app: Flask, url: str | None, *, timeout: float, pool_size: int) -> None:
    """Give the app its client and its channel; connects to nothing yet. Times in seconds."""
    made: tuple[Callable[[], Client], Channel] | None = None
    if url:
        parsed = redis_url.parse(url)
        try:
            # Imported here because a service without Redis need not have the library.
            from pegboard.redis import factory  # noqa: PLC0415
        except ImportError:
            hint = "Install it with pip install 'pegboard[redis]', or unset REDIS_URL."
            summary = "REDIS_URL is set, but the redis library is not installed"
            problem = Problem(Code.REDIS_LIBRARY_MISSING, summary, hint)
            raise StartupError([problem]) from None
        made = factory.make(parsed, timeout=timeout, pool_size=pool_size)
    app.extensions[EXTENSION] = _Lazy(made[0]) if made else None
    app.extensions[channel.EXTENSION] = made[1] if made else None


def get_redis(app: Flask | None = None) -> "Client | None":
    """Return the Redis client of the app, or of the current app; None when no `REDIS_URL` is set.

    It is a `redis.Redis`. For a cluster it is a `redis.RedisCluster`, which the first call makes,
    and which may ask several nodes in turn, each within the time-out. Raises `redis.RedisError`
    when no node of the cluster answers that first call.
    """
    lazy: _Lazy | None = get_extension(app, EXTENSION, "get_redis(app)")
    return lazy.get() if lazy else None


def has_redis(app: Flask) -> bool:
    """Return whether the app has a client, which need not be there yet."""
    return app.extensions[EXTENSION] is not None


def check_redis(app: Flask) -> None:
    """Raise when a server that should take writes does not answer, or refuses them."""
    found = channel.get_channel(app)
    assert found is not None, "only an app that has a REDIS_URL is checked"
    found.check_writes()


def close_redis(app: Flask) -> None:
    """Close the idle connections of the app."""
    lazy: _Lazy | None = app.extensions[EXTENSION]
    if lazy:
        lazy.close()
    if found := channel.get_channel(app):
        found.close()


def connection_type() -> "type[Connection]":
    """Return the class of the channels' connections: the testing kit watches what they send.

    Raises `ImportError` without the redis library.
    """
    from pegboard.redis.connection import Connection  # noqa: PLC0415 - as above

    return Connection


class _Lazy:
    """A client that is made when it is first needed."""

    def __init__(self, make: "Callable[[], Client]") -> None:
        self._make = make
        self._client: Client | None = None
        self._lock = threading.Lock()

    def get(self) -> "Client":
        if self._client is None:
            with self._lock:
                if self._client is None:
                    self._client = self._make()
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
