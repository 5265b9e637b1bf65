"""The services that are compared: how each is started, and what its processes use."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import environments
import psutil
from environments import HERE, program

from pegboard.testing.processes import Server, free_port
from pegboard.testing.services import clean_environment

UNLIMITED = 1_000_000_000
"""Requests a minute that are never reached."""

PRODUCTION = {
    "PEGBOARD_ENV": "production",
    "PEGBOARD_LOG_LEVEL": "WARNING",
    "SECRET_KEY": "measured-with-a-key-that-nobody-uses-elsewhere",
    "HOST": "127.0.0.1",
}
ITEMS = {**PRODUCTION, "PEGBOARD_PLUGINS": "items,cache_redis,ratelimit"}
VIEWS = {**PRODUCTION, "PEGBOARD_PLUGINS": "views,cache_redis,ratelimit"}
FAST, TOTAL = "RESOURCES_FAST", "RESOURCES_TOTAL"
"""Settings that a version of Pegboard may have."""


@dataclass(frozen=True)
class Load:
    """What every service is told: its workers, its limit, and whether a list has a total."""

    workers: int = 1
    limit: int = UNLIMITED
    total: bool = False


@dataclass(frozen=True)
class Peer:
    """A service to compare."""

    name: str
    title: str
    environment: str
    """The name of the environment that it runs in."""
    command: Callable[[int, Load], list[str]]
    """Returns the command for a port."""
    variables: Mapping[str, str] = field(default_factory=dict)
    is_pegboard: bool = False
    needs: str = ""
    """A setting of Pegboard without which there is no such peer."""

    def variables_for(self, port: int, load: Load, urls: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables of the service."""
        given = {
            "TZ": "UTC",
            "PORT": str(port),
            "WORKERS": str(load.workers),
            "RATE_LIMIT": str(load.limit),
            "LIST_TOTAL": str(int(load.total)),
            **self.variables,
            **urls,
        }
        if self.is_pegboard:
            given["PEGBOARD_RATELIMIT_DEFAULT"] = f"{load.limit}/minute"
            if not load.total and TOTAL in settings_of_pegboard():
                given[f"PEGBOARD_{TOTAL}"] = "request"
        return clean_environment(given)


def settings_of_pegboard() -> str:
    """Return what `pegboard config show` prints of the Pegboard that is measured."""
    if not _SETTINGS:
        done = subprocess.run(
            [program("pegboard", "pegboard"), "config", "show"],
            env=clean_environment({"PEGBOARD_PLUGINS": "items"}),
            capture_output=True,
            text=True,
            check=True,
        )
        _SETTINGS.append(done.stdout)
    return _SETTINGS[0]


_SETTINGS: list[str] = []


def _pegboard(_port: int, _load: Load) -> list[str]:
    return [program("pegboard", "pegboard"), "serve"]


def _granian(environment: str, threads: int) -> Callable[[int, Load], list[str]]:
    def command(port: int, load: Load) -> list[str]:
        options = [f"--port={port}", f"--workers={load.workers}", f"--blocking-threads={threads}"]
        options += ["--interface=wsgi", "--host=127.0.0.1", "--http=1", "--log-level=warning"]
        folder = HERE / "peers" / environment
        return [program(environment, "granian"), *options, f"--working-dir={folder}", "app:app"]

    return command


def _uvicorn(port: int, load: Load) -> list[str]:
    options = [f"--port={port}", f"--workers={load.workers}", "--host=127.0.0.1"]
    options += ["--loop=uvloop", "--http=httptools", "--no-access-log", "--log-level=warning"]
    folder = HERE / "peers" / "fastapi"
    return [program("fastapi", "uvicorn"), *options, f"--app-dir={folder}", "app:app"]


def _node(_port: int, _load: Load) -> list[str]:
    # Node.js looks for packages beside the file, so the file is put beside them.
    script = environments.path_of("fastify") / "server.js"
    script.write_bytes((HERE / "peers" / "fastify" / "server.js").read_bytes())
    return ["node", str(script)]


PEERS = {
    peer.name: peer
    for peer in (
        Peer("fastify", "Fastify", "fastify", _node, {"NODE_ENV": "production"}),
        Peer("limit", "bare WSGI (limit)", "wsgi", _granian("wsgi", 4)),
        Peer("flask", "Flask, smorest, SQLAlchemy", "flask", _granian("flask", 8)),
        Peer("fastapi", "FastAPI, SQLAlchemy", "fastapi", _uvicorn),
        Peer("pegboard", "Pegboard", "pegboard", _pegboard, ITEMS, is_pegboard=True),
        Peer(
            "ordinary",
            "Pegboard, fast path off",
            "pegboard",
            _pegboard,
            {**ITEMS, f"PEGBOARD_{FAST}": "false"},
            is_pegboard=True,
            needs=FAST,
        ),
        Peer(
            "views",
            "Pegboard, Flask's views",
            "pegboard",
            _pegboard,
            VIEWS,
            is_pegboard=True,
        ),
    )
}


class Service(Server):
    """A running service."""

    def __init__(self, peer: Peer, load: Load, urls: Mapping[str, str]) -> None:
        """Prepare the service with the URLs of its database and its Redis."""
        self.peer = peer
        self.urls = urls
        port = free_port()
        super().__init__(
            peer.command(port, load),
            port=port,
            directory=Path(tempfile.mkdtemp(prefix="pegboard-")),
            environment=peer.variables_for(port, load, urls),
        )

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes, str]:
        """Send a request on a connection of its own; returns status, body and X-Pagination."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read(), response.getheader("X-Pagination") or ""

    def answers(self) -> bool:
        """Return whether an item is served."""
        try:
            return self.request("GET", "/api/items/1")[0] == HTTPStatus.OK
        except (OSError, HTTPException):
            return False

    def first_answer(self) -> float:
        """Start the service; returns the seconds until its first 200."""
        began = time.perf_counter()
        self.start()
        return time.perf_counter() - began

    def memory(self) -> float:
        """Return the resident size of its processes in MiB."""
        return sum(process.memory_info().rss for process in self._tree()) / 2**20


def cpu(server: Server) -> float:
    """Return the CPU seconds that the processes of a server have used."""
    main = psutil.Process(server.pid)
    used = 0.0
    for process in (main, *main.children(recursive=True)):
        times = process.cpu_times()
        used += times.user + times.system
    return used + main.cpu_times().children_user + main.cpu_times().children_system


class OtherPrograms:
    """The share of the machine that programs take which do not belong to a measurement."""

    def __init__(self) -> None:
        """Begin to measure."""
        self._began = time.perf_counter()
        self._before = self._busy()

    def since(self, known: Iterable[float]) -> float:
        """Return the share; `known` are the CPU seconds of the services meanwhile."""
        passed = (time.perf_counter() - self._began) * (os.cpu_count() or 1)
        return max(0.0, self._busy() - self._before - sum(known)) / passed

    def _busy(self) -> float:
        """Return the CPU seconds of all processes but this one and those it has waited for."""
        machine, own = psutil.cpu_times(), os.times()
        idle = machine.idle + getattr(machine, "iowait", 0.0)
        return sum(machine[:8]) - idle - sum(own[:4])


def migrate(peer: Peer, urls: Mapping[str, str]) -> None:
    """Let Pegboard make its tables."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            [program(peer.environment, "pegboard"), "db", "upgrade"],
            cwd=directory,
            env=peer.variables_for(0, Load(), urls),
            stdout=subprocess.DEVNULL,
            check=True,
        )


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))
