"""The channel to one Redis server: connections that threads use again, and a circuit breaker."""

import math
import time
import weakref
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

from redis.exceptions import ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pegboard.circuit_breaker import CircuitBreaker
from pegboard.fair_semaphore import FairSemaphore
from pegboard.forking import after_fork
from pegboard.redaction import reason_of
from pegboard.redis.channel import ChannelError, Command, Reply, command
from pegboard.redis.connection import Connection, resolve
from pegboard.redis.pipeline import ServerPipeline
from pegboard.redis.write_check import require_writes, write_probe

if TYPE_CHECKING:
    import asyncio

    from pegboard.redis.topology import Endpoint

AT_ONCE = 16
"""Connections of a process that threads use at once; others queue for one.

Redis executes one command at a time, and Python runs one thread. More connections raised no
throughput (measured with 800 requests at once over four processes), but each reply took longer, up
to the time-out, so that a busy server was taken for one that does not answer.
"""

QUEUE_TIMEOUT = 1.0
"""Seconds to queue for a connection; each is held no longer than the time-out of Redis."""

MEANWHILE = "serving without it"
"""What is done while Redis is unavailable, for the log."""

_TOO_LATE = (TimeoutError, RedisTimeoutError)

_REPLICA = "it is a replica, which takes no writes"


class ServerChannel:
    """A `Channel` to one server, or to whichever server is the master at the moment."""

    def __init__(
        self, endpoint: "Endpoint", *, size: int, timeout: float, name: str = "Redis"
    ) -> None:
        """`endpoint` is where the server is; `size` bounds the connections of threads."""
        self._endpoint = endpoint
        self._timeout = timeout
        self._permits = FairSemaphore(min(size, AT_ONCE))
        self._idle: list[Connection] = []
        # For an app that is no longer used; at the end of the process the system closes them.
        weakref.finalize(self, _close, self._idle).atexit = False
        self._busy: set[Connection] = set()
        self._reset_at = -math.inf
        self._losing = Lock()
        self._pipelines: tuple[ServerPipeline, ...] = ()
        self._breaker = CircuitBreaker(name, self._probe, meanwhile=MEANWHILE)
        after_fork(self, ServerChannel.forget)

    @property
    def is_unavailable(self) -> bool:
        """Whether Redis is known not to answer."""
        return self._breaker.is_open

    def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Send all commands, then read all replies; see `Channel`."""
        if self._breaker.is_open:
            raise _unavailable()
        connection = self.acquire()
        try:
            values = connection.converse(*commands)
            server = connection.server
            for number, value in enumerate(values):
                if isinstance(value, ResponseError):
                    values[number] = resolve(connection, commands[number], value)
        except (RedisError, OSError) as error:
            raise self.lose(connection, error) from error
        except BaseException:
            self.discard(connection)
            raise
        self.release(connection)
        return [Reply(value, server) for value in values]

    def servers(self) -> frozenset[str]:
        """Ask the server for its identity."""
        (reply,) = self.exchange([command("PING", key="")])
        return frozenset({reply.server})

    def check_writes(self) -> None:
        """Raise `ChannelError` when the server does not answer, or refuses writes."""
        require_writes(self.exchange([write_probe()]))

    @property
    def is_sharded(self) -> bool:
        """There is one server for all keys."""
        return False

    def pipeline(self, loop: "asyncio.AbstractEventLoop") -> ServerPipeline:
        """Make a pipeline, whose connection is in addition to those of threads."""
        pipeline = ServerPipeline(
            loop,
            self._breaker,
            self._timeout,
            self._endpoint.connect,
            self._trip,
            self._trip_and_close,
        )
        self._pipelines = (*[one for one in self._pipelines if not one.is_closed], pipeline)
        return pipeline

    def reset(self) -> None:
        """Drop all connections, and find out anew where the server is; see `Channel`."""
        self._reset_at = time.monotonic()
        self._endpoint.renew()
        self.close()

    def close(self) -> None:
        """Close every idle connection."""
        for pipeline in self._pipelines:
            pipeline.retire()
        _close(self._idle)

    def acquire(self) -> Connection:
        """Return an idle connection or a new one, which is released, lost or discarded later.

        Queues for it; raises `ChannelError`.
        """
        try:
            has_queued = self._permits.acquire(QUEUE_TIMEOUT)
        except TimeoutError:
            message = f"all {self._permits.count} connections to Redis are in use"
            raise ChannelError(message) from None
        if has_queued and self._breaker.is_open:
            self._permits.release()
            raise _unavailable()
        try:
            connection = self._reused() or self._opened()
        except BaseException:
            self._permits.release()
            raise
        self._busy.add(connection)
        return connection

    def _reused(self) -> Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not connection.is_stale():
                return connection
            connection.close()

    def _opened(self) -> Connection:
        try:
            return Connection.open(self._endpoint.connect())
        except (RedisError, OSError) as error:
            raise self._trip(error) from error

    def release(self, connection: Connection) -> None:
        """Take back a connection on which all replies have been read."""
        if connection.opened_at <= self._reset_at:
            self.discard(connection)
            return
        connection.used_at = time.monotonic()
        self._busy.discard(connection)
        self._idle.append(connection)
        self._permits.release()

    def discard(self, connection: Connection) -> None:
        """Close an acquired connection on which replies were not read."""
        self._busy.discard(connection)
        connection.close()
        self._permits.release()

    def lose(self, connection: Connection, error: Exception) -> ChannelError:
        """Close an acquired connection that failed, and open the breaker."""
        # One after the other: of two that fail at the same moment, the first cuts the second, which
        # would otherwise open the breaker anew when a probe has closed it already.
        with self._losing:
            # For a connection that was cut, the breaker was opened when it was.
            failure = (
                ChannelError(reason_of(error)) if connection.is_cut else self._trip_and_close(error)
            )
        # Only now, so that threads that queue find the breaker open.
        self.discard(connection)
        return failure

    def _trip_and_close(self, error: Exception) -> ChannelError:
        """Open the breaker and close all idle connections, as they seldom fail alone."""
        if isinstance(error, _TOO_LATE):
            # The server does not answer: the other exchanges need not reach their own time-outs.
            for connection in tuple(self._busy):
                connection.cut()
            for pipeline in self._pipelines:
                pipeline.cut()
        self.close()
        return self._trip(error)

    def _trip(self, error: Exception) -> ChannelError:
        """Open the breaker; returns the error to raise."""
        self._endpoint.renew()
        reason = reason_of(error)
        self._breaker.trip(reason, is_doubtful=isinstance(error, _TOO_LATE))
        return ChannelError(reason)

    def _probe(self) -> None:
        try:
            connection = Connection.open(self._endpoint.connect())
        except BaseException:
            self._endpoint.renew()
            raise
        if connection.is_replica:
            connection.close()
            self._endpoint.renew()
            raise ReadOnlyError(_REPLICA)
        self._idle.append(connection)

    def forget(self) -> None:
        """Start afresh in a forked process: two processes must not share a connection."""
        self._busy = set()
        self._losing = Lock()
        self._idle.clear()
        self._permits.reset()
        self._pipelines = ()


def _close(connections: list[Connection]) -> None:
    while True:
        try:
            connection = connections.pop()
        except IndexError:
            return
        connection.close()


def _unavailable() -> ChannelError:
    return ChannelError("Redis is unavailable")
