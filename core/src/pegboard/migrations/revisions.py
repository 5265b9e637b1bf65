"""Writing revision files: from the models, empty, or merging two branches."""

import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.script.base import Script
from flask import Flask

from pegboard.database import db
from pegboard.migrations.alembic_errors import translate_alembic_errors
from pegboard.migrations.comparison import comparison_of
from pegboard.migrations.drift import (
    comparison_config,
    describe_differences,
    describe_pending,
)
from pegboard.migrations.errors import MigrationError
from pegboard.migrations.failure import VALUES_FOR_ROWS, VALUES_THAT_GO
from pegboard.migrations.histories import (
    History,
    ensure_app_context,
    get_migrate,
)
from pegboard.migrations.lock import Report
from pegboard.migrations.operations import (
    columns_with_fewer_values,
    columns_without_values,
    make_portable,
)
from pegboard.migrations.script_directory import read_script_directory
from pegboard.problems import Code, Problem

logger = logging.getLogger(__name__)

MAX_REVISION_LENGTH = 32
"""Characters of a revision id that fit into Alembic's version table."""


def write_revisions(
    app: Flask, name: str | None = None, message: str | None = None, *, report: Report = logger.info
) -> tuple[Path, ...]:
    """Write a revision into each history whose models differ; return the new files.

    When a revision cannot be written, because its plugin is an installed package or its database
    is not at head, the others are written first and then `MigrationError` is raised.
    """
    written, refused = [], []
    with ensure_app_context(app):
        for history in get_migrate().select(name):
            if history.metadata is None:
                continue
            with comparison_config(history) as config:
                try:
                    path = _write_one(history, config, message, report)
                except MigrationError as error:
                    refused.append(error.message)
                else:
                    written += [path] if path else []
    if refused:
        raise MigrationError("\n".join(refused))
    return tuple(written)


def write_empty_revisions(
    app: Flask,
    name: str | None = None,
    message: str | None = None,
    *,
    report: Report,
    **options: Any,
) -> tuple[Path, ...]:
    """Write an empty revision, to be filled in by hand; return the new files.

    Without a name, one is written into each history whose folder is not part of an installed
    package; with the name of such a history, `MigrationError` is raised. `options` are further
    options of `alembic.command.revision`.
    """
    written = []
    with ensure_app_context(app):
        for history in get_migrate().select(name):
            if history.is_installed:
                if name is not None:
                    raise _not_writable(history)
                continue
            config = get_migrate().configuration(history)
            with translate_alembic_errors(history):
                rev_id = options.get("rev_id") or next_revision_id(history, config)
                script = command.revision(
                    config, message or "change something", **{**options, "rev_id": rev_id}
                )
            assert isinstance(script, Script)
            path = _format(Path(script.path))
            report(f"{history.name}: wrote {path}")
            written.append(path)
    return tuple(written)


def write_merge_revision(
    app: Flask,
    name: str,
    revisions: Sequence[str] = (),
    message: str | None = None,
    *,
    branch_label: str | None = None,
    rev_id: str | None = None,
) -> Path:
    """Write a revision that merges a history's newest revisions, or those given; return its file.

    Raises `MigrationError` if the history's folder is part of an installed package.
    """
    with ensure_app_context(app):
        history = get_migrate().find(name)
        if history.is_installed:
            raise _not_writable(history)
        config = get_migrate().configuration(history)
        with translate_alembic_errors(history):
            script = command.merge(
                config,
                list(revisions) or "heads",
                message=message or "merge branches",
                branch_label=branch_label,
                rev_id=rev_id or next_revision_id(history, config),
            )
    assert script is not None
    return _format(Path(script.path))


def next_revision_id(history: History, config: Config) -> str:
    """Return the id of the next revision: the plugin's name and a number."""
    numbers = [
        int(match[1])
        for script in read_script_directory(config).walk_revisions()
        if (match := re.search(r"(\d{1,6})$", script.revision))
    ]
    number = f"{max(numbers, default=0) + 1:04}"
    revision_id = f"{history.name}_{number}"
    return revision_id if len(revision_id) <= MAX_REVISION_LENGTH else number


def _write_one(
    history: History, config: Config, message: str | None, report: Report
) -> Path | None:
    if behind := describe_pending(history, config):
        hint = f"Run pegboard db upgrade {history.name} first."
        problem = Problem(Code.DATABASE_BEHIND, behind, hint, history.name)
        raise MigrationError(str(problem))
    found = _Differences(history, message)
    with translate_alembic_errors(history):
        script = command.revision(
            config,
            message,
            autogenerate=True,
            rev_id=next_revision_id(history, config),
            process_revision_directives=found.fill,
        )
    for line in found.not_compared:
        report(f"{history.name}: not compared: {line}")
    if found.by_hand:
        report(f"{history.name}: to be written by hand: {'; '.join(found.by_hand)}")
    elif not found.written:
        report(f"{history.name}: no differences")
    if not found.written:
        return None
    differences = "; ".join(found.written)
    if not isinstance(script, Script):
        raise _not_writable(history, f": {differences}")
    path = _format(Path(script.path))
    report(f"{history.name}: wrote {path}: {differences}")
    for columns, advice in (
        (found.without_values, VALUES_FOR_ROWS),
        (found.with_fewer_values, VALUES_THAT_GO),
    ):
        if columns:
            report(f"{history.name}: correct {path}: {', '.join(columns)}. {advice}")
    return path


class _Differences:
    """What a run of autogenerate finds in one history, and fills its revision with."""

    def __init__(self, history: History, message: str | None) -> None:
        self._history = history
        self._message = message
        self.written: list[str] = []
        """What a revision can be written for, one sentence each."""
        self.by_hand: list[str] = []
        """What none can be written for, one sentence each."""
        self.without_values: list[str] = []
        """The columns for which rows that are there have no value."""
        self.with_fewer_values: list[str] = []
        """The columns whose rows may have a value that goes."""
        self.not_compared: list[str] = []
        """What could not be compared and why, one sentence each."""

    def fill(
        self, context: MigrationContext, _revision: object, directives: list[MigrationScript]
    ) -> None:
        """Note what autogenerate has found, and leave the revision that is to be written, if any.

        Alembic calls it, and writes a file for each of the directives that are left.
        """
        comparison = comparison_of(context)
        self.by_hand += comparison.unwritten
        self.not_compared += comparison.not_compared
        (revision,) = directives
        if revision.upgrade_ops is not None:
            self.written += describe_differences(revision.upgrade_ops.as_diffs())
            make_portable(revision, db.engine.dialect)
            self.without_values += columns_without_values(revision)
            self.with_fewer_values += columns_with_fewer_values(revision)
        if not self.written or self._history.is_installed:
            directives.clear()
        elif self._message is None:
            revision.message = self.written[0]


def _not_writable(history: History, difference: str = "") -> MigrationError:
    return MigrationError(
        f"{history.name}: its models need a revision{difference}. It is not written into "
        f"{history.versions}, which belongs to an installed package: install the plugin from its "
        f"source (pip install -e …) and run this again."
    )


def _format(path: Path) -> Path:
    """Format a new file with ruff, if ruff is installed; return the file."""
    beside = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff := beside or shutil.which("ruff"):
        subprocess.run([ruff, "format", "--quiet", path], check=False)
    return path
