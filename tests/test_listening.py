"""Where and how a service listens: on a Unix socket, with TLS, by HTTP/2, told to systemd."""

import json
import os
import signal
import socket
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.processes import Server, free_port, wait_until
from pegboard.testing.services import COMMAND, clean_environment, run_pegboard

pytestmark = pytest.mark.slow

SPOKEN = '''
import time
from pathlib import Path

import flask
import pegboard

blueprint = flask.Blueprint("spoken", __name__)


@blueprint.route("/spoken", methods=["GET", "POST"])
def spoken():
    """Say how the request came."""
    request = flask.request
    return {
        "scheme": request.scheme,
        "protocol": request.environ["SERVER_PROTOCOL"],
        "host": request.host,
        "address": request.remote_addr,
        "body": request.get_data(as_text=True),
    }


@blueprint.get("/wait")
def wait():
    """Answer when the test says so."""
    Path("begun").touch()
    while not Path("may-end").exists():
        time.sleep(0.01)
    return "waited"


@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]
'''


class UnixConnection(HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self) -> None:
        """Connect to the path, not to a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self.path))


class Listener(Server):
    """`pegboard serve` without a database of note, wherever it listens."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """Prepare it; it is ready when it says so."""
        environment = clean_environment(
            {
                "PEGBOARD_ENV": "development",
                "DATABASE_URL": "sqlite:///:memory:",
                "PEGBOARD_PLUGINS": "spoken",
                **settings,
            }
        )
        super().__init__(
            [*COMMAND, "serve"],
            port=int(settings.get("PORT", "0")),
            directory=folder,
            environment=environment,
        )

    def answers(self) -> bool:
        """Say whether it has said that it serves."""
        return "Plugins: " in self.output


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory() as found:
        yield Path(found)


@pytest.fixture
def plugin(plugin_folder: PluginFolder) -> dict[str, str]:
    """Settings with which the plugin is found that says how it was asked."""
    plugin_folder.add("spoken", SPOKEN)
    return {"PYTHONPATH": str(plugin_folder.path)}


def ask(path: Path, target: str) -> tuple[int, bytes]:
    """Ask a service on a Unix socket."""
    with closing(UnixConnection(path)) as connection:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, response.read()


def told(notified: socket.socket) -> str:
    """Return what systemd is told next, leaving out that the service is alive."""
    while (text := notified.recv(1000).decode()) == "WATCHDOG=1":
        continue
    return text


def test_a_unix_socket_is_served_reloaded_and_left_without_a_lost_request(
    folder: Path, plugin: dict[str, str]
) -> None:
    """Also after a server that was killed; only one at a time; systemd is told of each step."""
    path = folder / "http.sock"
    settings = {**plugin, "HOST": f"unix:{path}", "WORKERS": "2"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(folder / "notify"))
        notified.settimeout(60)
        settings |= {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "30000000"}
        (folder / "cwd").mkdir()
        with Listener(folder / "cwd", **settings) as server:
            assert f"serves at unix:{path}\n" in server.output
            assert "READY=1" == told(notified)
            server.kill()
            assert path.is_socket()
            server.start()
            assert "READY=1" == told(notified)
            assert 0o660 == path.stat().st_mode & 0o777
            status, body = ask(path, "/spoken")
            assert (200, "") == (status, json.loads(body)["address"])

            (folder / "other").mkdir()
            other = run_pegboard("serve", directory=folder / "other", **settings)
            assert f"cannot listen on unix:{path}: Address already in use" in other.stdout

            # New connections all the time, while both workers are replaced.
            os.kill(server.pid, signal.SIGHUP)
            assert told(notified).startswith("RELOADING=1\nMONOTONIC_USEC=")
            found = {status}
            notified.settimeout(0)
            while not has_arrived(notified, "READY=1"):
                found.add(ask(path, "/spoken")[0])
            assert {200} == found
            notified.settimeout(60)

            # A request that is under way at the stop is answered.
            with closing(UnixConnection(path)) as connection:
                connection.request("GET", "/wait")
                wait_until((server.directory / "begun").exists, "the request has begun")
                os.kill(server.pid, signal.SIGTERM)
                assert "STOPPING=1" == told(notified)
                wait_until(lambda: not path.exists(), "nobody new can connect")
                (server.directory / "may-end").touch()
                assert b"waited" == connection.getresponse().read()


def has_arrived(notified: socket.socket, text: str) -> bool:
    """Say whether systemd is told that now."""
    try:
        return text == notified.recv(1000).decode()
    except BlockingIOError:
        return False


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for 127.0.0.1, its encrypted key, and what is trusted."""
    made = tmp_path_factory.mktemp("certificates")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(made / "ca.pem")
    issue(ca, made, "a password")
    return made


def issue(ca: trustme.CA, folder: Path, password: str) -> bytes:
    """Write a new certificate, its encrypted key and the password; returns the certificate."""
    issued = ca.issue_cert("127.0.0.1")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    (folder / "certificate.pem").write_bytes(chain)
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password.encode()),
        )
    )
    (folder / "password").write_text(f"{password}\n")
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


def tls_settings(folder: Path) -> dict[str, str]:
    """Return the settings that name the files of `issue`."""
    return {
        "PEGBOARD_TLS_CERTIFICATE": str(folder / "certificate.pem"),
        "PEGBOARD_TLS_KEY": str(folder / "key.pem"),
        "PEGBOARD_TLS_KEY_PASSWORD_FILE": str(folder / "password"),
    }


def test_a_certificate_turns_with_its_key_and_password(
    folder: Path, plugin: dict[str, str], tmp_path: Path
) -> None:
    """By SIGHUP, after all three files were replaced; headers have their time-out before."""
    ca = trustme.CA()
    trusted = ssl.create_default_context()
    ca.configure_trust(trusted)
    port = free_port()

    def shown() -> bytes | None:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
            trusted.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
        ):
            return secured.getpeercert(binary_form=True)

    first = issue(ca, tmp_path, "a password")
    settings = {**plugin, **tls_settings(tmp_path), "PORT": str(port)}
    with Listener(folder, **settings, PEGBOARD_HEADER_TIMEOUT="3") as server:
        assert first == shown()
        with (
            socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
            trusted.wrap_socket(plain, server_hostname="127.0.0.1") as slow,
        ):
            slow.sendall(b"GET /spoken HTTP/1.1\r\nHo")
            assert b"" == slow.recv(1), "it is closed though the handshake was answered"
        second = issue(ca, tmp_path, "another password")
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: second == shown(), "the new one is shown", timeout=60)


class Client:
    """A client of HTTP/2, with one request at a time."""

    def __init__(self, port: int, trusted: ssl.SSLContext | None) -> None:
        """Connect, with TLS if what is trusted is given."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        if trusted is not None:
            trusted.set_alpn_protocols(["h2", "http/1.1"])
            secured = trusted.wrap_socket(self.socket, server_hostname="127.0.0.1")
            assert "h2" == secured.selected_alpn_protocol()
            self.socket = secured
        self.scheme = "http" if trusted is None else "https"
        self.protocol = H2Connection(H2Configuration())
        self.protocol.initiate_connection()
        self.is_ended = False

    def send(self, method: str, path: str, parts: Sequence[bytes] = ()) -> None:
        """Send a request, whose body says its length nowhere."""
        stream = self.protocol.get_next_available_stream_id()
        head = [
            (":method", method),
            (":path", path),
            (":scheme", self.scheme),
            (":authority", "a.example"),
        ]
        self.protocol.send_headers(stream, head, end_stream=not parts)
        for part in parts:
            self.protocol.send_data(stream, part)
        if parts:
            self.protocol.end_stream(stream)
        self.socket.sendall(self.protocol.data_to_send())

    def receive(self) -> tuple[int, bytes]:
        """Return the status and the body of the next answer."""
        status, body, has_ended = 0, b"", False
        while not has_ended:
            data = self.socket.recv(65536)
            assert data, "the connection has ended"
            for event in self.protocol.receive_data(data):
                if isinstance(event, ResponseReceived):
                    status = int(dict(event.headers)[b":status"])
                elif isinstance(event, DataReceived):
                    body += event.data
                elif isinstance(event, ConnectionTerminated):
                    self.is_ended = True
                elif isinstance(event, StreamEnded):
                    has_ended = True
            self.socket.sendall(self.protocol.data_to_send())
        return status, body

    def ask(self, method: str, path: str, parts: Sequence[bytes] = ()) -> tuple[int, bytes]:
        """Send a request and return the answer."""
        self.send(method, path, parts)
        return self.receive()


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_http2_is_spoken_to_those_who_choose_it(
    folder: Path, plugin: dict[str, str], certificates: Path, scheme: str
) -> None:
    """With the scheme, a body without a length, and no request lost at a stop; HTTP/1.1 as well."""
    settings = {**plugin, "PORT": str(free_port()), "PEGBOARD_HTTP2": "true"}
    has_tls = scheme == "https"
    trusted = ssl.create_default_context(cafile=certificates / "ca.pem") if has_tls else None
    if has_tls:
        settings |= tls_settings(certificates)
    with Listener(folder, **settings) as server:
        assert f"serves at {scheme}://127.0.0.1:{server.port}\n" in server.output
        client = Client(server.port, trusted)
        status, body = client.ask("POST", "/spoken", [b"one", b" two"])
        said = json.loads(body)
        assert 200 == status
        assert (scheme, "HTTP/2", "a.example") == (said["scheme"], said["protocol"], said["host"])
        assert "one two" == said["body"]
        assert "" == json.loads(client.ask("POST", "/spoken")[1])["body"]

        with closing(HTTPConnection("127.0.0.1", server.port)) as old:
            old.sock = socket.create_connection(("127.0.0.1", server.port), timeout=20)
            if has_tls:
                old.sock = ssl.create_default_context(cafile=certificates / "ca.pem").wrap_socket(
                    old.sock, server_hostname="127.0.0.1"
                )
            old.request("GET", "/spoken")
            assert "HTTP/1.1" == json.loads(old.getresponse().read())["protocol"]

        client.send("GET", "/wait")
        wait_until((server.directory / "begun").exists, "the request has begun")
        os.kill(server.pid, signal.SIGTERM)
        (server.directory / "may-end").touch()
        assert (200, b"waited") == client.receive()
        client.socket.close()
