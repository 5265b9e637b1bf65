"""Error messages of libraries without what the URL of a server says.

A password with a special character that is not percent-encoded may be taken for a host, a port or
another part of the URL, and the libraries quote these.
"""

import re
import ssl
from collections.abc import Iterable

_PLACE = re.compile(r"\bconnection to server (?:at|on) .*?(?<!\S)failed: ", re.DOTALL)
_QUOTED = re.compile(r"\"[^\"]*\"|«[^»]*»|„[^“”]*[“”]|“[^”]*”|'[^'\s]*'|`[^'\s]*'")
_HIDDEN = '"…"'


def redact(message: str, values: Iterable[object] = ()) -> str:
    """Return the message without the server's place, quoted texts and the values."""
    message = _QUOTED.sub(_HIDDEN, _PLACE.sub("", message))
    for value in sorted({str(value) for value in values if value}, key=len, reverse=True):
        message = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", message)
    return " ".join(message.split())


def reason_of(error: object) -> str:
    """Return the text of an error; that of a TLS handshake without the names that it quotes."""
    return redact(str(error)) if isinstance(error, ssl.SSLError) else str(error)
