"""Which requests are from one client: by identity, by address, behind proxies."""

import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pegboard
from pegboard.clients import Clients, TrustedProxies, client_key, client_of, get_clients
from pegboard.clients.identity import identity_key
from pegboard.testing.fixtures import MakeApp


def ask(clients: Clients, peer: str | None = "192.0.2.1", **headers: str) -> str:
    """Return the client of a request from the peer with the headers."""
    environ = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    if peer is not None:
        environ["REMOTE_ADDR"] = peer
    return clients.client_of(environ)


def behind(*trusted: str, header: str = "X-Forwarded-For") -> Clients:
    """Return the clients of a service behind these proxies."""
    return Clients(TrustedProxies.parse(trusted, header))


@pytest.mark.parametrize(
    "peer, client",
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:4711", "2001:db8::/64"),
        ("", "unknown"),
        (None, "unknown"),
        ("unix:/run/app.sock", "unknown"),
        ("/run/app.sock", "unknown"),
        ("localhost", "unknown"),
        ("1.2.3", "unknown"),
        ("0x7f.1", "unknown"),
        ("192.0.02.1", "unknown"),
    ],
)
def test_a_client_is_its_address_or_its_network(peer, client):
    """One customer of a provider gets a whole /64 of IPv6."""
    assert client == ask(Clients(), peer)


def test_200_addresses_of_one_network_are_one_client():
    """And those of the next network are another."""
    clients = Clients()
    found = {ask(clients, f"2001:db8:0:7::{number:x}") for number in range(1, 201)}

    assert {"2001:db8:0:7::/64"} == found
    assert "2001:db8:0:8::/64" == ask(clients, "2001:db8:0:8::1")


@pytest.mark.parametrize("name", ["x_forwarded_for", "forwarded", "x_real_ip", "client_ip"])
def test_without_a_trusted_proxy_no_header_counts(name):
    """200 values are one client."""
    clients = Clients()
    values = [f"198.51.100.{number}" for number in range(100)]
    values += [f"for={value}" for value in values]

    assert {"192.0.2.1"} == {ask(clients, **{name: value}) for value in values}


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_only_the_header_that_the_proxies_write_counts(header):
    """The proxy passes the other one from the client unchanged."""
    clients = behind("1", header=header)
    other = {"X-Forwarded-For": "forwarded", "Forwarded": "x_forwarded_for"}[header]

    assert "192.0.2.1" == ask(clients, **{other: "198.51.100.7"})
    assert "192.0.2.1" == ask(clients, **{other: "for=198.51.100.7"})


@pytest.mark.parametrize(
    "hops, header, client",
    [
        ("1", "198.51.100.7", "198.51.100.7"),
        ("1", "10.9.8.7, 198.51.100.7", "198.51.100.7"),
        ("1", "10.9.8.7,198.51.100.7", "198.51.100.7"),
        ("2", "10.9.8.7, 198.51.100.7, 203.0.113.5", "198.51.100.7"),
        ("2", "198.51.100.7", "198.51.100.7"),
        ("1", "198.51.100.7:4711", "198.51.100.7"),
        ("1", "2001:db8::7", "2001:db8::/64"),
        ("1", "[2001:db8::7]", "2001:db8::/64"),
        ("1", "[2001:db8::7]:4711", "2001:db8::/64"),
        ("1", "::ffff:198.51.100.7", "198.51.100.7"),
        ("1", "fe80::7%25eth0", "fe80::/64"),
        ("1", "198.51.100.7, unknown", "192.0.2.1"),
        ("1", "198.51.100.7, _hidden", "192.0.2.1"),
        ("1", "198.51.100.7,", "192.0.2.1"),
        ("1", "198.51.100.7, ", "192.0.2.1"),
        ("1", "198.51.100.7, 1.2.3.4.5", "192.0.2.1"),
        ("1", "198.51.100.7, [::1", "192.0.2.1"),
        ("1", '198.51.100.7, "1.2.3.4"', "192.0.2.1"),
        ("1", "198.51.100.7, 1.2.3.4\x00", "192.0.2.1"),
        ("1", "198.51.100.7, \uff11.2.3.4", "192.0.2.1"),
        ("2", "198.51.100.7, unknown, 203.0.113.5", "203.0.113.5"),
        ("2", "unknown, 203.0.113.5", "203.0.113.5"),
    ],
)
def test_a_number_of_proxies_counts_from_the_right(hops, header, client):
    """What a proxy reports that is no address leaves that proxy as the client."""
    assert client == ask(behind(hops), x_forwarded_for=header)


@pytest.mark.parametrize(
    "peer, header, client",
    [
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.2, ::1", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "198.51.100.7, bogus", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("", "198.51.100.7", "198.51.100.7"),
        (None, "198.51.100.7", "198.51.100.7"),
    ],
)
def test_networks_of_proxies_are_passed_over(peer, header, client):
    """From the right, up to the first address that is no proxy's."""
    clients = behind("10.0.0.0/8", "::1", "unix")

    assert client == ask(clients, peer, x_forwarded_for=header)


@pytest.mark.parametrize(
    "trusted, is_trusted",
    [
        ("::ffff:10.0.0.0/104", True),
        ("::ffff:10.0.0.1", True),
        ("::ffff:0:0/96", True),
        ("::ffff:11.0.0.0/104", False),
        ("::/0", False),
    ],
)
def test_a_network_of_ipv4_may_be_written_as_one_of_ipv6(trusted, is_trusted):
    """As its addresses may, when they call."""
    for peer in ("10.0.0.1", "::ffff:10.0.0.1"):
        client = ask(behind(trusted), peer, x_forwarded_for="198.51.100.7")
        assert ("198.51.100.7" if is_trusted else "10.0.0.1") == client


def test_a_socket_is_no_proxy_unless_it_is_trusted():
    """Networks do not cover it."""
    assert "unknown" == ask(behind("10.0.0.0/8"), "", x_forwarded_for="198.51.100.7")


@pytest.mark.parametrize(
    "header, client",
    [
        ("for=198.51.100.7", "198.51.100.7"),
        ("FOR=198.51.100.7;proto=https", "198.51.100.7"),
        ("by=10.0.0.1; for=198.51.100.7 ;host=a", "198.51.100.7"),
        ('for="[2001:db8::7]:4711";proto=https', "2001:db8::/64"),
        ('for="198.51.100.7:4711"', "198.51.100.7"),
        ("for=203.0.113.9, for=198.51.100.7", "198.51.100.7"),
        ('for=203.0.113.9,for="198.51.100.7"', "198.51.100.7"),
        ('for=", for=198.51.100.7', "198.51.100.7"),
        ('for="\\", for=198.51.100.7', "198.51.100.7"),
        ('for=198.51.100.7;host="a, for=203.0.113.9"', "198.51.100.7"),
        ('for=198.51.100.7;host="a\\", for=203.0.113.9;x=\\"b"', "198.51.100.7"),
        ("for=unknown", "192.0.2.1"),
        ("for=_hidden", "192.0.2.1"),
        ('for="_SEVKISEK"', "192.0.2.1"),
        ("proto=https", "192.0.2.1"),
        ("for=198.51.100.7;for=203.0.113.9", "192.0.2.1"),
        ("for=", "192.0.2.1"),
        ("198.51.100.7", "192.0.2.1"),
        ("xfor=198.51.100.7", "192.0.2.1"),
        ('host="for=198.51.100.7"', "192.0.2.1"),
        ('host=";for=198.51.100.7"', "192.0.2.1"),
    ],
)
def test_forwarded_is_read_as_rfc_7239_says(header, client):
    """Nothing that stands left of what the proxy added can swallow it."""
    assert client == ask(behind("1", header="Forwarded"), forwarded=header)


@pytest.mark.parametrize(
    "hops, client", [(16, "198.51.100.7"), (17, "10.0.0.1"), (3000, "10.0.0.1")]
)
@pytest.mark.parametrize("header, written", [("X-Forwarded-For", "{}"), ("Forwarded", "for={}")])
def test_a_chain_that_is_longer_than_any_is_not_believed(header, written, hops, client):
    """It is made up by a sender whose address is a proxy's: the peer counts, whatever it says."""
    proxies = [f"10.0.{number // 256}.{number % 256}" for number in range(2, hops + 1)]
    chain = ", ".join(written.format(one) for one in ["198.51.100.7", *proxies])
    clients = behind("10.0.0.0/8", header=header)

    assert client == ask(clients, "10.0.0.1", **{header.replace("-", "_"): chain})


@pytest.mark.parametrize("header, written", [("X-Forwarded-For", "{}"), ("Forwarded", "for={}")])
def test_only_the_right_end_of_a_long_header_is_read(header, written):
    """Whatever stands further left is not looked at, and half an address is none."""
    clients = behind("2", header=header)
    name = header.replace("-", "_")
    far = f"{written.format('203.0.113.5')}{' ' * 4100},{written.format('198.51.100.7')}"
    near = f",{written.format('198.51.100.7')}"
    cut = f"{written.format('203.0.113.5')}{' ' * (4096 - len(near) - 3)}{near}"

    assert "198.51.100.7" == ask(clients, **{name: far})
    assert "198.51.100.7" == ask(clients, **{name: cut})


ANYTHING = st.text(
    st.sampled_from('0123456789.:,;="\\[]%/ _-forunkw\x00é') | st.characters(), max_size=60
)


@pytest.mark.parametrize("sent", ['"', "\\", 'for="', 'for="a\\"', "for=1.2.3.4,", ";for=", " "])
def test_a_long_header_is_read_in_little_time_and_from_the_right(sent):
    """Whatever the client sends, what the proxy adds counts; behind the cut nobody is known."""
    header = sent * (31_000 // len(sent))
    began = time.thread_time()
    for _ in range(20):
        assert "198.51.100.7" == ask(
            behind("1", header="Forwarded"), forwarded=f"{header}, for=198.51.100.7"
        )
        ask(behind("2", header="Forwarded"), forwarded=f"{header}, for=198.51.100.7")
    assert 1.0 > time.thread_time() - began

    cut = f"for=203.0.113.5{' ' * 4100}, for=198.51.100.7"
    assert "198.51.100.7" == ask(behind("2", header="Forwarded"), forwarded=cut)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(forged=ANYTHING, header=st.sampled_from(["X-Forwarded-For", "Forwarded"]))
def test_nothing_that_a_client_sends_changes_what_the_proxy_adds(forged, header):
    """The nearest proxy appends; what stands before that is from the client."""
    added = {"X-Forwarded-For": "198.51.100.7", "Forwarded": "for=198.51.100.7"}[header]
    clients = behind("1", header=header)
    name = header.replace("-", "_")

    assert "198.51.100.7" == ask(clients, **{name: f"{forged}, {added}"})
    assert "198.51.100.7" == ask(clients, **{name: f"{forged},{added}"})


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(peer=ANYTHING, header=ANYTHING)
def test_every_request_has_a_client(peer, header):
    """Whatever its address and headers hold, nothing is raised."""
    for trusted in (("2",), ("::/0", "0.0.0.0/0", "unix")):
        for name in ("X-Forwarded-For", "Forwarded"):
            key = ask(behind(*trusted, header=name), peer, **{name.replace("-", "_"): header})
            assert key
            assert not key.startswith("user:")


def test_an_identity_comes_before_the_address():
    """Where it is not known, the address counts."""
    clients = Clients(identify=lambda environ: environ.get("HTTP_X_USER"))

    assert "user:alice" == ask(clients, x_user="alice")
    assert "192.0.2.1" == ask(clients)
    assert "192.0.2.1" == ask(clients, x_user="")


@pytest.mark.parametrize(
    "identity",
    ["a b", "{x}", "a\r\nb", "\0", "\ud800", "é", "#", "%41", "*", "team:a", "\U0001f642" * 200],
)
def test_an_odd_identity_is_escaped(identity):
    """So that no name can break the format of a key, and each can be read again."""
    key = identity_key(identity)

    assert re.fullmatch(r"user:[A-Za-z0-9._~@:+/=%-]+", key)
    assert identity == unquote(key.removeprefix("user:"), errors="surrogatepass")


@pytest.mark.parametrize("letter", ["x", "é", "\ud800"])
def test_of_a_long_identity_the_rest_is_hashed(letter):
    """So that no name can fill the memory, and rules know how it begins."""
    name = letter * 1_000_000
    key = identity_key(name)

    assert key.startswith(identity_key(letter * 200) + "#")
    assert 3_000 > len(key)
    assert key != identity_key(name + "x")
    assert key != identity_key(letter * 200)


NAMES = st.text(st.characters() | st.sampled_from("ax%#*:é\n\ud83d\ude42"), max_size=30)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(name=NAMES, other=NAMES)
def test_a_key_begins_as_the_identity_does(name, other):
    """And no two are the same."""
    assert identity_key(name + other).startswith(identity_key(name))
    assert (name == other) == (identity_key(name) == identity_key(other))


def test_nobody_can_have_the_name_of_another_key():
    """Neither an address's nor that of a long name."""
    assert "user:192.0.2.1" == identity_key("192.0.2.1")
    long = identity_key("x" * 201)
    assert long != identity_key(long.removeprefix("user:"))


def test_who_cannot_be_told_by_name_is_told_by_address(caplog):
    """A plugin that fails is logged, and the address counts."""

    def fail(environ: Mapping[str, Any]) -> str:
        raise RuntimeError

    assert "192.0.2.1" == ask(Clients(identify=fail))
    assert [logging.ERROR] == [record.levelno for record in caplog.records]
    assert "192.0.2.1" == ask(Clients(identify=lambda _: 7))  # type: ignore[arg-type,return-value]


def test_a_proxy_that_is_not_named_is_told_to_the_operator_once(caplog):
    """All its clients count as one, which is logged once; a public address is no proxy's."""
    clients = Clients()
    for peer in ("8.8.8.8", "10.0.0.1", "10.0.0.2", ""):
        ask(clients, peer, x_forwarded_for="198.51.100.7")

    assert [
        "all clients of the proxy at 10.0.0.1 count as one: set PEGBOARD_TRUSTED_PROXIES"
    ] == caplog.messages


@pytest.mark.parametrize(
    "networks,told",
    [
        ("0.0.0.0/0", "every address"),
        ("::/0", "every address"),
        ("0.0.0.0/1 128.0.0.0/1", "every address"),
        ("::ffff:0.0.0.0/97 128.0.0.0/2 192.0.0.0/2", "every address"),
        ("128.0.0.0/1", "a large part of all addresses"),
        ("2000::/3", "a large part of all addresses"),
    ],
)
def test_trust_in_every_address_is_told_to_the_operator(networks, told, caplog):
    """Once, when the app is built, however they are written: any client could be another."""
    behind("10.0.0.0/8", *networks.split())
    [message] = caplog.messages
    assert message.startswith(f"PEGBOARD_TRUSTED_PROXIES trusts {told}, so ")


def test_trust_in_private_networks_is_not_told(caplog):
    """Nor is trust in any number of proxies."""
    behind(
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fe80::/10"
    )
    behind("1")
    assert [] == caplog.messages


def test_what_is_remembered_is_bounded():
    """However many clients there are, and however long their headers."""
    clients = behind("1")
    for number in range(10_000):
        ask(clients, x_forwarded_for=f"10.0.{number // 256}.{number % 256}")
    ask(clients, x_forwarded_for="9" * 100_000)

    assert 4096 >= len(clients._keys)
    assert all(len("".join(key)) <= 256 for key in clients._keys)


@pytest.mark.parametrize(
    "value", ["17", "1,2", "-1", "10.0.0.1/8", "proxy", "10.0.0.0/33", "1.5", "::1,one"]
)
def test_proxies_that_cannot_be_read_stop_the_start(value):
    """With the setting's name."""
    with pytest.raises(pegboard.StartupError, match="TRUSTED_PROXIES"):
        pegboard.create_app({"ENV": "testing", "TRUSTED_PROXIES": value}, plugins=[])


@pytest.mark.parametrize(
    "name, key",
    [
        ("192.0.2.1", "192.0.2.1"),
        (" ::ffff:192.0.2.1 ", "192.0.2.1"),
        ("2001:db8::5", "2001:db8::/64"),
        ("2001:db8::/64", "2001:db8::/64"),
        ("user:alice", "user:alice"),
        ("user:é", identity_key("é")),
        ("user:a b ", identity_key("a b ")),
        ("unknown", "unknown"),
    ],
)
def test_an_operator_names_a_client_as_it_comes(name, key):
    """The key is the one that its requests have."""
    assert key == client_key(name)


@pytest.mark.parametrize("name", ["", "alice", "10.0.0.0/8", "2001:db8::/48", "1.2.3"])
def test_a_name_that_is_no_client_says_what_is(name):
    """An address, a user or unknown."""
    with pytest.raises(ValueError, match="no client"):
        client_key(name)


def test_the_app_tells_its_clients_apart(make_app):
    """By its settings and by the plugin that knows names."""

    class Names:
        name = "names"

        @pegboard.hookimpl
        def pegboard_client_identity(self) -> Any:
            return lambda environ: environ.get("HTTP_X_USER")

    app = make_app(plugins=[Names()], TRUSTED_PROXIES="10.0.0.0/8")
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "198.51.100.7"}

    assert "198.51.100.7" == client_of(environ, app)
    assert "user:alice" == client_of({**environ, "HTTP_X_USER": "alice"}, app)
    with app.app_context():
        assert "198.51.100.7" == client_of(environ)


class Knowing:
    """A plugin that knows the clients which send a header."""

    def __init__(self, name: str, header: str, answer: Callable[[str], Any] = str) -> None:
        self.name = name
        self.header = f"HTTP_{header.upper()}"
        self.answer = answer

    @pegboard.hookimpl
    def pegboard_client_identity(self):
        """Return a function that asks the header."""
        return lambda environ: self.header in environ and self.answer(environ[self.header])


def test_plugins_are_asked_for_an_identity_in_their_order(make_app: MakeApp):
    """The first that knows a client answers; if none does, the address counts."""
    app = make_app(plugins=[Knowing("tokens", "x_user"), Knowing("keys", "x_key")])
    clients = get_clients(app)
    assert "user:alice" == ask(clients, x_user="alice")
    assert "user:robot" == ask(clients, x_key="robot")
    assert "192.0.2.1" == ask(clients)
    order = [plugin.name for plugin in pegboard.get_registry(app).plugins]
    answers = {"tokens": "user:alice", "keys": "user:robot"}
    assert answers[order[0]] == ask(clients, x_user="alice", x_key="robot")


@pytest.mark.parametrize("answer", [int, len, lambda value: value.encode()])
def test_an_error_of_one_plugin_leaves_the_others_to_be_asked(make_app, caplog, answer):
    """It is logged with the plugin's name, also if the answer is no text."""
    app = make_app(plugins=[Knowing("alpha", "x_user", answer), Knowing("beta", "x_user")])
    assert "user:alice" == ask(get_clients(app), x_user="alice")
    assert "plugin alpha failed to identify the client" in caplog.text


def test_no_plugin_that_declines_makes_requests_wait(make_app: MakeApp):
    """An event loop may then tell clients apart."""

    class Declining:
        name = "declining"

        @pegboard.hookimpl
        def pegboard_client_identity(self):
            return None

    assert get_clients(make_app(plugins=[Declining()])).is_non_blocking
    assert not get_clients(make_app(plugins=[Knowing("keys", "x_key")])).is_non_blocking


def test_identities_that_never_wait_say_so(make_app: MakeApp):
    """One that does not, and is asked beside another, makes requests wait."""

    class Prompt(Knowing):
        @pegboard.hookimpl
        def pegboard_client_identity(self):
            """Return an object that has what to ask in memory."""
            return Identity()

    class Identity:
        is_non_blocking = True

        def __call__(self, environ: Mapping[str, Any]) -> str | None:
            return environ.get("HTTP_X_USER")

    prompt, other = Prompt("prompt", "x_user"), Knowing("keys", "x_key")
    clients = get_clients(make_app(plugins=[prompt]))
    assert clients.is_non_blocking
    assert "user:alice" == ask(clients, x_user="alice")
    assert not get_clients(make_app(plugins=[prompt, other])).is_non_blocking
