"""The console script where the command cannot be imported."""

import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

import pegboard_command
from pegboard.problems import Code
from pegboard.testing.services import run_pegboard


def test_unreadable_entry_points_are_named_with_file_and_line(tmp_path: Path) -> None:
    """They are of distributions without plugins; the command ends without a traceback."""
    contents = {
        "one": b"[a]\nb = c\n\n; serve\n",
        "other": b"[a]\nb = c\nd = \xff\n",
        "right": b"serve\n# serve\n[a]\nb = c\n",
    }
    for name, content in contents.items():
        folder = tmp_path / f"example_{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: example-{name}\nVersion: 1.0\n"
        )
        (folder / "entry_points.txt").write_bytes(content)
    done = run_pegboard("--version", directory=tmp_path, PYTHONPATH=str(tmp_path))
    assert 1 == done.returncode
    head, *rest = done.stdout.splitlines()
    assert "Error: the service cannot start, 2 problems:" == head
    code = Code.ENTRY_POINTS_UNREADABLE
    one, other, _ = (
        tmp_path / f"example_{name}-1.0.dist-info/entry_points.txt" for name in contents
    )
    assert {
        f"  - {one}: line 4 is '; serve', without a = [{code}]",
        f"  - {other}: line 3 is not UTF-8 [{code}]",
    } == {*rest[::2]}
    assert {"example_one", "example_other"} == {hint.split()[1] for hint in rest[1::2]}


def test_another_error_of_the_import_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata of all distributions is fine then."""
    monkeypatch.setitem(sys.modules, "pegboard.cli", None)
    with pytest.raises(ImportError, match=r"pegboard\.cli"):
        pegboard_command.main()


def test_the_console_script_is_this_module() -> None:
    """The package itself could not be imported."""
    scripts = distribution("pegboard").entry_points.select(group="console_scripts")
    assert ["pegboard_command:main"] == [script.value for script in scripts]
