"""Network addresses as they stand in the environment of a request and in its headers."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LONGEST = 4096
"""Characters of a header that are read: what is further on the left is a client's own talk."""

_MAPPED = 96
"""Bits that addresses of IPv4 have in common when they are written as ones of IPv6."""

# RFC 7239, section 6: an address, its port if any; one of IPv6 in brackets where there is a port.
_WITH_PORT = re.compile(r"\[([^\[\]]*)\](?::\d{1,5})?|([\d.]+):\d{1,5}")
_FOR = re.compile(r'(?:^|;)\s*for=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+))\s*(?=;|$)', re.IGNORECASE)


def read_address(text: str) -> Address | None:
    """Read an address, whatever port or zone is written with it; None when it is none.

    One of IPv4 that is written as one of IPv6 is one of IPv4.
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
    """Read a network; one of IPv4 that is written as one of IPv6 is one of IPv4.

    Raises `ValueError`.
    """
    network = ip_network(text)
    address = getattr(network.network_address, "ipv4_mapped", None)
    if address is None or network.prefixlen < _MAPPED:
        return network
    return IPv4Network((address, network.prefixlen - _MAPPED))


def forwarded_for(header: str) -> Iterator[str]:
    """Yield who each proxy was called by, the nearest proxy first, from `X-Forwarded-For`."""
    header, is_whole = _right_end(header)
    while header:
        header, comma, element = header.rpartition(",")
        yield element if comma or is_whole else ""


def forwarded(header: str) -> Iterator[str]:
    """Yield who each proxy was called by, the nearest proxy first, from `Forwarded` (RFC 7239)."""
    for element in _elements(header):
        found = _FOR.findall(element)
        # Of two values, the proxy has vouched for neither.
        yield re.sub(r"\\(.)", r"\1", found[0][0]) or found[0][1] if len(found) == 1 else ""


def _elements(header: str) -> Iterator[str]:
    """Split at the commas outside of quotes, from the right.

    What the nearest proxy has added is on the right. From there, a quote that a client left open
    on the left cannot swallow it.
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
    """Return as much of a header as is read, and whether that is all.

    Else its first element is cut, and says nothing: half an address is another address.
    """
    return header[-_LONGEST:], len(header) <= _LONGEST


def _is_escaped(text: str, place: int) -> bool:
    before = place
    while before and text[before - 1] == "\\":
        before -= 1
    return bool((place - before) % 2)
