"""What the fixtures write of each test into the JUnit report, for the grade to read."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from pegboard.plugins import code_digest
from pegboard.testing import evidence
from pegboard.testing.distributions import PluginFolder, plugin_folder

TESTS = """
import pytest

from pegboard.testing.contracts import PluginContract


@pytest.fixture(params=["a", "b"])
def kind(request):
    return request.param


class TestIt(PluginContract):
    @pytest.fixture
    def plugin_name(self):
        return "kit"

    test_it_starts_alone = None

    def test_its_settings_are_documented(self, plugin_name, kind):
        pass


def test_budget(client, statement_budget):
    with statement_budget(statements=3):
        client.get("/health")

def test_budget_without_requests(statement_budget):
    with statement_budget(statements=3):
        pass

def test_budget_without_numbers(client, statement_budget):
    with statement_budget():
        client.get("/health")

@pytest.mark.faults
def test_mark(own_redis):
    pass

@pytest.fixture
def killed(own_redis):
    own_redis.kill()

def test_killed(killed):
    pass

def test_after():
    pass

def test_database(database_url):
    pass

class Uncomparable:
    def __eq__(self, other):
        raise TypeError
    __hash__ = None

@pytest.mark.parametrize("kind", ["sqlite", "postgresql", Uncomparable()])
def test_parameter(kind):
    pass

class TestReplaced:
    @pytest.fixture(params=["sqlite", "postgresql"])
    def database_url(self, request):
        return "sqlite://"

    def test_replaced(self, database_url):
        pass
"""

CHOSEN = "documented[a] or failures or test_budget or test_mark or test_killed or test_after"
CHOSEN += " or test_database[sqlite] or test_parameter or test_replaced"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, dict[str, Any]]:
    """The two properties of each test that passes, by the name of its function."""
    with plugin_folder(tmp_path_factory.mktemp("plugins")) as folder:
        folder.add("kit", version="1.2")
        return {"digest": {"kit": code_digest("example_kit")}, **_run(folder, tmp_path_factory)}


def _run(folder: PluginFolder, factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    source = factory.mktemp("source")
    (source / "pyproject.toml").write_text('[project]\nname = "Example_Kit"\n')
    (source / "conftest.py").write_text('pytest_plugins = ["pegboard.testing.fixtures"]\n')
    (source / "test_it.py").write_text(TESTS)
    path = os.pathsep.join(filter(None, [str(folder.path), os.environ.get("PYTHONPATH", "")]))
    options = ["--junit-xml=report.xml", "-p", "no:cacheprovider", "-o", "markers=faults"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", CHOSEN, *options],
        cwd=source,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stdout
    found = {}
    for case in ET.parse(source / "report.xml").getroot().iter("testcase"):  # noqa: S314 - pytest's
        properties = {
            one.get("name", ""): json.loads(one.get("value", ""))
            for one in case.iterfind("properties/property")
        }
        found[case.get("name", "")] = {**properties["pegboard"], **properties["pegboard.run"]}
    return found


@pytest.mark.slow
def test_a_test_has_shown_what_it_did(written: Mapping[str, dict[str, Any]]) -> None:
    """A mark, a fixture, and a block in which nothing is sent show nothing; nor does the next."""
    shown = {
        name: one["proofs"] for name, one in written.items() if "class" in one and not one["class"]
    }
    assert {
        "test_budget": ["budget"],
        "test_budget_without_requests": [],
        "test_budget_without_numbers": [],
        "test_mark": [],
        "test_killed": ["fault"],
        "test_after": [],
        "test_database[sqlite]": [],
        "test_parameter[sqlite]": [],
        "test_parameter[postgresql]": [],
        "test_parameter[kind2]": [],
    } == shown


@pytest.mark.slow
def test_only_the_kit_says_on_which_databases_a_test_runs(
    written: Mapping[str, dict[str, Any]],
) -> None:
    """A parameter may be anything, and a fixture that replaces the kit's use any database."""
    assert ["sqlite"] == written["test_database[sqlite]"]["databases"]
    for name in ("parameter", "replaced"):
        assert [] == written[f"test_{name}[postgresql]"]["databases"]


def test_what_a_run_leaves_out_of_a_contract_is_written(
    written: Mapping[str, dict[str, Any]],
) -> None:
    """By an option of pytest, by an attribute of the class; of what it replaces, the rest."""
    one = written["test_its_failures_are_named"]
    left_out = {name.removeprefix("test_it.py::TestIt::") for name in one["left_out"]}
    assert {
        "test_it_starts_alone",
        "test_it_installs_from_its_wheel",
        "test_its_removal_leaves_nothing[sqlite]",
        "test_its_hooks_are_documented_and_used",
    } <= left_out
    assert "test_its_failures_are_named" not in left_out
    assert [] == written["test_after"]["left_out"]


def test_the_code_and_the_plugin_are_written(written: Mapping[str, dict[str, Any]]) -> None:
    """The version and the digest of what is installed; the plugin that the contract is about."""
    code = {"version": "1.2", "digest": written["digest"]["kit"]}
    assert {"kit": code} == written["test_after"]["code"]
    assert "kit" == written["test_its_failures_are_named"]["plugin"]
    assert written["test_after"]["plugin"] is None


NOTHING = "def test_it(): pass"
MARK = "import pytest\n@pytest.mark.filterwarnings('ignore')\ndef test_it(): pass"
FIXTURE = """
import pytest, warnings
@pytest.fixture(autouse=True)
def quiet():
    warnings.simplefilter("ignore")
def test_it(): pass
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "filters,options,tests,expected",
    [
        (["error"], [], NOTHING, True),
        ([], [], NOTHING, False),
        (["error", "ignore"], [], NOTHING, False),
        (["ignore", "error"], [], NOTHING, True),
        (["error", "ignore::DeprecationWarning"], [], NOTHING, False),
        (["error", "ignore:.*:DeprecationWarning"], [], NOTHING, False),
        (["error", "ignore:old thing:DeprecationWarning"], [], NOTHING, True),
        (["error", "ignore::DeprecationWarning:some_library"], [], NOTHING, True),
        (["error", "ignore::DeprecationWarning:example_kit.plugin"], [], NOTHING, False),
        (["error"], ["-W", "ignore"], NOTHING, False),
        (["error"], ["-p", "no:warnings"], NOTHING, False),
        ([], ["-W", "error"], NOTHING, True),
        (["error"], ["--disable-warnings"], NOTHING, True),
        (["error"], [], MARK, False),
        (["error"], [], FIXTURE, False),
    ],
)
def test_whether_a_warning_fails_a_test_is_what_pytest_does(
    filters: list[str],
    options: list[str],
    tests: str,
    *,
    expected: bool,
    pytester: pytest.Pytester,
    plugin_folder: PluginFolder,
) -> None:
    """By the last filter that matches, whatever brings it."""
    plugin_folder.add("kit")
    ini = f"[tool.pytest.ini_options]\nfilterwarnings = {filters}\n"
    pytester.makepyprojecttoml('[project]\nname = "example-kit"\n' + ini)
    pytester.makepyfile(tests)
    arguments = ["--junit-xml=report.xml", "-p", "no:asyncio", "-p", "no:cacheprovider", *options]
    with warnings.catch_warnings(action="default"):  # and not the filters of the test itself
        done = pytester.runpytest_inprocess(*arguments, plugins=[evidence])
    done.assert_outcomes(passed=1)
    root = ET.parse(pytester.path / "report.xml").getroot()  # noqa: S314 - pytest's
    (value,) = [
        one.get("value", "") for one in root.iter("property") if one.get("name") == "pegboard.run"
    ]
    assert expected == json.loads(value)["raises_warnings"]
