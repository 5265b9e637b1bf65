"""A list that is cached: its answer depends on the query of its URL, and on a collection."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from pegboard.cache.collection import Collection
from pegboard.cache.entry import form_of
from pegboard.cache.strategy import Key, MissReason

_SEARCH = "q"
"""The parameter that hardly comes twice with one value."""

_FORM = form_of(1)


@dataclass(frozen=True)
class ListLookup:
    """A view that lists the rows of a collection."""

    collection: Collection
    """The rows of which the lists are."""
    ttl: int
    """How long an answer may be kept, in seconds."""
    ignores_headers: Callable[[Mapping[str, Any]], bool]
    """Whether the answer to a request, given its WSGI environment, depends on no header."""
    settings: Callable[[], str]
    """Returns what answers of the current app depend on besides: its settings, its release."""
    function: Callable[..., Any]
    """What the decorator has returned; a view around it may have to see the request first."""

    may_precede = False
    """Code that plugins run for the request always comes first."""
    vary = frozenset({"accept", "prefer"})
    """The headers that `ignores_headers` looks at, by which answers may vary."""

    @property
    def group(self) -> str:
        """The group of its keys: that of the collection."""
        return self.collection.group

    def form(self, _environ: Mapping[str, Any]) -> bytes:
        """Return the first bytes of its values; the path prefix is in the key."""
        return _FORM

    def key_of(
        self, environ: Mapping[str, Any], _arguments: object, settings: str
    ) -> Key | MissReason:
        """Return the key of a request, or why it has none; `settings` are those of the app.

        The order of parameters does not matter. The same parameters written otherwise have another
        key, and the same answer.
        """
        if not self.ignores_headers(environ):
            return MissReason.NOT_CACHEABLE
        query: str = environ.get("QUERY_STRING", "")
        if _SEARCH in query or "%" in query:
            names = (part.partition("=")[0] for part in query.split("&"))
            if any(unquote_plus(name) == _SEARCH for name in names):
                return MissReason.QUERY
        if "&" in query:
            query = "&".join(sorted(query.split("&")))
        text = f"{environ.get('SCRIPT_NAME', '')}?{query} {settings}"
        digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        return Key(self.group, f"list/{digest}")
