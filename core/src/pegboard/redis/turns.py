"""Who of many threads may speak to a server at the moment, and in which order the others follow."""

import threading
from collections import deque
from queue import Empty, SimpleQueue

from pegboard.redis.channel import ChannelError

AT_ONCE = 16
"""Connections of a process that speak at once; who comes later queues for one.

Redis serves one command after the other, and Python one thread: more do not bring more through
(800 requests at once over four processes), but let each wait longer for its reply, until one waits
longer than it may, and a server that is only busy is taken for one that is away.
"""

QUEUEING = 1.0
"""Seconds to wait for a turn. Whoever has one is done within the time-out, or opens the breaker."""


class Turns:
    """So many turns at once, each of which is begun and ended."""

    def __init__(self, count: int) -> None:
        """`count` is how many there are at once."""
        self._count = count
        self.forget()

    def forget(self) -> None:
        """Start afresh, as a forked process must."""
        # A semaphore that is written in C, for no exchange goes without.
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(self._count):
            self._free.put(None)
        self._waiting: deque[threading.Lock] = deque()

    @property
    def free(self) -> int:
        """How many could begin at once."""
        return self._free.qsize()

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    def begin(self) -> bool:
        """Begin a turn; returns whether it had to be waited for. Raises `ChannelError`."""
        if not self._waiting:
            try:
                self._free.get_nowait()
            except Empty:
                pass
            else:
                return False
        self._queue()
        return True

    def end(self) -> None:
        """End a turn."""
        self._free.put(None)
        if self._waiting:
            self._hand_on()

    def _queue(self) -> None:
        """Wait for a turn: in the order of coming, or a busy process would starve some."""
        mine = threading.Lock()
        mine.acquire()
        self._waiting.append(mine)
        self._hand_on()  # what ended before this was in the queue
        if mine.acquire(timeout=QUEUEING):
            return
        try:
            self._waiting.remove(mine)
        except ValueError:
            return  # handed on in the last moment
        message = f"all {self._count} connections to Redis are in use"
        raise ChannelError(message)

    def _hand_on(self) -> None:
        while self._waiting:
            try:
                self._free.get_nowait()
            except Empty:
                return
            try:
                self._waiting.popleft().release()
            except IndexError:
                self._free.put(None)
