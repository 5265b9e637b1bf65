"""Watching SQLAlchemy sessions: what a flush or a statement on a model writes, and what is kept.

The listeners to sessions are global to the process; each looks up the listeners of the current app.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, cast

from flask import Flask
from sqlalchemy import CursorResult, Result, event, inspect
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction

from pegboard.changes.declaration import Change, Kind
from pegboard.changes.listeners import EXTENSION, Audience, Listeners, Registered, get_listeners
from pegboard.changes.rows import Values
from pegboard.changes.writes import delete_orphans, writes
from pegboard.database import db, ignores

_FLUSH = "pegboard_changes_flush"

MAX_ROUNDS = 100
"""How often in one flush the rows that listeners write may make listeners write rows."""


@dataclass
class _Flush:
    """What is known about the rows of a flush, from its beginning to its end."""

    listeners: Listeners
    seen: dict[tuple[int, Kind], Any] = field(default_factory=dict)
    """The rows by their identity, which thus stays theirs."""
    known: dict[int, Values] = field(default_factory=lambda: defaultdict(dict))
    """Old values that the session does not know, by the identity of the row."""
    computed: dict[int, Values] = field(default_factory=dict)
    """Old values of what the database will compute, by the identity of the row."""
    changes: list[Change] = field(default_factory=list)

    def change(self, kind: Kind, row: Any, audience: Audience) -> Change:
        """Return the change of a row, which is not flushed or has just been."""
        if kind is Kind.CREATED:
            return Change(kind, type(row), row)
        earlier = self.computed.get(id(row), {}) | self.known[id(row)]
        old = audience.rows.old_values(row, earlier)
        return Change(kind, type(row), row, MappingProxyType(old))


@dataclass(frozen=True)
class _Pending:
    """The changes in the open transactions of one session."""

    by_transaction: dict[SessionTransaction, list[Change]]
    committed: set[SessionTransaction]

    @classmethod
    def of(cls, session: Session) -> "_Pending":
        pending: _Pending = session.info.setdefault(EXTENSION, cls({}, set()))
        return pending

    @classmethod
    def add(cls, session: Session, changes: Sequence[Change]) -> None:
        """Keep changes until the innermost transaction ends."""
        if changes:
            found = cls.of(session).by_transaction
            found.setdefault(_innermost(session), []).extend(changes)


def init_listeners(app: Flask, registered: Sequence[Registered]) -> None:
    """Give the app its listeners, and watch sessions if there are any."""
    if not registered:
        return
    app.extensions[EXTENSION] = Listeners(registered)
    for name, function in _SESSION_EVENTS.items():
        if not event.contains(Session, name, function):
            event.listen(Session, name, function)


def _before_flush(session: Session, *_: Any) -> None:
    listeners = get_listeners()
    if listeners is None:
        return
    flush = session.info[_FLUSH] = _Flush(listeners)
    new: list[tuple[Kind, Any, Audience]] = []
    for _round in range(MAX_ROUNDS):
        delete_orphans(session, listeners)
        new = [
            (kind, row, audience)
            for kind, row, audience in writes(session, listeners)
            if (id(row), kind) not in flush.seen
        ]
        if not new:
            if flush.seen:
                _note_old_values(session, flush)
            return
        for kind, row, audience in new:
            flush.seen[id(row), kind] = row
            if kind is not Kind.CREATED:
                audience.rows.load(session, row, flush.known[id(row)])
            if audience.before_write:
                change = flush.change(kind, row, audience)
                with _current(session):
                    listeners.before_write(audience.before_write, change)
    plugins = sorted({one.plugin for _, _, audience in new for one in audience.before_write})
    message = (
        f"before_write of {', '.join(plugins)} writes rows for the rows that it writes, without "
        f"end: {MAX_ROUNDS} times in one flush, last for {type(new[-1][1]).__name__}"
    )
    raise RecursionError(message)


def _note_old_values(session: Session, flush: _Flush) -> None:
    """Note what the session will not know after the flush, listeners having changed rows, too."""
    for kind, row, audience in writes(session, flush.listeners):
        if kind is Kind.UPDATED:
            audience.rows.load(session, row, flush.known[id(row)])
            if computed := audience.rows.computed(row):
                flush.computed[id(row)] = computed


def _after_flush(session: Session, _: object) -> None:
    # The session still knows what it has written, and the old values; rows may not be loaded.
    flush: _Flush | None = session.info.get(_FLUSH)
    if flush is not None:
        flush.changes = [
            flush.change(kind, row, audience)
            for kind, row, audience in writes(session, flush.listeners, flush.computed)
            if audience.written or audience.after_commit
        ]


def _after_flush_postexec(session: Session, _: object) -> None:
    # The rows are as they would be after the flush, which an exception still undoes.
    flush: _Flush | None = session.info.pop(_FLUSH, None)
    if flush is None or not flush.changes:
        return
    changes = _in_order(flush.changes)
    copies = []
    for change in changes:
        audience = cast("Audience", flush.listeners.audience(change.model))
        if audience.after_commit:
            if change.kind is not Kind.DELETED:
                audience.rows.load_missing(change.row)
            copies.append(replace(change, row=audience.rows.copy(change.row)))
    _Pending.add(session, copies)
    with _current(session):
        flush.listeners.written(changes)


def _is_untold(model: type[Any] | None) -> bool:
    """Return whether nobody is told of a statement on a model; None for one that only reads."""
    listeners = get_listeners()
    audience = model and listeners and listeners.audience_of_many(model)
    return not audience or not audience.is_told


@ignores(_is_untold)
def _do_orm_execute(execution: ORMExecuteState) -> Result[Any] | None:
    is_dml = execution.is_update or execution.is_delete or execution.is_insert
    if not is_dml or not execution.is_orm_statement or execution.bind_mapper is None:
        return None
    listeners = get_listeners()
    model = execution.bind_mapper.class_
    audience = listeners and listeners.audience_of_many(model)
    if not listeners or not audience or not audience.is_told:
        return None
    change = Change(Kind.MANY, model, None)
    with _current(execution.session):
        listeners.before_write(audience.before_write, change)
    if not audience.written:
        result = execution.invoke_statement()
        is_told = audience.after_commit and not _is_known_empty(execution, result)
        _Pending.add(execution.session, [change] if is_told else [])
        return result
    # Without a savepoint, the caller could commit what a listener has refused.
    with execution.session.begin_nested():
        result = execution.invoke_statement()
        is_empty = _is_known_empty(execution, result)
        if not isinstance(result, CursorResult):
            # It has rows, of RETURNING, and SQLite ends no savepoint while they are being read.
            frozen = result.freeze()
            is_empty |= bool(frozen.metadata.keys) and not frozen.data
            result = frozen()
        if is_empty:
            return result
        _Pending.add(execution.session, [change] if audience.after_commit else [])
        with _current(execution.session):
            listeners.written([change])
    return result


def _is_known_empty(execution: ORMExecuteState, result: Result[Any]) -> bool:
    # Of an update by primary keys SQLAlchemy gives no row count; it refuses one of no row.
    has_no_rows = execution.is_update and execution.parameters == []
    return has_no_rows or getattr(result, "rowcount", -1) == 0  # -1 is unknown


def _after_commit(session: Session) -> None:
    # Also called for a savepoint, whose changes then belong to the outer transaction.
    if EXTENSION in session.info:
        _Pending.of(session).committed.add(_innermost(session))


def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(_FLUSH, None)  # of a flush that has failed
    if EXTENSION not in session.info:
        return
    pending = _Pending.of(session)
    changes = pending.by_transaction.pop(transaction, [])
    is_committed = transaction in pending.committed
    pending.committed.discard(transaction)
    if not is_committed or not changes:
        return
    if transaction.parent is not None:
        pending.by_transaction.setdefault(transaction.parent, []).extend(changes)
    elif listeners := get_listeners():
        listeners.after_commit(changes)


_SESSION_EVENTS: dict[str, Callable[..., Any]] = {
    "before_flush": _before_flush,
    "after_flush": _after_flush,
    "after_flush_postexec": _after_flush_postexec,
    "do_orm_execute": _do_orm_execute,
    "after_commit": _after_commit,
    "after_transaction_end": _after_transaction_end,
}


@contextmanager
def _current(session: Session) -> Iterator[None]:
    """Let `pegboard.db.session` be the session that writes, so that listeners write to it."""
    registry: Any = db.session.registry
    other = registry() if registry.has() else None
    registry.set(session)
    try:
        yield
    finally:
        if other is None:
            registry.clear()
        else:
            registry.set(other)


def _in_order(changes: list[Change]) -> list[Change]:
    """Put a deleted row before the one that takes its id in the same flush."""
    created = {inspect(one.row).key for one in changes if one.kind is Kind.CREATED}
    replaced = [
        one for one in changes if one.kind is Kind.DELETED and inspect(one.row).key in created
    ]
    return [*replaced, *(one for one in changes if one not in replaced)] if replaced else changes


def _innermost(session: Session) -> SessionTransaction:
    """Return the innermost savepoint of the session, else its transaction."""
    return cast("SessionTransaction", session.get_nested_transaction() or session.get_transaction())
