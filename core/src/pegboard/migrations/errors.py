"""The error of every migration command."""

from pathlib import Path
from traceback import walk_tb

import click


class MigrationError(click.ClickException):
    """Raised when a migration command fails; the message names the history and what to do."""


def line_in(error: BaseException, folder: Path) -> str:
    """Return which line of the files in a folder an error came from, as in `/a/b.py, line 12`.

    It is empty if no line of these was run.
    """
    lines = [
        f"{frame.f_code.co_filename}, line {line}"
        for frame, line in walk_tb(error.__traceback__)
        if Path(frame.f_code.co_filename).parent == folder
    ]
    return lines[-1] if lines else ""
