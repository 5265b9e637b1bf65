"""The metrics of all apps of a process: what concerns the process is told by one of them."""

import threading
import weakref
from typing import Protocol

import pegboard


class Writer(Protocol):
    """The metrics of one app."""

    def write(self) -> None:
        """Write what has changed."""


class Writers:
    """Those of the apps of this process that have begun to write, in that order."""

    def __init__(self) -> None:
        self._start_anew()
        pegboard.after_fork(self, Writers._start_anew)

    def _start_anew(self) -> None:
        self._lock = threading.Lock()
        self._known: list[weakref.ref[Writer]] = []
        self._has_begun = False

    def add(self, writer: Writer) -> bool:
        """Note that an app begins; returns whether it is the first that this process ever had."""
        with self._lock:
            self._known.append(weakref.ref(writer))
            is_first, self._has_begun = not self._has_begun, True
            return is_first

    def all(self) -> list[Writer]:
        """Return those whose apps are still there."""
        with self._lock:
            found = [(known, known()) for known in self._known]
            self._known = [known for known, writer in found if writer is not None]
            return [writer for _, writer in found if writer is not None]

    def speaks(self, writer: Writer) -> bool:
        """Return whether it tells what concerns the process."""
        found = self.all()
        return bool(found) and found[0] is writer


WRITERS = Writers()
"""The apps of this process: a worker has one, and a process of tests or of two services more."""
