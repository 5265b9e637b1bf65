"""How one field of a session looks in Redis: authenticated JSON, bound to its session and name."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

from flask.json.tag import TaggedJSONSerializer

SEAL_SIZE = 16
"""Bytes of the keyed hash that stands before what a field holds."""

_PURPOSE = b"pegboard-session-1"
"""Raised when the form of fields changes: old ones are then no fields of this service."""


class InvalidFieldError(ValueError):
    """Raised for bytes that this service did not store in this field; the message says why."""


class FieldCodec:
    """Turns values into what is stored, and only what it has stored itself into values.

    The values are those that Flask's own sessions can hold.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        """Seal with the first secret; what was sealed with another of them is accepted."""
        self._keys = [hmac.digest(secret.encode(), _PURPOSE, "sha256") for secret in secrets]
        self._json = TaggedJSONSerializer()

    def dumps(self, name: str, value: Any) -> bytes:
        """Return the content of a field. Raises `TypeError`, naming it."""
        try:
            name.encode()
            return self._json.dumps(value).encode()
        except (TypeError, ValueError, RecursionError) as error:
            message = f"session[{name!r}] cannot be stored: {error}"
            raise TypeError(message) from error

    def loads(self, content: bytes) -> Any:
        """Return what `dumps` made bytes of. Raises `InvalidFieldError`."""
        try:
            return self._json.loads(content.decode())
        except (TypeError, ValueError, KeyError, RecursionError) as error:
            message = f"a field is no JSON of a session: {type(error).__name__}"
            raise InvalidFieldError(message) from error

    def seal(self, session: str, name: str, content: bytes) -> bytes:
        """Return what is stored of a content."""
        return _seal(self._keys[0], session, name.encode(), content) + content

    def unseal(self, session: str, name: bytes, stored: bytes) -> bytes:
        """Return the content. Raises `InvalidFieldError`."""
        seal, content = stored[:SEAL_SIZE], stored[SEAL_SIZE:]
        for key in self._keys:
            if hmac.compare_digest(seal, _seal(key, session, name, content)):
                return content
        message = "a field was not stored by this service for this session"
        raise InvalidFieldError(message)


def _seal(key: bytes, session: str, name: bytes, content: bytes) -> bytes:
    # Ids have one length, and the name's length stands before it: no byte can change its place.
    seal = hashlib.blake2b(session.encode(), digest_size=SEAL_SIZE, key=key)
    seal.update(len(name).to_bytes(4, "big"))
    seal.update(name)
    seal.update(content)
    return seal.digest()
