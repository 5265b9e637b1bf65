"""A semaphore that admits threads in the order in which they came."""

import threading
from collections import deque
from queue import Empty, SimpleQueue


class FairSemaphore:
    """A number of permits; a thread that finds none queues, and no thread overtakes it."""

    def __init__(self, count: int) -> None:
        """`count` is how many permits there are."""
        self.count = count
        self.reset()

    def reset(self) -> None:
        """Take all permits back; for a process just forked, in which no thread has one."""
        # A semaphore that is written in C: every exchange takes a permit.
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(self.count):
            self._free.put(None)
        self._waiting: deque[threading.Lock] = deque()

    @property
    def free(self) -> int:
        """How many permits could be taken at once."""
        return self._free.qsize()

    @property
    def waiting(self) -> int:
        """How many threads queue."""
        return len(self._waiting)

    def acquire(self, timeout: float) -> bool:
        """Take a permit; returns whether the thread had to queue.

        Raises `TimeoutError` when none is free within so many seconds.
        """
        if not self._waiting:
            try:
                self._free.get_nowait()
            except Empty:
                pass
            else:
                return False
        self._queue(timeout)
        return True

    def release(self) -> None:
        """Give a permit back."""
        self._free.put(None)
        if self._waiting:
            self._hand_on()

    def _queue(self, timeout: float) -> None:
        mine = threading.Lock()
        mine.acquire()
        self._waiting.append(mine)
        self._hand_on()  # permits that were given back before this thread was in the queue
        if mine.acquire(timeout=timeout):
            return
        try:
            self._waiting.remove(mine)
        except ValueError:
            return  # handed on at the last moment
        raise TimeoutError

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
