"""Calls the hooks of items for what SQLAlchemy sessions write and commit."""

import logging
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import pluggy
from flask import Flask, current_app, has_app_context
from marshmallow import ValidationError
from sqlalchemy import event, insert, inspect, select
from sqlalchemy.orm import Session, SessionTransaction

import pegboard
from pegboard_items.models import Item, table

logger = logging.getLogger(__name__)

_EXTENSION = "pegboard_items"


class Kind(StrEnum):
    """What a write does to an item."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True)
class Change:
    """One item, and what a write does to it."""

    kind: Kind
    item: Item


@dataclass(frozen=True)
class Listeners:
    """The hooks of items as the plugins of one app implement them."""

    hook: pluggy.HookRelay

    @property
    def has_after_commit(self) -> bool:
        """Whether any plugin implements `pegboard_items_after_commit`."""
        return bool(self.hook.pegboard_items_after_commit.get_hookimpls())

    def before_write(self, change: Change) -> None:
        """Call `pegboard_items_before_write`; a `ValidationError` becomes 422."""
        try:
            self.hook.pegboard_items_before_write(change=change)
        except ValidationError as error:
            errors = error.normalized_messages()  # type: ignore[no-untyped-call]  # it has none
            pegboard.abort(422, "The item was refused.", errors=errors)

    def after_commit(self, changes: Sequence[Change]) -> None:
        """Call `pegboard_items_after_commit` of every plugin; log errors."""
        # Not through the relay, which would stop at the first error.
        for listener in reversed(self.hook.pegboard_items_after_commit.get_hookimpls()):
            try:
                # With a session of its own, as that of the write has just ended.
                with current_app.app_context():
                    listener.function(*([changes] if listener.argnames else []))
            except Exception:
                logger.exception("plugin %s failed after a commit", listener.plugin_name)


class ItemInserter:
    """Inserts many items, and calls the hooks of items for them.

    To keep memory small, only the ids are kept, and only if a plugin is told after the commit.
    """

    def __init__(self, _model: object) -> None:
        self._listeners = get_listeners()
        self._ids = array("q")
        self._sizes: list[int] = []

    def prepare(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values of an item after `pegboard_items_before_write`."""
        if not self._listeners:
            return values
        item = Item(**values)
        self._listeners.before_write(Change(Kind.CREATED, item))
        return {name: getattr(item, name) for name in values}

    def execute(self, batch: Sequence[dict[str, Any]]) -> None:
        """Insert items."""
        if self._listeners and self._listeners.has_after_commit:
            statement = insert(table).returning(table.columns.id)
            self._ids.extend(pegboard.db.session.scalars(statement, batch))
            self._sizes.append(len(batch))
        else:
            pegboard.db.session.execute(insert(table), batch)

    def announce(self) -> None:
        """Call `pegboard_items_after_commit` for each batch."""
        start = 0
        for size in self._sizes:
            ids = self._ids[start : start + size]
            start += size
            query = select(table).where(table.columns.id.in_(ids)).order_by(table.columns.id)
            rows = pegboard.db.session.execute(query).mappings()
            changes = tuple(Change(Kind.CREATED, Item(**row)) for row in rows)
            pegboard.db.session.rollback()
            if self._listeners:
                self._listeners.after_commit(changes)


def init_events(app: Flask) -> None:
    """Listen to sessions if any plugin of the app implements a hook of items."""
    hook = pegboard.get_registry(app).hook
    listeners = Listeners(hook)
    if not hook.pegboard_items_before_write.get_hookimpls() and not listeners.has_after_commit:
        return
    app.extensions[_EXTENSION] = listeners
    # Listeners are global to the process; each event looks up the listeners of the current app.
    for name, function in _SESSION_EVENTS.items():
        if not event.contains(Session, name, function):
            event.listen(Session, name, function)


def get_listeners() -> Listeners | None:
    """Return the listeners of the current app; None without an app or without any."""
    if not has_app_context():
        return None
    return cast("Listeners | None", current_app.extensions.get(_EXTENSION))


@dataclass(frozen=True)
class _Changes:
    """The changes in the open transactions of one session."""

    by_transaction: dict[SessionTransaction, list[Change]]
    committed: set[SessionTransaction]

    @classmethod
    def of(cls, session: Session) -> "_Changes":
        changes: _Changes = session.info.setdefault(_EXTENSION, cls({}, set()))
        return changes


def _before_flush(session: Session, *_: Any) -> None:
    if not (listeners := get_listeners()):
        return
    seen: set[int] = set()
    # A listener may write more items, for which the hook is called in turn.
    while new := [change for change in _written(session) if id(change.item) not in seen]:
        for change in new:
            seen.add(id(change.item))
            change.item.to_dict()  # loads all columns, as after the flush no query may be sent
            listeners.before_write(change)


def _after_flush(session: Session, _: object) -> None:
    listeners = get_listeners()
    if listeners and listeners.has_after_commit:
        written = [Change(change.kind, _copy(change.item)) for change in _written(session)]
        if written:
            _Changes.of(session).by_transaction.setdefault(_innermost(session), []).extend(written)


def _after_commit(session: Session) -> None:
    # Also called for a savepoint, whose changes then belong to the outer transaction.
    if _EXTENSION in session.info:
        _Changes.of(session).committed.add(_innermost(session))


def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    if _EXTENSION not in session.info:
        return
    pending = _Changes.of(session)
    changes = pending.by_transaction.pop(transaction, [])
    is_committed = transaction in pending.committed
    pending.committed.discard(transaction)
    if not is_committed or not changes:
        return
    if transaction.parent is not None:
        pending.by_transaction.setdefault(transaction.parent, []).extend(changes)
    elif listeners := get_listeners():
        listeners.after_commit(tuple(changes))


_SESSION_EVENTS: dict[str, Callable[..., None]] = {
    "before_flush": _before_flush,
    "after_flush": _after_flush,
    "after_commit": _after_commit,
    "after_transaction_end": _after_transaction_end,
}


def _written(session: Session) -> Iterator[Change]:
    """Yield what a flush writes, when called before it or right after it."""
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
    """Return the innermost savepoint of the session, else its transaction."""
    return cast("SessionTransaction", session.get_nested_transaction() or session.get_transaction())


def _copy(item: Item) -> Item:
    """Return a copy of the item that belongs to no session."""
    values = inspect(item).dict
    return Item(**{column.key: values.get(column.key) for column in table.columns})
