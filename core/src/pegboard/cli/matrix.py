"""`pegboard plugins matrix`: the combinations of plugins that a project tests."""

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click

from pegboard.cli import shrinking
from pegboard.combinations import COMMAND

if TYPE_CHECKING:
    from tox_pegboard.combinations import Matrix

_GROUPS = {1: ("plugin and value", "plugins and values"), 2: ("pair", "pairs")}
"""What groups of a strength are called, one and several."""

FORMATS = ("list", "json", "tox", "toml", "github", "gitlab")


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="A list of names, all as JSON, tox.ini, tox.toml, or the matrix of a CI service.  "
    "[default: list]",
)
@click.option("--json", "is_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--strength",
    type=click.IntRange(min=1, max=6),
    help="Every group of so many plugins and values is in some combination.  [default: 2]",
)
@click.option(
    "--touching", metavar="PLUGIN", help="Only combinations with this plugin, or distribution."
)
@click.option("--max-jobs", type=click.IntRange(min=1), help="No more combinations than these.")
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="The folder whose pyproject.toml says what is combined.  [default: this one]",
)
@click.option("--shrink", metavar="NAME", help="Find the smallest set of its plugins that fails.")
@click.option(
    "--repeat",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="With --shrink: run each set so often; it fails if any of its runs does.",
)
@click.option(
    "--max-runs",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="With --shrink: about so many runs, and no more.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def matrix(  # noqa: PLR0913 - one argument for each option
    *,
    form: str | None,
    is_json: bool,
    strength: int | None,
    touching: str | None,
    max_jobs: int | None,
    project: Path,
    shrink: str | None,
    repeat: int,
    max_runs: int,
    command: tuple[str, ...],
) -> None:
    """Print the combinations of plugins that a project tests.

    All sets of plugins while they are few; else none, each alone with what it requires, all, and
    as many more as every pair needs. They are made of `[tool.pegboard.matrix]` in pyproject.toml,
    else of all installed plugins.

    With --shrink and the name of a combination that fails, run COMMAND for smaller and smaller
    sets of its plugins; in COMMAND {environment} stands for the name of the set's environment and
    {plugins} for its plugins. Without COMMAND that is: tox run -e {environment}
    """
    kit = import_kit()
    if is_json and form not in {None, "json"}:
        message = f"--json is the same as --format json: leave it out, or --format {form}"
        raise click.UsageError(message)
    if command and shrink is None:
        message = f"What is not an option is a command, and only --shrink runs one: {command[0]}"
        raise click.UsageError(message)
    try:
        found = kit.read_matrix(project, strength=strength, max_jobs=max_jobs, touching=touching)
        if shrink is not None:
            report = shrinking.shrink(
                found, shrink, project, command or COMMAND, repeat=repeat, max_runs=max_runs
            )
            shrinking.show(report, is_json=is_json)
            return
        text = kit.render(found, "json" if is_json else form or "list")
    except kit.MatrixError as error:
        raise click.ClickException(str(error)) from error
    click.echo(text, nl=False)
    _tell(found)


def import_kit() -> ModuleType:
    """Return the package that chooses combinations, which the extra `author` installs."""
    try:
        from tox_pegboard import combinations  # noqa: PLC0415 - only authors have it
    except ImportError as error:
        message = f"{error.name} is not installed. Run pip install 'pegboard[author]'."
        raise click.ClickException(message) from error
    return combinations


def _tell(found: "Matrix") -> None:
    """Print to standard error how the combinations were chosen, and what they leave out."""
    count = len(found.combinations)
    group, groups = _GROUPS.get(
        found.strength, (f"group of {found.strength}", f"groups of {found.strength}")
    )
    beside = f" with {found.touching}" if found.touching else ""
    if found.left_out:
        how = f"those{beside} that together have the most {groups}"
    elif found.has_all_subsets:
        how = f"all sets of plugins{beside}"
    else:
        alone = f"{found.touching} alone" if found.touching else "none, each alone"
        how = f"{alone}, all, every {group}{beside}"
    click.echo(f"{count} combination{'s' * (count != 1)}: {how}.", err=True)
    if found.infeasible:
        names = ", ".join(found.infeasible)
        click.echo(f"In no combination, as all with it are excluded: {names}.", err=True)
    for reason in found.reasons:
        click.echo(f"  {reason}", err=True)
    if found.left_out:
        click.echo(
            f"Left out: {len(found.left_out)} combinations, and with them "
            f"{len(found.uncovered)} {groups} that are in no other.",
            err=True,
        )
        for text in found.uncovered:
            click.echo(f"  not covered: {text}", err=True)
