"""Rows for the tables that a database has, made up from the columns of the tables."""

import re
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import dropwhile, islice, product
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Date,
    DateTime,
    Enum,
    ForeignKey,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Time,
    Uuid,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, INTERVAL
from sqlalchemy.exc import DBAPIError, SAWarning, StatementError
from sqlalchemy.types import JSON, TypeEngine

from pegboard.testing.contracts.migrations.structure import EPOCH, TableName
from pegboard.testing.contracts.named import RowValues

MOST_TRIES = 300
_COLUMNS = 30
"""How many columns have values that differ: those of a SmallInteger must be below 32,768."""
FIRST_NUMBER = 101
"""Above the ids that a revision gives to rows of its own."""

_LITERALS = re.compile(r"'((?:[^']|'')*)'|(?<![\w.])(-?\d+(?:\.\d+)?)(?![\w.])")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class RowError(Exception):
    """Raised when no row can be made up for a table."""


class _CircleError(RowError):
    """Raised when a row refers to one that cannot be there before it."""

    def __init__(self, keys: list[ForeignKey]) -> None:
        columns = ", ".join(
            f"{key.parent.table.name}.{key.parent.name} refers to {key.column.table.name}"
            for key in keys
        )
        super().__init__(
            f"no row can be the first, as each needs another before it: {columns}, and none of "
            "these columns can be null; give one of them a value if its key is deferred, and let "
            "it be null otherwise"
        )


class RowMaker:
    """Fills tables; the rows of one maker have values that no other row of it has."""

    def __init__(self, values: RowValues, models: MetaData | None) -> None:
        """`models` has the enumerated types, which a database may know as texts alone."""
        self._values = values
        self._enums = {
            (table.name, column.name): column.type
            for table in (models.tables.values() if models is not None else ())
            for column in table.columns
            if isinstance(column.type, Enum)
        }
        self._number = FIRST_NUMBER - 1
        self._example: RowMaker | None = None
        self._made: dict[tuple[str, int], Mapping[str, Any]] = {}
        """The rows by their tables and numbers."""
        self._followed: list[ForeignKey] = []
        """The keys for which rows are being inserted, each to the table of the next."""

    def fill(
        self, connection: Connection, names: Iterable[TableName], example: "RowMaker | None" = None
    ) -> None:
        """Insert into each table a row with all values, and one with as few as it can have.

        Rows of other tables, to which these refer, are inserted as well. They have the values of
        another maker that has filled the same tables, `example`, where the database takes these.
        Raises `RowError` if a table stays empty.
        """
        self._example = example
        metadata = MetaData()
        with warnings.catch_warnings():
            # Of types that SQLAlchemy does not know or, as decimals on SQLite, only converts.
            warnings.simplefilter("ignore", SAWarning)
            wanted = {(name.schema, name.name) for name in names}
            for schema, name in sorted(wanted, key=str):
                Table(name, metadata, schema=schema, autoload_with=connection)
            for table in metadata.sorted_tables:
                if (table.schema, table.name) in wanted:
                    self._insert_two(connection, table)

    def _insert_two(self, connection: Connection, table: Table) -> None:
        reason = self._insert(connection, table, is_full=True)
        reason = self._insert(connection, table, is_full=False) or reason
        if reason and connection.execute(select(table).limit(1)).first() is None:
            message = f"no row could be made up for the table {table.name}: {reason}"
            raise RowError(message)

    def _insert(self, connection: Connection, table: Table, *, is_full: bool) -> str:
        """Insert a row; returns why the database took none."""
        reason = ""
        self._number += 1
        number = self._number  # the rows that this one refers to get others
        choices, postponed = self._choices(connection, table, number, is_full=is_full)
        for combination in islice(product(*choices.values()), MOST_TRIES):
            values = dict(zip(choices, combination, strict=True))
            try:
                with connection.begin_nested():
                    row = connection.execute(insert(table).values(values))
            except (DBAPIError, StatementError) as error:
                reason = reason or str(error.orig or error).strip()
            else:
                self._made[table.name, number] = values
                key = zip(table.primary_key, row.inserted_primary_key or (), strict=False)
                self._set(connection, postponed, dict(key))
                return ""
        return reason

    def _choices(
        self, connection: Connection, table: Table, number: int, *, is_full: bool
    ) -> tuple[dict[str, list[Any]], list[ForeignKey]]:
        """Return the values that each column of a new row may have, the most likely first.

        Also returns the keys that can be set only once the row is there, as what they refer to has
        to refer to it.
        """
        given = self._values.get(table.name, {})
        example = self._example.row(table.name, number) if self._example else {}
        checks = [
            one["sqltext"]
            for one in inspect(connection).get_check_constraints(table.name, schema=table.schema)
        ]
        found: dict[str, list[Any]] = {}
        postponed = []
        for position, column in enumerate(table.columns):
            if column.name in given:
                found[column.name] = [given[column.name]]
                continue
            if _is_made_by_database(column, connection) or (
                not is_full and (column.nullable or column.server_default is not None)
            ):
                continue
            if key := _key_of(column):
                try:
                    found[column.name] = [self._reference(connection, key)]
                except _CircleError:
                    # A key is not checked while one of its columns is null.
                    if not any(one.nullable for one in _columns_of(key)):
                        raise
                    postponed.append(key)
                else:
                    continue
            if key is None or not column.nullable:
                literals = [
                    one
                    for check in checks
                    if re.search(rf"\b{re.escape(column.name)}\b", check)
                    for one in _literals(check, column.type)
                ]
                kind = self._kind_of(column)
                # A revision that confuses two columns is seen if their values differ.
                usual = value_of(kind, number + position % _COLUMNS * 1000)
                found[column.name] = [*_of_example(example, column), usual, *literals]
                if isinstance(kind, Enum):  # an earlier revision may know fewer
                    found[column.name] += kind.enums
        return found, postponed

    def row(self, table: str, number: int) -> Mapping[str, Any]:
        """Return the values of a row that it has made; none if there is no such row."""
        return self._made.get((table, number), {})

    def _kind_of(self, column: Column[Any]) -> TypeEngine[Any]:
        if isinstance(column.type, Enum):
            return column.type
        # SQLite knows an enumerated type as a text.
        return self._enums.get((column.table.name, column.name), column.type)

    def _reference(self, connection: Connection, key: ForeignKey) -> Any:
        """Return what a foreign key can refer to; a row is inserted if need be.

        Raises `RowError` if that row would have to refer to one that is not there yet either.
        """
        target = key.column
        newest = select(target).order_by(target.desc()).limit(1)
        value = connection.scalar(newest)
        if value is None:
            followed = [*self._followed, key]
            if circle := [*dropwhile(lambda one: one.parent.table is not target.table, followed)]:
                raise _CircleError(circle)
            self._followed.append(key)
            try:
                self._insert(connection, target.table, is_full=True)
            finally:
                self._followed.pop()
            value = connection.scalar(newest)
        return value

    def _set(
        self, connection: Connection, keys: list[ForeignKey], row: dict[Column[Any], Any]
    ) -> None:
        """Set keys of a row that has just been inserted, where that can be."""
        for key in keys:
            table = key.parent.table
            # A row that refers to itself is no tree, and a query for all above it would not end.
            if key.column.table is table or not row:
                continue
            is_row = [column == value for column, value in row.items()]
            with suppress(_CircleError, DBAPIError), connection.begin_nested():
                values = {
                    one.parent: self._reference(connection, one)
                    for one in keys
                    if one.constraint is key.constraint
                }
                connection.execute(update(table).where(*is_row).values(values))


def _of_example(row: Mapping[str, Any], column: Column[Any]) -> Iterator[Any]:
    """Yield the value that another database has in the column, as this one keeps it."""
    match row.get(column.name), column.type:
        case None, _:
            return
        case uuid.UUID() as value, String():
            yield value.hex
        case timedelta() as value, DateTime():
            yield EPOCH + value
        case value, _:
            yield value


def _key_of(column: Column[Any]) -> ForeignKey | None:
    """Return the foreign key by which to choose a value of a column; of several the narrowest."""
    by_width = sorted(
        column.foreign_keys, key=lambda one: (len(_columns_of(one)), one.target_fullname)
    )
    return by_width[0] if by_width else None


def _columns_of(key: ForeignKey) -> list[Column[Any]]:
    return [*key.constraint.columns] if key.constraint is not None else [key.parent]


def _is_made_by_database(column: Column[Any], connection: Connection) -> bool:
    """Return whether the database numbers or computes the values of the column."""
    if column.computed is not None or column.identity is not None:
        return True
    if column.foreign_keys:
        return False
    if connection.dialect.name == "sqlite":
        return column.table.autoincrement_column is column
    default = str(getattr(column.server_default, "arg", ""))
    return default.startswith("nextval(")


def _literals(check: str, kind: TypeEngine[Any]) -> Iterator[Any]:
    """Yield what a check constraint may allow: the literals in it, and their neighbours."""
    for text, bare in _LITERALS.findall(check):
        # PostgreSQL writes a negative number as '-1'::integer.
        number = bare or (text if _NUMBER.fullmatch(text) else "")
        if isinstance(kind, Integer) and number:
            yield from (int(Decimal(number)) + one for one in (0, 1, -1))
        elif isinstance(kind, Numeric) and number:
            yield from (Decimal(number) + one for one in (0, 1, -1))
        elif isinstance(kind, String) and not bare:
            yield text.replace("''", "'")


def value_of(kind: TypeEngine[Any], number: int) -> Any:
    """Return a value of the type; another number gives another one, where the type has many."""
    for known, make in _MAKERS.items():
        if isinstance(kind, known):
            return make(kind, number)
    return str(number)


def _moment(number: int) -> datetime:
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=number)


def _choice(kind: Any, number: int) -> Any:
    return kind.enums[number % len(kind.enums)] if kind.enums else None


def _decimal(kind: Any, number: int) -> Decimal:
    whole = number % 10 ** max((kind.precision or 20) - (kind.scale or 0), 1)
    return Decimal(whole) + (Decimal("0.25") if (kind.scale or 0) > 1 else 0)


def _time(kind: Any, number: int) -> datetime:
    return _moment(number) if kind.timezone else _moment(number).replace(tzinfo=None)


def _uuid(kind: Any, number: int) -> uuid.UUID | str:
    return uuid.UUID(int=number) if kind.as_uuid else uuid.UUID(int=number).hex


def _text(kind: Any, number: int) -> str:
    text = f"Text {number}"
    return text if kind.length is None or kind.length >= len(text) else text[-kind.length :]


_MAKERS: dict[Any, Callable[[Any, int], Any]] = {
    Enum: _choice,
    Boolean: lambda _kind, number: bool(number % 2),
    Integer: lambda _kind, number: number,
    Numeric: _decimal,
    DateTime: _time,
    Date: lambda _kind, number: _moment(number * 24 * 60).date(),
    Time: lambda _kind, number: _moment(number).time(),
    (Interval, INTERVAL): lambda _kind, number: timedelta(minutes=number),
    Uuid: _uuid,
    LargeBinary: lambda _kind, number: b"%d" % number,
    JSON: lambda _kind, number: {"number": number},
    ARRAY: lambda kind, number: [value_of(kind.item_type, number)],
    String: _text,
}
"""What makes a value of a type; an enumeration is a text as well, so the order matters."""
