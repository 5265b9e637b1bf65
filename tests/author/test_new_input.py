"""What `pegboard new` accepts is written clean, and what could not be is refused."""

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from itertools import cycle, product
from pathlib import Path
from random import Random
from typing import Any

import pytest

import pegboard
from pegboard import scaffold
from pegboard.scaffold import Names, ScaffoldError, find_names
from pegboard.scaffold.taken import FACTORS, FIRST_PARTY_NOUNS, INTERPRETERS, written_names
from tox_pegboard.combinations import space

LONG = "a_plugin_whose_name_has_forty_three_letters"
PLUGINS = ["n", "o_", "a__b", "x1", "testimonials", "this_thing", "passwords", "zebras", LONG]
ROWS = ["memos", "m", LONG, "work_orders"]
NOUNS = ["note", "z", "test_case", "p_2", "_".join(LONG)[:43], LONG]
PACKAGES = ["a", "zz_9", "pegboard_x", "pegboards", "pytest_x", "p" * 64]
DISTRIBUTIONS = ["N", "Acme.Notes", "d" * 64]
DESCRIPTIONS = [
    "This plugin keeps notes",
    "  Notes  ",
    "Notes – for everyone…",  # noqa: RUF001
    "notes ‘of’ Ελλάδα, где угодно!",  # noqa: RUF001
    "Returns:",
    "Ünïcode: {{ name }} {name} %s #noqa <b>`x`</b> ... 'x'",
    "日本語の" * 10,
    "n" * 80,
    "x " * 39 + "x.",
]
SWITCHES = [
    dict(zip(("table", "resource", "cache", "hooks"), values, strict=True))
    for values in product([True, False], repeat=4)
    if values[0] or not (values[1] or values[2])
]


def drawn() -> Iterator[tuple[Names, dict[str, Any]]]:
    """Names and answers that are accepted: each name and text is in one at least."""
    random = Random(13)
    rest = [random.sample(values, len(values)) for values in (NOUNS, PACKAGES, DISTRIBUTIONS)]
    columns = zip(*map(cycle, rest), cycle(DESCRIPTIONS), cycle(["ini", "toml"]), strict=False)
    for number, switches in enumerate([*SWITCHES, *SWITCHES]):
        noun, package, distribution, description, tox = next(columns)
        longest = number < len(SWITCHES)
        rows = {"rows": ROWS[number % len(ROWS)]} if switches["resource"] else {}
        names = find_names(
            LONG if longest else PLUGINS[number % len(PLUGINS)],
            **rows,
            noun=LONG if longest else noun,
            package=package,
            distribution=distribution,
        )
        yield names, {**switches, "description": description, "author": " Zoë ", "tox": tox}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """The folders of plugins that were drawn."""
    root = tmp_path_factory.mktemp("drawn")
    folders = []
    for number, (names, answers) in enumerate(drawn()):
        folders.append(root / f"drawn{number}")
        scaffold.create(names, folders[-1], answers)
    return folders


def test_it_is_clean_whatever_the_names_and_words(written: Sequence[Path]) -> None:
    """By the rules that are in its own configuration, and as they format."""
    for command in (["check", "--output-format", "concise"], ["format", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", str(written[0].parent)]
        done = subprocess.run(ruff, stdout=subprocess.PIPE, text=True, check=False)
        assert 0 == done.returncode, done.stdout


def test_its_words_stand_where_they_are_read(written: Sequence[Path]) -> None:
    """Without blanks around them."""
    for folder, (names, answers) in zip(written, drawn(), strict=True):
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
        said = answers["description"].strip()
        assert (said, [{"name": "Zoë"}]) == (project["description"], project["authors"])
        module = (folder / "src" / names.package / "__init__.py").read_text("utf-8")
        assert f"{said.rstrip('.')}." == ast.get_docstring(ast.parse(module))


def test_every_class_that_the_modules_have_is_known(written: Sequence[Path]) -> None:
    """No model is called as one; of what is written, only the names of the plugin are others."""
    found = set[str]()
    for folder, (names, _) in zip(written, drawn(), strict=True):
        own = {"".join(map(str.capitalize, name.split("_"))) for name in (names.noun, names.name)}
        for path in (*folder.glob("src/**/*.py"), *folder.glob("tests/*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                match node:
                    case ast.ImportFrom():
                        bound = [alias.asname or alias.name for alias in node.names]
                    case ast.ClassDef():
                        bound = [node.name]
                    case _:
                        continue
                found.update(name for name in bound if not any(word in name for word in own))
    assert set() == {name for name in found if name[0].isupper()} - written_names()


def test_nouns_of_our_own_operations_are_refused() -> None:
    """As the ids of two operations would be the same."""
    app = pegboard.create_app({"ENV": "testing"}, plugins=["items"])
    paths = app.test_client().get("/openapi.json").get_json()["paths"]
    operations = [one for path in paths.values() for one in path.values() if isinstance(one, dict)]
    ids = [operation["operationId"] for operation in operations]
    assert set(FIRST_PARTY_NOUNS) == {text.partition("_")[2] for text in ids}


def test_words_of_the_matrix_are_refused() -> None:
    """As the name of an environment would say something else; `matrix` is the label of all."""
    assert {*space.RESERVED, "matrix"} == {*FACTORS}
    assert space.INTERPRETERS == INTERPRETERS


@pytest.mark.parametrize(
    "text",
    [". .", "/tmp", "a\tb", "a\x08b", "a\u200bb", "a\u202eb", "a\u00a0b", "語" * 41],
)
def test_a_description_that_the_linter_would_refuse_is_refused(tmp_path: Path, text: str) -> None:
    """What is not seen, what is a path, and what is too wide for a line."""
    with pytest.raises(ScaffoldError, match="Write one line of at most 80 characters"):
        scaffold.create(find_names("notes"), tmp_path / "made", {"description": text})
    assert not (tmp_path / "made").exists()


def test_tests_of_a_plugin_are_found_whatever_its_name(written: Sequence[Path]) -> None:
    """Also where its classes begin as those of tests do, which pytest would else collect."""
    plugins = [(names.name, answers["table"]) for names, answers in drawn()]
    folder = written[plugins.index(("testimonials", True))]
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider"]
    path = {**os.environ, "PYTHONPATH": str(folder / "src")}
    done = subprocess.run(
        collect, cwd=folder, env=path, stdout=subprocess.PIPE, text=True, check=False
    )
    assert 0 == done.returncode, done.stdout
    assert "tests/test_settings.py: " in done.stdout
