"""Write docs/reference/kit.md: options of commands and keys of pyproject.toml, from the source.

The commands are the core's own; those of Flask and Flask-Migrate have options of theirs.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import click
from marked_page import MarkedPage
from signatures import ROOT, find

from pegboard.cli import main

OWN_COMMANDS = ("cache", "config", "dev", "explain", "new", "plugins", "serve")
TABLES = {
    "matrix": ("tox_pegboard.combinations.settings", "Settings"),
    "grade": ("pegboard.grading.options", "Options"),
}
"""The class whose fields are the keys of each table `[tool.pegboard.…]`, with its module."""


@dataclass(frozen=True)
class Option:
    """An option or argument of a command."""

    name: str
    """As it is written; an option by its first name."""
    form: str
    """All its names, with what it takes."""
    help: str


@dataclass(frozen=True)
class Key:
    """A key of a table of pyproject.toml."""

    name: str
    form: str
    """Its type, and its default if it has one."""
    help: str


def commands(
    group: click.Group = main, path: str = "pegboard"
) -> Iterator[tuple[str, click.Command]]:
    """Yield the commands of the core by their full names, in their order."""
    for name in sorted(OWN_COMMANDS if group is main else group.commands):
        command = group.commands[name]
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def parameters(command: click.Command) -> Iterator[Option]:
    """Yield the arguments and options of a command."""
    with click.Context(command) as context:
        for one in command.params:
            if isinstance(one, click.Option):
                names = "/".join([*one.opts, *one.secondary_opts])
                takes = "" if one.is_flag or one.count else f" {one.make_metavar(context)}"
                yield Option(one.opts[0], f"{names}{takes}", one.help or "")
            else:
                shown = one.make_metavar(context)
                yield Option(shown.strip("[]."), shown, "")


def keys(table: str) -> Iterator[Key]:
    """Yield the keys of a table `[tool.pegboard.…]`."""
    for member in find(*TABLES[table]).members:
        assert isinstance(member.node, ast.AnnAssign)
        kind = ast.unparse(member.node.annotation)
        default = ast.unparse(member.node.value) if member.node.value else "None"
        has_default = default != "None" and not default.startswith("field(")
        yield Key(member.name, f"{kind} = {default}" if has_default else kind, member.doc)


def text_of(part: str) -> str:
    """Return the tables of a part: those of the commands, or that of the keys of a table."""
    if part in TABLES:
        return _table("Key", keys(part))
    return "".join(
        f"\n### {name}\n\n{command.get_short_help_str(200)}\n{_table('Option', shown)}"
        for name, command in commands()
        if (shown := [*parameters(command)])
    )


def _table(kind: str, rows: Iterable[Option | Key]) -> str:
    lines = [f"| {kind} | What it says |", "| --- | --- |"]
    for row in rows:
        code = row.form if isinstance(row, Option) else f"{row.name}: {row.form}"
        lines.append(f"| `{code}` | {' '.join(row.help.split())} |".replace(" |  |", " | |"))
    lines = [line if line.startswith("| ---") else _escaped(line) for line in lines]
    return "\n" + "\n".join(lines) + "\n"


def _escaped(line: str) -> str:
    """Return a row whose code has a bar, which would end the cell."""
    return re.sub(r"`[^`]*`", lambda code: code[0].replace("|", "\\|"), line)


PAGE = MarkedPage(ROOT / "docs/reference/kit.md", "kit", text_of)


if __name__ == "__main__":
    PAGE.main()
