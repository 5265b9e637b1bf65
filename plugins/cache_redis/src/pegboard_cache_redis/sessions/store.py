"""Sessions in Redis: reading, beginning, changing, renaming and ending them."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pegboard.redis import Channel, ChannelError, Command, command
from pegboard_cache_redis.sessions.codec import SEAL_SIZE, FieldCodec, InvalidFieldError
from pegboard_cache_redis.sessions.scripts import (
    BEGIN,
    DONE,
    ENDED,
    GONE,
    MOVE,
    READ,
    REFUSED,
    UPDATE,
)

MAX_BYTES = 1024 * 1024
"""The most bytes that are read of a session, whatever the setting allows to write."""

_IMMUTABLE = frozenset({str, int, float, bool, type(None)})
_NOTHING = object()

_TAG_LENGTH = 11
"""Characters of an id that a new one keeps, so that both are in one slot of a cluster."""


class SessionStoreError(Exception):
    """Raised when Redis has not confirmed a command; it may be executed all the same."""


class SessionGoneError(Exception):
    """Raised when a session has ended while a request was changing it."""


class SessionTooLargeError(Exception):
    """Raised when a request puts more into a session than `max_bytes`."""


class CorruptSessionError(Exception):
    """Raised when a key holds something that is not a session; the message says what."""


@dataclass(frozen=True)
class Stored:
    """A session as it was read."""

    id: str
    fields: Mapping[str, bytes]
    """What is stored for each value."""
    values: Mapping[str, Any]
    remaining: int
    """The milliseconds that it has left; negative if it never expires."""


@dataclass(frozen=True)
class Changes:
    """What a request has changed in a session."""

    written: Mapping[str, bytes]
    """The contents of new and changed fields."""
    removed: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.written or self.removed)


class SessionStore:
    """The sessions of one app; lifetimes in seconds."""

    def __init__(self, channel: Channel, codec: FieldCodec, *, prefix: str, max_bytes: int) -> None:
        self._channel = channel
        self._codec = codec
        self._prefix = f"{quote(prefix, safe='')}:session:"
        self._max_bytes = max_bytes

    def read(self, session: str) -> Stored | None:
        """Return the session with an id, None if there is none.

        Raises `CorruptSessionError` and `SessionStoreError`.
        """
        arguments = (MAX_BYTES, MAX_BYTES // SEAL_SIZE)
        (reply,) = self._exchange(READ.call(keys=[self._key(session)], arguments=arguments))
        if reply == GONE:
            return None
        if reply == REFUSED:
            message = "it is not a hash, or too large"
            raise CorruptSessionError(message)
        if not isinstance(reply, list):
            raise SessionStoreError(str(reply))
        *flat, remaining = reply
        try:
            fields = {
                name.decode(): (stored, self._codec.unseal(session, name, stored))
                for name, stored in zip(flat[::2], flat[1::2], strict=True)
            }
            values = {name: self._codec.loads(content) for name, (_, content) in fields.items()}
        except (InvalidFieldError, UnicodeDecodeError) as error:
            raise CorruptSessionError(str(error)) from error
        return Stored(
            session, {name: stored for name, (stored, _) in fields.items()}, values, remaining
        )

    def compare(self, stored: Stored, values: Mapping[str, Any]) -> Changes:
        """Return the differences from what was read, also deep inside of values."""
        written = {}
        for name, value in values.items():
            if type(value) in _IMMUTABLE and value is stored.values.get(name, _NOTHING):
                continue
            content = self._codec.dumps(name, value)
            if name not in stored.fields or stored.fields[name][SEAL_SIZE:] != content:
                written[name] = content
        return Changes(written, frozenset(stored.fields.keys() - values.keys()))

    def begin(self, values: Mapping[str, Any], lifetime: int, *, ended: str | None = None) -> str:
        """Store a new session, and end the one that it replaces, if any; returns its id.

        Raises `SessionStoreError` and `SessionTooLargeError`.
        """
        session = secrets.token_urlsafe(8) + secrets.token_urlsafe(32)
        fields = self._sealed(session, values)
        commands = [
            BEGIN.call(keys=[self._key(session)], arguments=[lifetime * 1000, *_flat(fields)])
        ]
        if ended is not None:
            commands.append(self._end(ended))
        begun, *_ = self._exchange(*commands)
        if begun != DONE:
            message = "a new session could not be stored"
            raise SessionStoreError(message)
        return session

    def update(self, session: str, changes: Changes, lifetime: int | None) -> bool:
        """Write what a request has changed; with a lifetime, in seconds, renew the session, too.

        Other fields, which another request may have changed meanwhile, stay. Returns whether the
        session has any left; without, it has ended. Raises `SessionGoneError`, `SessionStoreError`
        and `SessionTooLargeError`.
        """
        written = {
            name.encode(): self._codec.seal(session, name, content)
            for name, content in changes.written.items()
        }
        self._require_small(written)
        arguments: list[bytes | int] = [
            *((lifetime or 0) * 1000, self._max_bytes, len(written)),
            *_flat(written),
            *(name.encode() for name in changes.removed),
        ]
        (reply,) = self._exchange(UPDATE.call(keys=[self._key(session)], arguments=arguments))
        if reply == REFUSED:
            raise self._too_large()
        return _is_left(reply)

    def move(self, stored: Stored, changes: Changes, lifetime: int) -> str | None:
        """Give a session another id, and write changes; returns the id, "" if nothing is left.

        Returns None when another request has changed the session since it was read. Raises
        `SessionGoneError`, `SessionStoreError` and `SessionTooLargeError`.
        """
        session = stored.id[:_TAG_LENGTH] + secrets.token_urlsafe(32)
        kept = {
            name: value[SEAL_SIZE:]
            for name, value in stored.fields.items()
            if name not in changes.removed
        }
        fields = self._sealed_contents(session, {**kept, **changes.written})
        expected = {name.encode(): value[:SEAL_SIZE] for name, value in stored.fields.items()}
        arguments: list[bytes | int] = [
            *(lifetime * 1000, SEAL_SIZE, len(expected)),
            *_flat(expected),
            *_flat(fields),
        ]
        keys = [self._key(stored.id), self._key(session)]
        (reply,) = self._exchange(MOVE.call(keys=keys, arguments=arguments))
        if reply == REFUSED:
            return None
        return session if _is_left(reply) else ""

    def end(self, session: str) -> None:
        """End a session; nothing brings it back. Raises `SessionStoreError`."""
        self._exchange(self._end(session))

    def _end(self, session: str) -> Command:
        key = self._key(session)
        return command("UNLINK", key, key=key)

    def _key(self, session: str) -> str:
        return f"{self._prefix}{{{session[:_TAG_LENGTH]}}}{session[_TAG_LENGTH:]}"

    def _sealed(self, session: str, values: Mapping[str, Any]) -> Mapping[bytes, bytes]:
        contents = {name: self._codec.dumps(name, value) for name, value in values.items()}
        return self._sealed_contents(session, contents)

    def _sealed_contents(
        self, session: str, contents: Mapping[str, bytes]
    ) -> Mapping[bytes, bytes]:
        fields = {
            name.encode(): self._codec.seal(session, name, content)
            for name, content in contents.items()
        }
        self._require_small(fields)
        return fields

    def _require_small(self, fields: Mapping[bytes, bytes]) -> None:
        if sum(map(len, _flat(fields))) > self._max_bytes:
            raise self._too_large()

    def _too_large(self) -> SessionTooLargeError:
        return SessionTooLargeError(
            f"a session may have {self._max_bytes} bytes (PEGBOARD_CACHE_REDIS_SESSION_MAX_BYTES): "
            "keep what is large in the database, and its key in the session"
        )

    def _exchange(self, *commands: Command) -> Sequence[Any]:
        """Return the values of the replies. Raises `SessionStoreError`."""
        try:
            values = [reply.value for reply in self._channel.exchange(commands)]
        except ChannelError as error:
            raise SessionStoreError(str(error)) from error
        for value in values:
            if not isinstance(value, int | list):  # an error that Redis reports
                raise SessionStoreError(str(value))
        return values


def _is_left(reply: object) -> bool:
    """Return whether anything is left in a session that was changed."""
    if reply == GONE:
        raise SessionGoneError
    if reply == ENDED:
        return False
    if reply != DONE:
        raise SessionStoreError(str(reply))
    return True


def _flat(fields: Mapping[bytes, bytes]) -> Iterable[bytes]:
    return (part for field in fields.items() for part in field)
