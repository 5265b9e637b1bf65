"""Importing rows from files, and creating samples."""

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from pegboard.api import complaints_about
from pegboard.database import db, no_time_limit, transactional, violation_of
from pegboard.redaction import reason_of
from pegboard.resources import BulkInsert, TransferLimits
from pegboard.transfer.bulk import BulkWriter
from pegboard.transfer.files import Row, RowError
from pegboard.transfer.rows import RowLoader, Rows, refusals, sentence


class InterruptedImportError(Exception):
    """Raised when a concurrent transaction or a plugin has ended the import."""


@dataclass
class Report:
    """The result of an import."""

    imported: int = 0
    bad: int = 0
    complaints: list[tuple[int, str]] = field(default_factory=list)
    """What is wrong with the first bad rows, each with its line number."""
    is_partial: bool = False
    """Whether there may be more bad rows, as the database has refused some and not seen others."""


class _RefusedError(Exception):
    """Raised to undo an import that had bad rows."""


def import_rows(
    rows: Rows,
    content: Iterable[Row],
    limits: TransferLimits,
    *,
    skip_bad: bool = False,
    on_row: Callable[[], object] = bool,
) -> Report:
    """Import rows in one transaction: all or none, or with `skip_bad` all valid ones.

    All rows are validated, also after a bad one. `on_row` is called after each row.
    """
    run = _Import(rows, content, limits, skip_bad)
    with no_time_limit():
        try:
            run.transaction(on_row)
        except _RefusedError:
            return run.report
        except HTTPException as error:
            message = f"A plugin refused the {rows.words.plural}: {error.description or error.name}"
            raise InterruptedImportError(message) from error
        run.report.imported = run.writer.count
        run.inserter.announce()
    return run.report


@dataclass
class _Import:
    rows: Rows
    content: Iterable[Row]
    limits: TransferLimits
    skip_bad: bool
    report: Report = field(default_factory=Report)
    is_begun: bool = False
    is_refused: bool = False
    """Whether the database has refused a row."""

    def __post_init__(self) -> None:
        self.inserter = BulkInsert(self.rows.resource.model)
        self.writer = BulkWriter(self.inserter, self.limits.batch)

    @transactional
    def transaction(self, on_row: Callable[[], object]) -> None:
        # Rows can be read only once, so the transaction is begun, and repeated if SQLite is locked,
        # before the first is read.
        db.session.connection()
        if self.is_begun:
            message = (
                "The database aborted the import because of another transaction. Run it again."
            )
            raise InterruptedImportError(message)
        self.is_begun = True
        load = RowLoader(self.rows).load
        for row in self.content:
            try:
                values = load(row.content)
                if self.skip_bad or not self.report.bad:
                    with refusals():
                        values = self.inserter.prepare(values)
                    self._complain_all(self.writer.add(row.line, values))
                elif self.is_refused:
                    self.report.is_partial = True
            except RowError as error:
                is_first = not self.report.bad
                self._complain(row.line, str(error))
                if is_first and not self.skip_bad:
                    # What the database says of the rows before it is not known yet.
                    self._complain_all(self.writer.flush())
            on_row()
        self._complain_all(self.writer.flush())
        if self.report.bad and not self.skip_bad:
            raise _RefusedError

    def _complain_all(self, refused: Mapping[int, DBAPIError]) -> None:
        for line, error in refused.items():
            self.is_refused = True
            self._complain(line, _reason(error, self.rows))

    def _complain(self, line: int, reason: str) -> None:
        self.report.bad += 1
        # What the database refuses is known later than what the schema does of lines behind it.
        insort(self.report.complaints, (line, reason))
        del self.report.complaints[self.limits.bad_rows_shown :]


def _reason(error: DBAPIError, rows: Rows) -> str:
    """Return why the database has refused a row."""
    violation = violation_of(error, db.session())
    if violation is None:
        return database_message(error)
    return sentence(complaints_about(violation, rows.field_of))


def database_message(error: DBAPIError) -> str:
    """Return what the database says, in one line."""
    return f"The database reports: {reason_of(error)}"


@dataclass(frozen=True)
class Seeding:
    """Creating samples, as an operator wants it."""

    rows: Rows
    samples: Callable[[], Iterator[Mapping[str, Any]]]
    limits: TransferLimits
    count: int
    only_if_empty: bool

    def run(self) -> int:
        """Create the samples; returns how many. Raises `RowError` for one that is not valid."""
        with no_time_limit():
            count, inserter = self._transaction()
            inserter.announce()
        return count

    @transactional
    def _transaction(self) -> tuple[int, BulkInsert]:
        inserter = BulkInsert(self.rows.resource.model)
        writer = BulkWriter(inserter, self.limits.batch)
        if self.only_if_empty and db.session.scalar(select(exists(select(self.rows.key)))):
            return 0, inserter
        load = RowLoader(self.rows).load
        for number, sample in enumerate(islice(self.samples(), self.count), 1):
            try:
                with refusals():
                    values = inserter.prepare(load(dict(sample)))
            except RowError as error:
                message = f"sample {number}: {error}"
                raise RowError(message) from None
            self._check(writer.add(number, values))
        self._check(writer.flush())
        return writer.count, inserter

    def _check(self, refused: Mapping[int, DBAPIError]) -> None:
        for number, error in refused.items():
            message = f"sample {number}: {_reason(error, self.rows)}"
            raise RowError(message)
