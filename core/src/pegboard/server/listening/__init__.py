"""Where the production server listens, and the connections that it has there."""

from pegboard.server.listening.address import Address, find_address, find_endpoint
from pegboard.server.listening.connections import (
    CAN_SEE_CONNECTIONS,
    ConnectionLimits,
    ConnectionWatch,
)
from pegboard.server.listening.sockets import (
    count_connections,
    hold_off,
    leave_to_parent,
    prepare_connections,
)
from pegboard.server.listening.tls import TLS, ServedTLS, Transport
from pegboard.server.listening.unix_socket import UnixAddress, UnixListener

__all__ = [
    "CAN_SEE_CONNECTIONS",
    "TLS",
    "Address",
    "ConnectionLimits",
    "ConnectionWatch",
    "ServedTLS",
    "Transport",
    "UnixAddress",
    "UnixListener",
    "count_connections",
    "find_address",
    "find_endpoint",
    "hold_off",
    "leave_to_parent",
    "prepare_connections",
]
