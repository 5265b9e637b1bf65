"""Merging a step of the template into a plugin.

It is done in a copy, in which lines end as those of the template do, whatever git makes of them in
the folder of the plugin: else each line would differ from the template's.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from pegboard.scaffold.errors import ScaffoldError
from pegboard.scaffold.git import git

REPOSITORY = "pegboard-template"
"""What the answers call the template: a folder, relative to where an update runs."""

_UNMERGED = re.compile(
    rb"^<{7} before updating\r?$.*^>{7} after updating\r?$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Conflicts:
    """The files in which a step met changes of the author's."""

    changed: list[str]
    """Both changes stand in them."""
    removed: list[str]
    """The step removes them; they are still there."""


def find_unmerged(folder: Path) -> list[str]:
    """Return the files of a plugin in which both changes of an earlier update still stand."""
    return [name for name, data in _read_tracked(folder).items() if _UNMERGED.search(data)]


def merge_step(folder: Path, scratch: Path, version: int, answers: Mapping[str, Any]) -> Conflicts:
    """Merge what the template changes in one step into the files of the plugin.

    `scratch` has the `REPOSITORY` of the template. Raises `ScaffoldError` if copier refuses.
    """
    copy = scratch / f"plugin-{version}"
    originals = _read_tracked(folder)
    before = {name: _as_lines(data) for name, data in originals.items()}
    for name, data in before.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(data)
    _begin(copy)
    _update(copy, scratch, version)
    changed = git(copy, "diff", "--name-only", "--diff-filter=U", "-z").split("\0")
    after = _read_all(copy)
    gone = before.keys() - after.keys()
    kept = _edited(gone, before, scratch, version - 1, answers) if gone else []
    for name in gone - set(kept):
        (folder / name).unlink()
        _remove_empty(folder, Path(name).parent)
    ends = _ends_in(originals.get("pyproject.toml", b""))
    for name, data in after.items():
        if before.get(name) != data:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            own = _ends_in(originals[name]) if name in originals else ends
            (folder / name).write_bytes(data.replace(b"\n", own))
    return Conflicts(sorted({*changed} - {""}), sorted(kept))


def _read_tracked(folder: Path) -> dict[str, bytes]:
    """Return the content of the files that git knows; a link is as good as no file."""
    names = git(folder, "ls-files", "-z", "--", ".", own=True).split("\0")
    return {
        name: (folder / name).read_bytes()
        for name in names
        if name and (folder / name).is_file() and not (folder / name).is_symlink()
    }


def _read_all(copy: Path) -> dict[str, bytes]:
    return {
        path.relative_to(copy).as_posix(): path.read_bytes()
        for path in copy.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(copy).parts[:1]
    }


def _ends_in(data: bytes) -> bytes:
    """Return how all lines end; of mixed ends each is kept."""
    return b"\r\n" if 0 < data.count(b"\n") == data.count(b"\r\n") else b"\n"


def _as_lines(data: bytes) -> bytes:
    return data.replace(_ends_in(data), b"\n")


def _begin(copy: Path) -> None:
    """Make the copy a repository, in which git leaves all files as they are."""
    git(copy, "init", "--quiet")
    git(copy, "config", "core.autocrlf", "false")
    (copy / ".git/info").mkdir(exist_ok=True)
    # This comes before what a .gitattributes says.
    (copy / ".git/info/attributes").write_text("* -text -filter -ident\n", "utf-8")
    git(copy, "add", "--all", "--force", ".")
    git(copy, "commit", "--quiet", "--no-verify", "--message", "The plugin")


def _update(copy: Path, scratch: Path, version: int) -> None:
    import copier  # noqa: PLC0415 - only those who write plugins have it

    try:
        # The answers name the template by a relative path, as it is elsewhere each time.
        with contextlib.chdir(scratch):
            copier.run_update(
                copy,
                {"pegboard": version_of("pegboard")},
                vcs_ref=str(version),
                defaults=True,
                overwrite=True,
                quiet=True,
            )
    except copier.errors.CopierError as error:
        message = f"copier cannot update the plugin: {error}"
        raise ScaffoldError(message) from error


def _edited(
    gone: set[str],
    before: Mapping[str, bytes],
    scratch: Path,
    version: int,
    answers: Mapping[str, Any],
) -> list[str]:
    """Return which files are not as the version of the template before wrote them."""
    import copier  # noqa: PLC0415 - as above

    written = scratch / f"written-{version}"
    copier.run_copy(
        str(scratch / REPOSITORY),
        written,
        {name: value for name, value in answers.items() if not name.startswith("_")},
        vcs_ref=str(version),
        defaults=True,
        quiet=True,
    )
    return [
        name
        for name in gone
        if (written / name).is_file() and (written / name).read_bytes() != before[name]
    ]


def _remove_empty(folder: Path, inner: Path) -> None:
    """Remove the folders that are empty, from the innermost on."""
    with contextlib.suppress(OSError):
        while inner.name:
            (folder / inner).rmdir()
            inner = inner.parent
