"""Holding back the end of a commit until its write may be acknowledged.

A commit that SQLAlchemy's session makes waits after the session has returned its connections to the
pool, so that waiting writers do not empty it. Any other commit waits where it is.
"""

import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction

_PENDING = "pegboard_pending"


@dataclass
class _Pending:
    """How long a session has to wait; also noted in the `info` of its connections."""

    connections: list[MutableMapping[Any, Any]] = field(default_factory=list)
    """The `info` of each connection."""
    moment: float = 0.0
    """When its write may be acknowledged, of `time.monotonic`."""
    is_committing: bool = False
    """Whether the session itself commits, and will wait when its transaction has ended."""

    @classmethod
    def of(cls, session: Session) -> "_Pending":
        pending: _Pending = session.info.setdefault(_PENDING, cls())
        return pending


def acknowledge(moment: float, info: Mapping[Any, Any]) -> None:
    """Wait until a write may be acknowledged; a session returns its connections first.

    `moment` is one of `time.monotonic`, `info` that of the connection which has committed.
    """
    pending: _Pending | None = info.get(_PENDING)
    if pending is None or not pending.is_committing:
        wait_until(moment)
    else:
        pending.moment = max(moment, pending.moment)


def wait_until(moment: float) -> None:
    """Sleep until a moment of `time.monotonic`, if it is not past."""
    if (rest := moment - time.monotonic()) > 0:
        time.sleep(rest)


def _after_begin(session: Session, _: SessionTransaction, connection: Connection) -> None:
    pending = _Pending.of(session)
    connection.info[_PENDING] = pending
    pending.connections.append(connection.info)


def _before_commit(session: Session) -> None:
    _Pending.of(session).is_committing = not session.in_nested_transaction()


def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is not None or _PENDING not in session.info:
        return
    pending: _Pending = session.info.pop(_PENDING)
    for info in pending.connections:
        if info.get(_PENDING) is pending:
            del info[_PENDING]
    wait_until(pending.moment)


_SESSION_EVENTS: Mapping[str, Any] = {
    "after_begin": _after_begin,
    "before_commit": _before_commit,
    "after_transaction_end": _after_transaction_end,
}


def watch_sessions() -> None:
    """Let all sessions wait after they have returned their connections; once for the process.

    Other listeners to `after_transaction_end` are called when the write is acknowledged.
    """
    for name, function in _SESSION_EVENTS.items():
        if not event.contains(Session, name, function):
            event.listen(Session, name, function, insert=True)
