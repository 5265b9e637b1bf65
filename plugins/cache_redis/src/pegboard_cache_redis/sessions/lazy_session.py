"""The session that a request sees: read from Redis when something first looks into it."""

import logging
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from flask.sessions import SessionMixin

from pegboard_cache_redis.sessions.store import CorruptSessionError, SessionStoreError, Stored

logger = logging.getLogger(__name__)


class LazySession(SessionMixin):
    """A mapping from names to values; knows what was stored, and what is to become of it."""

    accessed = False
    modified = False
    """Flask's sessions have it; nothing depends on it here, as values are compared."""

    def __init__(
        self,
        identify: Callable[[], str | None],
        read: Callable[[str], Stored | None],
        fail: Callable[[SessionStoreError], None],
    ) -> None:
        """`fail` is called when Redis does not answer, and raises what ends the request."""
        self._identify = identify
        self._read = read
        self._fail = fail
        self._values: dict[str, Any] | None = None
        self._failure: SessionStoreError | None = None
        self.stored: Stored | None = None
        self.is_ended = False
        """Whether what was stored under the client's id must not stay."""
        self.is_rotating = False
        """Whether the session is to get another id."""
        self.is_saved = False
        """Whether `save_session` has dealt with it."""

    @cached_property
    def id(self) -> str | None:
        """The id that the client has shown, if this service has ever signed it."""
        return self._identify()

    @property
    def values_in_use(self) -> dict[str, Any] | None:
        """What is in the session; nothing if the request did not look into it."""
        return self._values

    @property
    def has_failed(self) -> bool:
        """Whether the session could not be read, so that nobody knows what is in it."""
        return self._failure is not None

    def end(self) -> None:
        """End what is stored; what is put into the session from now on begins a new one."""
        self.accessed = True
        self.is_ended = True
        self.is_rotating = False
        self.stored = None
        self._values = {}
        self._failure = None

    clear = end

    def rotate(self) -> None:
        """Give the session another id when it is saved."""
        self._require()
        self.is_rotating = True

    def read_again(self) -> Stored | None:
        """Return the session as it is by now, if it is still there."""
        assert self.stored is not None
        try:
            self.stored = self._read(self.stored.id)
        except CorruptSessionError:
            self.stored = None
        return self.stored

    def _require(self) -> dict[str, Any]:
        """Return the values, after reading them if need be."""
        self.accessed = True
        if self._failure is not None:
            self._fail(self._failure)
        if self._values is None:
            self._load()
        assert self._values is not None
        return self._values

    def _load(self) -> None:
        try:
            self.stored = None if self.id is None else self._read(self.id)
        except CorruptSessionError as error:
            logger.warning("a session in Redis is not what was stored, and is ended: %s", error)
            self.end()
        except SessionStoreError as error:
            self._failure = error
            self._fail(error)
        else:
            self._values = dict(self.stored.values) if self.stored else {}

    def __getitem__(self, name: str) -> Any:
        return self._require()[name]

    def __setitem__(self, name: object, value: Any) -> None:
        if not isinstance(name, str):
            message = f"session[{name!r}]: a name must be a string"
            raise TypeError(message)
        self._require()[name] = value
        self.modified = True

    def __delitem__(self, name: str) -> None:
        del self._require()[name]
        self.modified = True

    def __iter__(self) -> Iterator[str]:
        return iter(self._require())

    def __len__(self) -> int:
        return len(self._require())
