"""`pegboard cache`: print the statistics of the cache, and clear it."""

import click
from flask import current_app
from flask.cli import with_appcontext

from pegboard.cache import (
    MemoryStrategy,
    UnconfirmedError,
    find_collections,
    find_lookups,
    get_cache,
)
from pegboard.redaction import reason_of


@click.group()
def cache() -> None:
    """Inspect and clear the cache."""


@cache.command()
@with_appcontext
def stats() -> None:
    """Print the active cache strategy and its statistics."""
    strategy = get_cache().strategy
    rows = {"strategy": strategy.name, **strategy.stats()}
    width = max(map(len, rows))
    for name, value in rows.items():
        click.echo(f"{name.ljust(width)}  {value}")


@cache.command()
@click.argument("group", required=False)
@with_appcontext
def clear(group: str | None) -> None:
    """Clear all cached answers and totals, or those of GROUP, the name of a table."""
    groups = _groups()
    if group is not None and group not in groups:
        known = ", ".join(sorted(groups)) or "none"
        message = f"no view caches answers of {group!r}; the groups: {known}."
        raise click.ClickException(message)
    strategy = get_cache().strategy
    if isinstance(strategy, MemoryStrategy):
        message = (
            "the cache is in the memory of the serving process, which this command cannot reach. "
            "On SQLite any write clears it; otherwise restart the service."
        )
        raise click.ClickException(message)
    try:
        for one in [None] if group is None else sorted(groups[group]):
            strategy.clear(one)
    except UnconfirmedError as error:
        message = f"the cache may not be empty: {reason_of(error)}."
        raise click.ClickException(message) from error
    click.echo(f"The cached answers{f' of {group}' if group else ''} are cleared.")


def _groups() -> dict[str, set[str]]:
    """Return the groups of what the app caches, by the names of their tables."""
    groups: dict[str, set[str]] = {}
    for _, lookup in find_lookups(current_app):
        groups.setdefault(lookup.table.fullname, set()).add(lookup.group)
    for _, collection in find_collections(current_app):
        groups.setdefault(collection.table.fullname, set()).add(collection.group)
    return groups
