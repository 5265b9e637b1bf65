"""The JSON of items, as the API and exports write it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from werkzeug import Response


class ItemLike(Protocol):
    """An item, or a row of its columns."""

    id: Any
    name: Any
    description: Any
    created_at: Any
    updated_at: Any


@dataclass(frozen=True)
class Representation:
    """The bytes of an item's JSON, and their hash as a strong validator."""

    body: bytes
    etag: str

    @classmethod
    def of(cls, item: ItemLike) -> "Representation":
        """Return the representation of an item."""
        body = _encode(plain(item))
        return cls(body, hashlib.blake2b(body, digest_size=16).hexdigest())

    def response(self, status: int = 200) -> Response:
        """Return a response with the body and the `ETag`."""
        response = Response(self.body, status, mimetype="application/json")
        response.set_etag(self.etag)
        return response


def plain(item: ItemLike) -> dict[str, Any]:
    """Return an item as a dictionary of JSON values."""
    return {
        "id": item.id,
        "name": item.name,
        "description": item.description,
        "created_at": moment(item.created_at),
        "updated_at": moment(item.updated_at),
    }


def moment(value: datetime | None) -> str | None:
    """Return a time as in 2024-01-01T00:00:00, with a fraction only where there is one."""
    return None if value is None else value.isoformat()


def list_response(items: Iterable[ItemLike]) -> Response:
    """Return a response with an array of items."""
    return Response(_encode([plain(item) for item in items]), mimetype="application/json")


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
