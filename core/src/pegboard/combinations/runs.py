"""Running a command for one combination of plugins, with its output in a file."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

COMMAND = (sys.executable, "-m", "tox", "run", "-e", "{environment}")
"""What is run where nothing else is given."""

NOT_SET_UP = -1000
"""Returned instead of an exit status where tox has run no command, as there is no environment.

It is no exit status, and not the number of a signal.
"""


class Runner:
    """Runs a command for sets of plugins; what it prints is kept in a folder."""

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        environment: Callable[[frozenset[str]], str],
        tell: Callable[[str], None],
    ) -> None:
        """Prepare it; `environment` returns the name of a set's environment."""
        self._command = command
        self._directory = directory
        self._environment = environment
        self._tell = tell
        # A report of its own is where the command says, and is not read.
        is_reporting = any(word.startswith("--result-json") for word in command)
        self._is_tox = "tox" in {Path(word).stem for word in command} and not is_reporting
        self.logs = Path(tempfile.mkdtemp(prefix="pegboard-shrink-"))
        """The folder with the output of each run."""
        self._count = 0

    def __call__(self, plugins: frozenset[str]) -> int:
        """Run it, and return its exit status or `NOT_SET_UP`. Raises `OSError` if it cannot start.

        `{environment}` and `{plugins}` in its words are replaced; `PEGBOARD_TEST_SUBSET` has the
        plugins as well. tox does not skip an environment whose Python is missing.
        """
        self._count += 1
        names = sorted(plugins)
        name = self._environment(plugins)
        words = [
            word.replace("{environment}", name).replace("{plugins}", ",".join(names))
            for word in self._command
        ]
        log, report = (self.logs / f"{self._count:03}.{kind}" for kind in ("log", "json"))
        self._tell(f"run {self._count}: {', '.join(names) or 'no plugin'} ({log})")
        status = self._run(words, names, log, report)
        if self._is_tox and not _has_run(report, name, status):
            status = NOT_SET_UP
        self._tell(f"run {self._count} {_outcome(status)}")
        return status

    def _run(self, words: Sequence[str], names: Sequence[str], log: Path, report: Path) -> int:
        # tox reads its options from variables as well, also behind another program.
        variables = {
            "PEGBOARD_TEST_SUBSET": " ".join(names),
            "TOX_RESULT_JSON": str(report),
            "TOX_SKIP_MISSING_INTERPRETERS": "false",
        }
        with log.open("w") as output:
            output.write(f"$ {shlex.join(words)}\n")
            output.flush()
            done = subprocess.run(
                words,
                cwd=self._directory,
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        return done.returncode


def _has_run(report: Path, environment: str, status: int) -> bool:
    """Return whether tox has run commands, or has none to run, by the report that it writes."""
    try:
        found = json.loads(report.read_text(encoding="utf-8"))["testenvs"].get(environment, {})
    except FileNotFoundError:
        return False
    is_skipped = bool(found.get("result", {}).get("skipped"))
    return bool(found.get("test")) or (status == 0 and not is_skipped)


def _outcome(status: int) -> str:
    if status == NOT_SET_UP:
        return "could not be set up"
    return f"failed with {status}" if status else "passed"
