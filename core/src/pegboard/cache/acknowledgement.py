"""Acknowledging a write no sooner than is safe, and holding no connection meanwhile."""

import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction

_OWED = "pegboard_owed"


@dataclass
class _Owed:
    """What a session owes whoever told it to commit; its connections know it, too."""

    connections: list[MutableMapping[Any, Any]] = field(default_factory=list)
    moment: float = 0.0
    is_committing: bool = False
    """Whether the session itself commits, until its transaction ends: else nobody waits for it."""

    @classmethod
    def of(cls, session: Session) -> "_Owed":
        owed: _Owed = session.info.setdefault(_OWED, cls())
        return owed


def acknowledge(moment: float, info: Mapping[Any, Any]) -> None:
    """Wait until a write may be acknowledged; a session first returns its connection.

    `info` is that of the connection which has committed.
    """
    owed: _Owed | None = info.get(_OWED)
    if owed is None or not owed.is_committing:
        _wait(moment)
    else:
        owed.moment = max(moment, owed.moment)


def _wait(moment: float) -> None:
    if (rest := moment - time.monotonic()) > 0:
        time.sleep(rest)


def _after_begin(session: Session, _: SessionTransaction, connection: Connection) -> None:
    owed = _Owed.of(session)
    connection.info[_OWED] = owed
    owed.connections.append(connection.info)


def _before_commit(session: Session) -> None:
    _Owed.of(session).is_committing = not session.in_nested_transaction()


def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is not None or _OWED not in session.info:
        return
    owed: _Owed = session.info.pop(_OWED)
    for info in owed.connections:
        if info.get(_OWED) is owed:
            del info[_OWED]
    _wait(owed.moment)


_SESSION_EVENTS: Mapping[str, Any] = {
    "after_begin": _after_begin,
    "before_commit": _before_commit,
    "after_transaction_end": _after_transaction_end,
}


def watch_sessions() -> None:
    """Let sessions wait after they have returned their connection, once for the process.

    Whoever else listens for the end of a transaction hears of it when it is acknowledged.
    """
    for name, function in _SESSION_EVENTS.items():
        if not event.contains(Session, name, function):
            event.listen(Session, name, function, insert=True)
