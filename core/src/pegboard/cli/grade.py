"""`pegboard plugins grade`: check the rules of the grades on one plugin."""

import sys
from pathlib import Path

import click


@click.command()
@click.argument("name")
@click.option(
    "--source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the plugin's pyproject.toml; by default that of an editable installation, or "
    "the current one.",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    multiple=True,
    help="File or folder with JUnit reports of pytest and data of coverage, in place of running "
    "the tests; may be given several times.",
)
@click.option("--json", "is_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--badge", type=click.Path(dir_okay=False, path_type=Path), help="Write the grade as SVG here."
)
def grade(
    name: str, *, source: Path | None, results: tuple[Path, ...], is_json: bool, badge: Path | None
) -> None:
    """Grade the installed plugin NAME: none, bronze, silver, gold or platinum.

    The exit status is 1 if the plugin says of itself, in [tool.pegboard.grade] of its
    pyproject.toml, what a checker does not confirm.
    """
    if badge is not None and not badge.parent.is_dir():
        # Before the tests have run for minutes.
        message = f"there is no folder {badge.parent}"
        raise click.BadParameter(message, param_hint="'--badge'")
    from pegboard import grading  # noqa: PLC0415 - no other command needs it

    try:
        report = grading.grade(name, source, results, _tell)
    except grading.GradeError as error:
        raise click.ClickException(str(error)) from error
    if badge is not None:
        badge.write_text(grading.render_badge(report), encoding="utf-8")
    click.echo(grading.render_json(report) if is_json else grading.render_text(report))
    sys.exit(bool(report.contradictions))


def _tell(line: str) -> None:
    click.echo(f"{line} …", err=True)
