"""The console script `pegboard`: run the command, or say which distribution prevents its import.

Flask and Alembic read the entry points of all installed distributions, and `importlib.metadata`
raises an error for all of them if one file is broken, without naming it. This module is outside of
the package, whose import may fail.
"""

import gc
import signal
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions, entry_points
from pathlib import Path
from time import perf_counter

FILE = "entry_points.txt"

import_seconds = 0.0
"""How long the import of Pegboard took."""


def main() -> None:
    """Run the command `pegboard`."""
    if "serve" in sys.argv:
        ignore_signals()
    # What is imported stays: to look at it for garbage took a fifth of the time of the imports, and
    # would be done again by each process that is forked.
    gc.disable()
    began = perf_counter()
    try:
        entry_points()
        from pegboard.cli import main as run  # noqa: PLC0415 - importing it may fail
    except Exception:
        problems = [*find_unreadable()]
        if not problems:
            raise
        noun = "problem" if len(problems) == 1 else "problems"
        sys.exit(
            "\n".join((f"Error: the service cannot start, {len(problems)} {noun}:", *problems))
        )
    finally:
        gc.enable()
        global import_seconds  # noqa: PLW0603 - of the one process that runs the command
        import_seconds = perf_counter() - began
    gc.freeze()
    run()


def ignore_signals() -> None:
    """Ignore the signals that `pegboard serve` handles later, and that would end it before.

    Workers read everything anew when they start, so nothing is lost of a reload that was asked for.
    """
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def find_unreadable() -> Iterator[str]:
    """Yield a problem, as text, for each installed distribution whose entry points are unreadable.

    Its code is `Code.ENTRY_POINTS_UNREADABLE`, which cannot be imported here.
    """
    seen: set[Path] = set()
    for distribution in distributions():
        folder = Path(str(getattr(distribution, "_path", distribution))).resolve()
        if folder in seen:
            continue  # the folder is on the import path twice
        seen.add(folder)
        try:
            _ = distribution.entry_points
        except Exception as error:  # noqa: BLE001 - what a broken file leads to differs between releases of Python
            name = folder.stem.partition("-")[0]
            yield (
                f"  - {folder / FILE}: {_describe(distribution, error)} "
                f"[PB_ENTRY_POINTS_UNREADABLE]\n"
                f"    Install {name} anew, or uninstall it; if its build wrote the file so, "
                f"correct the entry points in its source."
            )


def _describe(distribution: Distribution, error: Exception) -> str:
    """Return what is wrong with a distribution's entry points, with the line if it is known."""
    if isinstance(error, UnicodeDecodeError):
        line = error.object.count(b"\n", 0, error.start) + 1
        return f"line {line} is not UTF-8"
    is_in_group = False
    text = distribution.read_text(FILE) or ""
    for number, line_text in enumerate(map(str.strip, text.splitlines()), start=1):
        if line_text.startswith("[") and line_text.endswith("]"):
            is_in_group = True
        elif is_in_group and line_text and not line_text.startswith("#") and "=" not in line_text:
            return f"line {number} is {line_text!r}, without a ="
    return f"{type(error).__name__}: {error}"
