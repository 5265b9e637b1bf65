"""The route `/`: who a tenant is and which plugins it has.

It takes the place of the core's page, which tells of all plugins.
"""

from typing import Any

from flask import current_app
from marshmallow import Schema, fields

import pegboard
from pegboard_tenants.ownership import current_tenant

blueprint = pegboard.Blueprint("tenants", __name__)


class TenantSchema(Schema):
    """A tenant, as it is shown to itself."""

    name = fields.String()
    plugins = fields.List(fields.String())


@blueprint.get("/")
@blueprint.response(200, TenantSchema)
def show_tenant() -> dict[str, Any]:
    """Show the tenant whose key is sent, with the plugins that it has."""
    tenant = current_tenant()
    names = [plugin.name for plugin in pegboard.get_registry(current_app).plugins]
    return {
        "name": tenant.name,
        "plugins": sorted(name for name in names if name not in tenant.disabled),
    }
