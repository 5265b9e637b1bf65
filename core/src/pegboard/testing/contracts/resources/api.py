"""What the contract of resources does with one: requests, and what the declaration says of them."""

import json
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from flask.testing import FlaskClient
from marshmallow import Schema, fields
from sqlalchemy import inspect
from werkzeug.test import TestResponse

from pegboard.resources import Operation, Resource, client_name, conditions_of

JSON = dict[str, Any]

OTHER_BODIES = (b"null", b"[]", b'"x"', b"1")
"""JSON that is no object."""


@dataclass(frozen=True)
class ResourceClient:
    """A client of one resource."""

    client: FlaskClient
    """What sends the requests."""
    resource: Resource[Any]
    """The resource that is tested."""
    bodies: Iterator[Mapping[str, Any]]
    """Valid bodies, all different."""

    @property
    def url(self) -> str:
        """The address of the list."""
        return f"{self.resource.url_prefix}/"

    def url_of(self, row_id: object) -> str:
        """Return the address of a row."""
        return f"{self.resource.url_prefix}/{row_id}"

    def another_client(self) -> FlaskClient:
        """Return a client for another thread, which is signed in as the first one is."""
        another = copy(self.client)
        another.preserve_context = False
        another._cookies = copy(self.client._cookies)  # noqa: SLF001 - nothing public copies them
        return another

    def has(self, *operations: Operation) -> bool:
        """Return whether the resource has all of these operations."""
        return self.resource.operations.issuperset(operations)

    def body(self) -> JSON:
        """Return the next valid body."""
        return dict(next(self.bodies))

    def create(self, body: Mapping[str, Any] | None = None) -> TestResponse:
        """Create a row. Raises `AssertionError` if it is refused."""
        response = self.client.post(self.url, json=self.body() if body is None else body)
        assert response.status_code not in {401, 403}, (
            f"POST {self.url} refuses the fixture `client`: {response.get_json()}; give a client "
            "that may write, as by its `environ_base`"
        )
        assert response.status_code == 201, (
            f"POST {self.url} refuses a body of the fixture `bodies`: {response.get_json()}"
        )
        return response

    def create_several(self, count: int) -> list[JSON]:
        """Create rows; returns what the answers show of them."""
        return [self.create().get_json() for _ in range(count)]

    def id_of(self, response: TestResponse) -> int:
        """Return the id of the row that an answer has created."""
        return int(response.headers["Location"].rpartition("/")[2])

    def get(self, row_id: object, **headers: str) -> TestResponse:
        """Get a row."""
        return self.client.get(self.url_of(row_id), headers=_spelled(headers))

    def listed(self, query: Mapping[str, object] | None = None) -> TestResponse:
        """Get a list."""
        return self.client.get(self.url, query_string=dict(query or {}))

    def walk(self, query: Mapping[str, object]) -> Iterator[list[JSON]]:
        """Yield the pages of a list, from one to the next by its `Link`.

        Raises `AssertionError` for one that is an error, or if there is no end.
        """
        url: str | None = f"{self.url}?{urlencode(query)}"
        for _ in range(1000):
            response = self.client.get(url)
            assert response.status_code == 200, f"GET {url}: {response.get_json()}"
            yield response.get_json()
            url = next_link(response)
            if url is None:
                return
        message = f"the pages of {self.url} never end"
        raise AssertionError(message)

    def replace(self, row_id: object, body: object, **headers: str) -> TestResponse:
        """Replace a row."""
        return self.client.put(self.url_of(row_id), json=body, headers=_spelled(headers))

    def change(self, row_id: object, patch: object, **headers: str) -> TestResponse:
        """Change fields of a row."""
        return self.client.patch(self.url_of(row_id), json=patch, headers=_spelled(headers))

    def delete(self, row_id: object, **headers: str) -> TestResponse:
        """Delete a row."""
        return self.client.delete(self.url_of(row_id), headers=_spelled(headers))

    @property
    def sort_names(self) -> list[str]:
        """The sort keys, each in both directions."""
        keys = [one.key for one in self.resource.sort]
        names = [self.resource.shown.name_of(key) for key in keys] or [self.id_name]
        return [sign + name for name in names for sign in ("", "-")]

    @property
    def id_name(self) -> str:
        """What clients call the primary key."""
        (column,) = inspect(self.resource.model).primary_key
        return self.name_of(column)

    def name_of(self, column: Any) -> str:
        """Return what clients call a column of the table."""
        mapped = inspect(self.resource.model).get_property_by_column(column)
        return self.resource.shown.name_of(mapped.key)

    @cached_property
    def conditions(self) -> Mapping[str, Any]:
        """What the filters compare, by the parameters of the query."""
        return {one.name: one for one in conditions_of(self.resource.filters, self.resource.shown)}

    @property
    def input_fields(self) -> Mapping[str, fields.Field[Any]]:
        """The fields that a client may write, by their names in JSON."""
        return by_name(self.resource.input())

    @property
    def read_only(self) -> list[str]:
        """The fields that only answers have."""
        return [name for name in by_name(self.resource.output()) if name not in self.input_fields]

    @property
    def output_names(self) -> list[str]:
        """The fields of a row in an answer."""
        return list(by_name(self.resource.output()))


def by_name(schema: Schema) -> Mapping[str, fields.Field[Any]]:
    """Return the fields of a schema by their names in JSON."""
    return {client_name(name, field): field for name, field in schema.fields.items()}


def parameter(value: Any) -> str:
    """Return how a query spells a value of JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def next_link(response: TestResponse) -> str | None:
    """Return the address of the next page, None on the last."""
    for link in response.headers.get("Link", "").split(", <"):
        address, _, relation = link.partition(">; ")
        if relation == 'rel="next"':
            return address.removeprefix("<")
    return None


def assert_error(response: TestResponse, status: int, *names: str, why: str) -> None:
    """Check that an answer is an error of this status that names these fields."""
    found = response.get_json(silent=True)
    assert status == response.status_code, f"{why}: {response.status_code}, {found}"
    assert isinstance(found, dict), f"{why}: the body is no error of the platform"
    assert found.get("status") == status, f"{why}: the body does not repeat the status"
    assert isinstance(found.get("message"), str), f"{why}: the body has no message"
    for name in names:
        errors = found.get("errors", {})
        assert name in errors, f"{why}: the errors do not name {name}: {errors}"


def _spelled(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
