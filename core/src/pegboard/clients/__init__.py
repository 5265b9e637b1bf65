"""Which client a request comes from: its identity, or its address behind trusted proxies.

What `__all__` lists is public; the other names are for the packages of the core.
"""

from pegboard.clients.addresses import read_address as read_address
from pegboard.clients.identity import Clients, client_key, client_of, get_clients
from pegboard.clients.identity import Identify as Identify
from pegboard.clients.identity import address_key as address_key
from pegboard.clients.identity import ask_in_order as ask_in_order
from pegboard.clients.identity import init_clients as init_clients
from pegboard.clients.identity import time_identity as time_identity
from pegboard.clients.prefix import PathPrefix as PathPrefix
from pegboard.clients.prefix import parse_prefix as parse_prefix
from pegboard.clients.proxies import PROXY_HEADERS as PROXY_HEADERS
from pegboard.clients.proxies import TrustedProxies as TrustedProxies

__all__ = [
    "Clients",
    "client_key",
    "client_of",
    "get_clients",
]
