"""The core's own settings, the three configurations, and what `create_app` makes of them."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError
from marshmallow.validate import Length, OneOf, Range

from pegboard.clients import HEADERS, Proxies
from pegboard.problems import Problem, StartupError
from pegboard.settings import Settings, Sources, Value, load, setting

KNOWN_SECRETS = frozenset({"dev", "development", "secret", "secret-key", "changeme", "change-me"})
DEVELOPMENT_SECRET = "development-only-secret-key-never-use-it-in-production"  # noqa: S105 - it is public
MIN_SECRET_BYTES = 32


def _port(value: int) -> None:
    Range(0, 65535)(value)


def _level(value: str) -> None:
    OneOf(("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))(value)


def _origins(value: tuple[str, ...]) -> None:
    for origin in value:
        # Nothing that flask-cors would take for a regular expression.
        if origin != "*" and not re.fullmatch(r"https?://[A-Za-z0-9._-]+(:\d{1,5})?", origin):
            message = f"{origin!r} is no origin: scheme, host and port, as in https://app.example."
            raise ValidationError(message)


def _policies(value: dict[str, str]) -> None:
    if not set(value.values()) <= {"abort", "skip"}:
        message = "Each plugin's policy is abort or skip, as in search=skip,*=abort."
        raise ValidationError(message)


def _proxies(value: tuple[str, ...]) -> None:
    try:
        Proxies.parse(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


class CoreSettings(Settings):
    """Settings of the core; durations are in seconds, sizes in bytes."""

    bare_variables = frozenset(
        {"secret_key", "database_url", "redis_url", "cors_origins", "host", "port", "workers"}
    )

    env: str = setting(
        "development",
        doc="Which configuration is in force: development, testing or production.",
        validate=OneOf(("development", "testing", "production")),
    )
    debug: bool = setting(default=False, doc="Flask's debug mode; never in production.")
    testing: bool = setting(default=False, doc="Let exceptions reach the test client.")
    secret_key: str = setting(
        "", doc="Key of everything that is signed; 32 bytes or more.", secret=True
    )
    database_url: str = setting(
        "sqlite:///pegboard.db", doc="SQLAlchemy URL of the database.", secret=True
    )
    redis_url: str | None = setting(
        None,
        doc="URL of Redis or Valkey: a server, sentinels or a cluster; see the guide on Redis.",
        secret=True,
    )
    cors_origins: tuple[str, ...] = setting(
        (), doc="Origins that browsers may call from, comma-separated.", validate=_origins
    )

    host: str = setting(
        "127.0.0.1", doc="Address that `pegboard serve` listens on.", validate=Length(1)
    )
    port: int = setting(8000, doc="Port that `pegboard serve` listens on.", validate=_port)
    workers: int = setting(1, doc="Worker processes of `pegboard serve`.", validate=Range(1, 512))
    threads: int = setting(
        64,
        doc="Requests that each worker has Flask answer at once; more wait. Stages need no thread.",
        validate=Range(1, 512),
    )
    backlog: int = setting(
        1024, doc="Connections that may wait to be accepted.", validate=Range(128, 65535)
    )
    header_timeout: float = setting(
        10.0, doc="Time in which a request's headers must arrive.", validate=Range(0.1, 300)
    )
    body_timeout: float = setting(
        30.0,
        doc="Longest time without a byte of a request's body before it is given up.",
        validate=Range(0.1, 3600),
    )
    shutdown_timeout: float = setting(
        30.0, doc="Time that requests in flight get at a stop.", validate=Range(1, 3600)
    )
    max_content_length: int = setting(
        1024 * 1024, doc="Largest request body.", validate=Range(1, 1024**3)
    )

    trusted_proxies: tuple[str, ...] = setting(
        (),
        doc="Proxies that may say who called them: their number (1), or their networks and unix.",
        validate=_proxies,
    )
    proxy_header: str = setting(
        "X-Forwarded-For",
        doc="The one header in which they say it.",
        validate=OneOf(tuple(HEADERS)),
    )

    log_level: str = setting("INFO", doc="Least severe level that is logged.", validate=_level)
    log_format: str = setting(
        "human", doc="How log lines look: human or json.", validate=OneOf(("human", "json"))
    )
    api_title: str = setting(
        "Pegboard", doc="Title of the OpenAPI document.", validate=Length(1, 200)
    )
    api_version: str = setting("v1", doc="Version in the OpenAPI document.", validate=Length(1, 50))
    api_docs: bool = setting(default=True, doc="Serve /openapi.json and /docs.")

    database_pool_size: int = setting(
        8, doc="Connections to the database a process may hold.", validate=Range(1, 1000)
    )
    database_max_overflow: int = setting(
        0, doc="Connections above the pool size in a rush.", validate=Range(0, 1000)
    )
    database_pool_timeout: float = setting(
        1.5, doc="Longest wait for a free connection.", validate=Range(0.01, 60)
    )
    database_statement_timeout: float = setting(
        2.0, doc="Longest time of one statement.", validate=Range(0.01, 3600)
    )
    database_lock_timeout: float = setting(
        # PostgreSQL looks for deadlocks after one second; who gives up sooner never learns of one.
        1.5,
        doc="Longest wait for a row's lock.",
        validate=Range(0.01, 3600),
    )
    database_connect_timeout: float = setting(
        2.0, doc="Longest time to connect to the database.", validate=Range(2, 60)
    )
    database_busy_timeout: float = setting(
        5.0, doc="SQLite: longest wait for another writer.", validate=Range(0, 60)
    )
    migrations_directory: str = setting(
        "alembic", doc="Folder of the deployment's own migrations (the site history)."
    )

    redis_timeout: float = setting(
        0.05, doc="Longest time of one command to Redis.", validate=Range(0.001, 60)
    )
    redis_pool_size: int = setting(
        64,
        doc="Connections of the Redis client of a process; the channel of stages needs few.",
        validate=Range(1, 10000),
    )

    cache: str = setting(
        "auto",
        doc="What stores cached answers: auto (a plugin, else memory on SQLite, else none), memory "
        "(only if nothing but this one process writes to the database, or it is SQLite) or none.",
        validate=OneOf(("auto", "memory", "none")),
    )
    cache_memory_size: int = setting(
        10_000, doc="Answers that a cache in memory holds.", validate=Range(1, 10_000_000)
    )
    cache_status_header: bool = setting(
        default=False, doc="Say in Cache-Status (RFC 9211) whether an answer was cached, and why."
    )
    sessions: str = setting(
        "auto",
        doc="What keeps sessions: auto (a plugin, else cookie) or cookie (signed cookies).",
        validate=OneOf(("auto", "cookie")),
    )

    plugins: tuple[str, ...] | None = setting(
        None, doc="The only plugins that may hang, comma-separated; no other is imported."
    )
    plugins_disabled: tuple[str, ...] = setting(
        (), doc="Plugins that must not hang, comma-separated; they are not imported."
    )
    plugins_policy: dict[str, str] = setting(
        {},
        doc="What a plugin that fails does to the start: name=abort or name=skip; * is all others.",
        validate=_policies,
    )


class DevelopmentConfig:
    """Defaults of development: debug, verbose logs, an SQLite file."""

    ENV = "development"
    DEBUG = True
    LOG_LEVEL = "DEBUG"
    SECRET_KEY = DEVELOPMENT_SECRET


class TestingConfig:
    """Defaults of tests: SQLite in memory, nothing taken from the environment."""

    __test__ = False

    ENV = "testing"
    TESTING = True
    DATABASE_URL = "sqlite:///:memory:"
    SECRET_KEY = DEVELOPMENT_SECRET


class ProductionConfig:
    """Defaults of production: JSON logs, no debug, no documentation page, no known secret."""

    ENV = "production"
    LOG_FORMAT = "json"
    API_DOCS = False


CONFIGS: dict[str, type] = {
    "development": DevelopmentConfig,
    "testing": TestingConfig,
    "production": ProductionConfig,
}

Config = str | Mapping[str, Any] | object | None


@dataclass(frozen=True)
class Configuration:
    """The core's settings in force, and the sources that plugins' settings are read from."""

    core: CoreSettings
    values: tuple[Value, ...]
    sources: Sources
    flask: Mapping[str, Any]
    problems: tuple[Problem, ...]
    """What is wrong with the core's settings; the service must not start with any."""


def configure(config: Config = None, environment: Mapping[str, str] | None = None) -> Configuration:
    """Find every core setting.

    What the caller's code says wins over the environment, and the environment over the defaults of
    the configuration that is in force. Raises `StartupError` when there is no such configuration.
    """
    environment = os.environ if environment is None else environment
    kind, explicit = _explicit(config, environment)
    if kind is TestingConfig:
        environment = {}
    sources = Sources(explicit, environment, _upper(kind), kind.__name__)
    core, values, problems = load(CoreSettings, None, sources)
    assert core is not None, "no setting of the core is required"
    problems += tuple(_refusals(core, values, environment))
    return Configuration(core, values, sources, _flask_config(core, explicit), problems)


def _explicit(config: Config, environment: Mapping[str, str]) -> tuple[Any, dict[str, Any]]:
    """Return the configuration class in force and what the caller's code sets on top of it."""
    if isinstance(config, str):
        return _named(config, "the argument of create_app"), {"ENV": config}
    explicit: dict[str, Any] = {}
    if isinstance(config, Mapping):
        explicit = dict(config)
    elif config is not None:
        kind = config if isinstance(config, type) else type(config)
        base = next((cls for cls in kind.__mro__ if cls in CONFIGS.values()), None)
        mine = kind.__mro__[: kind.__mro__.index(base)] if base else kind.__mro__[:-1]
        for cls in reversed(mine):
            explicit |= _upper(cls)
        if not isinstance(config, type):
            explicit |= {key: value for key, value in vars(config).items() if key.isupper()}
        if base:
            return base, {"ENV": vars(base)["ENV"], **explicit}
    name = explicit.get("ENV") or environment.get("PEGBOARD_ENV", "development")
    return _named(str(name), "PEGBOARD_ENV"), explicit


def _named(name: str, origin: str) -> Any:
    try:
        return CONFIGS[name]
    except KeyError:
        summary = f"unknown configuration {name!r} ({origin})"
        raise StartupError([Problem(summary, f"Use one of {', '.join(CONFIGS)}.")]) from None


def _upper(kind: type) -> dict[str, Any]:
    return {key: value for key, value in vars(kind).items() if key.isupper()}


def _refusals(
    core: CoreSettings, values: tuple[Value, ...], environment: Mapping[str, str]
) -> list[Problem]:
    """Say what production must not start with."""
    if core.env != "production":
        return []
    origin = {value.declaration.field: value.origin for value in values}
    problems = []
    weak = core.secret_key.lower() in KNOWN_SECRETS or core.secret_key == DEVELOPMENT_SECRET
    if weak or len(core.secret_key.strip().encode()) < MIN_SECRET_BYTES:
        found = "is missing" if not core.secret_key else "is too short or publicly known"
        cure = (
            f"Set SECRET_KEY or SECRET_KEY_FILE to {MIN_SECRET_BYTES} random bytes or more: "
            'python -c "import secrets; print(secrets.token_urlsafe(48))"'
        )
        problems.append(Problem(f"SECRET_KEY {found} in production", cure))
    if origin["database_url"] == "default":
        cure = "Set DATABASE_URL or DATABASE_URL_FILE, as in postgresql://user@host/name."
        problems.append(Problem("DATABASE_URL is missing in production", cure))
    if core.debug:
        problems.append(Problem("DEBUG is on in production", "Remove PEGBOARD_DEBUG."))
    if environment.get("FLASK_DEBUG", "0").lower() not in {"0", "false", "no", ""}:
        problems.append(Problem("FLASK_DEBUG is on in production", "Remove FLASK_DEBUG."))
    if core.testing:
        problems.append(Problem("TESTING is on in production", "Remove PEGBOARD_TESTING."))
    if any("*" in allowed for allowed in core.cors_origins):
        cure = "List the origins exactly, as in https://app.example."
        problems.append(Problem("CORS_ORIGINS holds a wildcard in production", cure))
    return problems


def _flask_config(core: CoreSettings, explicit: Mapping[str, Any]) -> dict[str, Any]:
    """Return `app.config`: the caller's own keys, the core's settings, and Flask's from them."""
    own = {name.upper(): value for name, value in vars(core).items()}
    return {
        **explicit,
        **own,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
    } | ({"SESSION_COOKIE_SECURE": True} if core.env == "production" else {})
