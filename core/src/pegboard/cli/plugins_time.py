"""`pegboard plugins time`: what the start costs, by plugin and hook."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click
from flask.cli import ScriptInfo, pass_script_info

from pegboard.cli.diagnosis import diagnose
from pegboard.cli.tables import milliseconds
from pegboard.logs import no_warnings, not_logged
from pegboard.plugins import Skipped
from pegboard.start_times import Step

_LEAST = 0.0005
"""Seconds below which a part is not shown, unless all are wanted."""


@click.command()
@click.option("--all", "show_all", is_flag=True, help="Parts below half a millisecond, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_script_info
def time(info: ScriptInfo, *, show_all: bool, as_json: bool) -> None:
    """Show what the start costs: a tree by plugin and hook.

    The import of a plugin includes the libraries that it is the first to import. When the service
    cannot start, the tree ends where it stopped.
    """
    with not_logged(Skipped), no_warnings():
        found = diagnose(info)
    parts = _parts(found.start)
    if as_json:
        click.echo(json.dumps([_as_json(one) for one in parts], indent=2))
    else:
        total = sum(one.seconds for one in parts)
        click.echo(f"{milliseconds(total):>10}  start")
        for line in _tree(parts, total, 0.0 if show_all else _LEAST):
            click.echo(line)
    found.show_error()


def _parts(start: Step) -> list[Step]:
    """Return the cost of importing the core, of the core's own code, and of each plugin."""
    core = start.core()
    core.name = "core"
    plugins = sorted(start.plugins().values(), key=lambda one: -one.seconds)
    parts = [core, *plugins]
    # Flask's command has no such module.
    command: Any = sys.modules.get("pegboard_command")
    seconds = getattr(command, "import_seconds", None)
    return [Step("import Pegboard", None, seconds, 1), *parts] if seconds else parts


def _tree(parts: Sequence[Step], total: float, least: float, prefix: str = "") -> Iterator[str]:
    shown = [one for one in parts if one.seconds >= least]
    for number, part in enumerate(shown, start=1):
        is_last = number == len(shown)
        share = f"{part.seconds / total:4.0%}" if total and not prefix else "    "
        times = f" ({part.calls} times)" if part.calls > 1 else ""
        branch = "└─ " if is_last else "├─ "
        yield f"{milliseconds(part.seconds):>10} {share} {prefix}{branch}{part.name}{times}"
        below = prefix + ("   " if is_last else "│  ")
        yield from _tree([*part.steps.values()], total, least, below)


def _as_json(part: Step) -> dict[str, Any]:
    return {
        "name": part.name,
        "plugin": part.plugin,
        "ms": round(part.seconds * 1000, 3),
        "calls": part.calls,
        "parts": [_as_json(one) for one in part.steps.values()],
    }
