"""The commands of a resource: `import`, `export` and `seed`."""

import io
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy.exc import DBAPIError

from pegboard.database import db, no_time_limit
from pegboard.migrations import as_schema_error
from pegboard.resources import Format, Resource, ResourceError, TransferLimits
from pegboard.transfer.files import HeaderError, Lines, RowError, listed, read_rows
from pegboard.transfer.imports import (
    InterruptedImportError,
    Seeding,
    database_message,
    import_rows,
)
from pegboard.transfer.rows import Rows

_DEFAULT_SEED = 40

Samples = Callable[[], Iterator[Mapping[str, Any]]]


def transfer_commands(
    resource: Resource[Any],
    *,
    samples: Samples | None = None,
    limits: TransferLimits | Callable[[], TransferLimits] = TransferLimits(),  # noqa: B008 - frozen
) -> click.Group:
    """Return the commands that import, export and create rows of a resource.

    They are a group with the resource's name, for `pegboard_commands`. They act for the operator:
    whom `rows`, `permit_read` and `permit_write` let do what is not asked, and `make` is called
    without a request.

    - `samples`: returns an iterator of valid bodies of requests, without end and the same each
      time; with it there is the command `seed`.
    - `limits`: or a function that returns those of the current app.

    The operations of the resource do not matter: what clients only read may be imported. Raises
    `pegboard.resources.ResourceError` for a resource of which no rows can be imported: one without
    a field that a body may have, or with rows that are stored in several tables.
    """
    _check(resource, samples, limits)
    commands = _Commands(resource, Rows(resource), limits)
    plural = commands.rows.words.plural
    group = click.Group(
        resource.name,
        help=f"Import, export and create {plural}." if samples else f"Import and export {plural}.",
    )
    group.add_command(commands.importing())
    group.add_command(commands.exporting())
    if samples:
        group.add_command(commands.seeding(samples))
    return group


def _check(resource: object, samples: object, limits: object) -> None:
    if not isinstance(resource, Resource):
        message = f"transfer_commands takes a pegboard.Resource, not {resource!r}"
        raise ResourceError(message)
    if samples is not None and not callable(samples):
        message = (
            f"the resource {resource.name}: samples is a function that returns an iterator of "
            f"bodies, not {samples!r}"
        )
        raise ResourceError(message)
    if not isinstance(limits, TransferLimits) and not callable(limits):
        message = (
            f"the resource {resource.name}: limits is a TransferLimits, or a function that returns "
            f"one, not {limits!r}"
        )
        raise ResourceError(message)


def _format_option() -> Callable[..., Any]:
    return click.option(
        "--format",
        "form",
        type=click.Choice([form.value for form in Format]),
        help="The format, if the file name does not end in .jsonl, .ndjson or .csv.",
    )


@dataclass(frozen=True)
class _Commands:
    """The commands of one resource."""

    resource: Resource[Any]
    rows: Rows
    given_limits: TransferLimits | Callable[[], TransferLimits]

    @property
    def limits(self) -> TransferLimits:
        """The limits of the current app."""
        given = self.given_limits
        return given if isinstance(given, TransferLimits) else given()

    def importing(self) -> click.Command:
        """Return the command `import`."""

        @click.command("import")
        @click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
        @_format_option()
        @click.option(
            "--skip-bad", is_flag=True, help="Import the valid rows even if others are bad."
        )
        @with_appcontext
        def import_(file: str, form: str | None, *, skip_bad: bool) -> None:
            self._import(file, form, skip_bad=skip_bad)

        import_.help = (
            f"Create {self.rows.words.singular} for each row of FILE, or of the standard input "
            f"for -.\n\n{self._row_help()} If any row is bad, none is imported. Bad rows are "
            "reported by line number, and the exit status is 1."
        )
        return import_

    def _row_help(self) -> str:
        columns = self.rows.columns
        optional = [
            name for name in columns.names if name not in {*columns.required, *columns.ignored}
        ]
        parts = []
        if columns.required:
            parts.append(f"Rows have {listed(columns.required)}")
        if optional:
            begin = "and optionally" if parts else "Rows have optionally"
            parts.append(f" {begin} {listed(optional)}")
        if columns.ignored:
            verb = "is" if len(columns.ignored) == 1 else "are"
            parts.append(f"; {listed(columns.ignored)} {verb} ignored")
        return "".join(parts).strip("; ") + "."

    def _import(self, file: str, form: str | None, *, skip_bad: bool) -> None:
        chosen = None if file == "-" and form is None else _format_of(file, form)
        limits = self.limits
        with _plain_errors(), click.open_file(file, "rb") as source:
            lines = Lines(source, limits.row_bytes)
            content = read_rows(lines, chosen or lines.sniff(), self.rows.columns)
            with _progress(source, lines) as on_row:
                report = import_rows(
                    self.rows,
                    content,
                    limits,
                    skip_bad=skip_bad,
                    on_row=on_row,
                )
        for line, complaint in report.complaints:
            click.echo(f"line {line}: {complaint}", err=True)
        if report.bad > len(report.complaints):
            click.echo(f"... and {report.bad - len(report.complaints)} more", err=True)
        click.echo(f"{report.imported} {self.rows.words.plural} imported.")
        if report.bad:
            bad = "1 bad row" if report.bad == 1 else f"{report.bad} bad rows"
            bad = f"At least {bad}" if report.is_partial else bad
            message = bad + ("." if skip_bad else ", so nothing was imported.")
            raise click.ClickException(message)

    def exporting(self) -> click.Command:
        """Return the command `export`."""

        @click.command("export")
        @click.argument("file", type=click.Path(dir_okay=False, allow_dash=True), default="-")
        @_format_option()
        @with_appcontext
        def export(file: str, form: str | None) -> None:
            chosen = _format_of(file, form or (Format.JSONL if file == "-" else None))
            with _plain_errors(), _open_atomically(file) as target:
                target.writelines(self._export(chosen))

        export.help = (
            f"Write all {self.rows.words.plural} to FILE, or to the standard output, in a "
            "format that import reads."
        )
        return export

    def _export(self, form: Format) -> Iterator[bytes]:
        """Yield the bytes of a file with all rows, as of one moment."""
        with no_time_limit():
            yield from self.resource.represent.writer().write(self.rows.read(), form)
            db.session.rollback()

    def seeding(self, samples: Samples) -> click.Command:
        """Return the command `seed`."""
        plural = self.rows.words.plural

        @click.command("seed")
        @click.option(
            "--count",
            "wanted",
            type=click.IntRange(0),
            default=_DEFAULT_SEED,
            show_default=True,
            help=f"The number of {plural}.",
        )
        @click.option("--if-empty", is_flag=True, help=f"Only if there are no {plural} yet.")
        @with_appcontext
        def seed(wanted: int, *, if_empty: bool) -> None:
            seeding = Seeding(self.rows, samples, self.limits, wanted, if_empty)
            with _plain_errors():
                made = seeding.run()
            click.echo(f"{made} sample {plural} made.")

        seed.help = f"Create sample {plural}, the same each time."
        return seed


def _format_of(path: str, form: str | None) -> Format:
    found = Format(form) if form else Format.of(path)
    if found is None:
        message = f"The name {path} does not say the format; give --format jsonl or --format csv."
        raise click.UsageError(message)
    return found


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Report an error that an operator can fix in one line instead of a traceback."""
    try:
        yield
    except BrokenPipeError:
        raise  # click exits quietly when the reader of a pipe has gone
    except (HeaderError, InterruptedImportError, OSError, RowError) as error:
        raise click.ClickException(str(error)) from error
    except DBAPIError as error:
        message = as_schema_error(error, current_app) or click.ClickException(
            database_message(error)
        )
        raise message from error


@contextmanager
def _open_atomically(path: str) -> Iterator[IO[bytes]]:
    """Open a file for writing that replaces an existing one only once it is complete."""
    target = Path(path).resolve()
    if path == "-" or (target.exists() and not target.is_file()):
        with click.open_file(path, "wb") as file:
            yield file
        return
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            yield file
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def _progress(file: IO[bytes], lines: Lines) -> Iterator[Callable[[], object]]:
    """Show a progress bar on a terminal; yield a function to call after each row."""
    size = _size(file)
    if not size or not sys.stderr.isatty():
        yield bool
        return
    with click.progressbar(length=size, label="Importing", file=sys.stderr) as bar:
        yield lambda: bar.update(lines.position - bar.pos)


def _size(file: IO[bytes]) -> int | None:
    try:
        status = os.fstat(file.fileno())
    except (OSError, io.UnsupportedOperation):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
