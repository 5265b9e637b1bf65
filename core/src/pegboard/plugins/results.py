"""What each hook of the core returns: checked against what its specification says."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
from flask import Blueprint
from flask.sessions import SessionInterface
from sqlalchemy.orm import DeclarativeBase

from pegboard.api import HealthCheck
from pegboard.cache import CacheStrategy
from pegboard.callables import answers_at_once, deferral_in, is_method_like
from pegboard.changes import Listener
from pegboard.settings import Settings

_STRATEGY = sorted(
    name
    for name in {*vars(CacheStrategy), *inspect.get_annotations(CacheStrategy)}
    if not name.startswith("_")
)


_SAMPLE = re.compile(r"[A-Za-z_:][\w:]*(?:\{.*\})?[ \t]+[-+.\w]+(?:[ \t]+-?\d+)?[ \t]*", re.ASCII)
"""A line of Prometheus' text format that is neither empty nor a comment."""

_MAX_PARTS = 10
"""How many wrong parts of a list a message names."""


@dataclass(frozen=True)
class Mistake:
    """What is wrong with the result of a hook."""

    text: str
    """What goes on after the hook's name, as in `returned None`."""
    hint: str


@dataclass(frozen=True)
class Expected:
    """What the result of a hook has to be."""

    wanted: str
    """What to return, for the hint."""
    fits: Callable[[Any], bool]
    """Whether a result can be used; for a sequence, whether one of its parts can."""
    is_sequence: bool = False
    is_optional: bool = False
    """Whether None is a result, too."""

    def find_mistake(self, result: Any) -> Mistake | None:
        """Return what is wrong with a result; None if nothing is."""
        plain = f"Make it a plain function that returns {self.wanted}."
        if deferral := deferral_in(result):
            return Mistake(f"is {deferral.text}", plain)
        if result is None and self.is_optional:
            return None
        shown = self._wrong_parts(result) if self.is_sequence else self._wrong(result)
        return Mistake(f"returned {shown}", f"Return {self.wanted}.") if shown else None

    def _wrong(self, result: Any) -> str:
        return "" if self.fits(result) else shown(result)

    def _wrong_parts(self, result: Any) -> str:
        if not isinstance(result, Sequence) or isinstance(result, str | bytes | bytearray):
            return shown(result)
        wrong = [
            f"{shown(part)} at index {index}"
            for index, part in enumerate(result)
            if not self.fits(part)
        ]
        more = len(wrong) - _MAX_PARTS
        return ", ".join(wrong[:_MAX_PARTS]) + (f" and {more} more" if more > 0 else "")


def _sequence(wanted: str, fits: Callable[[Any], bool]) -> Expected:
    return Expected(f"a list of {wanted}", fits, is_sequence=True)


def _is_subclass(parent: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, type) and issubclass(value, parent)


def _is_health_check(value: Any) -> bool:
    if not isinstance(value, HealthCheck):
        return False
    name: Any = value.name
    return isinstance(name, str) and bool(name) and answers_at_once(value.check, lambda: None)


def _is_identifier(value: Any) -> bool:
    """Return whether a value can be asked for the identity of a client."""
    return not isinstance(value, type) and answers_at_once(value, lambda _environ: None)


def _is_exposition(value: Any) -> bool:
    if not isinstance(value, bytes):
        return False
    try:
        lines = value.decode().split("\n")
    except UnicodeDecodeError:
        return False
    return all(_SAMPLE.fullmatch(line) for line in lines if line.strip() and line[0] != "#")


def _is_observer(value: Any) -> bool:
    if isinstance(value, type):
        return False
    share = getattr(value, "stage_share", 1.0)
    methods = getattr(value, "begin", None), getattr(value, "end", None)
    return (
        isinstance(share, int | float)
        and 0 <= share <= 1
        and all(answers_at_once(method, lambda _: None) for method in methods)
    )


def _is_session_interface(value: Any) -> bool:
    """Return whether a value is a session interface that opens and saves sessions.

    Those of the base class only raise `NotImplementedError`, at each request.
    """
    return isinstance(value, SessionInterface) and all(
        getattr(type(value), name) is not getattr(SessionInterface, name)
        and is_method_like(getattr(SessionInterface, name), getattr(value, name))
        for name in ("open_session", "save_session")
    )


def _is_strategy(value: Any) -> bool:
    return not isinstance(value, type) and all(
        is_method_like(getattr(CacheStrategy, name), getattr(value, name, None))
        if name != "name"
        else hasattr(value, name)
        for name in _STRATEGY
    )


_NOTHING = Expected("nothing", lambda value: value is None, is_optional=True)

EXPECTED: Mapping[str, Expected] = MappingProxyType(
    {
        "pegboard_models": Expected(
            "the plugin's declarative base, as in class Base(pegboard.Model, DeclarativeBase)",
            lambda value: _is_subclass(DeclarativeBase)(value) and value is not DeclarativeBase,
        ),
        "pegboard_settings": Expected("a subclass of pegboard.Settings", _is_subclass(Settings)),
        "pegboard_migrations": Expected(
            "the pathlib.Path of a folder that exists",
            lambda value: isinstance(value, Path) and value.is_dir(),
        ),
        "pegboard_blueprints": _sequence(
            "objects of flask.Blueprint or pegboard.Blueprint",
            lambda value: isinstance(value, Blueprint),
        ),
        "pegboard_commands": _sequence(
            "click commands that have names",
            lambda value: isinstance(value, click.Command) and bool(value.name),
        ),
        "pegboard_health_checks": _sequence(
            "pegboard.HealthCheck, each with a name and a plain function, neither async nor a "
            "generator, without arguments",
            _is_health_check,
        ),
        "pegboard_requires": _sequence(
            "the classes that are interfaces of services", lambda value: isinstance(value, type)
        ),
        "pegboard_setup": _NOTHING,
        "pegboard_listeners": _sequence(
            "objects of pegboard.resources.Listener", lambda value: isinstance(value, Listener)
        ),
        "pegboard_client_identity": Expected(
            "a plain function, neither async nor a generator, that takes the WSGI environment and "
            "returns the client's identity, or None",
            _is_identifier,
            is_optional=True,
        ),
        "pegboard_session_strategy": Expected(
            "an object of a flask.sessions.SessionInterface with its own open_session and "
            "save_session, which take the arguments of Flask's, or None",
            _is_session_interface,
            is_optional=True,
        ),
        "pegboard_cache_strategy": Expected(
            f"a pegboard.cache.CacheStrategy, which has {', '.join(_STRATEGY)}, and takes its "
            "arguments; or None",
            _is_strategy,
            is_optional=True,
        ),
        # Each stage is checked where it is added to the others.
        "pegboard_stages": _sequence("stages", lambda _: True),
        "pegboard_observers": _sequence(
            "objects with the plain methods begin(environ) and end(observation), and with a "
            "stage_share from 0 to 1, if any",
            _is_observer,
        ),
        "pegboard_openapi": _NOTHING,
        "pegboard_metrics": Expected("bytes, in the text format of Prometheus", _is_exposition),
    }
)
"""The hooks that return something to the core.

`pegboard_hookspecs` is checked by pluggy, and `pegboard_provides` by the interface of the service.
"""


def shown(value: Any) -> str:
    """Return a result for a message; never runs code of the plugin."""
    if value is None or type(value) in {str, bytes, int, float, bool}:
        return f"{value!r:.100}"
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, type):
        return f"the class {value.__qualname__}"
    return f"an object of type {type(value).__qualname__}"
