"""Decides which operations of a resource have a fast path in an app."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from flask import Flask
from sqlalchemy import CHAR, inspect
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.events import AttributeEvents, InstanceEvents, MapperEvents, SessionEvents

from pegboard.cache import lookup_of
from pegboard.changes import get_listeners
from pegboard.database import count_listeners, db
from pegboard.resources.declaration import Operation
from pegboard.resources.fast.reading import FastGet, FastList
from pegboard.resources.fast.requests import Body
from pegboard.resources.fast.target import STATEMENT_EVENTS, Target
from pegboard.resources.fast.writing import FastChange, FastCreate, FastDelete, may_write
from pegboard.resources.kinds import kind_of
from pegboard.resources.merge import MEDIA_TYPES
from pegboard.resources.operations import Parts, View
from pegboard.resources.steps import Steps
from pegboard.settings import CoreSettings, get_settings
from pegboard.stages import FastPath, Route, set_fast_path

_WRITES = frozenset({Operation.CREATE, Operation.REPLACE, Operation.MERGE, Operation.DELETE})
_BUILTIN_MODULES = ("pegboard.", "sqlalchemy.orm.mapper")
"""The modules of listeners that every app has."""


def _names(events: type) -> tuple[str, ...]:
    return tuple(
        name for name, one in vars(events).items() if callable(one) and not name.startswith("_")
    )


_SESSION_EVENTS = _names(SessionEvents)
_MAPPER_EVENTS = _names(MapperEvents)
_INSTANCE_EVENTS = _names(InstanceEvents)
_ATTRIBUTE_EVENTS = _names(AttributeEvents)


def add_fast_path(resource: Steps[Any], parts: Parts, operation: Operation, view: View) -> None:
    """Give the view of an operation a fast path, where there is one."""
    if (make := _FAST_PATHS.get(operation)) is not None:
        set_fast_path(view, partial(_bind, resource, parts, operation, make))


def _bind(
    resource: Steps[Any],
    parts: Parts,
    operation: Operation,
    make: "Make",
    app: Flask,
    route: Route,
) -> FastPath | str:
    """Return the fast path of an operation; else what makes all its requests unusual."""
    if not get_settings(CoreSettings, app).resources_fast:
        return "PEGBOARD_RESOURCES_FAST is off"
    if reason := _why_not_plain(resource, parts):
        return reason
    mapper = inspect(resource.model)
    with app.app_context():
        session = db.session()
        engine: Any = session.get_bind(mapper)
        if reason := _unsupported(app, engine):
            return reason
        if operation in _WRITES and _is_watched(mapper, session):
            return "a listener, or a feature of the ORM, takes part in writes of its model"
    listeners = count_listeners(engine, STATEMENT_EVENTS)
    found = make(Target(app, engine, listeners, resource, parts), route)
    return found or f"{operation.name.lower()} of this resource needs what only the view does"


def _unsupported(app: Flask, engine: Any) -> str | None:
    """Return why no statement of a fast path can run on an engine."""
    if engine is not db.engine:
        return "its model is in another database"
    if not _is_supported(app, engine):
        return "the database is not PostgreSQL by psycopg2 with the platform's options"
    if _has_foreign(engine, STATEMENT_EVENTS):
        return "code of a plugin listens to the statements of the engine"
    return None


def _why_not_plain(resource: Steps[Any], parts: Parts) -> str | None:
    """Return which steps are overridden, or that answers show more than columns."""
    steps = [name for name, one in vars(Steps).items() if callable(one) and name != "__init__"]
    found = [name for name in steps if name in vars(resource) or resource.overrides(name)]
    if found:
        return f"the resource overrides {', '.join(found)}"
    if parts.listing.statements.columns is None:
        return "the answers of the resource show more than columns"
    return None


def _is_supported(app: Flask, engine: Any) -> bool:
    options: Mapping[str, Any] = app.config.get("SQLALCHEMY_ENGINE_OPTIONS") or {}
    return (
        (engine.dialect.name, engine.dialect.driver) == ("postgresql", "psycopg2")
        and not engine.echo
        and not engine.get_execution_options()
        and "isolation_level" not in options
    )


def _is_watched(mapper: Mapper[Any], session: Session) -> bool:
    """Return whether code of a plugin, or a feature of the ORM, takes part in writes of a model."""
    listeners = get_listeners()
    attributes = [getattr(mapper.class_, one.key) for one in mapper.column_attrs]
    return bool(
        (listeners is not None and listeners.audience(mapper.class_) is not None)
        or mapper.relationships
        or mapper.inherits
        or mapper.polymorphic_on is not None
        or mapper.version_id_col is not None
        or mapper.validators
        or any(len(one.columns) != 1 for one in mapper.column_attrs)
        or mapper.class_manager.original_init is not mapper.registry.constructor
        or _has_foreign(session, _SESSION_EVENTS)
        or _has_foreign(mapper, _MAPPER_EVENTS)
        or _has_foreign(mapper.class_manager, _INSTANCE_EVENTS)
        or any(_has_foreign(one, _ATTRIBUTE_EVENTS) for one in attributes)
    )


def _has_foreign(target: Any, events: Sequence[str]) -> bool:
    """Return whether a function that is not ours listens to an event of SQLAlchemy."""
    functions = chain.from_iterable(getattr(target.dispatch, event) for event in events)
    return any(not getattr(one, "__module__", "").startswith(_BUILTIN_MODULES) for one in functions)


def _list(target: Target, _: Route) -> FastPath | None:
    return FastList(target) if target.parts.list_ttl is None else None


def _get(target: Target, route: Route) -> FastPath:
    return FastGet(target, lookup_of(route.function))


def _delete(target: Target, _: Route) -> FastPath | None:
    return FastDelete(target) if may_write(target, "delete") else None


def _body(target: Target, kind: Any, *media_types: str) -> Body | None:
    limit = get_settings(CoreSettings, target.app).max_content_length
    body = Body(kind(), media_types, limit)
    is_of_columns = target.columns.keys() >= set(body.attributes)
    return body if body.is_loaded_by_fields and is_of_columns else None


def _create(target: Target, _: Route) -> FastPath | None:
    body = _body(target, target.resource.input, "application/json")
    return FastCreate(target, body) if body and may_write(target, "insert") else None


def _change(target: Target, body: Body | None, needed: Collection[str] = ()) -> FastPath | None:
    if body is None or not may_write(target, "update"):
        return None
    types = [target.columns[name].type for name in body.attributes]
    # The database cannot compare values of other types, or not as Python does.
    if any(kind_of(one) is None or isinstance(one, CHAR) for one in types):
        return None
    return FastChange(target, body, needed)


def _replace(target: Target, _: Route) -> FastPath | None:
    left_out = target.resource.left_out
    return _change(target, _body(target, target.resource.input, "application/json"), left_out.names)


def _merge(target: Target, _: Route) -> FastPath | None:
    return _change(target, _body(target, target.resource.merge, *MEDIA_TYPES))


Make = Callable[[Target, Route], FastPath | None]

_FAST_PATHS: Mapping[Operation, Make] = {
    Operation.LIST: _list,
    Operation.GET: _get,
    Operation.CREATE: _create,
    Operation.REPLACE: _replace,
    Operation.MERGE: _merge,
    Operation.DELETE: _delete,
}
