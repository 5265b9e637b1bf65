"""Server processes that a test may stop, suspend, kill and start again."""

import json
import os
import resource
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from pegboard.testing import guard, proofs

__all__ = [
    "Server",
    "ServerError",
    "free_port",
    "is_listening",
    "run_python",
    "wait_until",
]

WAIT_TIMEOUT = 60.0
"""Seconds for which tests wait before they fail; generous, as a busy machine is slow."""


@dataclass(frozen=True)
class Inherited:
    """What a process passes on to those that it starts."""

    environment: Mapping[str, str]
    mask: int
    """The mask of new files."""
    ignored: frozenset[int]
    """The signals that it ignores."""
    folder: str
    """The working directory."""
    limits: Mapping[int, tuple[int, int]]
    """Its limits, as `resource.getrlimit` returns them."""
    path: tuple[str, ...]
    """Where Python looks for modules."""

    @classmethod
    def now(cls) -> Self:
        """Return that of this process."""
        mask = os.umask(0o077)
        os.umask(mask)
        known = (one for one in signal.valid_signals() if signal.getsignal(one) is signal.SIG_IGN)
        numbers = {getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}
        return cls(
            dict(os.environ),
            mask,
            frozenset(map(int, known)),
            os.getcwd(),  # noqa: PTH109 - a text, which the folder may not outlive
            {number: resource.getrlimit(number) for number in sorted(numbers)},
            tuple(filter(None, sys.path)),
        )


AT_START = Inherited.now()
"""Before any plugin was imported: a test that comes later must not see what one has changed."""


class ServerError(RuntimeError):
    """Raised when a server does not start; carries the end of its log."""


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on.

    It lies below the range that outgoing connections take their ports from: a client that keeps
    trying to reach a stopped server would otherwise connect to itself in the end.
    """
    while True:
        port = 15_000 + secrets.randbelow(15_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def wait_until(condition: Callable[[], bool], what: str, timeout: float = WAIT_TIMEOUT) -> None:
    """Wait until the condition holds, `timeout` seconds at most.

    Raises `TimeoutError` with the text `what` when it does not.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            message = f"{what}: not within {timeout:g} s"
            raise TimeoutError(message)
        time.sleep(0.01)


def run_python(code: str, *arguments: str) -> str:
    """Run code in a fresh interpreter, where it may fork; return what it prints.

    Raises `AssertionError` with its standard error if it writes there or fails.
    """
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        # Python warns of a fork beside threads, which such code does on purpose.
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_TIMEOUT,
    )
    assert (done.stderr, done.returncode) == ("", 0), done.stderr
    return done.stdout


class Server:
    """A server process on a port of the loopback address, in a directory of its own.

    As a context manager it starts and stops the server, and removes the directory. Even when the
    test session is killed, the server stops and the directory is removed.
    """

    _is_dependency = True
    """Whether the service depends on it, so that a test that stops it tests a fault."""

    stop_signal = signal.SIGTERM
    start_timeout = WAIT_TIMEOUT
    """Seconds it may take until it serves."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        user: tuple[int, int] | None = None,
        log: Path | None = None,
    ) -> None:
        """Prepare the server; `user` is the user and the group it runs as.

        Its output is appended to `log`, by default a file in its directory.
        """
        self.port = port
        """The TCP port on 127.0.0.1."""
        self.directory = directory
        """The folder of its files, the log among them."""
        self.log = log or directory / "server.log"
        self._process: psutil.Process | None = None
        uid, gid = user or (None, None)
        plan = guard.Plan(
            command=list(command),
            environment=dict(os.environ if environment is None else environment),
            directory=str(directory),
            log=str(self.log),
            user=uid,
            group=gid,
            stop_signal=self.stop_signal,
        )
        self._guard = subprocess.Popen(
            # Without site-packages, and so without the measurement of coverage that begins there:
            # that took ten times as long as the guard needs to start.
            [sys.executable, "-I", "-S", guard.__file__, json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process id of the server, or of its main process."""
        return self._running().pid

    @property
    def output(self) -> str:
        """What the server has printed so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def answers(self) -> bool:
        """Return whether the server is up and serves."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def start(self) -> Self:
        """Start the server, on the same port as before, and wait until it serves.

        Raises `ServerError` when it does not.
        """
        assert self._guard.stdin
        assert self._guard.stdout
        self._guard.stdin.write("start\n")
        answer = self._guard.stdout.readline()
        try:
            process = self._process = psutil.Process(int(answer))
            wait_until(
                lambda: self.answers() or process.status() == psutil.STATUS_ZOMBIE,
                f"{type(self).__name__} serves",
                self.start_timeout,
            )
            started = process.status() != psutil.STATUS_ZOMBIE
        except (ValueError, psutil.NoSuchProcess, TimeoutError):
            started = False
        if not started:
            message = f"{type(self).__name__} did not start:\n{self.output[-4000:]}"
            raise ServerError(message)
        return self

    def stop(self) -> None:
        """Ask the server to stop, and wait until it has stopped."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """Kill the server and every process it started, as a crash of the machine would."""
        self._end(signal.SIGKILL)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Suspend the server for a block: it keeps its connections and answers nothing."""
        tree = self._tree()
        for process in tree:
            process.suspend()
        self._show_fault()
        try:
            yield
        finally:
            for process in tree:
                process.resume()

    def close(self) -> None:
        """Stop the server for good and remove its directory."""
        if self._guard.stdin and not self._guard.stdin.closed:
            self._guard.stdin.close()
            self._guard.wait()
            assert self._guard.stdout
            self._guard.stdout.close()

    def __enter__(self) -> Self:
        """Start the server."""
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        """Stop the server and remove its directory."""
        self.close()

    def _running(self) -> psutil.Process:
        if self._process is None:
            message = f"{type(self).__name__} is not running"
            raise ServerError(message)
        return self._process

    def _tree(self) -> list[psutil.Process]:
        main = self._running()
        return [main, *main.children(recursive=True)]

    def _end(self, number: int) -> None:
        tree = self._tree()
        for process in tree if number == signal.SIGKILL else tree[:1]:
            process.send_signal(number)
        wait_until(lambda: not any(map(_is_alive, tree)), f"{type(self).__name__} stops")
        self._process = None
        self._show_fault()

    def _show_fault(self) -> None:
        if self._is_dependency:
            proofs.show(proofs.FAULT)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_listening(process: psutil.Process) -> bool:
    """Say whether a process still has the service's socket; one that has ended has none."""
    try:
        return any(one.status == psutil.CONN_LISTEN for one in process.net_connections("tcp"))
    except psutil.NoSuchProcess:
        return False
