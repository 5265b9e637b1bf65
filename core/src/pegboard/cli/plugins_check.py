"""`pegboard plugins check`: every problem of the plugins, and an exit status for CI."""

import json
import sys
from dataclasses import asdict

import click
from flask.cli import ScriptInfo, pass_script_info

from pegboard.cli.diagnosis import diagnose
from pegboard.inspection import Diagnosis, find_revision_problems
from pegboard.logs import not_logged
from pegboard.plugins import Skipped
from pegboard.settings import Unused


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_script_info
def check(info: ScriptInfo, *, as_json: bool) -> None:
    """Exit with 1 and print every problem of the plugins and of the settings.

    Those that stop the start, those of plugins that are skipped, those that a start would find only
    when the first ones are fixed, and those of revision files. It connects to nothing. Names that
    have no effect, of variables and of plugins in before= and after=, are told, and no problem.
    """
    with not_logged(Skipped), not_logged(Unused):
        found = diagnose(info)
    problems = (*found.problems, *find_revision_problems(found))
    if as_json:
        content = {
            "can_start": found.error is None,
            "plugins": [one.name for one in found.registry.plugins],
            "problems": [{**asdict(one), "code": str(one.code)} for one in problems],
            "unused": [str(one) for one in found.registry.unused],
        }
        click.echo(json.dumps(content, indent=2))
        sys.exit(bool(problems))
    for unused in found.registry.unused:
        click.echo(str(unused), err=True)
    if problems:
        for problem in problems:
            click.echo(f"- {problem}")
        noun = "problem" if len(problems) == 1 else "problems"
        click.echo(f"{len(problems)} {noun}; the service {_state(found)}.")
    else:
        names = ", ".join(one.name for one in found.registry.plugins) or "none"
        click.echo(f"No problem. Plugins: {names}.")
    sys.exit(bool(problems))


def _state(found: Diagnosis) -> str:
    if found.error:
        return "cannot start"
    return "starts without what is skipped" if found.registry.skipped else "starts"
