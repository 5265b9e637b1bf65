"""What the commands of `pegboard db` print of histories and revisions."""

import io
from collections.abc import Callable, Iterator, Sequence

import click
from alembic.config import Config
from alembic.script import ScriptDirectory

from pegboard.database import db as database
from pegboard.migrations import (
    READ_ONLY_ATTRIBUTE,
    get_migrate,
    revision_label,
    translate_alembic_errors,
)


def places(directory: ScriptDirectory, at: Sequence[str], *, verbose: bool) -> Iterator[str]:
    """Yield the revisions that a database is at, each with whether it is the newest."""
    scripts = {script.revision: script for script in directory.walk_revisions()}
    heads = directory.get_heads()
    newest = f"newest: {', '.join(heads) or 'none'}"
    if not at:
        yield f"no revision ({newest})"
    for revision_id in at:
        script = scripts.get(revision_id)
        if script is None:
            yield f"{revision_id} (unknown; {newest})"
        else:
            yield f"{revision_label(script)} ({'head' if revision_id in heads else newest})"
            if verbose:
                yield script.path


def show_histories(name: str | None, run: Callable[[Config], object]) -> None:
    """Let Alembic print something about each history, with the history's name on each line."""
    migrate = get_migrate()
    for history in migrate.select(name):
        config = migrate.configuration(history, verbose=True)
        config.stdout = io.StringIO()
        with translate_alembic_errors(history), database.engine.connect() as connection:
            config.attributes.update({"connection": connection, READ_ONLY_ATTRIBUTE: True})
            run(config)
        for line in config.stdout.getvalue().splitlines():
            click.echo(f"{history.name}: {line}".rstrip())
