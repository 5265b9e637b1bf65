"""The database, Redis and the cache: connections, times and sizes."""

from marshmallow.validate import OneOf, Range

from pegboard.settings.declare import Settings, setting


class DatabaseSettings(Settings):
    """Connections to the database, time limits, migrations."""

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


class RedisSettings(Settings):
    """Connections to Redis."""

    redis_timeout: float = setting(
        0.05, doc="Longest time of one command to Redis.", validate=Range(0.001, 60)
    )
    redis_pool_size: int = setting(
        64,
        doc="Most connections of each process's Redis client.",
        validate=Range(1, 10000),
    )


class CacheSettings(Settings):
    """Cached answers, totals of lists, sessions."""

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
