"""The running service against its own OpenAPI document, with requests nobody thought of."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pegboard.testing.fixtures import StartService

pytestmark = pytest.mark.slow

SEED = 20_240_101
EXAMPLES = 60
CONFIGURATION = """
[checks]
# A valid request whose condition does not hold is answered 412; the others are the tool's own.
positive_data_acceptance.expected-statuses = [
    "2xx", "3xx", "401", "403", "404", "409", "412", "429", "5xx"
]
"""


def test_service_does_what_its_document_says(
    live_server: StartService, database_url: str, tmp_path: Path
) -> None:
    """Schemathesis with all checks finds nothing."""
    server = live_server(DATABASE_URL=database_url)
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)

    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            *("run", f"{server.url}/openapi.json"),
            *("--checks=all", "--mode=all", f"--seed={SEED}", f"--max-examples={EXAMPLES}"),
            *("--continue-on-failure", "--no-color", "--request-timeout=10"),
            "--suppress-health-check=all",
        ],
        cwd=tmp_path,
        # It runs none of our code, and takes long enough without being measured.
        env={name: value for name, value in os.environ.items() if "COVERAGE_" not in name},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    print(done.stdout)  # noqa: T201 - pytest shows it when the test fails
    assert 0 == done.returncode
    assert "Traceback" not in server.output
