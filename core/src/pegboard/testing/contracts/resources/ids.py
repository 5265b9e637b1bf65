"""What a resource answers for ids that no row has, and that no column can hold."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

from flask import Flask
from sqlalchemy import event

import pegboard
from pegboard.resources import Operation
from pegboard.testing.contracts.resources.api import ResourceClient, assert_error

NO_IDS = ("0", "-1", "abc", "01", "1.0", "+1", "1e3", "%00", "1" * 25, "1" * 400)
"""What no row of any table has as its id."""

_BEYOND = (1, 2**31, 2**62)

_METHODS = {
    Operation.GET: "GET",
    Operation.REPLACE: "PUT",
    Operation.MERGE: "PATCH",
    Operation.DELETE: "DELETE",
}


class Ids:
    """Rows that are not there."""

    def test_a_row_that_is_not_there_is_a_404(self, api: ResourceClient) -> None:
        """For the largest id that the column can hold, after the database has been asked."""
        for method in _methods(api):
            sent = self._refused(api, method, str(api.resource.largest_id))
            assert sent, (
                f"{method} of the id {api.resource.largest_id} is a 404 without a query; if it is "
                "sent by other means than the engine of pegboard.db, this contract cannot count it"
            )

    def test_what_is_no_id_is_a_404(self, api: ResourceClient) -> None:
        """For each method of a row, and the database is not asked."""
        self._assert_never_asked(api, NO_IDS)

    def test_an_id_beyond_the_column_is_a_404(self, api: ResourceClient) -> None:
        """For each method of a row, and the database is not asked, as it would fail."""
        self._assert_never_asked(api, [api.resource.largest_id + more for more in _BEYOND])

    def _assert_never_asked(self, api: ResourceClient, row_ids: Iterable[object]) -> None:
        for row_id, method in product(row_ids, _methods(api)):
            sent = self._refused(api, method, str(row_id))
            assert not sent, (
                f"{method} of the id {str(row_id)[:30]}, which no row can have, sends a query; "
                f"call `check_id` of the resource before: {sent}"
            )

    def _refused(self, api: ResourceClient, method: str, row_id: str) -> list[str]:
        """Send a request for such a row; returns the statements that the database got."""
        body = api.body()
        with _statements(api.client.application) as sent:
            response = api.client.open(api.url_of(row_id), method=method, json=body)
        assert_error(response, 404, why=f"{method} of the id {row_id[:30]}")
        return sent


def _methods(api: ResourceClient) -> list[str]:
    return [method for operation, method in _METHODS.items() if api.has(operation)]


@contextmanager
def _statements(app: Flask) -> Iterator[list[str]]:
    """Record the statements that are sent inside the block, but for those that begin transactions.

    On SQLite a writing transaction begins with a statement, before its view is called.
    """
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            sent.append(statement)

    with app.app_context():
        engine = pegboard.db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)
