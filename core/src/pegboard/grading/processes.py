"""Running a tool of Python in a process of its own, with a limit of time."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pegboard.grading.errors import Unavailable
from pegboard.grading.subject import Subject


@dataclass(frozen=True)
class Done:
    """A process that has ended."""

    status: int
    output: str
    errors: str


def run_python(
    subject: Subject,
    arguments: Sequence[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Done:
    """Run this Python with arguments; the plugin can be imported there as here.

    Raises `Unavailable` when the time of the plugin's options is over; what it started is ended
    with it.
    """
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=folder,
        env={**os.environ, "PYTHONPATH": _import_path(subject), **(environment or {})},
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=subject.options.timeout)
    except BaseException as error:
        _end(process)
        if isinstance(error, subprocess.TimeoutExpired):
            message = f"ended after {subject.options.timeout} seconds (timeout)"
            raise Unavailable(message) from error
        raise
    return Done(process.returncode, output, errors)


def _import_path(subject: Subject) -> str:
    """Return a PYTHONPATH by which the plugin is found, wherever this process finds it."""
    own = str(subject.folder.parent)
    given = os.environ.get("PYTHONPATH", "")
    # What is in site-packages is found by itself; mypy refuses to be told of it.
    paths = [given] if "site-packages" in subject.folder.parts else [own, given]
    return os.pathsep.join(filter(None, paths))


def _end(process: "subprocess.Popen[str]") -> None:
    """Kill a process and what it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
    process.communicate()
