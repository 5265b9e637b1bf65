"""Resolving settings: finding the value of each in its sources, converting and checking it."""

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields

from pegboard.problems import Code, Problem
from pegboard.settings.declare import ENV_PREFIX, Declaration, S, declarations_of, prefix_of

_MASK = "********"
_URL_WITH_CREDENTIALS = re.compile(r"([A-Za-z][\w+.-]*://).*@.*", re.DOTALL)


def _mask(text: str) -> str:
    return _URL_WITH_CREDENTIALS.sub(rf"\1{_MASK}", text)


@dataclass(frozen=True)
class Value:
    """The value of one setting, and where it came from."""

    declaration: Declaration
    """The setting whose value this is."""
    value: Any = field(repr=False)
    """The value after conversion and validation; a secret is not masked."""
    origin: str
    """As `pegboard config show` prints it: `environment PORT`, `default`."""

    @property
    def shown(self) -> str:
        """The value as text; a secret is masked, and a URL with credentials but for its scheme."""
        if self.declaration.secret and self.value:
            return _MASK
        if isinstance(self.value, tuple):
            return ",".join(map(_mask, self.value))
        if isinstance(self.value, dict):
            return ",".join(f"{key}={_mask(value)}" for key, value in self.value.items())
        return "" if self.value is None else _mask(str(self.value))


@dataclass(frozen=True)
class Sources:
    """Where values come from; an earlier source wins over a later one."""

    options: Mapping[str, Any] = field(repr=False)
    """Options of a command, by the key of the setting."""
    explicit: Mapping[str, Any] = field(repr=False)
    """What `create_app` was given."""
    environment: Mapping[str, str] = field(repr=False)
    """Environment variables, which may name files that hold secrets."""
    defaults: Mapping[str, Any] = field(repr=False)
    """What the configuration class in force sets."""
    defaults_name: str
    """The name of that class."""


def resolve_settings(
    settings: type[S], owner: str | None, sources: Sources
) -> tuple[S | None, tuple[Value, ...], tuple[Problem, ...]]:
    """Return an instance of a settings class, the value of each setting, and the problems.

    `owner` is the plugin's name, None for the core; the problems do not name it. A value that is
    not allowed is a problem, and the default stands in for it; without a required value there is no
    instance.
    """
    values: list[Value] = []
    problems: list[Problem] = []
    for declaration in declarations_of(settings, owner):
        try:
            values.append(_look_up(declaration, sources))
        except _SettingError as error:
            problems.append(error.problem)
            # So that all problems are found in one start.
            values.append(Value(declaration, declaration.default, "default"))
    if any(value.value is dataclasses.MISSING for value in values):
        return None, (), tuple(problems)
    loaded = settings(**{value.declaration.field: value.value for value in values})
    return loaded, tuple(values), tuple(problems)


def unknown_settings(
    declared: Iterable[Declaration], prefixes: Mapping[str, str], sources: Sources
) -> tuple[Problem, ...]:
    """Return a problem for each setting under a plugin's prefix that the plugin does not declare.

    `prefixes` maps the prefix of each active plugin to the plugin's name.
    """
    keys: dict[str, str] = {}
    for declaration in declared:
        keys |= dict.fromkeys(declaration.variables, declaration.variable)
        keys[declaration.key] = declaration.key
    problems = []
    for name, origin in _given(sources):
        bare = name.removeprefix(ENV_PREFIX)
        # ITEMS_AUDIT_X is a setting of items-audit where that is active, else of items.
        matching = max(
            (prefix for prefix in prefixes if bare.startswith(prefix)), key=len, default=""
        )
        owner = prefixes.get(matching)
        if owner is None or name in keys:
            continue
        allowed = sorted(
            key for key in keys if key.removeprefix(ENV_PREFIX).startswith(prefix_of(owner))
        )
        near = difflib.get_close_matches(name, allowed, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        known = ", ".join(key for key in allowed if key.startswith(ENV_PREFIX)) or "none"
        summary = f"unknown setting {name} ({origin})"
        hint = f"{hint}Its settings: {known}."
        problems.append(Problem(Code.SETTING_UNKNOWN, summary, hint, owner))
    return tuple(problems)


class _SettingError(Exception):
    """Raised for a setting without a usable value."""

    def __init__(self, code: Code, summary: str, hint: str) -> None:
        super().__init__(summary)
        self.problem = Problem(code, summary, hint)


def _given(sources: Sources) -> Iterable[tuple[str, str]]:
    for key in sources.explicit:
        yield key, "given to create_app"
    for variable in sources.environment:
        if variable.startswith(ENV_PREFIX):
            yield variable, "environment"


def _look_up(declaration: Declaration, sources: Sources) -> Value:
    raw, origin = _find(declaration, sources)
    if raw is dataclasses.MISSING:
        summary = f"missing setting {declaration.key}: {declaration.doc}"
        hint = f"Set {' or '.join(declaration.variables)}."
        raise _SettingError(Code.SETTING_MISSING, summary, hint)
    try:
        value = _convert(declaration.annotation, raw)
        for validator in declaration.validators:
            if value is not None:
                validator(value)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a validator of a plugin may fail in any way
        shown = "its value" if declaration.secret else _mask(repr(raw))
        messages = error.messages if isinstance(error, ValidationError) else ["Its check failed."]
        allowed = " ".join(str(message) for message in messages)
        # A check may quote the value, or the part of a list that it refuses.
        for part in (raw, *map(str.strip, raw.split(","))) if isinstance(raw, str) else ():
            if part:
                masked = _MASK if declaration.secret else _mask(part)
                allowed = allowed.replace(part, masked)
        summary = f"setting {declaration.key} ({origin}): {shown} is not allowed"
        hint = f"{allowed} {declaration.key}: {declaration.doc}"
        raise _SettingError(Code.SETTING_INVALID, summary, hint) from None
    return Value(declaration, value, origin)


def _find(declaration: Declaration, sources: Sources) -> tuple[Any, str]:
    if declaration.key in sources.options:
        return sources.options[declaration.key], f"option --{declaration.field}"
    if declaration.key in sources.explicit:
        return sources.explicit[declaration.key], "create_app"
    for variable in (declaration.variable, *declaration.foreign_variables):
        if variable in sources.environment:
            return sources.environment[variable], f"environment {variable}"
    if declaration.secret and (file := sources.environment.get(f"{declaration.variable}_FILE")):
        try:
            return Path(file).read_text(encoding="utf-8").strip(), f"file {file}"
        except (OSError, UnicodeDecodeError) as error:
            variable = f"{declaration.variable}_FILE"
            # It may be the URL itself.
            summary = f"setting {declaration.key}: cannot read {_mask(file)}, named by {variable}"
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            hint = f"{reason}. Name a readable UTF-8 file."
            raise _SettingError(Code.SETTING_FILE_UNREADABLE, summary, hint) from None
    if declaration.key in sources.defaults:
        return sources.defaults[declaration.key], sources.defaults_name
    return declaration.default, "default"


def _convert(annotation: Any, raw: Any) -> Any:
    """Convert a value to the declared type. Raises `ValidationError`."""
    if isinstance(annotation, types.UnionType):
        annotation = next(arg for arg in typing.get_args(annotation) if arg is not types.NoneType)
        # An empty list is not None: an allow-list without entries allows nothing.
        if raw is None or (raw == "" and typing.get_origin(annotation) is not tuple):
            return None
    origin = typing.get_origin(annotation) or annotation
    if origin is tuple:
        parts = raw.split(",") if isinstance(raw, str) else raw
        return tuple(stripped for part in parts if (stripped := _STRING.deserialize(part).strip()))
    if origin is dict:
        return _pairs(_convert(tuple[str, ...], raw)) if isinstance(raw, str) else dict(raw)
    if origin not in _FIELDS:
        message = f"A setting cannot be of type {annotation}; see pegboard.Settings."
        raise ValidationError(message)
    return _FIELDS[origin].deserialize(raw)


def _pairs(texts: Iterable[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = map(str.strip, text.partition("="))
        if not equals:
            message = f"Not of the form key=value: {text!r}."
            raise ValidationError(message)
        if key in pairs:
            message = f"{key!r} is written twice."
            raise ValidationError(message)
        pairs[key] = value
    return pairs


_STRING = fields.String()
_FIELDS: dict[Any, fields.Field[Any]] = {
    str: _STRING,
    int: fields.Integer(),
    float: fields.Float(),
    bool: fields.Boolean(),
}
