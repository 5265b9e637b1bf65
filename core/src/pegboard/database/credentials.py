"""User and password of a database whose URL is in a file, which may be replaced meanwhile."""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy.engine import URL

logger = logging.getLogger(__name__)

_LOGIN = ("user", "password")


class Credentials:
    """The user and the password of a URL, read again from its file when they are refused.

    The server tells an unusable password only by a text in its own language, so the file is read
    whenever it refuses a connection. Until the file's are accepted, those in use stay.
    """

    def __init__(self, url: URL, read: Callable[[], URL | None]) -> None:
        """`read` returns the URL that is in the file now; None if there is none."""
        self._read = read
        self._first, self._rest = _split(url)
        self._in_use = self._first
        self._lock = threading.Lock()
        self._has_warned = False

    def apply(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the driver's arguments with what is in use in place of what the URL had."""
        given = {name: arguments.get(name) for name in _LOGIN}
        # Arguments of the engine's own win over the URL.
        return {**arguments, **self._in_use} if given == self._first else {**arguments}

    def newer(self) -> dict[str, Any] | None:
        """Return what the file has, if that is not in use; None otherwise."""
        url = None
        with suppress(OSError, ValueError):
            url = self._read()
        if url is None:
            return None
        login, rest = _split(url)
        if rest == self._rest:
            return None if login == self._in_use else login
        with self._lock:
            is_news, self._has_warned = not self._has_warned, True
        if is_news:
            logger.warning(
                "the file of DATABASE_URL has another database by now, not only another password: "
                "restart the service to use it"
            )
        return None

    def use(self, login: dict[str, Any]) -> None:
        """Use these from now on, as the server has accepted them."""
        with self._lock:
            is_news, self._in_use = login != self._in_use, login
        if is_news:
            logger.warning("the password of the database was replaced, as in its file")


def _split(url: URL) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return user and password as the driver takes them, and all other arguments."""
    _, arguments = url.get_dialect()().create_connect_args(url)
    rest = {name: value for name, value in arguments.items() if name not in _LOGIN}
    return {name: arguments.get(name) for name in _LOGIN}, rest
