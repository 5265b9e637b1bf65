"""Files of prometheus_client's that have their space before it is written.

They are written by way of memory. The kernel gives a page of such a file its space only when it is
first written, and ends the process by SIGBUS when there is none: where a folder is full, metrics
would take the service away with them. Here each part of a file is allocated before, so that the
lack of space is an `OSError`.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from prometheus_client.mmap_dict import MmapedDict

_FIRST_SIZE = 64 * 1024
"""Bytes. prometheus_client doubles the size of the file that it is given when it is full."""

_HEAD = 8


class _Values(Protocol):
    def write_value(self, key: str, value: float, timestamp: float) -> None: ...

    def close(self) -> None: ...


_open: Callable[[str], _Values] = MmapedDict  # which has no types


class AllocatedFile:
    """Values by key in one new file, written by one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Create it. Raises `OSError` if that is impossible; then there is none."""
        self._used = _HEAD
        self._known: set[str] = set()
        # Under another name at first: a file without its head could not be read.
        new = path.with_suffix(".new")
        self._file = new.open("wb")
        try:
            self._allocate(_FIRST_SIZE)
            self._values = _open(str(new))
            new.rename(path)
        except BaseException:
            self._file.close()
            new.unlink(missing_ok=True)
            raise

    def write(self, key: str, value: float) -> None:
        """Set a value. Raises `OSError` if a new one has no space; the others stay."""
        if key not in self._known:
            used = self._used + _size_of(key)
            while used > self._size:
                self._allocate(self._size * 2)
            self._used = used
            self._known.add(key)
        self._values.write_value(key, value, 0.0)

    def close(self) -> None:
        """Close it; it can be read until it is removed."""
        self._values.close()
        self._file.close()

    def _allocate(self, size: int) -> None:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._file.fileno(), 0, size)
        else:
            self._file.write(bytes(size - self._file.tell()))
            self._file.flush()
        self._size = size


def _size_of(key: str) -> int:
    """Return how many bytes a value takes: the length of its key, that key, and two numbers."""
    length = len(key.encode())
    return 4 + length + (8 - (length + 4) % 8) + 16
