"""`pegboard plugins matrix --shrink`, with tox and with other commands."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Project = Callable[..., Path]
Run = Callable[..., CompletedProcess[str]]

FACTOR = f"py3{sys.version_info.minor}"
MATRIX = """
plugins = ["./items", "./audit", "./mail", "./search"]
pythons = ["PYTHON"]
commands = ["python check.py"]
install = false
""".replace("PYTHON", f"3.{sys.version_info.minor}")
CHECK = """
import os, sys
sys.exit({'audit', 'mail'} <= {*os.environ['PEGBOARD_TEST_SUBSET'].split()})
"""


def test_tox_runs_smaller_sets_until_none_fails(project: Project, pegboard: Run) -> None:
    """Also sets that are not in the matrix, and long names; audit never comes without items."""
    words = ("items", "audit", "mail", "search")
    items, audit, mail, search = (f"customer_accounts_{one}" for one in words)
    plugins = "plugins = " + json.dumps([f"./{one}" for one in (items, audit, mail, search)])
    options = MATRIX.partition("]")[2]
    requirements = {items: "", audit: f"pegboard-{items}", mail: "", search: f"pegboard-{mail}"}
    root = project(f"{plugins}{options}subsets = 1\nmax_jobs = 1\n", **requirements)
    (root / "check.py").write_text(CHECK.replace("'audit', 'mail'", f"'{audit}', '{mail}'"))
    (root / "tox.ini").write_text("[tox]\nno_package = true\n")

    done = pegboard("plugins", "matrix", "--shrink", f"{FACTOR}-core-all")

    # The first three of the four.
    assert f"{FACTOR}-core-3plugins_7: {audit}, {items}, {mail}\n" == done.stdout, done.stderr


def test_what_it_finds_is_on_standard_output(project: Project, pegboard: Run) -> None:
    """What was run is on standard error, with the files that have the output."""
    root = project(MATRIX, items="", audit="pegboard-items", mail="", search="pegboard-mail")
    (root / "check.py").write_text(CHECK)
    name = f"{FACTOR}-core-items-audit-mail-search"
    command = [sys.executable, "check.py", "{environment}", "{plugins}"]

    done = pegboard("plugins", "matrix", "--shrink", name, "--", *command)

    assert f"{FACTOR}-core-items-audit-mail: audit, items, mail\n" == done.stdout
    assert 0 == done.returncode
    first, second = done.stderr.splitlines()[:2]
    assert first.startswith("run 1: audit, items, mail, search (")
    assert "run 1 failed with 1" == second
    log = Path(first.rpartition("(")[2].removesuffix(")"))
    assert f"check.py {name} audit,items,mail,search" in log.read_text()
    assert "It is the smallest set" in done.stderr

    shown = pegboard("plugins", "matrix", "--json", "--shrink", name, "--", *command)
    document = json.loads(shown.stdout)
    assert ["audit", "items", "mail"] == document["plugins"]
    assert (True, False, 1) == (document["is_smallest"], document["is_flaky"], document["status"])
    assert {"plugins": [], "statuses": [0]} in document["runs"]

    done = pegboard("plugins", "matrix", "--shrink", name, "--", "sh", "-c", "exit 3")
    assert f"{FACTOR}-core: no other plugin\n" == done.stdout
    assert "No plugin is to blame: it fails without any that can be left out." in done.stderr
    assert "smaller" not in done.stderr
    assert 1 == done.returncode
    shown = pegboard("plugins", "matrix", "--json", "--shrink", name, "--", "sh", "-c", "exit 3")
    assert (1, []) == (shown.returncode, json.loads(shown.stdout)["plugins"])


def test_what_the_own_plugin_requires_is_in_each_set(project: Project, pegboard: Run) -> None:
    """Also in one that needs it and fails by itself: no smaller set is left out for it."""
    root = project(
        MATRIX.replace('"./audit", "./mail", "./search"', '".", "./a", "./b", "./reviews"'),
        own="shop",
        shop="pegboard-items",
        items="",
        a="",
        b="",
        reviews="pegboard-items",
    )
    check = "import sys; names = {*sys.argv[2].split(',')}; "
    check += "sys.exit({'a', 'b'} <= names or 'reviews' in names)"
    (root / "check.py").write_text(check)
    command = [sys.executable, "check.py", "{environment}", "{plugins}"]

    done = pegboard("plugins", "matrix", "--shrink", f"{FACTOR}-shop-all", "--", *command)

    assert done.stdout.endswith(": items, reviews\n"), done.stdout + done.stderr


def test_what_cannot_be_set_up_is_no_failure_of_its_command(
    project: Project, pegboard: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Python that is missing is no fault of a plugin, also where tox would skip it."""
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    root = project(
        MATRIX.replace(FACTOR.replace("py3", "3."), "3.99"),
        items="",
        audit="pegboard-items",
        mail="",
        search="",
    )
    (root / "tox.ini").write_text("[tox]\nno_package = true\nskip_missing_interpreters = true\n")

    done = pegboard("plugins", "matrix", "--shrink", "py399-core")
    assert 1 == done.returncode
    assert "" == done.stdout
    assert "py399-core could not be set up, so that nothing was run" in done.stderr

    # What stands for tox makes no environment with search, and runs nothing in it.
    (root / "tox.py").write_text(
        "import json, os, pathlib, sys\n"
        "plugins = os.environ['PEGBOARD_TEST_SUBSET'].split()\n"
        "tests = [] if 'search' in plugins and sys.argv[1] == 'bad' else [{}]\n"
        "report = {'testenvs': {sys.argv[2]: {'test': tests}}}\n"
        "pathlib.Path(os.environ['TOX_RESULT_JSON']).write_text(json.dumps(report))\n"
        "sys.exit(not tests or len(plugins) == 4)\n"
    )
    name = "py399-core-items-audit-mail-search"
    command = ["--", sys.executable, "tox.py", "bad", "{environment}"]
    done = pegboard("plugins", "matrix", "--shrink", name, *command)
    assert "py399-core-search: search\n" == done.stdout
    assert "Its environment could not be set up: no command was run in it." in done.stderr

    (root / "tox.py").write_text(
        (root / "tox.py").read_text().replace("sys.argv[1] == 'bad'", "len(plugins) < 4")
    )
    done = pegboard("plugins", "matrix", "--shrink", name, *command)
    assert "py399-core-items-audit-mail-search: audit, items, mail, search\n" == done.stdout
    assert "Smaller sets may fail: not all could be set up." in done.stderr
    assert "so that it is not known whether they fail: mail, search; search;" in done.stderr


def test_what_cannot_be_shrunk_is_told(project: Project, pegboard: Run) -> None:
    """What passes, what is no combination, a command that is not there, one without --shrink."""
    project(MATRIX, items="", audit="pegboard-items", mail="", search="pegboard-mail")
    name = f"{FACTOR}-core-items-mail"
    runs = {
        "It did not fail in 1 runs": ("--shrink", name, "--", sys.executable, "-c", ""),
        "no-command cannot be run: No such file": ("--shrink", name, "--", "no-command"),
        "py3-none is no combination": ("--shrink", "py3-none"),
        "audit without items cannot be": ("--shrink", f"{FACTOR}-core-audit"),
        "only --shrink runs one: pytest": ("pytest",),
    }
    for message, arguments in runs.items():
        done = pegboard("plugins", "matrix", *arguments)
        assert done.returncode
        assert "" == done.stdout
        assert message in done.stderr
