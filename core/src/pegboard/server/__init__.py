"""The production server: Granian, and the ASGI application that it runs."""

from pegboard.server.granian import Address, Limits, find_address, run
from pegboard.server.isolated import call_isolated

__all__ = ["Address", "Limits", "call_isolated", "find_address", "run"]
