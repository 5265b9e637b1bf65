"""Noticing the connections that a revision takes from the engine beside the one it is given."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event


@contextmanager
def visit_taken_connections(engine: Engine, visit: Callable[[Any], None]) -> Iterator[None]:
    """Call `visit` with the driver's connection each time this thread takes one from the pool."""
    thread = threading.get_ident()

    def note(driver: Any, _record: object, _proxy: object) -> None:
        if threading.get_ident() == thread:
            visit(driver)

    event.listen(engine, "checkout", note)
    try:
        yield
    finally:
        event.remove(engine, "checkout", note)
