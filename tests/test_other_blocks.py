"""Every code block of the documents that is not Python is read by what reads its language."""

import configparser
import json
import re
import runpy
import subprocess
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text

from pegboard.grading import TIERS
from pegboard.grading.options import read_options

ROOT = Path(__file__).parent.parent
KIT = runpy.run_path(str(ROOT / "docs/write_kit.py"))
PYTHON = runpy.run_path(str(ROOT / "tests/test_code_blocks.py"))
DOCUMENTS: list[Path] = PYTHON["DOCUMENTS"]
blocks: Callable[[Path], list[tuple[str, str]]] = PYTHON["blocks"]


def read_ini(code: str) -> None:
    """Read it as tox and PgBouncer do; both have `%` as it stands."""
    configparser.ConfigParser(interpolation=None, strict=True).read_string(code)


def read_toml(code: str) -> None:
    """Read it, and the tables of Pegboard in it."""
    pyproject = tomllib.loads(code)
    read_options(pyproject, TIERS)
    matrix = pyproject.get("tool", {}).get("pegboard", {}).get("matrix", {})
    assert set() == {*matrix} - {key.name for key in KIT["keys"]("matrix")}


def read_shell(code: str) -> None:
    """Let a shell read it, and run nothing; of a session on a terminal what stands behind `$`."""
    typed = re.findall(r"^\s*\$ (.*(?:\\\n.*)*)", code, re.MULTILINE)
    done = subprocess.run(
        ["bash", "-n"],
        input="\n".join(typed) if typed else code,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)


READ: dict[str, Callable[[str], object]] = {
    "console": read_shell,
    "ini": read_ini,
    "json": json.loads,
    "sh": read_shell,
    "toml": read_toml,
    "yaml": lambda code: list(pytest.importorskip("yaml").safe_load_all(code)),
}
"""What reads the blocks of a language; `test_docs.py` compares the commands of Pegboard in them.

Workflows and pipelines are checked by `tests/author/combinations/test_matrix_command.py`.
"""

OTHERS = {
    "nginx": ("tests/test_documented_configuration.py", "```nginx"),
    "diff": ("tests/author/test_tutorial.py", 'case "diff"'),
    "sql": ("tests/test_other_blocks.py", "def test_a_statement_runs_on_postgresql"),
    "http": ("tests/test_other_blocks.py", "def test_an_answer_is_one"),
}
"""By language the module that takes its blocks, and what is written in it."""

OUTPUT = {"", "text", "{include}", "{toctree}"}
"""What is printed, or drawn; and what builds the site."""

DATA = [
    pytest.param(language, code, id=f"{path.relative_to(ROOT)}-{number + 1}-{language}")
    for path in DOCUMENTS
    for number, (language, code) in enumerate(blocks(path))
    if language in READ
]


def test_every_language_is_read_by_a_test() -> None:
    """One more needs a function above, or a module that takes its blocks."""
    known = {"python", "py", *READ, *OTHERS, *OUTPUT}
    assert set() == {language for path in DOCUMENTS for language, _ in blocks(path)} - known
    for module, words in OTHERS.values():
        assert words in (ROOT / module).read_text(encoding="utf-8")


@pytest.mark.parametrize("language,code", DATA)
def test_a_block_can_be_read(language: str, code: str) -> None:
    """By what reads its language; of `pyproject.toml` also the keys that Pegboard has."""
    READ[language](textwrap.dedent(code))


def found(language: str) -> list[str]:
    """The blocks of one language in all documents."""
    return [code for path in DOCUMENTS for one, code in blocks(path) if one == language]


def test_a_statement_runs_on_postgresql(postgres_url: str) -> None:
    """As it stands."""
    engine = create_engine(postgres_url.replace("://", "+psycopg2://"), poolclass=NullPool)
    with engine.connect() as connection:
        for code in found("sql"):
            assert connection.execute(text(code)).returns_rows


@pytest.mark.parametrize("code", found("http"))
def test_an_answer_is_one(code: str) -> None:
    """With a status, headers, and JSON that has the same status."""
    head, _, body = code.partition("\n\n")
    status, *headers = head.splitlines()
    assert json.loads(body)["status"] == int(status.split()[1])
    assert [] == [line for line in headers if not re.fullmatch(r"[A-Z][\w-]+: \S.*", line)]
