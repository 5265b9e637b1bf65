"""Calling listeners for rows that are inserted by Core statements."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import groupby
from typing import Any

from sqlalchemy import Integer, Table, insert, inspect, select, tuple_

from pegboard.changes.declaration import Change, Kind
from pegboard.changes.listeners import Audience, Listeners, get_listeners
from pegboard.changes.rows import Rows, Values
from pegboard.database import db


class BulkInsert:
    """Inserts many rows of a model by Core statements, as an import does, and calls its listeners.

    In a transaction, make one, give each row to `prepare`, and the results in batches to
    `execute`; call `announce` after the commit. Listeners are called for each row before, and for
    each batch in the transaction and after the commit, with copies of the rows. To keep memory
    small, only the primary keys are kept, and only if a listener has `after_commit`. Raises
    `TypeError` for a model of more than one table.
    """

    def __init__(self, model: type[Any]) -> None:
        mapper = inspect(model)
        if not isinstance(mapper.local_table, Table) or len(mapper.tables) > 1:
            message = f"{model.__name__} is stored in more than one table."
            raise TypeError(message)
        self._model = model
        self._table = mapper.local_table
        self._rows = Rows(mapper)
        self._columns = {name: mapper.columns[name] for name in self._rows.columns}
        self._key = mapper.primary_key
        self._listeners = get_listeners() or Listeners(())
        nobody = Audience(self._rows, (), (), ())
        self._audience = self._listeners.audience(model) or nobody
        is_number = len(self._key) == 1 and isinstance(self._key[0].type, Integer)
        self._keys: array[int] | list[Any] = array("q") if is_number else []
        self._sizes: list[int] = []

    def prepare(self, values: Mapping[str, Any]) -> Values:
        """Return the values of a new row, by attribute, after `before_write` of its listeners.

        Raises what a listener raises to refuse the row.
        """
        if not self._audience.before_write:
            return dict(values)
        row = self._model(**values)
        change = Change(Kind.CREATED, self._model, row)
        self._listeners.before_write(self._audience.before_write, change)
        loaded = inspect(row).dict
        return {name: loaded[name] for name in self._rows.columns if name in loaded}

    def execute(self, batch: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows of which `prepare` has returned the values, then call `written`.

        Raises what a listener raises to refuse the rows, of which then none is inserted.
        """
        # Without a savepoint, the caller could commit what a listener has refused.
        with db.session.begin_nested() if self._audience.written else nullcontext():
            keys = self._insert(batch)
            if keys and self._audience.written:
                self._listeners.written(self._read(keys))
        if self._audience.after_commit:
            self._keys.extend(keys)
            self._sizes.append(len(keys))

    def _insert(self, batch: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Insert rows; return their primary keys, if any listener needs them."""
        keys: list[Any] = []
        # One statement takes rows with the same columns.
        for names, rows in groupby(batch, key=lambda values: values.keys()):
            keyed = [(name, self._columns[name].key) for name in names]
            parameters = [{column: values[name] for name, column in keyed} for values in rows]
            if self._audience.written or self._audience.after_commit:
                returned = db.session.execute(insert(self._table).returning(*self._key), parameters)
                keys += (row[0] if len(row) == 1 else tuple(row) for row in returned)
            else:
                db.session.execute(insert(self._table), parameters)
        return keys

    def announce(self) -> None:
        """Call `after_commit` for each batch, whose rows are read again; after the commit."""
        start = 0
        for size in self._sizes:
            changes = self._read(self._keys[start : start + size])
            start += size
            db.session.rollback()  # ends the transaction, which has only read
            self._listeners.after_commit(changes)
        self._sizes = []
        del self._keys[:]

    def _read(self, keys: Sequence[Any]) -> list[Change]:
        return [Change(Kind.CREATED, self._model, row) for row in self._copies(keys)]

    def _copies(self, keys: Sequence[Any]) -> Iterator[Any]:
        key = self._key[0] if len(self._key) == 1 else tuple_(*self._key)
        columns = [column.label(name) for name, column in self._columns.items()]
        query = select(*columns).where(key.in_(keys)).order_by(*self._key)
        return map(self._rows.make, db.session.execute(query).mappings())
