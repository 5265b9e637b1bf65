"""Finding cached views whose answers could not be told apart, or would grow old unseen."""

import re

from flask import Flask
from sqlalchemy import Table
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.routing import Rule

from pegboard.cache import Lookup, find_lookups, find_missed_lookups
from pegboard.plugins import Registry
from pegboard.problems import Code, PluginError, Problem, StartupError

_BIND = "bind_key"
"""Under which a model's metadata names its database, as Flask-SQLAlchemy has it."""


def check_lookups(app: Flask, assembled: Registry) -> None:
    """Look whether each cached view can be told by its name, its rows by the URL, all its writes.

    Raises `PluginError`, or `StartupError` if the view is no plugin's.
    """
    named: dict[tuple[str, str], Lookup] = {}
    for rule, lookup in find_lookups(app):
        other = named.setdefault(lookup.identity, lookup)
        if other is not lookup:
            code = Code.CACHED_DUPLICATE_NAME
            summary = f"{other.view} and {lookup.view} of {lookup.table.name} have one name"
            hint = 'Give one of the two a `name` of its own: @pegboard.cached(..., name="...").'
        elif rule.defaults or not _spells_key(rule, lookup):
            code = Code.CACHED_KEY_MISMATCH
            summary = (
                f"{lookup.view} is at {rule.rule}, whose variables are not the primary key of "
                f"{lookup.table.name}"
            )
            hint = "Give the URL one variable for each column of the key, in their order."
        elif (elsewhere := _elsewhere(assembled, rule, lookup)) is not None:
            code = Code.CACHED_OTHER_DATABASE
            summary = (
                f"{lookup.view} of {lookup.model.__name__} tells of {elsewhere.name}, which is in "
                f"the database of the bind {elsewhere.metadata.info[_BIND]}"
            )
            hint = "Cache only what is in the database of DATABASE_URL: without a `bind_key`."
        else:
            continue
        raise _error(assembled, rule, lookup, Problem(code, summary, hint))
    for rule, lookup in find_missed_lookups(app):
        if named.get(lookup.identity) is not lookup:
            summary = f"{lookup.view} is declared above its route {rule.rule}, which misses it"
            problem = Problem(Code.CACHED_ABOVE_ROUTE, summary, "Put `cached` below the route.")
            raise _error(assembled, rule, lookup, problem)


def _elsewhere(assembled: Registry, rule: Rule, lookup: Lookup) -> Table | None:
    """Return a table whose writes are not watched, as they go to another database."""
    try:
        tables = [lookup.table, *lookup.others]
    except SQLAlchemyError as error:
        summary = f"{lookup.view} is of models that cannot be mapped: {error}"
        problem = Problem(Code.CACHED_MODELS_INVALID, summary, "Fix the models.")
        raise _error(assembled, rule, lookup, problem) from error
    return next((one for one in tables if one.metadata.info.get(_BIND) is not None), None)


def _spells_key(rule: Rule, lookup: Lookup) -> bool:
    """Return whether the variables of a URL can be the columns of the key."""
    columns = [column.name for column in lookup.table.primary_key.columns]
    variables = re.findall(r"<(?:[^<>]*:)?(\w+)>", rule.rule)
    # Names that are those of the columns must be in their order; others are the author's business.
    return variables == columns or (
        len(variables) == len(columns) and set(variables) != set(columns)
    )


def _error(
    assembled: Registry, rule: Rule, lookup: Lookup, problem: Problem
) -> PluginError | StartupError:
    """Return the error of the plugin that a view belongs to, if it belongs to one."""
    owner = assembled.owner_of(rule.endpoint, lookup.function.__module__)
    if owner is None:
        return StartupError([problem])
    return PluginError(owner.own(problem))
