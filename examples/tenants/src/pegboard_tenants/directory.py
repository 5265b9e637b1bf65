"""Who the tenants are, as this process has last read them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from flask import Flask, current_app
from sqlalchemy import select

import pegboard
from pegboard.background import Refreshed
from pegboard_tenants.models import Tenant

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

    def __init__(self, app: Flask, every: float) -> None:
        self._by_digest = Refreshed(app, read_tenants, every=every)

    def is_fresh(self) -> bool:
        """Return whether the tenants need not be read or waited for now."""
        return self._by_digest.is_fresh()

    def find(self, environ: Mapping[str, Any]) -> Known | None:
        """Return the tenant whose key a request has, given its WSGI environment."""
        authorization: str = environ.get("HTTP_AUTHORIZATION", "")
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            return None
        return self._by_digest.get().get(digest_of(authorization[len(_SCHEME) :].strip()))

    def hidden_from(self, environ: Mapping[str, Any]) -> frozenset[str]:
        """Return the plugins that a request is told nothing of.

        Without a key these are all that some tenant lacks: it could ask without its key.
        """
        tenant = self.find(environ)
        if tenant is not None:
            return tenant.disabled
        return frozenset().union(*(one.disabled for one in self._by_digest.get().values()))


def read_tenants() -> Mapping[str, Known]:
    """Return the tenants by the digests of their keys."""
    columns = (Tenant.key_digest, Tenant.id, Tenant.name, Tenant.disabled)
    return {
        digest: Known(number, name, frozenset(disabled))
        for digest, number, name, disabled in pegboard.db.session.execute(select(*columns))
    }


def digest_of(key: str) -> str:
    """Return what is stored of a key. It is random and long, so that a plain hash is enough."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def init_directory(app: Flask, every: float) -> None:
    """Give the app its directory, which is read at the first request."""
    app.extensions[_EXTENSION] = Directory(app, every)


def get_directory(app: Flask | None = None) -> Directory:
    """Return the directory of an app, or of the current app."""
    return cast("Directory", (app or current_app).extensions[_EXTENSION])
