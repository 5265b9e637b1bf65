"""One reading of the database per key at a time, whose result concurrent requests share.

The first request of this process is the leader and reads; the others follow and wait for it.
"""

import threading
from concurrent.futures import Future
from typing import Any

from pegboard.cache.strategy import Key

MAX_WAIT = 5.0
"""Seconds for which a follower waits; more than the bounds on a statement of the database."""


class Flight:
    """One reading of the database, by its leader for all followers."""

    __slots__ = ("done", "is_leased_elsewhere", "place", "result")

    def __init__(self, place: tuple[Key, str]) -> None:
        self.place = place
        """The key that is read, and the path prefix that its answer is for."""
        self.done: Future[None] = Future()
        """What followers wait for, for at most `MAX_WAIT`."""
        self.result: Any = None
        """What the leader has stored; None if it has stored nothing."""
        self.is_leased_elsewhere = False
        """Whether another process held the lease of the key and had not filled it yet."""

    def finish(self) -> None:
        """Wake the followers."""
        self.done.set_result(None)


class SingleFlight:
    """The readings that are under way in this process."""

    def __init__(self) -> None:
        self._flights: dict[tuple[Key, str], Flight] = {}
        self._lock = threading.Lock()

    def join(self, key: Key, prefix: str) -> tuple[Flight, bool]:
        """Return the reading of a key, and whether the caller is its leader and has to read.

        `prefix` is the path prefix of the request: answers of others may have other links.
        """
        place = key, prefix
        with self._lock:
            flight = self._flights.get(place)
            if flight is not None:
                return flight, False
            flight = self._flights[place] = Flight(place)
            return flight, True

    def close(self, flight: Flight) -> None:
        """Accept no more followers: the next request for the key leads a reading of its own."""
        with self._lock:
            if self._flights.get(flight.place) is flight:
                del self._flights[flight.place]
