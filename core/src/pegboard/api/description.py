"""What an OpenAPI document says about the service as a whole."""

import re
from typing import Any

_CONVENTIONS = """\
Bodies are JSON in UTF-8; unknown fields are refused.

A time without an offset, such as `2024-01-01T00:00:00`, is in UTC. JavaScript takes it for local
time: append `Z` before it is read, as in `new Date(time + "Z")`.

Every answer has an `X-Request-ID`, which the log of the service has as well. Every error is JSON:
`message` says what went wrong, `status` repeats the HTTP status, and `errors`, where there are any,
lists texts by field. After 429 and 503 wait the seconds of `Retry-After`.

Where an answer has an `ETag`, `If-None-Match` saves the body of one that has not changed, and
`If-Match` keeps two clients from overwriting each other's changes.
"""


def describe_service(
    document: dict[str, Any], *, description: str, license_text: str, contact: str
) -> None:
    """Add description, license, contact and security to an OpenAPI document.

    The texts are those of the settings, and may be empty.
    """
    info: dict[str, Any] = document["info"]
    info["description"] = "\n\n".join(filter(None, (description, _CONVENTIONS)))
    if license_text:
        info["license"] = _license(license_text)
    info["contact"] = _contact(contact)
    # No call demands a credential, until a plugin says so.
    document["security"] = []


def _license(text: str) -> dict[str, str]:
    name, _, url = text.partition(" http")
    if url:
        return {"name": name, "url": f"http{url}"}
    if re.fullmatch(r"[A-Za-z0-9.+-]+", name):
        return {"name": name, "url": f"https://spdx.org/licenses/{name}.html"}
    return {"name": name}


def _contact(text: str) -> dict[str, str]:
    """Return the contact for a name, an e-mail address or a URL."""
    if not text:
        return {"name": "The operator of this service"}
    if re.fullmatch(r"\S+@\S+", text):
        return {"email": text}
    return {"url" if text.startswith(("http://", "https://")) else "name": text}


def drop_unused_schemas(document: dict[str, Any]) -> None:
    """Remove the schemas to which nothing refers, such as those that a library always adds."""
    schemas = document["components"]["schemas"]
    while unused := schemas.keys() - set(_references(document)) - {"Error"}:
        for name in unused:
            del schemas[name]


def _references(part: Any) -> list[str]:
    """Return the names of the schemas that a part of a document refers to."""
    if isinstance(part, list):
        return [name for one in part for name in _references(one)]
    if not isinstance(part, dict):
        return []
    found = [name for value in part.values() for name in _references(value)]
    reference = part.get("$ref")
    if isinstance(reference, str):
        found.append(reference.removeprefix("#/components/schemas/"))
    return found
