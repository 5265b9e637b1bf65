"""The revision files of a history, as Alembic reads them."""

import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.base import Script
from flask import Flask

from pegboard.migrations.alembic_errors import two_heads
from pegboard.migrations.errors import MigrationError
from pegboard.migrations.histories import History, ensure_app_context, get_migrate
from pegboard.migrations.model_tables import model_tables
from pegboard.migrations.revision_faults import (
    find_revision_faults,
    find_step_faults,
    revision_files,
    shown_path,
)
from pegboard.problems import Code, Problem


@dataclass(frozen=True)
class Revisions:
    """The ids of a history's revision files."""

    heads: frozenset[str]
    known: frozenset[str]


def read_revisions(history: History) -> Revisions:
    """Read the ids of the revision files of a history of the current app."""
    directory = read_script_directory(get_migrate().configuration(history))
    known = frozenset(script.revision for script in directory.walk_revisions())
    return Revisions(frozenset(directory.get_heads()), known)


def read_script_directory(config: Config) -> ScriptDirectory:
    """Read the revision files of a history; raises `MigrationError` if one cannot be used."""
    history: History = config.attributes["history"]
    directory = ScriptDirectory.from_config(config)
    try:
        with warnings.catch_warnings():
            # Two files with one id, as merging two branches of a repository can leave.
            warnings.filterwarnings("error", "Revision .* is present more than once")
            warnings.filterwarnings("error", "Revision .* referenced from .* is not present")
            directory.get_heads()  # this reads the files
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        text = f"its revisions cannot be read: {type(error).__name__}: {error}"
        code = Code.MIGRATION_INVALID
        other = Problem(code, text, f"Look at the files in {history.versions}.", history.name)
        raise MigrationError.of(find_revision_faults(history) or [other]) from error
    return directory


def check_revisions(app: Flask) -> list[Problem]:
    """Return what is wrong with the revision files of all histories; asks nothing of the database.

    Beside what stops an upgrade, those are models of a history that has no revision.
    """
    with ensure_app_context(app):
        histories = get_migrate().histories
        found = unusable_revisions(histories, histories)
        return [*found, *filter(None, map(_without_revisions, histories))]


def unusable_revisions(
    histories: Iterable[History], with_one_head: Collection[History] = ()
) -> list[Problem]:
    """Return what is wrong with the revision files of histories of the current app.

    In those `with_one_head` several newest revisions are wrong, too.
    """
    found: list[Problem] = []
    for history in histories:
        try:
            directory = read_script_directory(get_migrate().configuration(history))
        except MigrationError as error:
            found += error.problems
        else:
            found += find_step_faults(history, directory.walk_revisions())
            heads = directory.get_heads()
            if len(heads) > 1 and history in with_one_head:
                found += two_heads(history, heads).problems
    return found


def require_usable(histories: Iterable[History], with_one_head: Collection[History] = ()) -> None:
    """Raise `MigrationError` for what `unusable_revisions` returns."""
    if mistakes := unusable_revisions(histories, with_one_head):
        raise MigrationError.of(mistakes)


def _without_revisions(history: History) -> Problem | None:
    if not model_tables(history) or any(revision_files(history)):
        return None
    tables = ", ".join(map(str, model_tables(history)))
    return Problem(
        Code.MIGRATIONS_MISSING,
        f"it has models of {tables}, but no revision to create them in "
        f"{shown_path(history, history.versions)}",
        f"Write one with pegboard db migrate {history.name}.",
        history.name,
    )


def revision_label(script: Script) -> str:
    """Return a revision's id and its message, in one line."""
    return f"{script.revision} {script.doc.strip().rstrip('.')}".strip()
