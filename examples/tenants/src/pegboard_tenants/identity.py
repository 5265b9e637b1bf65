"""Whose request it is, for limits and logs."""

from collections.abc import Mapping
from typing import Any

from pegboard_tenants.directory import Directory


class TenantIdentity:
    """Returns the name of the tenant whose key a request has: all its clients are one."""

    is_non_blocking = True
    """The stage has the tenants read on a thread, before the event loop asks."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def __call__(self, environ: Mapping[str, Any]) -> str | None:
        """Return the identity, as `tenant:acme`."""
        tenant = self._directory.find(environ)
        return None if tenant is None else f"tenant:{tenant.name}"
