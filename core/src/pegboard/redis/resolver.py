"""Answers that are looked up in the background, so that no request waits for them too long."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from pegboard.forking import after_fork

T = TypeVar("T")


class Resolver(Generic[T]):
    """An answer that is kept, and looked up again in the background by one thread at a time."""

    def __init__(self, name: str, look_up: Callable[[], T], timeout: float) -> None:
        """`look_up` raises when it finds nothing; callers wait for it as long as `timeout`.

        `name` is for error messages; the time-out is in seconds.
        """
        self._name = name
        self._look_up = look_up
        self._timeout = timeout
        self.found: T | None = None
        """What was found last, if anything."""
        self._running: Future[T] | None = None
        self._lock = threading.Lock()
        after_fork(self, Resolver.reset)

    def result(self) -> T:
        """Return what was found last, or else look it up; raises as `renewed` does."""
        return self.renewed() if self.found is None else self.found

    def renewed(self) -> T:
        """Look it up again and wait; raises `TimeoutError`, or what `look_up` raises."""
        running = self.renew()
        try:
            return running.result(self._timeout)
        except TimeoutError:
            message = f"{self._name} was not found in time"
            raise TimeoutError(message) from None

    def renew(self) -> "Future[T]":
        """Look it up again; what was found last is returned meanwhile."""
        with self._lock:
            if self._running is None:
                self._running = Future()
                threading.Thread(
                    target=self._run, args=(self._running,), name="pegboard-resolver", daemon=True
                ).start()
            return self._running

    def forget(self) -> None:
        """Look it up again; what was found last is not returned any more."""
        self.found = None
        self.renew()

    def _run(self, future: "Future[T]") -> None:
        try:
            found = self._look_up()
        except BaseException as error:  # noqa: BLE001 - the thread that waits for it raises it
            with self._lock:
                self._running = None
            future.set_exception(error)
        else:
            with self._lock:
                self.found, self._running = found, None
            future.set_result(found)

    def reset(self) -> None:
        """Let a forked process look it up anew: the thread that did so is not in it."""
        self._running, self._lock = None, threading.Lock()
