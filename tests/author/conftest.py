"""Fixtures of the tests of the plugin authors' kit, which run in an environment of their own."""

import os

import pytest


@pytest.fixture(autouse=True)
def own_tox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the tox that runs these tests from the one that a test runs.

    `TOX_WORK_DIR` would have it make its environments in place of those of this project.
    """
    for name in [name for name in os.environ if name.startswith("TOX_")]:
        monkeypatch.delenv(name)
