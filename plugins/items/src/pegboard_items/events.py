"""The two hooks of items, called by a listener to the changes of items."""

from collections.abc import Sequence

from flask import Flask
from marshmallow import ValidationError

import pegboard
from pegboard import resources
from pegboard.resources import Kind, Listener
from pegboard_items import hookspecs
from pegboard_items.changes import Change
from pegboard_items.models import Item


def item_listeners(app: Flask) -> Sequence[Listener]:
    """Return what calls the hooks of items; nothing if no plugin of the app implements them."""
    relay = pegboard.get_registry(app).hook
    before = _before_write if relay.pegboard_items_before_write.get_hookimpls() else None
    after = _after_commit if relay.pegboard_items_after_commit.get_hookimpls() else None
    if before is None and after is None:
        return []
    return [Listener([Item], before_write=before, after_commit=after)]


def _before_write(change: resources.Change) -> None:
    """Call `pegboard_items_before_write`; a `ValidationError` becomes 422."""
    if change.kind is Kind.MANY:
        return
    try:
        pegboard.get_registry().hook.pegboard_items_before_write(
            change=Change(change.kind, change.row)
        )
    except ValidationError as error:
        errors = error.normalized_messages()  # type: ignore[no-untyped-call]  # it has none
        pegboard.abort(422, "The item was refused.", errors=errors)


def _after_commit(changes: Sequence[resources.Change]) -> None:
    """Call `pegboard_items_after_commit` of every plugin; errors are only logged."""
    items = tuple(Change(one.kind, one.row) for one in changes if one.kind is not Kind.MANY)
    if items:
        registry = pegboard.get_registry()
        registry.call_each(hookspecs.pegboard_items_after_commit, changes=items)
