"""Who calls: the client of a request, by its identity or its address behind trusted proxies.

What `__all__` lists is public; the other names are for the packages of the core.
"""

from pegboard.clients.identity import HEADERS as HEADERS
from pegboard.clients.identity import Clients, client_key, client_of, get_clients
from pegboard.clients.identity import Proxies as Proxies
from pegboard.clients.identity import init_clients as init_clients

__all__ = [
    "Clients",
    "client_key",
    "client_of",
    "get_clients",
]
