"""Migrations of other plugins while caching is on, and Redis does not answer."""

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import text

import pegboard
from pegboard.cache import Transaction
from pegboard.cli import main
from pegboard.migrations import MigrationError, downgrade, upgrade
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import wait_until
from pegboard.testing.services import clean_environment
from pegboard_cache_redis.cache.strategy import RedisStrategy

from .conftest import read_row

Row = tuple[int, bool, str]

no_redis = pytest.mark.parametrize(
    "settings",
    [{}, {"REDIS_URL": "redis://127.0.0.1:1"}],
    ids=["without REDIS_URL", "Redis is away"],
)

REVISION = """\
from alembic import op

revision = "notes_0001"
down_revision = None


def downgrade() -> None:
    pass


def upgrade() -> None:
"""


class Notes:
    """A plugin with one revision, which executes statements."""

    name = "notes"

    def __init__(self, folder: Path, *statements: str) -> None:
        self._folder = folder
        lines = "\n".join(f"    op.execute({one!r})" for one in statements)
        (folder / "notes_0001_write.py").write_text(REVISION + lines)

    @pegboard.hookimpl
    def pegboard_migrations(self) -> Path:
        """Bring the revision."""
        return self._folder


@pytest.fixture
def app(make_app: MakeApp, database_url: str, redis_url: str) -> Flask:
    """An app by which caching is on; revisions of items are not applied yet."""
    app = make_app(plugins=["cache_redis", "items"], DATABASE_URL=database_url, REDIS_URL=redis_url)
    downgrade(app, "items", "items_0003")
    app.test_client().get("/api/items/1")
    wait_until(lambda: row_of(app)[1], "caching is on")
    return app


def row_of(app: Flask) -> Row:
    """Return the row of the state."""
    with app.app_context():
        return read_row()


def was_turned_off(app: Flask, before: Row) -> bool:
    """Return whether caching is off, or was: the app turns it on again, in another epoch."""
    epoch, is_on, _ = row_of(app)
    return not is_on or epoch != before[0]


def run(app: Flask, *arguments: str, **settings: str) -> Result:
    """Run a command on the app's database as an operator does, with no other settings."""
    url = app.config["SQLALCHEMY_DATABASE_URI"].render_as_string(hide_password=False)
    settings |= {"PEGBOARD_PLUGINS": "cache_redis,items", "DATABASE_URL": url}
    clean = dict.fromkeys(os.environ) | clean_environment(settings)
    result = CliRunner(env=clean).invoke(main, [*arguments])
    assert 0 == result.exit_code, result.output
    return result


@no_redis
def test_they_turn_caching_off(app: Flask, settings: dict[str, str]):
    """In their transaction, which writes to the table of the state as no revision of theirs may."""
    before = row_of(app)
    run(app, "db", "upgrade", **settings)

    assert was_turned_off(app, before)


@no_redis
def test_a_plugin_is_removed_with_its_revisions_undone(app: Flask, settings: dict[str, str]):
    """No downgrade fails, after which only its tables would be dropped."""
    before = row_of(app)
    result = run(app, "plugins", "remove", "items", "--yes", **settings)

    assert "The data of items is dropped" in result.output
    assert "not undone" not in result.output
    assert was_turned_off(app, before)


def test_what_they_fence_is_released_when_they_are_committed(
    app: Flask, monkeypatch: pytest.MonkeyPatch
):
    """Not by what is asked before the commit to find out which tables they touch."""
    seen: list[str] = []
    release = RedisStrategy.release

    def note(strategy: RedisStrategy, fence: Any, transaction: Transaction) -> float:
        with pegboard.db.engine.connect() as other:
            seen.append(other.scalar(text("SELECT version_num FROM alembic_version_items")))
        return release(strategy, fence, transaction)

    monkeypatch.setattr(RedisStrategy, "release", note)
    downgrade(app, "items", "items_0001")

    assert ["items_0001"] == seen


@no_redis
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cache_state SET epoch = 7",
        "DO $$ BEGIN EXECUTE 'UPDATE cache_' || 'state SET epoch = 7'; END $$",
    ],
    ids=["by its text", "by its lock"],
)
def test_a_revision_that_writes_the_state_itself_is_refused(
    app: Flask,
    make_app: MakeApp,
    database_url: str,
    tmp_path: Path,
    statement: str,
    settings: dict[str, str],
):
    """Although its commit writes there, too; nothing of either stays."""
    if "DO" in statement and not database_url.startswith("postgresql"):
        pytest.skip("only PostgreSQL has blocks")
    before = row_of(app)
    notes = Notes(tmp_path, "CREATE VIEW seen AS SELECT * FROM items", statement)
    other = make_app(
        plugins=["cache_redis", "items", notes],
        upgrade=False,
        DATABASE_URL=database_url,
        **(settings or {"CACHE": "none", "SESSIONS": "cookie"}),
    )

    with pytest.raises(MigrationError, match="it touches table cache_state"):
        upgrade(other, "notes")
    assert before == row_of(app)
