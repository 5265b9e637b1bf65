"""Who the tenants are, as this process has last read them."""

import hashlib
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from flask import Flask, current_app
from sqlalchemy import Engine, select

import pegboard
from pegboard_tenants.models import Tenant

logger = logging.getLogger(__name__)

_EXTENSION = "pegboard_tenants"
_SCHEME = "bearer "


@dataclass(frozen=True)
class Known:
    """A tenant, as it was read."""

    id: int
    name: str
    disabled: frozenset[str]
    """The plugins whose routes are not there for the tenant."""


class Directory:
    """The tenants by the digests of their keys, read again every few seconds."""

    def __init__(self, engine: Engine, max_age: float) -> None:
        self._engine = engine
        self._max_age = max_age
        self._by_digest: Mapping[str, Known] | None = None
        self._due = 0.0
        self._lock = threading.Lock()
        pegboard.after_fork(self, Directory.reset)

    def reset(self) -> None:
        """Start afresh in a forked process, where another thread may have had the lock."""
        self._lock = threading.Lock()
        self._due = 0.0

    def is_fresh(self) -> bool:
        """Return whether the tenants need not be read now."""
        return self._by_digest is not None and time.monotonic() < self._due

    def refresh(self) -> None:
        """Read the tenants, if they are not fresh.

        One request does it; the others go on with those last read, and wait only if there are none.
        """
        if self.is_fresh() or not self._lock.acquire(blocking=self._by_digest is None):
            return
        try:
            if not self.is_fresh():
                self._read()
        finally:
            self._lock.release()

    def _read(self) -> None:
        columns = (Tenant.key_digest, Tenant.id, Tenant.name, Tenant.disabled)
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(select(*columns)).all()
        except Exception as error:
            if self._by_digest is None:
                raise
            logger.warning("the tenants cannot be read, those last read count: %s", error)
        else:
            self._by_digest = {
                digest: Known(number, name, frozenset(disabled))
                for digest, number, name, disabled in rows
            }
        self._due = time.monotonic() + self._max_age

    def find(self, environ: Mapping[str, Any]) -> Known | None:
        """Return the tenant whose key a request has, given its WSGI environment."""
        authorization: str = environ.get("HTTP_AUTHORIZATION", "")
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            return None
        if self._by_digest is None:
            self.refresh()
        return (self._by_digest or {}).get(digest_of(authorization[len(_SCHEME) :].strip()))


def digest_of(key: str) -> str:
    """Return what is stored of a key. It is random and long, so that a plain hash is enough."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def init_directory(app: Flask, max_age: float) -> None:
    """Give the app its directory, which is read at the first request."""
    with app.app_context():
        app.extensions[_EXTENSION] = Directory(pegboard.db.engine, max_age)


def get_directory(app: Flask | None = None) -> Directory:
    """Return the directory of an app, or of the current app."""
    return cast("Directory", (app or current_app).extensions[_EXTENSION])
