"""Fixtures of this test tree."""

from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pegboard_observe.folder import VARIABLE

pytest_plugins = ["pegboard.testing.fixtures"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the metrics, which is the test's own."""
    path = tmp_path / "metrics"
    monkeypatch.setenv(VARIABLE, str(path))
    return path


@pytest.fixture
def read() -> Callable[..., float]:
    """Return the sum of the samples of a name with these labels."""

    def read(text: bytes, name: str, /, **labels: str) -> float:
        return sum(
            sample.value
            for family in text_string_to_metric_families(text.decode())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    return read
