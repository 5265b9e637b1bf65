"""`pegboard dev --services`: servers from wheels, whose data stays in the folder of a checkout."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from pathlib import Path

import psutil
import psycopg2
import pytest
from redis import Redis

from pegboard.testing.development import Services, development_services
from pegboard.testing.processes import ServerError, free_port, wait_until
from pegboard.testing.services import COMMAND, clean_environment


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The instance folder of a checkout, which other users cannot enter if it is root's."""
    folder = tmp_path / "instance"
    yield folder
    shutil.rmtree((folder / "postgresql").resolve(), ignore_errors=True)


def write(services: Services) -> None:
    """Leave something on both servers."""
    with closing(psycopg2.connect(services.database_url)) as connection, connection.cursor() as one:
        one.execute("CREATE TABLE kept (id integer)")
        connection.commit()
    with closing(Redis.from_url(services.redis_url)) as client:
        client.set("kept", "1")


def read(services: Services) -> object:
    """Return what `write` has left; raises an error of the driver if the table is gone."""
    with closing(psycopg2.connect(services.database_url)) as connection, connection.cursor() as one:
        one.execute("SELECT id FROM kept")
    with closing(Redis.from_url(services.redis_url)) as client:
        return client.get("kept")


def servers_of(folder: Path) -> list[psutil.Process]:
    """Return the main processes that serve from a folder."""
    places = {folder / "valkey", (folder / "postgresql").resolve() / "data"}
    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it ends meanwhile, or is another user's
            if Path(process.cwd()) in places:
                found[process] = process.ppid()
    ids = {process.pid for process in found}
    return [process for process, parent in found.items() if parent not in ids]


def test_the_data_and_the_urls_stay(folder: Path) -> None:
    """Until the port is taken by another program; nobody else may read the passwords."""
    with development_services(folder) as first:
        write(first)
    assert [] == servers_of(folder)
    assert 0o600 == (folder / "services.json").stat().st_mode & 0o777
    state = json.loads((folder / "services.json").read_text())
    with _listening(state["valkey"]["port"]), development_services(folder) as second:
        assert b"1" == read(second)
        assert first.database_url == second.database_url
        assert first.redis_url != second.redis_url


def _listening(port: int) -> "closing[socket.socket]":
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(("127.0.0.1", port))
    taken.listen()
    return closing(taken)


def test_two_checkouts_do_not_meet_and_one_is_used_once(folder: Path, tmp_path: Path) -> None:
    """The second process of a checkout is told the URLs of the first."""
    other = tmp_path / "other" / "instance"
    with development_services(folder) as ours:
        with pytest.raises(ServerError) as caught, development_services(folder):
            pass
        assert ours.database_url in str(caught.value)
        try:
            with development_services(other) as theirs:
                assert {*vars(ours).values()}.isdisjoint(vars(theirs).values())
        finally:
            shutil.rmtree((other / "postgresql").resolve(), ignore_errors=True)


@pytest.mark.parametrize("is_running", [False, True])
def test_a_crash_is_survived(folder: Path, *, is_running: bool) -> None:
    """It leaves pid files: of a process that is another program's now, or of a running server."""
    with development_services(folder) as first:
        write(first)
        for server in servers_of(folder):
            # What would stop the server is killed first.
            guard = server.parent()
            assert guard is not None
            guard.kill()
            if not is_running:
                server.kill()  # processes of PostgreSQL live on for a moment
    pids = [*(folder / "postgresql").resolve().glob("data/postmaster.pid")]
    pids += folder.glob("valkey/valkey.pid")
    assert 2 == len(pids)
    if not is_running:
        for path in pids:
            lines = path.read_text().splitlines(keepends=True)
            path.write_text("".join([f"{os.getpid()}\n", *lines[1:]]))
    with development_services(folder) as second:
        assert b"1" == read(second)
        assert 2 == len(servers_of(folder))
    assert [] == servers_of(folder)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Children end by Ctrl-C, also if a shell has started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_servers_end_with_the_command(folder: Path, number: signal.Signals) -> None:
    """By a signal to the process, by Ctrl-C in its terminal, or by a kill.

    So does the process that serves, which would keep the port.
    """
    port = free_port()
    settings = {"PEGBOARD_PLUGINS": "items", "PYTHONUNBUFFERED": "1"}
    command = [*COMMAND, "dev", "--services", "--upgrade", "--port", str(port)]
    with (
        subprocess.Popen(
            command,
            cwd=folder.parent,
            env=clean_environment(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process,
        ExitStack() as at_the_end,
    ):
        at_the_end.callback(process.kill)
        assert process.stdout
        told = []
        for line in process.stdout:
            told.append(line)
            if line.startswith("Plugins: "):
                break
        assert any(line.startswith("PostgreSQL: DATABASE_URL=postgresql://") for line in told), told
        assert any(line.startswith("Valkey: REDIS_URL=redis://") for line in told)
        wait_until(lambda: _status(port, "GET", "/health") == 200, "the service serves")
        assert 201 == _status(port, "POST", "/api/items/", '{"name": "kept"}')
        children = psutil.Process(process.pid).children()
        for child in children:
            at_the_end.callback(_kill, child)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        process.wait(60)
        wait_until(lambda: not any(map(_is_running, children)), "the process that serves ends")
    wait_until(lambda: not servers_of(folder), "the servers end")


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


def _is_running(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _status(port: int, method: str, path: str, body: str | None = None) -> int | None:
    """Return the status of an answer; None without one."""
    headers = {"Content-Type": "application/json"} if body else {}
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        try:
            connection.request(method, path, body, headers)
            return connection.getresponse().status
        except OSError:
            return None
