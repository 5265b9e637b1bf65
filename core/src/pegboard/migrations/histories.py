"""The histories of an app: one for each plugin, and one for the deployment itself."""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask import Flask, current_app, g, has_app_context
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import MetaData

from pegboard.database import db
from pegboard.extensions import get_extension
from pegboard.migrations.errors import MigrationError

if TYPE_CHECKING:
    import flask_migrate
    from alembic.config import Config

T = TypeVar("T")

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
    release: str = ""
    """Name and version of the distribution that has the revisions, if it has one."""

    @property
    def version_table(self) -> str:
        """The name of the table that says which revision the database is at."""
        return VERSION_TABLE_PREFIX + self.name

    @property
    def is_installed(self) -> bool:
        """Whether the folder is part of an installed package, so that new files would be lost."""
        return not {"site-packages", "dist-packages"}.isdisjoint(self.versions.resolve().parts)


class Migrate:
    """What `flask_migrate.Migrate` is to Flask-Migrate, for several histories.

    The argument `directory` is a history's name. It does not inherit, as Flask-Migrate imports
    Alembic: 60 ms and 9 MiB of each process that only serves.
    """

    def __init__(self, histories: Iterable[History], directory: Path) -> None:
        self.directory = str(directory)
        self.site = directory.absolute()
        site = History(SITE_HISTORY, self.site / "versions")
        self.histories = (*histories, *([site] if site.versions.is_dir() else []))
        self._configure: list[Callable[[Any], Any]] = []
        self._read: dict[tuple[str, object], tuple[object, Any]] = {}

    def configure(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Have a function change Alembic's configuration, which it is given and returns."""
        self._configure.append(function)
        return function

    def add(self, history: History) -> None:
        """Add a history that no plugin of the app has, as of one which is gone, or replace it."""
        others = (one for one in self.histories if one.name != history.name)
        self.histories = (*others, history)

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
    ) -> "flask_migrate.Config":
        """Return Alembic's configuration for one history."""
        import flask_migrate  # noqa: PLC0415 - see above

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
        for configure in self._configure:
            config = configure(config)
        return cast("flask_migrate.Config", config)

    def configuration(self, history: History, *opts: str, verbose: bool = False) -> "Config":
        """Return Alembic's configuration for a history; it prints nothing unless `verbose`."""
        config: Any = self.get_config(history.name, opts=opts)
        config.cmd_opts.quiet = not verbose
        return cast("Config", config)

    def read(self, history: History, read: Callable[[History], T]) -> T:
        """Return what a function reads in the revision files, again only after one has changed."""
        files = {path.name: path.stat().st_mtime_ns for path in history.versions.glob("*.py")}
        key = (history.name, read)
        seen, result = self._read.get(key, (None, None))
        if seen != files:
            result = read(history)
            self._read[key] = (files, result)
        return cast("T", result)

    @property
    def environment(self) -> Path:
        """The folder of `env.py` and the revision template: the deployment's, else the core's."""
        parts = (self.site / "env.py", self.site / "script.py.mako")
        return self.site if all(part.is_file() for part in parts) else PACKAGED_ENVIRONMENT


@dataclass(frozen=True)
class MigrateExtension:
    """What Flask-Migrate, and an `env.py` made for it, find in `app.extensions["migrate"]`."""

    migrate: Migrate
    db: SQLAlchemy
    directory: str
    configure_args: Mapping[str, Any]

    @property
    def metadata(self) -> MetaData:
        """The tables of the default database."""
        return self.db.metadata


def init_migrations(app: Flask, histories: Sequence[History], directory: Path) -> None:
    """Register the histories with the app; each must come after those it depends on.

    `directory` is the deployment's `alembic` folder, which need not exist. Raises `ValueError` for
    a history named `site`.
    """
    if any(history.name == SITE_HISTORY for history in histories):
        message = f"{SITE_HISTORY} is the name of the deployment's own history"
        raise ValueError(message)
    migrate = Migrate(histories, directory)
    arguments = {"compare_type": True, "render_as_batch": True}  # those of Flask-Migrate
    app.extensions["migrate"] = MigrateExtension(migrate, db, migrate.directory, arguments)


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
