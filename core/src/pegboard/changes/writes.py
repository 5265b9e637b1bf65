"""Which rows a flush writes, of those that a listener is told of."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Session

from pegboard.changes.declaration import Kind
from pegboard.changes.listeners import Audience, Listeners
from pegboard.changes.rows import Values, given_up, referring


def writes(
    session: Session, listeners: Listeners, computed: Mapping[int, Values] | None = None
) -> Iterator[tuple[Kind, Any, Audience]]:
    """Yield what a flush writes that concerns somebody.

    `computed` are the old values of what the database has computed, by the identity of the row;
    None before the flush.
    """
    for row in session.new:
        if (audience := listeners.audience(type(row))) and audience.is_told:
            yield Kind.CREATED, row, audience
    for row in session.dirty:
        if (audience := listeners.audience(type(row))) and audience.is_told:
            if computed is None:
                is_written = audience.rows.is_changed(row)
            else:  # the foreign keys that relationships stand for are set
                is_written = bool(audience.rows.changed(row)) or id(row) in computed
            if is_written:
                yield Kind.UPDATED, row, audience
    for row in session.deleted:
        if (audience := listeners.audience(type(row))) and audience.is_told:
            yield Kind.DELETED, row, audience
    if computed is None:
        yield from _referring(session, listeners)


def _referring(session: Session, listeners: Listeners) -> Iterator[tuple[Kind, Any, Audience]]:
    """Yield the unchanged rows of which a flush will set foreign keys, because of other rows."""
    found: dict[int, Any] = {}
    for row in (*session.new, *session.dirty, *session.deleted):
        if (parents := listeners.audience(type(row))) and parents.collections:
            is_deleted = row in session.deleted
            others = referring(row, parents.collections, is_deleted=is_deleted)
            found.update((id(one), one) for one in others)
    for row in found.values():
        audience = listeners.audience(type(row))
        is_unchanged = row in session and row not in session.new and row not in session.deleted
        if is_unchanged and audience and audience.is_told and not audience.rows.is_changed(row):
            yield Kind.UPDATED, row, audience


def delete_orphans(session: Session, listeners: Listeners) -> None:
    """Delete now what the flush would delete, so that it and its cascades are known before."""
    for row in session.dirty:
        if audience := listeners.audience(type(row)):
            for one in (row, *given_up(row, audience.collections)):
                found = listeners.audience(type(one))
                if found and inspect(one).persistent and found.rows.is_orphan(one):
                    session.delete(one)
