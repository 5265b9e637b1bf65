"""What a newcomer types in a fresh clone."""

import http.client
import json
import os
import re
import shutil
import subprocess
from contextlib import closing
from http import HTTPStatus
from pathlib import Path

import pytest

from pegboard.testing.processes import Server, free_port, wait_until
from pegboard.testing.services import clean_environment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
LEFTOVERS = shutil.ignore_patterns(
    *(".git", ".venv", ".tools", ".tox", ".hypothesis", "*_cache", "__pycache__"),
    *("instance", "secrets", "dist", "htmlcov", "schemathesis-report"),
)


class Make(Server):
    """`make run` in a clone."""

    start_timeout = 600.0  # it downloads and installs everything first

    def __init__(self, clone: Path, port: int) -> None:
        """Prepare it; the clone goes when it is closed."""
        kept = {
            name: text
            for name, text in clean_environment({"PORT": str(port)}).items()
            if not name.startswith(("COVERAGE_", "VIRTUAL_ENV", "TOX_", "MAKE", "MFLAGS"))
        }
        super().__init__(["make", "run"], port=port, directory=clone, environment=kept)

    def get(self, path: str, method: str = "GET", body: object = None) -> tuple[int, bytes]:
        """Send a request and return the status and the body of the answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port)) as connection:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()

    def answers(self) -> bool:
        """Say whether the service is alive."""
        try:
            return self.get("/health")[0] == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The repository without what is not in it, in a folder whose name has a space."""
    target = tmp_path / "a clone"
    shutil.copytree(ROOT, target, ignore=LEFTOVERS)
    return target


def make(*arguments: str, directory: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run make."""
    return subprocess.run(
        ["make", *arguments],
        cwd=directory,
        env={name: text for name, text in os.environ.items() if name != "MAKEFLAGS"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_make_run_serves_and_keeps_the_data(clone: Path) -> None:
    """The first run installs and seeds; the second does neither, and finds what was written."""
    port = free_port()
    with Make(clone, port) as service:
        assert "Installing Pegboard" in service.output
        wait_until(lambda: "Plugins: " in service.output, "it says which plugins are active")
        assert f"http://127.0.0.1:{port}" in service.output
        assert "/docs" in service.output
        assert "items (pegboard-items" in service.output

        seeded = json.loads(service.get("/api/items/?page_size=100")[1])
        assert seeded
        status, body = service.get("/api/items/", "POST", {"name": "kept"})
        assert HTTPStatus.CREATED == status
        item = json.loads(body)

        service.stop()
        service.log.unlink()
        service.start()

        assert "Installing" not in service.output
        assert item == json.loads(service.get(f"/api/items/{item['id']}")[1])
        everything = json.loads(service.get("/api/items/?page_size=100")[1])
        assert len(seeded) + 1 == len(everything)


def test_make_help_lists_every_target() -> None:
    """What can be called is in the help, with one line on what it does."""
    targets = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    listed = [line.split(maxsplit=1) for line in make("help").stdout.splitlines() if line]

    assert sorted(targets) == sorted(target for target, _ in listed)


def test_missing_python_is_explained(tmp_path: Path) -> None:
    """Without a fitting interpreter make says which one it needs and how to name one."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "constraints.txt", tmp_path)

    done = make("run", "PYTHONS=/no/python false", directory=tmp_path)

    assert done.returncode
    assert "Pegboard needs Python 3.11 or newer" in done.stdout
    assert "PYTHON=" in done.stdout
