"""Things that are looked for in the background, so that nobody waits for them too long."""

import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Search(Generic[T]):
    """Something that is looked for in the background, by one thread at a time."""

    def __init__(self, name: str, find: Callable[[], T], patience: float) -> None:
        """`find` raises when it finds nothing; `patience` is how long who needs it waits."""
        self._name = name
        self._find = find
        self._patience = patience
        self.found: T | None = None
        """What was found last, if anything."""
        self._running: Future[T] | None = None
        self._lock = threading.Lock()
        _searches.add(self)

    def result(self) -> T:
        """Return what was found last, else wait for what is being looked for."""
        return self.renewed() if self.found is None else self.found

    def renewed(self) -> T:
        """Look for it again and wait; raises `TimeoutError`, or what `find` raises."""
        running = self.renew()
        try:
            return running.result(self._patience)
        except TimeoutError:
            message = f"{self._name} was not found in time"
            raise TimeoutError(message) from None

    def renew(self) -> "Future[T]":
        """Look for it again; what was found last serves meanwhile."""
        with self._lock:
            if self._running is None:
                self._running = Future()
                threading.Thread(
                    target=self._run, args=(self._running,), name="pegboard-search", daemon=True
                ).start()
            return self._running

    def forget(self) -> None:
        """Look for it again; what was found last serves no more."""
        self.found = None
        self.renew()

    def _run(self, future: "Future[T]") -> None:
        try:
            found = self._find()
        except BaseException as error:  # noqa: BLE001 - whoever waits for it raises it
            with self._lock:
                self._running = None
            future.set_exception(error)
        else:
            with self._lock:
                self.found, self._running = found, None
            future.set_result(found)

    def restart(self) -> None:
        """Look for it anew in a forked process, in which no thread does."""
        self._running, self._lock = None, threading.Lock()


_searches: "weakref.WeakSet[Search[Any]]" = weakref.WeakSet()


def _restart_all() -> None:
    for search in tuple(_searches):
        search.restart()


os.register_at_fork(after_in_child=_restart_all)
