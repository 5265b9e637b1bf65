"""Why the revision files of a history cannot be used: each mistake with its file and line."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from traceback import walk_stack, walk_tb
from types import ModuleType

from alembic.script.base import Script
from alembic.util import load_python_file

from pegboard.callables import answers_at_once
from pegboard.migrations.histories import History
from pegboard.problems import Code, Problem


@dataclass(frozen=True)
class _Revision:
    """What a revision file says of itself."""

    id: str
    follows: tuple[str, ...]
    depends: tuple[str, ...]
    path: Path


def find_revision_faults(history: History) -> list[Problem]:
    """Return every mistake of the files that keeps Alembic from reading them.

    It runs each file, as Alembic does.
    """
    faults: list[Problem] = []
    revisions: list[_Revision] = []
    for path in revision_files(history):
        try:
            revisions.append(_read(path))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a revision file may fail in any way
            faults.append(_unreadable(history, path, error))
    faults += _doubled(history, revisions)
    if not faults:  # else what seems to be missing may be in a file that cannot be read
        faults += _missing(history, revisions)
        faults += _circle(history, revisions)
    return faults


def find_step_faults(history: History, scripts: Iterable[Script]) -> Iterator[Problem]:
    """Yield a problem for each upgrade() and downgrade() that Alembic cannot run.

    It notices too late, or takes a revision for applied of which nothing has been done.
    """
    for script in sorted(scripts, key=lambda one: one.path):
        for name in ("upgrade", "downgrade"):
            step = getattr(script.module, name, None)
            if isinstance(step, type) or not answers_at_once(step, lambda: None):
                yield _step_fault(history, script, name, step)


def _step_fault(history: History, script: Script, name: str, step: object) -> Problem:
    place = _place(history, Path(script.path), _line_of_function(Path(script.path), name))
    if step is None:
        summary = f"the revision {script.revision} has no {name}(), at {place}"
        hint = f"Write def {name}(): with pass where there is nothing to do."
        return _fault(history, summary, hint)
    return _fault(
        history,
        f"the {name} of the revision {script.revision} is no plain function without arguments, "
        f"at {place}",
        f"Write def {name}(): it gets no arguments, and is neither awaited nor iterated.",
    )


def places_of(history: History, revisions: Iterable[str]) -> str:
    """Return the files and lines of revisions that can be read: `shop/migrations/a.py:3 and ...`.

    It runs each file, as Alembic does.
    """
    found = [_read(path) for path in revision_files(history)]
    wanted = {*revisions}
    return " and ".join(
        _place(history, one.path, _line_of(one.path, "revision"))
        for one in sorted(found, key=lambda one: one.id)
        if one.id in wanted
    )


def running_line(history: History) -> str:
    """Return which line of a revision of the history is being run, as in `shop/migrations/a.py:3`.

    It is empty outside of revisions.
    """
    for frame, line in walk_stack(None):
        path = Path(frame.f_code.co_filename)
        if path.parent == history.versions:
            return _place(history, path, line)
    return ""


def revision_files(history: History) -> list[Path]:
    """Return the files that Alembic reads."""
    paths = history.versions.glob("*.py")
    return sorted(path for path in paths if not path.name.startswith((".#", "__init__")))


def _read(path: Path) -> _Revision:
    module = load_python_file(str(path.parent), path.name)
    name = getattr(module, "revision", None)
    if not isinstance(name, str) or not name:
        message = "it has no revision = '...', the id of the revision"
        raise ValueError(message)
    if not hasattr(module, "down_revision"):
        message = "it has no down_revision = '...', the revision that it follows, or None"
        raise ValueError(message)
    return _Revision(name, _ids(module, "down_revision"), _ids(module, "depends_on"), path)


def _ids(module: ModuleType, name: str) -> tuple[str, ...]:
    found = getattr(module, name, None) or ()
    return (found,) if isinstance(found, str) else tuple(found)


def _unreadable(history: History, path: Path, error: BaseException) -> Problem:
    lines = [
        line
        for frame, line in walk_tb(error.__traceback__)
        if Path(frame.f_code.co_filename) == path
    ]
    line = (error.lineno if isinstance(error, SyntaxError) else None) or (lines or [1])[-1]
    text = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return _fault(
        history,
        f"a revision cannot be read: {type(error).__name__}: {text}, "
        f"at {_place(history, path, line)}",
        "Fix the file.",
    )


def _doubled(history: History, revisions: Iterable[_Revision]) -> Iterator[Problem]:
    for name, found in _by_id(revisions).items():
        if len(found) > 1:
            places = " and ".join(
                _place(history, one.path, _line_of(one.path, "revision")) for one in found
            )
            yield _fault(
                history,
                f"the revision {name} is there {len(found)} times, at {places}",
                "Give each another id, and correct the down_revision of those that follow.",
            )


def _missing(history: History, revisions: Iterable[_Revision]) -> Iterator[Problem]:
    known = _by_id(revisions)
    for one in revisions:
        for name in one.follows:
            if name not in known:
                place = _place(history, one.path, _line_of(one.path, "down_revision"))
                yield _fault(
                    history,
                    f"the revision {one.id} follows {name}, which no file has, at {place}",
                    "Correct the down_revision, or bring the missing file back.",
                )
        for name in one.depends:
            if name not in known:
                place = _place(history, one.path, _line_of(one.path, "depends_on"))
                yield _fault(
                    history,
                    f"the revision {one.id} depends on {name}, which is no revision of this "
                    f"history, at {place}",
                    "Remove depends_on: that one plugin's revisions come after another's follows "
                    "from what its distribution requires.",
                )


def _circle(history: History, revisions: Iterable[_Revision]) -> Iterator[Problem]:
    known = {one.id: one for one in revisions}
    try:
        TopologicalSorter({one.id: one.follows for one in revisions}).prepare()
    except CycleError as error:
        names = error.args[1]
        start = names.index(min(names))
        names = [*names[start:-1], *names[: start + 1]]
        places = " and ".join(
            _place(history, known[name].path, _line_of(known[name].path, "down_revision"))
            for name in names[:-1]
        )
        yield _fault(
            history,
            f"revisions follow each other in a circle: {' → '.join(names)}, at {places}",
            "Correct a down_revision: that of the first revision is None.",
        )


def _fault(history: History, summary: str, hint: str) -> Problem:
    return Problem(Code.MIGRATION_INVALID, summary, hint, history.name)


def _by_id(revisions: Iterable[_Revision]) -> Mapping[str, list[_Revision]]:
    found: dict[str, list[_Revision]] = {}
    for one in revisions:
        found.setdefault(one.id, []).append(one)
    return found


def _line_of(path: Path, name: str) -> int:
    """Return the number of the line that assigns to a name; 1 if none does."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    assigns = re.compile(rf"(\w+, *)*{name}\b.*=")
    return next((number for number, line in enumerate(lines, 1) if assigns.match(line)), 1)


def _line_of_function(path: Path, name: str) -> int:
    """Return the number of the last line that defines a function; 1 if none does."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    defines = re.compile(rf"((async +)?def|class) +{name}\b|{name}\b.*=")
    return max((number for number, line in enumerate(lines, 1) if defines.match(line)), default=1)


def _place(history: History, path: Path, line: int) -> str:
    """Return a file as `shown_path` does, with a line: `shop/migrations/a.py:3`."""
    return f"{shown_path(history, path)}:{line}"


def shown_path(history: History, path: Path) -> str:
    """Return a path below the folder that holds the package of a history, for messages."""
    root = history.versions.parent
    while (root / "__init__.py").is_file() and (root.parent / "__init__.py").is_file():
        root = root.parent
    return path.relative_to(root.parent).as_posix()
