"""Writing a new plugin."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pegboard.scaffold.errors import ScaffoldError
from pegboard.scaffold.names import Names, noun_faults, rows_faults
from pegboard.scaffold.plurals import singular
from pegboard.scaffold.versions import Template, shipped_template


def create(
    names: Names,
    folder: Path,
    answers: Mapping[str, Any],
    *,
    asks: bool = False,
    template: Template = shipped_template,
) -> None:
    """Write the distribution of a new plugin into a folder that is empty or does not exist.

    `answers` are to the questions of the template's `copier.yml`; what they lack is asked on the
    terminal if `asks`, and has its default otherwise; so have `names.rows` and `names.noun`. Raises
    `ScaffoldError` if the folder has something in it, the answers contradict each other, or nobody
    answers.
    """
    _check_answers(answers)
    if folder.exists() and not folder.is_dir():
        message = f"{folder} exists, and is no folder: choose another by --into."
        raise ScaffoldError(message)
    if folder.exists() and any(path.name != ".git" for path in folder.iterdir()):
        message = f"the folder {folder} has something in it: choose another by --into."
        raise ScaffoldError(message)
    import copier  # noqa: PLC0415 - only those who write plugins have it

    chosen = asdict(names)
    if asks:  # these are asked for, with the same defaults
        del chosen["rows"], chosen["noun"]
    given = {
        **chosen,
        **_CHECKS,
        "pegboard": version("pegboard"),
        "year": datetime.now(UTC).year,
        **answers,
    }
    try:
        copier.run_copy(str(template.newest), folder, given, defaults=not asks, quiet=True)
    except (copier.errors.UserMessageError, ValueError) as error:
        message = f"the template cannot be written: {error}"
        raise ScaffoldError(message) from error
    except (copier.errors.CopierAnswersInterrupt, KeyboardInterrupt) as error:
        message = "nothing was written."
        raise ScaffoldError(message) from error


_CHECKS = {
    "singular": singular,
    "rows_faults": lambda rows, name: [] if rows == name else [*rows_faults(rows)],
    "noun_faults": lambda name, noun: [*noun_faults(name, noun)],
}
"""What the questions of the template call; an update asks none, and has none of these."""


def _check_answers(answers: Mapping[str, Any]) -> None:
    if answers.get("resource") is False and "rows" in answers:
        message = "--resource and --no-resource contradict each other: leave one out."
        raise ScaffoldError(message)
    for key, what, needs in (
        ("resource", "resource", "is over the rows of a table"),
        ("rows", "resource", "is over the rows of a table"),
        ("cache", "cache", "keeps answers for one row of a table"),
    ):
        if answers.get("table") is False and answers.get(key):
            message = f"--no-table and --{what} contradict each other: it {needs}."
            raise ScaffoldError(message)
