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

BETWEEN = ("py312",)
"""The interpreters between the oldest and the newest, on which less is run."""

EXPLORATIONS = "protocol_model or every_interleaving"
"""The tests that explore every order of steps: the same on each interpreter, and long."""


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


def test(environment: str, options: Sequence[str]) -> int:
    """Run the suites; returns the exit status. A `-k` among the options replaces the selection."""
    is_between = environment.startswith(BETWEEN)
    marks = "not slow and not faults" if is_between else "not slow"
    left_out = f"{EXPLORATIONS} or postgresql" if is_between else EXPLORATIONS
    command = ["-m", "pytest", f"--junit-xml=.tox/reports/{environment}.xml", "-m", marks]
    if environment.startswith(FIRST) and len(plugins_of(environment)) <= 1:
        # Each suite runs here once: that is enough for what takes time.
        command = ["-m", "coverage", "run", *command]
    else:
        command += ["-k", f"not ({left_out})"]
    done = subprocess.run([sys.executable, *command, *suites(environment), *options], check=False)
    return done.returncode


if __name__ == "__main__":
    verb, name, *rest = sys.argv[1:]
    sys.exit(install(name, rest) if verb == "install" else test(name, rest))
