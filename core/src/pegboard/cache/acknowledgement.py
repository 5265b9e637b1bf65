"""Acknowledging a write no sooner than is safe, and holding no connection meanwhile."""

import threading
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

_acknowledgement = threading.local()


def acknowledge(moment: float) -> None:
    """Wait until a write may be acknowledged; a session first returns its connection."""
    if getattr(_acknowledgement, "session", None) is not None:
        _acknowledgement.moment = max(moment, getattr(_acknowledgement, "moment", 0.0))
    else:
        _wait(moment)


def _wait(moment: float) -> None:
    if (rest := moment - time.monotonic()) > 0:
        time.sleep(rest)


def _before_commit(session: Session) -> None:
    if not session.in_nested_transaction():
        _acknowledgement.session = session


def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None and getattr(_acknowledgement, "session", None) is session:
        _acknowledgement.session = None
        moment, _acknowledgement.moment = getattr(_acknowledgement, "moment", 0.0), 0.0
        _wait(moment)


_SESSION_EVENTS: Mapping[str, Any] = {
    "before_commit": _before_commit,
    "after_transaction_end": _after_transaction_end,
}


def watch_sessions() -> None:
    """Let sessions wait after they have returned their connection, once for the process."""
    for name, function in _SESSION_EVENTS.items():
        if not event.contains(Session, name, function):
            event.listen(Session, name, function)
