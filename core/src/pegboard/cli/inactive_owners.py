"""Naming the plugin that a table may belong to though the plugin is not active."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from pegboard.migrations import MigrationError, ReferringTableError
from pegboard.plugins import Candidate, get_registry, installed_plugins


@contextmanager
def name_inactive_owners() -> Iterator[None]:
    """Advise to remove a plugin's data, not to drop its table, where a table of it is in the way.

    Which tables a plugin has that is not active is not known, as it is not imported; the files of
    its package are searched for the name of the table.
    """
    try:
        yield
    except ReferringTableError as error:
        active = {plugin.name for plugin in get_registry().plugins}
        inactive = [one for one in installed_plugins() if one.name not in active]
        if error.owner is not None or not inactive:
            raise
        owners = [one for one in inactive if _mentions(one, error.table.name)]
        names = ", ".join(sorted({one.name for one in owners or inactive}))
        which = "is of" if len(owners) == 1 else "may be of one of these:"
        hint = (
            f"the table {which} {names}, installed and not active: drop nothing of an installed "
            "plugin by hand; run pegboard plugins remove with its name first, or activate it "
            "(PEGBOARD_PLUGINS, PEGBOARD_PLUGINS_DISABLED) and downgrade it"
        )
        message = f"{error.summary}; {hint}"
        raise MigrationError(message) from error


def _mentions(plugin: Candidate, table: str) -> bool:
    """Return whether a file of the plugin's package has the table's name as a text."""
    try:
        spec = find_spec(plugin.package)
    except (ImportError, ValueError):
        return False
    texts = (f'"{table}"', f"'{table}'")
    files = [
        path
        for folder in (spec and spec.submodule_search_locations) or ()
        for path in Path(folder).rglob("*.py")
    ]
    if spec and spec.origin and not spec.submodule_search_locations:
        files.append(Path(spec.origin))
    for path in files:
        try:
            source = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if any(text in source for text in texts):
            return True
    return False
