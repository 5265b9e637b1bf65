"""The production server: Granian, and the ASGI application that it runs."""

from pegboard.server.granian import Address, Limits, find_address, run

__all__ = ["Address", "Limits", "find_address", "run"]
