"""Writing revisions: what the models have and the database lacks, or empty ones."""

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
from alembic.script.base import Script
from flask import Flask

from pegboard.migrations.drift import behind, comparison, describe
from pegboard.migrations.execution import explained
from pegboard.migrations.histories import (
    History,
    MigrationError,
    chosen,
    context_of,
    get_migrate,
    revisions_of,
)
from pegboard.migrations.lock import Report

logger = logging.getLogger(__name__)

MAX_REVISION_LENGTH = 32
"""What Alembic's version table holds."""


def write_differences(
    app: Flask, name: str | None = None, message: str | None = None, *, report: Report = logger.info
) -> tuple[Path, ...]:
    """Write a revision into each history whose models differ; return the new files.

    Raises `MigrationError` in the end if a plugin that differs is installed from a package, or its
    database is behind: its revision could not be written.
    """
    written, refused = [], []
    with context_of(app):
        for history in chosen(get_migrate(), name):
            if history.metadata is None:
                continue
            with comparison(history) as config:
                try:
                    path = _write(history, config, message, report)
                except MigrationError as error:
                    refused.append(error.message)
                else:
                    written += [path] if path else []
    if refused:
        raise MigrationError("\n".join(refused))
    return tuple(written)


def write_empty(
    app: Flask, name: str | None = None, message: str | None = None, *, report: Report, **how: Any
) -> tuple[Path, ...]:
    """Write a revision to be filled in by hand; without a name, into each history one can write to.

    `how` are the other options of `alembic.command.revision`.
    """
    written = []
    with context_of(app):
        for history in chosen(get_migrate(), name):
            if history.is_installed:
                if name is not None:
                    raise _not_writable(history)
                continue
            config = get_migrate().configuration(history)
            with explained(history):
                options = {**how, "rev_id": how.get("rev_id") or next_id(history, config)}
                script = command.revision(config, message or "change something", **options)
            assert isinstance(script, Script)
            path = _format(Path(script.path))
            report(f"{history.name}: wrote {path}")
            written.append(path)
    return tuple(written)


def write_merge(
    app: Flask,
    name: str,
    revisions: Sequence[str] = (),
    message: str | None = None,
    *,
    branch_label: str | None = None,
    rev_id: str | None = None,
) -> Path:
    """Write a revision that unites the newest ones of a history, or those given."""
    with context_of(app):
        history = get_migrate().find(name)
        if history.is_installed:
            raise _not_writable(history)
        config = get_migrate().configuration(history)
        with explained(history):
            script = command.merge(
                config,
                list(revisions) or "heads",
                message=message or "unite branches",
                branch_label=branch_label,
                rev_id=rev_id or next_id(history, config),
            )
    assert script is not None
    return _format(Path(script.path))


def next_id(history: History, config: Config) -> str:
    """Return the id of the next revision: the plugin's name and a number."""
    numbers = [
        int(match[1])
        for script in revisions_of(config).walk_revisions()
        if (match := re.search(r"(\d{1,6})$", script.revision))
    ]
    number = f"{max(numbers, default=0) + 1:04}"
    revision_id = f"{history.name}_{number}"
    return revision_id if len(revision_id) <= MAX_REVISION_LENGTH else number


def _write(history: History, config: Config, message: str | None, report: Report) -> Path | None:
    if lacking := behind(history, config):
        reason = f"{history.name}: {lacking[0]} first"
        raise MigrationError(reason)
    found: list[str] = []

    def decide(_context: object, _revision: object, directives: list[MigrationScript]) -> None:
        operations = directives[0].upgrade_ops
        if operations is not None:
            found.extend(describe(operations.as_diffs()))
        if not found or history.is_installed:
            directives.clear()
        elif message is None:
            directives[0].message = found[0]

    with explained(history):
        script = command.revision(
            config,
            message,
            autogenerate=True,
            rev_id=next_id(history, config),
            process_revision_directives=decide,
        )
    if not found:
        report(f"{history.name}: no differences")
        return None
    if not isinstance(script, Script):
        raise _not_writable(history, f": {'; '.join(found)}")
    path = _format(Path(script.path))
    report(f"{history.name}: wrote {path}: {'; '.join(found)}")
    return path


def _not_writable(history: History, difference: str = "") -> MigrationError:
    return MigrationError(
        f"{history.name}: its models need a revision{difference}. It is not written into "
        f"{history.versions}, which belongs to an installed package: install the plugin from its "
        f"source (pip install -e …) and run this again."
    )


def _format(path: Path) -> Path:
    """Have a new file formatted if the formatter is at hand."""
    beside = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff := beside or shutil.which("ruff"):
        subprocess.run([ruff, "format", "--quiet", path], check=False)
    return path
