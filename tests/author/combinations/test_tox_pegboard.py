"""tox makes an environment for each combination, and runs it."""

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Project = Callable[..., Path]
Run = Callable[..., CompletedProcess[str]]

PYTHON = f"3.{sys.version_info.minor}"
FACTOR = f"py3{sys.version_info.minor}"
"""The interpreter of the tests, the only one that is sure to be there."""

MATRIX = f"""
plugins = ["./items", "./audit"]
pythons = ["{PYTHON}"]
databases = ["sqlite", "postgresql"]
commands = ["python -c 'import os; print(os.environ)' {{posargs}}"]
install = false
"""
INI = """
[tox]
no_package = true
env_list = lint

[testenv:lint]
commands = python -c ''
"""


def test_environments_are_listed_without_a_list(project: Project, tox: Run) -> None:
    """Each is a combination, in the default list behind those of the project, with a label."""
    root = project(MATRIX, items="", audit="pegboard-items")
    (root / "tox.ini").write_text(INI)

    lines = tox("list").stdout.splitlines()
    default = tox("list", "-d", "--no-desc").stdout.split()
    labelled = tox("list", "-m", f"matrix-{FACTOR}", "--no-desc").stdout.split()

    names = [
        f"{FACTOR}-core{plugins}-{database}"
        for plugins in ("", "-items", "-items-audit")
        for database in ("sqlite", "postgresql")
    ]
    assert ["lint", *names] == default
    assert names == labelled
    assert any("core with items, audit; database postgresql" in line for line in lines)


def test_an_environment_runs_with_what_its_combination_says(project: Project, tox: Run) -> None:
    """It is made by uv; arguments reach the command; variables tell the combination."""
    root = project(MATRIX, items="", audit="pegboard-items")
    (root / "tox.ini").write_text(INI + "\n[testenv]\nset_env = OWN = kept\n")
    name = f"{FACTOR}-core-items-postgresql"

    done = tox("run", "-e", name, "--", "argument")

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "'PEGBOARD_TEST_SUBSET': 'items'" in done.stdout
    assert "'PEGBOARD_TEST_DATABASE': 'postgresql'" in done.stdout
    assert "'OWN': 'kept'" in done.stdout
    assert "argument" in done.stdout
    assert "uv-venv-runner" in tox("config", "-e", name, "-k", "runner").stdout


def test_dependencies_are_added_to_those_of_the_project(project: Project, tox: Run) -> None:
    """Core, plugins and what the project says for all environments; nothing for its others."""
    matrix = MATRIX.replace("install = false", 'core = ["lowest", "newest"]')
    root = project(matrix, "greeter", greeter="", items="pegboard>=0.3", audit="pegboard-items")
    (root / "tox.ini").write_text("[tox]\nenv_list = lint\n[testenv]\ndeps = hypothesis\n")

    def deps(name: str) -> list[str]:
        done = tox("config", "-e", name, "-k", "deps")
        return done.stdout.replace("deps =", "").split()[1:]

    assert ["hypothesis"] == deps("lint")
    expected = ["hypothesis", "pegboard[testing]", "pegboard==0.3", "./items", "./audit"]
    assert expected == deps(f"{FACTOR}-greeter-items-audit-lowest-sqlite")
    expected = ["hypothesis", "pegboard[testing]", "pegboard>=0.dev0"]
    assert expected == deps(f"{FACTOR}-greeter-newest-postgresql")


def test_what_the_project_requires_is_built_from_its_folder(project: Project, tox: Run) -> None:
    """In each environment that installs the project: no package index may have it."""
    matrix = MATRIX.replace("install = false", "")
    root = project(matrix, "greeter", greeter="pegboard-audit", items="", audit="pegboard-items")
    path = root / "pyproject.toml"
    path.write_text(path.read_text().replace('"./items"', '"./other", "./items"'))
    (root / "other").mkdir()
    text = (root / "items" / "pyproject.toml").read_text().replace("items", "other")
    (root / "other" / "pyproject.toml").write_text(text)
    (root / "tox.ini").write_text(
        "[tox]\nenv_list = lint, types, editable\n"
        "[testenv:lint]\ndeps = ruff\nskip_install = true\n"
        "[testenv:types]\ndeps = mypy\n"
        "[testenv:editable]\npackage = editable\n"
    )

    def deps(name: str) -> list[str]:
        done = tox("config", "-e", name, "-k", "deps")
        return done.stdout.replace("deps =", "").split()[1:]

    assert ["ruff"] == deps("lint")
    assert ["mypy", "./items", "./audit"] == deps("types")
    assert ["./items", "./audit"] == deps("editable")
    assert [] == deps(".pkg")  # which builds the project, and installs nothing of it


def test_a_combination_beyond_the_matrix_has_an_environment(project: Project, tox: Run) -> None:
    """One that a bound leaves out can be run by its name; an impossible one is refused."""
    matrix = MATRIX + "max_jobs = 2\n"
    root = project(matrix, items="", audit="pegboard-items")
    (root / "tox.ini").write_text(INI)
    listed = tox("list", "-m", "matrix", "--no-desc").stdout.split()

    assert 2 == len(listed)
    for name in (f"{FACTOR}-core-items-sqlite", f"{FACTOR}-core-items-audit-postgresql"):
        shown = tox("config", "-e", name, "-k", "description")
        assert "core with items" in shown.stdout, shown.stdout
    refused = tox("config", "-e", f"{FACTOR}-core-audit-sqlite", "-k", "deps")
    assert refused.returncode
    assert "audit without items cannot be" in refused.stdout


def test_a_project_without_the_table_is_left_as_it_is(project: Project, tox: Run) -> None:
    """Nothing is added; a mistake in the table is one line, and no traceback."""
    root = project("plugins = []", items="")
    (root / "tox.ini").write_text(INI)
    (root / "pyproject.toml").write_text("[tool.other]\n")
    assert ["lint"] == tox("list", "--no-desc").stdout.split()

    (root / "pyproject.toml").write_text("[tool.pegboard.matrix]\nplugin = []\n")
    done = tox("list")
    assert done.returncode
    assert "'plugin' of [tool.pegboard.matrix] is not known. Did you mean plugins?" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_plugins_that_are_not_installed_are_described_by_the_table(
    project: Project, tox: Run
) -> None:
    """So the matrix is the same on each machine; without, only its environments are refused."""
    matrix = f'plugins = ["pegboard-none", "pegboard-items"]\npythons = ["{PYTHON}"]\n'
    root = project(matrix)
    ini = INI + f"[testenv:{FACTOR}-core-items]\ncommands = python -c ''\n"
    (root / "tox.ini").write_text(ini.replace("[tox]", "[tox]\nrequires = pegboard-none"))
    # tox would first install what is missing, and read the metadata then.
    done = tox("run", "-e", f"{FACTOR}-core-none", "--no-provision")
    assert "provisioning explicitly disabled" in done.stdout + done.stderr
    assert "pegboard-none" in done.stdout + done.stderr

    (root / "tox.ini").write_text(ini)
    message = "what pegboard-none requires is not known, as it is not installed here: say it in"
    for arguments in (("list",), ("run", "-e", f"{FACTOR}-core-none")):
        done = tox(*arguments)
        assert done.returncode
        assert message in done.stdout
    assert "commands = python -c ''" in tox("config", "-e", "lint", "-k", "commands").stdout

    path = root / "pyproject.toml"
    path.write_text(f"[tool.pegboard.matrix]\n{matrix}needs = {{ none = ['items'], items = [] }}\n")
    names = [f"{FACTOR}-core{plugins}" for plugins in ("", "-items", "-none-items")]
    assert ["lint", *names] == tox("list", "--no-desc").stdout.split()


def test_a_command_means_the_same_in_each_form(project: Project, tox: Run, pegboard: Run) -> None:
    """What is in braces is replaced, also in arguments of its own; `#` is no comment."""
    command = (
        "python -c 'import sys; print(sys.argv[1:])  # x' {posargs:a b} {env_name} {tox_root}/x"
    )
    root = project(
        f'plugins = []\npythons = ["{PYTHON}"]\ninstall = false\ncommands = ["{command}"]'
    )
    forms = {"tox.ini": pegboard("plugins", "matrix", "--format", "tox").stdout}
    forms["tox.toml"] = pegboard("plugins", "matrix", "--format", "toml").stdout
    shown = {}
    for file, text in {"pyproject.toml": None, **forms}.items():
        if text is not None:
            (root / file).write_text(text)
            (root / "pyproject.toml").write_text("")
        for arguments in ((), ("--", "c", "d")):
            done = tox("config", "-e", f"{FACTOR}-core", "-k", "commands", *arguments)
            shown[file, arguments] = done.stdout
        (root / file).unlink()

    expected = f"# x' a b {FACTOR}-core {root}/x"
    assert {expected} == {one.partition("  ")[2].strip() for (_, a), one in shown.items() if not a}
    assert {expected.replace("a b", "c d")} == {
        one.partition("  ")[2].strip() for (_, a), one in shown.items() if a
    }


@pytest.mark.parametrize("form, file", [("tox", "tox.ini"), ("toml", "tox.toml")])
def test_tox_reads_and_runs_the_written_configuration(
    project: Project, pegboard: Run, tox: Run, form: str, file: str
) -> None:
    """Also where tox-pegboard is not installed: the file names all."""
    root = project(MATRIX, items="", audit="pegboard-items")
    text = pegboard("plugins", "matrix", "--format", form).stdout
    listed = pegboard("plugins", "matrix").stdout.split()
    (root / file).write_text(text)
    (root / "pyproject.toml").write_text("")

    assert listed == tox("list", "--no-desc").stdout.split()
    assert listed == tox("list", "-m", "matrix", "--no-desc").stdout.split()
    done = tox("run", "-e", listed[-1], "--", "argument")
    assert 0 == done.returncode, done.stdout
    assert "'PEGBOARD_TEST_SUBSET': 'items audit'" in done.stdout
    if form == "toml":
        assert 6 == len(tomllib.loads(text)["env_list"])
