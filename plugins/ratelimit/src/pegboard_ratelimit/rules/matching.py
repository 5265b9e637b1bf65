"""Whom and what a rule is about, and which of two rules is about less."""

import re
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import unquote

from werkzeug.routing import Rule as URLRule

from pegboard.clients import client_key

ANYTHING = "*"

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Methods that a rule can be for; HEAD counts as GET, and may stand beside it."""

_ANY, _SOME, _ONE = range(3)

_VARIABLE = re.compile(r"<[^<>]*>|\{[^{}]*\}")
_ROUTE = re.compile(r"[^\s\x00-\x1f\x7f]+")

Rank = tuple[int, int]
"""How special something is: the greater comes first."""


class MatchError(ValueError):
    """Raised for what cannot be matched; says in a sentence what is wrong with it."""


@dataclass(frozen=True)
class Who:
    """Clients: all, those of a network or whose name begins in a way, or a single one."""

    text: str = ANYTHING
    """As in what stands for a client, where odd letters of a name are percent-encoded."""

    @classmethod
    def parse(cls, text: str) -> "Who":
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
                message = f"{text!r} is no network, such as 10.0.0.0/8 or 2001:db8::/32."
                raise MatchError(message) from None
            message = f"{problem.removesuffix('.')}, a network, user:PREFIX* or {ANYTHING}."
            raise MatchError(message) from None
        client = client_key(str(network.network_address))
        smallest = ip_network(client)
        if smallest.version != network.version:
            message = f"{text!r}: write it as a network of IPv4."
            raise MatchError(message)
        if network.prefixlen > smallest.prefixlen:
            message = f"{text!r} is a part of {smallest}, which is one client."
            raise MatchError(message)
        return cls(client if network == smallest else str(network))

    def __str__(self) -> str:
        return unquote(self.text, errors="surrogatepass")

    @property
    def is_anyone(self) -> bool:
        """Whether it means all clients."""
        return self.text == ANYTHING

    @cached_property
    def network(self) -> IPv4Network | IPv6Network | None:
        """The network, unless it is a single client."""
        try:
            found = ip_network(self.text)
        except ValueError:
            return None
        return None if client_key(str(found.network_address)) == self.text else found

    @property
    def rank(self) -> Rank:
        """A client before a network, the smaller network before the larger."""
        if self.is_anyone:
            return (_ANY, 0)
        if self.network is not None:
            widest = 32 if isinstance(self.network, IPv4Network) else 128
            return (_SOME, 128 - widest + self.network.prefixlen)
        return (_SOME, len(self.text)) if self.text.endswith("*") else (_ONE, 0)

    def covers(self, client: str) -> bool:
        """Tell whether a client is one of these."""
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
class Where:
    """Routes: all, those whose path or endpoint has a shape, or a single one."""

    text: str = ANYTHING

    @classmethod
    def parse(cls, text: str) -> "Where":
        """Read `*`, a path such as `/api/items/{id}`, an endpoint such as `items.Items`.

        In both, `*` stands for anything. What has a slash is a path.
        """
        text = text.strip() or ANYTHING
        if not _ROUTE.fullmatch(text):
            message = f"{text!r} is no route: a path, an endpoint, or part of one with {ANYTHING}."
            raise MatchError(message)
        return cls(text)

    @property
    def is_anywhere(self) -> bool:
        """Whether it means all routes, and requests that match none."""
        return self.text == ANYTHING

    @property
    def rank(self) -> Rank:
        """A single route before several, the longer pattern before the shorter."""
        if self.is_anywhere:
            return (_ANY, 0)
        return (_SOME, len(self.shape)) if ANYTHING in self.text else (_ONE, 0)

    def covers(self, rule: URLRule | None) -> bool:
        """Tell whether a route is one of these; None is a request that matches no route."""
        if rule is None or self.is_anywhere:
            return self.is_anywhere
        subject = shape(rule.rule) if "/" in self.text else str(rule.endpoint)
        return _consists_of(subject, self.shape.split(ANYTHING))

    @cached_property
    def shape(self) -> str:
        """Itself without the names of variables: where it is the same, two are one place."""
        return shape(self.text)


def _consists_of(text: str, parts: list[str]) -> bool:
    """Return whether a text is these parts, in their order, with anything in between.

    Not by a regular expression: with many parts it could search for ever.
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
    """Return the method that a rule knows: nobody escapes the limit of GET by HEAD."""
    return "GET" if method == "HEAD" else method


def parse_methods(text: str) -> frozenset[str]:
    """Read `GET` or `POST,PUT`; `*` or nothing is any, for which the set is empty."""
    names = frozenset(name.strip().upper() for name in re.split(r"[,|]", text)) - {"", ANYTHING}
    if "HEAD" in names and "GET" not in names:
        # It would limit GET, which nobody has asked for.
        message = "HEAD counts as GET, in one budget: name GET, which covers both."
        raise MatchError(message)
    names = frozenset(map(counted_as, names))
    if unknown := sorted(names - set(METHODS)):
        message = f"{', '.join(unknown)} is none of the methods {', '.join(METHODS)}."
        raise MatchError(message)
    return names
