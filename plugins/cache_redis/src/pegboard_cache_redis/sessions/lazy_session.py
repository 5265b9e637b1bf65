"""The session of a request, which is read from Redis when it is first accessed."""

import logging
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from flask.sessions import SessionMixin

from pegboard_cache_redis.sessions.store import CorruptSessionError, SessionStoreError, Stored

logger = logging.getLogger(__name__)


class LazySession(SessionMixin):
    """A mapping from names to values, with what was stored and what to do when it is saved."""

    accessed = False
    modified = False
    """For code that expects Flask's attribute; here values are compared when the request ends."""

    def __init__(
        self,
        identify: Callable[[], str | None],
        read: Callable[[str], Stored | None],
        fail: Callable[[SessionStoreError], None],
    ) -> None:
        """`fail` is called when Redis does not answer, and raises the error of the request."""
        self._identify = identify
        self._read = read
        self._fail = fail
        self._values: dict[str, Any] | None = None
        self._failure: SessionStoreError | None = None
        self.stored: Stored | None = None
        self.is_ended = False
        """Whether to delete what is stored under the client's id."""
        self.is_rotating = False
        """Whether to give the session another id."""
        self.is_saved = False
        """Whether `save_session` has handled it."""

    @cached_property
    def id(self) -> str | None:
        """The id in the client's cookie, if this service has signed it."""
        return self._identify()

    @property
    def values_in_use(self) -> dict[str, Any] | None:
        """The values in the session; None if the request has not accessed it."""
        return self._values

    @property
    def has_failed(self) -> bool:
        """Whether the session could not be read."""
        return self._failure is not None

    def end(self) -> None:
        """End the stored session; what is put in from now on begins a new one."""
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
        """Read the session again; returns it, None if it has ended."""
        assert self.stored is not None
        try:
            self.stored = self._read(self.stored.id)
        except CorruptSessionError:
            self.stored = None
        return self.stored

    def _require(self) -> dict[str, Any]:
        """Return the values, reading them first if needed."""
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
