"""What a plugin asks of the core that this core does not have, and what it has in its place."""

import difflib
import re
from importlib import import_module
from types import ModuleType

from packaging.utils import NormalizedName

from pegboard.plugins.discovery import Candidate

PUBLIC_MODULES = (
    "pegboard",
    "pegboard.annotations",
    "pegboard.background",
    "pegboard.cache",
    "pegboard.clients",
    "pegboard.clock",
    "pegboard.deprecation",
    "pegboard.observation",
    "pegboard.redis",
    "pegboard.resources",
    "pegboard.stages",
)
"""The modules that a plugin may import when it serves."""

_IMPORT = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")


def advise(error: BaseException, candidate: Candidate, place: str | None) -> str | None:
    """Return what to do about a name that the core lacks; None if the error is of another kind.

    `place` is the line of the plugin that asks for it.
    """
    asked = _asked(error)
    if asked is None:
        return None
    module, name = asked
    where = f" at {place}" if place else ""
    owners = [one for one in PUBLIC_MODULES if name in _names(one)]
    if module not in PUBLIC_MODULES:
        parents = [one for one in PUBLIC_MODULES[1:] if module.startswith(f"{one}.")]
        near = difflib.get_close_matches(module, PUBLIC_MODULES, n=1)
        lead = (
            f"{module} is no public module of this core: import from "
            f"{', '.join(owners or parents or near or PUBLIC_MODULES)}{where}"
        )
    elif owners:
        lead = f"{module}.{name} is {owners[0]}.{name} in this core: use that{where}"
    else:
        near = difflib.get_close_matches(name, _names(module), n=1)
        meant = f"; did you mean {module}.{near[0]}?" if near else "."
        lead = f"This core has no {module}.{name}{meant}"
    distribution = candidate.distribution
    if distribution is None:
        return lead
    made_for = distribution.requires.get(NormalizedName("pegboard"), "pegboard")
    return (
        f"{lead.rstrip('.')}, or install a release of {distribution.name} that was made for this "
        f"core ({distribution} was made for {made_for})"
    )


def _asked(error: BaseException) -> tuple[str, str] | None:
    """Return the module and the name that an error says are missing, if they are of the core."""
    found: tuple[str, str] | None = None
    if isinstance(error, ModuleNotFoundError):
        found = (error.name or "", "")
    elif isinstance(error, ImportError) and (named := _IMPORT.match(str(error))):
        found = (named[2], named[1])
    elif isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        found = (error.obj.__name__, str(error.name))
    is_core = found is not None and found[0].partition(".")[0] == "pegboard"
    return found if is_core else None


def _names(module: str) -> list[str]:
    names: list[str] = getattr(import_module(module), "__all__", [])
    return names
