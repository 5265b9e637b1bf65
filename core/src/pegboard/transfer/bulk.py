"""Inserting many rows in batches."""

from collections.abc import Mapping, Sequence

from sqlalchemy.exc import DataError, IntegrityError

from pegboard.database import db
from pegboard.resources import BulkInsert, Values


class BulkWriter:
    """Inserts rows in batches, and finds in a batch that is refused the rows at fault.

    Use it inside a transaction, and call `flush` at its end.
    """

    def __init__(self, inserter: BulkInsert, batch_size: int) -> None:
        self.count = 0
        """Rows inserted so far."""
        self._inserter = inserter
        self._batch_size = batch_size
        self._batch: list[tuple[int, Values]] = []

    def add(self, line: int, values: Values) -> Mapping[int, IntegrityError | DataError]:
        """Add a row of which the inserter has prepared the values.

        Returns what the database refuses of the batch that is thereby full, by line; the other
        rows of the batch are inserted.
        """
        self._batch.append((line, values))
        return self.flush() if len(self._batch) == self._batch_size else {}

    def flush(self) -> Mapping[int, IntegrityError | DataError]:
        """Insert the rows added since the last full batch; returns what is refused, by line."""
        batch, self._batch = self._batch, []
        if not batch:
            return {}
        try:
            self._insert([values for _, values in batch])
        except (IntegrityError, DataError) as error:
            if error.connection_invalidated:
                raise
            return dict(self._refused(batch))
        return {}

    def _refused(
        self, batch: Sequence[tuple[int, Values]]
    ) -> "list[tuple[int, IntegrityError | DataError]]":
        refused: list[tuple[int, IntegrityError | DataError]] = []
        for line, values in batch:
            try:
                self._insert([values])
            except (IntegrityError, DataError) as error:
                if error.connection_invalidated:
                    raise
                refused.append((line, error))
        return refused

    def _insert(self, rows: Sequence[Values]) -> None:
        # PostgreSQL takes no further statement after an error, but after a savepoint.
        with db.session.begin_nested():
            self._inserter.execute(rows)
        self.count += len(rows)
