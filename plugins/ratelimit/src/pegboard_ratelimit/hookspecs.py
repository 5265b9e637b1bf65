"""The hook of ratelimit that other plugins can implement."""

from flask import Flask

import pegboard
from pegboard_ratelimit.counting import Storage


@pegboard.hookspec
def pegboard_ratelimit_storage(app: Flask) -> Storage | None:
    """Return the storage that counts requests instead of Redis or the process; None to decline.

    Called once, when the app is built. Only one plugin may return a storage.

    Example::

        @pegboard.hookimpl(optionalhook=True)
        def pegboard_ratelimit_storage(app: Flask) -> Storage:
            return TableStorage(app)
    """
