"""The one Redis client of an app, made from `REDIS_URL`; there is none without it."""

from typing import TYPE_CHECKING

from flask import Flask, current_app

from pegboard import channel
from pegboard.channel import Channel
from pegboard.problems import Problem, StartupError

if TYPE_CHECKING:
    from redis import Redis

EXTENSION = "pegboard.redis"


def init_redis(app: Flask, url: str | None, *, timeout: float, pool_size: int) -> None:
    """Give the app its client; connects to nothing yet. Times in seconds."""
    client = _client(url, timeout, pool_size) if url else None
    app.extensions[EXTENSION] = client
    app.extensions[channel.EXTENSION] = _channel(client, pool_size) if client else None


def get_redis(app: Flask | None = None) -> "Redis | None":
    """Return the client of the app, or of the current app; None when no `REDIS_URL` is set."""
    client: Redis | None = (app or current_app).extensions[EXTENSION]
    return client


def _client(url: str, timeout: float, pool_size: int) -> "Redis":
    try:
        # Imported here because a service without Redis need not have the library.
        from redis import Redis  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415
    except ImportError:
        cure = "Install it with pip install 'pegboard[redis]', or unset REDIS_URL."
        problem = Problem("REDIS_URL is set, but the redis library is not installed", cure)
        raise StartupError([problem]) from None
    try:
        return Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            max_connections=pool_size,
            # A retry would pay the time-out again, within the same request.
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        cure = "Write it as redis://host:6379/0, rediss://… for TLS, or unix:///path/to/socket."
        raise StartupError([Problem("REDIS_URL cannot be read", cure)]) from None


def _channel(client: "Redis", size: int) -> Channel:
    from pegboard.wire import ServerChannel  # noqa: PLC0415 - as above

    pool = client.connection_pool
    return ServerChannel(lambda: pool.connection_class(**pool.connection_kwargs), size=size)
