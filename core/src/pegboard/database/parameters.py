"""The parameters in the query of `DATABASE_URL`, checked by the libraries that take them.

A wrong one would else be found with the first connection, that is, by every request.
"""

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import URL
from sqlalchemy.util import asbool

_LIBPQ_DRIVERS = frozenset({"psycopg2", "psycopg2cffi", "psycopg"})
_NO_SERVER = "/dev/null"
"""A folder of sockets that is none: libpq reads all parameters, then fails without a connection."""

_INTEGERS = frozenset(
    {
        "connect_timeout",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "tcp_user_timeout",
    }
)
"""Parameters of libpq that it reads only for a connection by TCP."""

_OF_SQLITE: dict[str, Callable[[str], object]] = {
    "cached_statements": int,
    "check_same_thread": asbool,
    "detect_types": int,
    "isolation_level": str,
    "timeout": float,
    "uri": asbool,
}
"""What SQLAlchemy passes to `sqlite3.connect`, with the type that it converts to."""

_OF_SQLITE_FILE = frozenset({"cache", "immutable", "mode", "modeof", "nolock", "psow", "vfs"})
"""What SQLite reads of the URI of a file (https://sqlite.org/uri.html)."""

_NAME = re.compile(r"[A-Za-z][\w-]{0,40}", re.ASCII)


def check_parameters(url: URL) -> None:
    """Raise `ValueError` for a parameter, or a value of one, that the driver does not take.

    The message has the names of parameters, and no value.
    """
    if "plugin" in url.query:  # SQLAlchemy's, which may read parameters of its own
        return
    repeated = {name for name, value in url.query.items() if not isinstance(value, str)}
    for name in url.query.keys() & (repeated - {"host", "port"}):
        message = f"{_called(name, url)} is given more than once"
        raise ValueError(message)
    if url.get_backend_name() == "sqlite":
        _check_sqlite(url)
    elif url.get_driver_name() in _LIBPQ_DRIVERS:
        _check_libpq(url)


def _check_sqlite(url: URL) -> None:
    is_uri = "uri" in url.query or (url.database or "").startswith("file:")
    for name, value in url.query.items():
        if name in _OF_SQLITE_FILE:
            if is_uri:
                continue
            message = (
                f"{_called(name, url)} counts only for the URI of a file: "
                "sqlite:///file:/path/to/file.db?mode=ro&uri=true"
            )
            raise ValueError(message)
        if name not in _OF_SQLITE:
            known = ", ".join(sorted({*_OF_SQLITE, *_OF_SQLITE_FILE}))
            message = f"{_called(name, url)} is none of SQLite, which has {known}"
            raise ValueError(message)
        try:
            _OF_SQLITE[name](str(value))
        except ValueError:
            raise ValueError(_refused(name, url)) from None


def _check_libpq(url: URL) -> None:
    driver: Any = url.get_dialect().import_dbapi()
    for name, value in url.query.items():
        if name in {"host", "port", "hostaddr"}:
            continue
        if name in _INTEGERS and not re.fullmatch(r"\s*[+-]?\d+\s*", str(value)):
            raise ValueError(_refused(name, url))
        # `hostaddr` would else come from the environment, and win over the host.
        options = {"host": _NO_SERVER, "hostaddr": "", "dbname": "none", "user": "none"}
        try:
            driver.connect(**{**options, name: value})
        except driver.ProgrammingError:
            message = f"{_called(name, url)} is none of PostgreSQL's libpq, as sslmode is"
            raise ValueError(message) from None
        except driver.Error as error:
            # libpq quotes a value that it refuses, in whatever language its message is.
            if f'"{value}"' in str(error) and _NO_SERVER not in str(error):
                raise ValueError(_refused(name, url)) from None


def _refused(name: str, url: URL) -> str:
    return f"{_called(name, url)} has a value that is not allowed"


def _called(name: str, url: URL) -> str:
    """Return what an error calls a parameter: its name, unless that may be part of a password."""
    has_password = any("pass" in other for other in url.query)
    if has_password or not _NAME.fullmatch(name):
        return "a parameter after the ?"
    return f"the parameter {name}"
