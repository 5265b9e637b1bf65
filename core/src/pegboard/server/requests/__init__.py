"""How a worker answers requests: on its event loop where nothing waits, on threads otherwise."""

from pegboard.server.requests.gateway import Gateway

__all__ = ["Gateway"]
