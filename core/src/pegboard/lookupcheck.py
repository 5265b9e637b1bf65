"""Finding cached views whose answers could not be told apart."""

import re

from flask import Flask
from werkzeug.routing import Rule

from pegboard.cache import Lookup, find_lookups
from pegboard.problems import PluginError, Problem, StartupError
from pegboard.registry import Registry


def check_lookups(app: Flask, assembled: Registry) -> None:
    """Look whether each cached view can be told by its name, and its rows by the URL.

    Raises `PluginError`, or `StartupError` if the view is no plugin's.
    """
    named: dict[tuple[str, str], Lookup] = {}
    for rule, lookup in find_lookups(app):
        view = f"{lookup.function.__module__}.{lookup.function.__qualname__}"
        other = named.setdefault(lookup.identity, lookup)
        if other is not lookup:
            its = f"{other.function.__module__}.{other.function.__qualname__}"
            summary = f"the cached views {its} and {view} of {lookup.table.name} have one name"
            cure = 'Give one of the two a `name` of its own: @pegboard.cached(..., name="...").'
        elif rule.defaults or not _spells_key(rule, lookup):
            summary = (
                f"the cached view {view} is at {rule.rule}, whose variables are not the primary "
                f"key of {lookup.table.name}"
            )
            cure = "Give the URL one variable for each column of the key, in their order."
        else:
            continue
        raise _problem(assembled, rule, lookup, summary, cure)


def _spells_key(rule: Rule, lookup: Lookup) -> bool:
    """Return whether the variables of a URL can be the columns of the key."""
    columns = [column.name for column in lookup.table.primary_key.columns]
    variables = re.findall(r"<(?:[^<>]*:)?(\w+)>", rule.rule)
    # Names that are those of the columns must be in their order; others are the author's business.
    return variables == columns or (
        len(variables) == len(columns) and set(variables) != set(columns)
    )


def _problem(
    assembled: Registry, rule: Rule, lookup: Lookup, summary: str, cure: str
) -> PluginError | StartupError:
    """Return a problem of the plugin that a view belongs to."""
    owner = assembled.owner_of(rule.endpoint, lookup.function.__module__)
    if owner is None:
        return StartupError([Problem(summary, cure)])
    return PluginError(owner.problem(summary, cure))
