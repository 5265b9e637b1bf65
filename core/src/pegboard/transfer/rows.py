"""What a row of a file becomes: validated by the resource's schema, then values to insert."""

import copy
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, missing
from sqlalchemy import Select, inspect, select
from werkzeug.exceptions import HTTPException

from pegboard.clock import utcnow
from pegboard.database import Model, db
from pegboard.resources import Resource, ResourceError, Values, Words, client_name, holds_text
from pegboard.transfer.files import Columns, RowError

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper

_EXPORT_BATCH = 1000

TIMES = ("created_at", "updated_at")
"""The columns of `pegboard.Model` that a file may give though clients may not."""


class Rows:
    """The rows that files of a resource have."""

    def __init__(self, resource: Resource[Any]) -> None:
        """Raise `ResourceError` for a resource of which no rows can be inserted in batches."""
        self.resource = resource
        self.mapper: Mapper[Any] = inspect(resource.model)
        if len(self.mapper.tables) > 1:
            message = (
                f"the resource {resource.name}: {resource.model.__name__} is stored in more than "
                "one table; import its rows by hand"
            )
            raise ResourceError(message)
        if not resource.input().load_fields:
            message = (
                f"the resource {resource.name}: a body has no fields, as all of its schema are "
                "read-only, so no rows can be imported"
            )
            raise ResourceError(message)
        self.key = self.mapper.primary_key[0]
        self.words = Words(resource.noun, resource.name.replace("_", " "))
        self._shown = resource.output().dump_fields
        self.schema = self._schema()

    def read(self) -> Iterator[Any]:
        """Yield all rows, whoever may see them, from a cursor of the server."""
        statement, is_of_objects = self._statement()
        result: Any = db.session.execute(statement, execution_options={"yield_per": _EXPORT_BATCH})
        yield from result.scalars() if is_of_objects else result

    def _statement(self) -> tuple[Select[Any], bool]:
        """Return what reads all rows, and whether it returns objects."""
        table = self.mapper.local_table
        columns = {
            one.key: one.columns[0]
            for one in self.mapper.column_attrs
            if getattr(one.columns[0], "table", None) is table
        }
        shown = [field.attribute or name for name, field in self._shown.items()]
        if self.mapper.inherits is not None or not all(name in columns for name in shown):
            return select(self.resource.model).order_by(self.key), True
        # By the table: the ORM takes its time for each row.
        selected = (columns[name].label(name) for name in dict.fromkeys(shown))
        return select(*selected).order_by(self.key), False

    def _schema(self) -> type[Schema]:
        """Return the schema of requests, and the times that answers show."""
        kind = self.resource.input
        writable = kind().load_fields
        times: dict[str, fields.Field[Any]] = {}
        for name, field in self._shown.items():
            attribute = field.attribute or name
            if name in writable or attribute not in TIMES:
                continue
            if (column := self.mapper.columns.get(attribute)) is None:
                continue
            given: fields.Field[Any] = copy.deepcopy(kind._declared_fields[name])  # noqa: SLF001 - nothing public
            given.dump_only = given.required = False
            given.load_default = missing
            given.allow_none = bool(column.nullable)
            times[name] = given
        base: Any = kind.Meta
        excluded = tuple(name for name in base.exclude if name not in times)
        meta = type("Meta", (base,), {"exclude": excluded, "register": False})
        members = {**times, "Meta": meta, "__module__": kind.__module__}
        return type(kind.__name__, (kind,), members)

    @cached_property
    def columns(self) -> Columns:
        """The columns of a CSV file: those that an export has, and those that only requests do."""
        taken = {client_name(name, one): one for name, one in self.schema().load_fields.items()}
        shown = [client_name(name, one) for name, one in self._shown.items()]
        return Columns(
            names=list(dict.fromkeys((*shown, *taken))),
            required=[key for key, one in taken.items() if one.required],
            ignored=[key for key in shown if key not in taken],
            texts=[key for key, one in taken.items() if holds_text(one)],
        )

    def field_of(self, column: str) -> str:
        """Return the name that files have for a column of the table."""
        attributes = {one.columns[0].name: one.key for one in self.mapper.column_attrs}
        attribute = attributes.get(column, column)
        for name, field in self.schema().load_fields.items():
            if (field.attribute or name) == attribute:
                return client_name(name, field)
        return attribute

    @cached_property
    def needs_object(self) -> bool:
        """Whether a row is not only the values of its columns: its class has a say in them."""
        model = self.resource.model
        attributes = self.mapper.column_attrs
        return (
            self.resource.overrides("make")
            or bool(self.mapper.validators)
            or self.mapper.polymorphic_on is not None
            or self.mapper.class_manager.original_init is not model.registry.constructor
            or any(
                (one.attribute or name) not in attributes
                for name, one in self.schema().load_fields.items()
            )
        )


class RowLoader:
    """Turns the rows of one file into values to insert."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._schema = rows.schema()
        self._ignored = frozenset(rows.columns.ignored)
        self._needs_object = rows.needs_object
        self._attributes = frozenset(rows.mapper.column_attrs.keys())
        # All rows of a file are new at the same time.
        times = self._attributes.intersection(TIMES)
        is_timed = issubclass(rows.resource.model, Model)
        self._now: Values = dict.fromkeys(times, utcnow()) if is_timed else {}

    def load(self, content: Any) -> Values:
        """Return the values of a row by attribute. Raises `RowError` that says what is wrong."""
        if isinstance(content, RowError):
            raise content
        if isinstance(content, dict) and not self._ignored.isdisjoint(content):
            content = {name: one for name, one in content.items() if name not in self._ignored}
        try:
            values: Values = self._schema.load(content)
        except ValidationError as error:
            raise RowError(sentence(error.normalized_messages())) from None  # type: ignore[no-untyped-call]  # it has none
        if self._needs_object:
            values = self._made(values)
        return {**self._now, **values}

    def _made(self, values: Values) -> Values:
        """Return the values that the columns of a new row have."""
        times = {name: values.pop(name) for name in TIMES if name in values}
        with db.session.no_autoflush, refusals():
            row = self._rows.resource.make(values)
        if row in db.session:  # it refers to another row
            db.session.expunge(row)
        found = inspect(row).dict
        return {name: found[name] for name in self._attributes if name in found} | times


class refusals:  # noqa: N801 - used as a function
    """Turn what a plugin raises to refuse a row of a request into a `RowError`."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        """Raise the `RowError`."""
        if isinstance(error, HTTPException):
            summary = {"_schema": [error.description or error.name]}
            raise RowError(sentence(getattr(error, "errors", None) or summary)) from None


def sentence(messages: Mapping[Any, Any]) -> str:
    """Return the messages about fields as one text."""
    return " ".join(_sentences(messages, ""))


def _sentences(messages: Any, path: str) -> list[str]:
    if isinstance(messages, Mapping):
        return [
            text
            for name, found in messages.items()
            for text in _sentences(found, path if name == "_schema" else f"{path}.{name}")
        ]
    texts = messages if isinstance(messages, list | tuple) else [messages]
    words = " ".join(map(str, texts))
    return [f"{path.removeprefix('.')}: {words}" if path else words]
