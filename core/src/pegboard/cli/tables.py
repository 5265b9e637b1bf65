"""Tables and trees of commands, as wide as a terminal usually is."""

import textwrap
from collections.abc import Iterator, Sequence

WIDTH = 80
"""The columns of a terminal that every table fits, unless more are wanted."""


def as_table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table, whose cells are padded but for the last of a row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()


def fitting_columns(rows: Sequence[Sequence[str]], least: int, width: int = WIDTH) -> int:
    """Return how many columns of a table fit a width; `least` are kept whether or not."""
    used = -2
    for count, column in enumerate(zip(*rows, strict=True)):
        used += max(map(len, column)) + 2
        if used > width and count >= least:
            return count
    return len(rows[0])


def wrapped(text: str, indent: str = "    ") -> Iterator[str]:
    """Yield a text in indented lines."""
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def milliseconds(seconds: float) -> str:
    """Return a time as text, as in `12.3 ms`."""
    return f"{seconds * 1000:.1f} ms"
