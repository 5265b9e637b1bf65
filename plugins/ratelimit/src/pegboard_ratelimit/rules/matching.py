"""Patterns for clients, routes and methods, and which of two patterns is more specific."""

import re
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import unquote

from werkzeug.routing import Rule as URLRule

from pegboard.clients import client_key

ANYTHING = "*"

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Methods that a rule can name; HEAD counts as GET and may only be named along with it."""

_ANY, _SOME, _ONE = range(3)

_VARIABLE = re.compile(r"<[^<>]*>|\{[^{}]*\}")
_ROUTE = re.compile(r"[^\s\x00-\x1f\x7f]+")

Rank = tuple[int, int]
"""How specific a pattern is; the greater wins."""


class MatchError(ValueError):
    """Raised for a pattern that cannot be read; the message is a sentence saying why."""


@dataclass(frozen=True)
class ClientPattern:
    """All clients, those of a network or with a name prefix, or a single one."""

    text: str = ANYTHING
    """In the form of `pegboard.clients.client_key`, which percent-encodes unusual letters."""

    @classmethod
    def parse(cls, text: str) -> "ClientPattern":
        """Read `*`, an address, a network, `user:alice` or `user:team-*`."""
        text = text.strip() or ANYTHING
        if text == ANYTHING:
            return cls()
        if text.startswith("user:") and text.endswith("*"):
            return cls(client_key(text.removesuffix(ANYTHING)) + ANYTHING)
        try:
            return cls(client_key(text))
        except ValueError as error:
            problem = str(error)
        try:
            network = ip_network(text)
        except ValueError:
            if "/" in text:
                message = f"{text!r} is not a network, such as 10.0.0.0/8 or 2001:db8::/32."
                raise MatchError(message) from None
            message = f"{problem.removesuffix('.')}, a network, user:PREFIX* or {ANYTHING}."
            raise MatchError(message) from None
        client = client_key(str(network.network_address))
        smallest = ip_network(client)
        if smallest.version != network.version:
            message = f"{text!r}: write it as an IPv4 network."
            raise MatchError(message)
        if network.prefixlen > smallest.prefixlen:
            message = f"{text!r} is part of {smallest}, which counts as one client."
            raise MatchError(message)
        return cls(client if network == smallest else str(network))

    def __str__(self) -> str:
        return unquote(self.text, errors="surrogatepass")

    @property
    def is_anyone(self) -> bool:
        """Whether it covers all clients."""
        return self.text == ANYTHING

    @cached_property
    def network(self) -> IPv4Network | IPv6Network | None:
        """The network; None for a single client, a name or everyone."""
        try:
            found = ip_network(self.text)
        except ValueError:
            return None
        return None if client_key(str(found.network_address)) == self.text else found

    @property
    def rank(self) -> Rank:
        """A single client, then a network or prefix (the smaller first), then everyone."""
        if self.is_anyone:
            return (_ANY, 0)
        if self.network is not None:
            widest = 32 if isinstance(self.network, IPv4Network) else 128
            return (_SOME, 128 - widest + self.network.prefixlen)
        return (_SOME, len(self.text)) if self.text.endswith("*") else (_ONE, 0)

    def covers(self, client: str) -> bool:
        """Tell whether it covers a client, given as its key."""
        if self.is_anyone or self.text == client:
            return True
        if self.text.endswith("*"):
            return client.startswith(self.text[:-1])
        if self.network is None or client.startswith("user:"):
            return False
        try:
            address = ip_network(client)
        except ValueError:
            return False
        return address.version == self.network.version and (address.network_address in self.network)


@dataclass(frozen=True)
class RoutePattern:
    """All routes, those whose path or endpoint matches a pattern, or a single one."""

    text: str = ANYTHING

    @classmethod
    def parse(cls, text: str) -> "RoutePattern":
        """Read `*`, a path such as `/api/items/{id}`, an endpoint such as `items.Items`.

        In both, `*` stands for any text. A text with a slash is a path.
        """
        text = text.strip() or ANYTHING
        if not _ROUTE.fullmatch(text):
            message = (
                f"{text!r} is not a route: write a path, an endpoint or a pattern with {ANYTHING}."
            )
            raise MatchError(message)
        return cls(text)

    @property
    def is_anywhere(self) -> bool:
        """Whether it covers all routes, and requests that match no route."""
        return self.text == ANYTHING

    @property
    def rank(self) -> Rank:
        """A single route, then a pattern (the longer first), then everything."""
        if self.is_anywhere:
            return (_ANY, 0)
        return (_SOME, len(self.shape)) if ANYTHING in self.text else (_ONE, 0)

    def covers(self, rule: URLRule | None) -> bool:
        """Tell whether it covers a route; None is a request that matches no route."""
        if rule is None or self.is_anywhere:
            return self.is_anywhere
        subject = shape(rule.rule) if "/" in self.text else str(rule.endpoint)
        return _consists_of(subject, self.shape.split(ANYTHING))

    @cached_property
    def shape(self) -> str:
        """The text without the names of variables; patterns of one shape cover the same."""
        return shape(self.text)


def _consists_of(text: str, parts: list[str]) -> bool:
    """Tell whether a text is these parts in their order, with any text in between.

    A regular expression with many parts could take exponential time.
    """
    first, *middle = parts
    if not middle:
        return text == first
    last = middle.pop()
    place, end = len(first), len(text) - len(last)
    if place > end or not text.startswith(first) or not text.endswith(last):
        return False
    for part in middle:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


def shape(path: str) -> str:
    """Return a path without the names of its variables."""
    return _VARIABLE.sub("{}", path)


def counted_as(method: str) -> str:
    """Return the method that a request is counted as: GET for HEAD, else the method itself."""
    return "GET" if method == "HEAD" else method


def parse_methods(text: str) -> frozenset[str]:
    """Read `GET` or `POST,PUT`; `*` and the empty text mean any, for which the set is empty."""
    names = frozenset(name.strip().upper() for name in re.split(r"[,|]", text)) - {"", ANYTHING}
    if "HEAD" in names and "GET" not in names:
        # It would limit GET too, which was not asked for.
        message = "HEAD counts as GET, in one budget: name GET, which covers both."
        raise MatchError(message)
    names = frozenset(map(counted_as, names))
    if unknown := sorted(names - set(METHODS)):
        message = f"{', '.join(unknown)} is not one of the methods {', '.join(METHODS)}."
        raise MatchError(message)
    return names
