"""The functions of the standard library and of the libraries that all plugins share."""

import sys
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType

_WITH_CONSTANTS = {"flask", "werkzeug", "flask_sqlalchemy", "marshmallow", "click"}
"""Those whose constants are compared, too; the others change theirs when they are used."""
HOSTS = {
    *_WITH_CONSTANTS,
    *("sqlalchemy", "pegboard", "redis", "alembic", "psycopg2", "jinja2", "itsdangerous"),
    *("flask_migrate", "flask_cors", "flask_smorest", "webargs", "apispec", "pluggy", "orjson"),
}
"""The packages, beside the standard library, of which a plugin may replace nothing."""

_FUNCTIONS: tuple[type, ...] = (FunctionType, BuiltinFunctionType)
_CONSTANTS = (bool, int, float, str, bytes, tuple)


def host_values() -> dict[str, object]:
    """Return the functions, classes and constants of the hosts, and of their classes, by name."""
    return {
        name: value
        for name, value in _members()
        if isinstance(value, _FUNCTIONS) or _is_constant(name, value)
    }


def _members() -> Iterator[tuple[str, object]]:
    watched = {*sys.stdlib_module_names, *HOSTS}
    for name, module in [*sys.modules.items()]:
        host = name.partition(".")[0]
        if host not in watched or not isinstance(module, ModuleType):
            continue
        for key, value in [*vars(module).items()]:
            yield f"{name}.{key}", value
            if isinstance(value, type) and value.__module__ == name:
                for member, one in [*vars(value).items()]:
                    yield f"{name}.{key}.{member}", one


def _is_constant(name: str, value: object) -> bool:
    """Return whether it is a public class, or a public constant of a host that changes none."""
    if name.rpartition(".")[2].startswith("_"):
        return False
    is_told = name.partition(".")[0] in _WITH_CONSTANTS
    return isinstance(value, type) or (is_told and isinstance(value, _CONSTANTS))


def changed_values(before: dict[str, object], is_own: Callable[[str], bool]) -> list[str]:
    """Return what other values the hosts have now.

    Of modules that were imported since, only what a plugin has put there is known: what is defined
    in a module of which `is_own` is true.
    """
    found = []
    for name, value in _members():
        if name not in before:
            if isinstance(value, (FunctionType, type)) and is_own(str(value.__module__)):
                found.append(f"{name} is {value.__module__}.{value.__qualname__}")
        elif value is not (known := before[name]) and value != known:
            if isinstance(known, _FUNCTIONS):
                found.append(f"{name} is another function")
            else:
                found.append(f"{name} was {known!r:.80} and is {value!r:.80}")
    return found
