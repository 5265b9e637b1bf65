"""Round trips of an event loop to one Redis server, all on one connection that never waits.

What is asked within one turn of the loop leaves together; replies come in the order of the
commands. One connection that the loop drives takes a fifth of the processor's time that threads
take which each wait for a socket of their own.
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from redis.exceptions import RedisError

from pegboard.redis.breaker import Breaker
from pegboard.redis.channel import ChannelError, Command
from pegboard.redis.exchanges import Exchanges, Replies
from pegboard.redis.line import PlainLine, too_late
from pegboard.redis.wire import TRUSTED_IDLE, Wire

_GRAIN = 0.001
"""Seconds to which loops tell the time: what is too late shall be so when they look."""


class Source(Protocol):
    """Where a pipeline has its connection from, and who is told when that fails."""

    def lend(self) -> Wire:
        """Return a connection, which blocks if it is a new one; raises `ChannelError`."""

    def drop(self, wire: Wire) -> None:
        """Close a connection in which nothing is under way."""

    def fail(self, wire: Wire, error: Exception) -> ChannelError:
        """Close a connection that failed, and do without the server until it is back."""

    def miss(self, error: Exception) -> ChannelError:
        """Do without a server to which there is no connection."""

    def part(self, pipeline: "ServerPipeline") -> None:
        """Forget a pipeline that is closed."""


class ServerPipeline:
    """A `Pipeline` to one server."""

    __slots__ = (
        "_breaker",
        "_exchanges",
        "_granted",
        "_is_closed",
        "_is_flushing",
        "_is_opening",
        "_is_retiring",
        "_line",
        "_loop",
        "_new_future",
        "_opened",
        "_sent_at",
        "_source",
        "_timeout",
        "_timer",
        "_unsent",
        "_wire",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, source: Source, breaker: Breaker, timeout: float
    ) -> None:
        """Connect to nothing yet; the server is waited for as long as `timeout`, in seconds."""
        self._loop = loop
        self._new_future = loop.create_future
        self._source = source
        self._breaker = breaker
        self._timeout = timeout
        self._is_closed = False
        self.forget()

    def forget(self) -> None:
        """Start afresh, as a forked process must, which leaves loop and server to its parent."""
        self._exchanges = Exchanges()
        self._wire: Wire | None = None
        self._line: PlainLine | None = None
        self._unsent: memoryview | None = None
        self._opened: deque[Wire | ChannelError] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._granted = self._sent_at = 0.0
        self._is_flushing = self._is_opening = self._is_retiring = False

    def exchange(self, commands: Sequence[Command]) -> Replies:
        """Send all commands at the end of this turn of the loop; see `Pipeline`."""
        future: Replies = self._new_future()
        if self._breaker.is_open or self._is_closed:
            message = "the pipeline is closed" if self._is_closed else "Redis is away"
            future.set_exception(ChannelError(message))
            return future
        self._exchanges.ask(future, commands)
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        """Send what was asked, or see to it that it can be sent."""
        self._is_flushing = False
        exchanges = self._exchanges
        now = time.monotonic()
        if now - self._sent_at > TRUSTED_IDLE and not exchanges.under_way:
            self._take_in()  # it may have been closed while it lay idle
        if not exchanges.has_asked:
            return
        line = self._line
        if line is None or self._unsent or self._is_retiring:
            self._wait(now)
            return
        self._sent_at = now
        packed = exchanges.depart(now + self._timeout)
        try:
            sent = line.push(packed)
        except OSError as error:
            self._lose(error)
            return
        if sent < len(packed):
            self._unsent = memoryview(packed)[sent:]
            self._loop.add_writer(line.number, self._push_rest)
        self._arm(self._timeout)

    def _wait(self, now: float) -> None:
        """Let what was asked wait until it can be sent."""
        self._exchanges.wait(now + self._timeout)
        self._arm(self._timeout)
        self.open()

    def open(self) -> None:
        """Begin to connect, unless that is done; see `Pipeline`."""
        if self._line is None and not self._is_opening:
            self._is_opening = True
            threading.Thread(target=self._open, name="pegboard-pipeline", daemon=True).start()

    def _open(self) -> None:
        """Connect, which blocks, in a thread of its own."""
        opened: Wire | ChannelError = ChannelError("no connection could be made")
        try:
            opened = self._source.lend()
        except ChannelError as error:
            opened = error
        finally:
            self._opened.append(opened)
            try:
                self._loop.call_soon_threadsafe(self._adopt)
            except RuntimeError:  # the loop has been closed meanwhile
                self._is_closed = True
            if self._is_closed:
                self._adopt()  # the loop may turn no more

    def _adopt(self) -> None:
        """Use what has been opened, unless that is done."""
        try:
            opened = self._opened.popleft()
        except IndexError:
            return
        self._is_opening = False
        if isinstance(opened, ChannelError):
            if not self._is_closed:
                self._exchanges.fail(str(opened))
            return
        if self._is_closed:
            self._source.drop(opened)
            return
        assert isinstance(opened.line, PlainLine), "there are no pipelines where it is not"
        self._wire, self._line = opened, opened.line
        self._sent_at = time.monotonic()
        self._loop.add_reader(self._line.number, self._take_in)
        self._flush()

    def _push_rest(self) -> None:
        """Send more of what did not fit."""
        line, rest = self._line, self._unsent
        if not line or not rest:
            return
        try:
            sent = line.push_rest(rest)
        except OSError as error:
            self._lose(error)
            return
        if sent:
            self._granted = time.monotonic() + self._timeout
        if sent < len(rest):
            self._unsent = rest[sent:]
            return
        self._unsent = None
        self._loop.remove_writer(line.number)
        self._flush()

    def _take_in(self) -> bool:
        """Read some of what has arrived; returns whether there may be more."""
        wire, line, exchanges = self._wire, self._line, self._exchanges
        if not wire or not line:
            return False
        try:
            if not line.take_in():
                return False
            exchanges.answer(line.gets, wire.server)
        except (RedisError, OSError) as error:
            self._lose(error)
            return False
        if self._is_retiring and not exchanges.under_way:
            self._source.drop(self._detach())
        if exchanges.has_asked and not self._is_flushing:
            self._flush()
        return self._line is not None

    def _lose(self, error: Exception) -> None:
        """Part with a connection that failed."""
        wire = self._detach()
        if self._exchanges.under_way or wire.is_cut:
            self._exchanges.fail(str(self._source.fail(wire, error)))
        else:
            # It was closed while it lay idle, which says nothing about the server.
            self._source.drop(wire)
            self._flush()

    def _detach(self) -> Wire:
        """Return the connection, which the loop does not look at any more."""
        wire, line = self._wire, self._line
        assert wire
        assert line
        self._loop.remove_reader(line.number)
        if self._unsent:
            self._loop.remove_writer(line.number)
        self._wire = self._line = self._unsent = None
        self._is_retiring = False
        return wire

    def _arm(self, delay: float) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(delay + _GRAIN, self._judge)

    def _due(self) -> float:
        """Return when what has waited longest is too late."""
        return max(self._exchanges.due(), self._granted)

    def _judge(self) -> None:
        """Give up what is too late, and with it the server."""
        self._timer = None
        now = time.monotonic()
        if self._due() <= now:
            self._catch_up()
            if self._due() <= now:
                self._give_up()
        if (due := self._due()) < math.inf:
            self._arm(due - now)

    def _catch_up(self) -> None:
        """Do what is due: not the server may be late, but this loop, or a thread of its process."""
        self._adopt()
        self._flush()
        self._push_rest()
        while self._take_in():
            pass

    def _give_up(self) -> None:
        error = too_late()
        if self._line:
            self._lose(error)
        else:
            self._exchanges.fail(str(self._source.miss(error)))

    def retire(self) -> None:
        """Use the connection no more for what is asked from now on; from any thread."""
        if wire := self._wire:
            try:
                self._loop.call_soon_threadsafe(self._retire, wire)
            except RuntimeError:  # the loop is closed, and forgotten was this
                self._wire = self._line = None
                self._source.drop(wire)

    def _retire(self, wire: Wire) -> None:
        if wire is not self._wire:
            return
        if self._exchanges.under_way:
            self._is_retiring = True
        else:
            self._source.drop(self._detach())
            self._flush()

    def close(self) -> None:
        """End it; see `Pipeline`."""
        self._is_closed = True
        self._source.part(self)
        self._adopt()
        if self._line:
            self._source.drop(self._detach())
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._exchanges.fail("the pipeline is closed")
