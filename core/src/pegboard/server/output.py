"""Standard output and error of a service's processes, which never wait for their reader.

A reader that has stopped, as a collector of logs may, fills its pipe. Then whoever writes waits:
the event loops of the workers, and the process that would notice that they stand still. So what
cannot be written at once is kept, and a thread waits in its place.
"""

import atexit
import fcntl
import io
import logging
import multiprocessing.util
import os
import select
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from mmap import mmap
from typing import TYPE_CHECKING, Any

from pegboard.forking import after_fork

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

logger = logging.getLogger(__name__)

MOST_KEPT = 1024 * 1024
"""Bytes that a process keeps for a reader; what comes then is dropped."""

LONGEST_END = 1.0
"""Seconds for which the end of a process waits until what is kept has been read."""

_LONGEST_WRITE = 1.0
"""Seconds for which others may be about to write a line as a whole; then they were killed."""

_POLL = 0.001
_SLOTS = 4096


def unblock_output() -> None:
    """Have Python's own standard streams wait for nobody, here and in processes that fork."""
    outputs: dict[object, Output] = {}
    for name, stream in (("stdout", sys.__stdout__), ("stderr", sys.__stderr__)):
        if stream is None or getattr(sys, name) is not stream:
            continue
        stream.flush()
        descriptor = stream.fileno()
        status = os.fstat(descriptor)
        # One file that is opened twice has two positions.
        is_regular = stat.S_ISREG(status.st_mode)
        key = descriptor if is_regular else (status.st_dev, status.st_ino)
        if key not in outputs:
            outputs[key] = Output(descriptor)
        raw = _Raw(outputs[key], descriptor, stream.name)
        text: Any = io.TextIOWrapper(
            raw,  # it needs no buffer, as it collects lines itself
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=True,
        )
        # Else `print` would write the end of a long line by itself.
        text._CHUNK_SIZE = MOST_KEPT  # noqa: SLF001 - there is no public way
        setattr(sys, name, text)


class Output:
    """Writes to a file without waiting for who reads it."""

    def __init__(self, descriptor: int) -> None:
        """Make it before processes fork that write to it as well."""
        self._descriptor = descriptor
        self._send, self._longest = _sender(descriptor)
        self._parts = _Parts()
        self._forget()
        after_fork(self, Output._forget)
        atexit.register(self.finish)
        # Processes of `multiprocessing` run no exit handlers.
        multiprocessing.util.register_after_fork(self, Output._finish_at_end)

    def _forget(self) -> None:
        # A handler of signals may log while its thread does.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._kept = bytearray()
        self._held = 0
        """Bytes that are kept, or that the thread is writing."""
        self._has_work = False
        self._dropped = 0
        self._slot = 1 + os.getpid() % (_SLOTS - 1)

    def _finish_at_end(self) -> None:
        multiprocessing.util.Finalize(None, self.finish, exitpriority=0)

    def write(self, data: bytes) -> None:
        """Write whole lines now, or as soon as there is room for them."""
        with self._lock:
            rest = data
            if not self._has_work and len(data) <= self._longest:
                shared, slot = self._parts.shared, self._slot
                shared[slot] = 1
                try:
                    if not shared[0]:
                        rest = data[self._send(data) :]
                except BlockingIOError:
                    pass
                except OSError:  # as of a full disk; there is nobody to tell it
                    self._drop(data)
                    return
                finally:
                    shared[slot] = 0
            if rest:
                self._keep(rest)
            elif self._dropped:
                self._wake()

    def finish(self) -> None:
        """Wait until all is written, for `LONGEST_END` seconds at most."""
        with self._changed:
            if self._thread is not None:
                self._changed.wait_for(lambda: not self._has_work, LONGEST_END)

    def _keep(self, data: bytes) -> None:
        if self._held and self._held + len(data) > MOST_KEPT:
            self._drop(data)
            return
        self._kept += data
        self._held += len(data)
        self._wake()

    def _drop(self, data: bytes) -> None:
        self._dropped += data.count(b"\n") or 1

    def _wake(self) -> None:
        self._has_work = True
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="pegboard-output", daemon=True)
            with suppress(RuntimeError):  # the interpreter is about to end
                thread.start()
                self._thread = thread
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._has_work)
                data = bytes(self._kept)
                self._kept.clear()
            is_written = self._write_in_time(data)
            with self._lock:
                self._held -= len(data)
                dropped = self._dropped if is_written and not self._kept else 0
                self._dropped -= dropped
            if dropped:
                logger.error("lines were dropped, as nobody read them: %d", dropped)
            with self._changed:
                self._has_work = bool(self._kept)
                self._changed.notify_all()

    def _write_in_time(self, data: bytes) -> bool:
        """Return whether all could be written, however long that took."""
        try:
            with self._parts.written() if data else nullcontext():
                while data:
                    try:
                        data = data[os.write(self._descriptor, data) :]
                    except BlockingIOError:  # another program has asked for that
                        waiting = select.poll()
                        waiting.register(self._descriptor, select.POLLOUT)
                        waiting.poll()
        except OSError:
            with self._lock:
                self._drop(data)
            return False
        return True


class _Parts:
    """Keeps processes apart of which one writes more than the kernel takes as a whole."""

    def __init__(self) -> None:
        """Make it before the processes fork."""
        self._lock = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self.shared = mmap(-1, _SLOTS)
        """The first byte is 1 while a process writes in parts, or if one has ended while it did.

        The others are 1 while a process writes a line as a whole, after it has looked at the first.
        """

    @contextmanager
    def written(self) -> Iterator[None]:
        """Let nobody else write meanwhile; waits for a process that does so already."""
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            self.shared[0] = 1
            end = time.monotonic() + _LONGEST_WRITE
            while True:
                time.sleep(_POLL)  # others have seen it, or it is seen that they have not
                if self.shared.find(b"\1", 1) < 0:
                    break
                if time.monotonic() >= end:
                    self.shared[1:] = bytes(_SLOTS - 1)
                    break
            yield
        finally:
            self.shared[0] = 0
            fcntl.lockf(self._lock, fcntl.LOCK_UN)


class _Raw(io.RawIOBase):
    """An output as Python's text streams need it."""

    def __init__(self, output: Output, descriptor: int, name: str) -> None:
        self._output = output
        self._descriptor = descriptor
        self.name = name

    def write(self, data: "ReadableBuffer", /) -> int:
        copied = bytes(data)
        self._output.write(copied)
        return len(copied)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)


def _sender(descriptor: int) -> tuple[Callable[[bytes], int], int]:
    """Return what writes without waiting, and how many bytes it writes as a whole.

    It returns how many it has written, or raises `BlockingIOError`.
    """
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return partial(os.write, descriptor), sys.maxsize
    if stat.S_ISSOCK(kind):
        endpoint = socket.socket(fileno=os.dup(descriptor))
        return lambda data: endpoint.send(data, socket.MSG_DONTWAIT), select.PIPE_BUF
    # Other programs share the open file, and expect that it waits: so it is opened once more.
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
    with suppress(OSError):  # it is another user's, or the system has no such path
        return partial(os.write, os.open(f"/proc/self/fd/{descriptor}", flags)), select.PIPE_BUF
    return partial(os.write, descriptor), 0  # too short for any line: the thread writes all
