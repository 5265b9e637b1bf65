"""Warning of hooks that are deprecated, and of arguments of them, when a plugin implements them."""

import inspect

import pluggy

from pegboard.deprecation import Place, deprecations_of, warn
from pegboard.plugins.discovery import Candidate


def warn_of_deprecated_hooks(
    manager: pluggy.PluginManager, candidate: Candidate, obj: object
) -> None:
    """Warn of each deprecated hook that a plugin implements, with the plugin and the place."""
    for caller in manager.get_hookcallers(obj) or ():
        specification = caller.spec
        if specification is None:
            continue
        known = deprecations_of(inspect.unwrap(specification.function))
        for implementation in caller.get_hookimpls():
            if implementation.plugin is not obj:
                continue
            function = inspect.unwrap(implementation.function)
            code = getattr(function, "__code__", None)
            place = Place(
                str(getattr(function, "__module__", candidate.package)),
                code.co_filename if code else candidate.package,
                code.co_firstlineno if code else 1,
            )
            for argument, deprecation in known.items():
                what = f"the hook {caller.name}"
                if argument is not None:
                    if argument not in implementation.argnames:
                        continue
                    what = f"the argument {argument} of {what}"
                warn(what, deprecation, user=f"plugin {candidate.title}", place=place)
