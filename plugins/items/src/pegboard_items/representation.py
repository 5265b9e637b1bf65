"""How items look to a client; the one place where they are serialized."""

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
    """The bytes of an item's JSON, and the strong validator made of them."""

    body: bytes
    etag: str

    @classmethod
    def of(cls, item: ItemLike) -> "Representation":
        """Represent an item."""
        body = _encode(plain(item))
        return cls(body, hashlib.blake2b(body, digest_size=16).hexdigest())

    def response(self, status: int = 200) -> Response:
        """Return an answer that carries it."""
        response = Response(self.body, status, mimetype="application/json")
        response.set_etag(self.etag)
        return response


def plain(item: ItemLike) -> dict[str, Any]:
    """Return what JSON can hold of an item."""
    return {
        "id": item.id,
        "name": item.name,
        "description": item.description,
        "created_at": moment(item.created_at),
        "updated_at": moment(item.updated_at),
    }


def moment(value: datetime | None) -> str | None:
    """Write a time as in 2024-01-01T00:00:00, with a fraction only where there is one."""
    return None if value is None else value.isoformat()


def list_response(items: Iterable[ItemLike]) -> Response:
    """Return an answer that carries an array of items."""
    return Response(_encode([plain(item) for item in items]), mimetype="application/json")


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
