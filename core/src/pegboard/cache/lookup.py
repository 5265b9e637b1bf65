"""Cached look-ups: what a view declares, and how its answers are found, filled and shared."""

import functools
import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ParamSpec, cast

from flask import Flask, Response, current_app, request
from flask.globals import request_ctx
from sqlalchemy import Table
from sqlalchemy import inspect as sa_inspect
from sqlalchemy.orm import DeclarativeBase

from pegboard.cache.entry import Entry, OtherFormError, form_of
from pegboard.cache.spelling import INVALID, Kind, kind_of, spell
from pegboard.cache.strategy import LEASED, CacheStrategy, Key, Lease, Miss
from pegboard.database import db

logger = logging.getLogger(__name__)

P = ParamSpec("P")

EXTENSION = "pegboard.cache"

STATUS = "pegboard.cache_status"
"""The key of what a stage has found out already, in the WSGI environment."""

_LOOKUP = "__pegboard_lookup__"
_PATIENCE = 5.0
"""Seconds a request waits for another that reads the same; the database's bounds are shorter."""

_ATTEMPTS = 2
"""How often a request waits for another, at most."""

_POLL, _POLLS = 0.005, 10
_METHODS = frozenset({"GET", "HEAD"})
_LONGEST = 160


@dataclass(frozen=True)
class Lookup:
    """A view whose answer depends on one row, and on nothing else of the request."""

    model: type[DeclarativeBase]
    ttl: int
    depends: tuple[type[DeclarativeBase], ...]
    version: int
    may_precede: bool
    name: str
    """Tells it from other look-ups of the table; the same in every release."""
    function: Callable[..., Any]
    """What the decorator made; something else around it may want to see the request first."""

    @property
    def table(self) -> Table:
        """The table of the row."""
        return cast("Table", self.model.__table__)

    @property
    def identity(self) -> tuple[str, str]:
        """What no two look-ups of an app have in common: the table and the name."""
        return self.table.fullname, self.name

    @cached_property
    def form(self) -> bytes:
        """How its values begin."""
        return form_of(self.version)

    @property
    def others(self) -> Iterator[Table]:
        """The other tables: of the row, if models inherit, and of the models it depends on."""
        for model in (self.model, *self.depends):
            for mapper in sa_inspect(model).self_and_descendants:
                yield from (
                    cast("Table", table) for table in mapper.tables if table is not self.table
                )

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """How the columns of the primary key compare their values."""
        return tuple(kind_of(column) for column in self.table.primary_key.columns)

    def key(self, values: Iterable[Any]) -> Key | None:
        """Return the key for a row, by the values of its primary key in the columns' order.

        None for values that are no key, or not certain to be the only spelling of one.
        """
        try:
            text = "/".join(
                [spell(kind, value) for kind, value in zip(self.kinds, values, strict=True)]
            )
        except INVALID:
            return None
        if len(text) > _LONGEST:
            text = "#" + hashlib.blake2b(text.encode(), digest_size=24).hexdigest()
        return Key(self.table.fullname, f"{self.name}:{text}")


def cached(
    model: type[DeclarativeBase],
    *,
    ttl: int,
    depends: Sequence[type[DeclarativeBase]] = (),
    name: str = "view",
    version: int = 1,
    may_precede: bool = False,
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Cache what a GET view answers about one row of `model`, for `ttl` seconds at most.

    The variables of the view's URL are the row's primary key, in the order of its columns. The
    answer must depend on that row alone, and on rows of the models in `depends`, any write to which
    forgets all answers. It is the same for every client. No write needs to be told: the platform
    watches the database connections. Only a 200 is cached; `ETag`, 304 and 412 are taken care of.

    Put it above all other decorators. Then an answer is given before Flask sees the request, unless
    a plugin hangs something before views; `may_precede` says that the answer may even be given
    then. Raise `version` when the view begins to answer differently; of two views of one model, one
    needs another `name`, which no release changes. Raises `ValueError`.
    """
    if ttl < 1 or not re.fullmatch(r"[a-z0-9_-]{1,40}", name):
        message = "ttl is a second at least, name is made of a-z, 0-9, _ and -"
        raise ValueError(message)

    def decorate(view: Callable[P, Any]) -> Callable[P, Any]:
        @functools.wraps(view)
        def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            return get_cache().answer(lookup, lambda: view(*args, **kwargs))

        lookup = Lookup(model, ttl, tuple(depends), version, may_precede, name, run)
        setattr(run, _LOOKUP, lookup)
        return run

    return decorate


def lookup_of(function: Callable[..., Any]) -> Lookup | None:
    """Return the look-up that a view declares, also under other decorators."""
    return cast("Lookup | None", getattr(function, _LOOKUP, None))


class _Flight:
    """One reading of the database that several requests of this process wait for."""

    __slots__ = ("done", "entry", "is_elsewhere")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.entry: Entry | None = None
        self.is_elsewhere = False
        """Whether another process was reading the same, and had not filled yet."""


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
        self._flights: dict[Key, _Flight] = {}
        self._boarding = threading.Lock()

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
        with self._boarding:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight()
        if leads:
            return self._lead(lookup, key, flight, view)
        flight.done.wait(_PATIENCE)
        if flight.entry is not None:
            return self._respond(flight.entry, "hit; detail=shared")
        found = read(self.strategy.look_up(key), lookup.form)
        if isinstance(found, Entry):
            return self._respond(found, "hit")
        if flight.is_elsewhere and attempts > 1:
            # It is filled any moment; until then again only one asks.
            return self._share(lookup, key, view, attempts - 1)
        return self._produce(view, "fwd=miss; detail=not-shared")

    def _lead(self, lookup: Lookup, key: Key, flight: _Flight, view: Callable[[], Any]) -> Response:
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
            self._land(key, flight)
            flight.done.set()

    def _read(
        self, lookup: Lookup, lease: Lease, flight: _Flight, view: Callable[[], Any]
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
        self._land(lease.key, flight)
        if entry is not None and self.strategy.fill(
            lease, entry.encode(lookup.version), lookup.ttl
        ):
            flight.entry = entry
            return self._finish(entry, response, "fwd=miss; stored")
        return self._finish(entry, response, "fwd=miss; detail=not-stored")

    def _land(self, key: Key, flight: _Flight) -> None:
        with self._boarding:
            if self._flights.get(key) is flight:
                del self._flights[key]

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
    """Return the cache of the app, or of the current app."""
    cache: Cache = (app or current_app).extensions[EXTENSION]
    return cache
