"""Error messages of libraries without what the URL of a server says.

A password with a special character that is not percent-encoded may be taken for a host, a port or
another part of the URL, and the libraries quote these.
"""

import re
import ssl
from collections.abc import Iterable

_PLACE = re.compile(r"\bconnection to server (?:at|on) .*?(?<!\S)failed: ", re.DOTALL)
_QUOTED = re.compile(r"\"[^\"]*\"|«[^»]*»|„[^“”]*[“”]|“[^”]*”|'[^'\s]*'|`[^'\s]*'")
_LINK = re.compile(r"\(Background on this error at: [^)]*\)")
"""Where SQLAlchemy explains an error: of nothing that is wrong with the service."""
_HIDDEN = '"…"'


def redact(message: str, values: Iterable[object] = ()) -> str:
    """Return the message without the server's place, quoted texts and the values."""
    message = _QUOTED.sub(_HIDDEN, _PLACE.sub("", message))
    for value in sorted({str(value) for value in values if value}, key=len, reverse=True):
        message = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", message)
    return " ".join(message.split())


def reason_of(error: object) -> str:
    """Return the text of an error in one line, or the name of its type if it has none.

    Of an error of SQLAlchemy it is what the driver says, if it said something; that of a TLS
    handshake is without the names that it quotes.
    """
    cause = getattr(error, "orig", None) or error
    try:
        text = redact(str(cause)) if isinstance(cause, ssl.SSLError) else str(cause)
    except Exception as other:  # noqa: BLE001 - an error of a plugin may fail to be told, too
        return f"its text cannot be had, {type(other).__name__}"
    return " ".join(_LINK.sub("", text).split()) or type(cause).__name__
