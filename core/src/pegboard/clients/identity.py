"""Who calls: the identity that a plugin vouches for, else the network address.

A client cannot choose what it is told apart by: an address counts as the connection itself or a
trusted proxy reports it, and by the network that one customer of a provider gets.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Network
from typing import Any
from urllib.parse import quote

from flask import Flask, current_app

from pegboard.clients.addresses import (
    Address,
    Network,
    forwarded,
    forwarded_for,
    read_address,
    read_network,
)

logger = logging.getLogger(__name__)

EXTENSION = "pegboard.clients"

Identify = Callable[[Mapping[str, Any]], str | None]
"""Says from a WSGI environment who calls, or None when it does not know."""

UNKNOWN = "unknown"
"""The client whose connection has no address, such as one through a Unix socket."""

HEADERS = {"X-Forwarded-For": forwarded_for, "Forwarded": forwarded}
"""The headers in which a proxy can say who called it, and how each is read."""

MAX_HOPS = 16
"""How many proxies stand one behind the other at most; what a request costs is bounded by it."""

CUSTOMER = 64
"""Bits of an IPv6 address that a provider gives to one customer."""

_UNIX = "unix"
_USER = "user:"
_PLAIN = re.compile(r"[A-Za-z0-9._@:+/=-]{1,128}")
_LONGEST_NAME = 200
_REMEMBERED = 4096
_LONGEST_REMEMBERED = 256


@dataclass(frozen=True)
class Proxies:
    """Which proxies are trusted to say who called them; none by default."""

    hops: int = 0
    networks: tuple[Network, ...] = ()
    unix: bool = False
    header: str = "X-Forwarded-For"

    @classmethod
    def parse(cls, values: Sequence[str], header: str = "X-Forwarded-For") -> "Proxies":
        """Read `["1"]`, a number of proxies, or `["10.0.0.0/8", "::1", "unix"]`, who they are.

        Raises `ValueError` with a sentence for the operator.
        """
        if len(values) == 1 and re.fullmatch(r"\d{1,3}", values[0]):
            hops = int(values[0])
            if hops > MAX_HOPS:
                message = f"{hops} proxies one behind the other are too many: at most {MAX_HOPS}."
                raise ValueError(message)
            return cls(hops=hops, header=header)
        try:
            networks = tuple(read_network(value) for value in values if value != _UNIX)
        except ValueError as error:
            message = f"Neither a number of proxies nor networks, as in 10.0.0.0/8,::1: {error}."
            raise ValueError(message) from None
        return cls(networks=networks, unix=_UNIX in values, header=header)

    def __bool__(self) -> bool:
        return bool(self.hops or self.networks or self.unix)

    def trust(self, address: Address | None, hop: int) -> bool:
        """Tell whether the peer so many hops away may say who called it."""
        if self.hops:
            return hop < self.hops
        if address is None:
            return self.unix
        return any(address in network for network in self.networks)

    def trace(self, peer: str, header: str) -> Address | None:
        """Return the address of the client behind the trusted proxies.

        What a proxy reports that is no address leaves the client unknown, and the proxy in its
        place. No chain of proxies is longer than `MAX_HOPS`: one that is was made up by somebody
        within their networks, and leaves the peer.
        """
        nearest = client = read_address(peer)
        for hop, reported in enumerate(HEADERS[self.header](header)):
            if not self.trust(client, hop):
                break
            if hop == MAX_HOPS:
                return nearest
            address = read_address(reported)
            if address is None:
                break
            client = address
        return client


class Clients:
    """Tells the clients of one app apart, by the identity that a plugin gives or by address."""

    def __init__(self, proxies: Proxies | None = None, identify: Identify | None = None) -> None:
        self._proxies = proxies or Proxies()
        self._identify = identify
        self._variable = (
            "HTTP_" + self._proxies.header.upper().replace("-", "_") if self._proxies else None
        )
        self._known: dict[tuple[str, str] | str, str] = {}
        self._has_hinted = False

    @property
    def is_non_blocking(self) -> bool:
        """Whether `client_of` never waits, as no plugin is asked for an identity."""
        return self._identify is None

    def client_of(self, environ: Mapping[str, Any]) -> str:
        """Return what stands for the client of a request, as `client_of` of this package does."""
        if self._identify is not None:
            identity = self._identity(environ)
            if identity:
                return identity
        peer: str = environ.get("REMOTE_ADDR") or ""
        if self._variable is None or not (header := environ.get(self._variable)):
            if (known := self._known.get(peer)) is not None:
                return known
            self._hint(peer, environ)
            return self._remember(peer, peer, "")
        return self._known.get((peer, header)) or self._remember((peer, header), peer, header)

    def _identity(self, environ: Mapping[str, Any]) -> str | None:
        assert self._identify is not None
        try:
            identity = self._identify(environ)
            return identity_key(identity) if identity else None
        except Exception:
            # Who cannot be told by name is still told by address.
            logger.exception("the client's identity cannot be told")
            return None

    def _hint(self, peer: str, environ: Mapping[str, Any]) -> None:
        """Tell the operator, once, that a proxy's clients are all one."""
        if self._proxies or self._has_hinted or "HTTP_X_FORWARDED_FOR" not in environ:
            return
        address = read_address(peer)
        if address is None or address.is_private:
            self._has_hinted = True
            logger.warning(
                "all clients of the proxy at %s count as one: set PEGBOARD_TRUSTED_PROXIES",
                address or "a Unix socket",
            )

    def _remember(self, key: tuple[str, str] | str, peer: str, header: str) -> str:
        client = address_key(self._proxies.trace(peer, header))
        if len(peer) + len(header) <= _LONGEST_REMEMBERED:
            if len(self._known) >= _REMEMBERED:
                self._known = {}
            self._known[key] = client
        return client


def identity_key(identity: str) -> str:
    """Return what stands for somebody who is known by name; never what an address has.

    It begins as the name does, so that a rule can be for all names that begin in a way. What is odd
    is percent-encoded, and of a long name the rest is told by its hash.
    """
    if _PLAIN.fullmatch(identity):
        return _USER + identity
    key = _USER + quote(identity[:_LONGEST_NAME], safe="@:+/=", errors="surrogatepass")
    if len(identity) > _LONGEST_NAME:
        digest = hashlib.sha256(identity.encode(errors="surrogatepass")).hexdigest()
        key += f"#{digest[:32]}"
    return key


def address_key(address: Address | None) -> str:
    """Return what stands for whoever calls from the address."""
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), CUSTOMER), strict=False))


def client_key(name: str) -> str:
    """Return what stands for a client that an operator names by address or as `user:alice`.

    Raises `ValueError` for any other text, with a message for the operator.
    """
    if name.startswith(_USER):
        return identity_key(name.removeprefix(_USER))
    name = name.strip()
    if name == UNKNOWN:
        return UNKNOWN
    address = read_address(name.removesuffix(f"/{CUSTOMER}") if ":" in name else name)
    if address is None:
        message = f"{name!r} is no client: an address, {_USER}NAME or {UNKNOWN}."
        raise ValueError(message)
    return address_key(address)


def init_clients(app: Flask, proxies: Proxies, identify: Identify | None = None) -> None:
    """Tell the clients of the app apart."""
    app.extensions[EXTENSION] = Clients(proxies, identify)


def get_clients(app: Flask | None = None) -> Clients:
    """Return the app's `Clients`, for code that tells many requests apart; or the current app's.

    Raises `KeyError` for an app that `create_app` did not make.
    """
    clients: Clients = (app or current_app).extensions[EXTENSION]
    return clients


def client_of(environ: Mapping[str, Any], app: Flask | None = None) -> str:
    """Return what stands for the client of a request to the app, or to the current app.

    It is `user:alice` where a plugin knows the client's name, else `192.0.2.1` or `2001:db8::/64`,
    else `unknown`. It is ASCII without spaces and bounded in length: other characters of a name are
    percent-encoded, and a hash takes the place of what follows its first 200.
    """
    return get_clients(app).client_of(environ)
