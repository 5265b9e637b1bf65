"""Values that are read in the background, so that requests need not wait for them."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar, cast

from flask import Flask

from pegboard import clock
from pegboard.forking import after_fork
from pegboard.http import unavailable

__all__ = ["Refreshed"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE = 1.0
PATIENCE_OF_TESTS = 30.0
"""Seconds that a request waits at most: a test does not depend on how busy its machine is."""


class Refreshed(Generic[T]):
    """A value that a process reads again every few seconds, while requests ask for it.

    Make one for each app, in `pegboard_setup`::

        app.extensions["pegboard_shop"] = Refreshed(app, read_prices, every=30.0)

    Requests get the value that was last read; the one that finds it older than `every` has a thread
    read it again. Only the first requests of a process, and those after a quiet time, wait. Forked
    processes read it themselves.
    """

    def __init__(
        self,
        app: Flask,
        read: Callable[[], T],
        *,
        every: float,
        max_age: float | None = None,
        patience: float | None = None,
    ) -> None:
        """Read nothing yet.

        - `read`: returns the value; called on a thread, in the app's context.
        - `every`: seconds from one reading to the next. With 0 each request waits for a new one.
        - `max_age`: seconds after which the value is too old to be used without waiting for the
          next one; twice `every` unless told otherwise.
        - `patience`: seconds that a request waits at most; 1 unless told otherwise, 30 in an app
          that is tested (`app.testing`).
        """
        if patience is None:
            patience = PATIENCE_OF_TESTS if app.testing else PATIENCE
        self._app = app
        self._read = read
        self._every = every
        self._max_age = 2 * every if max_age is None else max_age
        self._patience = patience
        self._value: T | None = None
        self._read_at: float | None = None
        self._due = float("-inf")
        self._error: Exception | None = None
        self._expirations = 0
        self._lock = threading.Lock()
        self._reading: threading.Event | None = None
        after_fork(self, Refreshed.reset)

    def reset(self) -> None:
        """Start afresh in a forked process, which has no thread that reads."""
        self._lock = threading.Lock()
        self._reading = None
        self._due = float("-inf")

    def is_fresh(self) -> bool:
        """Return whether `get` has nothing to read or to wait for now."""
        return clock.monotonic() < self._due

    def get(self) -> T:
        """Return the value, waiting for it only if there is none or it is too old.

        If it cannot be read, the value last read is returned, and the log says why once. Where
        there is none, raises what `read` raised; ends the request with 503 if that takes too long.
        """
        now = clock.monotonic()
        if now < self._due:
            return cast("T", self._value)
        deadline = time.monotonic() + self._patience
        reading = self._begin(now)
        if self._is_usable(now):
            return cast("T", self._value)
        reading.wait(max(0.0, deadline - time.monotonic()))
        if self._read_at is None:
            self._raise()
        return cast("T", self._value)

    def expire(self) -> None:
        """Have the next request wait for a new reading, as after a write of this process.

        Of other processes each reads the value anew in its time.
        """
        with self._lock:
            self._expirations += 1
            self._reading = None  # what it has found may be older than the write
            self._due = float("-inf")
            self._error = None
            if self._read_at is not None:
                self._read_at = float("-inf")

    def _raise(self) -> NoReturn:
        if self._error is not None:
            raise self._error
        message = "The service is not ready yet."
        raise unavailable(message)

    def _is_usable(self, now: float) -> bool:
        """Return whether an old value is better than waiting."""
        if self._read_at is None:
            return False
        return self._error is not None or now - self._read_at < self._max_age

    def _begin(self, now: float) -> threading.Event:
        """Start a reading, unless there is one; returns what is set when it ends."""
        with self._lock:
            if self._reading is None:
                reading = threading.Event()
                arguments = reading, self._expirations, now
                name = f"pegboard-{getattr(self._read, '__name__', 'refresh')}"
                threading.Thread(target=self._run, args=arguments, name=name, daemon=True).start()
                self._reading = reading
            return self._reading

    def _run(self, reading: threading.Event, expirations: int, began_at: float) -> None:
        try:
            with self._app.app_context():
                value = self._read()
        except Exception as error:  # noqa: BLE001 - the requests that wait raise it
            self._fail(error, expirations)
        else:
            self._keep(value, expirations, began_at)
        finally:
            with self._lock:
                if self._reading is reading:
                    self._reading = None
            reading.set()

    def _keep(self, value: T, expirations: int, began_at: float) -> None:
        with self._lock:
            if expirations != self._expirations:
                return
            was_failing, self._error = self._error is not None, None
            self._value, self._read_at = value, began_at
            self._due = began_at + self._every
        if was_failing:
            logger.info("%s succeeds again", self._described())

    def _fail(self, error: Exception, expirations: int) -> None:
        with self._lock:
            if expirations != self._expirations:
                return
            is_news, self._error = self._error is None, error
            if self._read_at is not None:
                self._due = clock.monotonic() + self._every
        if is_news:
            logger.warning("%s fails, what it last returned counts: %r", self._described(), error)

    def _described(self) -> str:
        return f"{self._read.__module__}.{getattr(self._read, '__qualname__', self._read)}"
