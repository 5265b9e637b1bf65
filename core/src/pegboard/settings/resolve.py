"""The values of settings: where they are found, and how they are checked."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields

from pegboard.problems import Problem
from pegboard.settings.declare import ENV_PREFIX, Declaration, S, declarations_of, prefix_of


@dataclass(frozen=True)
class Value:
    """The value in force of one setting, and where it came from."""

    declaration: Declaration
    value: Any
    origin: str

    @property
    def shown(self) -> str:
        """The value as an operator may see it."""
        if self.declaration.secret and self.value:
            return "********"
        if isinstance(self.value, tuple):
            return ",".join(self.value)
        if isinstance(self.value, dict):
            return ",".join(f"{key}={value}" for key, value in self.value.items())
        return "" if self.value is None else str(self.value)


@dataclass(frozen=True)
class Sources:
    """Where values come from, strongest first."""

    options: Mapping[str, Any]
    explicit: Mapping[str, Any]
    environment: Mapping[str, str]
    defaults: Mapping[str, Any]
    defaults_name: str


def load(
    settings: type[S], owner: str | None, sources: Sources, distribution: str | None = None
) -> tuple[S | None, tuple[Value, ...], tuple[Problem, ...]]:
    """Return the settings in force, their values with origins, and what is wrong with them.

    A value that is not allowed is replaced by the default, next to its problem; the first is None
    when a required one is missing.
    """
    values: list[Value] = []
    problems: list[Problem] = []
    for declaration in declarations_of(settings, owner):
        try:
            values.append(_look_up(declaration, sources))
        except _SettingError as error:
            problems.append(Problem(error.summary, error.hint, owner, distribution))
            # So that the search for further problems can go on.
            values.append(Value(declaration, declaration.default, "default"))
    if any(value.value is dataclasses.MISSING for value in values):
        return None, (), tuple(problems)
    loaded = settings(**{value.declaration.field: value.value for value in values})
    return loaded, tuple(values), tuple(problems)


def unknown_settings(
    declared: Iterable[Declaration], prefixes: Mapping[str, str], sources: Sources
) -> tuple[Problem, ...]:
    """Find settings under a plugin's prefix that the plugin does not declare.

    `prefixes` maps the prefix of each hanging plugin to the plugin's name.
    """
    keys: dict[str, str] = {}
    for declaration in declared:
        keys |= dict.fromkeys(declaration.variables, declaration.variable)
        keys[declaration.key] = declaration.key
    problems = []
    for name, origin in _given(sources):
        bare = name.removeprefix(ENV_PREFIX)
        # ITEMS_AUDIT_X is a setting of items-audit where that hangs, and of items elsewhere.
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
        problems.append(
            Problem(f"unknown setting {name} ({origin})", f"{hint}Its settings: {known}.", owner)
        )
    return tuple(problems)


class _SettingError(Exception):
    """What is wrong with one setting, and its hint."""

    @property
    def summary(self) -> str:
        return str(self.args[0])

    @property
    def hint(self) -> str:
        return str(self.args[1])


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
        raise _SettingError(summary, f"Set {' or '.join(declaration.variables)}.")
    try:
        value = _convert(declaration.annotation, raw)
        for validator in declaration.validators:
            if value is not None:
                validator(value)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a validator of a plugin may fail in any way
        shown = "its value" if declaration.secret else repr(raw)
        messages = error.messages if isinstance(error, ValidationError) else ["Its check failed."]
        allowed = " ".join(str(message) for message in messages)
        summary = f"setting {declaration.key} ({origin}): {shown} is not allowed"
        raise _SettingError(summary, f"{allowed} {declaration.key}: {declaration.doc}") from None
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
            summary = f"setting {declaration.key}: cannot read {file}, named by {variable}"
            raise _SettingError(summary, f"{error}. Name a readable UTF-8 file.") from None
    if declaration.key in sources.defaults:
        return sources.defaults[declaration.key], sources.defaults_name
    return declaration.default, "default"


def _convert(annotation: Any, raw: Any) -> Any:
    """Convert a raw value to a declared type, or raise `ValidationError`."""
    if isinstance(annotation, types.UnionType):
        annotation = next(arg for arg in typing.get_args(annotation) if arg is not types.NoneType)
        # An empty list is a list: an allow-list that holds nothing allows nothing.
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
