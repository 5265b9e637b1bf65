"""The settings of the core."""

from collections.abc import Callable
from types import MappingProxyType

from marshmallow import ValidationError
from marshmallow.validate import Length, OneOf, Range

from pegboard.clients import PROXY_HEADERS, TrustedProxies, parse_prefix
from pegboard.http import (
    OFF,
    UnsendableError,
    encode_header_name,
    parse_endpoint,
    parse_origin,
)
from pegboard.logs import LEVELS
from pegboard.settings.checks import check_mode
from pegboard.settings.declare import Settings, Validator, setting


def _port(value: int) -> None:
    Range(0, 65535)(value)


def _level(value: str) -> None:
    OneOf(LEVELS[1:])(value)


def _each(check: Callable[[str], object]) -> Validator:
    """Return a validator of a list that names all entries that the check refuses."""

    def validate(entries: tuple[str, ...]) -> None:
        wrong = []
        for entry in entries:
            try:
                check(entry)
            except ValueError as error:
                wrong.append(str(error))
        if wrong:
            raise ValidationError(wrong)

    return validate


def _header_name(name: str) -> None:
    try:
        encode_header_name(name)
    except UnsendableError:
        message = f"{name!r} is no name of a header."
        raise ValueError(message) from None


def _prefix(value: str) -> None:
    try:
        parse_prefix(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def _endpoint(value: str) -> None:
    try:
        parse_endpoint(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


_POLICIES = ("abort", "skip")


def _policies(value: dict[str, str]) -> None:
    wrong = [f"{name}={policy}" for name, policy in value.items() if policy not in _POLICIES]
    if wrong:
        message = f"Not {', '.join(wrong)}: a policy is abort or skip, as in search=skip,*=abort."
        raise ValidationError(message)


def _proxies(value: tuple[str, ...]) -> None:
    try:
        TrustedProxies.parse(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


class CoreSettings(Settings):
    """Settings of the core; times are in seconds, sizes in bytes.

    Pass the class to `get_settings`. The reference of settings lists every field with its default.
    """

    bare_variables = frozenset(
        {
            *("secret_key", "secret_key_fallbacks", "database_url", "redis_url", "cors_origins"),
            *("host", "port", "workers"),
        }
    )
    # The variable of gunicorn and of many platforms.
    foreign_variables = MappingProxyType({"workers": ("WEB_CONCURRENCY",)})

    env: str = setting(
        "development",
        doc="Which configuration to use: development, testing or production.",
        validate=OneOf(("development", "testing", "production")),
    )
    debug: bool = setting(default=False, doc="Flask's debug mode; never in production.")
    testing: bool = setting(default=False, doc="Let exceptions reach the test client.")
    secret_key: str = setting(
        "", doc="Key that signs sessions and cursors; in production 32 bytes or more.", secret=True
    )
    secret_key_fallbacks: tuple[str, ...] = setting(
        (),
        doc="Earlier keys, comma-separated: what they have signed is still taken, and signed anew.",
        secret=True,
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
        (),
        doc="Origins that browsers may call from, comma-separated.",
        validate=_each(parse_origin),
    )
    cors_exposed_headers: tuple[str, ...] = setting(
        (),
        doc="Headers of answers that scripts of those origins may read, besides the platform's.",
        validate=_each(_header_name),
    )
    cors_max_age: int = setting(
        7200,
        doc="How long a browser may remember what it may call, in seconds.",
        validate=Range(0, 86400),
    )

    host: str = setting(
        "127.0.0.1",
        doc="Address that `pegboard serve` listens on, or `unix:` and the path of a Unix socket.",
        validate=Length(1),
    )
    port: int = setting(8000, doc="Port that `pegboard serve` listens on.", validate=_port)
    socket_mode: str = setting(
        "660", doc="Permissions of the Unix socket, in octal.", validate=check_mode
    )
    tls_certificate: str = setting(
        "", doc="File (PEM) of the certificate and its chain; with it, only TLS is spoken."
    )
    tls_key: str = setting("", doc="File (PEM) of the key of `PEGBOARD_TLS_CERTIFICATE`.")
    tls_key_password: str = setting(
        "", doc="Password that the key is encrypted with, if any.", secret=True
    )
    tls_min_version: str = setting(
        "1.2", doc="Oldest version of TLS: 1.2 or 1.3.", validate=OneOf(("1.2", "1.3"))
    )
    http2: bool = setting(
        default=False,
        doc="Speak HTTP/2 as well: with TLS to clients that choose it, without to those that begin "
        "with it.",
    )
    workers: int = setting(
        1,
        doc="Worker processes of `pegboard serve`; with another server, the number that it runs.",
        validate=Range(1, 512),
    )
    threads: int = setting(
        64,
        doc="Threads of each worker: requests answered at once with Flask or the database; others "
        "wait.",
        validate=Range(1, 512),
    )
    queue: int = setting(
        1000,
        doc="Requests of each worker that may wait for their turn; others get their 503 at once.",
        validate=Range(0, 65535),
    )
    backlog: int = setting(
        1024, doc="Connections that may wait to be accepted.", validate=Range(128, 65535)
    )
    management: str = setting(
        OFF,
        doc="Where `pegboard serve` tells operators of itself: off, or an address: 9000 (of the "
        "loopback), 0.0.0.0:9000, [::1]:9000 or unix:/path. Whoever reaches it may do all it can.",
        validate=_endpoint,
    )
    header_timeout: float = setting(
        10.0, doc="Longest time until a request's headers have arrived.", validate=Range(0.1, 300)
    )
    keep_alive_timeout: float = setting(
        75.0,
        doc="How long a connection may be idle between two requests; longer than those of load "
        "balancers in front.",
        validate=Range(1, 3600),
    )
    connections_per_client: int = setting(
        256,
        doc="Connections of each worker that one address may have, trusted proxies excepted; of "
        "more the unused ones are closed. 0: any number.",
        validate=Range(0, 65535),
    )
    body_timeout: float = setting(
        30.0,
        doc="Longest pause of a client in sending or receiving a body.",
        validate=Range(0.1, 3600),
    )
    request_timeout: float = setting(
        30.0,
        doc="Longest time from the arrival of a request's headers to the beginning of its answer, "
        "its body included; its client may ask for less by the header Request-Timeout.",
        validate=Range(0.01, 3600),
    )
    shutdown_timeout: float = setting(
        30.0, doc="Longest time that a stop waits for running requests.", validate=Range(1, 3600)
    )
    drain_delay: float = setting(
        0.0,
        doc="How long a stop first goes on serving all, while `/health/ready` is 503, so that load "
        "balancers send nothing more.",
        validate=Range(0, 600),
    )
    worker_timeout: float = setting(
        30.0,
        doc="Longest time that the event loop of a worker, or all threads of a kind that requests "
        "need, may stand still; then the worker's stacks are logged and it is replaced. 0: for "
        "ever.",
        validate=Range(0, 3600),
    )
    worker_start_timeout: float = setting(
        120.0,
        doc="Longest time that a worker may take until it serves; then its stacks are logged and "
        "it is replaced. 0: for ever.",
        validate=Range(0, 3600),
    )
    worker_lifetime: float = setting(
        0.0,
        doc="Age at which a worker is replaced, without losing a request; 0: never.",
        validate=Range(0, 31_536_000),
    )
    worker_max_requests: int = setting(
        0,
        doc="Requests after which a worker is replaced, without losing one; 0: never.",
        validate=Range(0, 10**12),
    )
    worker_max_rss: int = setting(
        0,
        doc="Memory (RSS, in MiB) at which a worker is replaced, without losing a request; it must "
        "be more than a new worker has. 0: never.",
        validate=Range(0, 1_048_576),
    )
    max_content_length: int = setting(
        1024 * 1024, doc="Largest request body, in bytes.", validate=Range(1, 1024**3)
    )

    trusted_proxies: tuple[str, ...] = setting(
        (),
        doc="Proxies whose `PEGBOARD_PROXY_HEADER` is trusted: their number, as in 1, or their "
        "networks, and unix for a Unix socket.",
        validate=_proxies,
    )
    proxy_header: str = setting(
        "X-Forwarded-For",
        doc="The header in which trusted proxies name the client's address.",
        validate=OneOf(tuple(PROXY_HEADERS)),
    )

    path_prefix: str = setting(
        "",
        doc="Path under which clients reach the service, as in /shop; a trusted proxy may send "
        "another as X-Forwarded-Prefix.",
        validate=_prefix,
    )
    compression: bool = setting(
        default=True, doc="Compress answers for clients that accept zstd, br or gzip."
    )
    compression_min_size: int = setting(
        1024,
        doc="Bytes from which on an answer is compressed; one with an ETag is from 20 on.",
        validate=Range(1, 1024**3),
    )

    log_level: str = setting("INFO", doc="Lowest level that is logged.", validate=_level)
    log_format: str = setting(
        "human", doc="Format of log lines: human or json.", validate=OneOf(("human", "json"))
    )
    access_log_share: float = setting(
        1.0,
        doc="Share of the requests that get a line in the log, 0 to 1; answers from 500 on always "
        "do.",
        validate=Range(0, 1),
    )
    slow_statement: float = setting(
        0.0,
        doc="Time from which on a statement of the database is logged as a warning, with its "
        "plugin, route and request; 0: none is.",
        validate=Range(0, 3600),
    )
    slow_stage: float = setting(
        0.0,
        doc="Time from which on a stage, its wait for Redis, or a plugin's function that is called "
        "for requests is logged as a warning; 0: none is.",
        validate=Range(0, 3600),
    )
    api_title: str = setting(
        "Pegboard", doc="Title of the OpenAPI document.", validate=Length(1, 200)
    )
    api_version: str = setting("v1", doc="Version in the OpenAPI document.", validate=Length(1, 50))
    api_description: str = setting(
        "",
        doc="Description in the OpenAPI document, in Markdown; it stands before that of all calls.",
    )
    api_license: str = setting(
        "MIT",
        doc="License in the OpenAPI document: an SPDX identifier, or name and URL; none if empty.",
    )
    api_contact: str = setting(
        "", doc="Contact in the OpenAPI document: an e-mail address, a URL or a name."
    )
    api_docs: bool = setting(default=True, doc="Serve /openapi.json and /docs.")

    resources_fast: bool = setting(
        default=True,
        doc="Answer usual requests to resources by statements that are compiled once, with the "
        "same result.",
    )
    start_page: bool = setting(default=True, doc="Serve a page about the service at `/`.")
    ready_requires: tuple[str, ...] = setting(
        (),
        doc="Optional health checks, comma-separated, without which `/health/ready` is 503 all the "
        "same, as in redis.",
    )

    database_pool_size: int = setting(
        8,
        doc="Connections to the database that each process keeps; once fast paths are used, up to "
        "four of them, half of all at most, belong to the event loop.",
        validate=Range(1, 1000),
    )
    database_max_overflow: int = setting(
        0, doc="Connections that a process may open beyond the pool size.", validate=Range(0, 1000)
    )
    database_pool_timeout: float = setting(
        1.5, doc="Longest wait for a free connection of the pool.", validate=Range(0.01, 60)
    )
    database_statement_timeout: float = setting(
        2.0, doc="Longest time that one statement may run.", validate=Range(0.01, 3600)
    )
    database_lock_timeout: float = setting(
        # Longer than the second after which PostgreSQL looks for deadlocks, so that it finds them.
        1.5,
        doc="Longest wait for a row's lock.",
        validate=Range(0.01, 3600),
    )
    database_connect_timeout: float = setting(
        2.0, doc="Longest time to connect to the database.", validate=Range(2, 60)
    )
    database_busy_timeout: float = setting(
        5.0, doc="SQLite: longest wait for another writer to finish.", validate=Range(0, 60)
    )
    migrations_directory: str = setting(
        "alembic", doc="Folder of the deployment's own migrations (the history `site`)."
    )

    redis_timeout: float = setting(
        0.05, doc="Longest time of one command to Redis.", validate=Range(0.001, 60)
    )
    redis_pool_size: int = setting(
        64,
        doc="Most connections of each process's Redis client.",
        validate=Range(1, 10000),
    )

    cache: str = setting(
        "auto",
        doc="Where answers are cached: auto (by a plugin, else in memory on SQLite, else nowhere), "
        "memory (only if no other process writes to the database, or it is SQLite) or none.",
        validate=OneOf(("auto", "memory", "none")),
    )
    cache_memory_size: int = setting(
        10_000, doc="Most answers that the cache in memory holds.", validate=Range(1, 10_000_000)
    )
    cache_status_header: bool = setting(
        default=False,
        doc="Send Cache-Status (RFC 9211): whether the cache had the answer, and why not.",
    )
    resources_total: str = setting(
        "exact",
        doc="The total of a resource's list by page number: exact (always), or request (only for "
        "`Prefer: count=exact`).",
        validate=OneOf(("exact", "request")),
    )
    sessions: str = setting(
        "auto",
        doc="Where sessions are kept: auto (by a plugin, else cookie) or cookie (signed cookies).",
        validate=OneOf(("auto", "cookie")),
    )

    plugins: tuple[str, ...] | None = setting(
        None, doc="The only plugins that may be active, comma-separated; no other is imported."
    )
    plugins_disabled: tuple[str, ...] = setting(
        (), doc="Plugins that are disabled, comma-separated; they are not imported."
    )
    safe: bool = setting(
        default=False, doc="Have no third-party plugin: only those that are Pegboard's own."
    )
    plugins_policy: dict[str, str] = setting(
        {},
        doc="What to do if a plugin has a problem: name=abort or name=skip; * is all others.",
        validate=_policies,
    )
