"""Answers to what the database refuses because of its data: 409, 422 or 404 with the fields.

The fields are those of the request. A violation that no value of the request has caused is a bug of
the view, and stays a 500, unless other rows are what is in the way.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Flask, Request, Response, request
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from pegboard.api.sent import Sent, body_fields, fields_by_column, sent_values
from pegboard.database import Kind, Violation, db, violation_of
from pegboard.http import (
    NOT_FOUND_MESSAGE,
    VALIDATION_MESSAGE,
    answer_database_error,
    error_response,
)

_CONFLICTS = {
    Kind.DUPLICATE: "There is something with the same value already.",
    Kind.REFERENCED: "Something else still refers to it, so it cannot be deleted or changed.",
    Kind.BROKEN_REFERENCE: "The change would leave a reference to something that does not exist.",
    Kind.EXCLUDED: "The change conflicts with what exists already.",
}
"""The messages of what is in the way, whether or not the request has the values."""

_MISSING_MESSAGE = "The request refers to something that does not exist."

MISSING_COMPLAINT = "There is nothing that this refers to."
"""What is said of a field that refers to no row."""

_COMPLAINTS = {
    Kind.DUPLICATE: "Is in use already.",
    Kind.MISSING: MISSING_COMPLAINT,
    Kind.NULL: "Must not be null or missing.",
    Kind.CHECK: "This value is not allowed.",
    Kind.TOO_LONG: "Too long.",
    Kind.OUT_OF_RANGE: "The number is out of range.",
    Kind.UNSTORABLE: "Must not contain U+0000 or half of a surrogate pair.",
    Kind.MALFORMED: "Not of the right form.",
}
"""What is said of a field."""


def complaints_about(
    violation: Violation, field_of: Callable[[str], str]
) -> Mapping[str, Sequence[str]]:
    """Return what is wrong with a row that no request has sent, by field.

    `field_of` returns the field of a column. Under `_schema` is what belongs to no field.
    """
    complaint = _COMPLAINTS.get(violation.kind)
    if complaint and violation.columns:
        names = [field_of(column) for column in violation.columns]
        return {name: [_complaint(violation.kind, name, names)] for name in names}
    return {"_schema": [_CONFLICTS.get(violation.kind) or complaint or VALIDATION_MESSAGE]}


def _complaint(kind: Kind, name: str, names: Sequence[str]) -> str:
    """Return what is said of a field; `names` are those of all that the violation is about."""
    complaint = _COMPLAINTS.get(kind, "")
    *others, last = [one for one in names if _plain(one) != _plain(name)] or [""]
    if kind != Kind.DUPLICATE or not last:
        return complaint
    # None of the values of a unique key is taken by itself.
    together = f"{', '.join(others)} and {last}" if others else last
    return f"{complaint.removesuffix('.')} together with {together}."


def init_data_errors(app: Flask) -> None:
    """Answer errors of the database that the data of a statement have caused."""
    app.register_error_handler(DBAPIError, answer_data_error)


def answer_data_error(error: DBAPIError) -> Response:
    """Answer a violation by its kind and the fields that have caused it, else as any error."""
    if error.connection_invalidated or not isinstance(error, (IntegrityError, DataError)):
        return answer_database_error(error)
    try:
        # The request has failed; what it wrote must not stay locked while its answer is made.
        db.session.rollback()
        violation = violation_of(error, db.session())
        db.session.rollback()
    except DBAPIError as failure:
        return answer_database_error(failure)
    response = violation and _answer(violation, request)
    return response or answer_database_error(error)


def _answer(violation: Violation, asked: Request) -> Response | None:
    """Return the answer; None for a violation that the request has not caused."""
    found = _Causes(violation, asked)
    causes, names = list(found.find()), list(found.names())
    errors = {
        ".".join(one.names): [_complaint(violation.kind, one.names[-1], names)]
        for one in causes
        if not one.is_in_path
    }
    if violation.cuts_reference and not causes:
        return error_response(HTTPStatus.CONFLICT, _CONFLICTS[Kind.REFERENCED])
    if violation.kind in _CONFLICTS:
        return error_response(HTTPStatus.CONFLICT, _CONFLICTS[violation.kind], errors=errors)
    if any(cause.is_in_path for cause in causes):
        return error_response(HTTPStatus.NOT_FOUND, NOT_FOUND_MESSAGE)
    if causes:
        return error_response(422, VALIDATION_MESSAGE, errors=errors)
    if violation.kind == Kind.MISSING:
        return error_response(422, _MISSING_MESSAGE)
    return None


@dataclass(frozen=True)
class _Causes:
    """The values of a request that have caused a violation."""

    violation: Violation
    asked: Request

    def find(self) -> Iterator[Sent]:
        """Yield them."""
        is_wrong = self._test()
        if is_wrong is not None:
            yield from (sent for sent in sent_values(self.asked) if is_wrong(sent.value))
            return
        found = [self._of_column(column) for column in self.violation.columns]
        if self.violation.kind == Kind.DUPLICATE:
            found = _of_the_same_objects(found)
        for sent in found:
            yield from sent

    def names(self) -> Iterator[str]:
        """Yield what the client calls the columns at fault, of those that it knows."""
        for column in self.violation.columns:
            declared = body_fields(self.asked).get(column)
            name = fields_by_column(self.asked).get(column) or declared
            sent = () if name else self._of_column(column)
            yield from [name] if name else [one.names[-1] for one in sent][:1]

    def _test(self) -> Callable[[Any], bool] | None:
        """Return what tells that a value is wrong by itself, where the kind of violation does."""
        kind, bound = self.violation.kind, self.violation.bound
        if kind == Kind.UNSTORABLE:
            return _is_unstorable
        given = {str(value) for row in self.violation.rows for value in row.values()}
        if kind == Kind.MALFORMED:
            return lambda value: isinstance(value, str) and value in given
        if kind == Kind.OUT_OF_RANGE and bound is not None:
            return lambda value: _exceeds(value, bound) and str(value) in given
        return None

    def _of_column(self, column: str) -> list[Sent]:
        """Return the values for a column: those of its name, else the only one of its value."""
        declared = body_fields(self.asked).get(column)
        known = fields_by_column(self.asked).get(column)
        name = _plain(known or declared or column)
        sent = list(sent_values(self.asked))
        named = [one for one in sent if _plain(one.names[-1]) == name]
        if self.violation.kind == Kind.NULL:
            if declared and not named:
                return [Sent((declared,), None)]
            return [one for one in named if one.value is None]
        values = {str(row[column]) for row in self.violation.rows if column in row}
        if len(named) > 1:
            named = _told_apart(named, values, known)
        if named or known:
            return named
        alike = [one for one in sent if one.value is not None and str(one.value) in values]
        return alike if len(values) == len(alike) == 1 else []


def _told_apart(named: list[Sent], values: Collection[str], known: str | None) -> list[Sent]:
    """Return which of several values for one field is at fault, by the values of the rows."""
    if len(values) == 1:
        return [one for one in named if str(one.value) in values]
    # Without the value it is not known which row of a list it is, only which field.
    return [Sent((known,), None)] if known else []


def _of_the_same_objects(found: Sequence[Sequence[Sent]]) -> list[list[Sent]]:
    """Return the values for the columns of a unique key that are in one object of the body."""
    objects = [{one.names[:-1] for one in sent} for sent in found if sent]
    common = set.intersection(*objects) if objects else set()
    return [[one for one in sent if not common or one.names[:-1] in common] for sent in found]


def _plain(name: str) -> str:
    """Return a name without what tells `itemId` from `item_id`."""
    return name.replace("_", "").replace("-", "").lower()


def _is_unstorable(value: Any) -> bool:
    return isinstance(value, str) and any(
        letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value
    )


def _exceeds(value: Any, bound: int) -> bool:
    try:
        return not -bound - 1 <= int(value) <= bound
    except (TypeError, ValueError, OverflowError):
        return False
