"""Which statuses and headers of an answer HTTP can carry."""

import re

LOWEST_STATUS, HIGHEST_STATUS = 200, 999
"""The range of the statuses of answers; below it are interim responses."""

# RFC 9110, section 5.6.2 and 5.5.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class UnsendableError(Exception):
    """Raised, before anything is sent, for an answer that HTTP cannot carry."""


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
