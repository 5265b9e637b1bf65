"""`pegboard plugins matrix`, and the page of documentation on combinations."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from pegboard.testing.distributions import PluginFolder

Project = Callable[..., Path]
Run = Callable[..., CompletedProcess[str]]

PAGE = Path(__file__).parents[3] / "docs/how-to/combinations.md"
MATRIX = 'plugins = ["./items", "./audit"]\npythons = ["3.11", "3.12"]\nredis = ["none", "valkey"]'


def blocks(language: str) -> list[str]:
    """Return the blocks of the page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def check_schema(name: str, path: Path) -> None:
    """Check a file by the schema that the service publishes."""
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        f"vendor.{name}",
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout


def test_names_are_on_standard_output_alone(project: Project, pegboard: Run) -> None:
    """How they were chosen is on standard error."""
    project(MATRIX, items="", audit="pegboard-items")
    done = pegboard("plugins", "matrix")

    names = done.stdout.split()
    assert "py311-core-noredis" == names[0]
    assert "py312-core-items-audit-noredis" == names[-1]
    assert f"{len(names)} combinations: all sets of plugins.\n" == done.stderr


@pytest.mark.parametrize(
    "arguments,told",
    [
        ([], "none, each alone, all, every pair"),
        (["--strength", "3"], "none, each alone, all, every group of 3"),
        (["--touching", "items"], "items alone, all, every pair with items"),
        (["--max-jobs", "1"], "those that together have the most pairs"),
        (
            ["--max-jobs", "1", "--touching", "pegboard-audit"],
            "those with audit that together have the most pairs",
        ),
    ],
)
def test_how_the_combinations_were_chosen_is_told(
    project: Project, pegboard: Run, arguments: list[str], told: str
) -> None:
    """Without what an option leaves out."""
    matrix = MATRIX.replace('"./audit"', '"./audit", "./mail"')
    project(f"{matrix}\nsubsets = 1\n", items="", audit="", mail="")
    done = pegboard("plugins", "matrix", *arguments)
    count = len(done.stdout.split())
    first, *_ = done.stderr.splitlines()
    assert f"{count} combination{'s' * (count != 1)}: {told}." == first


def test_json_has_all_that_is_known(project: Project, pegboard: Run) -> None:
    """Also what a bound leaves out, which is told on standard error, too."""
    project(MATRIX, items="", audit="pegboard-items")
    done = pegboard("plugins", "matrix", "--json", "--max-jobs", "3", "--touching", "items")
    document = json.loads(done.stdout)

    assert 3 == len(document["combinations"])
    assert all("items" in one["plugins"] for one in document["combinations"])
    assert {"items": [], "audit": ["items"]} == document["plugins"]
    assert "audit+items with python 3.12" in document["uncovered"]
    assert f"Left out: {len(document['left_out'])} combinations" in done.stderr
    for text in document["uncovered"]:
        assert f"not covered: {text}" in done.stderr


def test_two_formats_are_refused(project: Project, pegboard: Run) -> None:
    """Neither is dropped in silence."""
    project(MATRIX, items="", audit="pegboard-items")
    done = pegboard("plugins", "matrix", "--json", "--format", "tox")
    assert 2 == done.returncode
    assert "--json is the same as --format json" in done.stdout + done.stderr


def test_the_matrix_of_github_is_one_of_a_workflow(
    project: Project, pegboard: Run, tmp_path: Path
) -> None:
    """The workflow of the page, with the matrix in its place, and as it is."""
    project(MATRIX, items="", audit="pegboard-items")
    text = pegboard("plugins", "matrix", "--format", "github").stdout
    assert 1 == text.count("\n")

    (page,) = (block for block in blocks("yaml") if "fromJSON" in block)
    workflow = yaml.safe_load(page)
    workflow["on"] = workflow.pop(True)  # as YAML 1.1 reads it
    workflow["jobs"]["test"]["strategy"]["matrix"] = json.loads(text)
    for number, content in enumerate((page, json.dumps(workflow))):
        path = tmp_path / f"workflow-{number}.yaml"
        path.write_text(content)
        check_schema("github-workflows", path)
    used = {*re.findall(r"matrix\.(\w+) }}", page)} - {"outputs"}
    assert used <= {*json.loads(text)["include"][0]}


def test_the_pipeline_of_gitlab_is_one(project: Project, pegboard: Run, tmp_path: Path) -> None:
    """It is that of the page which triggers, and that which is written."""
    project(MATRIX, items="", audit="pegboard-items")
    path = tmp_path / "combinations.yml"
    path.write_text(pegboard("plugins", "matrix", "--format", "gitlab").stdout)
    check_schema("gitlab-ci", path)

    (page,) = (block for block in blocks("yaml") if "trigger" in block)
    parent = tmp_path / "parent.yaml"
    parent.write_text(page)
    check_schema("gitlab-ci", parent)


def test_more_jobs_than_a_service_runs_are_refused(project: Project, pegboard: Run) -> None:
    """It says how to have fewer."""
    names = [f"p{number}" for number in range(240)]
    folders = ", ".join(f'"./{name}"' for name in names)
    project(f"plugins = [{folders}]\npythons = ['3.11']\nstrength = 1", **dict.fromkeys(names, ""))
    done = pegboard("plugins", "matrix", "--format", "gitlab")

    assert 1 == done.returncode
    assert "more than the 200 jobs that a matrix of gitlab has: use --max-jobs 200" in done.stderr


def test_the_configuration_of_the_page_makes_environments(
    pegboard: Run, tox: Run, tmp_path: Path
) -> None:
    """With its tox.ini, for a plugin of any name."""
    project = '[project]\nname = "greeter"\nversion = "1"\n\n'
    entry = '[project.entry-points."pegboard.plugins"]\ngreeter = "greeter"\n\n'
    (tmp_path / "pyproject.toml").write_text(project + entry + blocks("toml")[0])
    (tmp_path / "tox.ini").write_text(blocks("ini")[0].replace("requires = tox-pegboard\n", ""))

    names = pegboard("plugins", "matrix").stdout.split()

    assert 8 == len(names)  # four sets of plugins on each Python, and on each database
    assert "py312-greeter-items-postgresql" in names
    assert names == tox("list", "--no-desc").stdout.split()


@pytest.mark.parametrize(
    "table, message",
    [
        ("plugin = []", "'plugin' of [tool.pegboard.matrix] is not known. Did you mean plugins?"),
        ("databases = ['postgres']", "'postgres' in databases of [tool.pegboard.matrix] is not k"),
        ("databases = []", "databases of [tool.pegboard.matrix] is [], and must be a list with a"),
        ("strength = 0", "strength of [tool.pegboard.matrix] is 0, and must be a whole number"),
        ("strength = 9", "strength of [tool.pegboard.matrix] is 9, and must be a whole number abo"),
        ("deps = ['a b c']", "'a b c' in deps of [tool.pegboard.matrix] is no requirement, as"),
        ("deps = ['pytest>>8']", "'pytest>>8' in deps of [tool.pegboard.matrix] is no requirement"),
        ("newest = 'x y z'", "newest of [tool.pegboard.matrix] is 'x y z', and must be a requi"),
        ("commands = []", "commands of [tool.pegboard.matrix] is [], and must be a list with a"),
        ("commands = [' ']", "' ' in commands of [tool.pegboard.matrix] is no command, as"),
        ('commands = ["a \'b"]', "in commands of [tool.pegboard.matrix] is no command, as 'pytest"),
        (
            "redis = ['off']",
            "'off' in redis of [tool.pegboard.matrix] is not known. There is 'none', ",
        ),
        ("strength = true", "strength of [tool.pegboard.matrix] is True, and must be a whole num"),
        ("pythons = '3.11'", "pythons of [tool.pegboard.matrix] is '3.11', and must be a list"),
        ("pythons = ['311']", "has '311': write a version as 3.12"),
        ("plugins = ['a', 'a']", "plugins of [tool.pegboard.matrix] has a twice"),
        ("plugins = ['./no']", "names './no', where no pyproject.toml has a plugin"),
        ("plugins = ['alembic']", "the distribution alembic has no plugin"),
        ("plugins = ['pegboard-none']", "say it in [tool.pegboard.matrix], as in needs = { none ="),
        ("plugins = ['./items']#", "names no pythons, and the project has no classifiers of any"),
        ("# no plugins", "[tool.pegboard.matrix] names no plugins: say which are combined"),
        (
            "plugins = ['./items']\nneeds = { itms = [] }",
            "itms in needs of [tool.pegboard",
        ),
        ("plugins = ['./items']\nexclude = [{ plugins = ['x'] }]", "the plugin x in exclude of"),
        (
            "exclude = [{ pyton = '3.11' }]",
            "'pyton' in exclude of [tool.pegboard.matrix] is not",
        ),
        ("exclude = [{ redis = 'none' }]", "no combination is possible: everything is excluded"),
        ("core = ['lowest']", "the lowest core of no plugin is not known"),
        ("exclude = [{ redis = 'off' }]", "is not known. There is 'none'."),
        ("strength = ", "pyproject.toml cannot be read"),
    ],
)
def test_a_mistake_in_the_table_is_named(
    project: Project, pegboard: Run, table: str, message: str
) -> None:
    """The key, its value, and what is right."""
    root = project("plugins = []" if "plugins" not in table else "", items="")
    path = root / "pyproject.toml"
    pythons = "" if "pythons" in table or table.endswith("#") else "\npythons = ['3.11']\n"
    path.write_text(path.read_text() + pythons + table)

    done = pegboard("plugins", "matrix", "--format", "tox")
    assert 1 == done.returncode
    assert message in " ".join(done.stderr.split())


def test_needs_that_contradict_metadata_are_refused(
    project: Project, pegboard: Run, plugin_folder: PluginFolder
) -> None:
    """Else the matrix would be another one where the plugin is installed."""
    plugin_folder.add("log", distribution="acme-log", requires=["pegboard", "pegboard-items"])
    root = project(
        "pythons = ['3.11']\nplugins = ['./items', 'acme-log']\nneeds = { acme_log = [] }", items=""
    )
    assert "the plugin of acme-log is log" in pegboard("plugins", "matrix").stderr

    plugin_folder.add("mail", distribution="pegboard-mail", requires=["pegboard-items"])
    text = "[tool.pegboard.matrix]\npythons = ['3.11']\nplugins = ['./items', 'pegboard-mail']\n"
    text += "needs = { mail = [%s] }"
    (root / "pyproject.toml").write_text(text % "")
    refused = pegboard("plugins", "matrix")
    assert "does not say that mail requires items, which its metadata says" in refused.stderr
    (root / "pyproject.toml").write_text(text % "'items'")
    assert "core-items-mail" in pegboard("plugins", "matrix").stdout


def test_without_the_extra_it_says_what_to_install(
    project: Project, pegboard: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with a traceback."""
    project(MATRIX, items="", audit="pegboard-items")
    monkeypatch.setitem(sys.modules, "tox_pegboard", None)

    assert "Run pip install 'pegboard[author]'." in pegboard("plugins", "matrix").stderr
