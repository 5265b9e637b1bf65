"""Telling the platform's own statements from those in whose transaction they are executed.

A commit may bring statements of the platform with it, as when a write turns caching off. Whoever
judges what a transaction does, such as a migration, does not take them for the transaction's doing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_is_of_platform: ContextVar[bool] = ContextVar("pegboard_is_of_platform", default=False)


@contextmanager
def of_platform() -> Iterator[None]:
    """Mark what is executed in the block as the platform's own statements."""
    token = _is_of_platform.set(True)
    try:
        yield
    finally:
        _is_of_platform.reset(token)


def is_of_platform() -> bool:
    """Return whether the statement that is executed now is the platform's own."""
    return _is_of_platform.get()
