"""`pegboard plugins check`: every problem of the plugins, and an exit status for CI."""

import json
import sys
from dataclasses import asdict

import click
from flask.cli import ScriptInfo, pass_script_info

from pegboard.cli.diagnosis import diagnose
from pegboard.logs import not_logged
from pegboard.plugins import Skipped
from pegboard.settings import Unused


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_script_info
def check(info: ScriptInfo, *, as_json: bool) -> None:
    """Exit with 1 and print every problem of the plugins and of the settings.

    Those that stop the start, those of plugins that are skipped, and those that a start would find
    only when the first ones are fixed. It connects to nothing.
    """
    with not_logged(Skipped), not_logged(Unused):
        found = diagnose(info)
    problems = found.problems
    if as_json:
        content = {
            "can_start": found.error is None,
            "plugins": [one.name for one in found.registry.plugins],
            "problems": [{**asdict(one), "code": str(one.code)} for one in problems],
        }
        click.echo(json.dumps(content, indent=2))
    elif problems:
        for problem in problems:
            click.echo(f"- {problem}")
        noun = "problem" if len(problems) == 1 else "problems"
        verb = "cannot start" if found.error else "starts without what is skipped"
        click.echo(f"{len(problems)} {noun}; the service {verb}.")
    else:
        names = ", ".join(one.name for one in found.registry.plugins) or "none"
        click.echo(f"No problem. Plugins: {names}.")
    sys.exit(bool(problems))
