"""The arguments and options that the commands of `pegboard db` share."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from flask import g, has_app_context
from flask.cli import ScriptInfo

from pegboard.migrations import get_migrate
from pegboard.plugins import get_registry, plugin_name

F = TypeVar("F", bound=Callable[..., Any])

SIGNED = {"ignore_unknown_options": True}
"""Context settings of a command that takes `-1` for a revision."""

RELATIVE = ("head", "heads", "base", "+", "-")
"""The beginnings of revisions that exist in every history."""


def split(arguments: Sequence[str], default: str) -> tuple[str | None, str]:
    """Return the plugin and the revision of `[PLUGIN] [REVISION]`; no plugin means all.

    The first argument is a plugin if it names one. Raises `click.UsageError` for what is neither.
    """
    names = [history.name for history in get_migrate().histories]
    if arguments and arguments[0] in names:
        name, arguments = arguments[0], arguments[1:]
    elif len(names) == 1:
        name = names[0]
    elif not arguments or arguments[0].startswith(RELATIVE):
        name = None
    else:
        message = f"{arguments[0]} names no history; these are there: {', '.join(names)}."
        raise click.UsageError(message)
    if len(arguments) > 1:
        message = f"more than a plugin and a revision: {' '.join(arguments[1:])}"
        raise click.UsageError(message)
    return name, arguments[0] if arguments else default


def option_sql(function: F) -> F:
    """Add `--sql`."""
    text = "Print the SQL instead of running it. A revision FROM:TO starts elsewhere than at base."
    return click.option("--sql", is_flag=True, help=text)(function)


def option_allow_foreign(function: F) -> F:
    """Add `--allow-foreign`."""
    text = "Let revisions touch tables of other plugins."
    return click.option("--allow-foreign", is_flag=True, help=text)(function)


X_ARGUMENTS = "pegboard.x_arg"


class DatabaseCommand(click.Command):
    """A command that needs an app when it is run, though not to print its help."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it in the app's context."""
        if not has_app_context():
            ctx.with_resource(ctx.ensure_object(ScriptInfo).load_app().app_context())
        g.x_arg = ctx.meta.get(X_ARGUMENTS, [])  # where Flask-Migrate reads it
        if name := ctx.params.get("plugin"):
            ctx.params["plugin"] = _plugin_name(name)
        if arguments := ctx.params.get("arguments"):
            ctx.params["arguments"] = (_plugin_name(arguments[0]), *arguments[1:])
        return super().invoke(ctx)


def _plugin_name(name: str) -> str:
    try:
        return plugin_name(name, get_registry().plugins)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def note_x(context: click.Context, _option: click.Parameter | None, value: Sequence[str]) -> None:
    """Keep arguments for an environment of Alembic until the command is run."""
    context.meta.setdefault(X_ARGUMENTS, []).extend(value)


def option_x(function: F) -> F:
    """Add `-x`, which goes to Alembic's environment and not to the command."""
    return click.option(
        "-x",
        "--x-arg",
        multiple=True,
        expose_value=False,
        callback=note_x,
        help="Argument for your own env.py.",
    )(function)


def option_message(function: F) -> F:
    """Add `-m`."""
    return click.option("-m", "--message", help="What the revision does.")(function)


def option_verbose(function: F) -> F:
    """Add `-v`."""
    return click.option("-v", "--verbose", is_flag=True, help="Print more.")(function)


def arguments(function: F) -> F:
    """Add `[PLUGIN] [REVISION]`, which `split` takes apart."""
    return click.argument("arguments", nargs=-1, metavar="[PLUGIN] [REVISION]")(function)


def plugin(function: F) -> F:
    """Add `[PLUGIN]`."""
    return click.argument("plugin", required=False)(function)
