"""`pegboard plugins matrix --shrink`: the smallest set of plugins that fails."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pegboard.combinations import NOT_SET_UP, Runner, Shrinker, Shrunk

if TYPE_CHECKING:
    from tox_pegboard.combinations import Combination, Matrix


@dataclass(frozen=True)
class Report:
    """What was found out about a combination that fails."""

    shrunk: Shrunk
    """The sets of plugins in it are without those that are required in any case."""
    environment: str | None
    """The name of the smallest combination; None if nothing failed."""
    required: frozenset[str]
    """The plugins that the project's own requires: they are in every combination."""
    logs: Path
    """The folder with the output of each run."""

    @property
    def has_culprits(self) -> bool:
        """Return whether it fails because of plugins, and not without any as well."""
        return bool(self.shrunk.plugins)

    @property
    def is_run(self) -> bool:
        """Return whether the command was run, or plugins are to blame that it was not."""
        return self.has_culprits or self.shrunk.status != NOT_SET_UP

    @property
    def is_smallest(self) -> bool:
        """Return whether commands were run for all smaller sets, and did not fail."""
        return self.shrunk.is_smallest and not self.not_set_up

    @property
    def not_set_up(self) -> tuple[frozenset[str], ...]:
        """Return the sets of which nothing is known, beside one that fails."""
        if self.shrunk.status == NOT_SET_UP:
            return ()
        return tuple(
            plugins for plugins, statuses in self.shrunk.runs.items() if NOT_SET_UP in statuses
        )

    def names(self, plugins: Iterable[str]) -> list[str]:
        """Return the plugins of the combination that has these."""
        return sorted({*plugins, *self.required})


def shrink(
    matrix: "Matrix",
    name: str,
    project: Path,
    command: Sequence[str],
    *,
    repeat: int,
    max_runs: int,
) -> Report:
    """Run a command for smaller and smaller sets of the plugins of the combination of that name.

    Raises `MatrixError` if the plugins of the name do not go together, and `ClickException` if
    there is no such combination, or the command cannot be run.
    """
    # Only authors have it, and whoever has a matrix.
    from tox_pegboard.combinations import checked, name_of, parse_name  # noqa: PLC0415

    start: Combination | None = matrix.by_name.get(name) or parse_name(name, matrix.space)
    if start is None:
        message = f"{name} is no combination; pegboard plugins matrix lists them."
        raise click.ClickException(message)
    space, values = matrix.space, start.values
    required = space.with_needs((), start.python)

    def environment(plugins: frozenset[str]) -> str:
        return name_of(checked(plugins | required, values, space), space)

    runner = Runner(command, project, environment, lambda text: click.echo(text, err=True))
    needs = {
        plugin.name: (plugin.needs_with(start.python) & {*start.plugins}) - required
        for plugin in space.plugins
    }
    shrinker = Shrinker(runner, needs, repeat=repeat, max_runs=max_runs)
    try:
        shrunk = shrinker.shrink(frozenset(start.plugins) - required)
    except OSError as error:
        message = f"{command[0]} cannot be run: {error.strerror}"
        raise click.ClickException(message) from error
    found = None if shrunk.plugins is None else environment(shrunk.plugins)
    return Report(shrunk, found, required, runner.logs)


def show(report: Report, *, is_json: bool) -> None:
    """Print what was found; exit with 1 if no set of plugins is to blame."""
    if is_json:
        click.echo(json.dumps(_document(report), indent=2))
    elif report.shrunk.plugins is not None and report.is_run:
        names = ", ".join(report.names(report.shrunk.plugins)) or "no other plugin"
        click.echo(f"{report.environment}: {names}")
    for text in _remarks(report):
        click.echo(text, err=True)
    if not report.has_culprits:
        sys.exit(1)


def _remarks(report: Report) -> list[str]:
    shrunk = report.shrunk
    if shrunk.plugins is None:
        count = sum(map(len, shrunk.runs.values()))
        text = (
            f"It did not fail in {count} runs, and nothing can be left out. "
            "--repeat runs each set more often, for a failure that comes and goes."
        )
        return [text]
    if not report.is_run:
        text = (
            f"{report.environment} could not be set up, so that nothing was run, and no other "
            f"plugin is in it: see the output in {report.logs}."
        )
        return [text]
    remarks = [_size(report)]
    if shrunk.status == NOT_SET_UP:
        remarks.append("Its environment could not be set up: no command was run in it.")
    if shrunk.flaky:
        statuses = shrunk.runs[shrunk.plugins]
        failed = sum(status == shrunk.status for status in statuses)
        remarks.append(
            f"It comes and goes: this set failed in {failed} of {len(statuses)} runs. A set "
            "that passed may fail at another time, so that a smaller one may be to blame; "
            "--repeat runs each more often."
        )
    return [*remarks, *_other_failures(report)]


def _size(report: Report) -> str:
    shrunk = report.shrunk
    if not shrunk.plugins:
        return "No plugin is to blame: it fails without any that can be left out."
    if report.is_smallest:
        end = "none of them failed so" if shrunk.failing_otherwise else "passed"
        return f"It is the smallest set: all smaller ones were run, and {end}."
    if shrunk.is_smallest:
        return "Smaller sets may fail: not all could be set up."
    text = "Smaller sets may fail: not all were run, as --max-runs allows no more."
    is_minimal = shrunk.is_minimal and not report.not_set_up
    return f"{text} Without any one of these plugins it passed." if is_minimal else text


def _other_failures(report: Report) -> list[str]:
    shrunk = report.shrunk
    failed = [one for one in shrunk.failing_otherwise if one not in report.not_set_up]
    remarks = []
    if failed:
        expected = "" if shrunk.status == NOT_SET_UP else f" than {shrunk.status}"
        remarks.append(
            f"These failed with another exit status{expected}, which counts as passed: "
            f"{_listed(failed)}."
        )
    if report.not_set_up:
        remarks.append(
            "These could not be set up, so that it is not known whether they fail: "
            f"{_listed(report.not_set_up)}."
        )
    return remarks


def _listed(sets: Iterable[frozenset[str]]) -> str:
    return "; ".join(", ".join(sorted(plugins)) or "none" for plugins in sets)


def _document(report: Report) -> dict[str, object]:
    shrunk = report.shrunk
    return {
        "environment": report.environment,
        "plugins": None if shrunk.plugins is None else report.names(shrunk.plugins),
        "is_smallest": report.is_smallest,
        "is_minimal": shrunk.is_minimal and not report.not_set_up,
        "is_flaky": bool(shrunk.flaky),
        "is_set_up": shrunk.status != NOT_SET_UP,
        "status": _known(shrunk.status),
        "logs": str(report.logs),
        "runs": [
            {"plugins": report.names(plugins), "statuses": [*map(_known, statuses)]}
            for plugins, statuses in shrunk.runs.items()
        ],
    }


def _known(status: int) -> int | None:
    """Return an exit status; None where no command was run."""
    return None if status == NOT_SET_UP else status
