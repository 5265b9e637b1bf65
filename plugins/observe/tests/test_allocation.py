"""A folder without space: nothing that a process counts is worth its life."""

import errno
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pegboard.testing.fixtures import MakeApp
from pegboard_observe import families
from pegboard_observe import metrics as metrics_module
from pegboard_observe.metrics import EXTENSION
from pegboard_observe.process import Writers
from pegboard_observe.store import Store, render

COUNT = "pegboard_http_request_duration_seconds_count"
Read = Callable[..., float]

# In a file system of 256 KiB: of two files of 64 KiB one cannot grow beyond 128 KiB.
FILL = """
import sys
from pathlib import Path
from pegboard_observe.families import IN_FLIGHT, SIZE, STATE
from pegboard_observe.store import Store, render

folder = Path(sys.argv[1])
store = Store(folder)
for family in (IN_FLIGHT, SIZE):
    store.write(family, ("a",) * len(family.labels), 1)
written = 0
try:
    while True:
        store.write(SIZE, (str(written), *["a"] * (len(SIZE.labels) - 1)), 7)
        written += 1
except OSError as error:
    print("full", error.errno)
try:
    with (folder / "filler").open("wb") as filler:
        while True:
            filler.write(b"x" * 1024)
            filler.flush()
except OSError:
    pass
store.write(SIZE, ("0", *["a"] * (len(SIZE.labels) - 1)), 8)
other = Store(folder)
try:
    other.write(SIZE, ("a",) * len(SIZE.labels), 1)
except OSError as error:
    print("full", error.errno)
told = render(folder).decode()
print(told.count(" 7.0\\n") == written - 1, told.count(" 8.0\\n"))
"""
MOUNT = 'mount -t tmpfs -o size=256k none "$0" && exec "$1" -c "$2" "$0"'
IN_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


def _can_mount(folder: Path) -> bool:
    try:
        command = [*IN_NAMESPACE, 'mount -t tmpfs none "$0"', str(folder)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_a_full_file_system_is_an_error_and_no_signal(tmp_path: Path):
    """What is written already stays, can be changed and read."""
    if not _can_mount(tmp_path):
        pytest.skip("nothing can be mounted here")
    command = [*IN_NAMESPACE, MOUNT, str(tmp_path), sys.executable, FILL]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ("", 0) == (done.stderr, done.returncode)
    assert [f"full {errno.ENOSPC}", f"full {errno.ENOSPC}", "True 1"] == done.stdout.splitlines()


class Space:
    """Space on a device, as long as the test says that there is some."""

    def __init__(self) -> None:
        self.is_there = True

    def allocate(self, number: int, start: int, size: int) -> None:
        """Do as `os.posix_fallocate`."""
        if not self.is_there:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.truncate(number, start + size)


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> Space:
    """The space for all files of metrics."""
    space = Space()
    monkeypatch.setattr(metrics_module, "WRITERS", Writers())
    monkeypatch.setattr(metrics_module, "_EVERY", 3600.0)  # the test writes itself
    monkeypatch.setattr(os, "posix_fallocate", space.allocate, raising=False)
    return space


def test_without_space_the_service_goes_on_and_nothing_is_lost(
    space: Space, make_app: MakeApp, read: Read, folder: Path, caplog
):
    """The log says it once, and the metrics have all of it when there is space again."""
    caplog.set_level(logging.INFO, "pegboard_observe")
    space.is_there = False
    app = make_app(plugins=["observe"])
    metrics, client = app.extensions[EXTENSION], app.test_client()
    for _ in range(3):
        assert 200 == client.get("/health").status_code
        assert 0 == read(metrics.render(), COUNT)
    assert 1 == caplog.text.count("the metrics of this process cannot be written")
    assert [] == [*folder.glob("*.db"), *folder.glob("*.new")]
    space.is_there = True
    text = metrics.render()
    assert 3 == read(text, COUNT, route="/health")
    assert 1 == read(text, "pegboard_worker_starts_total")
    assert 1 == read(text, "pegboard_build_info")
    assert "can be written again" in caplog.text


def test_what_a_dead_process_has_counted_waits_for_space(space: Space, folder: Path, read: Read):
    """It is told all the same, and goes to the archive later; its gauges are forgotten."""
    store = Store(folder)
    store.write(families.STARTS, (), 5)
    store.write(families.WORKERS, (), 1)
    del store
    space.is_there = False
    for _ in range(2):
        text = render(folder)
        assert 5 == read(text, "pegboard_worker_starts_total")
        assert 0 == read(text, "pegboard_workers")
        assert 1 == len([*folder.glob("*.alive")])
    space.is_there = True
    assert 5 == read(render(folder), "pegboard_worker_starts_total")
    assert ["counter_archive.db"] == [one.name for one in folder.glob("*.db")]
    assert [] == [*folder.glob("*.alive")]
