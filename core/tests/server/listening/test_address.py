"""Where a server listens; `tests/test_serve.py` has it serve."""

import socket

import pytest

from pegboard import StartupError
from pegboard.server import Address, find_address


@pytest.mark.parametrize(
    "address, url",
    [
        (Address("127.0.0.1", 80), "http://127.0.0.1:80"),
        (Address("::1", 8000), "http://[::1]:8000"),
    ],
)
def test_an_address_has_a_url(address, url):
    """One to click on in a terminal."""
    assert url == address.url


def test_a_name_is_looked_up_and_any_port_is_chosen():
    """Granian takes nothing but IP addresses."""
    address = find_address("localhost", 0)
    assert address.ip in {"127.0.0.1", "::1"}
    assert address.port


@pytest.mark.parametrize(
    "host,hint",
    [
        ("no.such.host.invalid", "HOST is not a name that can be looked up"),
        ("127.0.0.1:8000", "HOST is not a name that can be looked up"),
        ("x" * 64, "HOST is not a name that can be looked up"),  # longer than DNS allows
        ("192.0.2.1", "HOST is another machine's address"),
    ],
)
def test_an_address_that_is_not_ours_is_a_problem(host, hint):
    """With a hint for its cause."""
    with pytest.raises(StartupError, match=f"cannot listen on {host} port 0") as caught:
        find_address(host, 0)
    (problem,) = caught.value.problems
    assert "PB_ADDRESS_UNAVAILABLE" == problem.code
    assert problem.hint.startswith(hint)


def test_a_port_that_is_taken_is_a_problem_of_the_port():
    """The hint does not speak of the address."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(StartupError) as caught,
    ):
        find_address(*listener.getsockname())
    assert "Stop what listens there, or choose another PORT." == caught.value.problems[0].hint


def test_a_port_that_was_taken_after_it_was_found_is_the_same_problem():
    """Another service may start while this one is being checked."""
    address = find_address("127.0.0.1", 0)
    with (
        socket.create_server((address.ip, address.port)),
        pytest.raises(StartupError, match=f"cannot listen on 127.0.0.1 port {address.port}"),
        address.reserved(),
    ):
        pytest.fail("two servers share the port")


def test_ended_connections_of_another_server_do_not_keep_the_port():
    """The side that ends a connection first has it in TIME-WAIT for a minute (RFC 9293)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ip, port = listener.getsockname()
        with socket.create_connection((ip, port)) as client:
            listener.accept()[0].close()
            client.recv(1)
    with find_address(ip, port).reserved():
        pass


@pytest.mark.parametrize("anywhere, here", [("0.0.0.0", "127.0.0.1"), ("::", "::1")])
def test_a_server_that_listens_everywhere_is_found_here(anywhere, here):
    """To be told once it listens."""
    family = socket.AF_INET6 if ":" in here else socket.AF_INET
    with socket.create_server((here, 0), family=family) as listener:
        port = listener.getsockname()[1]
        assert Address(anywhere, port).is_listening()
    assert not Address(anywhere, port).is_listening()
