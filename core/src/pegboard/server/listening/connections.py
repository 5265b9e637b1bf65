"""Closes connections that keep others out: of slow senders, and of clients that have too many.

Granian has one time-out, from an answer to the end of the next request's headers. So that is as
long as a connection may be idle, and what is closed before that is closed here: the kernel tells
when a connection has last sent and received something. It can go when Granian has a time-out for
idle connections and a bound for those of one client.
"""

import asyncio
import fcntl
import logging
import os
import socket
import struct
import sys
import termios
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from pegboard.clients import TrustedProxies, address_key, read_address
from pegboard.server.listening.address import Address
from pegboard.server.listening.sockets import endpoints

logger = logging.getLogger(__name__)

CAN_SEE_CONNECTIONS = sys.platform == "linux"
"""Whether connections can be looked at; elsewhere an idle one ends with the headers' time-out."""

Peer = tuple[str, str]
"""The address and port of a client, as Granian tells them."""

_LONGEST_PAUSE = 1.0
_MOST_TIME = 0.02
"""The share of the time, at most, that is spent with looking, unless a client has too many."""

_UNUSED = 1.0
"""Seconds after which a connection without a request is closed if its client has too many."""

# Places in `struct tcp_info` of Linux: when something was last sent and, after another number, last
# received, in milliseconds before now; and how many bytes were acknowledged and received.
_LAST_SENT, _BYTES, _SIZE_OF_INFO = 44, 120, 136


@dataclass(frozen=True)
class ConnectionLimits:
    """What a worker allows its clients."""

    header_timeout: float
    """Seconds in which the headers of a request must arrive."""
    per_client: int
    """Connections of one address, of IPv6 of one network (/64); 0 is any number."""
    is_http2: bool
    """Whether clients may speak HTTP/2, and so send what is no request."""
    proxies: TrustedProxies
    """Who may have any number, as it speaks for many clients."""


class ConnectionWatch:
    """The thread that closes connections of one worker."""

    def __init__(
        self,
        address: Address,
        limits: ConnectionLimits,
        serving: Mapping[Peer | None, int],
        arriving: Mapping[Peer | None, int],
        asked: set[Peer | None],
    ) -> None:
        """Prepare it; `serving` are the clients of requests that are under way, and how many each.

        `arriving` are those of requests whose bodies have not come, which are under way as well;
        `asked` the clients of all requests, of which those go here whose connections have ended.
        """
        self._address = address
        self._limits = limits
        self._serving = serving
        self._arriving = arriving
        self._asked = asked
        self._unanswered: dict[Peer, float] = {}
        """Since when a client has sent no request, or something that was not answered yet."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at the connections from now on."""
        if CAN_SEE_CONNECTIONS:
            threading.Thread(
                target=self._run, args=(loop,), name="pegboard-connections", daemon=True
            ).start()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        shortest = pause = min(_LONGEST_PAUSE, self._limits.header_timeout / 2)
        while not loop.is_closed():
            time.sleep(pause)
            began = time.thread_time()
            is_flooded = False
            try:
                is_flooded = self.look(partial(_call_on, loop))
            except Exception:  # the next time it may succeed
                logger.exception("connections could not be looked at")
            took = time.thread_time() - began
            pause = shortest if is_flooded else max(shortest, took / _MOST_TIME)

    def look(self, on_loop: Callable[[Callable[[], None]], object]) -> bool:
        """Close what is to be closed; `on_loop` calls a function on the event loop.

        Returns whether clients have too many connections, so that others may wait for a place.
        """
        now = time.monotonic()
        had_asked = self._asked.copy()
        connected = [*self._connections()]
        self._asked.difference_update(had_asked.difference(one.peer for one in connected))
        # What Granian has not read may be a request.
        found = [one for one in connected if not one.is_unread]
        self._unanswered = {
            one.peer: self._unanswered.get(one.peer, now) for one in found if one.is_unanswered
        }
        slow = [one for one in found if self._is_slow(one, now)]
        surplus = [*self._surplus(found, now)]
        for connections, is_used, reason in (
            (slow, self._is_serving, _TOO_SLOW),
            (surplus, self._is_answering, _TOO_MANY),
        ):
            if connections:
                # Not at once: the event loop may have requests that it has not begun.
                on_loop(partial(self._close, connections, is_used, reason))
        return bool(surplus)

    def _connections(self) -> "Iterator[_Connection]":
        for descriptor, endpoint in endpoints(self._address):
            try:
                peer = _peer_of(endpoint)
                info = endpoint.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE_OF_INFO)
            except OSError:  # it listens, or has ended meanwhile
                continue
            if len(info) == _SIZE_OF_INFO:
                one = _Connection(peer, descriptor, info, has_asked=peer in self._asked)
                one.is_unread = _is_unread(endpoint)
                yield one

    def _is_slow(self, one: "_Connection", now: float) -> bool:
        limit = self._limits.header_timeout
        if self._is_serving(one) or not one.is_unanswered:
            return False
        waited = now - self._unanswered[one.peer]
        if not one.has_asked:
            return max(waited, one.answered_ago) >= limit
        return not self._limits.is_http2 and min(waited, one.answered_ago) >= limit

    def _surplus(self, found: "Iterable[_Connection]", now: float) -> "Iterator[_Connection]":
        """Yield the connections that clients have beyond their number, the longest unused first.

        One whose client owes the rest of its request is unused, too, whatever it sends meanwhile;
        it comes after those on which no request is on its way.
        """
        limit, proxies = self._limits.per_client, self._limits.proxies
        if not limit or proxies.hops:
            return
        by_client: dict[str, list[_Connection]] = defaultdict(list)
        for one in found:
            address = read_address(one.peer[0])
            if not proxies.trust(address, 0):
                by_client[address_key(address)].append(one)
        for connections in by_client.values():
            surplus = len(connections) - limit
            if surplus <= 0:
                continue
            waiting = [one for one in connections if not self._is_answering(one)]
            waiting.sort(key=lambda one: (one.is_halfway, self._unused_since(one, now)))
            longest = waiting[:surplus]
            yield from (one for one in longest if now - self._unused_since(one, now) >= _UNUSED)

    def _unused_since(self, one: "_Connection", now: float) -> float:
        if not one.has_asked:
            return now - one.answered_ago
        # Of a connection that is busy, each look may see another request that is unanswered.
        unanswered = self._unanswered.get(one.peer, now - one.silent_for)
        return max(unanswered, now - one.answered_ago)

    def _close(
        self,
        connections: "Iterable[_Connection]",
        is_used: "Callable[[_Connection], bool]",
        reason: str,
    ) -> None:
        """Close connections that are still not used, and on which no first request has come."""
        closed = [
            one
            for one in connections
            if one.has_asked == (one.peer in self._asked) and not is_used(one) and one.close()
        ]
        if closed:
            logger.info("%d connections are closed: %s", len(closed), reason)
            logger.debug("closed: %s", sorted({one.peer[0] for one in closed}))

    def _is_serving(self, one: "_Connection") -> bool:
        """Return whether a request of a connection is under way."""
        return one.peer in self._serving

    def _is_answering(self, one: "_Connection") -> bool:
        """Return whether a request of a connection is under way whose body has come."""
        return self._serving.get(one.peer, 0) > self._arriving.get(one.peer, 0)


_TOO_SLOW = "the headers of a request did not arrive in time"
_TOO_MANY = "their clients have more than they may"


class _Connection:
    """A connection as it was when it was looked at."""

    __slots__ = (
        "_counts",
        "_descriptor",
        "answered_ago",
        "has_asked",
        "is_unread",
        "peer",
        "received_ago",
    )

    answered_ago: float
    received_ago: float
    is_unread: bool
    """Whether Granian has not read what has come."""

    def __init__(self, peer: Peer, descriptor: int, info: bytes, *, has_asked: bool) -> None:
        self.peer = peer
        self.has_asked = has_asked
        """Whether a request has come: else what was sent is no answer, as the handshake of TLS."""
        self._descriptor = descriptor
        sent, _, received = struct.unpack_from("III", info, _LAST_SENT)
        self.answered_ago, self.received_ago = sent / 1000, received / 1000
        """Seconds since something was last sent to the client, and came from it."""
        self._counts = _counts(info)

    @property
    def is_unanswered(self) -> bool:
        """Whether no request has come, or something after what was last sent.

        The kernel tells times to some milliseconds. An answer that is given faster than that counts
        as the last; so does one behind which the next request begins at once, and then stops.
        """
        return not self.has_asked or self.received_ago < self.answered_ago

    @property
    def is_halfway(self) -> bool:
        """Whether something has come after an answer, as a part of the next request."""
        return self.has_asked and self.is_unanswered

    @property
    def silent_for(self) -> float:
        """Seconds for which nothing was sent in either direction."""
        return min(self.answered_ago, self.received_ago)

    def close(self) -> bool:
        """Close it, if nothing has been sent on it meanwhile; returns whether it was."""
        try:
            with socket.socket(fileno=os.dup(self._descriptor)) as twin:
                info = twin.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE_OF_INFO)
                # The number of the descriptor may be that of another connection by now.
                if _peer_of(twin) != self.peer or _counts(info) != self._counts:
                    return False
                twin.shutdown(socket.SHUT_RDWR)  # Granian notices that, and closes it
        except OSError:
            return False
        return True


def _counts(info: bytes) -> tuple[int, int]:
    """Return how many bytes the client has acknowledged, and how many came from it."""
    found: tuple[int, int] = struct.unpack_from("QQ", info, _BYTES)
    return found


def _is_unread(endpoint: socket.socket) -> bool:
    """Return whether Granian has not read what has come, so that it may be a request."""
    return fcntl.ioctl(endpoint, termios.FIONREAD, bytes(4)) != bytes(4)


def _peer_of(endpoint: socket.socket) -> Peer:
    """Return the client of a connection. Raises `OSError` if it has none."""
    host, port = endpoint.getpeername()[:2]
    return host.partition("%")[0], str(port)


def _call_on(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # it is closed
        loop.call_soon_threadsafe(function)
