"""A plugin that was built for another core loads, or is told exactly why not."""

from typing import NamedTuple

import pytest

from pegboard import StartupError
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp

HOOK = "@pegboard.hookimpl\ndef pegboard_setup(app): ...\n"
MADE_FOR = "install a release of example-old that was made for this core"


class Old(NamedTuple):
    """A plugin of another time, and what the start says of it."""

    code: str
    problem: str
    code_of_problem: str = "PB_PLUGIN_IMPORT_FAILED"


REFUSED = {
    "a name that is in another module": Old(
        "from pegboard import Stage",
        "pegboard.Stage is pegboard.stages.Stage in this core: use that at example_old/plugin.py:2",
    ),
    "an attribute that is in another module": Old(
        "Base = pegboard.Stage",
        "pegboard.Stage is pegboard.stages.Stage in this core: use that at example_old/plugin.py:2",
    ),
    "a name that has another spelling": Old(
        "from pegboard import StartError",
        "This core has no pegboard.StartError; did you mean pegboard.StartupError?, or " + MADE_FOR,
    ),
    "a name that nothing has": Old(
        "from pegboard.stages import zzz", "This core has no pegboard.stages.zzz, or " + MADE_FOR
    ),
    "a module that has gone": Old(
        "from pegboard.fleet import Fleet", "no public module of this core: import from pegboard"
    ),
    "a name of a module that is not public": Old(
        "from pegboard.cache.keys import Key",
        "no public module of this core: import from pegboard.cache at example_old/plugin.py:2",
    ),
    "a hook that has gone": Old(
        "@pegboard.hookimpl\ndef pegboard_set_up(app): ...",
        "[PB_HOOK_UNKNOWN] Did you mean pegboard_setup?",
        "PB_HOOK_UNKNOWN",
    ),
    "an argument that a hook had": Old(
        "@pegboard.hookimpl\ndef pegboard_setup(app, registry): ...",
        "[PB_HOOK_ARGUMENTS_INVALID] Its arguments are app; take these or fewer",
        "PB_HOOK_ARGUMENTS_INVALID",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_the_core_no_longer_has_is_told(
    kind: str, plugin_folder: PluginFolder, make_app: MakeApp
) -> None:
    """With what takes its place, the line, and what the plugin was made for."""
    code, expected, name = REFUSED[kind]
    hook = "" if "hookimpl" in code else HOOK
    plugin_folder.add("old", f"{code}\n{hook}", version="0.9", requires=["pegboard>=0.0.5"])
    with pytest.raises(StartupError) as failed:
        make_app(plugins=["old"])
    text = " ".join(str(failed.value).split())
    assert expected in text, text
    assert name in text
    assert "example-old 0.9" in text
    if name == "PB_PLUGIN_IMPORT_FAILED":
        assert "(example-old 0.9 was made for pegboard>=0.0.5)" in text


def test_a_plugin_for_an_older_core_is_told_both_versions(
    plugin_folder: PluginFolder, make_app: MakeApp
) -> None:
    """Before anything of it fails for that."""
    plugin_folder.add("old", version="0.9", requires=["pegboard<0.1"])
    with pytest.raises(StartupError) as failed:
        make_app(plugins=["old"])
    (problem,) = failed.value.problems
    assert "PB_PLUGIN_CORE_INCOMPATIBLE" == problem.code
    assert "it requires pegboard<0.1, but the running core is 0.1.0" == problem.summary
    assert ("old", "example-old 0.9") == (problem.plugin, problem.distribution)
    assert "a version of example-old made for this core" in problem.hint


@pytest.mark.parametrize("name", ["pegboard", "flask"])
def test_each_line_of_a_requirement_holds(
    name: str, plugin_folder: PluginFolder, make_app: MakeApp
) -> None:
    """A distribution may be required for an extra as well, in a line without versions."""
    plugin_folder.add("old", requires=["pegboard", f"{name}>=99", f"{name}[dotenv]"])
    with pytest.raises(StartupError, match=f"requires {name}.*>=99"):
        make_app(plugins=["old"])


def test_a_plugin_for_an_older_core_loads_with_fewer_arguments(
    plugin_folder: PluginFolder, make_app: MakeApp
) -> None:
    """A hook may get more arguments, which it does not know."""
    code = """
    found = []

    @pegboard.hookimpl
    def pegboard_setup():
        found.append("called")
    """
    plugin_folder.add("old", code, version="0.9", requires=["pegboard"])
    make_app(plugins=["old"])


def test_an_error_of_the_plugin_itself_is_not_taken_for_the_core(
    plugin_folder: PluginFolder, make_app: MakeApp
) -> None:
    """An import of its own that fails is its own."""
    plugin_folder.add("old", f"from example_old import nothing\n{HOOK}")
    with pytest.raises(StartupError) as failed:
        make_app(plugins=["old"])
    assert "Fix example_old/plugin.py:2" in str(failed.value)
