"""The form of a value in Redis: authenticated, bound to its key, and never executed."""

import hashlib
import hmac

FORMAT = 1
"""The version of values and keys, raised with each change of their form.

Processes of two versions share no epoch.
"""

_KIND = b"V"
_TAG_SIZE = 16
_GENERATION_SIZE = 16
MARK_SIZE = 1 + _GENERATION_SIZE
"""Bytes of a group's marker."""

_HEAD = MARK_SIZE + _TAG_SIZE


class InvalidValueError(ValueError):
    """Raised for bytes that this service did not store under this key; the message says why."""


class Codec:
    """Encodes values, and decodes only what it has encoded for the same key and generation."""

    def __init__(self, secret: str, *, max_size: int) -> None:
        """Derive the key of the tags from the service's secret; sizes in bytes."""
        purpose = f"pegboard-cache-{FORMAT}".encode()
        key = hmac.digest(secret.encode(), purpose, "sha256")
        self._keyed = hashlib.blake2b(digest_size=_TAG_SIZE, key=key)
        self._max_size = max_size
        self.longest = _HEAD + max_size
        """The most bytes that a stored value has."""

    def encode(self, key: bytes, mark: bytes, value: bytes) -> bytes | None:
        """Return what to store; None for a value that is too large."""
        if len(value) > self._max_size:
            return None
        generation = mark[1:]
        return b"".join((_KIND, generation, self._tag(key, generation, value), value))

    def decode(self, key: bytes, mark: bytes, data: bytes) -> bytes | None:
        """Return the value; None if it is of another generation.

        Raises `InvalidValueError`.
        """
        if len(data) > self.longest:
            message = f"it has more than {self.longest} bytes"
            raise InvalidValueError(message)
        if len(data) < _HEAD or not data.startswith(_KIND):
            message = "it is not a value"
            raise InvalidValueError(message)
        tag = self._tag(key, data[1:MARK_SIZE], data[_HEAD:])
        if not hmac.compare_digest(tag, data[MARK_SIZE:_HEAD]):
            message = "it was not stored by this service for this key"
            raise InvalidValueError(message)
        return data[_HEAD:] if data[1:MARK_SIZE] == mark[1:] else None

    def _tag(self, key: bytes, generation: bytes, value: bytes) -> bytes:
        tag = self._keyed.copy()
        tag.update(key)
        tag.update(generation)  # its length is fixed, so nothing can move across the boundary
        tag.update(value)
        return tag.digest()
