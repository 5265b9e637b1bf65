"""Lists that are cached whole: which requests they are for, and their validator."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from flask import Response

from pegboard.cache import Collection, cached_list, declare_collection
from pegboard.resources.formats import Format
from pegboard.resources.listing import PAGINATION

_FILES = tuple(form.media_type for form in Format)


def cached_by(
    collection: Collection | None, ttl: int | None, settings: Callable[[], str], view: Any
) -> Any:
    """Return the view of a list, which lets totals be cached, and itself if it has a `ttl`."""
    if collection is None:
        return view
    declare_collection(view, collection)
    if ttl is None:
        return view
    decorate = cached_list(collection, ttl=ttl, ignores_headers=ignores_headers, settings=settings)
    return decorate(view)


def ignores_headers(environ: Mapping[str, Any]) -> bool:
    """Return whether the answer to a request depends on no header, which could ask for a file.

    `environ` is the WSGI environment.
    """
    if "HTTP_PREFER" in environ:
        return False
    # Only a media type that is named asks for a file: a wildcard does not.
    accepted: str = environ.get("HTTP_ACCEPT", "")
    return not accepted or not any(media in accepted.lower() for media in _FILES)


def tag_list(response: Response) -> None:
    """Give a list a strong `ETag`, which also changes with its total and its links."""
    digest = hashlib.blake2b(response.get_data(), digest_size=16)
    for name in (PAGINATION, "Link"):
        digest.update(f"\n{response.headers.get(name, '')}".encode())
    response.set_etag(digest.hexdigest())
