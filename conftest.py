"""What holds for all test trees."""

import gc
import os
import sys
import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_folder_of_nested_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the runs of pytest that tests start a folder of their own.

    Each removes what earlier runs have left, and fails where another one does so at the same time.
    """
    tmp_path_factory.getbasetemp()  # that of this run is not in it
    with tempfile.TemporaryDirectory(prefix="pytest-", ignore_cleanup_errors=True) as folder:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = folder
        yield


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was imported: it would look at all of it again and again.

    What tests leave is collected more seldom, too, as an app is thousands of objects that stay for
    a test: with the usual thresholds a sixth of the suite's CPU time goes there.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_sessionfinish() -> None:
    """Save what was measured: pytest-xdist kills a process that takes ten seconds to end."""
    if coverage := sys.modules.get("coverage"):
        measured = coverage.Coverage.current()
        if measured is not None:
            measured.save()
