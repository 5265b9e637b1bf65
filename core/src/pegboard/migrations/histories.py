"""The histories of an app: one for each plugin, and one for the deployment itself."""

import argparse
import warnings
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import flask_migrate
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.base import Script
from alembic.util import CommandError
from flask import Flask, current_app, g, has_app_context
from sqlalchemy import MetaData

from pegboard.database import db
from pegboard.extensions import get_extension
from pegboard.migrations.errors import MigrationError, line_in

SITE_HISTORY = "site"
"""The history of the deployment itself; its revisions lie in the folder `alembic/versions`."""

VERSION_TABLE_PREFIX = "alembic_version_"

PACKAGED_ENVIRONMENT = Path(__file__).parent / "env"
"""The folder of the `env.py` and revision template that are used if a deployment has none."""


@dataclass(frozen=True)
class History:
    """The revisions in one folder, with a version table of their own.

    `metadata` holds the tables of the models; without it there is nothing to compare.
    """

    name: str
    versions: Path
    metadata: MetaData | None = None

    @property
    def version_table(self) -> str:
        """The name of the table that says which revision the database is at."""
        return VERSION_TABLE_PREFIX + self.name

    @property
    def is_installed(self) -> bool:
        """Whether the folder is part of an installed package, so that new files would be lost."""
        return not {"site-packages", "dist-packages"}.isdisjoint(self.versions.resolve().parts)


@dataclass(frozen=True)
class Revisions:
    """The ids of a history's revision files."""

    heads: frozenset[str]
    known: frozenset[str]


class Migrate(flask_migrate.Migrate):
    """Flask-Migrate for several histories; its argument `directory` is a history's name."""

    def __init__(self, histories: Iterable[History], directory: Path) -> None:
        super().__init__(db=db, directory=str(directory))
        self.site = directory.absolute()
        site = History(SITE_HISTORY, self.site / "versions")
        self.histories = (*histories, *([site] if site.versions.is_dir() else []))
        self._read: dict[str, tuple[object, Revisions]] = {}

    def select(self, name: str | None) -> tuple[History, ...]:
        """Return the named history, or without a name all, each after those it depends on.

        Raises `MigrationError` for an unknown name.
        """
        return self.histories if name is None else (self.find(name),)

    def find(self, name: str | None) -> History:
        """Return the named history; without a name the only one.

        Raises `MigrationError` for an unknown name, and without a name if there are several.
        """
        if name is None and len(self.histories) == 1:
            return self.histories[0]
        for history in self.histories:
            if history.name == name:
                return history
        names = ", ".join(history.name for history in self.histories) or "none"
        message = f"{name or 'no name'} names no history; these are there: {names}"
        raise MigrationError(message)

    def get_config(
        self,
        directory: str | None = None,
        x_arg: str | Sequence[str] | None = None,
        opts: Iterable[str] | None = None,
    ) -> flask_migrate.Config:
        """Return Alembic's configuration for one history."""
        history = self.find(directory)
        config: Any = flask_migrate.Config()  # Alembic's Config, unknown to the stubs
        for option, path in (
            ("script_location", self.environment),
            ("version_locations", history.versions),
        ):
            config.set_main_option(option, str(path).replace("%", "%%"))
        config.set_main_option("path_separator", "newline")  # the one that no path contains
        extra = [x_arg] if isinstance(x_arg, str) else [*(x_arg or ())]
        config.cmd_opts = argparse.Namespace(
            x=[*getattr(g, "x_arg", ()), *extra], **dict.fromkeys(opts or (), True)
        )
        config.attributes["history"] = history
        configured: flask_migrate.Config = self.call_configure_callbacks(config)
        return configured

    def configuration(self, history: History, *opts: str, verbose: bool = False) -> Config:
        """Return Alembic's configuration for a history; it prints nothing unless `verbose`."""
        config: Any = self.get_config(history.name, opts=opts)
        config.cmd_opts.quiet = not verbose
        return cast("Config", config)

    def revisions(self, history: History) -> Revisions:
        """Return the ids of the revision files, which are read again only after one has changed."""
        files = {path.name: path.stat().st_mtime_ns for path in history.versions.glob("*.py")}
        seen, revisions = self._read.get(history.name, (None, Revisions(frozenset(), frozenset())))
        if seen != files:
            directory = read_script_directory(self.configuration(history))
            known = frozenset(script.revision for script in directory.walk_revisions())
            revisions = Revisions(frozenset(directory.get_heads()), known)
            self._read[history.name] = (files, revisions)
        return revisions

    @property
    def environment(self) -> Path:
        """The folder of `env.py` and the revision template: the deployment's, else the core's."""
        parts = (self.site / "env.py", self.site / "script.py.mako")
        return self.site if all(part.is_file() for part in parts) else PACKAGED_ENVIRONMENT


def init_migrations(app: Flask, histories: Sequence[History], directory: Path) -> None:
    """Register the histories with the app; each must come after those it depends on.

    `directory` is the deployment's `alembic` folder, which need not exist. Raises `ValueError` for
    a history named `site`.
    """
    if any(history.name == SITE_HISTORY for history in histories):
        message = f"{SITE_HISTORY} is the name of the deployment's own history"
        raise ValueError(message)
    Migrate(histories, directory).init_app(app)


def get_migrate(app: Flask | None = None) -> Migrate:
    """Return the histories of the app, or of the current app."""
    migrate: Migrate = get_extension(app, "migrate", "get_migrate(app)").migrate
    return migrate


def ensure_app_context(app: Flask) -> AbstractContextManager[object]:
    """Enter the app's context unless it is already active.

    A new one would hide the `-x` arguments, which the command line keeps in `flask.g`.
    """
    is_active = has_app_context() and current_app == app
    return nullcontext() if is_active else app.app_context()


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
