"""Remembers what is added to answers whose headers have the same names.

Most answers differ in values alone, and what is added to them depends on the names.
"""

from collections.abc import Sequence
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

_VARY = "Vary: "
"""What stands before the value of a `Vary` where a shape is remembered by it."""


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


class Shape:
    """Answers whose headers have the same names: additions depend on status and type alone."""

    __slots__ = ("_additions", "places", "vary")

    def __init__(self, places: Places, vary: int | None) -> None:
        self.places = places
        self.vary = vary
        """Where a `Vary` stands, which is moved behind the others."""
        self._additions: dict[tuple[int, str], Addition] = {}

    def addition(self, status: int, headers: Headers) -> Addition | None:
        """Return what is added to such an answer; None if that is not known yet."""
        return self._additions.get(self._kind(status, headers))

    def remember(self, status: int, headers: Headers, addition: Addition) -> None:
        """Note what is added to such an answer."""
        if len(self._additions) < _MAX_KINDS:
            self._additions[self._kind(status, headers)] = addition

    def _kind(self, status: int, headers: Headers) -> tuple[int, str]:
        place = self.places.type
        return status, "" if place is None else headers[place][1]


class Shapes:
    """The shapes of the answers of one app."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Shape] = {}

    def find(self, headers: Headers) -> Shape | None:
        """Return the shape of an answer with these headers; None if additions vary."""
        names = tuple([name if name != "Vary" else _VARY + value for name, value in headers])
        return self._known.get(names) or self._remember(names)

    def _remember(self, names: tuple[str, ...]) -> Shape | None:
        shape = None
        varying = [place for place, name in enumerate(names) if name.startswith(_VARY)]
        if len(varying) <= 1 and _UNUSUAL.isdisjoint(map(str.lower, names)):
            others = [name for name in names if not name.startswith(_VARY)]
            shape = Shape(places_of(others), varying[0] if varying else None)
            if len(self._known) < _MAX_SHAPES:
                self._known[names] = shape
        return shape


def places_of(names: Sequence[str]) -> Places:
    """Return where the headers of these names stand."""
    found = {name.lower(): place for place, name in enumerate(names)}
    known = ("content-type", "content-length", "etag", "accept-ranges")
    return Places(*map(found.get, known))
