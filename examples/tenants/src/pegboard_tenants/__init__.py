"""Many customers in one schema: an example of a stage, an identity, and rows of one's own.

Other plugins keep the rows of tenants apart by `Owned`, `TenantResource` and `current_tenant`.
"""

from pegboard_tenants.models import Owned
from pegboard_tenants.ownership import TenantResource, current_tenant

__all__ = ["Owned", "TenantResource", "current_tenant"]
