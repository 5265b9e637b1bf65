"""The trusted proxies: which peers may say which client a request comes from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pegboard.clients.addresses import (
    Address,
    Network,
    forwarded,
    forwarded_for,
    read_address,
    read_network,
)

PROXY_HEADERS = {"X-Forwarded-For": forwarded_for, "Forwarded": forwarded}
"""The headers in which a proxy can name its client, and how each is read."""

MAX_HOPS = 16
"""The longest chain of proxies that is followed, so that the cost of a request is bounded."""

_UNIX = "unix"


@dataclass(frozen=True)
class TrustedProxies:
    """The proxies that are trusted to name their client; none by default.

    They are told by their number (`hops`), or by their addresses (`networks`) and `unix`, which
    means a connection through a Unix socket.
    """

    hops: int = 0
    """The number of proxies between a client and the service."""
    networks: tuple[Network, ...] = ()
    """The addresses of the proxies."""
    unix: bool = False
    """Whether a connection through a Unix socket comes from a proxy."""
    header: str = "X-Forwarded-For"
    """The header in which the proxies name their client."""

    @classmethod
    def parse(cls, values: Sequence[str], header: str = "X-Forwarded-For") -> "TrustedProxies":
        """Read a number of proxies, `["1"]`, or their addresses, `["10.0.0.0/8", "::1", "unix"]`.

        Raises `ValueError` with a sentence for the operator.
        """
        if len(values) == 1 and re.fullmatch(r"\d{1,3}", values[0]):
            hops = int(values[0])
            if hops > MAX_HOPS:
                message = f"{hops} proxies one behind the other are too many: at most {MAX_HOPS}."
                raise ValueError(message)
            return cls(hops=hops, header=header)
        networks, wrong = [], []
        for value in values:
            try:
                networks += [] if value == _UNIX else [read_network(value)]
            except ValueError as error:
                wrong.append(str(error))
        if wrong:
            found = "; ".join(wrong)
            message = f"Neither a number of proxies nor networks, as in 10.0.0.0/8,::1: {found}."
            raise ValueError(message)
        return cls(networks=tuple(networks), unix=_UNIX in values, header=header)

    def __bool__(self) -> bool:
        return bool(self.hops or self.networks or self.unix)

    def trust(self, address: Address | None, hop: int) -> bool:
        """Return whether the peer, `hop` proxies away, is one that may name its client."""
        if self.hops:
            return hop < self.hops
        if address is None:
            return self.unix
        return any(address in network for network in self.networks)

    def trace(self, peer: str, header: str) -> Address | None:
        """Return the address of the client behind the trusted proxies; None if it has none.

        `peer` is the address of the connection, `header` the value of the proxies' header. A proxy
        that reports no address counts as the client itself. A chain of more than `MAX_HOPS` was
        made up by a sender within the trusted networks: then the peer is the client.
        """
        nearest = client = read_address(peer)
        for hop, reported in enumerate(PROXY_HEADERS[self.header](header)):
            if not self.trust(client, hop):
                break
            if hop == MAX_HOPS:
                return nearest
            address = read_address(reported)
            if address is None:
                break
            client = address
        return client
