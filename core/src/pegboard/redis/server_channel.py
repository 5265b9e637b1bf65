"""The channel to one Redis server: connections that are used again, and a breaker before them."""

import os
import threading
import time
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

from redis.exceptions import ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pegboard.redis.breaker import Breaker
from pegboard.redis.channel import ChannelError, Command, Reply, command
from pegboard.redis.pipeline import ServerPipeline
from pegboard.redis.turns import AT_ONCE, Turns
from pegboard.redis.wire import Wire, resolve

if TYPE_CHECKING:
    import asyncio

    from pegboard.redis.topology import Endpoint

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
        self._turns = Turns(min(size, AT_ONCE))
        self._idle: list[Wire] = []
        self._busy: set[Wire] = set()
        self._pipelines: set[ServerPipeline] = set()
        self._count = 0
        self._counting = threading.Lock()
        self._breaker = Breaker(name, self._probe)
        _channels.add(self)

    @property
    def is_away(self) -> bool:
        """Whether Redis is known not to answer."""
        return self._breaker.is_open

    def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Send all commands, then read all replies; see `Channel`."""
        if self._breaker.is_open:
            message = "Redis is away"
            raise ChannelError(message)
        packed = (
            commands[0].packed if len(commands) == 1 else b"".join([one.packed for one in commands])
        )
        wire = self.take()
        try:
            values = wire.converse(packed, len(commands))
            server = wire.server
            for number, value in enumerate(values):
                if isinstance(value, ResponseError):
                    values[number] = resolve(wire, commands[number], value)
        except (RedisError, OSError) as error:
            raise self.lost(wire, error) from error
        except BaseException:
            self.discard(wire)
            raise
        self.give(wire)
        return [Reply(value, server) for value in values]

    def servers(self) -> frozenset[str]:
        """Ask the server for its identity."""
        (reply,) = self.exchange([command("PING", key="")])
        return frozenset({reply.server})

    @property
    def is_sharded(self) -> bool:
        """There is one server for all keys."""
        return False

    def pipeline(self, loop: "asyncio.AbstractEventLoop") -> ServerPipeline | None:
        """Make a pipeline, which takes no turns; None with TLS, which is left to the library."""
        if self._endpoint.is_encrypted:
            return None
        pipeline = ServerPipeline(loop, self, self._breaker, self._timeout)
        self._pipelines.add(pipeline)
        return pipeline

    def part(self, pipeline: ServerPipeline) -> None:
        """Forget a pipeline that is closed."""
        self._pipelines.discard(pipeline)

    def reset(self) -> None:
        """Drop idle connections, and find out anew where the server is."""
        self._endpoint.renew()
        self.close()

    def close(self) -> None:
        """Close every idle connection."""
        for pipeline in tuple(self._pipelines):
            pipeline.retire()
        while True:
            try:
                wire = self._idle.pop()
            except IndexError:
                return
            self.drop(wire)

    def take(self) -> Wire:
        """Return an idle connection or a new one; it is given back, lost or discarded.

        Waits for its turn.
        """
        if self._turns.begin() and self._breaker.is_open:
            self._turns.end()
            message = "Redis is away"
            raise ChannelError(message)
        try:
            return self.lend()
        except BaseException:
            self._turns.end()
            raise

    def lend(self) -> Wire:
        """Return an idle connection or a new one, for which there is a turn or need be none."""
        while True:
            try:
                wire = self._idle.pop()
            except IndexError:
                return self._connect()
            if wire.is_stale():
                self.drop(wire)
                continue
            self._busy.add(wire)
            return wire

    def give(self, wire: Wire) -> None:
        """Take back a connection that has read all replies."""
        wire.used_at = time.monotonic()
        self._busy.discard(wire)
        self._idle.append(wire)
        self._turns.end()

    def discard(self, wire: Wire) -> None:
        """Close a connection that was taken and whose replies nobody reads."""
        self.drop(wire)
        self._turns.end()

    def drop(self, wire: Wire) -> None:
        """Close a connection that no turn is for, or no more."""
        self._busy.discard(wire)
        wire.line.close()
        with self._counting:
            self._count -= 1

    def lost(self, wire: Wire, error: Exception) -> ChannelError:
        """Close a connection that was taken and failed, and do without the server."""
        failure = self.fail(wire, error)
        # Only now, so that whoever queues finds out that the breaker is open.
        self._turns.end()
        return failure

    def fail(self, wire: Wire, error: Exception) -> ChannelError:
        """Close a connection that failed, and do without the server until it is back."""
        self._busy.discard(wire)
        if not wire.is_cut:  # else what it was cut for has been seen to already
            if isinstance(error, _TOO_LATE):
                # The server hangs: who asked a moment later need not find out by waiting as long.
                for other in tuple(self._busy):
                    other.cut()
            # What ends one connection is seldom good for the others.
            self.close()
            self.miss(error)
        self.drop(wire)
        return ChannelError(str(error))

    def miss(self, error: Exception) -> ChannelError:
        """Do without the server until it is back, and find out anew where it is."""
        self._endpoint.renew()
        self._breaker.trip(error, is_doubtful=isinstance(error, _TOO_LATE))
        return ChannelError(str(error))

    def _connect(self) -> Wire:
        """Return a new connection, which is in use; raises `ChannelError`."""
        with self._counting:
            self._count += 1
        try:
            wire = self._opened()
        except (RedisError, OSError) as error:
            raise self.miss(error) from error
        self._busy.add(wire)
        return wire

    def _opened(self) -> Wire:
        """Return a new connection, which is counted already."""
        try:
            return Wire(self._endpoint.connection())
        except BaseException:
            with self._counting:
                self._count -= 1
            raise

    def _probe(self) -> None:
        self._idle.append(self._probed())

    def _probed(self) -> Wire:
        with self._counting:
            self._count += 1
        try:
            wire = self._opened()
        except BaseException:
            self._endpoint.renew()
            raise
        if wire.is_replica:
            self.drop(wire)
            self._endpoint.renew()
            raise ReadOnlyError(_REPLICA)
        return wire

    def forget(self) -> None:
        """Start afresh in a forked process: two processes must not speak on one wire."""
        self._idle, self._busy, self._count = [], set(), 0
        self._turns.forget()
        self._counting = threading.Lock()
        for pipeline in self._pipelines:
            pipeline.forget()


_channels: "weakref.WeakSet[ServerChannel]" = weakref.WeakSet()


def _forget_inherited() -> None:
    for channel in tuple(_channels):
        channel.forget()


os.register_at_fork(after_in_child=_forget_inherited)
