"""The production server: Granian, and the ASGI application that it runs."""

from typing import TYPE_CHECKING

from pegboard.server.address import Address, find_address
from pegboard.server.isolated import call_isolated
from pegboard.server.limits import Limits

if TYPE_CHECKING:
    from pegboard.server.granian import run

__all__ = ["Address", "Limits", "call_isolated", "find_address", "run"]


def __getattr__(name: str) -> object:
    """Import `run` when it is first used: Granian is imported while the service is checked."""
    if name == "run":
        from pegboard.server.granian import run  # noqa: PLC0415

        return run
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
