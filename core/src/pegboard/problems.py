"""What is wrong with how a service was put together, and the error that tells all of it at once."""

from collections.abc import Iterable
from dataclasses import dataclass

import click


@dataclass(frozen=True)
class Problem:
    """One mistake of an operator or a plugin author, and a hint how to fix it.

    `plugin` and `distribution` name the plugin it belongs to, if there is one.
    """

    summary: str
    hint: str
    plugin: str | None = None
    distribution: str | None = None

    def __str__(self) -> str:
        owner = self.plugin or ""
        if self.distribution:
            owner = f"{owner} ({self.distribution})".strip()
        head = f"{owner}: {self.summary}" if owner else self.summary
        return f"{head}\n    {self.hint}"


class StartupError(click.ClickException):
    """Raised when the service cannot start; its `problems` are all that were found.

    It is a `click.ClickException`, so each command line prints the problems without a traceback. A
    plugin may raise one in its hooks; a problem without a plugin's name then gets that plugin's.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        listing = "\n".join(f"  - {problem}" for problem in self.problems)
        noun = "problem" if len(self.problems) == 1 else "problems"
        super().__init__(f"the service cannot start, {len(self.problems)} {noun}:\n{listing}")


class PluginError(Exception):
    """Raised when one plugin cannot be wired into an app; carries its `Problem`."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))
