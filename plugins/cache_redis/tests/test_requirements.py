"""A start without a `REDIS_URL`: refused, except in development."""

import logging
from pathlib import Path

import flask
import pytest

import pegboard
from pegboard.cache import get_cache
from pegboard.testing.services import run_pegboard

KEY = "0123456789abcdefghijklmnopqrstuv"


@pytest.mark.parametrize("env", ["testing", "production"])
def test_without_a_url_the_problem_says_what_is_missing_and_how_to_choose(sqlite_url, env):
    """Every way out is named."""
    given = {"ENV": env, "SECRET_KEY": KEY}
    with pytest.raises(pegboard.StartupError) as caught:
        pegboard.create_app({"DATABASE_URL": sqlite_url, **given}, plugins=["cache_redis"])
    (problem,) = caught.value.problems
    assert "CACHE_REDIS_NO_REDIS" == problem.code
    assert "REDIS_URL is not set" in problem.summary
    for way in ("REDIS_URL", "PEGBOARD_CACHE=none", "PEGBOARD_SESSIONS=cookie"):
        assert way in problem.hint
    assert "PEGBOARD_PLUGINS_DISABLED=cache_redis" in problem.hint


def test_development_runs_without_a_url(make_app, desk, database_url, caplog):
    """Answers are cached in memory on SQLite, not at all on PostgreSQL; sessions are cookies."""
    caplog.set_level(logging.WARNING)
    app = make_app(plugins=["cache_redis", desk], ENV="development", DATABASE_URL=database_url)
    warnings = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    is_sqlite = database_url.startswith("sqlite")
    answers = "answers cached in memory" if is_sqlite else "nothing cached"
    start = "cache_redis: no REDIS_URL in development: sessions are in signed cookies, "
    assert [f"{start}{answers} [CACHE_REDIS_NO_REDIS]"] == warnings

    client = app.test_client()

    def count() -> object:
        flask.session["visits"] = flask.session.get("visits", 0) + 1
        return flask.session["visits"]

    assert [1, 2] == [desk.run(client, count).get_json() for _ in range(2)]
    with app.app_context():
        assert ("memory" if is_sqlite else "cache_redis") == get_cache().strategy.name


@pytest.mark.slow
def test_a_migration_needs_no_redis(tmp_path: Path) -> None:
    """What it writes turns caching off by the database, where Redis is not known."""
    settings = {
        "PEGBOARD_ENV": "production",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'pegboard.db'}",
        "PEGBOARD_PLUGINS": "cache_redis",
    }
    done = run_pegboard("db", "upgrade", directory=tmp_path, **settings)
    assert 0 == done.returncode, done.stdout
    refused = run_pegboard("config", "check", SECRET_KEY=KEY, directory=tmp_path, **settings)
    assert "CACHE_REDIS_NO_REDIS" in refused.stdout
