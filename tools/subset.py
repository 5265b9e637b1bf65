"""Install the plugins that the name of a tox environment lists, or run the tests that apply.

`py311-core-items-ratelimit` is the core with these two plugins and no other.
"""

import subprocess
import sys
from collections.abc import Iterable, Sequence

FIRST = "py311"
"""The interpreter on which every suite runs in every company."""


def plugins_of(environment: str) -> list[str]:
    """Return the plugins that the environment's name lists."""
    return environment.split("-")[2:]


def install(environment: str, options: Sequence[str]) -> int:
    """Install the core and the plugins, each as its users get it; returns the exit status."""
    folders = ["./core[testing]", *(f"./plugins/{name}" for name in plugins_of(environment))]
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-build-isolation"]
    return subprocess.run([*pip, *options, *folders], check=False).returncode


def suites(environment: str) -> Iterable[tuple[str, str]]:
    """Yield each suite that applies: its name and its folder."""
    plugins = plugins_of(environment)
    # A plugin's own tests say what it does alone; on one interpreter also what it does in company.
    if len(plugins) <= 1 or environment.startswith(FIRST):
        yield from ((name, f"plugins/{name}/tests") for name in plugins)
    if not plugins:
        yield "core", "core/tests"
    yield "combination", "tests/test_combinations.py"


def test(environment: str, options: Sequence[str]) -> int:
    """Run the suites; returns the exit status."""
    runner = ["-m", "pytest"]
    # Coverage is measured once for each suite: it doubles the time of the tests.
    if environment.startswith(FIRST) and len(plugins_of(environment)) <= 1:
        runner = ["-m", "coverage", "run", *runner]
    status = 0
    for name, folder in suites(environment):
        report = f"--junit-xml=.tox/reports/{environment}-{name}.xml"
        command = [sys.executable, *runner, report, "-m", "not slow", folder, *options]
        status |= subprocess.run(command, check=False).returncode
    return status


if __name__ == "__main__":
    verb, name, *rest = sys.argv[1:]
    sys.exit(install(name, rest) if verb == "install" else test(name, rest))
