"""Where the models and the database differ."""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from flask import Flask
from sqlalchemy import ARRAY, DefaultClause, Enum
from sqlalchemy.exc import CompileError
from sqlalchemy.types import TypeEngine

from pegboard.database import db, no_time_limit
from pegboard.migrations.alembic_errors import two_heads
from pegboard.migrations.comparison import comparison_of
from pegboard.migrations.environment import READ_ONLY_ATTRIBUTE
from pegboard.migrations.histories import (
    History,
    ensure_app_context,
    get_migrate,
)
from pegboard.migrations.lock import Report
from pegboard.migrations.script_directory import read_script_directory
from pegboard.migrations.status import current_heads, reject_unknown_revisions
from pegboard.migrations.table_names import TableName
from pegboard.problems import Code, Problem

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drift:
    """The differences between one history's models and the database, one sentence each."""

    history: str
    differences: tuple[str, ...]
    is_behind: bool = False
    """Whether revisions wait to be applied, which is the one difference then."""

    def as_problem(self) -> Problem:
        """Return it as a problem, with a hint."""
        code = Code.DATABASE_BEHIND if self.is_behind else Code.DATABASE_DIFFERS
        hint = (
            f"Run pegboard db upgrade {self.history}."
            if self.is_behind
            else "No revision does this, which would make the database what the models say: write "
            f"one with pegboard db migrate {self.history}, or change the models."
        )
        return Problem(code, "; ".join(self.differences), hint, self.history)

    def __str__(self) -> str:
        text = f"{self.history}: {'; '.join(self.differences)}"
        return f"{text}; run pegboard db upgrade {self.history}" if self.is_behind else text


def find_drift(
    app: Flask,
    name: str | None = None,
    *,
    without: Collection[str] = (),
    report: Report = logger.info,
) -> tuple[Drift, ...]:
    """Return the histories whose database differs from the models or is not at head.

    Compares all histories but those of the names `without`, or only the named one; raises
    `MigrationError` if the database is at a revision that has no file. `report` is called with one
    line for what cannot be compared.
    """
    found = []
    with ensure_app_context(app):
        for history in get_migrate().select(name):
            if history.name in without:
                continue
            with comparison_config(history) as config:
                behind = describe_pending(history, config)
                if differences := [behind] if behind else _compare(config, report):
                    found.append(Drift(history.name, tuple(differences), behind is not None))
    return tuple(found)


@contextmanager
def comparison_config(history: History) -> Iterator[Config]:
    """Yield Alembic's configuration, with a connection, for comparing models and database."""
    config = get_migrate().configuration(history, "autogenerate")
    with no_time_limit(), db.engine.connect() as connection:
        config.attributes.update({"connection": connection, READ_ONLY_ATTRIBUTE: True})
        yield config


def describe_pending(history: History, config: Config) -> str | None:
    """Say which upgrade the database needs first; None if it is at head.

    Raises `MigrationError` if there are several heads.
    """
    directory = read_script_directory(config)
    connection = config.attributes["connection"]
    current = current_heads(connection, history)
    connection.rollback()
    reject_unknown_revisions(history, directory, current)
    heads = directory.get_heads()
    if set(heads) == set(current):
        return None
    if len(heads) > 1:
        raise two_heads(history, heads)
    return f"the database is at {', '.join(current) or 'no revision'}, not {', '.join(heads)}"


def _compare(config: Config, report: Report) -> list[str]:
    history: History = config.attributes["history"]
    metadata = history.metadata
    found: list[str] = []
    if metadata is not None:

        def compare(_heads: object, context: MigrationContext) -> Sequence[Any]:
            found.extend(describe_differences(compare_metadata(context, metadata)))
            comparison = comparison_of(context)
            found.extend(comparison.unwritten)
            for line in comparison.not_compared:
                report(f"{history.name}: not compared: {line}")
            return []

        directory = read_script_directory(config)
        with EnvironmentContext(config, directory, fn=compare):
            directory.run_env()
    return found


def describe_differences(diffs: Iterable[Any]) -> Iterator[str]:
    """Put Alembic's differences into words, as in `add column notes.color`."""
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
            return f"{words} {table.fullname}"
        case "column", [schema, table, column]:
            return f"{words} {TableName.of(schema, table)}.{column.name}"
        case (("index" | "constraint" | "fk"), [item]):
            return f"{words} {item.name or 'without a name'} of {item.table.fullname}"
        case _, [schema, table, column, _, old, new]:
            place = f"{TableName.of(schema, table)}.{column}"
            return f"{words} of {place} from {_plain(old)} to {_plain(new)}"
    return words


def _plain(value: object) -> object:
    match value:
        case DefaultClause():
            return value.arg
        case Enum():
            return f"{value.name or 'Enum'} ({', '.join(value.enums)})"
        case ARRAY():
            return f"{_plain(value.item_type)}[]"
        case TypeEngine():
            # As the database has it: a type of SQLAlchemy may have a variant for this one.
            with suppress(CompileError):
                return value.compile(dialect=db.engine.dialect)
    return value
