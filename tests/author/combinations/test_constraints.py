"""What plugins require is kept: by Python, by extra, and of the core; and what is excluded."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]
Write = Callable[..., Path]

PLUGIN = """
[project]
name = "pegboard-{name}"
version = "1.0"
dependencies = {dependencies}

[project.optional-dependencies]
full = {full}

[project.entry-points."pegboard.plugins"]
{name} = "pegboard_{name}"
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes plugins, by name what each requires, and a matrix of all with these lines."""

    def write(matrix: str, full: dict[str, list[str]] | None = None, **plugins: list[str]) -> Path:
        for name, dependencies in plugins.items():
            (tmp_path / name).mkdir(exist_ok=True)
            extra = json.dumps((full or {}).get(name, []))
            text = PLUGIN.format(name=name, dependencies=json.dumps(dependencies), full=extra)
            (tmp_path / name / "pyproject.toml").write_text(text)
        folders = json.dumps([f"./{name}" for name in plugins])
        text = f"[tool.pegboard.matrix]\nplugins = {folders}\n{matrix}\n"
        (tmp_path / "pyproject.toml").write_text(text)
        return tmp_path

    return write


def test_a_marker_is_read_for_each_python_of_the_matrix(write: Write, pegboard: Run) -> None:
    """And not for the one that runs it: a is alone only where nothing else is required."""
    write(
        'pythons = ["3.11", "3.13"]',
        a=["pegboard-b; python_version < '3.12'"],
        b=["pegboard-c ; python_full_version >= '3.13'"],
        c=[],
    )
    every = ["py311-core", "py313-core", "py311-core-b", "py313-core-a", "py311-core-c"]
    every += ["py313-core-c", "py311-core-a-b", "py313-core-a-c", "py311-core-b-c"]
    every += ["py313-core-b-c", "py311-core-a-b-c", "py313-core-a-b-c"]

    assert sorted(every) == sorted(pegboard("plugins", "matrix").stdout.split())


def test_the_python_that_runs_it_makes_no_difference(write: Write) -> None:
    """What a marker says of another one is what that other one says."""
    root = write('pythons = ["3.11"]', a=["pegboard-b; python_version < '3.12'"], b=[])
    # What packaging asks of the interpreter, as a newer one would answer.
    program = (
        "import pathlib, platform, sys\n"
        "platform.python_version_tuple = lambda: ('3', '13', '0')\n"
        "platform.python_version = lambda: '3.13.0'\n"
        "from tox_pegboard.combinations import read_matrix\n"
        "print(*read_matrix(pathlib.Path(sys.argv[1])).by_name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(root)], capture_output=True, text=True, check=True
    )
    assert ["py311-core", "py311-core-b", "py311-core-a-b"] == done.stdout.split()


def test_what_is_shrunk_keeps_what_its_python_requires(write: Write, pegboard: Run) -> None:
    """The smallest set has what a plugin needs there, and only there."""
    write('pythons = ["3.11", "3.13"]', a=["pegboard-b; python_version < '3.12'"], b=[], c=[])
    code = "import sys; sys.exit('a' in sys.argv[1].split(','))"
    for python, found in (("py311", "a-b: a, b"), ("py313", "a: a")):
        command = ["--", sys.executable, "-c", code, "{plugins}"]
        done = pegboard("plugins", "matrix", "--shrink", f"{python}-core-a-b-c", *command)
        assert f"{python}-core-{found}\n" == done.stdout


def test_plugins_that_accept_no_core_together_are_not_combined(write: Write, pegboard: Run) -> None:
    """No installer could make their environment; nor that of a core which one does not accept."""
    write(
        'pythons = ["3.11", "3.13"]\ncore = ["released", "newest"]\nnewest = "pegboard>=0.6rc1"',
        a=["pegboard>=0.3"],
        b=["pegboard>=0.1,<0.3"],
        c=["pegboard>=0.2,!=0.2.1", "pegboard<0.5; python_version < '3.12'"],
    )
    names = pegboard("plugins", "matrix").stdout.split()

    assert not [name for name in names if "-a-b" in name]
    assert {"py311-core-a-c-released", "py311-core-b-c-released"} < {*names}
    assert "py313-core-a-c-newest" in names
    assert not [name for name in names if "-b" in name and name.endswith("newest")]
    assert not [name for name in names if name.startswith("py311") and "-c-newest" in name]


def test_plugins_that_accept_no_version_together_are_not_combined(
    write: Write, pegboard: Run
) -> None:
    """Of a folder there is one version, of a library or another distribution any that both accept.

    Also by way of an extra or another plugin, and only on the Python where it is required.
    """
    write(
        'pythons = ["3.11", "3.13"]\nsubsets = 256',
        full={"f": ["somelib>=5"]},
        a=[],
        b=["pegboard-a>=2"],
        c=["pegboard-a<2", "somelib>=2,<3"],
        d=["somelib>=3; python_version < '3.12'"],
        e=["pegboard-d", "otherlib~=1.2"],
        f=["otherlib>=1.3"],
        g=["pegboard-f[full]"],
    )
    done = pegboard("plugins", "matrix", "--json")
    found = {
        (one["python"], frozenset(one["plugins"]))
        for one in json.loads(done.stdout)["combinations"]
    }

    assert not [names for _, names in found if "b" in names], "it requires another a"
    assert {python for python, names in found if {"a", "c"} <= names} == {"3.11", "3.13"}
    for other in ("d", "e"):
        assert {"3.13"} == {python for python, names in found if {"c", other} <= names}
    assert [names for _, names in found if {"e", "f", "d"} <= names]
    assert not [names for _, names in found if {"c", "g"} <= names]
    assert [names for _, names in found if {"d", "g"} <= names]


def test_a_plugin_that_is_left_out_is_told_with_the_reason(write: Write, pegboard: Run) -> None:
    """Also one that is there on another Python, and the project's own; in JSON, and by tox."""
    root = write(
        'pythons = ["3.11", "3.13"]',
        a=[],
        b=["pegboard-a>=2"],
        c=["pegboard-a; python_version < '3.12'", "pegboard-a>=2; python_version >= '3.12'"],
    )
    wants = "of pegboard-a, a has or requires ==1.0 and {0} has or requires >=2"
    told = f"b is in no combination: {wants.format('b')}"
    partly = f"c is in no combination on Python 3.13: {wants.format('c')}"

    done = pegboard("plugins", "matrix", "--json")
    assert [told, partly] == json.loads(done.stdout)["reasons"]
    assert (f"  {told}\n" in done.stderr, f"  {partly}\n" in done.stderr) == (True, True)
    (root / "tox.ini").write_text("[tox]\nno_package = true\n")
    listed = [sys.executable, "-m", "tox", "list", "--no-desc", "-q"]
    done = subprocess.run(listed, cwd=root, capture_output=True, text=True, check=False)
    assert [f"tox-pegboard: {one}" for one in (told, partly)] == done.stderr.splitlines()
    # What is named is known without choosing what else there could be.
    named = [sys.executable, "-m", "tox", "config", "-q", "-e", "py311-core-a", "-k", "description"]
    done = subprocess.run(named, cwd=root, capture_output=True, text=True, check=False)
    assert (True, "") == ("core with a" in done.stdout, done.stderr)

    own = PLUGIN.format(name="own", dependencies='["pegboard-a>=2"]', full="[]")
    matrix = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(own + matrix.replace('"./b", "./c"', ""))
    told = (
        "no combination is possible: of pegboard-a, own has or requires >=2 and a has or requires"
    )
    assert told in pegboard("plugins", "matrix").stderr


def test_a_python_without_a_combination_is_told_with_the_reason(
    write: Write, pegboard: Run
) -> None:
    """Where the project's own plugin does not support it; once, with or without other plugins."""
    root = write('pythons = ["3.11", "3.12"]', a=[])
    own = PLUGIN.format(name="own", dependencies="[]", full="[]").replace(
        'version = "1.0"', 'version = "1.0"\nrequires-python = ">=3.12"'
    )
    matrix = (root / "pyproject.toml").read_text()
    told = "  there is no combination on Python 3.11: own requires Python >=3.12\n"
    for plugins in (matrix, matrix.replace('"./a"', "")):
        (root / "pyproject.toml").write_text(own + plugins)
        assert pegboard("plugins", "matrix").stderr.endswith(f".\n{told}")


def test_a_version_that_is_none_is_refused(write: Write, pegboard: Run) -> None:
    """And not taken for one that anything accepts."""
    root = write('pythons = ["3.11"]', a=[])
    path = root / "a/pyproject.toml"
    path.write_text(path.read_text().replace('"1.0"', '"one"'))
    assert "has the version 'one', which is none" in pegboard("plugins", "matrix").stderr
    path.write_text(path.read_text().replace('version = "one"', 'dynamic = ["version"]'))
    assert ["py311-core", "py311-core-a"] == pegboard("plugins", "matrix").stdout.split()


@pytest.mark.parametrize("named", ["a", "pegboard-a", "Pegboard_A", "./a"])
def test_a_plugin_is_touched_by_any_of_its_names(write: Write, pegboard: Run, named: str) -> None:
    """That of the plugin, of the distribution, and of the folder."""
    write('pythons = ["3.11"]', a=[], b=[])
    found = pegboard("plugins", "matrix", "--touching", named).stdout.split()
    assert ["py311-core-a", "py311-core-a-b"] == found


def test_what_an_extra_requires_is_required(write: Write, pegboard: Run) -> None:
    """Also by way of an extra of an extra, and only where one asks for it."""
    write(
        'pythons = ["3.11"]',
        full={"d": ["pegboard-e[full]"], "e": ["pegboard-items"]},
        c=["pegboard-d[full]"],
        d=[],
        e=[],
        items=[],
    )
    names = pegboard("plugins", "matrix").stdout.split()

    assert "py311-core-c-d-e-items" in names
    assert ["py311-core-c-d-e-items"] == [
        name for name in names if "-c" in name.replace("-core", "")
    ]
    assert {"py311-core-d", "py311-core-d-e"} < {*names}


@pytest.mark.parametrize(
    "line, message",
    [
        ("plugins = ['a'], database = 'postgres'", "the database 'postgres' in exclude of"),
        ("database = 'postgresql'", "the database 'postgresql' in exclude of [tool.pegboard"),
        ("python = '3.21'", "the python '3.21' in exclude of [tool.pegboard.matrix] is not known"),
        ("redis = 'reddis'", "the redis 'reddis' in exclude of [tool.pegboard.matrix] is not"),
        ("core = 'lowst'", "the core 'lowst' in exclude of [tool.pegboard.matrix] is not known"),
    ],
)
def test_an_exclusion_that_excludes_nothing_is_refused(
    write: Write, pegboard: Run, line: str, message: str
) -> None:
    """A value that the matrix does not have is a mistake."""
    write(f'pythons = ["3.11"]\nexclude = [{{ {line} }}]', a=[])
    done = pegboard("plugins", "matrix")

    assert 1 == done.returncode
    assert message in done.stderr


@pytest.mark.parametrize("form", ["list", "tox"])
def test_a_lowest_core_that_is_not_known_is_told_in_each_format(
    write: Write, pegboard: Run, form: str
) -> None:
    """And not only where something is installed."""
    write('pythons = ["3.11"]\ncore = ["lowest", "released"]', a=["pegboard"])
    done = pegboard("plugins", "matrix", "--format", form)

    assert 1 == done.returncode
    assert "the lowest core of no plugin is not known" in done.stderr
    root = write('pythons = ["3.11"]\ncore = ["lowest", "released"]', a=["pegboard>=0.2"])
    text = (root / "a/pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(
        f"{text}[tool.pegboard.matrix]\nplugins = []\npythons = ['3.11']\n"
        "core = ['lowest', 'released']\n"
    )
    assert 0 == pegboard("plugins", "matrix", "--format", form).returncode
