"""`pegboard new`: write the distribution of a new plugin, or bring one up to date."""

import sys
from pathlib import Path
from typing import Any

import click

from pegboard import scaffold


@click.command()
@click.argument("name", required=False)
@click.option("--update", is_flag=True, help="Bring the plugin in the folder up to date instead.")
@click.option("--no-verify", is_flag=True, help="With --update: run no hook of git.")
@click.option("--into", type=click.Path(path_type=Path), help="The folder of the plugin.")
@click.option("--distribution", help="The name of the distribution, by default pegboard-NAME.")
@click.option("--package", help="The name of the import package, by default pegboard_NAME.")
@click.option(
    "--noun",
    help="What one row is called, and so the class of the model, as in --noun work_order: "
    "by default the resource in the singular.",
)
@click.option("--description", help="What the plugin does, in one line.")
@click.option("--author", help="Who writes it.")
@click.option("--table/--no-table", default=None, help="A table in the database.")
@click.option("--resource", "rows", metavar="NAME", help="Its REST resource, by default NAME.")
@click.option(
    "--no-resource",
    "resource",
    flag_value=False,
    default=None,
    type=bool,
    help="No REST resource: views that are written by hand.",
)
@click.option("--cache/--no-cache", default=None, help="Answers for one row that are cached.")
@click.option("--hooks/--no-hooks", default=None, help="Hooks of its own.")
@click.option("--tox", type=click.Choice(["ini", "toml"]), help="tox.ini or tox.toml.")
@click.option("--ci", type=click.Choice(["github", "gitlab", "none"]), help="Where tests run.")
@click.option(
    "--license",
    type=click.Choice(["MIT", "Apache-2.0", "BSD-3-Clause", "none"]),
    help="The license.",
)
@click.option("--defaults", is_flag=True, help="Ask nothing: what is not given has its default.")
def new(  # noqa: PLR0913 - each is an option of the command
    *,
    name: str | None,
    update: bool,
    no_verify: bool,
    into: Path | None,
    distribution: str | None,
    package: str | None,
    defaults: bool,
    **answers: Any,
) -> None:
    """Write the distribution of a new plugin NAME: code, tests, migration, tox and CI.

    On a terminal it asks what is not given by an option.
    """
    given = {key: value for key, value in answers.items() if value is not None}
    try:
        if update:
            others = {"NAME": name, "--distribution": distribution, "--package": package}
            others["resource"] = given.pop("rows", None)
            _update(into or Path(), {**others, **given}, verify=not no_verify)
        elif no_verify:
            message = "--no-verify belongs to --update."
            raise click.UsageError(message)
        elif name is None:
            message = "name the plugin, as in: pegboard new notes"
            raise click.UsageError(message)
        else:
            own = {key: given[key] for key in ("rows", "noun") if key in given}
            names = scaffold.find_names(name, distribution=distribution, package=package, **own)
            if "rows" in given:
                given.setdefault("resource", True)
            _create(names, into or Path(names.distribution), given, asks=not defaults)
    except scaffold.ScaffoldError as error:
        raise click.ClickException(str(error)) from error
    except ModuleNotFoundError as error:
        if error.name not in {"copier", "yaml"}:
            raise
        message = "pegboard new needs copier: pip install 'pegboard[author]'"
        raise click.ClickException(message) from error


def _create(names: scaffold.Names, folder: Path, answers: dict[str, Any], *, asks: bool) -> None:
    scaffold.create(names, folder, answers, asks=asks and sys.stdin.isatty())
    click.echo(f"The plugin {names.name} is in {folder}. Next:")
    click.echo(f"    cd {folder}")
    click.echo("    git init && git add --all && git commit --message 'Begin'")
    click.echo("    pip install --editable '.[test]' && pytest")
    click.echo("    tox")


def _update(folder: Path, others: dict[str, Any], *, verify: bool) -> None:
    if rest := sorted(key for key, value in others.items() if value is not None):
        message = f"--update asks nothing, and takes no {rest[0].removeprefix('--')}."
        raise click.UsageError(message)
    steps = list[scaffold.Step]()
    for step in scaffold.update(folder, verify=verify):
        click.echo(f"{step.version}: {step.title} (committed)")
        steps.append(step)
    if not steps:
        click.echo("The plugin is up to date.")
