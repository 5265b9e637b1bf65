"""Importing items from files, and exporting them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from marshmallow import ValidationError
from sqlalchemy import select
from werkzeug.exceptions import HTTPException

import pegboard
from pegboard_items.bulk import BulkWriter, Values
from pegboard_items.files import Format, Row, RowError, write_rows
from pegboard_items.models import table
from pegboard_items.schemas import ItemRowSchema
from pegboard_items.settings import ItemsSettings

_EXPORT_BATCH = 1000


class InterruptedImportError(Exception):
    """Raised when a concurrent transaction or a plugin aborted the import."""


@dataclass
class Report:
    """The result of an import."""

    imported: int = 0
    bad: int = 0
    complaints: list[str] = field(default_factory=list)
    """What is wrong with the first bad rows, each with its line number."""


class _RefusedError(Exception):
    """Raised to undo an import that had bad rows."""


def import_rows(
    rows: Iterable[Row], *, skip_bad: bool = False, on_row: Callable[[], object] = bool
) -> Report:
    """Import rows in one transaction: all or none, or with `skip_bad` all valid ones.

    All rows are validated, also after a bad one. `on_row` is called after each row.
    """
    settings = pegboard.get_settings(ItemsSettings)
    run = _Import(rows, BulkWriter(settings.import_batch), skip_bad, settings.import_bad_rows_shown)
    with pegboard.no_time_limit():
        try:
            run.transaction(on_row)
        except _RefusedError:
            return run.report
        except HTTPException as error:
            message = f"A plugin refused the items: {error.description or error.name}"
            raise InterruptedImportError(message) from error
        run.report.imported = run.writer.count
        run.writer.announce()
    return run.report


@dataclass
class _Import:
    rows: Iterable[Row]
    writer: BulkWriter
    skip_bad: bool
    complaints_kept: int
    report: Report = field(default_factory=Report)
    is_begun: bool = False

    @pegboard.transactional
    def transaction(self, on_row: Callable[[], object]) -> None:
        # Rows can be read only once, so the transaction is begun, and repeated if SQLite is locked,
        # before the first is read.
        pegboard.db.session.connection()
        if self.is_begun:
            message = (
                "The database aborted the import because of another transaction. Run it again."
            )
            raise InterruptedImportError(message)
        self.is_begun = True
        load = _row_loader()
        for row in self.rows:
            try:
                values = load(row.content)
                if self.skip_bad or not self.report.bad:
                    self._add(values)
            except RowError as error:
                self._complain(row.line, error)
            on_row()
        if self.report.bad and not self.skip_bad:
            raise _RefusedError
        self.writer.flush()

    def _add(self, values: Values) -> None:
        try:
            prepared = self.writer.prepare(values)
        except HTTPException as error:
            # A plugin has refused the item.
            summary = {"_schema": [error.description or error.name]}
            raise RowError(_sentence(getattr(error, "errors", None) or summary)) from None
        self.writer.add(prepared)

    def _complain(self, line: int, error: RowError) -> None:
        self.report.bad += 1
        if self.report.bad <= self.complaints_kept:
            self.report.complaints.append(f"line {line}: {error}")


def _row_loader() -> Callable[[object], Values]:
    """Return a function that validates the content of a row, and raises `RowError`."""
    schema = ItemRowSchema()
    now = pegboard.utcnow()

    def load(content: Any) -> Values:
        if isinstance(content, RowError):
            raise content
        try:
            return {"created_at": now, "updated_at": now, **schema.load(content)}
        except ValidationError as error:
            messages = error.normalized_messages()  # type: ignore[no-untyped-call]  # it has none
            raise RowError(_sentence(messages)) from None

    return load


def _sentence(messages: Mapping[str, Sequence[str]]) -> str:
    return " ".join(
        (f"{field}: " if field != "_schema" else "") + " ".join(found)
        for field, found in messages.items()
    )


def export_rows(form: Format) -> Iterator[bytes]:
    """Yield the bytes of a file with all items, as of one moment."""
    with pegboard.no_time_limit():
        rows = pegboard.db.session.execute(
            select(table).order_by(table.columns.id),
            execution_options={"yield_per": _EXPORT_BATCH},
        )
        yield from write_rows(rows, form)
        pegboard.db.session.rollback()
