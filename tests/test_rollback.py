"""An upgrade without downtime, and its way back: two releases at once on the expanded schema."""

import itertools
import os
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import StartService
from pegboard.testing.processes import wait_until
from pegboard.testing.services import LiveServer, run_pegboard

pytestmark = pytest.mark.slow

TITLE = "title: Mapped[str] = mapped_column(sqlalchemy.String(20))"
COLOR = "color: Mapped[str | None] = mapped_column(sqlalchemy.String(20))"
RESOURCE = """
from marshmallow import Schema, fields

class ShopSchema(Schema):
    id = fields.Integer(dump_only=True)
    title = fields.String(required=True)
    {color}

shop = pegboard.Resource("shop", __name__, Shop, ShopSchema, noun="thing", ttl=300)

@pegboard.hookimpl
def pegboard_blueprints():
    return [shop.blueprint]
"""
SECOND = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "shop_0002", "shop_0001"

def upgrade():
    op.add_column("shop", sa.Column("color", sa.String(20), server_default="red"))

def downgrade():
    op.drop_column("shop", "color")
"""
WRITERS = 4


@pytest.fixture
def releases(tmp_path: Path) -> dict[str, Path]:
    """The folders of two releases of a plugin; the second one adds a column."""
    found = {}
    for version in ("1.0", "2.0"):
        path = tmp_path / version
        path.mkdir()
        folder, is_newer = PluginFolder(path), version == "2.0"
        module = folder.add_table(
            "shop",
            columns=f"{TITLE}\n{COLOR}" if is_newer else TITLE,
            upgrade="op.add_column('shop', sa.Column('title', sa.String(20), nullable=False))",
        )
        color = "color = fields.String(dump_only=True)" if is_newer else ""
        with (module / "plugin.py").open("a") as file:
            file.write(RESOURCE.format(color=color))
        if is_newer:
            (module / "migrations/shop_0002.py").write_text(SECOND)
        metadata = path / "example_shop-1.0.dist-info/METADATA"
        metadata.write_text(metadata.read_text().replace("Version: 1.0", f"Version: {version}"))
        found[version] = path
    return found


class Load:
    """Writers, each of which has a row of its own, and reads it from all services."""

    def __init__(self) -> None:
        self.services: Mapping[str, LiveServer] = {}
        self.rounds: dict[int, int] = {}
        self.hits: dict[str, int] = {"1.0": 0, "2.0": 0}
        self._ends = threading.Event()

    def run(self, row: int) -> None:
        """Write and read until the end; whatever is not as it must be is an error."""
        for number in itertools.count():
            # Not as fast as they can, which would only delay the services that start.
            if self._ends.wait(0.05):
                return
            services = self.services
            release = random.choice([*services])
            self._expect(services[release], "PUT", f"/api/shop/{row}", number, release)
            for release in [*services] * 2:
                self._expect(services[release], "GET", f"/api/shop/{row}", number, release)
            self.rounds[row] = number

    def _expect(
        self, service: LiveServer, method: str, path: str, number: int, release: str
    ) -> None:
        body = {"title": f"number {number}"}
        answer = service.send(method, path, body if method == "PUT" else None)
        assert 200 == answer.status, answer
        shown = answer.json()
        assert body["title"] == shown["title"], (release, method, shown)
        # What the other release has cached has another shape.
        assert ("red" if release == "2.0" else None) == shown.get("color"), (release, shown)
        self.hits[release] += "hit" in (answer.headers["Cache-Status"] or "")

    def switch(self, **services: LiveServer) -> None:
        """Ask these from now on, until all writers have gone through some rounds with them."""
        self.services = {name.replace("_", "."): one for name, one in services.items()}
        before = dict(self.rounds)
        wait_until(
            lambda: (
                len(self.rounds) == WRITERS
                and all(self.rounds[row] > before.get(row, 0) + 3 for row in self.rounds)
            ),
            "all writers go on",
        )

    @contextmanager
    def running(self, service: LiveServer) -> Iterator[None]:
        """Make the rows, and write and read in the block; raises what a writer has raised."""
        rows = [
            service.send("POST", "/api/shop/", {"title": "new"}).json()["id"]
            for _ in range(WRITERS)
        ]
        self.services = {"1.0": service}
        with ThreadPoolExecutor(WRITERS) as pool:
            futures = [pool.submit(self.run, row) for row in rows]
            try:
                yield
            finally:
                self._ends.set()
                for future in futures:
                    future.result(60)


@pytest.fixture
def settings(postgres_url: str, redis_url: str) -> dict[str, str]:
    """What both releases have in common."""
    return {
        "PEGBOARD_PLUGINS": "shop,cache_redis",
        "PEGBOARD_CACHE_STATUS_HEADER": "true",
        "DATABASE_URL": postgres_url,
        "REDIS_URL": redis_url,
        "PEGBOARD_REDIS_TIMEOUT": "5",
        "PEGBOARD_DATABASE_STATEMENT_TIMEOUT": "20",
    }


@pytest.fixture
def start(
    live_server: StartService, releases: dict[str, Path], settings: dict[str, str]
) -> Callable[..., LiveServer]:
    """Start the service of a release."""

    def start(version: str) -> LiveServer:
        return live_server(upgrade=False, **settings, PYTHONPATH=path_of(releases[version]))

    return start


def path_of(folder: Path) -> str:
    """Return the import path of a release."""
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def migrate(
    releases: dict[str, Path], settings: dict[str, str], tmp_path: Path
) -> Callable[[str], str]:
    """Run the migration step of a release; returns what it prints."""

    def migrate(version: str) -> str:
        environment = {**settings, "PYTHONPATH": path_of(releases[version])}
        done = run_pegboard("db", "upgrade", directory=tmp_path, **environment)
        assert 0 == done.returncode, done.stdout
        return done.stdout

    return migrate


def test_an_upgrade_and_its_way_back_lose_no_request(
    start: Callable[[str], LiveServer], migrate: Callable[[str], str]
):
    """Every row is what its writer wrote last, whichever release wrote it and is asked."""
    migrate("1.0")
    older = start("1.0")
    load = Load()
    with load.running(older):
        load.switch(**{"1_0": older})
        assert "shop: shop_0002" in migrate("2.0")
        newer = start("2.0")
        load.switch(**{"1_0": older, "2_0": newer})
        load.switch(**{"2_0": newer})
        older.stop()

        told = migrate("1.0")
        assert "shop: the database is at shop_0002, which the installed release does" in told
        assert "example-shop 2.0 has applied it [PB_MIGRATION_AHEAD]" in told
        again = start("1.0")
        load.switch(**{"1_0": again, "2_0": newer})
        load.switch(**{"1_0": again})
        newer.stop()
    assert all(load.hits.values()), load.hits
