"""Reading `DATABASE_URL` without repeating any of it."""

import re

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from pegboard.database.parameters import check_parameters

SUPPORTED = frozenset({"postgresql", "sqlite"})
"""The databases whose locks, time limits and transactions the platform knows."""

_NO_URL = (
    "not a database URL; write postgresql://user:password@host:5432/name or "
    "sqlite:////path/to/file.db, with special characters of the password percent-encoded"
)
_PARTS = re.compile(
    r"(?P<login>[\w+]+://(?:[^:/]*(?::[^@]*)?@)?)(?P<hosts>[^/?]*)(?P<rest>.*)", re.DOTALL
)
"""A URL as SQLAlchemy reads it: a password ends with the first @ after it begins."""

_HOST = re.compile(r"(?:\[(?P<ipv6>[^\]]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>\d*))?")


def database_url(text: str) -> URL:
    """Parse a database URL; `postgres:` and `postgresql:` mean the driver psycopg2.

    Several hosts of PostgreSQL may be written as for libpq: `postgresql://one:5432,two:5432/name`.
    Raises `ValueError`, whose message quotes nothing of the URL but its scheme and the name of a
    wrong parameter: the rest may be the password.
    """
    if not text.startswith("sqlite") and _has_stray_at(text):
        message = (
            "it has an @ within the password or after it; percent-encode special characters: %40 "
            "for @, %2F for /, %23 for #, %3F for ?, %25 for %"
        )
        raise ValueError(message)
    # `from None`: the messages of the libraries may quote the URL.
    try:
        url = _parse(text)
    except (ArgumentError, ValueError):
        raise ValueError(_NO_URL) from None
    if url.get_backend_name() not in SUPPORTED:
        message = f"{url.get_backend_name()} is not supported, only PostgreSQL and SQLite are"
        raise ValueError(message)
    _check_driver(url)
    if url.get_backend_name() == "sqlite" and (url.host or url.username or url.password):
        message = "a SQLite URL has three slashes before a relative path, four before an absolute"
        raise ValueError(message)
    check_parameters(url)
    return url


def is_in_memory(url: URL) -> bool:
    """Return whether the URL is that of a SQLite database in memory."""
    if url.get_backend_name() != "sqlite" or "vfs" in url.query:
        return False
    names = {None, "", ":memory:", "file::memory:"}
    return url.database in names or url.query.get("mode") == "memory"


def _check_driver(url: URL) -> None:
    bare = f"write {url.get_backend_name()}: alone, whose driver is installed"
    try:
        dialect = url.get_dialect()
    except NoSuchModuleError:
        message = f"{url.drivername}: no such database driver is known; {bare}"
        raise ValueError(message) from None
    if dialect.is_async:
        message = f"{url.drivername}: the driver is for asyncio, and Flask is not; {bare}"
        raise ValueError(message)
    try:
        if url.get_backend_name() != "sqlite":
            # Reads the hosts and ports among the parameters, too.
            dialect().create_connect_args(url)
        dialect.import_dbapi()
    except ImportError as error:
        message = f"{url.drivername}: {error.name} is not installed; install it, or {bare}"
        raise ValueError(message) from None
    except (ArgumentError, ValueError, TypeError, AttributeError):
        raise ValueError(_NO_URL) from None


def _parse(text: str) -> URL:
    parts = _PARTS.fullmatch(text)
    if parts is None or "," not in parts["hosts"] or not text.startswith("postgres"):
        url = make_url(text)
    else:
        found = [_HOST.fullmatch(host) for host in parts["hosts"].split(",")]
        hosts = ",".join(host["ipv6"] or host["name"] for host in found if host)
        ports = ",".join(host["port"] or "" for host in found if host)
        if None in found:
            raise ValueError
        query = {"host": hosts, **({"port": ports} if ports.strip(",") else {})}
        url = make_url(parts["login"] + parts["rest"]).update_query_dict(query)
    if url.drivername in {"postgres", "postgresql"}:
        url = url.set(drivername="postgresql+psycopg2")
    return url


def _has_stray_at(text: str) -> bool:
    parts = _PARTS.fullmatch(text)
    return parts is not None and "@" in parts["hosts"] + parts["rest"]
