"""Listening on a Unix socket: a file through which only programs of this machine connect.

All workers accept from one socket, which the main process has bound before they fork. A file that a
server left when it was killed is replaced; one on which a server still listens is refused.
"""

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pegboard.problems import Code, Problem, StartupError

PREFIX = "unix:"
"""How `HOST` begins if it names a Unix socket."""

_LONGEST = 107
"""Bytes of a path that Linux takes; see unix(7)."""
_PROBE_TIMEOUT = 0.2


@dataclass(frozen=True)
class UnixAddress:
    """The path of a Unix socket to listen on, and who may connect."""

    path: Path
    mode: int = 0o660
    """The permissions of the file: to connect takes the one to write."""
    setting: str = "HOST"
    """The setting that has the path, for messages."""

    @property
    def url(self) -> str:
        """The address to tell a person."""
        return f"{PREFIX}{self.path}"

    @classmethod
    def find(cls, host: str, mode: int) -> "UnixAddress":
        """Read `unix:/path`. Raises `StartupError` if it is impossible to listen there."""
        address = cls(Path(host.removeprefix(PREFIX)).absolute(), mode)
        with address._explained():
            address._check()
        return address

    def listen(self, backlog: int) -> "UnixListener":
        """Listen.

        Raises `StartupError` if another server listens there, or the file cannot be made.
        """
        with self._explained():
            return self._listen(backlog)

    @contextmanager
    def reserved(self, backlog: int) -> Iterator["UnixListener"]:
        """Do as `listen` for a block, and remove the file at its end."""
        listener = self.listen(backlog)
        try:
            yield listener
        finally:
            listener.remove()
            listener.socket.close()

    def is_listening(self) -> bool:
        """Return whether a client can connect."""
        return _connect(self.path) in {0, errno.EAGAIN}

    def owns(self, endpoint: socket.socket) -> bool:
        """Return whether a socket is this one, or a connection to it."""
        return endpoint.family == socket.AF_UNIX and endpoint.getsockname() == str(self.path)

    def _listen(self, backlog: int) -> "UnixListener":
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Of two servers that find the same file left over, one must not remove the other's.
            fcntl.flock(folder, fcntl.LOCK_EX)
            self._check()
            self.path.unlink(missing_ok=True)
            mask = os.umask(0o777 & ~self.mode)
            try:
                listener.bind(str(self.path))
            finally:
                os.umask(mask)
            listener.listen(backlog)
            listener.settimeout(0)
            return UnixListener(listener, self.path, self.path.lstat().st_ino)
        except BaseException:
            listener.close()
            raise
        finally:
            os.close(folder)

    def _check(self) -> None:
        """Raise `OSError` unless nothing is at the path, or what a dead server has left."""
        if len(os.fsencode(self.path)) > _LONGEST:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        if not stat.S_ISDIR(self.path.parent.stat().st_mode):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(self.path.parent, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        try:
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise OSError(errno.EEXIST, "it is a file of another kind")
        if (result := _connect(self.path)) not in {errno.ECONNREFUSED, errno.ENOENT}:
            # An answer, or a queue that is full: it is listened to.
            is_live = result in {0, errno.EAGAIN}
            number = errno.EADDRINUSE if is_live else result
            raise OSError(number, os.strerror(number))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = self.url if self.setting == "HOST" else f"{self.url} ({self.setting})"
            summary = f"cannot listen on {place}: {error.strerror}"
            hint = _HINTS.get(error.errno or 0, "Choose another path in {setting}.")
            hint = hint.format(setting=self.setting)
            raise StartupError([Problem(Code.ADDRESS_UNAVAILABLE, summary, hint)]) from None


@dataclass(frozen=True)
class UnixListener:
    """A Unix socket that listens."""

    socket: socket.socket
    path: Path
    inode: int
    """Tells its file from one that another server has put in its place."""

    def remove(self) -> None:
        """Remove the file, so that no new client connects; those that have are not affected.

        Call it before the socket is closed, as another file may have the inode from then on.
        """
        with suppress(FileNotFoundError):
            if self.path.lstat().st_ino == self.inode:
                self.path.unlink()


def stop_accepting(numbers: list[int]) -> None:
    """Let this process accept no more from a Unix socket that it shares with other processes.

    Put a socket to which nobody connects in the place of each of these file descriptors: who waits
    is left to the other processes, and the server here finds nobody. It would notice if they were
    closed.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind("")  # Linux chooses an abstract name
        silent.listen(1)
        silent.settimeout(0)
        for number in numbers:
            os.dup2(silent.fileno(), number, inheritable=False)


def _connect(path: Path) -> int:
    """Try to connect; return the number of the error, 0 if there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT)
        return probe.connect_ex(str(path))


_HINTS = {
    errno.EADDRINUSE: "Stop what listens there, or choose another path in {setting}.",
    errno.EACCES: "The user of the service must be allowed to write to the folder of the socket.",
    errno.EROFS: "The user of the service must be allowed to write to the folder of the socket.",
    errno.EEXIST: "Nothing but a socket is replaced: choose another path in {setting}.",
    errno.ENOENT: "Make the folder of the socket first.",
    errno.ENOTDIR: "Make the folder of the socket first.",
    errno.ENAMETOOLONG: f"A path of a socket has {_LONGEST} bytes at most.",
}
