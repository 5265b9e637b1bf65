"""Real servers: how they start, what they withstand, how they stop."""

import json
import os
import re
import signal
import socket
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil
import pytest

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import StartService
from pegboard.testing.processes import Server, free_port, is_listening, wait_until
from pegboard.testing.services import COMMAND, LiveServer, clean_environment, run_pegboard

pytestmark = pytest.mark.slow

HEAD = "POST /api/items/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
HALF_OPEN = {
    "silent": "",
    "half of the headers": "GET /health HTTP/1.1\r\nHost: x\r\n",
    "idle": "GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "half of the body": HEAD + 'Content-Length: 100\r\n\r\n{"name":',
    "half of a chunk": HEAD + 'Transfer-Encoding: chunked\r\n\r\n64\r\n{"name":',
}


class Command(Server):
    """A server other than plain `pegboard serve`, ready when `/health` is well."""

    def __init__(self, directory: Path, *command: str, port: int, **settings: str) -> None:
        directory.mkdir(exist_ok=True)
        environment = clean_environment({"PEGBOARD_ENV": "development", **settings})
        super().__init__(command, port=port, directory=directory, environment=environment)

    def answers(self) -> bool:
        """Say whether `/health` is well."""
        try:
            return 200 == get(self.port, "/health")[0]
        except (OSError, HTTPException):
            return False


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of a database at head, which the tests share."""
    directory = tmp_path_factory.mktemp("database")
    url = f"sqlite:///{directory / 'shared.db'}"
    assert 0 == run_pegboard("db", "upgrade", directory=directory, DATABASE_URL=url).returncode
    return url


@pytest.fixture(scope="module")
def service(database: str) -> Iterator[LiveServer]:
    """A service that the tests which do not harm it share."""
    with LiveServer(DATABASE_URL=database) as server:
        yield server


@pytest.fixture
def serve(live_server: StartService, database: str) -> Callable[..., LiveServer]:
    """Start a service of the test's own on the shared database."""

    def run(**settings: str) -> LiveServer:
        return live_server(upgrade=False, DATABASE_URL=database, **settings)

    return run


@pytest.fixture
def start(tmp_path: Path, database: str) -> Iterator[Callable[..., Command]]:
    """Start any command that serves on a port; `{port}` in it is replaced."""
    with ExitStack() as stack:

        def run(*command: str, **settings: str) -> Command:
            port = free_port()
            words = [word.format(port=port) for word in command]
            settings.setdefault("DATABASE_URL", database)
            return stack.enter_context(Command(tmp_path / "cwd", *words, port=port, **settings))

        yield run


def script(name: str) -> str:
    """Return the path of a console script of this environment."""
    return str(Path(sys.executable).with_name(name))


def get(port: int, path: str) -> tuple[int, bytes]:
    """Get a path on a connection of its own."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()


def send(port: int, text: str) -> socket.socket:
    """Send raw text on a connection of its own, and return the connection."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(text.encode())
    return connection


def receive(connection: socket.socket) -> bytes:
    """Return all that arrives until the server closes the connection."""
    received = b""
    with suppress(ConnectionResetError):
        while data := connection.recv(65536):
            received += data
    return received


def status_of(answer: bytes) -> tuple[int, int | None]:
    """Return the status of a raw answer, and the status in its JSON body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body).get("status") if body else None


def test_it_says_where_it_serves_and_which_plugins_are_active(service: LiveServer):
    """One line each, once it listens."""
    # A worker may answer before its parent has looked.
    wait_until(lambda: "\nPlugins: " in service.output, "it names the plugins")
    assert f"Pegboard serves at {service.url}\n" in service.output
    assert f"Documentation: {service.url}/docs\n" in service.output
    assert "\nPlugins: items (pegboard-items " in service.output


def test_every_line_of_a_json_log_is_json(start, tmp_path: Path):
    """From the start to the stop, what an upgrade has done as well; the times are in UTC."""
    database = {"DATABASE_URL": f"sqlite:///{tmp_path / 'new.db'}"}
    command = (script("pegboard"), "serve", "--port", "{port}", "--upgrade")
    server = start(*command, PEGBOARD_LOG_FORMAT="json", **database)
    wait_until(lambda: "Plugins: " in server.output, "it names the plugins")
    assert 404 == get(server.port, "/nothing")[0]
    server.stop()
    lines = [json.loads(line) for line in server.output.splitlines()]
    messages = [line["message"] for line in lines]
    assert f"Pegboard serves at http://127.0.0.1:{server.port}" in messages
    assert any("items_0001" in message for message in messages)
    assert any("/nothing" == line.get("path") for line in lines)
    assert all(line["time"].endswith("Z") for line in lines)


def test_it_does_not_start_on_a_schema_that_is_behind(tmp_path: Path):
    """It names each plugin and its revision, and the hint."""
    port = str(free_port())
    done = run_pegboard("serve", "--port", port, directory=tmp_path, DATABASE_URL="sqlite:///a.db")
    assert 1 == done.returncode
    assert "items: the database is at no revision, the newest is items_0005" in done.stdout
    assert "[PB_DATABASE_BEHIND]" in done.stdout
    assert "pegboard db upgrade" in done.stdout
    assert "pegboard serve --upgrade" in done.stdout
    assert "Traceback" not in done.stdout


def test_it_does_not_start_without_a_table_of_a_model(tmp_path: Path):
    """A table that was dropped by hand is named, as the history says that it is there."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    assert 0 == run_pegboard("db", "upgrade", directory=tmp_path, DATABASE_URL=url).returncode
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.execute("DROP TABLE items")

    port = str(free_port())
    done = run_pegboard("serve", "--port", port, directory=tmp_path, DATABASE_URL=url)

    assert 1 == done.returncode
    assert "items: its models need what the database lacks: table items" in done.stdout
    assert "[PB_DATABASE_INCOMPLETE]" in done.stdout
    assert "Traceback" not in done.stdout


def test_it_upgrades_first_when_told_to(start, tmp_path: Path):
    """`--upgrade` is all that a first start needs."""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    server = start(*COMMAND, "serve", "--upgrade", "--port", "{port}", DATABASE_URL=url)
    assert 200 == get(server.port, "/health/ready")[0]


def test_a_port_that_is_taken_is_one_clear_error(service: LiveServer, tmp_path: Path):
    """Two services never share a port."""
    done = run_pegboard(
        *("serve", "--upgrade", "--port", str(service.port)),
        directory=tmp_path,
        DATABASE_URL="sqlite:///other.db",
    )
    assert 1 == done.returncode
    assert f"cannot listen on 127.0.0.1 port {service.port}: Address already in use" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_database_that_is_unavailable_is_one_clear_error(tmp_path: Path):
    """Nor does the password show."""
    url = f"postgresql://me:hidden@127.0.0.1:{free_port()}/nowhere"
    done = run_pegboard("serve", "--port", str(free_port()), directory=tmp_path, DATABASE_URL=url)
    assert 1 == done.returncode
    assert "the database cannot be queried: " in done.stdout
    assert "[PB_DATABASE_UNAVAILABLE]" in done.stdout
    assert "Start the database, or correct DATABASE_URL, with" in done.stdout
    assert "hidden" not in done.stdout
    assert "Traceback" not in done.stdout


def admitted(port: int) -> int:
    """Return how many of 100 requests the limiter admits; each has a connection of its own."""
    return [get(port, "/x")[0] for _ in range(100)].count(404)


@pytest.mark.parametrize(
    "options,settings",
    [(("serve", "--workers", "4"), {}), (("gthread",), {"WEB_CONCURRENCY": "4"})],
    ids=["an option", "gunicorn"],
)
def test_workers_share_a_limit_however_their_number_is_set(
    start, tmp_path: Path, options: tuple[str, ...], settings: dict[str, str]
):
    """Without Redis each admits its part."""
    url = f"sqlite:///{tmp_path / 'limits.db'}"
    settings = {
        "DATABASE_URL": url,
        "PEGBOARD_PLUGINS": "ratelimit",
        "PEGBOARD_RATELIMIT_DEFAULT": "8/hour",
        **settings,
    }
    assert 0 == run_pegboard("db", "upgrade", directory=tmp_path, **settings).returncode
    command = SERVERS.get(options[0]) or [*COMMAND, *options, "--port", "{port}"]
    assert 1 <= admitted(start(*command, **settings).port) <= 8


def test_workers_of_an_option_do_not_start_with_a_cache_each(tmp_path: Path, postgres_url: str):
    """As those of `WORKERS` do not: each would give out what others have changed."""
    done = run_pegboard(
        *("serve", "--workers", "2", "--port", str(free_port())),
        directory=tmp_path,
        DATABASE_URL=postgres_url,
        PEGBOARD_PLUGINS="",
        PEGBOARD_CACHE="memory",
    )
    assert 1 == done.returncode
    assert "several workers would each have their own" in done.stdout


def test_an_option_is_checked_like_the_setting(tmp_path: Path):
    """And named where it is wrong."""
    done = run_pegboard("serve", "--threads", "1000", directory=tmp_path)
    assert 1 == done.returncode
    assert "setting THREADS (option --threads): 1000 is not allowed" in done.stdout


def use_until_it_stops(port: int, results: Counter[str], is_running: threading.Event) -> None:
    """Send requests on a kept-alive connection, a new one when told to, until there is none."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    with closing(connection):
        while True:
            try:
                if connection.sock is None:
                    connection.connect()
            except ConnectionError:
                return
            try:
                connection.request("GET", "/health")
                response = connection.getresponse()
                response.read()
                results[str(response.status)] += 1
            except (OSError, HTTPException) as error:
                results[f"lost: {error!r}"] += 1
                connection.close()
            if results["200"] > 200:
                is_running.set()


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("attempt", range(3))
def test_a_stop_under_keep_alive_load_loses_no_request(serve, workers: str, attempt: int):
    """Every request that could be sent is answered."""
    server = serve(WORKERS=workers, PEGBOARD_LOG_LEVEL="WARNING")
    results: Counter[str] = Counter()
    is_running = threading.Event()
    clients = [
        threading.Thread(target=use_until_it_stops, args=(server.port, results, is_running))
        for _ in range(16)
    ]
    for client in clients:
        client.start()
    assert is_running.wait(20)
    server.stop()
    for client in clients:
        client.join(20)
    assert ["200"] == list(results)


def test_a_request_in_flight_is_finished_before_the_stop(serve):
    """Its body arrives after the signal."""
    server = serve()
    with send(server.port, HEAD + 'Content-Length: 15\r\n\r\n{"name":') as connection:
        assert 200 == server.request("GET", "/health")[0]
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: not can_connect(server.port), "the service takes no new connection")
        connection.sendall(b'"late"}')
        assert 201 == status_of(receive(connection))[0]


def can_connect(port: int) -> bool:
    """Return whether new connections are accepted."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
    except OSError:
        return False
    return True


def test_a_signal_to_every_process_at_once_stops_them_all(serve):
    """As the terminal does it for Ctrl-C, and systemd by default."""
    server = serve(WORKERS="2")
    process = psutil.Process(server.pid)
    tree = [process, *process.children()]
    os.killpg(server.pid, signal.SIGINT)
    wait_until(lambda: all(map(has_ended, tree)), "every process ends", timeout=10)


def has_ended(process: psutil.Process) -> bool:
    """Say whether a process is gone, if only its parent has not noticed."""
    with suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def test_a_worker_that_died_is_replaced(serve):
    """By itself, and the service goes on meanwhile."""
    server = serve(WORKERS="2")
    first, second = psutil.Process(server.pid).children()
    first.kill()

    def workers() -> set[int]:
        return {one.pid for one in psutil.Process(server.pid).children()} - {first.pid}

    wait_until(lambda: 2 == len(workers()), "there are two workers again")
    assert second.pid in workers()
    # The first to listen may have been the one that died.
    wait_until(server.answers, "the service goes on")


DEADLY = """
import os
import signal

import flask
import pegboard

blueprint = flask.Blueprint("deadly", __name__)

@blueprint.get("/kill")
def kill():
    os.kill(os.getpid(), signal.SIGKILL)

@blueprint.get("/exit")
def leave():
    os._exit(7)

@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]
"""


def test_a_service_outlives_a_request_that_kills_its_worker_each_time(
    serve, plugin_folder: PluginFolder
):
    """However often a client tries again; the log has what ended the worker."""
    plugin_folder.add("deadly", DEADLY)
    server = serve(PYTHONPATH=str(plugin_folder.path), PEGBOARD_PLUGINS="deadly")
    for path in ("/kill", "/exit", "/kill"):
        with pytest.raises((OSError, HTTPException)):
            get(server.port, path)
        wait_until(server.answers, "a new worker serves")
    ends = re.findall(r"worker 1 \(process \d+\) (.*); it is replaced (.*)", server.output)
    assert [
        ("was killed by SIGKILL", "at once"),
        ("ended with exit code 7", "in 0.5 s, as it died 2 times in a row"),
        ("was killed by SIGKILL", "in 1 s, as it died 3 times in a row"),
    ] == ends


def listening(server: LiveServer) -> int:
    """Return how many workers listen."""
    workers = psutil.Process(server.pid).children()
    return sum(is_listening(one) for one in workers if not has_ended(one))


def test_a_reload_is_logged(serve):
    """All workers are others when the log says that it is done."""
    server = serve(WORKERS="2")
    wait_until(lambda: 2 == listening(server), "two workers serve")
    old = psutil.Process(server.pid).children()
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: "reloaded" in server.output, "the reload ends", 30)
    assert "reloading: 2 workers" in server.output
    assert all(map(has_ended, old))
    wait_until(lambda: 2 == listening(server), "two workers serve")
    assert 1 == server.output.count("reloaded")


@pytest.mark.parametrize("victim", ["the next to be replaced", "the new one"])
def test_a_death_in_a_reload_is_handled_in_it(serve, victim: str):
    """At once, while the old worker that is being replaced still serves."""
    server = serve(WORKERS="2")
    wait_until(lambda: 2 == listening(server), "two workers serve")
    parent = psutil.Process(server.pid)
    first, second = parent.children()
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: 3 == len(parent.children()), "the reload begins")
    (new,) = set(parent.children()) - {first, second}
    killed = second if victim == "the next to be replaced" else new
    killed.kill()

    wait_until(lambda: "it is replaced at once" in server.output, "the death is noted")
    wait_until(lambda: 3 == len(set(parent.children()) - {killed}), "a new worker is started")
    assert first in parent.children()
    wait_until(lambda: not {first, second} & set(parent.children()), "the reload ends", 30)
    wait_until(lambda: 2 == listening(server), "two workers serve")
    assert 1 == server.output.count("it is replaced")
    assert 200 == server.request("GET", "/health")[0]


@pytest.mark.parametrize("case", ["a reload", "a death in a reload", "a signal to all"])
def test_a_stop_is_no_failure_after(start, case: str):
    """The service ends with all its workers, and with the exit code of a success."""
    shell = ("sh", "-c", '"$@"; echo "the shell saw $?"', "sh")
    server = start(*shell, script("pegboard"), "serve", "--port", "{port}", "--workers", "2")
    (service,) = psutil.Process(server.pid).children()
    old = service.children()
    if case != "a signal to all":
        service.send_signal(signal.SIGHUP)
        wait_until(lambda: 3 == len(service.children()), "the reload begins")
    if case == "a death in a reload":
        old[1].kill()
    tree = [*service.children(), service]
    for process in tree if case == "a signal to all" else [service]:
        process.send_signal(signal.SIGTERM)
    wait_until(lambda: "the shell saw" in server.output, "the service ends")
    assert "the shell saw 0" in server.output
    assert 1 == server.output.count("the service has ended, after SIGTERM\n")
    assert all(map(has_ended, tree))


def test_a_service_outlives_the_deaths_of_all_its_workers(serve):
    """All at one time, and the new ones as well."""
    server = serve(WORKERS="2")
    for _ in range(2):
        wait_until(lambda: 2 == listening(server), "two workers serve")
        killed = psutil.Process(server.pid).children()
        for worker in killed:
            worker.kill()
        psutil.wait_procs(killed)
    wait_until(lambda: 2 == listening(server), "two workers serve")
    assert 200 == server.request("GET", "/health")[0]


FAILING = """
import multiprocessing
import pegboard

@pegboard.hookimpl
def pegboard_setup(app):
    if multiprocessing.current_process().name == "granian-worker":
        raise OSError("no licence")
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_of_which_no_worker_can_serve_ends(
    tmp_path: Path, plugin_folder: PluginFolder, workers: str
):
    """With an exit code that says so, and each worker's reason."""
    plugin_folder.add("failing", FAILING)
    done = run_pegboard(
        *("serve", "--port", str(free_port()), "--workers", workers),
        directory=tmp_path,
        PYTHONPATH=str(plugin_folder.path),
        PEGBOARD_PLUGINS="failing",
        DATABASE_URL="sqlite:///new.db",
    )
    assert 1 == done.returncode
    assert int(workers) == done.stdout.count("OSError: no licence")
    assert "no worker could serve, so the service ends" in done.stdout
    assert "as it was about to stop" not in done.stdout


def test_a_service_that_is_not_built_in_time_says_where_it_waits(
    plugin_folder: PluginFolder, tmp_path: Path
):
    """As of a plugin that calls another service without a time-out."""
    waiting = "@pegboard.hookimpl\ndef pegboard_setup(app):\n    re.match('(a*)*b', 'a' * 60)\n"
    plugin_folder.add("waiting", f"import re\n\n{waiting}")
    done = run_pegboard(
        "serve",
        directory=tmp_path,
        PEGBOARD_PLUGINS="waiting",
        PEGBOARD_WORKER_START_TIMEOUT="1",
        PYTHONPATH=str(plugin_folder.path),
    )
    assert done.returncode
    assert "Error: the service is not built after 1 s, and is given up\n" in done.stdout
    assert re.search(r"example_waiting/plugin.py\", line \d+ in pegboard_setup", done.stdout)


def test_workers_end_when_their_parent_was_killed(serve):
    """An orphan would keep the port, and serve old code beside the next start."""
    server = serve()
    (worker,) = psutil.Process(server.pid).children()
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: has_ended(worker), "the worker ends")
    assert not can_connect(server.port)


SLOW = """
import os
import sys
import time
from pathlib import Path

import flask
import pegboard

blueprint = flask.Blueprint("slow", __name__, url_prefix="/slow")


def wait() -> None:
    folder = Path(__file__).parent
    (folder / "begun").touch()
    while not (folder / "go_on").exists():
        time.sleep(0.01)


@blueprint.get("/view")
def view():
    wait()
    return "done"


@blueprint.get("/download")
def download():
    yield b"first,"
    wait()
    yield b"second,"
    yield b"third"


@blueprint.get("/broken")
def broken():
    yield b"first"
    raise RuntimeError("a bug in mid-stream")


@blueprint.get("/fork")
def fork():
    pid = os.fork()
    if not pid:
        time.sleep(600)
        os._exit(0)
    return str(pid)


@blueprint.get("/endless")
def endless():
    while True:
        yield b"x" * 65536


@blueprint.get("/exit")
def leave():
    sys.exit(3)


@blueprint.route("/environ/", methods=["GET", "POST"])
@blueprint.route("/environ/<path:rest>")
def environ(rest=""):
    body = flask.request.get_data().decode("latin-1")
    found = flask.request.environ.items()
    return {"body": body, **{name: value for name, value in found if name.isupper()}}


@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a plugin whose views wait for the test, or go wrong."""
    folder = tmp_path / "site"
    distribution = folder / "pegboard_slow-1.0.dist-info"
    distribution.mkdir(parents=True)
    (distribution / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: pegboard-slow\nVersion: 1\n"
    )
    (distribution / "entry_points.txt").write_text("[pegboard.plugins]\nslow = pegboard_slow\n")
    (folder / "pegboard_slow.py").write_text(SLOW)
    return folder


def with_plugin(folder: Path) -> dict[str, str]:
    """Return the settings of a service with that plugin alone."""
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return {"PEGBOARD_PLUGINS": "slow", "PYTHONPATH": path}


@pytest.fixture(params=["uvloop", "asyncio"])
def slow(request: pytest.FixtureRequest, serve, folder: Path) -> LiveServer:
    """A service with that plugin, on each kind of loop."""
    if request.param == "asyncio":
        (folder / "uvloop.py").write_text("raise ImportError\n")
    server: LiveServer = serve(**with_plugin(folder))
    return server


@pytest.mark.parametrize(
    "path,first,last",
    [
        ("/slow/view", b"", b"\r\n\r\ndone"),
        ("/slow/download", b"first,", b"\r\nsecond,\r\n5\r\nthird\r\n0\r\n\r\n"),
    ],
)
def test_a_view_that_is_under_way_is_finished_before_the_stop(
    slow: LiveServer, folder: Path, path: str, first: bytes, last: bytes
):
    """However long it takes, its answer is sent, as a whole or the rest of it; then all is over."""
    worker = psutil.Process(slow.pid).children()[0]
    with send(slow.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        wait_until((folder / "begun").exists, "the view waits")
        answer = b""
        while first not in answer:
            answer += connection.recv(65536)
        os.kill(slow.pid, signal.SIGTERM)
        wait_until(lambda: not can_connect(slow.port), "the service takes no new connection")
        # Longer than it would wait for clients that only keep their connections.
        wait_until(lambda: not is_listening(worker), "the worker has drained")
        assert not has_ended(worker)
        (folder / "go_on").touch()
        answer += receive(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(last)
    assert first or b"connection: close\r\n" in answer
    wait_until(lambda: has_ended(worker), "the worker ends")


def test_an_error_in_mid_stream_breaks_the_connection(slow: LiveServer):
    """Nobody takes what was sent for the whole; the log has the error, by the request's id."""
    request = "GET /slow/broken HTTP/1.1\r\nHost: x\r\nX-Request-ID: mine\r\n\r\n"
    with send(slow.port, request) as connection:
        answer = receive(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"first\r\n")
    wait_until(lambda: "a bug in mid-stream" in slow.output, "the error is logged")
    [line] = [line for line in slow.output.splitlines() if "a bug in mid-stream" in line]
    assert "[mine]" in line


def test_a_client_that_takes_nothing_is_one_line(serve, folder: Path):
    """And no error of the service; its connection is broken off."""
    server = serve(**with_plugin(folder), PEGBOARD_BODY_TIMEOUT="0.2")
    with send(server.port, "GET /slow/endless HTTP/1.1\r\nHost: x\r\n\r\n"):
        told = "the client has taken nothing of its answer for 0.2 s, and its connection is closed"
        wait_until(lambda: told in server.output, "it is logged")
        wait_until(lambda: "GET /slow/endless" in server.output, "the request ends")
    assert 200 == server.request("GET", "/health")[0]
    assert "Application callable" not in server.output


def test_a_process_that_a_view_forks_takes_no_connections(serve, folder: Path):
    """When the worker that forked it has been replaced: it would accept none of them."""
    server = serve(**with_plugin(folder), WORKERS="1")
    forked = psutil.Process(int(get(server.port, "/slow/fork")[1]))
    try:
        [worker] = [one for one in psutil.Process(server.pid).children() if is_listening(one)]
        worker.kill()
        wait_until(lambda: has_ended(worker), "the worker ends")
        workers = psutil.Process(server.pid).children
        wait_until(lambda: any(map(is_listening, workers())), "another one is there")
        assert [200] * 16 == [get(server.port, "/health")[0] for _ in range(16)]
    finally:
        forked.kill()


def test_a_view_that_exits_is_one_error(slow: LiveServer):
    """And no end of the process."""
    workers = psutil.Process(slow.pid).children()
    assert [500] * 2 == [slow.request("GET", "/slow/exit")[0] for _ in range(2)]
    assert 200 == slow.request("GET", "/health")[0]
    assert workers == psutil.Process(slow.pid).children()


CLOSING = "Host: x\r\nConnection: close\r\n"
POST = f"POST /slow/environ/ HTTP/1.1\r\n{CLOSING}"
GET = f"GET /slow/environ/ HTTP/1.1\r\n{CLOSING}"
RAW = [
    f"GET /slow/environ/a%20b%2Fc?x=%20&y=+ HTTP/1.1\r\n{CLOSING}\r\n",
    f"GET /slow/environ/%zz%4%ff HTTP/1.1\r\n{CLOSING}\r\n",
    f"GET /slow/environ/a;b?c?d HTTP/1.1\r\n{CLOSING}\r\n",
    f"GET http://other/slow/environ/a?b HTTP/1.1\r\n{CLOSING}\r\n",
    f"GET /slow/environ//a/../b HTTP/1.1\r\n{CLOSING}\r\n",
    "GET /slow/environ/ HTTP/1.0\r\nHost: x\r\n\r\n",
    f"{GET}X-A: 1\r\nx-a: 2\r\nX-Empty:\r\nX-Space:   a  b \t\r\nCookie: a=1\r\n\r\n",
    f"{GET}X-Name: J\xfcrgen\r\nX_Forwarded_For: 1\r\nContent_Length: 7\r\n\r\n",
    f"{GET}Script-Name: /a\r\nRemote-Addr: 1\r\nContent-Type: text/plain\r\n\r\n",
    f"{POST}Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nabcde",
    f"{POST}Content-Length: 0\r\n\r\n",
    f"{POST}\r\n",
    f"{POST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
]
OF_THE_SERVER = {"RAW_URI", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT", "SERVER_SOFTWARE"}


def test_every_server_makes_the_same_environment(start, folder: Path):
    """Of the same bytes; a view cannot tell who serves it."""
    found = []
    for name in ("granian", "gthread"):
        server = start(*SERVERS[name], **with_plugin(folder))
        answers = []
        for text in RAW:
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
                connection.sendall(text.encode("latin-1"))
                answers.append(json.loads(receive(connection).partition(b"\r\n\r\n")[2]))
        found.append(
            [
                {name: value for name, value in answer.items() if name not in OF_THE_SERVER}
                for answer in answers
            ]
        )
        server.stop()
    ours, theirs = found
    for text, our, their in zip(RAW, ours, theirs, strict=True):
        assert their == our, text


@pytest.mark.parametrize("name", ["granian", "gthread"])
def test_what_http_forbids_or_asks_of_the_server_is_answered(start, name: str):
    """By every server: no `Host`, several or an invalid one; `get`; `OPTIONS *`."""
    server = start(*SERVERS[name])
    closing = "Connection: close\r\n\r\n"
    expected = {
        f"GET /health HTTP/1.1\r\n{closing}": 400,
        f"GET /health HTTP/1.1\r\nHost:\r\n{closing}": 400,
        f"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n{closing}": 400,
        f"GET /health HTTP/1.1\r\nHost: a\r\nHost: a\r\n{closing}": 400,
        f"GET /health HTTP/1.1\r\nHost: a/b\r\n{closing}": 400,
        # Granian fills the host in without telling.
        f"GET http://a/health HTTP/1.1\r\n{closing}": 400 if name == "gthread" else 200,
        f"GET /health HTTP/1.1\r\nHost: a\r\n{closing}": 200,
        "GET /health HTTP/1.0\r\n\r\n": 200,
        f"Get /health HTTP/1.1\r\nHost: a\r\n{closing}": 501,
        f"OPTIONS * HTTP/1.1\r\nHost: a\r\n{closing}": 204,
    }
    found = {}
    for text, status in expected.items():
        with send(server.port, text) as connection:
            answer = receive(connection)
        found[text] = int(answer.split()[1])
        if name == "granian" and status in {400, 501}:
            assert (status, status) == status_of(answer), text
        if status == 204:
            assert b"\r\nallow: delete, get, head," in answer.lower()
    if name == "gthread":
        # gunicorn refuses such methods before the app sees them.
        expected = {
            text: found[text] if status == 501 else status for text, status in expected.items()
        }
        assert all(code >= 400 for text, code in found.items() if text.startswith("Get"))
    assert expected == found


@pytest.mark.parametrize("text", HALF_OPEN.values(), ids=list(HALF_OPEN))
def test_half_open_connections_do_not_keep_others_out(service: LiveServer, text: str):
    """Sixty of them, and the service has eight threads."""
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(send(service.port, text))
        for _ in range(5):
            assert 200 == service.request("GET", "/health", timeout=2)[0]


def test_bodies_that_stall_keep_no_thread(serve):
    """However many they are, others with a body are served."""
    server = serve(PEGBOARD_THREADS="1")
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(send(server.port, HALF_OPEN["half of the body"]))
        assert 201 == server.request("POST", "/api/items/", {"name": "hammer"}, timeout=2)[0]


def test_a_body_that_stalls_is_given_up(serve):
    """After a time without a byte of it, and its connection with it."""
    server = serve(PEGBOARD_BODY_TIMEOUT="0.2")
    with send(server.port, HALF_OPEN["half of the body"]) as connection:
        assert (408, 408) == status_of(receive(connection))


OVERSIZE = '{"name": "' + "a" * 1024 * 1024 + '"}'


@pytest.mark.parametrize("server_command", ["granian", "gthread", "sync"])
def test_a_body_over_the_limit_is_refused(start, server_command: str):
    """Declared without being sent, and in chunks without end; and no row is made of it."""
    server = start(*SERVERS[server_command])
    declared = send(server.port, HEAD + f"Content-Length: {len(OVERSIZE)}\r\n\r\n")
    with declared:
        assert (413, 413) == status_of(receive(declared))
    chunked = send(server.port, HEAD + "Transfer-Encoding: chunked\r\n\r\n")
    with chunked:
        chunk = f"{65536:x}\r\n{' ' * 65536}\r\n".encode()
        chunked.sendall(b'e\r\n{"name": "ok"}\r\n')
        with suppress(ConnectionError):
            for _ in range(1000):
                chunked.sendall(chunk)
        assert (413, 413) == status_of(receive(chunked))


def test_a_body_of_two_lengths_ends_its_connection(service: LiveServer):
    """It is read by its chunks (RFC 9112, section 6.1); what follows it is no request."""
    both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    smuggled = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    text = HEAD + both + 'e\r\n{"name": "ok"}\r\n0\r\n\r\n' + smuggled
    with send(service.port, text) as connection:
        answer = receive(connection)
    assert 201 == status_of(answer)[0]
    assert b"connection: close" in answer
    assert 1 == answer.count(b"HTTP/1.1 ")


def test_a_body_of_two_lengths_is_refused_where_the_server_tells_of_it(start):
    """Else a proxy in front could see another end of the request."""
    server = start(*SERVERS["gthread"])
    both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    with send(server.port, HEAD + both + 'e\r\n{"name": "ok"}\r\n0\r\n\r\n') as connection:
        assert receive(connection).startswith(b"HTTP/1.1 400")


def test_a_body_that_is_cut_off_makes_no_row(service: LiveServer):
    """Although what has arrived would be valid."""
    with send(service.port, HEAD + 'Content-Length: 20\r\n\r\n{"name": "cut"}') as connection:
        connection.shutdown(socket.SHUT_WR)
        receive(connection)
    assert b"cut" not in service.request("GET", "/api/items/")[1]


def test_headers_are_bounded(service: LiveServer):
    """In the platform's form, and in the log, but for those that the server does not even read."""
    for size, status in ((32, (200, 200)), (40, (431, 431)), (63, (431, 431)), (256, (431, None))):
        head, end = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: ", "\r\n\r\n"
        text = head + "a" * (size * 1024 - len(head + end)) + end
        with send(service.port, text) as one:
            assert status == status_of(receive(one))
    wait_until(lambda: 2 == service.output.count("GET /health 431"), "both are logged")


GUNICORN = [script("gunicorn"), "--bind", "127.0.0.1:{port}", "--threads", "4"]
SERVERS = {
    "granian": [*COMMAND, "serve", "--port", "{port}"],
    "gthread": [*GUNICORN, "--worker-class", "gthread", "pegboard:create_app()"],
    "sync": [*GUNICORN, "--worker-class", "sync", "pegboard:create_app()"],
    "granian's own command": [
        *(script("granian"), "--interface", "wsgi", "--factory", "--port", "{port}"),
        "pegboard:create_app",
    ],
}


@pytest.mark.parametrize("command", SERVERS.values(), ids=list(SERVERS))
def test_every_server_can_serve_it(start, command: list[str]):
    """With `create_app` as the factory, and nothing else to know."""
    assert 200 == get(start(*command).port, "/health/ready")[0]


ILL_MADE = """
from pegboard.stages import Answer

ANSWERS = {
    "/text": Answer(200, [], "text"),
    "/length": Answer(200, [("Content-Length", "1")], b"text"),
    "/number": Answer(200, [("X-Number", 5)], b"text"),
    "/body": Answer(304, [], b"text"),
}

class Stage:
    name = "ill-made"
    order = 1

    def bind(self, route):
        return self

    def is_non_blocking(self):
        return True

    def prepare(self, call):
        return ANSWERS.get(call.environ["PATH_INFO"])

    def complete(self, call, replies):
        return None

@pegboard.hookimpl
def pegboard_stages():
    return [Stage()]
"""


@pytest.mark.parametrize("name", ["granian", "gthread", "sync"])
def test_an_ill_made_answer_of_a_stage_is_one_error(start, plugin_folder: PluginFolder, name: str):
    """The same by every server, and by either way; its author is told."""
    plugin_folder.add("ill", ILL_MADE)
    server = start(*SERVERS[name], PYTHONPATH=str(plugin_folder.path), PEGBOARD_PLUGINS="ill")
    for path in ("/text", "/length", "/number", "/body") * 2:
        with send(server.port, f"GET {path} HTTP/1.1\r\n{CLOSING}\r\n") as connection:
            answer = receive(connection)
        assert (500, 500) == status_of(answer), path
        assert 1 == answer.lower().count(b"\r\ncontent-length:")
    assert 8 == server.output.count("the stage ill-made has failed: ")


def test_the_development_server_restarts_when_a_module_changes(start, tmp_path: Path):
    """A plugin that breaks is told on the page, and served again once it is fixed."""
    folder = tmp_path / "site"
    distribution = folder / "pegboard_note-1.0.dist-info"
    distribution.mkdir(parents=True)
    (distribution / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: pegboard-note\nVersion: 1\n"
    )
    (distribution / "entry_points.txt").write_text("[pegboard.plugins]\nnote = pegboard_note\n")
    module = folder / "pegboard_note.py"
    sound = "import pegboard\n\n@pegboard.hookimpl\ndef pegboard_setup(app): ...\n"
    module.write_text(sound)
    server = start(
        *(script("pegboard"), "dev", "--port", "{port}"),
        PYTHONPATH=str(folder),
        PEGBOARD_PLUGINS="note",
    )
    assert "Plugins: note (pegboard-note 1" in server.output
    module.write_text("import nonsense\n")
    wait_until(lambda: 503 == health(server.port), "the mistake is told")
    module.write_text(sound)
    wait_until(lambda: 200 == health(server.port), "the service is back")


def health(port: int) -> int:
    """Return the status of `/health`, 0 for none."""
    try:
        return get(port, "/health")[0]
    except (OSError, HTTPException):
        return 0


ONCE = """
import os
import pathlib
import pegboard

names = set()

def register(name):
    if name in names:
        raise ValueError(f"Duplicated timeseries: {name}")
    names.add(name)

@pegboard.hookimpl
def pegboard_setup(app):
    register("http_requests_total")
    with (pathlib.Path(__file__).parents[1] / "builds.txt").open("a") as file:
        file.write(f"{os.getpid()}\\n")
"""
"""A plugin that can be set up once in a process, as one that registers a metric or a scheduler."""


def builds(folder: PluginFolder) -> Counter[int]:
    """Return how often the plugin was set up, by the id of the process."""
    lines = (folder.path / "builds.txt").read_text().split()
    return Counter(map(int, lines))


def with_once(folder: PluginFolder) -> dict[str, str]:
    """Return the settings of a service with that plugin alone."""
    folder.add("once", ONCE)
    return {"PYTHONPATH": str(folder.path), "PEGBOARD_PLUGINS": "once"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_that_serves_builds_the_app_once(
    serve, plugin_folder: PluginFolder, workers: int
):
    """Nor has its parent built it: what a plugin registers for the process is registered once."""
    server = serve(WORKERS=str(workers), **with_once(plugin_folder))
    children = {one.pid for one in psutil.Process(server.pid).children()}
    assert workers == len(children)
    wait_until(lambda: children <= builds(plugin_folder).keys(), "each worker has built its app")
    # One more has, and has ended: the process in which the service was checked.
    assert [1] * (workers + 1) == list(builds(plugin_folder).values())
    assert server.pid not in builds(plugin_folder)
    assert not any(map(psutil.pid_exists, builds(plugin_folder).keys() - children))


MODULES = """
import sys
import flask
import pegboard

blueprint = flask.Blueprint("modules", __name__)

@blueprint.get("/modules")
def modules():
    return sorted(sys.modules)

@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]
"""


def test_no_process_imports_what_it_does_not_need_to_serve(serve, plugin_folder: PluginFolder):
    """Nor to say that it is ready. A worker has inherited what its parent has imported."""
    plugin_folder.add("modules", MODULES)
    server = serve(PYTHONPATH=str(plugin_folder.path), PEGBOARD_PLUGINS="modules,items")
    assert 200 == server.request("GET", "/health/ready")[0]
    _, body = server.request("GET", "/modules")
    imported = set(json.loads(body))
    assert {"granian", "sqlalchemy.dialects.sqlite"} < imported
    heavy = {
        "alembic",
        "flask_migrate",
        "mako",
        "pygments",
        "redis",
        "sqlalchemy.dialects.postgresql",
    }
    assert set() == heavy & imported


def test_a_warning_of_the_start_is_logged_once(serve, plugin_folder: PluginFolder):
    """Not by each worker again; one that only a worker has is logged by it."""
    warn = """
    import logging
    import multiprocessing
    import threading

    def warn(text, *values):
        logging.getLogger("noisy").warning(text, *values)

    @pegboard.hookimpl
    def pegboard_setup(app):
        warn("the shop is %s", "closed")
        warn("the process is %s", multiprocessing.current_process().name)
    """
    settings = with_once(plugin_folder) | {
        "PEGBOARD_PLUGINS": "once,noisy,broken",
        "PEGBOARD_PLUGINS_POLICY": "broken=skip",
    }
    plugin_folder.add("noisy", warn)
    plugin_folder.add("broken", "1 / 0")
    server = serve(WORKERS="2", **settings)
    wait_until(lambda: len(builds(plugin_folder)) == 3, "each worker has built its app")
    wait_until(lambda: server.output.count("the process is") >= 2, "a worker has warned")
    assert 1 == server.output.count("the shop is closed")
    assert 1 == server.output.count("broken is skipped, as its policy says")
    assert 1 == server.output.count("the process is pegboard-check")


def test_a_worker_that_is_replaced_builds_the_app_once(serve, plugin_folder: PluginFolder):
    """It begins with nothing of the one before."""
    server = serve(**with_once(plugin_folder))
    (first,) = psutil.Process(server.pid).children()
    first.kill()
    wait_until(lambda: len(builds(plugin_folder)) == 3, "the new worker has built its app")
    wait_until(server.answers, "the service goes on")
    assert [1] * 3 == list(builds(plugin_folder).values())


def test_the_development_server_builds_the_app_once(start, plugin_folder: PluginFolder):
    """In the process that the reloader starts, and not in the reloader itself."""
    command = (script("pegboard"), "dev", "--port", "{port}")
    server = start(*command, **with_once(plugin_folder))
    assert [1] == list(builds(plugin_folder).values())
    assert server.pid not in builds(plugin_folder)


def test_a_service_that_cannot_be_built_is_told_once(tmp_path: Path, plugin_folder: PluginFolder):
    """By the process that checks it, whose exit code is the command's."""
    plugin_folder.add("broken", "import nonsense\n")
    done = run_pegboard(
        *("serve", "--port", str(free_port()), "--workers", "2"),
        directory=tmp_path,
        PYTHONPATH=str(plugin_folder.path),
        PEGBOARD_PLUGINS="broken",
    )
    assert 1 == done.returncode
    assert 1 == done.stdout.count("the service cannot start")
    assert 1 == done.stdout.count("No module named 'nonsense'")


THREADED = """
import threading
import pegboard

@pegboard.hookimpl
def pegboard_setup(app):
    threading.Thread(target=threading.Event().wait).start()
"""


def test_a_plugin_that_starts_a_thread_does_not_keep_the_start_waiting(
    tmp_path: Path, plugin_folder: PluginFolder
):
    """The process in which the service is checked ends with its check, whatever still runs."""
    plugin_folder.add("threaded", THREADED)
    done = run_pegboard(
        *("serve", "--port", str(free_port())),
        directory=tmp_path,
        PYTHONPATH=str(plugin_folder.path),
        PEGBOARD_PLUGINS="threaded,items",
        DATABASE_URL="sqlite:///behind.db",
    )
    assert 1 == done.returncode
    assert "items: the database is at no revision" in done.stdout


BINDING = """
import os
import socket
import sqlite3
import pegboard

listener = socket.create_server(("127.0.0.1", int(os.environ["METRICS_PORT"])))

@pegboard.hookimpl
def pegboard_setup(app): ...
"""
"""A plugin that takes a port when it is imported, as `prometheus_client.start_http_server` does."""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_plugin_that_binds_a_port_when_it_is_imported_can_be_served(
    serve, plugin_folder: PluginFolder, monkeypatch: pytest.MonkeyPatch, workers: str
):
    """No two processes import it at one time, and workers share what their parent has bound."""
    plugin_folder.add("binding", BINDING)
    monkeypatch.setenv("METRICS_PORT", str(free_port()))
    server = serve(
        WORKERS=workers,
        PYTHONPATH=str(plugin_folder.path),
        PEGBOARD_PLUGINS="binding",
    )
    assert 200 == server.request("GET", "/health")[0]
    assert int(workers) == len(psutil.Process(server.pid).children())
    assert "Address already in use" not in server.output


def test_what_a_plugin_made_for_the_check_is_removed(serve, plugin_folder: PluginFolder):
    """Exit handlers are run in the process that checks the service."""
    code = """
    import os, pathlib, tempfile

    @pegboard.hookimpl
    def pegboard_setup(app):
        app.extensions["folder"] = tempfile.TemporaryDirectory(
            prefix=f"{os.getpid()}-", dir=pathlib.Path(__file__).parent
        )
    """
    module = plugin_folder.add("folders", code)
    server = serve(PYTHONPATH=str(plugin_folder.path), PEGBOARD_PLUGINS="folders")
    (worker,) = psutil.Process(server.pid).children()
    (made,) = module.glob("[0-9]*-*")
    assert made.name.startswith(f"{worker.pid}-")
