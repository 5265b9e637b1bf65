"""The three configurations, and which source of a value wins."""

import flask
import pytest

from pegboard import (
    CoreSettings,
    DevelopmentConfig,
    ProductionConfig,
    StartupError,
    TestingConfig,
    create_app,
    get_settings,
)

SECRET = "0123456789abcdefghijklmnopqrstuv"


def core(config=None):
    """The core settings of an app without plugins."""
    return get_settings(CoreSettings, create_app(config, plugins=[]))


def refused(config=None):
    """What production says that it must not start with."""
    with pytest.raises(StartupError) as caught:
        create_app(config, plugins=[])
    return " ".join(problem.summary for problem in caught.value.problems)


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("PEGBOARD_ENV", "SECRET_KEY", "DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


def test_development_is_the_default():
    """Without a word, a service starts in debug mode on an SQLite file."""
    settings = core()
    assert "development" == settings.env
    assert settings.debug
    assert "DEBUG" == settings.log_level
    assert settings.database_url.startswith("sqlite:///")


def test_the_environment_names_the_configuration(monkeypatch):
    """PEGBOARD_ENV chooses."""
    monkeypatch.setenv("PEGBOARD_ENV", "testing")
    assert core().testing


def test_an_unknown_configuration_is_named_with_those_there_are(monkeypatch):
    """A misspelled PEGBOARD_ENV does not fall back to development."""
    monkeypatch.setenv("PEGBOARD_ENV", "prod")
    with pytest.raises(StartupError, match="production"):
        create_app(plugins=[])


def test_testing_takes_nothing_from_the_environment(monkeypatch):
    """A test can never reach the database of the shell it runs in."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://production/precious")
    monkeypatch.setenv("REDIS_URL", "redis://production")
    settings = core("testing")
    assert "sqlite:///:memory:" == settings.database_url
    assert settings.redis_url is None


@pytest.mark.parametrize("config", [TestingConfig, TestingConfig(), "testing", {"ENV": "testing"}])
def test_a_configuration_is_a_name_a_class_an_object_or_a_mapping(config):
    """All spell the same."""
    assert core(config).testing


@pytest.mark.parametrize("config", ["development", DevelopmentConfig])
def test_what_the_caller_names_wins_over_the_environment(config, monkeypatch):
    """Development is development, whatever PEGBOARD_ENV says."""
    monkeypatch.setenv("PEGBOARD_ENV", "production")
    assert "development" == core(config).env


def test_a_class_of_the_callers_wins_over_the_environment(monkeypatch):
    """Defaults of Pegboard's classes lose to the environment, the caller's own do not."""

    class Mine(DevelopmentConfig):
        HOST = "127.0.0.9"

    monkeypatch.setenv("HOST", "127.0.0.2")
    monkeypatch.setenv("PEGBOARD_LOG_LEVEL", "ERROR")
    settings = core(Mine)
    assert "127.0.0.9" == settings.host
    assert "ERROR" == settings.log_level


def test_workers_are_as_many_as_web_concurrency_says(monkeypatch):
    """Which gunicorn and platforms go by; the setting of Pegboard's own wins."""
    monkeypatch.delenv("WORKERS", raising=False)
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    assert 3 == core().workers
    monkeypatch.setenv("WORKERS", "2")
    assert 2 == core().workers


def test_keys_of_flask_and_of_the_callers_reach_the_app():
    """A mapping may hold more than Pegboard's settings."""
    app = create_app({"ENV": "testing", "MY_OWN": 1}, plugins=[])
    assert 1 == app.config["MY_OWN"]


def test_a_key_that_the_core_overwrites_is_refused():
    """Else tests of somebody used to Flask-SQLAlchemy would run on the default database."""
    config = type("Config", (), {"SQLALCHEMY_DATABASE_URI": "sqlite:///:memory:"})
    with pytest.raises(StartupError) as caught:
        create_app(config, plugins=[])
    (problem,) = caught.value.problems
    assert "PB_SETTING_UNKNOWN" == problem.code
    assert "unknown setting SQLALCHEMY_DATABASE_URI (given to create_app)" == problem.summary
    assert "Set DATABASE_URL, from which the core makes it." == problem.hint


@pytest.mark.parametrize(
    "secret",
    [
        *("", "dev", "changeme", "short", SECRET[:31], "x" * 32, "01" * 20, "passw0rd" * 4),
        *("changeme" * 4 + "c", "1234567890" * 3 + "12"),
        *("s3cret-" + "changeme" * 5, SECRET[:16] * 2, "9876543210" * 3 + "98"),
        "replace-this-with-a-real-secret-key-in-production",
        "Your_very_long_KEY_goes_here_please_change",
        "your-secret-key-goes-here-please!!",
        f"{SECRET}\n{SECRET[::-1]}",
    ],
)
def test_production_refuses_a_secret_that_is_none(secret, monkeypatch):
    """Missing, known, a placeholder, under 32 bytes, or the same characters again and again."""
    monkeypatch.setenv("SECRET_KEY", secret)
    monkeypatch.setenv("DATABASE_URL", "sqlite://")
    assert "SECRET_KEY" in refused("production")


def test_a_key_that_cannot_be_read_is_one_problem(monkeypatch):
    """It is not missing, too."""
    monkeypatch.setenv("SECRET_KEY_FILE", "/no/such/file")
    monkeypatch.setenv("DATABASE_URL", "sqlite://")
    told = refused("production")
    assert "cannot read /no/such/file, named by SECRET_KEY_FILE" in told
    assert "missing" not in told


def test_earlier_keys_are_taken_until_they_are_removed(tmp_path, monkeypatch):
    """From a file, as the key itself: a cookie that was signed with one is still good."""
    earlier, current = SECRET, SECRET[::-1]
    file = tmp_path / "earlier"
    file.write_text(f"{'another-key-of-thirty-two-bytes-or-so'},{earlier}\n")

    def client_of(key, *, has_earlier):
        if has_earlier:
            monkeypatch.setenv("SECRET_KEY_FALLBACKS_FILE", str(file))
        else:
            monkeypatch.delenv("SECRET_KEY_FALLBACKS_FILE", raising=False)
        app = create_app({"SECRET_KEY": key, "DATABASE_URL": "sqlite://"}, plugins=[])
        app.add_url_rule("/set", "set", lambda: flask.session.setdefault("user", "1"))
        app.add_url_rule("/get", "get", lambda: str(flask.session.get("user")))
        return app.test_client()

    old = client_of(earlier, has_earlier=False)
    old.get("/set")
    seen = {}
    for has_earlier in (True, False):
        new = client_of(current, has_earlier=has_earlier)
        new.set_cookie("session", old.get_cookie("session").value)
        seen[has_earlier] = new.get("/get").text
    assert {True: "1", False: "None"} == seen


def test_production_refuses_a_weak_earlier_key(monkeypatch):
    """What it has signed would still be taken."""
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.setenv("DATABASE_URL", "sqlite://")
    monkeypatch.setenv("SECRET_KEY_FALLBACKS", f"{SECRET[::-1]},changeme")
    assert "key 2 of SECRET_KEY_FALLBACKS is too short" in refused("production")


def test_production_refuses_the_secret_of_development(monkeypatch):
    """The key that stands in the source is publicly known."""
    monkeypatch.setenv("SECRET_KEY", DevelopmentConfig.SECRET_KEY)
    assert "SECRET_KEY" in refused("production")


def test_production_refuses_to_invent_a_database(monkeypatch):
    """DATABASE_URL has no default there."""
    monkeypatch.setenv("SECRET_KEY", SECRET)
    assert "DATABASE_URL" in refused("production")


def test_production_refuses_debug_and_wildcard_origins(monkeypatch):
    """Both are named at once."""
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.setenv("DATABASE_URL", "sqlite://")
    monkeypatch.setenv("PEGBOARD_DEBUG", "1")
    monkeypatch.setenv("CORS_ORIGINS", "*")
    found = refused(ProductionConfig)
    assert "DEBUG" in found
    assert "CORS_ORIGINS" in found


def test_production_starts_with_what_it_needs(monkeypatch):
    """JSON logs, no debug, no documentation page, cookies only over TLS."""
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.setenv("DATABASE_URL", "sqlite://")
    app = create_app("production", plugins=[])
    settings = get_settings(CoreSettings, app)
    assert "json" == settings.log_format
    assert not app.debug
    assert app.config["SESSION_COOKIE_SECURE"]
    assert 404 == app.test_client().get("/docs").status_code
    assert 404 == app.test_client().get("/openapi.json").status_code


def test_a_database_url_that_cannot_be_used_stops_the_start():
    """The password in it is not printed."""
    with pytest.raises(StartupError) as caught:
        create_app({"DATABASE_URL": "postgresql//me:hunter2@host/name"}, plugins=[])
    assert "DATABASE_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("given, used", [({}, "Lax"), ("Strict", "Strict"), ("None", "Lax")])
def test_cookies_may_be_stricter_and_not_laxer(given, used):
    """`SameSite` of sessions is Lax, or Strict where the configuration says so."""
    config = {"SESSION_COOKIE_SAMESITE": given} if given else {}
    app = create_app({"TESTING": True, "DATABASE_URL": "sqlite://", **config}, plugins=[])
    assert used == app.config["SESSION_COOKIE_SAMESITE"]
