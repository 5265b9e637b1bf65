"""A problem with its code, and the errors that carry problems."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, Any, ClassVar, Self

import click
from flask.cli import NoAppException

PLUGIN_FAULTS = (Exception, SystemExit)
"""What code of a plugin may raise when the service calls it; it ends nothing but that call."""


_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{6,}(?=>)")
"""Where an object is in memory, as in `<function f at 0x7f3fad432f20>`."""


class ProblemCode(StrEnum):
    """The stable codes of the problems that one distribution reports.

    Each member is a code with its meaning, an example of a message and a hint, in this order; a
    reference page can be written from them. A plugin declares its own codes in a subclass, and
    begins each with its name, so that no two plugins share one::

        class Code(pegboard.ProblemCode):
            NO_VAULT = (
                "SHOP_NO_VAULT",
                "The shop keeps its keys in a vault, and was told of none.",
                "VAULT_URL is not set",
                "Set VAULT_URL.",
            )
    """

    meaning: str
    """One or two sentences: what is wrong, and why that matters."""
    example: str
    """A message that a problem of this code has, without the plugin's name."""
    hint: str
    """What to do about it."""

    def __new__(cls, code: str, meaning: str, example: str, hint: str) -> Self:
        """Make the code a `str` with the texts as attributes."""
        self = str.__new__(cls, code)
        self._value_ = code
        self.meaning = meaning
        self.example = example
        self.hint = hint
        return self


@dataclass(frozen=True)
class Problem:
    """One mistake of an operator or a plugin author, and a hint how to fix it.

    `plugin` and `distribution` name the plugin it belongs to, if there is one.
    """

    code: str
    """Names the cause, and is the same in every release: a member of a `ProblemCode`."""
    summary: str
    """What is wrong, in one line."""
    hint: str
    """How to fix it, in whole sentences."""
    plugin: str | None = None
    """The name of the plugin that the problem belongs to; None if it is the core's."""
    distribution: str | None = None
    """Name and version of that plugin's distribution, as in `pegboard-items 0.1.0`."""

    def __post_init__(self) -> None:
        # Else one mistake would read otherwise at each run, and in each worker.
        object.__setattr__(self, "summary", _ADDRESS.sub("", self.summary))

    def __str__(self) -> str:
        owner = self.plugin or ""
        if self.distribution:
            owner = f"{owner} ({self.distribution})".strip()
        head = f"{owner}: {self.summary}" if owner else self.summary
        return f"{head} [{self.code}]\n    {self.hint}"


class StartupError(NoAppException):
    """Raised when the service cannot start; its `problems` are all that were found.

    It is Flask's error for an app that cannot be loaded: each command prints the problems without a
    traceback, and `flask --help` lists the commands that need no app. A plugin may raise one in its
    hooks; a problem without a plugin's name then gets that plugin's.
    """

    exit_code: ClassVar[int] = 1
    """The exit status of a command that raises it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        listing = "\n".join(f"  - {problem}" for problem in self.problems)
        noun = "problem" if len(self.problems) == 1 else "problems"
        super().__init__(f"the service cannot start, {len(self.problems)} {noun}:\n{listing}")

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the problems, without the usage of the command: it was called correctly."""
        click.ClickException.show(self, file)


class PluginError(Exception):
    """Raised when a plugin cannot be installed into an app; carries the problems.

    Each problem names its plugin, whose policy decides whether the service starts without it.
    """

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))
