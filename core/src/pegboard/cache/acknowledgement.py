"""Acknowledging a write no sooner than is safe, and holding no connection meanwhile."""

import time
from collections.abc import Mapping, MutableMapping
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction

_SESSION = "pegboard_session"
_CONNECTIONS = "pegboard_connections"
_MOMENT = "pegboard_moment"


def acknowledge(moment: float, info: Mapping[Any, Any]) -> None:
    """Wait until a write may be acknowledged; a session first returns its connection.

    `info` is that of the connection which has committed.
    """
    session: Session | None = info.get(_SESSION)
    if session is None:
        _wait(moment)
    else:
        session.info[_MOMENT] = max(moment, session.info.get(_MOMENT, 0.0))


def _wait(moment: float) -> None:
    if (rest := moment - time.monotonic()) > 0:
        time.sleep(rest)


def _after_begin(session: Session, _: SessionTransaction, connection: Connection) -> None:
    info: MutableMapping[Any, Any] = connection.info
    info[_SESSION] = session
    session.info.setdefault(_CONNECTIONS, []).append(info)


def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is not None:
        return
    for info in session.info.pop(_CONNECTIONS, ()):
        if info.get(_SESSION) is session:
            del info[_SESSION]
    _wait(session.info.pop(_MOMENT, 0.0))


_SESSION_EVENTS: Mapping[str, Any] = {
    "after_begin": _after_begin,
    "after_transaction_end": _after_transaction_end,
}


def watch_sessions() -> None:
    """Let sessions wait after they have returned their connection, once for the process."""
    for name, function in _SESSION_EVENTS.items():
        if not event.contains(Session, name, function):
            event.listen(Session, name, function)
