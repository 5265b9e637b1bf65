"""What `pegboard new` writes: it is clean, typed, and its own tests pass, whatever the options."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from pegboard.cli import main

SWITCHES = ("table", "resource", "cache", "hooks")
EVERY = [
    dict(zip(SWITCHES, values, strict=True))
    for values in product([True, False], repeat=len(SWITCHES))
    if values[0] or not (values[1] or values[2])
]
"""Every combination of what a plugin has."""

LONGEST = "a_plugin_whose_name_has_forty_three_letters"
NAMES = [
    "notes",
    "n",
    "work_orders",
    LONGEST,
    "kitchen",
    "stories",
    "x1",
    "news",
    "zebras",
    "queue",
]
"""A name for each: its length, and its place in the alphabet, change the lines of code."""

TESTED = [
    EVERY.index(dict(zip(SWITCHES, values, strict=True)))
    for values in [
        (True, True, True, True),
        (True, True, False, False),
        (True, False, True, False),
        (True, False, False, True),
        (False, False, False, True),
        (False, False, False, False),
    ]
]
"""The combinations whose own tests run: each pair of switches that can be, and all."""

RENAMED = [TESTED[0]]
"""Those whose resource, table and commands are not called as the plugin."""


def write(folder: Path, name: str, *options: str, status: int = 0) -> str:
    """Run `pegboard new`; returns what it prints."""
    arguments = ["new", name, "--defaults", "--into", str(folder), *options]
    done = CliRunner().invoke(main, arguments)
    assert status == done.exit_code, done.output
    return done.output


def options_of(switches: Mapping[str, bool]) -> list[str]:
    """The options that say what a plugin has."""
    said = [f"--{name}" if on else f"--no-{name}" for name, on in switches.items()]
    return [option for option in said if option != "--resource"]  # this takes a name


def run(folder: Path, *command: str | Path, **variables: str) -> str:
    """Run a tool of this environment in a folder to its success; returns what it prints."""
    # What measures this process must not measure the plugin's, which measure themselves.
    clean = {name: text for name, text in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**clean, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """The folder of a plugin of each combination; the other options take turns."""
    root = tmp_path_factory.mktemp("written")
    others = ["MIT", "Apache-2.0", "BSD-3-Clause", "none"], ["github", "gitlab", "none"]
    for number, (name, switches) in enumerate(zip(NAMES, EVERY, strict=True)):
        turns = ["--license", others[0][number % 4], "--ci", others[1][number % 3]]
        turns += ["--tox", ["ini", "toml"][number % 2]]
        if number in RENAMED:
            turns += ["--resource", "memos"]
        write(root / name, name, *options_of(switches), *turns)
    return [root / name for name in NAMES]


def test_the_tested_combinations_have_every_pair() -> None:
    """Of two switches that can be combined at all."""
    for one, other in combinations(SWITCHES, 2):
        possible = {(row[one], row[other]) for row in EVERY}
        assert possible == {(EVERY[index][one], EVERY[index][other]) for index in TESTED}


def test_what_is_written_is_clean(written: Sequence[Path]) -> None:
    """By all rules of the linter but those that its configuration names, and as it formats."""
    for folder in written:
        run(folder, "ruff", "check", "--no-cache", "--output-format", "concise")
        run(folder, "ruff", "format", "--no-cache", "--diff")


def test_what_is_written_is_typed(written: Sequence[Path], tmp_path: Path) -> None:
    """Strictly, the tests as well: by the command of its tox, and of all in one go."""
    first, root = written[0], written[0].parent
    run(first, "mypy", "--cache-dir", tmp_path)
    sources = [str(folder / "src") for folder in written]
    config = ("--config-file", first / "pyproject.toml", "--cache-dir", tmp_path)
    run(root, "mypy", *config, *written, MYPYPATH=os.pathsep.join([*sources, str(root)]))


@pytest.mark.parametrize("index", TESTED, ids=lambda index: NAMES[index])
def test_its_own_tests_pass(written: Sequence[Path], index: int, tmp_path: Path) -> None:
    """From its wheel, on SQLite, PostgreSQL and Valkey, and they reach its code.

    The contract of resources, which takes the longest, is kept by the first only: no switch
    changes what it tests.
    """
    folder = written[index]
    run(folder, "hatchling", "build", "--target", "wheel", "--directory", tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    variables = {"PYTHONPATH": str(tmp_path / "site"), "COVERAGE_FILE": str(tmp_path / "coverage")}
    some = ["--deselect", "tests/test_resource.py::Test"] if index else []
    pytest_run = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
    printed = run(folder, "coverage", "run", *pytest_run, *some, **variables)
    assert re.search(r"^\d+ passed", printed, re.MULTILINE), printed
    run(folder, "coverage", "report", **variables)


def test_it_can_be_given_away(written: Sequence[Path], tmp_path: Path) -> None:
    """The wheel has the migration, the types and the license; the source has the tests as well."""
    run(written[0], "hatchling", "build", "--directory", tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name.partition("/")[2] for name in archive.namelist()}
    assert {"py.typed", "migrations/notes_0001_create_the_table.py", "licenses/LICENSE"} <= held
    shutil.unpack_archive(next(tmp_path.glob("*.tar.gz")), tmp_path, filter="data")
    source = tmp_path / "pegboard_notes-0.1.0"
    assert (source / "tests/test_resource.py").exists()


def test_both_formats_of_tox_make_the_same_environments(tmp_path: Path) -> None:
    """With the same commands and requirements."""
    found = []
    for form in ("ini", "toml"):
        write(tmp_path / form, "notes", "--tox", form)
        assert ["tox." + form] == [path.name for path in (tmp_path / form).glob("tox.*")]
        keys = ("deps", "commands", "extras", "package", "skip_install", "description")
        found.append(run(tmp_path / form, "tox", "config", "-k", *keys).replace(f"/{form}/", "/"))
    names = set(re.findall(r"\[testenv:(.*)\]", found[0]))
    assert {"py311-notes", "py311-notes-items-cache_redis-ratelimit"} <= names
    assert {"lint", "types", "coverage"} <= names
    assert {"py312", "py313"} <= {name.partition("-")[0] for name in names}
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "service,file,schema",
    [
        ("github", ".github/workflows/tests.yml", "vendor.github-workflows"),
        ("gitlab", ".gitlab-ci.yml", "vendor.gitlab-ci"),
    ],
)
def test_the_service_that_tests_it_understands_its_file(
    tmp_path: Path, service: str, file: str, schema: str
) -> None:
    """And there is no file of the other."""
    write(tmp_path, "notes", "--ci", service)
    run(tmp_path, "check_jsonschema", "--builtin-schema", schema, file)
    assert [file] == [
        name
        for name in (".github/workflows/tests.yml", ".gitlab-ci.yml")
        if (tmp_path / name).exists()
    ]


def test_what_is_said_of_it_stands_where_it_is_read(tmp_path: Path) -> None:
    """In its metadata, its package and its license, with the names that were given."""
    names = ["--distribution", "Acme.Notes", "--package", "acme_notes", "--resource", "memos"]
    said = ["--description", "What O'Neill & Ärzte note.", "--author", "Zoë"]
    write(tmp_path / "made", "notes", *names, *said, "--license", "BSD-3-Clause")
    project = tomllib.loads((tmp_path / "made/pyproject.toml").read_text("utf-8"))["project"]
    assert ("Acme.Notes", "What O'Neill & Ärzte note.") == (project["name"], project["description"])
    assert [{"name": "Zoë"}] == project["authors"]
    assert {"notes": "acme_notes.plugin"} == project["entry-points"]["pegboard.plugins"]
    assert "Zoë" in (tmp_path / "made/LICENSE").read_text("utf-8")
    package = (tmp_path / "made/src/acme_notes/__init__.py").read_text("utf-8")
    assert package.startswith('"""What O\'Neill & Ärzte note."""')
    models = (tmp_path / "made/src/acme_notes/models.py").read_text("utf-8")
    assert "class Memo(Base):" in models
    assert '__tablename__ = "memos"' in models
    run(tmp_path / "made", "ruff", "check", "--no-cache")


@pytest.mark.parametrize("text", ['"', "\\", "", " ", "x" * 81, "two\nlines"])
def test_a_description_that_would_break_its_files_is_refused(tmp_path: Path, text: str) -> None:
    """Nothing is written."""
    told = write(tmp_path / "made", "notes", "--description", text, status=1)
    assert "Write one line of at most 80 characters" in told
    assert not (tmp_path / "made").exists()


def test_the_options_of_the_command_are_the_questions() -> None:
    """Each can be given, with the same choices."""
    source = Path(sys.modules["pegboard"].__file__ or "").parent / "scaffold/template/copier.yml"
    questions: dict[str, Any] = yaml.safe_load(source.read_text("utf-8"))
    asked = {
        name: sorted(choices if isinstance(choices, list) else choices.values())
        for name, question in questions.items()
        if name[0] != "_" and question.get("when", True) is not False and "default" in question
        for choices in [question.get("choices", [])]
    }
    command = main.commands["new"]
    options = {
        option.name: sorted(option.type.choices) if isinstance(option.type, click.Choice) else []
        for option in command.params
    }
    others = {"name", "update", "no_verify", "into", "distribution", "package", "defaults"}
    assert asked == {name: options[name] for name in options if name not in others}


def test_the_guide_has_every_option() -> None:
    """And the command of the guide works."""
    guide = (Path(__file__).parents[2] / "docs/how-to/new-plugin.md").read_text("utf-8")
    options = {text for option in main.commands["new"].params for text in option.opts}
    shown = set(re.findall(r"`(--[a-z-]+)", guide)) | {"name", "--update"}
    assert options | {"--no-table"} >= shown >= options


def test_it_asks_on_a_terminal(tmp_path: Path) -> None:
    """By the questions of the template; what is given by an option is not asked."""
    if sys.platform == "win32":
        pytest.skip("there is no pseudo-terminal")
    import pty  # noqa: PLC0415 - absent on Windows

    given = ["--description", "Notes", "--author", "Ada", "--ci", "none", "--license", "none"]
    command = ["-c", "from pegboard_command import main; main()", "new", "notes", *given]
    parent, child = pty.openpty()
    with subprocess.Popen(
        [sys.executable, *command, "--tox", "ini"],
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm"},
        stdin=child,
        stdout=child,
        stderr=child,
    ) as process:
        os.close(child)
        printed = b""
        for question, answer in (
            (b"Does it have a table", b"y"),
            (b"Does it have a REST resource", b"y"),
            (b"What is the resource called", b"\x15docs\r"),
            (b"docs is a command or a part of the core", b"\x15memos\r"),
            (b"What is one row called", b"\r"),
            (b"Are answers for one row cached", b"n"),
            (b"Does it have hooks of its own", b"y"),
        ):
            printed = read_until(parent, question)
            os.write(parent, answer)
        rest = b""
        try:
            while data := os.read(parent, 4096):
                rest += data
        except OSError:
            pass  # the other side is closed
    os.close(parent)
    assert process.returncode == 0, printed + rest
    answers = yaml.safe_load((tmp_path / "pegboard-notes/.copier-answers.yml").read_text("utf-8"))
    found = {name: answers[name] for name in (*SWITCHES, "rows", "noun")}
    switches = {"table": True, "resource": True, "cache": False, "hooks": True}
    assert {**switches, "rows": "memos", "noun": "memo"} == found
    assert b"Who writes it" not in printed + rest


def read_until(terminal: int, text: bytes) -> bytes:
    """Read what is printed until a text is in it."""
    printed = b""
    while text not in printed:
        printed += os.read(terminal, 4096)
    return printed


def test_nothing_of_it_is_imported_by_a_service() -> None:
    """Neither the scaffold nor copier, with all commands known."""
    code = (
        "import sys, json, pegboard, pegboard.cli.serve; pegboard.create_app({'ENV': 'testing'}, "
        "plugins=[]); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert [] == [name for name in loaded if name.startswith(("copier", "pegboard.scaffold"))]
