"""Headers of an answer: which statuses and headers HTTP can carry, and changing a list of them."""

import re
from collections.abc import Iterable
from functools import lru_cache

Headers = list[tuple[str, str]]
"""Names and values, in the order in which they are sent."""

LOWEST_STATUS, HIGHEST_STATUS = 200, 999
"""The range of the statuses of answers; below it are interim responses."""

# RFC 9110, section 5.6.2 and 5.5.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class UnsendableError(Exception):
    """Raised, before anything is sent, for an answer that HTTP cannot carry."""


@lru_cache(maxsize=1024)  # each answer has names that others have
def encode_header_name(name: str) -> bytes:
    """Return a header's name as it is sent, in lower case; raises `UnsendableError`."""
    if not _TOKEN.fullmatch(name) or name.lower() == "transfer-encoding":
        message = f"{name!r} is no header that an app may send"
        raise UnsendableError(message)
    return name.lower().encode("latin-1")


def encode_header_value(value: str) -> bytes:
    """Return a header's value as it is sent; raises `UnsendableError`."""
    try:
        encoded = value.encode("latin-1")
    except UnicodeEncodeError:
        encoded = None
    # Most values are printable; checking that first is fast.
    if encoded is None or (not value.isprintable() and _CONTROL.search(encoded)):
        message = f"{value!r} is no value of a header"
        raise UnsendableError(message)
    return encoded


def replace_header(headers: Headers, name: str, value: str) -> None:
    """Give a header that is in the list another value."""
    for place, (one, _) in enumerate(headers):
        if one.lower() == name.lower():
            headers[place] = name, value


def add_vary(headers: Headers, names: Iterable[str]) -> None:
    """Add names to `Vary`, which becomes one header, as some caches read only one."""
    given = [value for name, value in headers if name.lower() == "vary"]
    present = [part.strip() for value in given for part in value.split(",") if part.strip()]
    known = {part.lower() for part in present}
    if given:
        headers[:] = [pair for pair in headers if pair[0].lower() != "vary"]
    added = [name for name in names if name.lower() not in known]
    headers.append(("Vary", ", ".join((*present, *added))))
