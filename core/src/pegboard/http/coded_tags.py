"""Entity tags of compressed answers: each coding has a tag of its own (RFC 9110, section 8.8.3.3).

The tag `"abc"` of an answer is `"abc-gzip"` when it is compressed by gzip. Views and stages know
only the first: here the second is made, and taken back where a request names it.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")


class CodedTags:
    """Makes the tags for these codings, and recognizes them."""

    def __init__(self, codings: Iterable[str]) -> None:
        self._names = tuple(codings)
        self._pattern = re.compile(rf'"([^"]*)-(?:{"|".join(self._names)})"')

    def accept(self, environ: "WSGIEnvironment") -> None:
        """Let conditions that name the tag of a coding name the plain tag as well.

        A proxy that decodes an answer, as Varnish does for some clients, weakens its tag. It still
        names the same content, and no answer of the service has such a tag, so it is taken too.
        """
        for key in _CONDITIONS:
            given = environ.get(key)
            # Tags of the platform are hexadecimal: the first test tells most plain ones.
            if given and "-" in given and (plain := self._pattern.findall(given)):
                environ[key] = ", ".join((given, *(f'"{tag}"' for tag in plain)))

    def tag(self, tag: str, coding: str) -> str:
        """Return the tag for a coding, from the plain one; a weak tag is that of all codings."""
        return tag if tag.startswith("W/") else f'{tag[:-1]}-{coding}"'

    def known_tag(self, tag: str, coding: str | None, if_none_match: str) -> str:
        """Return the tag for a 304: one that the client has, preferably of this coding."""
        for name in (*([coding] if coding else []), *self._names):
            if (coded := self.tag(tag, name)) in if_none_match:
                return coded
        return tag
