"""Running a command for one combination of plugins, with its output in a file."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

COMMAND = (sys.executable, "-m", "tox", "run", "-e", "{environment}")
"""What is run where nothing else is given."""


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
        self.logs = Path(tempfile.mkdtemp(prefix="pegboard-shrink-"))
        """The folder with the output of each run."""
        self._count = 0

    def __call__(self, plugins: frozenset[str]) -> int:
        """Run it, and return its exit status. Raises `OSError` if it cannot be started.

        `{environment}` and `{plugins}` in its words are replaced; `PEGBOARD_TEST_SUBSET` has the
        plugins as well.
        """
        self._count += 1
        names = sorted(plugins)
        name = self._environment(plugins)
        words = [
            word.replace("{environment}", name).replace("{plugins}", ",".join(names))
            for word in self._command
        ]
        log = self.logs / f"{self._count:03}.log"
        with log.open("w") as output:
            output.write(f"$ {shlex.join(words)}\n")
            output.flush()
            done = subprocess.run(
                words,
                cwd=self._directory,
                env={**os.environ, "PEGBOARD_TEST_SUBSET": " ".join(names)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        status = done.returncode
        outcome = "passed" if not status else f"failed with {status}"
        self._tell(f"{outcome}: {', '.join(names) or 'no plugin'} ({log})")
        return status
