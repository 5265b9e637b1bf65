"""The histories of an app: one of each plugin, and the deployment's own."""

import argparse
import warnings
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click
import flask_migrate
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.base import Script
from alembic.util import CommandError
from flask import Flask, current_app, g, has_app_context
from sqlalchemy import MetaData

from pegboard.database import db

SITE = "site"
"""The history of the deployment itself; its revisions lie in the folder `alembic/versions`."""

VERSION_TABLE_PREFIX = "alembic_version_"

PACKAGED_ENVIRONMENT = Path(__file__).parent / "env"
"""What a deployment's folder begins with, and what serves where there is none."""


class MigrationError(click.ClickException):
    """Raised when the database cannot be brought where it was asked to be; says what to do."""


@dataclass(frozen=True)
class History:
    """A sequence of revisions with a version table of its own.

    `metadata` holds the tables as the models have them; without it, nothing can be compared.
    """

    name: str
    versions: Path
    metadata: MetaData | None = None

    @property
    def version_table(self) -> str:
        """The table that says which revision the database is at."""
        return VERSION_TABLE_PREFIX + self.name

    @property
    def is_installed(self) -> bool:
        """Whether the revisions belong to a package manager, which would overwrite new ones."""
        return not {"site-packages", "dist-packages"}.isdisjoint(self.versions.resolve().parts)


@dataclass(frozen=True)
class Revisions:
    """The ids in the files of a history."""

    heads: frozenset[str]
    known: frozenset[str]


class Migrate(flask_migrate.Migrate):
    """Flask-Migrate with several histories; what it calls a directory is a history's name."""

    def __init__(self, histories: Iterable[History], directory: Path) -> None:
        super().__init__(db=db, directory=str(directory))
        self.site = directory.absolute()
        site = History(SITE, self.site / "versions")
        self.histories = (*histories, *([site] if site.versions.is_dir() else []))
        self._read: dict[str, tuple[object, Revisions]] = {}

    def find(self, name: str | None) -> History:
        """Return the history of that name; the only one when there is no name."""
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
        config: Any = flask_migrate.Config()  # Alembic's Config, which the stubs do not know
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
        """Return Alembic's configuration for a history; it prints nothing unless it is verbose."""
        config: Any = self.get_config(history.name, opts=opts)
        config.cmd_opts.quiet = not verbose
        return cast("Config", config)

    def revisions(self, history: History) -> Revisions:
        """Return what the files hold; they are read anew only after one has changed."""
        files = {path.name: path.stat().st_mtime_ns for path in history.versions.glob("*.py")}
        seen, revisions = self._read.get(history.name, (None, Revisions(frozenset(), frozenset())))
        if seen != files:
            directory = revisions_of(self.configuration(history))
            known = frozenset(script.revision for script in directory.walk_revisions())
            revisions = Revisions(frozenset(directory.get_heads()), known)
            self._read[history.name] = (files, revisions)
        return revisions

    @property
    def environment(self) -> Path:
        """The folder of `env.py` and of the template: the deployment's, else the core's."""
        parts = (self.site / "env.py", self.site / "script.py.mako")
        return self.site if all(part.is_file() for part in parts) else PACKAGED_ENVIRONMENT


def init_migrations(app: Flask, histories: Sequence[History], directory: Path) -> None:
    """Give the app its histories, in the order of their dependencies.

    `directory` is the deployment's `alembic` folder, which need not exist.
    """
    if any(history.name == SITE for history in histories):
        message = f"{SITE} is the name of the deployment's own history"
        raise ValueError(message)
    Migrate(histories, directory).init_app(app)


def get_migrate(app: Flask | None = None) -> Migrate:
    """Return the histories of the app, or of the current app."""
    migrate: Migrate = (app or current_app).extensions["migrate"].migrate
    return migrate


def context_of(app: Flask) -> AbstractContextManager[object]:
    """Enter the app's context, or stay in it: a new one would hide what the command line noted."""
    is_active = has_app_context() and current_app == app
    return nullcontext() if is_active else app.app_context()


def chosen(migrate: Migrate, name: str | None) -> tuple[History, ...]:
    """Return the history of that name, or all of them, each after those it depends on."""
    return migrate.histories if name is None else (migrate.find(name),)


def revisions_of(config: Config) -> ScriptDirectory:
    """Read the revision files of a history."""
    history: History = config.attributes["history"]
    directory = ScriptDirectory.from_config(config)
    try:
        with warnings.catch_warnings():
            # Two files with one id, as two branches of a repository can have them when merged.
            warnings.filterwarnings("error", "Revision .* is present more than once")
            directory.get_heads()  # reads the files
    except UserWarning as error:
        message = f"{history.name}: {error} in {history.versions}; give one of them another id"
        raise MigrationError(message) from error
    except (CommandError, SyntaxError) as error:
        message = f"{history.name}: {error}"
        raise MigrationError(message) from error
    return directory


def label_of(script: Script) -> str:
    """Return a revision's id and what it does, in one line."""
    return f"{script.revision} {script.doc.strip().rstrip('.')}".strip()
