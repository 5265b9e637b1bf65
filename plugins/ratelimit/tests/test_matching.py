"""Whom and what rules are about."""

import pytest
from werkzeug.routing import Map, Rule

from pegboard_ratelimit.rules import ClientPattern
from pegboard_ratelimit.rules.matching import MatchError, RoutePattern, parse_methods


@pytest.mark.parametrize(
    "text, client, is_covered",
    [
        ("*", "192.0.2.1", True),
        ("", "user:alice", True),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1/32", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("10.0.0.0/8", "10.9.8.7", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8", "user:10.9.8.7", False),
        ("10.0.0.0/8", "2001:db8::/64", False),
        ("10.0.0.0/8", "unknown", False),
        ("0.0.0.0/0", "10.9.8.7", True),
        ("2001:db8::7", "2001:db8::/64", True),
        ("2001:db8::/64", "2001:db8::/64", True),
        ("2001:db8::/32", "2001:db8:1:2::/64", True),
        ("2001:db8::/32", "2001:db9::/64", False),
        ("user:alice", "user:alice", True),
        ("user:alice", "user:alicia", False),
        ("user:team-*", "user:team-7", True),
        ("user:*", "192.0.2.1", False),
        ("unknown", "unknown", True),
    ],
)
def test_clients_are_an_address_a_network_or_a_name(text, client, is_covered):
    """An address of IPv6 means its /64, as that is one client."""
    assert is_covered == ClientPattern.parse(text).covers(client)


@pytest.mark.parametrize(
    "text",
    [
        *("alice", "10.0.0.1/8", "10.0.0.0/33", "2001:db8::/65", "2001:db8::1/128", "1.2.3"),
        *("10.0.0.*", "a/b", "::ffff:10.0.0.0/104"),
    ],
)
def test_clients_that_cannot_be_read_say_so(text):
    """In a sentence that quotes them."""
    with pytest.raises(MatchError, match=r".+\.$"):
        ClientPattern.parse(text)


def test_who_is_fewer_comes_first():
    """A client, the smaller network, the longer name, anyone."""
    texts = ["10.0.0.1", "10.0.0.0/31", "10.0.0.0/8", "0.0.0.0/0", "*"]

    assert texts == sorted(texts, key=lambda text: ClientPattern.parse(text).rank, reverse=True)
    assert ClientPattern.parse("2001:db8::/48").rank > ClientPattern.parse("2001:db8::/32").rank
    assert (
        ClientPattern.parse("user:team-*").rank
        > ClientPattern.parse("user:*").rank
        > ClientPattern.parse("*").rank
    )


@pytest.mark.parametrize(
    "text, is_covered",
    [
        ("*", True),
        ("/api/things/<int:id>", True),
        ("/api/things/{anything}", True),
        ("/api/things/*", True),
        ("/api/*", True),
        ("*/items/*", False),
        ("*/things/*", True),
        ("*/things/{id}", True),
        ("/*/*/*", True),
        ("/*i*i*", True),
        ("/api*api/*", False),
        ("/api/things/{}{}", False),
        ("/api/things/{}*{}", False),
        ("/api/" + 64 * "*i" + "!", False),
        ("/" + 190 * "*", True),
        ("/" + 190 * "*" + "!", False),
        ("*things*", False),
        ("/api/things/", False),
        ("/api/things/7", False),
        ("/api/things", False),
        ("items.Item", True),
        ("items.*", True),
        ("*.Item", True),
        ("items", False),
        ("things.Things", False),
        ("itemsxItem", False),
    ],
)
def test_routes_are_a_path_or_an_endpoint(text, is_covered):
    """A star in it stands for anything, the name of a variable does not matter.

    What has a slash is a path.
    """
    rule = Rule("/api/things/<int:item_id>", endpoint="items.Item")
    Map([rule])

    assert is_covered == RoutePattern.parse(text).covers(rule)


def test_only_everything_is_about_no_route():
    """Requests that match no route."""
    assert RoutePattern.parse("*").covers(None)
    assert not RoutePattern.parse("/*").covers(None)


def test_what_is_fewer_routes_comes_first():
    """A route, the longer pattern, everything."""
    texts = ["/a/{id}", "/api/things/*", "/api/*", "*"]

    assert texts == sorted(texts, key=lambda text: RoutePattern.parse(text).rank, reverse=True)


@pytest.mark.parametrize("text", ["/a b", "/a\nb", "/a\x00"])
def test_routes_that_cannot_be_read_say_so(text):
    """In a sentence that quotes them."""
    with pytest.raises(MatchError, match=r".+\.$"):
        RoutePattern.parse(text)


def test_methods_are_named():
    """HEAD is GET, and nothing is any."""
    assert {"GET", "POST"} == parse_methods("head, post|GET")
    assert frozenset() == parse_methods("*") == parse_methods("")
    with pytest.raises(MatchError, match="FETCH"):
        parse_methods("GET,FETCH")


@pytest.mark.parametrize("text", ["HEAD", "head,post"])
def test_a_rule_for_head_alone_says_that_there_is_none(text):
    """It would limit GET, which nobody has asked for."""
    with pytest.raises(MatchError, match=r"HEAD counts as GET.*name GET"):
        parse_methods(text)
