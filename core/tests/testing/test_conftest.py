"""What a conftest.py of a plugin's tests may do."""

import subprocess
import sys
from pathlib import Path

import pytest

WARNING = "error::pytest.PytestAssertRewriteWarning"


@pytest.mark.slow
def test_a_conftest_may_import_types_of_the_fixtures_that_it_loads(tmp_path: Path):
    """Also where warnings are errors."""
    (tmp_path / "conftest.py").write_text(
        "from pegboard.testing.fixtures import MakeApp\n"
        'pytest_plugins = ["pegboard.testing.fixtures"]\n'
    )
    (tmp_path / "test_it.py").write_text("def test_it(tmp_path): ...\n")
    command = [sys.executable, "-m", "pytest", "-q", "-W", WARNING, "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-c", "/dev/null", "--rootdir", tmp_path, tmp_path],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
