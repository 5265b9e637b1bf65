"""Install the plugins that the name of a tox environment lists, or run the tests that apply.

`py311-core-items-ratelimit` is the core with these two plugins and no other.
"""

import subprocess
import sys
from collections.abc import Sequence

import projects
import wheels

MEASURED = "py311"
"""The interpreter on which coverage is measured, and plugins are tested beside all others."""

MODELS = "py313-core-cache_redis"
"""The environment that explores models: they are tests of an idea, not of what is installed."""


def plugins_of(environment: str) -> list[str]:
    """Return the plugins that the environment's name lists."""
    return environment.split("-")[2:]


def install(environment: str, options: Sequence[str]) -> int:
    """Install the core and the plugins, each as its users get it; returns the exit status."""
    return wheels.install(["core", *plugins_of(environment)], options)


def suites(environment: str) -> list[str]:
    """Return the folders of the suites that apply, and the test of the combination."""
    plugins = plugins_of(environment)
    everything = len(plugins) == len(projects.folders()) - 1
    folders = ["tests/test_combinations.py"]
    if not plugins:
        folders.append("core/tests")
    if len(plugins) == 1 or (everything and environment.startswith(MEASURED)):
        folders += [f"plugins/{name}/tests" for name in plugins]
    return folders


def test(environment: str, options: Sequence[str]) -> int:
    """Run the suites; returns the exit status."""
    runner = ["-m", "pytest"]
    # Once for each suite is enough: it takes time.
    if environment.startswith(MEASURED) and len(plugins_of(environment)) <= 1:
        runner = ["-m", "coverage", "run", *runner]
    report = f"--junit-xml=.tox/reports/{environment}.xml"
    selected = "not slow" if environment == MODELS else "not slow and not model"
    command = [*runner, report, "-m", selected, *suites(environment), *options]
    return subprocess.run([sys.executable, *command], check=False).returncode


if __name__ == "__main__":
    verb, name, *rest = sys.argv[1:]
    sys.exit(install(name, rest) if verb == "install" else test(name, rest))
