"""The hooks of this plugin, for plugins that take part in an item's life.

They fire for every item that a session of SQLAlchemy writes, whoever does it, and for imports.
Statements on many rows that a program sends by itself (`update(Item)`) pass them by. A plugin that
must also work without this one marks its implementation `@pegboard.hookimpl(optionalhook=True)`.
"""

from collections.abc import Sequence

import pegboard
from pegboard_items.events import Change


@pegboard.hookspec
def pegboard_items_before_write(change: Change) -> None:
    """Look at an item that is about to be written, change it, or refuse.

    Called inside the transaction, before the statement. What it raises undoes the transaction:
    `pegboard.abort(...)` answers the client, a marshmallow `ValidationError` becomes 422.

    Example::

        @pegboard.hookimpl
        def pegboard_items_before_write(change: Change) -> None:
            if change.kind == "deleted" and change.item.name == "Anvil":
                pegboard.abort(409, "The anvil stays.")
    """


@pegboard.hookspec
def pegboard_items_after_commit(changes: Sequence[Change]) -> None:
    """Take note of items that have been written for good.

    Called once after each commit, in the order of the writes; never for what was rolled back. An
    import calls it for one batch after the other. The items are copies that belong to no session:
    they hold what was written, a deleted one what it held last. `pegboard.db.session` is a new one
    that no transaction has begun in. An error is logged, nothing more, for the write has happened.

    Example::

        @pegboard.hookimpl
        def pegboard_items_after_commit(changes: Sequence[Change]) -> None:
            for change in changes:
                audit.info("%s %d", change.kind, change.item.id)
    """
