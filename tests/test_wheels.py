"""The distributions as their users get them: wheels, in an environment with nothing else."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import venv
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
FOLDERS = [ROOT / "core", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


@dataclass(frozen=True)
class Installation:
    """An environment far from the checkout."""

    binaries: Path
    home: Path

    @property
    def variables(self) -> dict[str, str]:
        """What a process of it sees of the world: no proxy, no path, no setting of ours."""
        own = {
            "PATH": f"{self.binaries}{os.pathsep}{os.defpath}",
            "HOME": str(self.home),
            "DATABASE_URL": f"sqlite:///{self.home / 'pegboard.db'}",
        }
        return own | {name: text for name, text in os.environ.items() if name.startswith("PIP_")}

    def run(self, *command: str) -> str:
        """Run a command of the environment to its success, and return what it prints."""
        done = subprocess.run(
            [self.binaries / command[0], *command[1:]],
            cwd=self.home,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    @contextmanager
    def serving(self) -> Iterator[int]:
        """Serve, and yield the port."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        log = self.home / "serve.log"
        with (
            log.open("wb") as output,
            subprocess.Popen(
                [self.binaries / "pegboard", "serve"],
                cwd=self.home,
                env=self.variables | {"PORT": str(port)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            try:
                while not _listens(port):
                    assert process.poll() is None, log.read_text()
                    time.sleep(0.05)
                yield port
            finally:
                process.send_signal(signal.SIGTERM)


def _listens(port: int) -> bool:
    try:
        return call(port, "GET", "/health")[0] == 200
    except OSError:
        return False


def call(port: int, method: str, path: str, body: object = None) -> tuple[int, str]:
    """Send a request and return the status and the body of the answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        payload = None if body is None else json.dumps(body)
        connection.request(method, path, payload, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheel of each distribution, freshly built."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder, *FOLDERS], check=True)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def installation(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An environment into which the wheels are installed, with their pinned requirements."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    found = Installation(folder / "bin", tmp_path_factory.mktemp("home"))
    pip = ["python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    found.run(*pip, "--constraint", str(ROOT / "constraints.txt"), *map(str, wheels))
    return found


def test_every_distribution_has_a_wheel(wheels: list[Path]) -> None:
    """There is one for each folder, of pure Python."""
    assert len(FOLDERS) == len(wheels)
    assert all(wheel.name.endswith("-py3-none-any.whl") for wheel in wheels)


def test_wheels_hold_all_that_is_in_the_packages(wheels: list[Path]) -> None:
    """Migrations, templates, static files and py.typed are inside; tests are not."""
    for folder in FOLDERS:
        source = folder / "src"
        expected = {
            path.relative_to(source).as_posix()
            for path in source.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        package = min(expected).partition("/")[0]
        wheel = next(wheel for wheel in wheels if wheel.name.startswith(f"{package}-"))
        with zipfile.ZipFile(wheel) as archive:
            held = {name for name in archive.namelist() if ".dist-info/" not in name}

        assert expected == held
        assert f"{package}/py.typed" in held


def test_service_runs_with_no_checkout_in_sight(installation: Installation) -> None:
    """Migrations, the service, its document and its documentation page come from the wheels.

    All plugins are active without a setting, and a warning says what serves in place of Redis.
    """
    listed = installation.run("pegboard", "plugins", "list")
    assert ["cache_redis", "items", "observe", "ratelimit"] == sorted(
        line.split()[0] for line in listed.splitlines() if "  active  " in line
    )
    assert "sessions are in signed cookies" in installation.run("pegboard", "config", "check")
    installation.run("pegboard", "db", "upgrade")

    with installation.serving() as port:
        status, body = call(port, "POST", "/api/items/", {"name": "from a wheel"})
        assert 201 == status
        assert "from a wheel" == json.loads(body)["name"]

        assert 200 == call(port, "GET", "/health/ready")[0]

        status, document = call(port, "GET", "/openapi.json")
        assert 200 == status
        assert any(path.startswith("/api/items/") for path in json.loads(document)["paths"])

        status, page = call(port, "GET", "/docs")
        if status in {301, 302, 308}:
            status, page = call(port, "GET", "/docs/")
        assert 200 == status
        assets = re.findall(r"(?:src|href)=\"([^\"#]+\.(?:js|css|svg)(?:\?[^\"]*)?)\"", page)
        assert assets
        for asset in assets:
            path = asset if asset.startswith("/") else f"/docs/{asset.removeprefix('./')}"
            assert (asset, 200) == (asset, call(port, "GET", path)[0])


def test_service_goes_on_without_items(installation: Installation) -> None:
    """When the plugin is uninstalled its data stays, and the rest of the service works."""
    installation.run("pegboard", "db", "upgrade")
    installation.run("python", "-m", "pip", "uninstall", "--quiet", "--yes", "pegboard-items")

    installation.run("pegboard", "db", "upgrade")
    with installation.serving() as port:
        assert 200 == call(port, "GET", "/health/ready")[0]
        assert 404 == call(port, "GET", "/api/items/")[0]
