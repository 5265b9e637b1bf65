"""What a command of Alembic would do, as SQL."""

from collections.abc import Callable, Sequence
from io import StringIO

from pegboard.database import db
from pegboard.migrations.alembic_errors import translate_alembic_errors
from pegboard.migrations.errors import MigrationError
from pegboard.migrations.failure import describe_reason
from pegboard.migrations.histories import History, get_migrate
from pegboard.migrations.script_directory import require_usable
from pegboard.problems import PLUGIN_FAULTS


def write_sql(run: Callable[..., object], histories: Sequence[History], revision: str) -> str:
    """Return the SQL that a command such as `alembic.command.upgrade` runs for histories, in order.

    Raises `MigrationError` if a revision cannot be used or fails: a part of it must not be run.
    """
    require_usable(histories, histories if revision == "head" else ())
    return "".join(_write_one(run, history, revision) for history in histories)


def _write_one(run: Callable[..., object], history: History, revision: str) -> str:
    config = get_migrate().configuration(history)
    config.output_buffer = StringIO()
    try:
        with translate_alembic_errors(history):
            run(config, revision, sql=True)
    except MigrationError as error:
        if "--sql mode" in error.message and db.engine.dialect.name == "sqlite":
            message = (
                f"{history.name}: its revisions cannot be written as SQL for SQLite, which can "
                "alter a table only by copying what the database has.\n  hint: Run pegboard db "
                "upgrade, or let DATABASE_URL name a PostgreSQL database."
            )
            raise MigrationError(message) from error
        raise
    except PLUGIN_FAULTS as error:
        reason = describe_reason(history, error)
        if "MockConnection" in reason:
            reason += (
                "\n  hint: There is no database while SQL is printed. Ask "
                "op.get_context().as_sql before reading."
            )
        message = f"{history.name}: a revision cannot be written as SQL.\n{reason}"
        raise MigrationError(message) from error
    return config.output_buffer.getvalue()
