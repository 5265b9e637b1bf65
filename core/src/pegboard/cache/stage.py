"""The stage that answers from the cache before Flask sees the request."""

from collections.abc import Sequence

from pegboard.cache.declaration import AnyLookup, declared_of
from pegboard.cache.entry import Answers
from pegboard.cache.lookup import Lookup
from pegboard.cache.outcome import HIT
from pegboard.cache.remote import RemoteStrategy
from pegboard.cache.service import STAGE_MISS, Cache, decode
from pegboard.cache.strategy import Key, Miss, MissReason, NullStrategy
from pegboard.http import CACHED_KEY
from pegboard.redis import ChannelError, Command, Reply
from pegboard.stages import Answer, Call, Route, StageOrder

_LAST = "cache.last"
"""The key in `Call.route_cache` of the value that was found last, and its answers."""
_SMALL = 1024
"""The most bytes of such a value."""


class CacheStage:
    """Binds to the routes of cached views, unless something of a plugin has to run before them."""

    name = "cache"
    order = StageOrder.ANSWER

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def bind(self, route: Route | None) -> "LookupHandler | RemoteLookupHandler | None":
        """Return the handler that looks up the answers of a route; None if it is not cached."""
        lookup = None if route is None else declared_of(route.function)
        if lookup is None or self.why_not(route) is not None:
            return None
        if isinstance(self._cache.strategy, RemoteStrategy):
            return RemoteLookupHandler(self._cache, lookup, self._cache.strategy)
        return LookupHandler(self._cache, lookup)

    def why_not(self, route: Route | None) -> str | None:
        """Return why no answer of a route is given from the cache by this stage; None if it is."""
        if route is None or route.method not in {"GET", "HEAD"}:
            return "no route matches" if route is None else "only GET and HEAD are cached"
        lookup = declared_of(route.function)
        if lookup is None:
            return "the view does not declare that it is cached"
        if (reason := self.why_off()) is not None:
            return reason
        return None if lookup.may_precede else self._after_what(lookup, route)

    def why_off(self) -> str | None:
        """Return why nothing at all is given from the cache; None if something may be."""
        if not self._cache.serve_hits:
            return "PEGBOARD_CACHE is none"
        if isinstance(self._cache.strategy, NullStrategy):
            return "there is no cache: no plugin provides one, and the database is not SQLite"
        return None

    @staticmethod
    def _after_what(lookup: AnyLookup, route: Route) -> str | None:
        """Return what has to see a request before an answer may be given; None if nothing has."""
        if route.has_before_hooks:
            return "code of a plugin runs before or around the view, and may refuse the request"
        if lookup.function is not route.function:
            return "a decorator above pegboard.cached may refuse the request"
        return None


class LookupHandler:
    """Looks up answers in a strategy of this process."""

    def __init__(self, cache: Cache, lookup: AnyLookup) -> None:
        self._cache = cache
        self._lookup = lookup
        # The answers of a list differ by the query.
        self._is_of_one_row = isinstance(lookup, Lookup)
        self._added = [("Cache-Status", HIT.cache_status)] if cache.send_status_header else []

    def prepare(self, call: Call) -> Sequence[Command] | Answer | None:
        """Return the answer, if it is cached."""
        key = self._key(call)
        return None if key is None else self._answer(call, self._cache.strategy.look_up(key))

    def complete(self, call: Call, replies: Sequence[Reply] | ChannelError) -> Answer | None:
        """Never called, as `prepare` returns no commands."""

    def _key(self, call: Call) -> Key | None:
        if not isinstance(self._lookup, Lookup):
            found = self._cache.key_of(self._lookup, call.environ, call.arguments)
            return None if isinstance(found, MissReason) else found
        if call.environ.get("QUERY_STRING"):
            return None  # the answer may depend on it
        try:
            key: Key | None = call.route_cache[CacheStage.name]
        except KeyError:
            key = call.route_cache[CacheStage.name] = self._lookup.key(call.arguments.values())
        return key

    def _answer(self, call: Call, found: bytes | Miss) -> Answer | None:
        environ, remembered = call.environ, call.route_cache
        last: tuple[bytes, Answers] | None = remembered.get(_LAST)
        has_prefix = bool(environ.get("SCRIPT_NAME"))
        if last is not None and last[0] is found and not has_prefix:
            environ[CACHED_KEY] = True
            return last[1].to(environ)
        entry = decode(found, self._lookup.form(environ))
        if isinstance(found, Miss) or isinstance(entry, Miss):
            # `Cache.answer` need not look it up again.
            environ[STAGE_MISS] = entry
            return None
        environ[CACHED_KEY] = True
        if self._is_of_one_row and len(found) <= _SMALL and not has_prefix:
            answers = Answers(entry, self._added)
            remembered[_LAST] = found, answers
            return answers.to(environ)
        answer = entry.answer(environ)
        answer.headers.extend(self._added)
        return answer


class RemoteLookupHandler(LookupHandler):
    """Looks up answers in Redis, in the round trip that all stages share."""

    def __init__(self, cache: Cache, lookup: AnyLookup, strategy: RemoteStrategy) -> None:
        super().__init__(cache, lookup)
        self._strategy = strategy
        self.is_non_blocking = strategy.is_non_blocking

    def prepare(self, call: Call) -> Sequence[Command] | Answer | None:
        """Return the commands that look up the answer."""
        key = self._key(call)
        if key is None:
            return None
        prepared = self._strategy.prepare(key)
        if isinstance(prepared, Miss):
            return self._answer(call, prepared)
        call.state[CacheStage.name] = prepared
        return prepared.commands

    def complete(self, call: Call, replies: Sequence[Reply] | ChannelError) -> Answer | None:
        """Return the answer, if it is cached."""
        return self._answer(call, self._strategy.complete(call.state[CacheStage.name], replies))
