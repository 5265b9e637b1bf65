"""The hooks by which other plugins see items before and after a write.

They are called for every item that a SQLAlchemy session writes, in views, commands and other
plugins, and for imports; not for statements on many rows such as `update(Item)`. A plugin that also
works without items marks its implementations `@pegboard.hookimpl(optionalhook=True)`.
"""

from collections.abc import Sequence

import pegboard
from pegboard_items.changes import Change


@pegboard.hookspec
def pegboard_items_before_write(change: Change) -> None:
    """Look at an item that is about to be written, change it, or refuse it.

    Called inside the transaction, before the statement. An exception rolls the transaction back:
    `pegboard.abort(...)` answers the client, a marshmallow `ValidationError` becomes 422.

    Example::

        @pegboard.hookimpl
        def pegboard_items_before_write(change: Change) -> None:
            if change.kind == "deleted" and change.item.name == "Anvil":
                pegboard.abort(409, "The anvil stays.")
    """


@pegboard.hookspec
def pegboard_items_after_commit(changes: Sequence[Change]) -> None:
    """React to items that have been written and committed.

    Called once after each commit with all its changes in the order of the writes, never for what
    was rolled back; an import calls it once per batch. The items are copies that belong to no
    session; a deleted one holds its last values. `pegboard.db.session` is a new session. An
    exception is only logged, as the write has happened.

    Example::

        @pegboard.hookimpl
        def pegboard_items_after_commit(changes: Sequence[Change]) -> None:
            for change in changes:
                audit.info("%s %d", change.kind, change.item.id)
    """
