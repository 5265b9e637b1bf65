"""Install the plugins of a combination, or run the tests that apply.

tox-pegboard makes an environment for each subset of the plugins, and says in `PEGBOARD_TEST_SUBSET`
which one it is: the core with these and no other.
"""

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence

import bytecode
import projects
import wheels

PROCESSES = ("-n", "2", "--dist", "worksteal")
"""Options for suites: one process alone would wait for servers and other processes for long."""

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


def matrix() -> dict[str, list[str]]:
    """Return the table of `pyproject.toml` that says what is tested."""
    text = (projects.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table: dict[str, list[str]] = tomllib.loads(text)["tool"]["pegboard"]["matrix"]
    return table


def interpreters() -> list[str]:
    """Return the versions of Python that are tested, oldest first.

    The newest that is installed runs the suites of the core and of each plugin as well. On the
    first these are left to `lowest`.
    """
    return matrix()["pythons"]


def plugins() -> list[str]:
    """Return the plugins of this environment."""
    return os.environ["PEGBOARD_TEST_SUBSET"].split()


def install(options: Sequence[str]) -> int:
    """Install the core and the plugins, each as its users get it; returns the exit status."""
    return wheels.install(["core", *plugins()], options)


def suites() -> list[str]:
    """Return the test of the combination, and the folder of the suite that runs here."""
    found = ["tests/test_combinations.py"]
    if is_newest():
        match plugins():
            case []:
                found.append("core/tests")
            case [name]:
                found.append(f"plugins/{name}/tests")
    return found


def is_newest() -> bool:
    """Return whether no newer interpreter that is tested is installed."""
    versions = interpreters()
    return not any(_starts(f"python{one}") for one in versions[versions.index(RUNNING) + 1 :])


def _starts(program: str) -> bool:
    """Return whether the interpreter is there; a shim of pyenv may be, and start nothing."""
    try:
        return not subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode
    except FileNotFoundError:
        return False


def test(options: Sequence[str]) -> int:
    """Run the suites; returns the exit status. A `-k` among the options replaces the selection."""
    found = suites()
    command = ["-m", "pytest", f"--junit-xml=.tox/reports/{os.environ['TOX_ENV_NAME']}.xml"]
    if len(found) > 1:
        command += [*PROCESSES, "-m", "not slow"]
    if not (is_newest() and plugins()):
        command += ["-k", "not postgresql"]
    done = subprocess.run([sys.executable, *command, *found, *options], check=False)
    bytecode.give()
    return done.returncode


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    sys.exit(install(rest) if verb == "install" else test(rest))
