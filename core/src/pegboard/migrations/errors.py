"""The error of every migration command."""

from collections.abc import Iterable
from pathlib import Path
from traceback import walk_tb
from typing import Self

import click

from pegboard.problems import Problem


class MigrationError(click.ClickException):
    """Raised when a migration command fails; the message names the history and what to do."""

    problems: tuple[Problem, ...] = ()
    """The mistakes that it tells of, where they have codes."""

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Self:
        """Return the error that tells of problems, which name their histories."""
        found = tuple(problems)
        error = cls("\n".join(map(str, found)))
        error.problems = found
        return error


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
