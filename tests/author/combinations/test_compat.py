"""`pegboard plugins compat`: own tests of plugins, from their sdists, against a core."""

import io
import json
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from pegboard.combinations.used_core import UsedCore
from pegboard.testing.distributions import PluginFolder

ROOT = Path(__file__).parents[3]

Run = Callable[..., CompletedProcess[str]]

BACKEND = """
import pathlib, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory, name), "w") as wheel:
        metadata = pathlib.Path("METADATA").read_text()
        wheel.writestr("{name}-1.0.dist-info/METADATA", metadata)
        wheel.writestr("{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("{name}-1.0.dist-info/RECORD", "")
        wheel.writestr("{name}.py", "")
    return name
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "{name}"
version = "1.0"
dependencies = ["pegboard{core}"]

[project.optional-dependencies]
test = ["six"]
"""
METADATA = """Metadata-Version: 2.1
Name: {name}
Version: 1.0
Requires-Dist: pegboard{core}
Provides-Extra: test
Requires-Dist: six; extra == "test"
"""


@pytest.fixture
def sdists(tmp_path: Path) -> Path:
    """A folder of sdists."""
    folder = tmp_path / "sdists"
    folder.mkdir()
    return folder


@pytest.fixture
def core(tmp_path: Path) -> str:
    """The wheel of a core that has a version, and nothing else."""
    path = tmp_path / "pegboard-9.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        metadata = "Metadata-Version: 2.1\nName: pegboard\nVersion: 9.0\n"
        wheel.writestr("pegboard-9.0.dist-info/METADATA", metadata)
        wheel.writestr("pegboard-9.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("pegboard-9.0.dist-info/RECORD", "")
    return str(path)


@pytest.fixture
def publish(plugin_folder: PluginFolder, sdists: Path) -> Callable[..., None]:
    """Installs a plugin's distribution, and writes its sdist with a module of tests."""

    def publish(name: str, tests: str | None, core: str = ">=0.1") -> None:
        plugin_folder.add(name, distribution=f"pegboard-{name}", version="1.0")
        stem = f"pegboard_{name}"
        files = {
            "pyproject.toml": PYPROJECT.format(name=stem, core=core),
            "backend.py": BACKEND.format(name=stem),
            "METADATA": METADATA.format(name=stem, core=core),
        }
        if tests is not None:
            files["tests/test_it.py"] = tests
        with tarfile.open(sdists / f"{stem}-1.0.tar.gz", "w:gz") as archive:
            for path, text in files.items():
                member = tarfile.TarInfo(f"{stem}-1.0/{path}")
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))

    return publish


TESTS = """
import pytest
import six
from importlib.metadata import version

class TestLog:
    @pytest.mark.parametrize("number", [1, 2])
    def test_order(self, number): assert number == 1
def test_core(): assert "9.0" == version("pegboard")
"""

OTHER_CORE = """
import pathlib
import sys

metadata = pathlib.Path(__file__).parent / "vendored/pegboard-8.0.dist-info/METADATA"
metadata.parent.mkdir(parents=True)
metadata.write_text("Metadata-Version: 2.1\\nName: pegboard\\nVersion: 8.0\\n")
sys.path.insert(0, str(metadata.parent.parent))
def test_it(): pass
"""


@pytest.mark.parametrize("program", ["uv", "pip"])
def test_own_tests_run_against_the_core_that_is_named(  # noqa: PLR0917 - fixtures
    publish: Callable[..., None],
    sdists: Path,
    core: str,
    pegboard: Run,
    tmp_path: Path,
    program: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Failures are named by their ids; a known one has its reason, a needless one is told."""
    publish("audit", TESTS)
    publish("mail", None)
    publish("old", TESTS, core="<9")
    arguments = ["--against", core, "--sdists", str(sdists)]
    names = ["--plugin", "audit", "--plugin", "mail", "--plugin", "old"]
    if program == "pip":
        monkeypatch.setattr("shutil.which", lambda *_args, **_options: None)
        # What is behind a failure runs, too.
        done = pegboard("plugins", "compat", *arguments, *names[:2], "--", "-x")
        assert (
            "pegboard-audit 1.0: failed (2 passed, 1 failed, 0 skipped; pegboard 9.0)"
            in done.stdout
        )
        return  # the rest is the same
    publish("shop", "import pytest\n@pytest.mark.skip\ndef test_shop(): pass\n")
    publish("vendor", OTHER_CORE)
    names += ["--plugin", "shop", "--plugin", "vendor"]
    # Another core there would hide the one that is installed.
    other = tmp_path / "hiding/pegboard-1.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: pegboard\nVersion: 1.0\n")
    monkeypatch.setenv("PYTHONPATH", str(other.parent))
    done = pegboard("plugins", "compat", *arguments, *names)

    assert "pegboard-shop 1.0: not tested\n  all 1 tests of pegboard-shop 1.0 were" in done.stdout
    told = "the tests of pegboard-vendor 1.0 say nothing: they ran with pegboard 8.0, and"
    assert f"pegboard-vendor 1.0: not tested\n  {told} {core} was asked for\n" in done.stdout
    assert 1 == done.returncode
    assert "pegboard-audit 1.0: failed (2 passed, 1 failed, 0 skipped; pegboard 9.0)" in done.stdout
    assert "  failed: tests/test_it.py::TestLog::test_order[2]\n" in done.stdout
    assert "pegboard-mail 1.0: not tested\n  the sdist of pegboard-mail 1.0 has no" in done.stdout
    assert "pegboard-old 1.0: not tested\n" in done.stdout
    assert "pegboard_old-1.0 cannot be installed with" in done.stdout
    known = tmp_path / "known.txt"
    known.write_text(
        "pegboard-audit tests/test_it.py::TestLog::test_order[*]  # waits for 1.1\n"
        "pegboard-audit tests/test_it.py::test_core  # was mended\n"
        "pegboard-old  # is for older cores\n"
        "pegboard-mail  # has none\n"
        "pegboard-shop  # needs a shop\n"
        "pegboard-vendor  # brings a core\n"
        "pegboard-odit  # is misspelled\n"
    )
    done = pegboard("plugins", "compat", *arguments, *names, "--exclude", str(known), "--json")

    document = json.loads(done.stdout)
    assert 0 == done.returncode
    assert ["excluded"] * 5 == [one["outcome"] for one in document["distributions"]]
    assert [f"{known}:2: pegboard-audit tests/test_it.py::test_core"] == document[
        "unneeded_exclusions"
    ]
    message = f"{known}:7: pegboard-odit: no such distribution with plugins is installed."
    assert [f"{message} Did you mean pegboard-audit?"] == document["unknown_exclusions"]
    assert message in done.stderr
    assert {"pegboard-audit": "9.0", "pegboard-mail": None} == {
        one["name"]: one["core"] for one in document["distributions"][:2]
    }
    assert f"No longer fails, remove the line: {known}:2" in done.stderr


@pytest.mark.parametrize(
    "asked,is_other",
    [
        ("pegboard==9.0", False),
        ("pegboard==9.1", True),
        ("PegBoard[testing]>=9.1,<10", True),
        ("pegboard", False),
        ("six==1.16", False),
        ("{folder}/pegboard-9.0-py3-none-any.whl", False),
        ("{folder}/pegboard-8.0.tar.gz", True),
        ("{folder}/source", True),
        ("pegboard[testing] @ file://{folder}/pegboard-8.0.tar.gz", True),
        ("pegboard @ git+https://example.org/pegboard.git", False),
        ("https://example.org/pegboard-8.0-py3-none-any.whl", True),
    ],
)
def test_the_core_that_ran_is_compared_with_the_one_that_was_asked_for(
    asked: str, tmp_path: Path, *, is_other: bool
) -> None:
    """However it is asked for; a URL without a version is taken as it comes."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source/pyproject.toml").write_text('[project]\nname="pegboard"\nversion="8"\n')
    for name in ("pegboard-9.0-py3-none-any.whl", "pegboard-8.0.tar.gz"):
        (tmp_path / name).touch()
    wanted = asked.format(folder=tmp_path)
    told = UsedCore("9.0", None, tmp_path).difference(["other==1", wanted])
    assert told == (f"they ran with pegboard 9.0, and {wanted} was asked for" if is_other else None)


def test_a_core_of_another_place_is_another(tmp_path: Path) -> None:
    """Though its version may be the same, as of one in the sdist itself."""
    beside = UsedCore("9.0", tmp_path / "source/pegboard/__init__.py", tmp_path / "environment")
    assert "not with the one that was installed" in str(beside.difference(["pegboard==9.0"]))
    inside = UsedCore("9.0", tmp_path / "environment/lib/pegboard.py", tmp_path / "environment")
    assert inside.difference(["pegboard==9.0"]) is None


def test_what_is_asked_for_wrongly_is_told(
    publish: Callable[..., None], sdists: Path, core: str, pegboard: Run, tmp_path: Path
) -> None:
    """A reason that is missing, a plugin or an sdist that is not there; nothing is run."""
    publish("audit", TESTS)
    known = tmp_path / "known.txt"
    known.write_text("pegboard-audit\n")
    (sdists / "pegboard_audit-1.0.tar.gz").unlink()
    arguments = ["plugins", "compat", "--against", core, "--sdists", str(sdists), "--plugin"]

    done = pegboard(*arguments, "audit", "--exclude", str(known))
    assert f"{known}:1: pegboard-audit has no reason" in done.stderr
    assert "nothing is not installed. There are: audit" in pegboard(*arguments, "nothing").stderr
    done = pegboard(*arguments, "Pegboard.Audit")
    assert 1 == done.returncode
    assert f"there is no sdist pegboard_audit-1.0.tar.gz in {sdists}" in done.stdout


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv builds the distributions")
def test_our_own_tests_run_from_an_sdist(pegboard: Run, tmp_path: Path) -> None:
    """Those of items against this core, as its users would install it."""
    for folder, kind in (("core", "wheel"), ("plugins/items", "sdist")):
        command = [
            "uv",
            "build",
            "--quiet",
            f"--{kind}",
            "--out-dir",
            str(tmp_path),
            str(ROOT / folder),
        ]
        subprocess.run(command, check=True)
    (core,) = tmp_path.glob("pegboard-*.whl")
    arguments = ["--against", f"pegboard[testing] @ {core.as_uri()}", "--sdists", str(tmp_path)]
    tests = ["-p", "pegboard.testing.fixtures", "tests/test_schemas.py", "tests/test_settings.py"]

    done = pegboard("plugins", "compat", *arguments, "--plugin", "items", "--", *tests)

    assert 0 == done.returncode, done.stdout
    assert "pegboard-items 0.1.0: passed (" in done.stdout
