"""Reading the rows that a statement writes, right before it and right after it."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from sqlalchemy import (
    Column,
    Connection,
    Executable,
    Select,
    TableClause,
    column,
    delete,
    false,
    select,
    table,
    tuple_,
)
from sqlalchemy.sql import Delete, Update

from pegboard.cache.bound_values import Values

_OPTION = "pegboard_row_reader"
"""The execution option of the statements that are sent here."""


class RowReader:
    """Reads rows on the connection that is about to execute a statement, which writes them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lock(
        self, statement: Update | Delete, columns: Sequence[Column[Any]], keys: Iterable[Values]
    ) -> list[Values] | None:
        """Return the rows with these primary keys, and keep others from changing them meanwhile.

        Returns None where each statement is a transaction of its own, as then nothing stays locked.
        The `columns` begin with those of the primary key. A row that is not there is not locked:
        another transaction may insert it.
        """
        if is_autocommit(self._connection):
            return None
        target = _target(statement, columns)
        if self._connection.dialect.name == "sqlite":
            # It has one lock, for writers, and a transaction that reads first cannot always take it
            # later.
            self._execute(delete(target).where(false()))
        reading = _select(target, columns, keys)
        return self._read(reading.with_for_update(key_share=isinstance(statement, Update)))

    def read(
        self, statement: Update | Delete, columns: Sequence[Column[Any]], keys: Iterable[Values]
    ) -> list[Values]:
        """Return the rows with these primary keys."""
        return self._read(_select(_target(statement, columns), columns, keys))

    def _read(self, statement: Select[Any]) -> list[Values]:
        return [tuple(row) for row in self._execute(statement)]

    def _execute(self, statement: Executable) -> Any:
        return self._connection.execute(statement, execution_options={_OPTION: True})


def is_of_reader(options: Mapping[str, Any]) -> bool:
    """Return whether a statement with these execution options was sent by a `RowReader`."""
    return _OPTION in options


def is_autocommit(connection: Connection) -> bool:
    """Return whether the next statement is a transaction of its own."""
    driver: Any = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        # The core begins its transactions itself; see `pegboard.database.sqlite`.
        return not driver.in_transaction
    if getattr(driver, "autocommit", None) is not True:
        return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
    status = getattr(getattr(driver, "info", None), "transaction_status", None)
    return status in {None, TRANSACTION_STATUS_IDLE}


def _target(statement: Update | Delete, columns: Sequence[Column[Any]]) -> TableClause:
    """Return the table as the statement names it, which may know it by another object."""
    name = columns[0].table.name
    given: Any = statement.table
    found = next(one for one in given._from_objects if getattr(one, "name", None) == name)  # noqa: SLF001 - there is no public way
    return table(name, *(column(one.name, one.type) for one in columns), schema=found.schema)


def _select(
    target: TableClause, columns: Sequence[Column[Any]], keys: Iterable[Values]
) -> Select[Any]:
    """Return the SELECT of rows, in the order of their keys, in which all lock them."""
    key = [target.c[one.name] for one in columns if one.primary_key]
    condition = key[0].in_([one for (one,) in keys]) if len(key) == 1 else tuple_(*key).in_(keys)
    return select(*target.c).where(condition).order_by(*key)
