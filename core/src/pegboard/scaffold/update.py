"""Bringing a plugin up to date with the template, one commit for each step."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pegboard.scaffold.errors import CLEAN, RESTORE, ConflictError, ScaffoldError
from pegboard.scaffold.git import git
from pegboard.scaffold.merge import REPOSITORY, find_unmerged, merge_step
from pegboard.scaffold.pin import accept_core
from pegboard.scaffold.versions import Template, shipped_template

ANSWERS = ".copier-answers.yml"


@dataclass(frozen=True)
class Step:
    """One step that has been committed."""

    version: int
    """The version of the template that the plugin is at."""
    title: str
    """What it changes: the subject of the commit."""


def update(
    folder: Path, *, template: Template = shipped_template, verify: bool = True
) -> Iterator[Step]:
    """Bring the plugin in a folder up to date, and yield each step once it is committed.

    The first step is that it accepts the Pegboard that is installed, if that is too new for it.
    What its author has changed stays. Raises `ConflictError` where a step changes it as well, after
    the steps before have been committed; `ScaffoldError` where nothing can be done: the folder is
    none that `pegboard new` wrote, git has changes of it that are not committed, or cannot commit.
    Without `verify`, no hook of git is asked.
    """
    folder = folder.resolve()
    current = _version_of(_read_answers(folder), folder, template)
    _require_clean(folder)
    pin = Step(current, f"Accept pegboard {version_of('pegboard')}")
    with _whole_or_nothing(folder):
        if is_pinned := accept_core(folder, version_of("pegboard")):
            _answer_core(folder, version_of("pegboard"))
            _commit(folder, pin, verify=verify)
    if is_pinned:
        yield pin
    if current == template.version:
        return
    with TemporaryDirectory(prefix="pegboard-update-") as scratch:
        template.write_repository(Path(scratch) / REPOSITORY)
        for version in range(current + 1, template.version + 1):
            step = Step(version, template.title_of(version))
            with _whole_or_nothing(folder):
                found = merge_step(folder, Path(scratch), version, _read_answers(folder))
                if found.changed or found.removed:
                    raise ConflictError(step.title, found.changed, found.removed)
                _commit(folder, step, verify=verify)
            yield step


@contextlib.contextmanager
def _whole_or_nothing(folder: Path) -> Iterator[None]:
    """Restore what is committed if a step fails, unless its author has to look at it."""
    try:
        yield
    except ConflictError:
        raise
    except BaseException:
        git(folder, *RESTORE, own=True)
        git(folder, *CLEAN, own=True)
        raise


def _commit(folder: Path, step: Step, *, verify: bool) -> None:
    try:
        git(folder, "add", "--all", ".", own=True)
        options = [] if verify else ["--no-verify"]
        git(folder, "commit", "--quiet", *options, "--message", step.title, "--", ".", own=True)
    except ScaffoldError as error:
        message = (
            f"{step.title!r} cannot be committed, and nothing of it is left: {error}\n"
            "Fix the cause, and run pegboard new --update again. If a hook of git refuses what the "
            "template writes, run pegboard new --update --no-verify, and change that afterwards."
        )
        raise ScaffoldError(message) from error


def _answer_core(folder: Path, core: str) -> None:
    """Write into the answers of which Pegboard the plugin is."""
    import yaml  # noqa: PLC0415 - copier requires it

    path = folder / ANSWERS
    line = yaml.safe_dump({"pegboard": core}).strip().encode()
    path.write_bytes(re.sub(rb"(?m)^pegboard:[^\r\n]*", line, path.read_bytes()))


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
        asked = ("status", "--porcelain", "--untracked-files=normal", "--", ".")
        changes = git(folder, *asked, own=True)
    except ScaffoldError as error:
        message = (
            f"{folder} is in no repository of git, which keeps your changes apart from the "
            f"template's. Run git init, commit all, and try again. ({error})"
        )
        raise ScaffoldError(message) from error
    if changes:
        message = f"commit or stash your changes first:\n{changes.rstrip()}"
        raise ScaffoldError(message)
    if unmerged := find_unmerged(folder):
        listed = "".join(f"\n  {name}" for name in unmerged)
        message = (
            "in these both changes of an earlier update still stand, between <<<<<<< and >>>>>>>; "
            f"keep what is right, commit, and run it again:{listed}"
        )
        raise ScaffoldError(message)
    git(folder, "var", "GIT_COMMITTER_IDENT", own=True)  # says how to configure a name
