"""Foreign keys to tables of other plugins, whose revisions must be applied before."""

from collections.abc import Iterator, Sequence
from typing import Any

import pluggy
from sqlalchemy import ForeignKey

from pegboard.plugins.contributions import Plugin
from pegboard.plugins.places import locate_part
from pegboard.problems import Code, Problem


def find_undeclared_references(
    manager: pluggy.PluginManager, plugins: Sequence[Plugin], *, is_complete: bool
) -> Iterator[Problem]:
    """Yield a problem for each foreign key to a table of a plugin that cannot be kept.

    That is a table of a plugin that is not required, or one in another database.

    Histories are applied in the order of requirements, and PostgreSQL refuses a reference to a
    table that does not exist yet. `is_complete` tells that no plugin is missing because of problems
    of its own, so that a table of none of them is a problem, too.
    """
    for plugin in plugins:
        for table in plugin.metadata.tables.values() if plugin.metadata is not None else ():
            for key in sorted(table.foreign_keys, key=lambda one: one.parent.name):
                if mistake := _find_mistake(plugin, key, plugins, is_complete=is_complete):
                    code, summary, hint = mistake
                    place = locate_part(manager, plugin, "pegboard_models", table, key.parent.name)
                    yield plugin.problem(code, summary + place, hint)


def _find_mistake(
    plugin: Plugin, key: ForeignKey, plugins: Sequence[Plugin], *, is_complete: bool
) -> tuple[Code, str, str] | None:
    """Return the problem of a foreign key, as code, summary and hint; None if there is none."""
    referred = key.column.table
    if referred.metadata is plugin.metadata:
        return None
    what = f"{key.parent.table.name}.{key.parent.name} refers to table {referred.name}"
    owner = next((one for one in plugins if one.metadata is referred.metadata), None)
    if owner is None:
        hint = (
            "Write the distribution of the plugin that has the table into the dependencies in "
            "pyproject.toml, and activate that plugin."
        )
        summary = f"{what}, which is of no active plugin"
        return (Code.MODEL_REQUIREMENT_MISSING, summary, hint) if is_complete else None
    if _bind(plugin) != _bind(owner):
        summary = (
            f"{what} of {owner.name}, which is in another database: that of "
            f"{_described(owner)}, and not of {_described(plugin)}"
        )
        hint = "Keep the id in a column without a foreign key, or give both models one `bind_key`."
        return Code.MODEL_OTHER_DATABASE, summary, hint
    if _requires(plugin, owner, plugins):
        return None
    assert owner.distribution is not None
    summary = f"{what} of {owner.name}, whose distribution it does not require"
    hint = (
        f"Write {owner.distribution.name!r} into the dependencies in pyproject.toml, and install "
        "the plugin anew."
    )
    return Code.MODEL_REQUIREMENT_MISSING, summary, hint


def _bind(plugin: Plugin) -> Any:
    """Return the bind of Flask-SQLAlchemy in whose database a plugin's tables are."""
    return plugin.metadata.info.get("bind_key") if plugin.metadata is not None else None


def _described(plugin: Plugin) -> str:
    bind = _bind(plugin)
    return "DATABASE_URL" if bind is None else f"the bind {bind}"


def _requires(plugin: Plugin, owner: Plugin, plugins: Sequence[Plugin]) -> bool:
    """Return whether a plugin requires another, also by way of others; without metadata True."""
    if plugin.distribution is None or owner.distribution is None:
        return True
    found = {plugin.distribution.canonical_name}
    for _ in plugins:  # a way is no longer than there are plugins
        for one in plugins:
            if one.distribution and one.distribution.canonical_name in found:
                found |= one.distribution.requires.keys()
    return owner.distribution.canonical_name in found
