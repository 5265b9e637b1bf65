"""The form of a session's field in Redis: authenticated JSON, bound to its session and name."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

from flask.json.tag import TaggedJSONSerializer

SEAL_SIZE = 16
"""Bytes of the keyed hash before the content of a field."""

_PURPOSE = b"pegboard-session-1"
"""Names the form of fields; raise the number with a change, and old fields become invalid."""


class InvalidFieldError(ValueError):
    """Raised for bytes that this service did not store in this field; the message says why."""


class FieldCodec:
    """Encodes values, and decodes only what it has encoded for the same session and name.

    The values are those that Flask's own sessions can hold.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        """Seal with the first secret; accept what was sealed with any of them."""
        self._keys = [hmac.digest(secret.encode(), _PURPOSE, "sha256") for secret in secrets]
        self._json = TaggedJSONSerializer()

    def dumps(self, name: str, value: Any) -> bytes:
        """Return the content of a field for a value. Raises `TypeError`, naming the field."""
        try:
            name.encode()
            return self._json.dumps(value).encode()
        except (TypeError, ValueError, RecursionError) as error:
            message = f"session[{name!r}] cannot be stored: {error}"
            raise TypeError(message) from error

    def loads(self, content: bytes) -> Any:
        """Return the value in the content of a field. Raises `InvalidFieldError`."""
        try:
            return self._json.loads(content.decode())
        except (TypeError, ValueError, KeyError, RecursionError) as error:
            message = f"a field is not JSON of a session: {type(error).__name__}"
            raise InvalidFieldError(message) from error

    def seal(self, session: str, name: str, content: bytes) -> bytes:
        """Return what is stored for a content: the seal and the content."""
        return _seal(self._keys[0], session, name.encode(), content) + content

    def unseal(self, session: str, name: bytes, stored: bytes) -> bytes:
        """Return the content of what is stored. Raises `InvalidFieldError`."""
        seal, content = stored[:SEAL_SIZE], stored[SEAL_SIZE:]
        for key in self._keys:
            if hmac.compare_digest(seal, _seal(key, session, name, content)):
                return content
        message = "a field was not stored by this service for this session"
        raise InvalidFieldError(message)


def _seal(key: bytes, session: str, name: bytes, content: bytes) -> bytes:
    # All ids have one length, and the name's is hashed before it: fields never hash the same bytes.
    seal = hashlib.blake2b(session.encode(), digest_size=SEAL_SIZE, key=key)
    seal.update(len(name).to_bytes(4, "big"))
    seal.update(name)
    seal.update(content)
    return seal.digest()
