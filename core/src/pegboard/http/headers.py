"""What HTTP can express of an answer."""

import re

LEAST, GREATEST = 200, 999
"""The statuses of answers lie between these."""

# RFC 9110, section 5.6.2 and 5.5.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class UnsendableError(Exception):
    """Raised for an answer that HTTP cannot express, before anything of it is sent."""


def encode_name(name: str) -> bytes:
    """Return the name of a header as it is sent; raises `UnsendableError`."""
    if not _TOKEN.fullmatch(name) or name.lower() == "transfer-encoding":
        message = f"{name!r} is no header that an app may send"
        raise UnsendableError(message)
    return name.lower().encode("latin-1")


def encode_value(value: str) -> bytes:
    """Return the value of a header as it is sent; raises `UnsendableError`."""
    try:
        encoded = value.encode("latin-1")
    except UnicodeEncodeError:
        encoded = None
    # Most are printable, and then this is all that it costs.
    if encoded is None or (not value.isprintable() and _CONTROL.search(encoded)):
        message = f"{value!r} is no value of a header"
        raise UnsendableError(message)
    return encoded
