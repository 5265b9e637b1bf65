"""Checks that the answers of each cached view have a key of their own, and do not become stale."""

import re
from collections.abc import Iterator

from flask import Flask
from sqlalchemy import Table
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.routing import Rule

from pegboard.app.view_problems import ViewProblem
from pegboard.cache import (
    Collection,
    Lookup,
    find_collections,
    find_lookups,
    find_missed_lookups,
)
from pegboard.plugins import Collision, Registry, locate_views, settle
from pegboard.problems import Code, PluginError, Problem, StartupError
from pegboard.redaction import reason_of

_BIND = "bind_key"
"""The key in `MetaData.info` under which Flask-SQLAlchemy keeps the name of the database."""


def check_lookups(app: Flask, assembled: Registry) -> None:
    """Check each cached view: its name is unique, its URL has the key, its writes are watched.

    Raises `PluginError` with every mistake, or `StartupError` if one is in a view of no plugin.
    """
    named: dict[tuple[str, str], tuple[Rule, Lookup]] = {}
    problems: list[Problem] = []
    collisions: list[Collision] = []
    for rule, lookup in find_lookups(app):
        other_rule, other = named.setdefault(lookup.identity, (rule, lookup))
        if other is lookup:
            found = _problem(rule, lookup)
            functions: tuple[object, ...] = (lookup.function,)
        else:
            found = _same_name(lookup, other)
            functions = (lookup.function, other.function)
            if collision := _collision(assembled, (rule, lookup), (other_rule, other), found):
                collisions.append(collision)
                continue
        if found is not None:
            problems.append(ViewProblem(rule.endpoint, found, functions).settled(assembled))
    for rule, lookup in find_missed_lookups(app):
        if named.get(lookup.identity, (None, None))[1] is not lookup:
            summary = f"{lookup.view} is declared above its route {rule.rule}, which misses it"
            problem = Problem(Code.CACHED_ABOVE_ROUTE, summary, "Put `cached` below the route.")
            missed = ViewProblem(rule.endpoint, problem, (lookup.function,))
            problems.append(missed.settled(assembled))
    problems += (one.settled(assembled) for one in _problems_of_collections(app))
    if any(problem.plugin is None for problem in problems):
        raise StartupError(problems)
    failed = {problem.plugin or "" for problem in problems}
    if problems := [*problems, *settle(collisions, assembled.skippable, failed)]:
        raise PluginError(*dict.fromkeys(problems))


def _same_name(lookup: Lookup, other: Lookup) -> Problem:
    summary = f"{lookup.view} and {other.view} of {lookup.table.name} have one name"
    hint = 'Give one of the two a `name` of its own: @pegboard.cached(..., name="...")'
    return Problem(Code.CACHED_DUPLICATE_NAME, summary, hint)


def _collision(
    assembled: Registry, later: tuple[Rule, Lookup], earlier: tuple[Rule, Lookup], found: Problem
) -> Collision | None:
    """Return two views of one name as a collision, if each belongs to a plugin."""
    (rule, lookup), (other_rule, other) = later, earlier
    owner = assembled.owner_of(rule.endpoint, lookup.function.__module__)
    other_owner = assembled.owner_of(other_rule.endpoint, other.function.__module__)
    if owner is None or other_owner is None:
        return None
    return Collision(
        Code.CACHED_DUPLICATE_NAME,
        owner,
        other_owner,
        found.summary,
        change=found.hint,
        later_place=locate_views(assembled.manager, owner, lookup.function),
        earlier_place=locate_views(assembled.manager, other_owner, other.function),
    )


def _problem(rule: Rule, lookup: Lookup) -> Problem | None:
    """Return what is wrong with a cached view at a rule."""
    if rule.methods is not None and "GET" not in rule.methods:
        summary = (
            f"{lookup.view} is at {rule.rule} for {', '.join(sorted(rule.methods - {'OPTIONS'}))} "
            "alone, whose answers are not cached"
        )
        hint = "Remove `cached`, or give the view a route for GET."
        return Problem(Code.CACHED_WITHOUT_GET, summary, hint)
    if rule.defaults or not _spells_key(rule, lookup):
        summary = (
            f"{lookup.view} is at {rule.rule}, whose variables are not the primary key of "
            f"{lookup.table.name}"
        )
        hint = "Give the URL one variable for each column of the key, in their order."
        return Problem(Code.CACHED_KEY_MISMATCH, summary, hint)
    return _problem_of_tables(lookup, lookup.view)


def _problems_of_collections(app: Flask) -> Iterator[ViewProblem]:
    """Yield what is wrong with the lists whose totals are cached."""
    for rule, collection in find_collections(app):
        view = f"the cached total of {rule.rule}"
        if (problem := _problem_of_tables(collection, view)) is not None:
            function = app.view_functions[rule.endpoint]
            yield ViewProblem(rule.endpoint, problem, (function,))


def _problem_of_tables(cached: Lookup | Collection, what: str) -> Problem | None:
    """Return the problem of something cached whose tables are not all watched."""
    try:
        elsewhere = _elsewhere(cached)
    except SQLAlchemyError as error:
        summary = f"{what} is of models that cannot be mapped: {reason_of(error)}"
        return Problem(Code.MODEL_REFERENCE_UNRESOLVED, summary, "Fix the models.")
    if elsewhere is None:
        return None
    summary = (
        f"{what} of {cached.model.__name__} depends on {elsewhere.name}, which is "
        f"in the database of the bind {elsewhere.metadata.info[_BIND]}"
    )
    hint = "Cache only what is in the database of DATABASE_URL: without a `bind_key`."
    return Problem(Code.CACHED_OTHER_DATABASE, summary, hint)


def _elsewhere(cached: Lookup | Collection) -> Table | None:
    """Return a table that is in another database, whose writes are not watched."""
    tables = (
        list(cached.tables)
        if isinstance(cached, Collection)
        else [cached.table, *cached.others, *(one.table for one in cached.references)]
    )
    return next((one for one in tables if one.metadata.info.get(_BIND) is not None), None)


def _spells_key(rule: Rule, lookup: Lookup) -> bool:
    """Return whether the variables of a URL can be the columns of the key."""
    columns = [column.name for column in lookup.table.primary_key.columns]
    variables = re.findall(r"<(?:[^<>]*:)?(\w+)>", rule.rule)
    # Variables named like the columns must be in their order; other names are not checked.
    return variables == columns or (
        len(variables) == len(columns) and set(variables) != set(columns)
    )
