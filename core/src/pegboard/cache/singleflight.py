"""Readings of the database that several requests of this process wait for."""

import threading
from typing import TYPE_CHECKING

from pegboard.cache.strategy import Key

if TYPE_CHECKING:
    from pegboard.cache.entry import Entry

_PATIENCE = 5.0
"""Seconds a request waits for another that reads the same; the database's bounds are shorter."""


class Flight:
    """One reading of the database, for all who have boarded."""

    __slots__ = ("_done", "entry", "is_elsewhere")

    def __init__(self) -> None:
        self._done = threading.Event()
        self.entry: Entry | None = None
        self.is_elsewhere = False
        """Whether another process was reading the same, and had not filled yet."""

    def wait(self) -> None:
        """Wait until it is over."""
        self._done.wait(_PATIENCE)

    def end(self) -> None:
        """Let those who wait go on."""
        self._done.set()


class Flights:
    """The readings that are under way."""

    def __init__(self) -> None:
        self._flights: dict[Key, Flight] = {}
        self._boarding = threading.Lock()

    def board(self, key: Key) -> tuple[Flight, bool]:
        """Return the reading of a key, and whether it is the caller who has to read."""
        with self._boarding:
            flight = self._flights.get(key)
            if flight is not None:
                return flight, False
            flight = self._flights[key] = Flight()
            return flight, True

    def land(self, key: Key, flight: Flight) -> None:
        """Let nobody board any more."""
        with self._boarding:
            if self._flights.get(key) is flight:
                del self._flights[key]
