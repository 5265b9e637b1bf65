"""Rows of which each is one tenant's: the tenant of a request, and a resource over such rows."""

from typing import Any, TypeVar

from flask import request
from sqlalchemy import Select
from sqlalchemy.orm import DeclarativeBase

import pegboard
from pegboard_tenants.directory import Known, get_directory

M = TypeVar("M", bound=DeclarativeBase)


def current_tenant() -> Known:
    """Return the tenant of the current request; ends it with 401 if it has no valid key."""
    tenant = get_directory().find(request.environ)
    if tenant is None:
        pegboard.abort(401, "A key is needed.", headers={"WWW-Authenticate": "Bearer"})
    return tenant


class TenantResource(pegboard.Resource[M]):
    """A resource over a model with `Owned`: each tenant has its own rows, and sees no others."""

    def rows(self) -> Select[tuple[M]]:
        """Leave out the rows of others, which are 404 in all operations."""
        owned: Any = self.model
        return super().rows().where(owned.tenant_id == current_tenant().id)

    def make(self, values: dict[str, Any]) -> M:
        """Make a row of the tenant's own."""
        return super().make({**values, "tenant_id": current_tenant().id})
