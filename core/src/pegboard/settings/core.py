"""The core's own settings."""

import re
from types import MappingProxyType

from marshmallow import ValidationError
from marshmallow.validate import Length, OneOf, Range

from pegboard.clients import PROXY_HEADERS, TrustedProxies
from pegboard.settings.declare import Settings, setting


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
        TrustedProxies.parse(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


class CoreSettings(Settings):
    """Settings of the core; durations are in seconds, sizes in bytes.

    Pass the class to `get_settings`. The reference of settings lists every field with its default.
    """

    bare_variables = frozenset(
        {"secret_key", "database_url", "redis_url", "cors_origins", "host", "port", "workers"}
    )
    # As gunicorn and many platforms have it.
    foreign_variables = MappingProxyType({"workers": ("WEB_CONCURRENCY",)})

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
    workers: int = setting(
        1,
        doc="Worker processes of `pegboard serve`; of another server, as many as it has.",
        validate=Range(1, 512),
    )
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
        doc="Longest time in which a client may send, or take, nothing of a body under way.",
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
        validate=OneOf(tuple(PROXY_HEADERS)),
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
