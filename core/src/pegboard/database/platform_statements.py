"""Telling the platform's own statements from those in whose transaction they are executed.

A commit may bring statements of the platform with it, as when a write turns caching off. Whoever
judges what a transaction does, such as a migration, does not take them for the transaction's doing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

IS_OF_PLATFORM: ContextVar[bool] = ContextVar("pegboard_is_of_platform", default=False)
"""Whether the statement that is executed now is the platform's own."""


@contextmanager
def of_platform() -> Iterator[None]:
    """Mark what is executed in the block as the platform's own statements."""
    token = IS_OF_PLATFORM.set(True)
    try:
        yield
    finally:
        IS_OF_PLATFORM.reset(token)
