"""What keeps the code from working with the tables that the database has, as problems."""

from flask import Flask
from sqlalchemy.exc import DBAPIError

from pegboard.database import db, is_of_statement, is_undefined
from pegboard.migrations.errors import MigrationError
from pegboard.migrations.histories import ensure_app_context
from pegboard.migrations.missing import find_missing
from pegboard.migrations.status import pending_histories
from pegboard.problems import Problem
from pegboard.redaction import reason_of


def schema_problems(app: Flask) -> tuple[Problem, ...]:
    """Return which histories are behind; if none is, what the models have and the database not."""
    found = pending_histories(app) or find_missing(app)
    return tuple(one.as_problem() for one in found)


def as_schema_error(error: DBAPIError, app: Flask) -> MigrationError | None:
    """Return what to do about a statement that has failed because the database is not at head.

    Rolls back the transaction of the statement. None if it failed for another reason.
    """
    if not is_of_statement(error):
        return None
    with ensure_app_context(app):
        db.session.rollback()
        if is_undefined(error):
            problems = schema_problems(app)
            return MigrationError.of(problems) if problems else None
        behind = [one.as_problem() for one in pending_histories(app)]
    if not behind:
        return None
    told = "\n".join(map(str, behind))
    return MigrationError(f"{reason_of(error)}\nThis may be the reason:\n{told}")
