"""Real proxies that cache and compress between clients and the service."""

import gzip
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPMessage
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from pegboard.testing.processes import Server, free_port
from pegboard.testing.services import LiveServer, run_pegboard

pytestmark = pytest.mark.slow

QUOTA = 1000

NGINX = """
daemon off;
pid {directory}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/bodies;
    proxy_temp_path {directory}/temporary;
    fastcgi_temp_path {directory}/unused;
    uwsgi_temp_path {directory}/unused;
    scgi_temp_path {directory}/unused;
    gzip on;
    gzip_types application/json;
    proxy_cache_path {directory}/cache keys_zone=answers:1m;
    proxy_cache_valid any 1m;
    server {{
        listen 127.0.0.1:{port};
        proxy_cache {cache};
        proxy_set_header X-Forwarded-For $http_x_client;
        add_header X-Proxy $upstream_cache_status always;
        location / {{
            proxy_pass http://127.0.0.1:{service};
        }}
        location /shop/ {{
            proxy_set_header X-Forwarded-For $http_x_client;
            proxy_set_header X-Forwarded-Prefix /shop;
            proxy_pass http://127.0.0.1:{service}/;
        }}
    }}
}}
"""

VARNISH = """
vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{service}"; }}
sub vcl_backend_fetch {{ set bereq.http.X-Forwarded-For = bereq.http.X-Client; }}
sub vcl_deliver {{ set resp.http.X-Proxy = obj.hits; }}
"""


@dataclass
class Reply:
    """What a client got."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The content of the body, decoded."""
        coded = self.headers["Content-Encoding"] == "gzip"
        return json.loads(gzip.decompress(self.body) if coded else self.body)


class Proxy(Server):
    """A proxy on a port of its own, in front of a service."""

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Send a request through it; `X_Client` is the client that the service is told of."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named["Content-Type"] = "application/json"
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"X-Client": "192.0.2.1", **named})
            response = connection.getresponse()
            return Reply(response.status, response.msg, response.read())


def nginx(service: LiveServer, cache: str = "answers") -> Proxy:
    """Return nginx, which compresses JSON, and caches unless `cache` is off."""
    port, directory = free_port(), Path(tempfile.mkdtemp(prefix="pegboard-"))
    directory.chmod(0o755)  # its workers are another user
    config = directory / "nginx.conf"
    config.write_text(
        NGINX.format(directory=directory, port=port, service=service.port, cache=cache)
    )
    command = [program("nginx"), "-e", "stderr", "-c", str(config)]
    return Proxy(command, port=port, directory=directory)


def varnish(service: LiveServer) -> Proxy:
    """Return Varnish as it is by default, which decodes for clients that accept no gzip."""
    port, directory = free_port(), Path(tempfile.mkdtemp(prefix="pegboard-"))
    directory.chmod(0o755)
    config = directory / "default.vcl"
    config.write_text(VARNISH.format(service=service.port))
    listen = ["-a", f"127.0.0.1:{port}", "-T", "none", "-j", "none"]
    command = [program("varnishd"), "-F", *listen, "-f", str(config), "-n", str(directory / "work")]
    return Proxy(command, port=port, directory=directory)


def program(name: str) -> str:
    """Return the path of a program; skips the test on a machine without it."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(scope="module")
def service() -> Iterator[LiveServer]:
    """The service behind the proxies."""
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/proxied.db"
        settings = {
            "DATABASE_URL": url,
            "PEGBOARD_PLUGINS": "items,ratelimit",
            "PEGBOARD_RATELIMIT_DEFAULT": f"{QUOTA}/hour",
            "PEGBOARD_TRUSTED_PROXIES": "1",
        }
        assert 0 == run_pegboard("db", "upgrade", directory=Path(directory), **settings).returncode
        with LiveServer(**settings) as server:
            yield server


@pytest.fixture(scope="module", params=[nginx, varnish], ids=["nginx", "varnish"])
def proxy(service: LiveServer, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """Each proxy."""
    with request.param(service) as server:
        yield server


@pytest.fixture(
    scope="module", params=[partial(nginx, cache="off"), varnish], ids=["nginx", "varnish"]
)
def coder(service: LiveServer, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """Each proxy; nginx without its cache, for which it would keep conditions to itself."""
    with request.param(service) as server:
        yield server


ACCEPTED = pytest.mark.parametrize("accepted", ["identity", "gzip"])


@ACCEPTED
def test_after_a_write_every_read_is_new(proxy: Proxy, accepted: str) -> None:
    """Of the item and of lists, and of what was not there before."""
    made = proxy.ask("POST", "/api/items/", {"name": "first"})
    path = made.headers["Location"]
    for number in range(5):
        sent = {"name": f"name {number}", "description": "x" * number * 1000}
        assert 200 == proxy.ask("PUT", path, sent).status
        for _ in range(2):
            assert sent["name"] == proxy.ask("GET", path, Accept_Encoding=accepted).json["name"]
            listed = proxy.ask("GET", "/api/items/?sort=-id", Accept_Encoding=accepted).json
            assert sent["name"] == listed[0]["name"]
    following = f"/api/items/{int(path.rpartition('/')[2]) + 1}"
    assert 404 == proxy.ask("GET", following).status
    assert following == proxy.ask("POST", "/api/items/", {"name": "next"}).headers["Location"]
    assert 200 == proxy.ask("GET", following).status
    proxy.ask("DELETE", following)
    assert 404 == proxy.ask("GET", following, Accept_Encoding=accepted).status


@pytest.mark.parametrize(
    "path", ["/health", "/health/ready", "/api/items/", "/nothing", "/openapi.json", "/docs"]
)
def test_nothing_is_given_from_the_proxys_cache(proxy: Proxy, path: str) -> None:
    """Each answer has the id of its own request."""
    found = [proxy.ask("GET", path).headers["X-Request-ID"] for _ in range(3)]
    assert 3 == len(set(found))


def test_what_may_be_kept_is_kept(proxy: Proxy) -> None:
    """So the other tests would notice a cache that does nothing."""
    path = f"/docs/assets/docs.js?v={version('pegboard')}"
    found = [proxy.ask("GET", path).headers["X-Request-ID"] for _ in range(3)]
    assert 1 == len(set(found))


def test_no_client_is_told_what_another_has_left(proxy: Proxy) -> None:
    """Whoever asks first."""
    path = proxy.ask("POST", "/api/items/", {"name": "counted"}).headers["Location"]
    for _ in range(3):
        proxy.ask("GET", path, X_Client="198.51.100.1")
    found = proxy.ask("GET", path, X_Client=f"198.51.100.{free_port() % 200 + 10}")
    assert f"r={QUOTA - 1};" in found.headers["RateLimit"]


@ACCEPTED
@pytest.mark.parametrize("description", ["", "long " * 1000], ids=["short", "long"])
def test_the_tag_that_a_client_was_given_works(
    coder: Proxy, description: str, accepted: str
) -> None:
    """For reading and for writing, although the proxy compresses or decodes."""
    item = {"name": "locked", "description": description}
    path = coder.ask("POST", "/api/items/", item).headers["Location"]
    tag = coder.ask("GET", path, Accept_Encoding=accepted).headers["ETag"]
    same = coder.ask("GET", path, Accept_Encoding=accepted, If_None_Match=tag)
    assert (304, b"") == (same.status, same.body)
    item["name"] = "written"
    put = coder.ask("PUT", path, item, Accept_Encoding=accepted, If_Match=tag)
    assert (200, "written") == (put.status, put.json["name"])
    assert 412 == coder.ask("PUT", path, item, If_Match=tag).status
    changed = put.headers["ETag"]
    assert 200 == coder.ask("GET", path, Accept_Encoding=accepted, If_None_Match=tag).status
    assert 204 == coder.ask("DELETE", path, If_Match=changed).status


def test_a_path_prefix_is_in_all_links(service: LiveServer) -> None:
    """A client that follows them comes back through the proxy."""
    with nginx(service) as proxy:
        redirect = proxy.ask("GET", "/shop/api/items")
        made = proxy.ask("POST", redirect.headers["Location"], {"name": "linked"})
        assert "linked" == proxy.ask("GET", made.headers["Location"]).json["name"]
        assert 201 == proxy.ask("POST", "/shop/api/items/", {"name": "next"}).status
        listed = proxy.ask("GET", "/shop/api/items/?after=&page_size=1")
        following = listed.headers["Link"].partition(">")[0].removeprefix("<")
        assert 200 == proxy.ask("GET", following).status
        page = proxy.ask("GET", "/shop/docs").body.decode()
        asset = page.partition('<script src="')[2].partition('"')[0]
        assert 200 == proxy.ask("GET", asset).status
        (server,) = proxy.ask("GET", "/shop/openapi.json").json["servers"]
        assert 200 == proxy.ask("GET", server["url"] + "/api/items/").status
