"""The two hooks of items, called by a listener to the changes of items."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import pluggy
from flask import Flask, current_app
from marshmallow import ValidationError

import pegboard
from pegboard import resources
from pegboard.resources import Kind, Listener
from pegboard_items.models import Item

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Change:
    """One item, and what a write does to it."""

    kind: Kind
    item: Item


def item_listeners(app: Flask) -> Sequence[Listener]:
    """Return what calls the hooks of items; nothing if no plugin of the app implements them."""
    hooks = _Hooks(pegboard.get_registry(app).hook)
    before = hooks.before_write if hooks.relay.pegboard_items_before_write.get_hookimpls() else None
    after = hooks.after_commit if hooks.relay.pegboard_items_after_commit.get_hookimpls() else None
    if before is None and after is None:
        return []
    return [Listener([Item], before_write=before, after_commit=after)]


@dataclass(frozen=True)
class _Hooks:
    """The hooks of items as the plugins of one app implement them."""

    relay: pluggy.HookRelay

    def before_write(self, change: resources.Change) -> None:
        """Call `pegboard_items_before_write`; a `ValidationError` becomes 422."""
        if change.kind is Kind.MANY:
            return
        try:
            self.relay.pegboard_items_before_write(change=Change(change.kind, change.row))
        except ValidationError as error:
            errors = error.normalized_messages()  # type: ignore[no-untyped-call]  # it has none
            pegboard.abort(422, "The item was refused.", errors=errors)

    def after_commit(self, changes: Sequence[resources.Change]) -> None:
        """Call `pegboard_items_after_commit` of every plugin; log errors."""
        items = tuple(Change(one.kind, one.row) for one in changes if one.kind is not Kind.MANY)
        if not items:
            return
        # Not through the relay, which would stop at the first error.
        for listener in reversed(self.relay.pegboard_items_after_commit.get_hookimpls()):
            try:
                with current_app.app_context():  # with a session of its own
                    listener.function(*([items] if listener.argnames else []))
            except Exception:
                logger.exception("plugin %s failed after a commit", listener.plugin_name)
