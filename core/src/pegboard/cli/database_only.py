"""Building the app for a command that needs its database alone, and not what serving takes."""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pegboard.settings import configure, with_options


@contextmanager
def database_only() -> Iterator[None]:
    """Let the app be built without the service's secrets, and without Redis if that is not known.

    Production refuses to serve without a good key. But who migrates need not know the secrets, and
    is often another user, who cannot read their files.
    """
    needless = {
        "SECRET_KEY": secrets.token_urlsafe(32),
        "SECRET_KEY_FALLBACKS": "",
        "TLS_KEY_PASSWORD": "",
    }
    if _is_unreadable("REDIS_URL"):
        needless["REDIS_URL"] = ""
    with ExitStack() as stack:
        stack.enter_context(with_options(needless))
        if not configure().core.redis_url:
            # Writes invalidate cached answers all the same, by the database.
            without = {"SESSIONS": "cookie", "CACHE": "none", "READY_REQUIRES": ""}
            stack.enter_context(with_options(without))
        yield


def _is_unreadable(variable: str) -> bool:
    file = os.environ.get(f"{variable}_FILE")
    if not file or os.environ.get(variable):
        return False
    return Path(file).is_dir() or not os.access(file, os.R_OK)  # Docker makes folders of no files
