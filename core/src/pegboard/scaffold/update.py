"""Bringing a plugin up to date with the template, one commit for each step."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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
    current = _version_of(_read_answers(folder), folder, template)
    _require_clean(folder)
    if current == template.version:
        return
    with TemporaryDirectory(prefix="pegboard-update-") as scratch:
        template.write_repository(Path(scratch) / REPOSITORY)
        for version in range(current + 1, template.version + 1):
            title = template.title_of(version)
            answers = _read_answers(folder)
            _apply(folder, Path(scratch), version)
            removed = _restore_edited(folder, Path(scratch), version - 1, answers)
            changed = _listed(folder, "U")
            if changed or removed:
                raise ConflictError(title, changed, removed)
            git(folder, "add", "--all", ".", own=True)
            git(folder, "commit", "--quiet", "--message", title, "--", ".", own=True)
            yield Step(version, title)


def _read_answers(folder: Path) -> dict[str, Any]:
    """Return what the plugin's author has answered, and at which version the plugin is."""
    path = folder / ANSWERS
    if not path.is_file():
        message = (
            f"{folder} has no {ANSWERS}: only what pegboard new wrote can be brought up to date. "
            "Run it in the folder of the plugin, or name that by --into."
        )
        raise ScaffoldError(message)
    import yaml  # noqa: PLC0415 - copier requires it

    try:
        answers = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read: {error}"
        raise ScaffoldError(message) from error
    return answers if isinstance(answers, dict) else {}


def _version_of(answers: Mapping[str, Any], folder: Path, template: Template) -> int:
    found = str(answers.get("_commit"))
    if not found.isdecimal() or int(found) < 1:
        message = (
            f"{folder / ANSWERS} does not say at which version of the template the plugin is "
            "(_commit)."
        )
        raise ScaffoldError(message)
    current = int(found)
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


def _restore_edited(
    folder: Path, scratch: Path, version: int, answers: Mapping[str, Any]
) -> list[str]:
    """Restore the removed files that are not as the version of the template before wrote them."""
    removed = _listed(folder, "D", "HEAD")
    if not removed:
        return []
    import copier  # noqa: PLC0415 - as above

    before = scratch / f"written-{version}"
    given = {name: value for name, value in answers.items() if not name.startswith("_")}
    copier.run_copy(
        str(scratch / REPOSITORY),
        before,
        given,
        vcs_ref=str(version),
        defaults=True,
        quiet=True,
    )
    edited = [
        name
        for name in removed
        if (before / name).is_file()
        and (before / name).read_text("utf-8") != git(folder, "show", f"HEAD:./{name}", own=True)
    ]
    if edited:
        git(folder, "checkout", "HEAD", "--", *edited, own=True)
    return edited


def _listed(folder: Path, state: str, *since: str) -> list[str]:
    """Return the files that are in a state (of `git diff --diff-filter`) since a commit."""
    listed = git(
        folder,
        *("-c", "core.quotePath=false", "diff", "--name-only", "--relative", "--no-renames"),
        *(f"--diff-filter={state}", *since, "--", "."),
        own=True,
    )
    return sorted(set(listed.splitlines()))
