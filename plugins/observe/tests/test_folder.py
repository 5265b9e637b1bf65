"""The folder of the metrics: of a service that was killed it goes at the next start."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pegboard_observe import folder
from pegboard_observe.folder import VARIABLE


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where folders are made."""
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(folder, "_MEMORY", str(tmp_path))
    return tmp_path


def make(parent: Path, pid: int) -> Path:
    """Make the folder of a service with that main process; returns its lock."""
    made = parent / f"pegboard-observe-{pid}-{'0' * 16}"
    made.mkdir()
    (made / "counter_1.db").touch()
    (made / "1.alive").touch()
    return made / "1.alive"


@pytest.fixture
def dead() -> int:
    """The id of a process that has ended."""
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout)


def test_the_folder_of_a_dead_service_is_removed(parent: Path, dead: int):
    """And one of the same id as this process, which is older; that of this process stays."""
    make(parent, dead)
    make(parent, os.getpid())
    named = folder.folder()
    assert [] == [*parent.iterdir()]
    assert str(named).startswith(f"{parent}/pegboard-observe-{os.getpid()}-")
    named.mkdir()
    assert named == folder.folder()
    assert [named] == [*parent.iterdir()]


def test_what_is_in_use_or_of_no_service_stays(parent: Path, dead: int):
    """Also what a process uses whose main process cannot be seen from here, as in a container."""
    make(parent, os.getppid())
    (parent / "pegboard-observe-notes-1").mkdir()
    (parent / "other").mkdir()
    before = {*parent.iterdir()}
    with make(parent, dead).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.folder()
    assert {*before, parent / f"pegboard-observe-{dead}-{'0' * 16}"} == {*parent.iterdir()}
