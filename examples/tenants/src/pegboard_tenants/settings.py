"""The settings of the tenants plugin."""

from marshmallow.validate import Range

import pegboard


class TenantsSettings(pegboard.Settings):
    """How soon a change of the tenants is in force."""

    refresh: float = pegboard.setting(
        2.0,
        doc="Seconds after which a process reads the tenants again.",
        validate=Range(0.0, 3600.0),
    )
