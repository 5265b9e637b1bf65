"""The line of the log that each request gets."""

import logging
import random
from http import HTTPStatus

from pegboard.clients import Clients
from pegboard.logs.lines import RequestRecord
from pegboard.observation.contract import Observation, Observer

logger = logging.getLogger("pegboard.access")

_LONGEST_METHOD = 32
_LONGEST_PATH = 1000
_LONGEST_AGENT = 200
_FIRST_ERROR = HTTPStatus.INTERNAL_SERVER_ERROR.value


class AccessLog(Observer):
    """An observer that logs one line for each request."""

    def __init__(self, clients: Clients, share: float) -> None:
        """`share` of the requests, 0 to 1, get a line; answers from 500 on always have one."""
        self._clients = clients
        self._share = share

    def end(self, observation: Observation, /) -> None:
        """Log the line."""
        status = observation.status
        if self._share < 1 and status < _FIRST_ERROR and random.random() >= self._share:  # noqa: S311
            return
        environ, route = observation.environ, observation.route
        logger.handle(
            RequestRecord(
                logger.name,
                {
                    "method": _readable(environ["REQUEST_METHOD"], _LONGEST_METHOD),
                    "route": None if route is None else route.rule.rule,
                    "path": _readable(environ.get("PATH_INFO", ""), _LONGEST_PATH),
                    "status": status,
                    "bytes": observation.size,
                    "milliseconds": round(observation.seconds * 1000, 3),
                    "client": self._clients.address_of(environ),
                    "identity": self._clients.known_identity(environ),
                    "user_agent": _readable(environ.get("HTTP_USER_AGENT"), _LONGEST_AGENT),
                    "plugin": observation.plugin,
                    "cached": observation.is_cached,
                },
            )
        )


def _readable(text: str | None, longest: int) -> str | None:
    """Return a text of the WSGI environment, which is read as Latin-1, as the UTF-8 that it is."""
    if text is None:
        return None
    if not text.isascii():
        text = text.encode("latin-1").decode(errors="replace")
    return text if len(text) <= longest else f"{text[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"
