"""The sockets of this process, which Granian keeps to itself: counted, held off, kept alive.

Granian asks for no TCP keep-alive, and bounds no buffer. `prepare_connections` can go when it does.
"""

import ctypes
import os
import socket
import stat
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

from pegboard.server.listening.address import Address
from pegboard.server.listening.unix_socket import UnixAddress, stop_accepting

_TICK = 0.02
_UNSENT = 128 * 1024
"""Bytes of answers that the kernel takes for a connection before it has sent them."""
_SO_ATTACH_FILTER = 26
# A classic BPF program on the TCP header: a segment whose flags are SYN without ACK is dropped,
# every other one is let through. See Documentation/networking/filter.rst of Linux.
_DROP_NEW_CONNECTIONS = (
    (0x30, 0, 0, 13),  # load the byte of the flags
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # only SYN?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # accept
)


def hold_off(address: Address | UnixAddress) -> None:
    """Drop what asks to connect to this process's listening sockets of an address.

    Clients are not refused: their kernel tries again after a second, or another worker serves them,
    with which this one shares a Unix socket. To close the sockets instead would reset the
    connections that wait to be accepted.
    """
    if sys.platform != "linux":
        return
    if isinstance(address, UnixAddress):
        stop_accepting([number for number, one in endpoints(address) if _is_listening(one)])
        return
    steps = b"".join(struct.pack("HBBI", *step) for step in _DROP_NEW_CONNECTIONS)
    buffer = ctypes.create_string_buffer(steps)
    program = struct.pack("HP", len(_DROP_NEW_CONNECTIONS), ctypes.addressof(buffer))
    for listener in _listeners(address):
        with suppress(OSError):  # a sandbox may forbid it; then some clients see a reset
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def leave_to_parent(address: Address | UnixAddress) -> None:
    """Close the sockets of an address in a process that a view or a plugin has forked.

    Else the kernel gives it a share of the connections to the port when its parent has ended, and
    nobody accepts them; and clients do not learn that the parent has closed theirs.
    """
    if sys.platform == "linux":
        for number in [number for number, _ in endpoints(address)]:
            os.close(number)


def prepare_connections(address: Address | UnixAddress) -> None:
    """Wait until this process listens on a port, then set options of its connections.

    Accepted connections take them over from the listening socket. Without TCP keep-alive that of a
    client which lost its network in the middle of a request stays for good. And without a bound the
    kernel takes megabytes in advance, and then nothing until a third of them are sent: a client
    that reads slowly and steadily seemed to take nothing for minutes.
    """
    if sys.platform != "linux" or isinstance(address, UnixAddress):
        return
    is_listening = False
    while not is_listening:
        time.sleep(_TICK)
        for listener in _listeners(address):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
            is_listening = True


def count_connections(address: Address | UnixAddress) -> int:
    """Return how many connections this process has open; elsewhere than on Linux 1."""
    if sys.platform != "linux":
        return 1
    return sum(_is_connected(endpoint) for _, endpoint in endpoints(address))


def endpoints(address: Address | UnixAddress) -> Iterator[tuple[int, socket.socket]]:
    """Yield this process's sockets of an address, which Granian keeps to itself.

    Each is a copy, with the file descriptor of the original.
    """
    for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - only the names are wanted
        with suppress(OSError):  # closed meanwhile
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            with socket.socket(fileno=os.dup(number)) as endpoint:
                if address.owns(endpoint):
                    yield number, endpoint


def _listeners(address: Address | UnixAddress) -> Iterator[socket.socket]:
    return (endpoint for _, endpoint in endpoints(address) if _is_listening(endpoint))


def _is_listening(endpoint: socket.socket) -> bool:
    return bool(endpoint.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _is_connected(endpoint: socket.socket) -> bool:
    try:
        endpoint.getpeername()
    except OSError:
        return False
    return True
