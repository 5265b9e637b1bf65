"""`pegboard plugins compat`: the tests of installed plugins against another core."""

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from pegboard.cli.plugins_list import unknown_plugin
from pegboard.combinations import (
    Compat,
    CompatError,
    Exclusion,
    ExclusionError,
    Outcome,
    misspelled,
    read_exclusions,
    unneeded,
)
from pegboard.plugins import installed_plugins, plugins_named


@dataclass(frozen=True)
class TestedDistribution:
    """How the tests of a distribution ended, beside what is excluded."""

    name: str
    version: str
    tests: Outcome | None
    """None if they could not be run."""
    problem: str | None
    """Why they could not be run."""
    excluded: tuple[str, ...]
    """The reasons of exclusions that were needed."""
    failures: tuple[str | None, ...]
    """What is not excluded: ids of tests, or None if none could be run."""

    @property
    def outcome(self) -> str:
        """One of `passed`, `excluded`, `failed` and `not tested`."""
        if self.failures:
            return "failed" if self.tests else "not tested"
        return "excluded" if self.excluded else "passed"


@click.command()
@click.option(
    "--against",
    multiple=True,
    required=True,
    metavar="DIST",
    help="What is installed with each plugin: a requirement, a wheel or a folder. Repeatable.",
)
@click.option(
    "--plugin", "names", multiple=True, help="Only this plugin, or distribution. Repeatable."
)
@click.option(
    "--exclude",
    "exclusions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of known failures, each line with its reason.",
)
@click.option(
    "--sdists",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with the sdists.  [default: pip downloads them]",
)
@click.option("--json", "is_json", is_flag=True, help="Print one JSON document.")
@click.argument("arguments", nargs=-1)
def compat(
    *,
    against: tuple[str, ...],
    names: tuple[str, ...],
    exclusions: Path | None,
    sdists: Path | None,
    is_json: bool,
    arguments: tuple[str, ...],
) -> None:
    """Run the tests of the installed plugins, from their sdists, against another core.

    Each distribution gets an environment of its own, with its extra or dependency group `test` (or
    `tests`, `testing`, `dev`). ARGUMENTS behind -- are pytest's. The exit status is 1 if a test
    fails, or cannot be run, that no line of the file of exclusions names.
    """
    try:
        known = read_exclusions(exclusions) if exclusions else ()
    except ExclusionError as error:
        raise click.ClickException(str(error)) from error
    folder = Path(tempfile.mkdtemp(prefix="pegboard-compat-"))
    wanted = [*_distributions(names)]
    local = tuple(str(Path(one).resolve()) if Path(one).exists() else one for one in against)
    runner = Compat(folder, local, sdists, arguments)
    results = []
    for name, version in wanted:
        click.echo(f"{name} {version} ...", err=True)
        results.append(_result(runner, known, name, version))
    failures = [(one.name, test) for one in results for test in _all_failures(one)]
    stale = unneeded(known, failures, {name for name, _ in wanted})
    unknown = misspelled(known, (name for name, _ in _distributions(())))
    if is_json:
        document = {**_document(results, stale, folder), "unknown_exclusions": unknown}
        click.echo(json.dumps(document, indent=2))
    else:
        _show(results)
    for exclusion in stale:
        click.echo(f"No longer fails, remove the line: {exclusion}", err=True)
    for text in unknown:
        click.echo(text, err=True)
    click.echo(f"Output and environments: {folder}", err=True)
    sys.exit(any(one.failures for one in results))


def _distributions(names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    installed = installed_plugins()
    wanted = [] if names else [*installed]
    for name in names:
        named = plugins_named(name, installed)
        if not named:
            raise unknown_plugin(name, sorted(one.name for one in installed))
        wanted += named
    found = {
        one.distribution.canonical_name: one.distribution.version
        for one in wanted
        if one.distribution is not None
    }
    yield from sorted(found.items())


def _result(
    runner: Compat, known: tuple[Exclusion, ...], name: str, version: str
) -> TestedDistribution:
    tests, problem = None, None
    failures: tuple[str | None, ...] = (None,)
    try:
        tests = runner.run(name, version)
        failures = tests.failed
    except CompatError as error:
        problem = str(error)
    needed = [one for one in known if any(one.covers(name, test) for test in failures)]
    left = tuple(test for test in failures if not any(one.covers(name, test) for one in needed))
    return TestedDistribution(
        name, version, tests, problem, tuple(one.reason for one in needed), left
    )


def _all_failures(result: TestedDistribution) -> tuple[str | None, ...]:
    return result.tests.failed if result.tests else (None,)


def _show(results: list[TestedDistribution]) -> None:
    for one in results:
        click.echo(f"{one.name} {one.version}: {one.outcome}{_counts(one)}")
        if one.problem:
            click.echo(f"  {one.problem}")
        for test in filter(None, one.failures):
            click.echo(f"  failed: {test}")
        for reason in one.excluded:
            click.echo(f"  excluded: {reason}")


def _counts(result: TestedDistribution) -> str:
    tests = result.tests
    if tests is None:
        return ""
    counts = f"{tests.passed} passed, {len(tests.failed)} failed, {tests.skipped} skipped"
    return f" ({counts}; pegboard {tests.core})"


def _document(
    results: list[TestedDistribution], stale: list[Exclusion], folder: Path
) -> dict[str, object]:
    return {
        "distributions": [
            {
                "name": one.name,
                "version": one.version,
                "outcome": one.outcome,
                "passed": one.tests.passed if one.tests else 0,
                "core": one.tests.core if one.tests else None,
                "skipped": one.tests.skipped if one.tests else 0,
                "failed": [*one.tests.failed] if one.tests else [],
                "problem": one.problem,
                "excluded": [*one.excluded],
            }
            for one in results
        ],
        "unneeded_exclusions": [str(one) for one in stale],
        "folder": str(folder),
    }
