"""What a resource does where rows depend on others, with several at once, and in the document."""

from typing import Any

import pytest
from sqlalchemy import Table, UniqueConstraint

from pegboard.resources import Operation, Words
from pegboard.testing.contracts.resources.api import JSON, ResourceClient, assert_error


class Constraints:
    """What the database refuses."""

    def test_a_duplicate_is_a_409(self, api: ResourceClient) -> None:
        """With the fields of the unique key, for each one that a client can write."""
        if not api.has(Operation.CREATE):
            pytest.skip("rows cannot be created")
        checked = False
        for names in _unique_keys(api):
            body = api.body()
            if any(body.get(name) is None for name in names):
                continue
            api.create(body)
            other = {**api.body(), **{name: body[name] for name in names}}
            response = api.client.post(api.url, json=other)
            assert_error(response, 409, *names, why=f"a duplicate of {', '.join(names)}")
            checked = True
        if not checked:
            pytest.skip("no unique key can be written")

    def test_a_reference_to_nothing_is_a_422(self, api: ResourceClient) -> None:
        """On the field that refers."""
        if not api.has(Operation.CREATE):
            pytest.skip("rows cannot be created")
        referring = [column for column in _table(api).columns if column.foreign_keys]
        names = [name for name in map(api.name_of, referring) if name in api.input_fields]
        for name in names:
            response = api.client.post(api.url, json={**api.body(), name: 2**31 - 7})
            assert_error(response, 422, name, why=f"a {name} that refers to nothing")
        if not names:
            pytest.skip("no field refers to another row")


class Bulk:
    """Creating several rows."""

    def test_several_rows_are_created_in_their_order(self, api: ResourceClient) -> None:
        """Each as by a request of its own."""
        self._need(api)
        bodies = [api.body() for _ in range(3)]
        response = api.client.post(f"{api.url}bulk", json=bodies)
        assert response.status_code == 201, f"several rows are refused: {response.get_json()}"
        rows: list[JSON] = response.get_json()
        shared = [name for name in bodies[0] if isinstance(bodies[0][name], int)]
        for body, row in zip(bodies, rows, strict=True):
            assert [body[name] for name in shared] == [row[name] for name in shared]
        if api.has(Operation.LIST):
            listed = api.listed({"page_size": 10}).get_json()
            assert rows == sorted(listed, key=lambda row: row.get(api.id_name, 0))

    def test_one_bad_row_refuses_all(self, api: ResourceClient) -> None:
        """It is named by its place, from 0."""
        self._need(api)
        bodies = [api.body(), {**api.body(), "surely_unknown": 1}, api.body()]
        response = api.client.post(f"{api.url}bulk", json=bodies)
        assert_error(response, 422, "1.surely_unknown", why="the second of three rows is bad")
        if api.has(Operation.LIST):
            assert api.listed().get_json() == [], "rows beside a bad one were written"

    def test_a_duplicate_refuses_all(self, api: ResourceClient) -> None:
        """It is a 409 that names the fields of this row and of no other."""
        self._need(api)
        for names in _unique_keys(api):
            first, body, other = api.body(), api.body(), api.body()
            if not api.has(Operation.CREATE) or any(body.get(name) is None for name in names):
                continue
            api.create(body)
            duplicate = {**other, **{name: body[name] for name in names}}
            response = api.client.post(f"{api.url}bulk", json=[first, duplicate])
            why = f"the second of two rows has the {', '.join(names)} of another"
            assert_error(response, 409, *(f"1.{name}" for name in names), why=why)
            wrong = [name for name in response.get_json()["errors"] if not name.startswith("1.")]
            assert not wrong, f"{why}, and the errors name {wrong}"

    def test_what_is_no_array_is_a_422(self, api: ResourceClient) -> None:
        """An object, a text, null."""
        self._need(api)
        for body in (b"{}", b"null", b'"x"', b"[1]"):
            response = api.client.post(f"{api.url}bulk", data=body, content_type="application/json")
            assert_error(response, 422, why=f"several rows as {body!r}")

    def _need(self, api: ResourceClient) -> None:
        if not api.has(Operation.BULK_CREATE):
            pytest.skip("the resource creates one row at a time")


class Document:
    """What the OpenAPI document says."""

    def test_operations_are_documented(self, api: ResourceClient) -> None:
        """Each with its id, and no others; a method that is not declared is a 405."""
        found = self._operations(api)
        words = Words(api.resource.noun, api.resource.name)
        noun, plural = words.identifier, words.identifiers
        expected = {
            Operation.LIST: f"list_{plural}",
            Operation.CREATE: f"create_{noun}",
            Operation.GET: f"get_{noun}",
            Operation.REPLACE: f"replace_{noun}",
            Operation.MERGE: f"change_{noun}",
            Operation.DELETE: f"delete_{noun}",
            Operation.BULK_CREATE: f"create_{plural}",
        }
        for operation, name in expected.items():
            if operation in api.resource.operations:
                assert name in found, f"the document lacks {name}"

    def test_conditions_of_writes_are_documented(self, api: ResourceClient) -> None:
        """`If-Match` and 412 of PUT, PATCH and DELETE; `If-None-Match` and 304 of GET."""
        found = self._operations(api)
        noun = Words(api.resource.noun, api.resource.name).identifier
        for operation, verb in (
            (Operation.REPLACE, "replace"),
            (Operation.MERGE, "change"),
            (Operation.DELETE, "delete"),
        ):
            if api.has(operation):
                call = found[f"{verb}_{noun}"]
                assert "412" in call["responses"]
                assert "If-Match" in str(call["parameters"]), call
        if api.has(Operation.GET):
            call = found[f"get_{noun}"]
            assert "304" in call["responses"]
            assert "If-None-Match" in str(call["parameters"])

    def _operations(self, api: ResourceClient) -> dict[str, Any]:
        document = api.client.get("/openapi.json").get_json()
        return {
            call["operationId"]: call
            for path, item in document["paths"].items()
            if path.startswith(api.resource.url_prefix)
            for method, call in item.items()
            if method != "parameters"
        }


def _table(api: ResourceClient) -> Table:
    table: Any = api.resource.model.__table__
    assert isinstance(table, Table)
    return table


def _unique_keys(api: ResourceClient) -> list[list[str]]:
    """Return the unique keys of the table of which a client can write every column."""
    table = _table(api)
    keys = [
        *(
            list(map(api.name_of, one.columns))
            for one in table.constraints
            if isinstance(one, UniqueConstraint)
        ),
        *(list(map(api.name_of, one.columns)) for one in table.indexes if one.unique),
    ]
    return [key for key in keys if key and set(key) <= set(api.input_fields)]
