"""Where a server is to listen, as a setting says it."""

import pytest

from pegboard import StartupError, create_app
from pegboard.http import Endpoint, parse_endpoint


@pytest.mark.parametrize(
    "text,host,port,reach",
    [
        ("9000", "127.0.0.1", 9000, "loopback"),
        (":9000", "127.0.0.1", 9000, "loopback"),
        ("127.0.0.2:9000", "127.0.0.2", 9000, "loopback"),
        ("localhost:0", "localhost", 0, "loopback"),
        ("[::1]:9000", "::1", 9000, "loopback"),
        ("[::]:9000", "::", 9000, "network"),
        ("0.0.0.0:9000", "0.0.0.0", 9000, "network"),
        ("pod.example:65535", "pod.example", 65535, "network"),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int, reach: str):
    """A port alone is the loopback's: who wants more says so."""
    endpoint = parse_endpoint(text)
    assert endpoint is not None
    assert (host, port, "", reach == "loopback") == (*endpoint, endpoint.is_loopback)
    assert endpoint == parse_endpoint(str(endpoint))


def test_a_unix_socket_is_read():
    """Its path is absolute, as a service may be started anywhere."""
    assert Endpoint("", 0, "/run/x.sock") == parse_endpoint("unix:/run/x.sock")


@pytest.mark.parametrize("text", ["", "off"])
def test_there_may_be_none(text: str):
    """As it is by default."""
    assert parse_endpoint(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("on", "http://127.0.0.1:9000", "127.0.0.1", "127.0.0.1:", "::1:9000", "[::1]"),
        *(
            "[x]:9000",
            "65536",
            "-1",
            "9000 ",
            "0x9000",
            "\u0669\u0660\u0660\u0660",
            "a b:9000",
            "u@h:9000",
        ),
        *("unix:", "unix:run/x.sock", "unix:/run/", "unix:/run/\0", f"unix:/{'x' * 100}"),
    ],
)
def test_anything_else_stops_the_start(text: str):
    """The message names the setting, and what may be written."""
    with pytest.raises(StartupError, match=r"setting MANAGEMENT .* is not allowed") as caught:
        create_app({"ENV": "testing", "MANAGEMENT": text}, plugins=[])
    assert "PB_SETTING_INVALID" == caught.value.problems[0].code
