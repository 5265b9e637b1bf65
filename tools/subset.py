"""Install the plugins that the name of a tox environment lists, or run the tests that apply.

`py311-core-items-ratelimit` is the core with these two plugins and no other.
"""

import subprocess
import sys
from collections.abc import Sequence

import projects
import wheels

FIRST = "py311"
"""The interpreter for coverage, for exploring models, and for every plugin beside all others."""

INTERPRETERS = ("py311", "py312", "py313")
"""The interpreters of tox.ini, oldest first; the newest that is installed runs every test."""

EXPLORATIONS = "protocol_model or every_interleaving"
"""The tests that explore every order of steps: the same on each interpreter, and long."""

PROCESSES = ("-n", "2", "--dist", "worksteal")
"""Options for suites: one process alone would wait for servers and other processes for long."""


def plugins_of(environment: str) -> list[str]:
    """Return the plugins that the environment's name lists."""
    return environment.split("-")[2:]


def install(environment: str, options: Sequence[str]) -> int:
    """Install the core and the plugins, each as its users get it; returns the exit status."""
    return wheels.install(["core", *plugins_of(environment)], options)


def suites(environment: str) -> list[str]:
    """Return the folders of the suites that apply, and the test of the combination."""
    plugins = plugins_of(environment)
    found = ["tests/test_combinations.py"]
    if not plugins:
        found.append("core/tests")
    is_everything = len(plugins) == len(projects.folders()) - 1
    if len(plugins) == 1 or (is_everything and environment.startswith(FIRST)):
        found += [f"plugins/{name}/tests" for name in plugins]
    return found


def is_newest(environment: str) -> bool:
    """Return whether no newer interpreter of tox.ini is installed."""
    place = INTERPRETERS.index(environment.partition("-")[0])
    return not any(_starts(f"python3.{name[3:]}") for name in INTERPRETERS[place + 1 :])


def _starts(program: str) -> bool:
    """Return whether the interpreter is there; a shim of pyenv may be, and start nothing."""
    try:
        return not subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode
    except FileNotFoundError:
        return False


def test(environment: str, options: Sequence[str]) -> int:
    """Run the suites; returns the exit status. A `-k` among the options replaces the selection."""
    found = suites(environment)
    command = ["-m", "pytest", f"--junit-xml=.tox/reports/{environment}.xml"]
    if len(found) > 1:
        command += PROCESSES
    left_out = []
    if is_newest(environment):
        command += ["-m", "not slow"]
    else:
        command += ["-m", "not slow and not faults"]
        left_out.append("postgresql")
    if environment.startswith(FIRST) and len(plugins_of(environment)) <= 1:
        # Each suite runs here once: that is enough for what takes time.
        command = ["-m", "coverage", "run", *command]
        left_out = [f"{name} and not ({EXPLORATIONS})" for name in left_out]
    else:
        left_out.append(EXPLORATIONS)
    if left_out:
        command += ["-k", f"not ({' or '.join(left_out)})"]
    done = subprocess.run([sys.executable, *command, *found, *options], check=False)
    return done.returncode


if __name__ == "__main__":
    verb, name, *rest = sys.argv[1:]
    sys.exit(install(name, rest) if verb == "install" else test(name, rest))
