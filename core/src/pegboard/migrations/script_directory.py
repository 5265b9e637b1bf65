"""The revision files of a history, as Alembic reads them."""

import warnings
from dataclasses import dataclass

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.base import Script
from alembic.util import CommandError

from pegboard.migrations.errors import MigrationError, line_in
from pegboard.migrations.histories import History, get_migrate


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
    except UserWarning as error:
        hint = (
            "give one of them another id"
            if "more than once" in str(error)
            else "correct the down_revision, or bring the missing file back"
        )
        message = f"{history.name}: {error} in {history.versions}; {hint}"
        raise MigrationError(message) from error
    except (CommandError, SyntaxError) as error:
        message = f"{history.name}: {error}"
        raise MigrationError(message) from error
    except Exception as error:
        place = line_in(error, history.versions)
        if not place:
            raise
        message = f"{history.name}: {type(error).__name__}: {error} ({place})"
        raise MigrationError(message) from error
    return directory


def revision_label(script: Script) -> str:
    """Return a revision's id and its message, in one line."""
    return f"{script.revision} {script.doc.strip().rstrip('.')}".strip()
