"""Writing a new plugin."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pegboard.scaffold.errors import ScaffoldError
from pegboard.scaffold.names import Names
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

    `answers` are to the questions of the template's `copier.yml`; what it lacks is asked on the
    terminal if `asks`, and has its default otherwise. Raises `ScaffoldError` if the folder has
    something in it, the answers contradict each other, or nobody answers.
    """
    _check_answers(answers)
    if folder.exists() and not folder.is_dir():
        message = f"{folder} exists, and is no folder: choose another by --into."
        raise ScaffoldError(message)
    if folder.exists() and any(path.name != ".git" for path in folder.iterdir()):
        message = f"the folder {folder} has something in it: choose another by --into."
        raise ScaffoldError(message)
    import copier  # noqa: PLC0415 - only those who write plugins have it

    given = {
        **asdict(names),
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


def _check_answers(answers: Mapping[str, Any]) -> None:
    for what, needs in (
        ("resource", "is over the rows of a table"),
        ("cache", "keeps answers for one row of a table"),
    ):
        if answers.get("table") is False and answers.get(what):
            message = f"--no-table and --{what} contradict each other: it {needs}."
            raise ScaffoldError(message)
