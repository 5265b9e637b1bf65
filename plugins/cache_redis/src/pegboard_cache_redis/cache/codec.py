"""The form of a value in Redis: authenticated, bound to its key, and never executed."""

import hashlib
import hmac
from collections.abc import Iterable

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

    def __init__(self, secret: str, *, max_size: int, earlier: Iterable[str] = ()) -> None:
        """Derive the keys of the tags from the service's secrets; sizes in bytes.

        What was stored with one of the `earlier` secrets is decoded, too.
        """
        self._keyed, *self._earlier = map(_keyed, (secret, *earlier))
        self._max_size = max_size
        self.longest = _HEAD + max_size
        """The most bytes that a stored value has."""

    def encode(self, key: bytes, mark: bytes, value: bytes) -> bytes | None:
        """Return what to store; None for a value that is too large."""
        if len(value) > self._max_size:
            return None
        generation = mark[1:]
        return b"".join((_KIND, generation, _tag(self._keyed, key, generation, value), value))

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
        generation, tag, value = data[1:MARK_SIZE], data[MARK_SIZE:_HEAD], data[_HEAD:]
        if not hmac.compare_digest(_tag(self._keyed, key, generation, value), tag) and not any(
            hmac.compare_digest(_tag(keyed, key, generation, value), tag) for keyed in self._earlier
        ):
            message = (
                "it was not stored by this service for this key, or by a process with another "
                "SECRET_KEY"
            )
            raise InvalidValueError(message)
        return value if generation == mark[1:] else None


def _keyed(secret: str) -> "hashlib.blake2b":
    purpose = f"pegboard-cache-{FORMAT}".encode()
    key = hmac.digest(secret.encode(), purpose, "sha256")
    return hashlib.blake2b(digest_size=_TAG_SIZE, key=key)


def _tag(keyed: "hashlib.blake2b", key: bytes, generation: bytes, value: bytes) -> bytes:
    tag = keyed.copy()
    tag.update(key)
    tag.update(generation)  # its length is fixed, so nothing can move across the boundary
    tag.update(value)
    return tag.digest()
