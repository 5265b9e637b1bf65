"""Where in a plugin's files an error arose."""

import inspect
import linecache
import re
from collections.abc import Iterable
from pathlib import Path
from traceback import walk_tb
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from pegboard.redaction import reason_of

_AT = ", at "
_CORE = "pegboard"
"""The package that raises what an author does wrong; which line of it does is no matter."""


class _Place(NamedTuple):
    """A line of a module."""

    package: str
    text: str
    """The file below the folder that holds its package, and the line: `shop/models.py:12`."""


def describe_error(error: BaseException, package: str) -> str:
    """Return the type and message of an error, and where in the plugin's package it arose.

    In one line, as in `KeyError: 'a', at shop/models.py:12`; if the plugin's line called what
    raised it, with that line too, unless it is the core's. `package` is the name of the plugin's
    import package.
    """
    kind, text = type(error).__name__, reason_of(error)
    return f"{kind}: {'' if text == kind else text}{locate_error(error, package)}"


def locate_error(error: BaseException, package: str) -> str:
    """Return where in a plugin's package an error arose, as in `, at shop/models.py:12`.

    It is empty if no line of the package was run.
    """
    places = _places(error, package)
    own = [place for place in places if place.package == package]
    if not own:
        return ""
    raised = places[-1]
    is_told = raised != own[-1] and raised.package != _CORE
    return f"{_AT}{own[-1].text}" + (f", raised in {raised.text}" if is_told else "")


def locate_function(function: object) -> str:
    """Return where a function is defined, as in `, at shop/plugin.py:12`; empty if it is in C."""
    code = getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)
    if not isinstance(code, CodeType):
        return ""
    module = str(getattr(function, "__module__", ""))
    return f"{_AT}{_shown(_below(Path(code.co_filename), module), code.co_firstlineno)}"


def locate_class(cls: type | ModuleType, member: str = "") -> str:
    """Return where a class, or what its body calls `member`, is defined, as `locate_function` does.

    The same of a module. It is empty for what is in no file.
    """
    try:
        file = inspect.getfile(cls)
        if isinstance(cls, ModuleType):  # which may be empty: that has no lines for inspect
            lines, first, module, indent = linecache.getlines(file), 1, cls.__name__, ""
        else:
            lines, first = inspect.getsourcelines(cls)
            module, indent = cls.__module__, r"\s+"
    except (OSError, TypeError):
        return ""
    named = re.compile(rf"{indent}(?:def )?{re.escape(member)}\b")
    found = (number for number, line in enumerate(lines) if member and named.match(line))
    return f"{_AT}{_shown(_below(Path(file), module), first + next(found, 0))}"


def locate_model(base: Any, table: object, column: str = "") -> str:
    """Return where the model of a table is defined, or a column in it, as `locate_function` does.

    `base` is the declarative base. It is empty for a table without a model.
    """
    found = (one.class_ for one in base.registry.mappers if one.local_table is table)
    model = next(found, None)
    return "" if model is None else locate_class(model, column)


def join_places(places: Iterable[str]) -> str:
    """Return several places as one, each once, as in `, at shop/a.py:1 and shop/b.py:2`."""
    found = (place.removeprefix(_AT) for place in dict.fromkeys(places) if place)
    joined = " and ".join(found)
    return f"{_AT}{joined}" if joined else ""


def is_place_in(place: str, package: str) -> bool:
    """Return whether what `locate_function` says is in an import package."""
    return place.startswith((f"{_AT}{package}/", f"{_AT}{package}.py:"))


def line_at_fault(error: BaseException, package: str) -> str | None:
    """Return the innermost line of a plugin's package that an error came through, if any."""
    own = [place.text for place in _places(error, package) if place.package == package]
    return own[-1] if own else None


def _places(error: BaseException, package: str) -> list[_Place]:
    """Return the lines that were being run, the innermost last; those of the import system not."""
    places = []
    for frame, line in walk_tb(error.__traceback__):
        file, module = Path(frame.f_code.co_filename), str(frame.f_globals.get("__name__", ""))
        if not file.name.startswith("<") and module.partition(".")[0] != "importlib":
            places.append(_Place(module.partition(".")[0], _shown(_below(file, module), line)))
    if isinstance(error, SyntaxError) and error.filename:
        parts = Path(error.filename).parts
        if package in parts:
            start = len(parts) - 1 - parts[::-1].index(package)
            places.append(_Place(package, _shown(parts[start:], error.lineno or 0)))
        else:
            places.append(_Place("", _shown(parts[-1:], error.lineno or 0)))
    return places


def _below(file: Path, module: str) -> tuple[str, ...]:
    """Return the parts of a file's path below the folder that holds the module's package."""
    return file.parts[-(module.count(".") + (2 if file.name == "__init__.py" else 1)) :]


def _shown(parts: tuple[str, ...], line: int) -> str:
    return f"{'/'.join(parts)}:{line}"
