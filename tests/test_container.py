"""The image and the composition, as far as they go without a container engine."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import yaml
from psycopg2.errors import InsufficientPrivilege

from pegboard.testing.fixtures import StartService
from pegboard.testing.processes import Server, free_port
from pegboard.testing.servers import PostgresServer
from pegboard.testing.services import clean_environment, run_pegboard

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The folder that `make secrets` makes."""
    folder = tmp_path / "secrets"
    subprocess.run([sys.executable, ROOT / "deploy" / "make_secrets.py", folder], check=True)
    return folder


@pytest.fixture
def database(own_postgres: PostgresServer, secrets: Path) -> dict[str, str]:
    """The URLs of the roles that init.sql makes, run by psql as the image runs it."""
    done = subprocess.run(
        [
            own_postgres.binaries / "psql",
            *("--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--dbname={own_postgres.url}"),
            f"--file={ROOT / 'deploy' / 'init.sql'}",
        ],
        env={**os.environ, "SECRETS": str(secrets)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return {
        role: (secrets / f"{role}_database_url")
        .read_text()
        .replace("@database:5432", f"@127.0.0.1:{own_postgres.port}")
        for role in ("owner", "service")
    }


def test_service_has_rights_on_data_only(
    database: dict[str, str], live_server: StartService, secrets: Path, tmp_path: Path
) -> None:
    """Migrations run as the owner; the service serves as a role that cannot change a table."""
    done = run_pegboard("db", "upgrade", directory=tmp_path, DATABASE_URL=database["owner"])
    assert done.returncode == 0, done.stdout

    server = live_server(
        upgrade=False,
        PEGBOARD_ENV="production",
        DATABASE_URL=database["service"],
        SECRET_KEY_FILE=str(secrets / "secret_key"),
    )
    status, _ = server.request("POST", "/api/items/", {"name": "an item"})
    assert 201 == status
    assert 200 == server.request("GET", "/health/ready")[0]

    with closing(psycopg2.connect(database["service"])) as connection:
        for statement in (
            "ALTER TABLE items ADD COLUMN extra integer",
            "DROP TABLE items",
            "TRUNCATE items",
            "CREATE TABLE more (id integer)",
            "CREATE SCHEMA more",
            "CREATE TEMPORARY TABLE more (id integer)",
        ):
            with connection.cursor() as cursor, pytest.raises(InsufficientPrivilege):
                cursor.execute(statement)
            connection.rollback()


def test_composition_asks_for_the_secrets_that_are_made(secrets: Path) -> None:
    """Every secret of compose.yaml is one that `make secrets` makes, and the other way round."""
    composition = yaml.safe_load((ROOT / "compose.yaml").read_text())
    declared = {Path(entry["file"]).name for entry in composition["secrets"].values()}
    used = {name for service in composition["services"].values() for name in service["secrets"]}

    assert declared == {path.name for path in secrets.iterdir()}
    assert declared == used


def test_secrets_are_made_once(secrets: Path) -> None:
    """A second run keeps what is there."""
    before = {path.name: path.read_text() for path in secrets.iterdir()}

    subprocess.run([sys.executable, ROOT / "deploy" / "make_secrets.py", secrets], check=True)

    assert before == {path.name: path.read_text() for path in secrets.iterdir()}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The environment that the build stage of the Dockerfile makes, by its own commands."""
    assert importlib.util.find_spec("pip")
    context = tmp_path / "context"
    for name in ("core", "plugins"):
        shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("tests"))
    for lock in (ROOT / "deploy").glob("requirements*.txt"):
        shutil.copy(lock, context)
    stage = (ROOT / "Dockerfile").read_text().partition("\nFROM ")[2].partition("\nFROM ")[0]
    command = re.search(r"^RUN (.*?[^\\])\n(?!\s)", f"{stage}\n\n", re.DOTALL | re.MULTILINE)
    assert command
    script = command[1].replace("\\\n", "")
    script = script.replace("/opt/pegboard", f"{tmp_path}/opt").replace("/wheels", f"{tmp_path}/w")
    builder = tmp_path / "builder"
    subprocess.run([sys.executable, "-m", "venv", builder], check=True)
    done = subprocess.run(
        ["/bin/sh", "-ec", script],
        cwd=context,
        env={**clean_environment({}), "PATH": f"{builder / 'bin'}:{os.defpath}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return tmp_path / "opt"


class Container(Server):
    """The command of the image, with its environment."""

    def __init__(self, image: Path, directory: Path, **settings: str) -> None:
        """Prepare it."""
        text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
        instruction = re.search(r"^ENV (.*)$", text, re.MULTILINE)
        assert instruction
        own = dict(pair.split("=", 1) for pair in instruction[1].split())
        own["PATH"] = f"{image / 'bin'}:{os.defpath}"
        port = free_port()
        ports = {"PORT": str(port), "PEGBOARD_MANAGEMENT": str(free_port())}
        self.environment = {**own, **ports, "HOST": "127.0.0.1", **settings}
        probe = re.search(r"HEALTHCHECK .*? CMD (\[.*\])$", text, re.MULTILINE)
        assert probe
        self.probe: list[str] = yaml.safe_load(probe[1])
        super().__init__(
            [str(image / "bin" / "pegboard"), "serve"],
            port=port,
            directory=directory,
            environment=self.environment,
        )

    def answers(self) -> bool:
        """Say whether the image's own health check passes."""
        done = subprocess.run(
            self.probe, env=self.environment, check=False, stderr=subprocess.DEVNULL
        )
        return done.returncode == 0


def test_steps_of_the_image_lead_to_a_service(
    image: Path, database: dict[str, str], secrets: Path, redis_url: str, tmp_path: Path
) -> None:
    """Built by the Dockerfile's commands, it migrates, serves in production, and has no pip."""
    assert not list(image.glob("lib/*/site-packages/pip*"))
    settings = {"SECRET_KEY_FILE": str(secrets / "secret_key"), "REDIS_URL": redis_url}
    subprocess.run(
        [image / "bin" / "pegboard", "db", "upgrade"],
        cwd=tmp_path,
        env={**settings, "PEGBOARD_ENV": "production", "DATABASE_URL": database["owner"]},
        check=True,
    )
    directory = tmp_path / "srv"
    directory.mkdir()

    with Container(image, directory, DATABASE_URL=database["service"], **settings) as container:
        assert container.answers()
