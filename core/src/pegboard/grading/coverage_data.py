"""How much of a plugin its tests execute."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pegboard.grading.errors import Unavailable
from pegboard.grading.processes import run_python
from pegboard.grading.subject import Subject

_SETTINGS = """[run]
branch = true
parallel = true
patch = subprocess
source_pkgs = {package}
data_file = {folder}/data
disable_warnings = no-data-collected, module-not-imported
[paths]
package =
    {installed}
    */{package}
    {package}
[report]
exclude_lines =
    ^\\s*if (typing\\.)?TYPE_CHECKING:
    ^\\s*(typing\\.)?assert_never\\(
    ^\\s*\\.\\.\\.$
"""

_REVISION = re.compile(rb"^down_revision\b", re.MULTILINE)


@dataclass(frozen=True)
class Coverage:
    """The coverage of a plugin's package."""

    percent: float
    """Of lines and branches together."""
    poorest: tuple[str, ...]
    """The modules with the most lines that no test executes, each with how much is covered."""


def settings_file(subject: Subject, folder: Path) -> Path:
    """Write the settings of coverage for a plugin into a folder, where it puts its data, too."""
    path = folder / "coveragerc"
    text = _SETTINGS.format(package=subject.package, folder=folder, installed=subject.folder)
    path.write_text(text, encoding="utf-8")
    return path


def combine(subject: Subject, data: Sequence[Path], folder: Path) -> Coverage | None:
    """Return what the files of data say together of a plugin; None if they say nothing of it.

    The files stay as they are; `folder` is for what is made of them.
    """
    settings = f"--rcfile={settings_file(subject, folder)}"
    files = [str(file.resolve()) for file in data]
    if not files:
        return None
    whole, report = folder / "whole", folder / "coverage.json"
    into = ["--keep", "--quiet", settings, f"--data-file={whole}"]
    done = run_python(subject, ["-m", "coverage", "combine", *into, *files])
    if "No module named coverage" in done.errors:
        message = "needs coverage: pip install 'pegboard[author]'"
        raise Unavailable(message)
    # Each module is named: one that was left out of a run has no data, and would not be there.
    modules = [str(path) for path in subject.modules if not _is_revision(path)]
    options = [settings, f"--data-file={whole}", f"-o{report}", "-q"]
    run_python(subject, ["-m", "coverage", "json", *options, *modules])
    if not report.exists():
        return None
    found = json.loads(report.read_text(encoding="utf-8"))
    lacking = sorted(found["files"].items(), key=lambda item: -item[1]["summary"]["missing_lines"])
    poorest = tuple(
        f"{Path(name).name} {one['summary']['percent_covered']:.0f} %"
        for name, one in lacking[:3]
        if one["summary"]["missing_lines"]
    )
    return Coverage(found["totals"]["percent_covered"], poorest)


def _is_revision(path: Path) -> bool:
    """Return whether Alembic runs a file: not as a module of the package, and so unmeasured."""
    return _REVISION.search(path.read_bytes()) is not None
