"""How a worker answers requests: on its event loop where nothing waits, on threads otherwise."""

from pegboard.server.requests.gateway import Gateway
from pegboard.server.requests.response import SlowClientError

__all__ = ["Gateway", "SlowClientError"]
