"""Where in a plugin's files an error arose."""

import inspect
from pathlib import Path
from traceback import walk_tb
from typing import NamedTuple


class _Place(NamedTuple):
    """A line of a module."""

    package: str
    text: str
    """The file below the folder that holds its package, and the line: `shop/models.py:12`."""


def describe_error(error: BaseException, package: str) -> str:
    """Return the type and message of an error, and where in the plugin's package it arose.

    In one line, as in `KeyError: 'a', at shop/models.py:12`; if the plugin's line called what
    raised it, with that line too. `package` is the name of the plugin's import package.
    """
    text = " ".join(str(error).split())  # those of Werkzeug and SQLAlchemy have several lines
    return f"{type(error).__name__}: {text}{locate_error(error, package)}"


def locate_error(error: BaseException, package: str) -> str:
    """Return where in a plugin's package an error arose, as in `, at shop/models.py:12`.

    It is empty if no line of the package was run.
    """
    places = _places(error, package)
    own = [place for place in places if place.package == package]
    if not own:
        return ""
    raised = places[-1]
    return f", at {own[-1].text}" + (f", raised in {raised.text}" if raised != own[-1] else "")


def locate_function(function: object) -> str:
    """Return where a function is defined, as in `, at shop/plugin.py:12`; empty if it is in C."""
    code = getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)
    if code is None:
        return ""
    module = str(getattr(function, "__module__", ""))
    return f", at {_shown(_below(Path(code.co_filename), module), code.co_firstlineno)}"


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
