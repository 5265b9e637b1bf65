"""The commands `pegboard items ...`."""

import io
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click
from flask.cli import with_appcontext
from sqlalchemy.exc import DBAPIError

import pegboard
from pegboard_items.files import Format, HeaderError, Lines, read_rows
from pegboard_items.seed import seed_items
from pegboard_items.settings import ItemsSettings
from pegboard_items.transfer import InterruptedImportError, export_rows, import_rows

_DEFAULT_SEED = 40

_format = click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in Format]),
    help="The format, if the file name does not end in .jsonl, .ndjson or .csv.",
)


@click.group()
def items() -> None:
    """Import, export and create items."""


@items.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@_format
@click.option("--skip-bad", is_flag=True, help="Import the valid rows even if others are bad.")
@with_appcontext
def import_(file: str, form: str | None, *, skip_bad: bool) -> None:
    """Create an item for each row of FILE, or of the standard input for -.

    Rows have a name and optionally a description, created_at and updated_at; an id is ignored.
    If any row is bad, none is imported. Bad rows are reported by line number, and the exit status
    is 1.
    """
    chosen = _format_of(file, form)
    limit = pegboard.get_settings(ItemsSettings).import_row_bytes
    with _plain_errors(), click.open_file(file, "rb") as source:
        lines = Lines(source, limit)
        with _progress(source, lines) as on_row:
            report = import_rows(read_rows(lines, chosen), skip_bad=skip_bad, on_row=on_row)
    for complaint in report.complaints:
        click.echo(complaint, err=True)
    if report.bad > len(report.complaints):
        click.echo(f"... and {report.bad - len(report.complaints)} more", err=True)
    click.echo(f"{report.imported} items imported.")
    if report.bad:
        rows = "1 bad row" if report.bad == 1 else f"{report.bad} bad rows"
        message = rows + ("." if skip_bad else ", so nothing was imported.")
        raise click.ClickException(message)


@items.command("export")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True), default="-")
@_format
@with_appcontext
def export(file: str, form: str | None) -> None:
    """Write all items to FILE, or to the standard output, in a format that import reads."""
    chosen = _format_of(file, form or (Format.JSONL if file == "-" else None))
    with _plain_errors(), _open_atomically(file) as target:
        target.writelines(export_rows(chosen))


@items.command()
@click.option(
    "--count",
    "wanted",
    type=click.IntRange(0),
    default=_DEFAULT_SEED,
    show_default=True,
    help="The number of items.",
)
@click.option("--if-empty", is_flag=True, help="Only if there are no items yet.")
@with_appcontext
def seed(wanted: int, *, if_empty: bool) -> None:
    """Create sample items, the same each time."""
    with _plain_errors():
        made = seed_items(wanted, only_if_empty=if_empty)
    click.echo(f"{made} sample items made.")


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
    except (HeaderError, InterruptedImportError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except DBAPIError as error:
        message = f"The database reports: {' '.join(str(error.orig).split())}"
        raise click.ClickException(message) from error


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
