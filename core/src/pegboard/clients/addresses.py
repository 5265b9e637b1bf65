"""Parsing network addresses, and the headers in which proxies list them."""

import re
from collections.abc import Collection, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAX_LENGTH = 4096
"""Characters of a header that are read, from its right end, which the nearest proxy has written."""

_MAPPED_PREFIX_LENGTH = 96
"""Bits of the prefix of IPv4 addresses that are written as IPv6 (`::ffff:0:0/96`)."""

# RFC 7239, section 6: an address and its port, if any; an IPv6 address with a port is in brackets.
_WITH_PORT = re.compile(r"\[([^\[\]]*)\](?::\d{1,5})?|([\d.]+):\d{1,5}")
_FOR = re.compile(r'(?:^|;)\s*for=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+))\s*(?=;|$)', re.IGNORECASE)


def read_address(text: str) -> Address | None:
    """Parse an address, ignoring a port or zone; return None for text that is no address.

    An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is returned as IPv4.
    """
    text = text.strip()
    if found := _WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def read_network(text: str) -> Network:
    """Parse a network; an IPv4 network written as IPv6 is returned as IPv4.

    Raises `ValueError`.
    """
    network = ip_network(text)
    address = getattr(network.network_address, "ipv4_mapped", None)
    if address is None or network.prefixlen < _MAPPED_PREFIX_LENGTH:
        return network
    return IPv4Network((address, network.prefixlen - _MAPPED_PREFIX_LENGTH))


def share_of_all(networks: Collection[Network]) -> float:
    """Return the share of all addresses that networks have, of IPv4 or of IPv6, where it is more.

    1 is every address.
    """
    version_4 = [one for one in networks if isinstance(one, IPv4Network)]
    version_6 = [one for one in networks if isinstance(one, IPv6Network)]
    return max(
        sum(2.0**-one.prefixlen for one in collapse_addresses(version_4)),
        sum(2.0**-one.prefixlen for one in collapse_addresses(version_6)),
    )


def forwarded_for(header: str) -> Iterator[str]:
    """Yield the client that each proxy reports in `X-Forwarded-For`, nearest proxy first."""
    header, is_whole = _right_end(header)
    while header:
        header, comma, element = header.rpartition(",")
        yield element if comma or is_whole else ""


def forwarded(header: str) -> Iterator[str]:
    """Yield the client that each proxy reports in `Forwarded` (RFC 7239), nearest proxy first."""
    for element in _elements(header):
        found = _FOR.findall(element)
        # With two values it is not clear which of them the proxy has set.
        yield re.sub(r"\\(.)", r"\1", found[0][0]) or found[0][1] if len(found) == 1 else ""


def _elements(header: str) -> Iterator[str]:
    """Split at the commas outside of quotes, from the right.

    The nearest proxy appends on the right; read from there, a quote that a client left open on the
    left cannot hide what the proxy appended.
    """
    header, is_whole = _right_end(header)
    is_quoted = False
    end = len(header)
    for place in range(len(header) - 1, -1, -1):
        if header[place] == '"':
            is_quoted ^= not _is_escaped(header, place)
        elif header[place] == "," and not is_quoted:
            yield header[place + 1 : end]
            end = place
    yield header[:end] if is_whole else ""


def _right_end(header: str) -> tuple[str, bool]:
    """Return the part of a header that is read, and whether it is the whole header.

    Otherwise its first element is cut off and must be ignored: half an address is another address.
    """
    return header[-_MAX_LENGTH:], len(header) <= _MAX_LENGTH


def _is_escaped(text: str, place: int) -> bool:
    before = place
    while before and text[before - 1] == "\\":
        before -= 1
    return bool((place - before) % 2)
