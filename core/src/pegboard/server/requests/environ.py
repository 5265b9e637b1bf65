"""Converts the scope of an ASGI request into a WSGI environment (PEP 3333)."""

import io
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import unquote_to_bytes

from pegboard.http import HEADERS_SIZE_KEY

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
"""Methods of requests whose body means nothing (RFC 9110, section 9.3)."""

_SHORT = 256
"""Bytes of a header that is not counted: the server takes a hundred of them at most."""

_KNOWN_NAMES = 1024
_LONGEST_NAME = 64


class Scope(TypedDict):
    """The keys used of an HTTP connection scope (ASGI, "HTTP & WebSocket")."""

    type: str
    http_version: str
    method: str
    scheme: str
    path: str
    raw_path: bytes
    query_string: bytes
    headers: Iterable[tuple[bytes, bytes]]
    client: tuple[str, Any] | None
    server: tuple[str, Any] | None


_ALWAYS: "WSGIEnvironment" = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
}
_variables: dict[bytes, str] = {
    b"content-type": "CONTENT_TYPE",
    b"content-length": "CONTENT_LENGTH",
}


def environ_of(scope: Scope) -> "WSGIEnvironment":
    """Return the environment of a request; its `wsgi.input` is empty."""
    raw_path, version = scope["raw_path"], scope["http_version"]
    environ: WSGIEnvironment = {
        **_ALWAYS,
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": (unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path).decode(
            "latin-1"
        ),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        # Granian calls the version 1.0 just 1.
        "SERVER_PROTOCOL": "HTTP/1.0" if version == "1" else "HTTP/" + version,
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(),
    }
    if (server := scope["server"]) is not None:
        environ["SERVER_NAME"], environ["SERVER_PORT"] = server[0], str(server[1])
        if server[0].startswith("/"):  # a Unix socket has no name that a URL could have
            environ["SERVER_NAME"], environ["SERVER_PORT"] = "localhost", "80"
    if (client := scope["client"]) is not None:
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = client[0], str(client[1])
    long = len(raw_path) + len(scope["query_string"])
    for name, value in scope["headers"]:
        if len(value) > _SHORT:
            long += len(value)
        variable = _variables.get(name) or _variable(name)
        if not variable:
            continue
        text = value.decode("latin-1")
        if variable in environ:
            text = environ[variable] + ("; " if name == b"cookie" else ",") + text
        environ[variable] = text
    environ[HEADERS_SIZE_KEY] = long
    if not environ.get("HTTP_HOST", "none"):
        del environ["HTTP_HOST"]  # Granian adds an empty one
    has_length = "CONTENT_LENGTH" in environ
    if version == "2" and not has_length and scope["method"] not in WITHOUT_BODY:
        # Whether there is a body is not known before its end, as in a body in chunks.
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    return environ


def _variable(name: bytes) -> str:
    """Return the variable for a header; empty for `X_Name`, which would be taken for `X-Name`."""
    if b"_" in name:
        return ""
    variable = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
    if len(_variables) < _KNOWN_NAMES and len(name) <= _LONGEST_NAME:
        _variables[name] = variable
    return variable


def has_body(environ: "WSGIEnvironment") -> bool:
    """Return whether a request has a body, or may have one."""
    return (
        environ.get("CONTENT_LENGTH", "0") not in {"", "0"} or "HTTP_TRANSFER_ENCODING" in environ
    )
