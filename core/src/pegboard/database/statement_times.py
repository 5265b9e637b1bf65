"""How long statements take, for what wants to know; else nothing is measured."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TellOfStatement = Callable[[str, float, BaseException | None], None]
"""Is given the text of a statement that has ended, its seconds, and its error if it has failed.

The text has no parameters. It is called in the context (`contextvars`) of the statement.
"""


@contextmanager
def timing(tell: TellOfStatement, text: str) -> Iterator[None]:
    """Tell of a statement that is executed in the block."""
    began = time.perf_counter()
    try:
        yield
    except BaseException as error:
        tell(text, time.perf_counter() - began, error)
        raise
    tell(text, time.perf_counter() - began, None)
