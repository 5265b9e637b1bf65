"""Answering requests for cached views: from the cache, or from the view, whose answer is stored."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from flask import Flask, Response, current_app, request
from flask.globals import request_ctx

from pegboard.cache.collection import Collection
from pegboard.cache.entry import Entry, OtherFormError
from pegboard.cache.filling import Filling
from pegboard.cache.list_lookup import ListLookup
from pegboard.cache.lookup import Lookup
from pegboard.cache.outcome import Outcome, Source, bypassed
from pegboard.cache.strategy import CacheStrategy, Key, Miss, MissReason
from pegboard.database import db
from pegboard.extensions import get_extension
from pegboard.http import CACHED_KEY
from pegboard.stages import Answer, Waiting, result_of

logger = logging.getLogger(__name__)

EXTENSION = "pegboard.cache"

STAGE_MISS = "pegboard.cache_miss"
"""The key of the `Miss` that the stage has found, in the WSGI environment."""

_METHODS = frozenset({"GET", "HEAD"})

View = Callable[[], Any]
Obtained = Entry | Response
"""The answer of a view; a `Response` is one that cannot be cached."""


class Cache:
    """The cache of one app: its strategy, and the readings of the database that are under way."""

    def __init__(
        self,
        strategy: CacheStrategy,
        watched: Iterable[Lookup | Collection],
        *,
        settings: Mapping[str, str] = MappingProxyType({}),
        serve_hits: bool,
        send_status_header: bool,
    ) -> None:
        """Cache what is in `watched`, to whose tables every write is noticed; and nothing else.

        `settings` are by group those on which cached lists depend.

        Without `serve_hits` nothing is read from the cache or stored: it only keeps what other
        processes have cached from becoming stale. With `send_status_header` each answer has a
        `Cache-Status` (RFC 9211).
        """
        self.strategy = strategy
        """What stores the answers of this app."""
        self.serve_hits = serve_hits
        """Whether answers are read from the cache and stored in it."""
        self.send_status_header = send_status_header
        """Whether answers get a `Cache-Status` header (RFC 9211)."""
        self._watched = frozenset(one.group for one in watched)
        self._settings = settings
        self._filling = Filling(strategy)

    def key_of(
        self, lookup: Lookup | ListLookup, environ: Mapping[str, Any], arguments: Mapping[str, Any]
    ) -> Key | MissReason:
        """Return the key of a request, or why it has none."""
        if lookup.group not in self._watched:
            return MissReason.NOT_CACHEABLE
        return lookup.key_of(environ, arguments, self._settings.get(lookup.group, ""))

    def _key_to_use(
        self, lookup: Lookup | ListLookup, environ: Mapping[str, Any], arguments: Mapping[str, Any]
    ) -> Key | MissReason:
        """Return the key of a request, or why nothing is looked up and stored for it."""
        key = self.key_of(lookup, environ, arguments)
        is_off = key is not MissReason.NOT_CACHEABLE and not self.serve_hits
        return MissReason.OFF if is_off else key

    def answer(self, lookup: Lookup | ListLookup, view: View) -> Response:
        """Answer the current request, to a cached view: from the cache, or by calling the view."""
        if request.method not in _METHODS:
            return current_app.make_response(view())
        answer, outcome = self._obtain(lookup, view)
        request.environ[CACHED_KEY] = outcome.source is Source.CACHE
        response = _respond(answer) if isinstance(answer, Entry) else answer
        if self.send_status_header:
            response.headers["Cache-Status"] = outcome.cache_status
        return response

    async def answer_without_flask(
        self,
        lookup: Lookup,
        environ: Mapping[str, Any],
        arguments: Mapping[str, Any],
        read: Callable[[], Awaitable[Entry]],
        waiting: Waiting,
    ) -> Answer:
        """Answer a request to a cached view: from the cache, or by what `read` returns.

        `read` reads the database in a transaction of its own. Its exceptions are raised.
        """
        key = self._key_to_use(lookup, environ, arguments)
        if isinstance(key, MissReason):
            entry, outcome = await read(), bypassed(key)
        else:
            source = _Read(key, lookup, environ, read)
            entry, outcome = await self._filling.obtain(source, environ.get(STAGE_MISS), waiting)
        if isinstance(environ, dict):
            environ[CACHED_KEY] = outcome.source is Source.CACHE
        answer = entry.answer(environ)
        if self.send_status_header:
            answer.headers.append(("Cache-Status", outcome.cache_status))
        return answer

    async def total(
        self,
        collection: Collection,
        name: str,
        count: Callable[[], Awaitable[int]],
        waiting: Waiting | None = None,
    ) -> int:
        """Return a number of rows: from the cache, or by counting them.

        `name` stands for what is counted. `count` counts in a transaction of its own; without
        `waiting` in the session of the request, whose thread waits.
        """
        if not self.serve_hits or collection.group not in self._watched:
            return await count()
        source = _Total(collection, name, count, in_session=waiting is None)
        total, _ = await self._filling.obtain(source, None, waiting)
        return total

    def _obtain(self, lookup: Lookup | ListLookup, view: View) -> tuple[Obtained, Outcome]:
        key = self._key_to_use(lookup, request.environ, request.view_args or {})
        if isinstance(key, MissReason):
            return _call(view, lookup), bypassed(key)
        source = _Answer(key, lookup, view)
        return result_of(self._filling.obtain(source, request.environ.get(STAGE_MISS)))


class _Answer:
    """The answer of a view, which is stored with its headers."""

    def __init__(self, key: Key, lookup: Lookup | ListLookup, view: View) -> None:
        self.key = key
        self.prefix = request.script_root
        self.ttl = lookup.ttl
        self._lookup = lookup
        self._view = view
        self._form = lookup.form(request.environ)

    def is_read_anew(self) -> bool:
        return not db.session().in_transaction()

    def decode(self, found: bytes) -> Entry | Miss:
        return decode(found, self._form)

    async def read(self) -> Obtained:
        return _call(self._view, self._lookup)

    async def read_to_store(self) -> tuple[Obtained, bytes | None]:
        # What the session still holds may be older than the lease.
        db.session.expire_all()
        response = current_app.make_response(self._view())
        entry = None if _is_personal(response) else Entry.of(response, self._lookup.vary)
        return (response, None) if entry is None else (entry, entry.encode(self._form))


class _Read:
    """An answer that is made without Flask."""

    def __init__(
        self,
        key: Key,
        lookup: Lookup,
        environ: Mapping[str, Any],
        read: Callable[[], Awaitable[Entry]],
    ) -> None:
        self.key = key
        self.prefix = environ.get("SCRIPT_NAME", "").rstrip("/")
        self.ttl = lookup.ttl
        self.read = read
        self._form = lookup.form(environ)

    def is_read_anew(self) -> bool:
        return True

    def decode(self, found: bytes) -> Entry | Miss:
        return decode(found, self._form)

    async def read_to_store(self) -> tuple[Entry, bytes]:
        entry = await self.read()
        return entry, entry.encode(self._form)


class _Total:
    """A number of rows, stored as its digits."""

    prefix = ""

    def __init__(
        self,
        collection: Collection,
        name: str,
        read: Callable[[], Awaitable[int]],
        *,
        in_session: bool,
    ) -> None:
        self.key = Key(collection.group, f"total/{name}")
        self.ttl = collection.ttl
        self.read = read
        self._in_session = in_session

    def is_read_anew(self) -> bool:
        return not (self._in_session and db.session().in_transaction())

    def decode(self, found: bytes) -> int | Miss:
        return int(found) if found.isdigit() else _unreadable(f"{found!r:.50} is no number of rows")

    async def read_to_store(self) -> tuple[int, bytes]:
        total = await self.read()
        return total, b"%d" % total


def _call(view: View, lookup: Lookup | ListLookup) -> Obtained:
    """Answer by the view alone; what could be cached is answered as if it were."""
    response = current_app.make_response(view())
    return Entry.of(response, lookup.vary) or response


def _respond(entry: Entry) -> Response:
    """Return a cached answer as Flask's, with 304 and 412 where the request asks for them."""
    answer = entry.answer(request.environ)
    response = Response(answer.body, answer.status)
    del response.headers["Content-Type"]
    response.headers.extend(answer.headers)
    return response


def decode(found: bytes | Miss, form: bytes) -> Entry | Miss:
    """Return the answer in what a strategy has found; a `Miss` if the bytes are not an answer."""
    if isinstance(found, Miss):
        return found
    try:
        return Entry.decode(found, form)
    except OtherFormError:
        # It stays until it expires or the row is written: the other release may need it yet.
        return Miss(MissReason.OTHER_RELEASE, may_fill=False)
    except ValueError as error:
        return _unreadable(error)


def _unreadable(reason: object) -> Miss:
    logger.warning("a cached answer cannot be read: %s", reason)
    return Miss(MissReason.UNREADABLE, may_fill=False)


def _is_personal(response: Response) -> bool:
    """Return whether an answer may be for one client only: by its session, or RFC 9111, 3.5."""
    if "Authorization" in request.headers and not response.cache_control.public:
        return True
    # Reading it by the proxy `flask.session` would count as an access.
    context = vars(request_ctx._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001 - Werkzeug's way
    session = context.get("_session", context.get("session"))
    return bool(getattr(session, "accessed", False))


def get_cache(app: Flask | None = None) -> Cache:
    """Return the cache of the app, or of the current app; its `strategy` is what stores.

    Raises `KeyError` for an app that `create_app` did not make.
    """
    cache: Cache = get_extension(app, EXTENSION, "get_cache(app)")
    return cache
