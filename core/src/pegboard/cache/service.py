"""The answers of cached look-ups: found, filled, and shared."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, current_app, request
from flask.globals import request_ctx

from pegboard.cache.entry import Entry, OtherFormError
from pegboard.cache.lookup import Lookup
from pegboard.cache.singleflight import Flight, Flights
from pegboard.cache.strategy import LEASED, CacheStrategy, Key, Lease, Miss
from pegboard.database import db

logger = logging.getLogger(__name__)

EXTENSION = "pegboard.cache"

STATUS = "pegboard.cache_status"
"""The key of what a stage has found out already, in the WSGI environment."""

_ATTEMPTS = 2
"""How often a request waits for another, at most."""

_POLL, _POLLS = 0.005, 10
_METHODS = frozenset({"GET", "HEAD"})


class Cache:
    """The cache of one app: its strategy, and the readings that are under way."""

    def __init__(
        self, strategy: CacheStrategy, watched: Iterable[Lookup], *, gives: bool, tells: bool
    ) -> None:
        """`watched` are the look-ups of which every write is noticed; no other is cached.

        Unless it `gives`, nothing is taken from the cache nor filled in: it only keeps what other
        processes have cached from growing old. `tells` makes every answer say how it came about
        (`Cache-Status`, RFC 9211).
        """
        self.strategy = strategy
        self.gives = gives
        self.tells = tells
        self._watched = frozenset(lookup.identity for lookup in watched)
        self._flights = Flights()

    def answer(self, lookup: Lookup, view: Callable[[], Any]) -> Response:
        """Answer a request for a look-up from the cache, or from the view."""
        if request.method not in _METHODS:
            return current_app.make_response(view())
        key = lookup.key((request.view_args or {}).values())
        if key is None or lookup.identity not in self._watched:
            return self._produce(view, "fwd=bypass; detail=not-cacheable")
        found = self._look_up(lookup, key)
        if isinstance(found, Entry):
            return self._respond(found, "hit")
        if not found.may_fill:
            return self._produce(view, f"fwd=bypass; detail={found.reason}")
        return self._share(lookup, key, view, _ATTEMPTS)

    def _look_up(self, lookup: Lookup, key: Key) -> Entry | Miss:
        if not self.gives:
            return Miss("off", may_fill=False)
        if request.query_string:
            return Miss("query", may_fill=False)
        found: Entry | Miss | None = request.environ.get(STATUS)
        if found is None:
            found = read(self.strategy.look_up(key), lookup.form)
        if isinstance(found, Miss) and found.may_fill and db.session().in_transaction():
            # What the view reads may be older than the lease.
            return Miss("in-transaction", may_fill=False)
        return found

    def _share(self, lookup: Lookup, key: Key, view: Callable[[], Any], attempts: int) -> Response:
        """Read the database, or wait for another request of this process that reads the same."""
        flight, leads = self._flights.board(key)
        if leads:
            return self._lead(lookup, key, flight, view)
        flight.wait()
        if flight.entry is not None:
            return self._respond(flight.entry, "hit; detail=shared")
        found = read(self.strategy.look_up(key), lookup.form)
        if isinstance(found, Entry):
            return self._respond(found, "hit")
        if flight.is_elsewhere and attempts > 1:
            # It is filled any moment; until then again only one asks.
            return self._share(lookup, key, view, attempts - 1)
        return self._produce(view, "fwd=miss; detail=not-shared")

    def _lead(self, lookup: Lookup, key: Key, flight: Flight, view: Callable[[], Any]) -> Response:
        """Read the database for all, unless another process does."""
        try:
            given = self._lease(key)
            if isinstance(given, Lease):
                return self._read(lookup, given, flight, view)
            found = read(given, lookup.form)
            if isinstance(found, Entry):
                return self._respond(found, "hit; detail=filled-elsewhere")
            flight.is_elsewhere = found.reason == LEASED
            return self._produce(view, f"fwd=miss; detail={found.reason}")
        finally:
            self._flights.land(key, flight)
            flight.end()

    def _read(
        self, lookup: Lookup, lease: Lease, flight: Flight, view: Callable[[], Any]
    ) -> Response:
        """Read the database, and fill the cache if nothing was written meanwhile."""
        entry: Entry | None = None
        try:
            # What the session still holds may be older than the lease.
            db.session.expire_all()
            response = current_app.make_response(view())
            if not _is_personal(response):
                entry = Entry.of(response)
        finally:
            if entry is None:
                self.strategy.give_back(lease)
        # Nobody may join any more: what is filled is known to be new only for those who came
        # before.
        self._flights.land(lease.key, flight)
        if entry is not None and self.strategy.fill(
            lease, entry.encode(lookup.version), lookup.ttl
        ):
            flight.entry = entry
            return self._finish(entry, response, "fwd=miss; stored")
        return self._finish(entry, response, "fwd=miss; detail=not-stored")

    def _lease(self, key: Key) -> Lease | bytes | Miss:
        lease = self.strategy.lease(key)
        for _ in range(_POLLS):
            if not isinstance(lease, Miss) or lease.reason != LEASED:
                break
            time.sleep(_POLL)  # another process is about to fill it
            lease = self.strategy.lease(key)
        return lease

    def _produce(self, view: Callable[[], Any], status: str) -> Response:
        response = current_app.make_response(view())
        return self._finish(Entry.of(response), response, status)

    def _finish(self, entry: Entry | None, response: Response, status: str) -> Response:
        if entry is None:
            if self.tells:
                response.headers["Cache-Status"] = f"pegboard; {status}"
            return response
        return self._respond(entry, status)

    def _respond(self, entry: Entry, status: str) -> Response:
        answer = entry.answer(request.environ)
        response = Response(answer.body, answer.status)
        del response.headers["Content-Type"]
        response.headers.extend(answer.headers)
        if self.tells:
            response.headers["Cache-Status"] = f"pegboard; {status}"
        return response


def read(found: bytes | Miss, form: bytes) -> Entry | Miss:
    """Return the answer that a strategy has found; a miss for bytes that are none."""
    if isinstance(found, Miss):
        return found
    try:
        return Entry.decode(found, form)
    except OtherFormError:
        # It stays until it expires or the row is written: the other release may need it yet.
        return Miss("other-release", may_fill=False)
    except ValueError as error:
        logger.warning("a cached answer cannot be read: %s", error)
        return Miss("unreadable", may_fill=False)


def _is_personal(response: Response) -> bool:
    """Return whether an answer may be for one client only: by its session, or RFC 9111, 3.5."""
    if "Authorization" in request.headers and not response.cache_control.public:
        return True
    # The proxy `flask.session` would count as a look.
    context = vars(request_ctx._get_current_object())  # type: ignore[attr-defined]  # noqa: SLF001 - Werkzeug's way
    session = context.get("_session", context.get("session"))
    return bool(getattr(session, "accessed", False))


def get_cache(app: Flask | None = None) -> Cache:
    """Return the cache of the app, or of the current app; its `strategy` is what stores.

    Raises `KeyError` for an app that `create_app` did not make.
    """
    cache: Cache = (app or current_app).extensions[EXTENSION]
    return cache
