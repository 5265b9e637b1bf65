"""An item's life, watched in the sessions of SQLAlchemy and told to the plugins that listen."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import pluggy
from flask import Flask, current_app, has_app_context
from marshmallow import ValidationError
from sqlalchemy import event, inspect
from sqlalchemy.orm import Session, SessionTransaction

import pegboard
from pegboard_items.models import Item, table

logger = logging.getLogger(__name__)

_EXTENSION = "pegboard_items"


class Kind(StrEnum):
    """What happens to an item."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True)
class Change:
    """One item, and what happens to it."""

    kind: Kind
    item: Item


@dataclass(frozen=True)
class Listeners:
    """The plugins of one app that implement the hooks of this one."""

    hook: pluggy.HookRelay

    @property
    def await_commits(self) -> bool:
        """Whether anybody wants to know what was committed."""
        return bool(self.hook.pegboard_items_after_commit.get_hookimpls())

    def before_write(self, change: Change) -> None:
        """Ask all; one that refuses ends the request."""
        try:
            self.hook.pegboard_items_before_write(change=change)
        except ValidationError as error:
            errors = error.normalized_messages()  # type: ignore[no-untyped-call]  # it has none
            pegboard.abort(422, "The item was refused.", errors=errors)

    def after_commit(self, changes: Sequence[Change]) -> None:
        """Tell all, whatever happens to one of them."""
        # Not through the relay: it would stop at the first error.
        for listener in reversed(self.hook.pegboard_items_after_commit.get_hookimpls()):
            try:
                # A session of its own: that of the write has just ended, and is not its business.
                with current_app.app_context():
                    listener.function(*([changes] if listener.argnames else []))
            except Exception:
                logger.exception("plugin %s failed after a commit", listener.plugin_name)


def init_events(app: Flask) -> None:
    """Watch the sessions of the app if any of its plugins listens."""
    hook = pegboard.get_registry(app).hook
    listeners = Listeners(hook)
    if not hook.pegboard_items_before_write.get_hookimpls() and not listeners.await_commits:
        return
    app.extensions[_EXTENSION] = listeners
    # One watch for all apps of the process; whose session it is, is asked at each event.
    for name, function in _WATCH.items():
        if not event.contains(Session, name, function):
            event.listen(Session, name, function)


def get_listeners() -> Listeners | None:
    """Return who listens in the current app, if anyone does."""
    if not has_app_context():
        return None
    return cast("Listeners | None", current_app.extensions.get(_EXTENSION))


_Journal = dict[SessionTransaction, list[Change]]


@dataclass(frozen=True)
class _Log:
    """What happened in the open transactions of one session."""

    changes: _Journal
    committed: set[SessionTransaction]

    @classmethod
    def of(cls, session: Session) -> "_Log":
        log: _Log = session.info.setdefault(_EXTENSION, cls({}, set()))
        return log


def _before_flush(session: Session, *_: Any) -> None:
    if not (listeners := get_listeners()):
        return
    asked: set[int] = set()
    # A listener may write items, which are asked about in turn.
    while new := [change for change in _pending(session) if id(change.item) not in asked]:
        for change in new:
            asked.add(id(change.item))
            change.item.to_dict()  # loads what is not: after the flush is no time for queries
            listeners.before_write(change)


def _after_flush(session: Session, _: object) -> None:
    listeners = get_listeners()
    if listeners and listeners.await_commits:
        written = [Change(change.kind, _copy(change.item)) for change in _pending(session)]
        if written:
            _Log.of(session).changes.setdefault(_innermost(session), []).extend(written)


def _after_commit(session: Session) -> None:
    # Also for a savepoint, whose changes are the outer transaction's from now on.
    if _EXTENSION in session.info:
        _Log.of(session).committed.add(_innermost(session))


def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    if _EXTENSION not in session.info:
        return
    log = _Log.of(session)
    changes = log.changes.pop(transaction, [])
    is_committed = transaction in log.committed
    log.committed.discard(transaction)
    if not is_committed or not changes:
        return
    if transaction.parent is not None:
        log.changes.setdefault(transaction.parent, []).extend(changes)
    elif listeners := get_listeners():
        listeners.after_commit(tuple(changes))


_WATCH: dict[str, Callable[..., None]] = {
    "before_flush": _before_flush,
    "after_flush": _after_flush,
    "after_commit": _after_commit,
    "after_transaction_end": _after_transaction_end,
}


def _pending(session: Session) -> Iterator[Change]:
    """Find what a flush writes; the same before it and right after it."""
    kinds = (
        (Kind.CREATED, session.new),
        (Kind.UPDATED, session.dirty),
        (Kind.DELETED, session.deleted),
    )
    for kind, objects in kinds:
        for item in objects:
            if isinstance(item, Item) and (kind != Kind.UPDATED or session.is_modified(item)):
                yield Change(kind, item)


def _innermost(session: Session) -> SessionTransaction:
    """Return the savepoint that the session is in, else its transaction."""
    return cast("SessionTransaction", session.get_nested_transaction() or session.get_transaction())


def _copy(item: Item) -> Item:
    """Return the item as it is, out of reach of sessions."""
    values = inspect(item).dict
    return Item(**{column.key: values.get(column.key) for column in table.columns})
