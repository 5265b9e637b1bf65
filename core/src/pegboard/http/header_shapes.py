"""Remembers what is added to answers whose headers have the same names.

Most answers differ in values alone, and what is added to them depends on the names.
"""

from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from pegboard.http.headers import Headers

CONTENT_RANGE = "content-range"
OF_ITS_BYTES = ("content-encoding", "content-digest", "repr-digest", "digest")
"""Headers of an answer that must be sent as it is."""

_UNUSUAL = frozenset(
    {
        *("cache-control", "expires", "set-cookie", "vary", "content-security-policy"),
        *("access-control-allow-origin", "accept-ranges", CONTENT_RANGE),
        *OF_ITS_BYTES,
    }
)
"""Headers whose presence has a say in the others."""
_MAX_SHAPES, _MAX_KINDS = 1024, 64

_name_of = itemgetter(0)


class Places(NamedTuple):
    """Where the headers stand in an answer that its coding changes; None for one that is absent."""

    type: int | None
    length: int | None
    tag: int | None
    ranges: int | None


class Addition(NamedTuple):
    """What is added to the headers of an answer."""

    headers: Headers
    may_encode: bool
    """Whether its body may be sent in a coding."""


Kind = tuple[int, str, str]
"""The status, media type and `Vary` of an answer; empty for what is absent."""


class Shape:
    """Answers whose headers have the same names: only their kind has a say in what is added."""

    __slots__ = ("_additions", "places", "vary")

    def __init__(self, places: Places, vary: int | None) -> None:
        self.places = places
        self.vary = vary
        """Where a `Vary` stands, which is moved behind the others."""
        self._additions: dict[Kind, Addition] = {}

    def kind(self, status: int, headers: Headers) -> Kind:
        """Return the kind of an answer whose `Vary` is its last header."""
        place = self.places.type
        media_type = "" if place is None else headers[place][1]
        return status, media_type, "" if self.vary is None else headers[-1][1]

    def addition(self, kind: Kind) -> Addition | None:
        """Return what is added to answers of a kind; None if that is not known yet."""
        return self._additions.get(kind)

    def remember(self, kind: Kind, addition: Addition) -> None:
        """Note what is added to answers of a kind."""
        if len(self._additions) < _MAX_KINDS:
            self._additions[kind] = addition


class Shapes:
    """The shapes of the answers of one app."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Shape] = {}

    def find(self, headers: Headers) -> Shape | None:
        """Return the shape of an answer with these headers; None if additions vary."""
        names = tuple(map(_name_of, headers))
        return self._known.get(names) or self._remember(names)

    def _remember(self, names: tuple[str, ...]) -> Shape | None:
        shape = None
        others = [name for name in names if name != "Vary"]
        if len(names) - len(others) <= 1 and _UNUSUAL.isdisjoint(map(str.lower, others)):
            vary = names.index("Vary") if "Vary" in names else None
            shape = Shape(places_of(others), vary)
            if len(self._known) < _MAX_SHAPES:
                self._known[names] = shape
        return shape


def places_of(names: Sequence[str]) -> Places:
    """Return where the headers of these names stand."""
    found = {name.lower(): place for place, name in enumerate(names)}
    known = ("content-type", "content-length", "etag", "accept-ranges")
    return Places(*map(found.get, known))
