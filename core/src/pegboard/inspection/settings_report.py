"""What each setting is, and where its value comes from."""

import re
from typing import Any

from pegboard.plugins import Registry

_SECRET_NAME = re.compile(r"(?:^|_)(?:PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIALS?|API_?KEY)S?$")
"""Names of settings that are masked even if their plugin has not declared them secret."""

_MASK = "********"


def settings_document(registry: Registry) -> dict[str, Any]:
    """Return every setting as JSON, secrets masked, and the variables that have no effect."""
    return {
        "settings": [
            {
                "setting": value.declaration.key,
                "plugin": value.declaration.owner or "core",
                "value": _MASK
                if value.value and _SECRET_NAME.search(value.declaration.key)
                else value.shown,
                "origin": value.origin,
            }
            for value in registry.values
        ],
        "unused": [str(one) for one in registry.unused],
    }
