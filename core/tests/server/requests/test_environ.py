"""The WSGI environment of a request that came by ASGI; `tests/test_serve.py` compares servers."""

from typing import Any

import pytest

from pegboard.server.requests.environ import Scope, environ_of


def environ(*headers: tuple[bytes, bytes], **changes: Any) -> dict[str, Any]:
    """Make the environment of a request."""
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": headers,
        "client": ("192.0.2.1", 50000),
        "server": ("192.0.2.2", 8000),
    }
    scope.update(changes)  # type: ignore[typeddict-item]  # some of its keys
    return environ_of(scope)


@pytest.mark.parametrize(
    "raw,expected",
    [
        (b"/a/b", "/a/b"),
        (b"/a%20b%2Fc", "/a b/c"),
        (b"/st%C3%A4ge", "/st\xc3\xa4ge"),
        ("/stäge".encode(), "/st\xc3\xa4ge"),
        (b"/%ff\xfe", "/\xff\xfe"),
        (b"/100%", "/100%"),
        (b"/%zz%4", "/%zz%4"),
        (b"/%2525", "/%25"),
        (b"//a/../b", "//a/../b"),
        (b"/a+b", "/a+b"),
        (b"*", "*"),
    ],
)
def test_a_path_is_decoded_once_and_kept_in_latin_1(raw: bytes, expected: str):
    """As PEP 3333 wants every byte kept; what is no escape stays as it is."""
    assert expected == environ(raw_path=raw)["PATH_INFO"]


def test_a_query_string_is_left_as_it_is():
    """The code that reads it decodes it."""
    assert "a=%20&b=\xc3\xa4+" == environ(query_string="a=%20&b=ä+".encode())["QUERY_STRING"]


def test_what_every_environment_has():
    """The variables that PEP 3333 demands, and where client and server are."""
    found = environ(method="PUT", scheme="https", http_version="1.0")
    expected = {
        "REQUEST_METHOD": "PUT",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.0",
        "SERVER_NAME": "192.0.2.2",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "50000",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    assert expected == {name: found[name] for name in expected}
    assert b"" == found["wsgi.input"].read()
    assert found["wsgi.errors"].write
    assert {"CONTENT_TYPE", "CONTENT_LENGTH"}.isdisjoint(found)


@pytest.mark.parametrize(
    "version,expected", [("1", "HTTP/1.0"), ("1.0", "HTTP/1.0"), ("1.1", "HTTP/1.1")]
)
def test_a_protocol_has_its_whole_version(version: str, expected: str):
    """Granian leaves out the zero."""
    assert expected == environ(http_version=version)["SERVER_PROTOCOL"]


@pytest.mark.parametrize("address", ["203.0.113.9", "2001:db8::9", "::ffff:203.0.113.9"])
def test_an_address_of_either_kind_is_the_clients(address: str):
    """Without brackets, as WSGI has it."""
    found = environ(client=(address, 1), server=("::1", 8000))
    assert (address, "1", "::1") == (
        found["REMOTE_ADDR"],
        found["REMOTE_PORT"],
        found["SERVER_NAME"],
    )


def test_who_has_no_address_has_none():
    """As at a Unix socket."""
    assert {"REMOTE_ADDR", "SERVER_NAME"}.isdisjoint(environ(client=None, server=None))


def test_headers_become_variables():
    """Two of them have names of their own; values are latin-1."""
    found = environ(
        (b"content-type", b"text/plain"),
        (b"content-length", b"5"),
        (b"x-forwarded-for", b"203.0.113.9"),
        (b"x-name", "Jürgen".encode("latin-1")),
        (b"x-utf-8", "Jürgen".encode()),
    )
    expected = {
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "5",
        "HTTP_X_FORWARDED_FOR": "203.0.113.9",
        "HTTP_X_NAME": "Jürgen",
        "HTTP_X_UTF_8": "J\xc3\xbcrgen",
    }
    assert expected == {name: found[name] for name in expected}
    assert {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"}.isdisjoint(found)


@pytest.mark.parametrize("name", [b"x_forwarded_for", b"x-forwarded_for", b"content_length", b"_"])
def test_a_header_that_could_pass_itself_off_as_another_is_dropped(name: bytes):
    """With or without the one it would forge, whichever comes first, however often."""
    genuine = (b"x-forwarded-for", b"192.0.2.9")
    for _ in range(2):
        assert "HTTP_X_FORWARDED_FOR" not in environ((name, b"forged"))
        for headers in [[genuine, (name, b"7")], [(name, b"7"), genuine]]:
            found = environ(*headers)
            assert "192.0.2.9" == found["HTTP_X_FORWARDED_FOR"]
            assert "7" not in found.values()


def test_a_repeated_header_is_joined():
    """By a comma, but cookies by a semicolon (RFC 9110, 5.3, and RFC 9113, 8.2.3)."""
    found = environ(
        (b"accept", b"a"),
        (b"cookie", b"a=1"),
        (b"accept", b"b"),
        (b"cookie", b"b=2"),
        (b"accept", b""),
    )
    assert ("a,b,", "a=1; b=2") == (found["HTTP_ACCEPT"], found["HTTP_COOKIE"])


def test_names_without_end_are_not_remembered(monkeypatch: pytest.MonkeyPatch):
    """A client that invents names costs no memory; what is not remembered is as right."""
    from pegboard.server.requests import environ as scope  # noqa: PLC0415 - to look inside

    monkeypatch.setattr(scope, "_variables", dict(scope._variables))
    for number in range(3000):
        assert "v" == environ((b"x-n%d" % number, b"v"))[f"HTTP_X_N{number}"]
    long = b"x-" + b"a" * 1000
    assert "v" == environ((long, b"v"))["HTTP_X_" + "A" * 1000]
    assert len(scope._variables) <= 1024
    assert long not in scope._variables


def test_a_body_of_http2_may_come_without_a_length():
    """Where there is no length the request is read as one in chunks; a GET has no body."""
    sent = environ(http_version="2", method="POST")
    assert ("HTTP/2", "chunked") == (sent["SERVER_PROTOCOL"], sent["HTTP_TRANSFER_ENCODING"])
    measured = environ((b"content-length", b"3"), http_version="2", method="POST")
    assert "HTTP_TRANSFER_ENCODING" not in measured
    assert "HTTP_TRANSFER_ENCODING" not in environ(http_version="2")


def test_a_unix_socket_has_no_address():
    """Nor a name, so that of this machine stands in for it in a request without `Host`."""
    sent = environ(server=("/run/http.sock", "0"), client=("", "0"))
    assert ("localhost", "80", "") == (
        sent["SERVER_NAME"],
        sent["SERVER_PORT"],
        sent["REMOTE_ADDR"],
    )
