"""Who calls: the client of a request, by its identity or its address behind trusted proxies."""

from pegboard.clients.identity import (
    HEADERS,
    Clients,
    Proxies,
    client_key,
    client_of,
    get_clients,
    init_clients,
)

__all__ = [
    "HEADERS",
    "Clients",
    "Proxies",
    "client_key",
    "client_of",
    "get_clients",
    "init_clients",
]
