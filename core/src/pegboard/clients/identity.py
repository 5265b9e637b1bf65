"""Which client a request comes from: the identity that a plugin gives it, else its address.

A client cannot choose its address: it is that of the connection, or what a trusted proxy reports.
Of an IPv6 address only the network counts that a provider assigns to one customer.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Network
from typing import Any, TypeVar
from urllib.parse import quote

from flask import Flask

from pegboard.clients.addresses import Address, read_address, share_of_all
from pegboard.clients.proxies import TrustedProxies
from pegboard.extensions import get_extension

logger = logging.getLogger(__name__)

EXTENSION = "pegboard.clients"

Identify = Callable[[Mapping[str, Any]], str | None]
"""Returns the identity of a request's client, given the WSGI environment; None if unknown."""

UNKNOWN = "unknown"
"""The key of clients whose connection has no address, such as one through a Unix socket."""

IPV6_PREFIX_LENGTH = 64
"""Bits of an IPv6 address that tell one customer of a provider from another."""

_LARGE_SHARE = 1 / 16
"""Of all addresses: more than belong to any proxies; the whole Internet has 1/8 of IPv6."""

K = TypeVar("K")
V = TypeVar("V")

_IDENTITY_KEY = "pegboard.identity"
"""The key in the WSGI environment of what plugins have said who the client is."""

_USER_PREFIX = "user:"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._@:+/=-]{1,128}")
_MAX_NAME_LENGTH = 200
_MAX_CACHED = 4096
_MAX_CACHED_LENGTH = 256


class Clients:
    """Gives the clients of one app their keys, as in `user:alice`, by identity or by address."""

    def __init__(
        self, proxies: TrustedProxies | None = None, identify: Identify | None = None
    ) -> None:
        self._proxies = proxies or TrustedProxies()
        self._identify = identify
        self._variable = (
            "HTTP_" + self._proxies.header.upper().replace("-", "_") if self._proxies else None
        )
        self._keys: dict[tuple[str, str] | str, str] = {}
        self._addresses: dict[tuple[str, str], str | None] = {}
        self._has_warned = False
        share = share_of_all(self._proxies.networks)
        if share >= _LARGE_SHARE:
            logger.warning(
                "PEGBOARD_TRUSTED_PROXIES trusts %s, so each client may say that it is another: "
                "name the networks of the proxies, or their number",
                "every address" if share == 1 else "a large part of all addresses",
            )

    @property
    def is_non_blocking(self) -> bool:
        """Whether `client_of` never waits: no plugin is asked, or only such as never wait."""
        return self._identify is None or bool(getattr(self._identify, "is_non_blocking", False))

    def client_of(self, environ: Mapping[str, Any]) -> str:
        """Return the key of the client that sent a request, given its WSGI environment.

        It is `user:alice` where a plugin knows the client's name, else its address, else `unknown`.
        """
        if self._identify is not None:
            identity = self._identity(environ)
            if isinstance(environ, dict):
                environ[_IDENTITY_KEY] = identity
            if identity:
                return identity
        peer: str = environ.get("REMOTE_ADDR") or ""
        if self._variable is None or not (header := environ.get(self._variable)):
            if (key := self._keys.get(peer)) is not None:
                return key
            self._warn_of_unknown_proxy(peer, environ)
            return self._derive_key(peer, peer, "")
        return self._keys.get((peer, header)) or self._derive_key((peer, header), peer, header)

    def address_of(self, environ: Mapping[str, Any]) -> str | None:
        """Return the address of the client, behind trusted proxies; None if it has none."""
        peer: str = environ.get("REMOTE_ADDR") or ""
        header: str = "" if self._variable is None else environ.get(self._variable, "")
        key = peer, header
        try:
            return self._addresses[key]
        except KeyError:
            address = self._proxies.trace(peer, header)
            text = None if address is None else str(address)
            _remember(self._addresses, key, len(peer) + len(header), text)
            return text

    def has_trusted_peer(self, environ: Mapping[str, Any]) -> bool:
        """Return whether a request comes from a trusted proxy, whose headers can be believed."""
        peer = read_address(environ.get("REMOTE_ADDR") or "")
        return bool(self._proxies) and self._proxies.trust(peer, 0)

    def known_identity(self, environ: Mapping[str, Any]) -> str | None:
        """Return the name of the client, as its key has it after `user:`; None if it is not known.

        No plugin is asked that may have to wait, or that has been asked for this request before.
        """
        if self._identify is None:
            return None
        key: str | None = environ.get(_IDENTITY_KEY, "")
        if key == "":
            key = self._identity(environ) if self.is_non_blocking else None
        return key and key.removeprefix(_USER_PREFIX)

    def _identity(self, environ: Mapping[str, Any]) -> str | None:
        assert self._identify is not None
        try:
            identity = self._identify(environ)
            return identity_key(identity) if identity else None
        except Exception:
            logger.exception("a plugin failed to identify the client; its address counts")
            return None

    def _warn_of_unknown_proxy(self, peer: str, environ: Mapping[str, Any]) -> None:
        """Warn the operator, once, that all clients of a proxy that is not trusted count as one."""
        if self._proxies or self._has_warned or "HTTP_X_FORWARDED_FOR" not in environ:
            return
        address = read_address(peer)
        if address is None or address.is_private:
            self._has_warned = True
            logger.warning(
                "all clients of the proxy at %s count as one: set PEGBOARD_TRUSTED_PROXIES",
                address or "a Unix socket",
            )

    def _derive_key(self, key: tuple[str, str] | str, peer: str, header: str) -> str:
        client = address_key(self._proxies.trace(peer, header))
        _remember(self._keys, key, len(peer) + len(header), client)
        return client


def _remember(known: dict[K, V], key: K, length: int, value: V) -> None:
    """Keep what was found for a key of a request, if that is not too long."""
    if length <= _MAX_CACHED_LENGTH:
        if len(known) >= _MAX_CACHED:
            known.clear()
        known[key] = value


def ask_in_order(functions: Sequence[tuple[str, Identify]]) -> Identify | None:
    """Return what asks several functions in turn, of which the first that knows a client answers.

    Each comes with the name of its plugin, for the log: an error in one is logged, and the next is
    asked. Returns None if there is none to ask.
    """
    return _InOrder(functions) if functions else None


class _InOrder:
    """Asks the functions of plugins."""

    def __init__(self, functions: Sequence[tuple[str, Identify]]) -> None:
        self._functions = functions
        self.is_non_blocking = all(
            getattr(function, "is_non_blocking", False) for _, function in functions
        )
        """Whether each of them says that it never waits."""

    def time(self, timed: Callable[[str, str, Identify], Identify]) -> None:
        self._functions = [
            (plugin, timed(plugin, "client_identity", function))
            for plugin, function in self._functions
        ]

    def __call__(self, environ: Mapping[str, Any]) -> str | None:
        for plugin, function in self._functions:
            try:
                identity = function(environ)
                if identity and identity_key(identity):
                    return identity
            except Exception:
                logger.exception("plugin %s failed to identify the client", plugin)
        return None


def identity_key(identity: str) -> str:
    """Return the key of a client with this identity: `user:` and the name; never an address.

    It keeps the beginning of the name, so that a rule can match a prefix. Unusual characters are
    percent-encoded, and the end of a long name is replaced by its hash.
    """
    if _PLAIN_NAME.fullmatch(identity):
        return _USER_PREFIX + identity
    key = _USER_PREFIX + quote(identity[:_MAX_NAME_LENGTH], safe="@:+/=", errors="surrogatepass")
    if len(identity) > _MAX_NAME_LENGTH:
        digest = hashlib.sha256(identity.encode(errors="surrogatepass")).hexdigest()
        key += f"#{digest[:32]}"
    return key


def address_key(address: Address | None) -> str:
    """Return the key of the client at an address; of IPv6, that of its network."""
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), IPV6_PREFIX_LENGTH), strict=False))


def client_key(name: str) -> str:
    """Return the key of a client that an operator names: an address, `user:alice` or `unknown`.

    Raises `ValueError` for any other text, with a message for the operator.
    """
    if name.startswith(_USER_PREFIX):
        return identity_key(name.removeprefix(_USER_PREFIX))
    name = name.strip()
    if name == UNKNOWN:
        return UNKNOWN
    address = read_address(name.removesuffix(f"/{IPV6_PREFIX_LENGTH}") if ":" in name else name)
    if address is None:
        message = f"{name!r} is no client: an address, {_USER_PREFIX}NAME or {UNKNOWN}."
        raise ValueError(message)
    return address_key(address)


def init_clients(app: Flask, proxies: TrustedProxies, identify: Identify | None = None) -> None:
    """Give the app its `Clients`; `identify` asks the plugins."""
    app.extensions[EXTENSION] = Clients(proxies, identify)


def get_clients(app: Flask | None = None) -> Clients:
    """Return the app's `Clients`, for code that tells many requests apart; or the current app's.

    Raises `KeyError` for an app that `create_app` did not make.
    """
    clients: Clients = get_extension(app, EXTENSION, "get_clients(app)")
    return clients


def client_of(environ: Mapping[str, Any], app: Flask | None = None) -> str:
    """Return the key of a request's client, of the app given or of the current app.

    `environ` is the WSGI environment. The key is `user:alice` where a plugin knows the client's
    name, else `192.0.2.1` or `2001:db8::/64`, else `unknown`. It is ASCII without spaces and
    bounded in length: other characters of a name are percent-encoded, and of a name with more than
    200 characters the key has the first 200 and a hash of the whole.
    """
    return get_clients(app).client_of(environ)


def time_identity(app: Flask, timed: Callable[[str, str, Identify], Identify]) -> None:
    """Have the functions of plugins tell how long they take; `timed` returns one in place of each.

    That is given the names of the plugin and of the hook.
    """
    identify = get_clients(app)._identify  # noqa: SLF001 - not for plugins
    if isinstance(identify, _InOrder):
        identify.time(timed)
