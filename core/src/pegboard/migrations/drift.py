"""Where the models and the database differ."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from flask import Flask
from sqlalchemy import DefaultClause

from pegboard.database import db, no_time_limit
from pegboard.migrations.environment import READ_ONLY
from pegboard.migrations.histories import (
    History,
    chosen,
    context_of,
    get_migrate,
    revisions_of,
)
from pegboard.migrations.status import current_heads, reject_unknown


@dataclass(frozen=True)
class Difference:
    """Where a history's models and the database differ."""

    history: str
    what: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.history}: {'; '.join(self.what)}"


def differences(app: Flask, name: str | None = None) -> tuple[Difference, ...]:
    """Return where models and database differ, and which histories are behind."""
    found = []
    with context_of(app):
        for history in chosen(get_migrate(), name):
            with comparison(history) as config:
                if what := behind(history, config) or _compare(config):
                    found.append(Difference(history.name, tuple(what)))
    return tuple(found)


@contextmanager
def comparison(history: History) -> Iterator[Config]:
    """Yield a configuration with a connection on which models and database can be compared."""
    config = get_migrate().configuration(history, "autogenerate")
    with no_time_limit(), db.engine.connect() as connection:
        config.attributes.update({"connection": connection, READ_ONLY: True})
        yield config


def behind(history: History, config: Config) -> list[str]:
    """Say what the database lacks of the history; nothing if it is at head."""
    directory = revisions_of(config)
    connection = config.attributes["connection"]
    current = current_heads(connection, history)
    connection.rollback()
    reject_unknown(history, directory, current)
    heads = directory.get_heads()
    if set(heads) == set(current):
        return []
    place = f"the database is at {', '.join(current) or 'no revision'}, not {', '.join(heads)}"
    return [f"{place}; run pegboard db upgrade {history.name}"]


def _compare(config: Config) -> list[str]:
    history: History = config.attributes["history"]
    metadata = history.metadata
    found: list[str] = []
    if metadata is not None:

        def compare(_heads: object, context: MigrationContext) -> Sequence[Any]:
            found.extend(describe(compare_metadata(context, metadata)))
            return []

        directory = revisions_of(config)
        with EnvironmentContext(config, directory, fn=compare):
            directory.run_env()
    return found


def describe(diffs: Iterable[Any]) -> Iterator[str]:
    """Say in words what Alembic found to be different."""
    for diff in diffs:
        # The changes of one column come as a list of their own.
        for one in diff if isinstance(diff, list) else [diff]:
            yield _describe(one)


def _describe(diff: tuple[Any, ...]) -> str:
    verb: str = diff[0]
    details = list(diff[1:])
    words = verb.replace("_", " ").replace(" fk", " foreign key")
    match verb.rpartition("_")[2], details:
        case "table", [table]:
            return f"{words} {table.name}"
        case "column", [_, table, column]:
            return f"{words} {table}.{column.name}"
        case (("index" | "constraint" | "fk"), [item]):
            return f"{words} {item.name or 'without a name'} of {item.table.name}"
        case _, [_, table, column, _, old, new]:
            return f"{words} of {table}.{column} from {_plain(old)} to {_plain(new)}"
    return words


def _plain(value: object) -> object:
    return value.arg if isinstance(value, DefaultClause) else value
