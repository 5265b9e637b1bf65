"""`pegboard plugins matrix --shrink`: the smallest set of plugins that fails."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click

from pegboard.combinations import Runner, Shrinker, Shrunk

if TYPE_CHECKING:
    from tox_pegboard.combinations import Combination, Matrix


class Shrinking:
    """A combination that fails, and what was found out about it."""

    def __init__(self, kit: ModuleType, matrix: "Matrix", name: str, project: Path) -> None:
        """Find the combination. Raises `MatrixError` or `ClickException` if there is none."""
        self._kit = kit
        self._matrix = matrix
        self._project = project
        found = matrix.by_name.get(name) or kit.parse_name(name, matrix.space)
        if found is None:
            message = f"{name} is no combination; pegboard plugins matrix lists them."
            raise click.ClickException(message)
        self._start: Combination = found
        self._always = matrix.space.with_needs(())
        self._found = Shrunk(None, is_smallest=False)
        self._logs = Path()

    def run(self, command: Sequence[str], repeat: int, max_runs: int) -> None:
        """Run the command for smaller and smaller sets. Raises `ClickException` if it cannot."""
        space = self._matrix.space
        runner = Runner(command, self._project, self._environment, self._tell)
        self._logs = runner.logs
        needs = {one.name: one.needs & {*self._start.plugins} for one in space.plugins}
        shrinker = Shrinker(runner, needs, repeat=repeat, max_runs=max_runs)
        # What the project's own plugin requires is there in any case, and is not left out.
        try:
            self._found = shrinker.shrink(frozenset(self._start.plugins) - self._always)
        except OSError as error:
            message = f"{command[0]} cannot be run: {error.strerror}"
            raise click.ClickException(message) from error

    def show(self, *, is_json: bool) -> None:
        """Print what was found; exit with 1 if nothing failed."""
        found = self._found
        if is_json:
            click.echo(json.dumps(self._document(), indent=2))
        elif found.plugins is not None:
            names = ", ".join(sorted(found.plugins | self._always)) or "no other plugin"
            click.echo(f"{self._environment(found.plugins)}: {names}")
        for text in self._remarks():
            click.echo(text, err=True)
        if found.plugins is None:
            sys.exit(1)

    def _remarks(self) -> list[str]:
        found = self._found
        if found.plugins is None:
            count = sum(map(len, found.runs.values()))
            text = (
                f"It did not fail in {count} runs, and nothing can be left out. "
                "--repeat runs each set more often, for a failure that comes and goes."
            )
            return [text]
        text = "It is the smallest set: all smaller ones were run, and passed."
        if not found.is_smallest:
            text = "Smaller sets may fail: not all were run, as --max-runs allows no more."
            if found.is_minimal:
                text += " Without any one of these plugins it passed."
        remarks = [text]
        statuses = found.runs[found.plugins]
        failed = sum(status == found.status for status in statuses)
        if found.flaky:
            remarks.append(
                f"It comes and goes: this set failed in {failed} of {len(statuses)} runs. A set "
                "that passed may fail at another time, so that a smaller one may be to blame; "
                "--repeat runs each more often."
            )
        if found.failing_otherwise:
            names = "; ".join(", ".join(sorted(one)) or "none" for one in found.failing_otherwise)
            remarks.append(
                f"These failed with another exit status than {found.status}, which counts as "
                f"passed: {names}."
            )
        return remarks

    def _document(self) -> dict[str, object]:
        found = self._found
        return {
            "environment": None if found.plugins is None else self._environment(found.plugins),
            "plugins": None if found.plugins is None else sorted(found.plugins | self._always),
            "is_smallest": found.is_smallest,
            "is_minimal": found.is_minimal,
            "is_flaky": bool(found.flaky),
            "status": found.status,
            "logs": str(self._logs),
            "runs": [
                {"plugins": sorted(plugins | self._always), "statuses": [*statuses]}
                for plugins, statuses in found.runs.items()
            ],
        }

    def _environment(self, plugins: frozenset[str]) -> str:
        space = self._matrix.space
        combination = self._kit.checked(plugins | self._always, self._start.values, space)
        return str(self._kit.name_of(combination, space))

    def _tell(self, text: str) -> None:
        click.echo(text, err=True)
