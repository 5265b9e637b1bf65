"""What a client would like but does not demand: the header `Prefer` (RFC 7240)."""

from flask import request
from werkzeug.http import parse_list_header, unquote_header_value


def preference(name: str) -> str | None:
    """Return the value of a preference in the current request; None if it is not stated.

    `name` is in small letters. One without a value has the empty text (RFC 7240, section 2).
    """
    for stated in parse_list_header(request.headers.get("Prefer", "")):
        token, _, value = stated.partition(";")[0].partition("=")
        if token.strip().lower() == name:
            return unquote_header_value(value.strip())
    return None
