"""Answering requests for cached views: from the cache, or from the view, whose answer is stored."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, current_app, request
from flask.globals import request_ctx

from pegboard.cache.entry import Entry, OtherFormError
from pegboard.cache.lookup import Lookup
from pegboard.cache.outcome import (
    FILLED_ELSEWHERE,
    HIT,
    NOT_SHARED,
    NOT_STORED,
    SHARED,
    STORED,
    Outcome,
    bypassed,
    missed,
)
from pegboard.cache.singleflight import Flight, SingleFlight
from pegboard.cache.strategy import CacheStrategy, Key, Lease, Miss, MissReason
from pegboard.database import db
from pegboard.extensions import get_extension

logger = logging.getLogger(__name__)

EXTENSION = "pegboard.cache"

STAGE_MISS = "pegboard.cache_miss"
"""The key of the `Miss` that the stage has found, in the WSGI environment."""

_ATTEMPTS = 2
"""How often a request follows the reading of another, at most."""

_LEASE_POLL, _LEASE_POLLS = 0.005, 10
"""Seconds between two requests for a lease that another process holds, and how many are made."""

_METHODS = frozenset({"GET", "HEAD"})

View = Callable[[], Any]
Obtained = tuple[Entry | Response, Outcome]
"""The answer to a request, and how it came about; a `Response` is one that cannot be cached."""


class Cache:
    """The cache of one app: its strategy, and the readings of the database that are under way."""

    def __init__(
        self,
        strategy: CacheStrategy,
        watched: Iterable[Lookup],
        *,
        serve_hits: bool,
        send_status_header: bool,
    ) -> None:
        """Cache the look-ups in `watched`, to whose tables every write is noticed; and no others.

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
        self._watched = frozenset(lookup.identity for lookup in watched)
        self._single_flight = SingleFlight()

    def answer(self, lookup: Lookup, view: View) -> Response:
        """Answer the current request, to a cached view: from the cache, or by calling the view."""
        if request.method not in _METHODS:
            return current_app.make_response(view())
        answer, outcome = self._obtain(lookup, view)
        response = _respond(answer) if isinstance(answer, Entry) else answer
        if self.send_status_header:
            response.headers["Cache-Status"] = outcome.cache_status
        return response

    def _obtain(self, lookup: Lookup, view: View) -> Obtained:
        key = lookup.key((request.view_args or {}).values())
        if key is None or lookup.identity not in self._watched:
            return _call(view, bypassed(MissReason.NOT_CACHEABLE))
        found = self._look_up(lookup, key)
        if isinstance(found, Entry):
            return found, HIT
        if not found.may_fill:
            return _call(view, bypassed(found.reason))
        return self._lead_or_follow(lookup, key, view, _ATTEMPTS)

    def _look_up(self, lookup: Lookup, key: Key) -> Entry | Miss:
        if not self.serve_hits:
            return Miss(MissReason.OFF, may_fill=False)
        if request.query_string:
            return Miss(MissReason.QUERY, may_fill=False)
        found: Entry | Miss | None = request.environ.get(STAGE_MISS)
        if found is None:
            found = decode(self.strategy.look_up(key), lookup.form(request.environ))
        if isinstance(found, Miss) and found.may_fill and db.session().in_transaction():
            # What the view reads may be older than the lease.
            return Miss(MissReason.IN_TRANSACTION, may_fill=False)
        return found

    def _lead_or_follow(self, lookup: Lookup, key: Key, view: View, attempts: int) -> Obtained:
        """Read the database, or wait for another request of this process that reads the same."""
        flight, is_leader = self._single_flight.join(key, request.script_root)
        if is_leader:
            return self._lead(lookup, key, flight, view)
        flight.wait()
        if flight.entry is not None:
            return flight.entry, SHARED
        found = decode(self.strategy.look_up(key), lookup.form(request.environ))
        if isinstance(found, Entry):
            return found, HIT
        if flight.is_leased_elsewhere and attempts > 1:
            # Another process is about to fill it; until then only one request asks again.
            return self._lead_or_follow(lookup, key, view, attempts - 1)
        return _call(view, NOT_SHARED)

    def _lead(self, lookup: Lookup, key: Key, flight: Flight, view: View) -> Obtained:
        """Read the database for all followers, unless another process does."""
        try:
            given = self._lease(key)
            if isinstance(given, Lease):
                return self._fill(lookup, given, flight, view)
            found = decode(given, lookup.form(request.environ))
            if isinstance(found, Entry):
                return found, FILLED_ELSEWHERE
            flight.is_leased_elsewhere = found.reason == MissReason.LEASED
            return _call(view, missed(found.reason))
        finally:
            self._single_flight.close(flight)
            flight.finish()

    def _fill(self, lookup: Lookup, lease: Lease, flight: Flight, view: View) -> Obtained:
        """Read the database, and store the answer if nothing was written meanwhile."""
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
        # A request that comes from now on may begin after a write that this answer does not have,
        # so it must not follow.
        self._single_flight.close(flight)
        if entry is None:
            return response, NOT_STORED
        if not self.strategy.fill(lease, entry.encode(lookup.form(request.environ)), lookup.ttl):
            return entry, NOT_STORED
        flight.entry = entry
        return entry, STORED

    def _lease(self, key: Key) -> Lease | bytes | Miss:
        """Ask for a lease, for a moment again and again while another process holds it."""
        given = self.strategy.lease(key)
        for _ in range(_LEASE_POLLS):
            if not isinstance(given, Miss) or given.reason != MissReason.LEASED:
                break
            time.sleep(_LEASE_POLL)
            given = self.strategy.lease(key)
        return given


def _call(view: View, outcome: Outcome) -> Obtained:
    """Answer by the view alone; what could be cached is answered as if it were."""
    response = current_app.make_response(view())
    entry = Entry.of(response)
    return (response if entry is None else entry), outcome


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
        logger.warning("a cached answer cannot be read: %s", error)
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
