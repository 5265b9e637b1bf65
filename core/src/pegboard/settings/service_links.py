"""Environment variables that Kubernetes and Docker set for a service, and that are no settings.

For a Service called `pegboard-items` Kubernetes sets `PEGBOARD_ITEMS_PORT=tcp://10.0.0.7:80` and
more in every container of its namespace ("Service", environment variables, in its documentation);
Docker does so for containers that are linked.
"""

import re
from collections.abc import Mapping

_LINK = re.compile(
    r"""\w+_(?:
        SERVICE_HOST=[0-9A-Fa-f.:]+
        | SERVICE_PORT(?:_\w+)?=\d+
        | PORT(?:_\d+_(?:TCP|UDP|SCTP))?=(?:tcp|udp|sctp)://\S+
        | PORT_\d+_(?:TCP|UDP|SCTP)_(?:PROTO=(?:tcp|udp|sctp) | PORT=\d+ | ADDR=[0-9A-Fa-f.:]+)
        | NAME=/[^/]+/[^/]+
    )""",
    re.VERBOSE,
)


def is_service_link(name: str, environment: Mapping[str, str]) -> bool:
    """Return whether a variable has the name and the value of those that describe a service."""
    if _LINK.fullmatch(f"{name}={environment[name]}"):
        return True
    # Docker copies the variables of a linked container.
    alias, separator, _ = name.partition("_ENV_")
    linked = f"{alias}_NAME"
    return bool(separator) and linked in environment and is_service_link(linked, environment)
