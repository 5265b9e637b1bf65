"""The JSON of a resource's rows, and its strong validator."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from flask import Response
from marshmallow import Schema

from pegboard.api import quick_schema
from pegboard.http import encode_json
from pegboard.resources.formats import RowWriter

R = TypeVar("R")


@dataclass(frozen=True)
class Representation:
    """The bytes of a row's JSON, and their hash as a strong validator (RFC 9110, section 8.8.1)."""

    body: bytes
    """The JSON, in UTF-8."""
    etag: str
    """The validator without quotes, which changes with the body."""

    def response(self, status: int = HTTPStatus.OK) -> Response:
        """Return an answer with the body and the `ETag`."""
        response = Response(self.body, status, mimetype="application/json")
        response.set_etag(self.etag)
        return response


class Representer(Generic[R]):
    """Makes the JSON of rows by the schema of a resource's answers."""

    def __init__(self, output: type[Schema], sparse: type[Schema]) -> None:
        self._schema: Schema = quick_schema(output())
        self._sparse = sparse
        self._by_fields: dict[tuple[str, ...], Schema] = {}

    def plain(self, row: R) -> dict[str, Any]:
        """Return a row as a dictionary of JSON values."""
        found: dict[str, Any] = self._schema.dump(row)
        return found

    def of(self, row: R) -> Representation:
        """Return the representation of a row."""
        body = encode_json(self.plain(row))
        return Representation(body, etag_of(body))

    def response(self, row: R, status: int = HTTPStatus.OK) -> Response:
        """Return an answer with a row and its `ETag`."""
        return self.of(row).response(status)

    def list_response(
        self,
        rows: Iterable[R],
        status: int = HTTPStatus.OK,
        *,
        fields: Sequence[str] | None = None,
    ) -> Response:
        """Return an answer with an array of rows; of each only these fields, if any are named."""
        return Response(
            encode_json(self._schema_of(fields).dump(rows, many=True)),
            status,
            mimetype="application/json",
        )

    def writer(self, fields: Sequence[str] | None = None) -> RowWriter:
        """Return what writes files of rows; of each only these fields, if any are named."""
        return RowWriter(self._schema_of(fields))

    def _schema_of(self, fields: Sequence[str] | None) -> Schema:
        return self._schema if fields is None else self._only(tuple(fields))

    def _only(self, names: tuple[str, ...]) -> Schema:
        found = self._by_fields.get(names)
        if found is None:
            found = quick_schema(self._sparse(only=names))
            if len(self._by_fields) < _MAX_SCHEMAS:
                self._by_fields[names] = found
        return found


def etag_of(body: bytes) -> str:
    """Return the validator of a body, without quotes."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()


_MAX_SCHEMAS = 256
