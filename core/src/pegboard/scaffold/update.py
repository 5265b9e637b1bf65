"""Bringing a plugin up to date with the template, one commit for each step."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from tempfile import TemporaryDirectory

from pegboard.scaffold.errors import ConflictError, ScaffoldError
from pegboard.scaffold.git import git
from pegboard.scaffold.versions import Template, shipped_template

ANSWERS = ".copier-answers.yml"
REPOSITORY = "pegboard-template"
"""What the answers call the template: a folder, relative to where an update runs."""


@dataclass(frozen=True)
class Step:
    """One step of the template that has been committed."""

    version: int
    title: str
    """What it changes: the subject of the commit."""


def update(folder: Path, *, template: Template = shipped_template) -> Iterator[Step]:
    """Bring the plugin in a folder up to date, and yield each step once it is committed.

    What its author has changed stays. Raises `ConflictError` where a step changes it as well, after
    the steps before have been committed; `ScaffoldError` where nothing can be done: the folder is
    none that `pegboard new` wrote, or git has changes of it that are not committed.
    """
    folder = folder.resolve()
    current = _version_of(folder, template)
    _require_clean(folder)
    if current == template.version:
        return
    with TemporaryDirectory(prefix="pegboard-update-") as scratch:
        template.write_repository(Path(scratch) / REPOSITORY)
        for version in range(current + 1, template.version + 1):
            title = template.title_of(version)
            _apply(folder, Path(scratch), version)
            if files := _conflicts(folder):
                raise ConflictError(title, files)
            git(folder, "add", "--all", ".", own=True)
            git(folder, "commit", "--quiet", "--message", title, "--", ".", own=True)
            yield Step(version, title)


def _version_of(folder: Path, template: Template) -> int:
    """Return the version of the template that the plugin is at."""
    path = folder / ANSWERS
    if not path.is_file():
        message = (
            f"{folder} has no {ANSWERS}: only what pegboard new wrote can be brought up to date. "
            "Run it in the folder of the plugin, or name that by --into."
        )
        raise ScaffoldError(message)
    import yaml  # noqa: PLC0415 - copier requires it

    answers = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = answers.get("_commit") if isinstance(answers, dict) else None
    if not str(found).isdecimal() or int(str(found)) < 1:
        message = f"{path} does not say at which version of the template the plugin is (_commit)."
        raise ScaffoldError(message)
    current = int(str(found))
    if current > template.version:
        message = (
            f"{folder.name} was written by a newer Pegboard (version {current} of the template, "
            f"here it is {template.version}): pip install --upgrade 'pegboard[author]'."
        )
        raise ScaffoldError(message)
    return current


def _require_clean(folder: Path) -> None:
    try:
        changes = git(folder, "status", "--porcelain", "--", ".", own=True)
    except ScaffoldError as error:
        message = (
            f"{folder} is in no repository of git, which keeps your changes apart from the "
            f"template's. Run git init, commit all, and try again. ({error})"
        )
        raise ScaffoldError(message) from error
    if changes:
        message = f"commit or stash your changes first:\n{changes.rstrip()}"
        raise ScaffoldError(message)
    git(folder, "var", "GIT_COMMITTER_IDENT", own=True)  # says how to configure a name


def _apply(folder: Path, scratch: Path, version: int) -> None:
    """Merge what the template changes in one step into the files of the plugin."""
    import copier  # noqa: PLC0415 - only those who write plugins have it

    try:
        # The answers name the template by a relative path, as it is elsewhere each time.
        with contextlib.chdir(scratch):
            copier.run_update(
                folder,
                {"pegboard": version_of("pegboard")},
                vcs_ref=str(version),
                defaults=True,
                overwrite=True,
                quiet=True,
            )
    except copier.errors.CopierError as error:
        message = f"copier cannot update {folder}: {error}"
        raise ScaffoldError(message) from error


def _conflicts(folder: Path) -> list[str]:
    listed = git(folder, "diff", "--name-only", "--relative", "--diff-filter=U", own=True)
    return sorted(set(listed.splitlines()))
