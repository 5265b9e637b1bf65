"""Resolving settings: finding the value of each in its sources, converting and checking it."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from pegboard.deprecation import Deprecation, warn
from pegboard.problems import Code, Problem
from pegboard.settings.convert import convert, holds_text, is_readable, spell
from pegboard.settings.declare import Declaration, S, declarations_of
from pegboard.settings.service_links import is_service_link

STAND_IN = "default, for want of a usable value"
"""The origin of a value that stands in for a setting with a problem."""

SAFEGUARD = "for want of a usable value"
"""That of a value other than the default."""

_SAFEGUARDS = {"SAFE": True}
"""What stands in for settings whose default would do what the setting was to prevent."""

_FILE_ORIGIN = "file "
_DEFAULT = "default"

_MASK = "********"
_SCHEME = re.compile(r"[A-Za-z][\w+.-]*://")
_URL_WITH_CREDENTIALS = re.compile(r"([A-Za-z][\w+.-]*://).*@.*", re.DOTALL)


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
        """The value as text; a secret is masked, as is a URL with credentials but for its scheme.

        A secret whose name ends in `_URL` is shown with its scheme, too.
        """
        if self.value is dataclasses.MISSING:
            return ""
        if not self.declaration.secret or not self.value:
            return spell(_masked(self.value))
        is_url = self.declaration.key.endswith("_URL")
        scheme = _SCHEME.match(str(self.value)) if is_url else None
        return f"{scheme[0] if scheme else ''}{_MASK}"


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
    settings: type[S],
    owner: str | None,
    sources: Sources,
    locate: Callable[[str], str] = lambda _field: "",
) -> tuple[S | None, tuple[Value, ...], tuple[Problem, ...]]:
    """Return an instance of a settings class, the value of each setting, and the problems.

    `owner` is the plugin's name, None for the core; the problems do not name it. `locate` returns
    where a field is declared, for a default that is not allowed: `, at shop/plugin.py:12`. A value
    that is not allowed is a problem, and the default stands in for it; without a required value
    there is no instance, and that value is `dataclasses.MISSING`.
    """
    values: list[Value] = []
    problems: list[Problem] = []
    for declaration in declarations_of(settings, owner):
        try:
            values.append(_look_up(declaration, sources, locate))
        except _SettingError as error:
            # Of a type that no value can have, the class is the problem.
            if is_readable(declaration.annotation):
                problems.append(error.problem)
            # So that all problems are found in one start.
            safe = declaration.key in _SAFEGUARDS
            default = _SAFEGUARDS.get(declaration.key, declaration.default)
            values.append(Value(declaration, default, SAFEGUARD if safe else STAND_IN))
    if any(value.value is dataclasses.MISSING for value in values):
        return None, tuple(values), tuple(problems)
    loaded = settings(**{value.declaration.field: value.value for value in values})
    return loaded, tuple(values), tuple(problems)


class _SettingError(Exception):
    """Raised for a setting without a usable value."""

    def __init__(self, code: Code, summary: str, hint: str) -> None:
        super().__init__(summary)
        self.problem = Problem(code, summary, hint)


def _look_up(declaration: Declaration, sources: Sources, locate: Callable[[str], str]) -> Value:
    raw, origin = _find(declaration, sources)
    if raw is dataclasses.MISSING:
        doc = f": {declaration.doc}" if declaration.doc else ""
        summary = f"missing setting {declaration.key}{doc}"
        hint = f"Set {' or '.join(declaration.variables)}."
        raise _SettingError(Code.SETTING_MISSING, summary, hint)
    try:
        value = _usable(declaration, raw, is_default=origin == _DEFAULT)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a validator of a plugin may fail in any way
        shown = "its value" if declaration.secret else _masked(repr(raw))
        messages = error.messages if isinstance(error, ValidationError) else ()
        allowed = " ".join(str(message) for message in messages)
        if not allowed or (declaration.secret and _quotes(allowed, str(raw))):
            allowed = f"Its check failed{_with(error, is_secret=declaration.secret)}."
        # A check may quote the value, or the part of a list that it refuses.
        for part in filter(None, (str(raw), *map(str.strip, str(raw).split(",")))):
            allowed = allowed.replace(part, _masked(part))
        summary = f"setting {declaration.key} ({origin}): {shown} is not allowed"
        meaning = declaration.doc.rstrip(". ")
        hint = f"{allowed} {declaration.key}: {meaning}." if meaning else allowed
        if origin == _DEFAULT:
            summary += locate(declaration.field)
            hint += f" Set {declaration.variable}, or correct the default where it is declared."
        raise _SettingError(Code.SETTING_INVALID, summary, hint) from None
    return Value(declaration, value, origin)


def _usable(declaration: Declaration, raw: Any, *, is_default: bool) -> Any:
    """Return the value of the setting's type, which its validators let pass.

    Raises `ValidationError`, and whatever else a validator raises.
    """
    value = convert(declaration.annotation, raw)
    if is_default and value not in (None, raw):
        # An instance that a test of the plugin makes has the default as it is written.
        wanted = inspect.formatannotation(declaration.annotation)
        message = f"Not of the type {wanted}, as a default has to be."
        raise ValidationError(message)
    for validator in declaration.validators:
        if value is not None:
            validator(value)
    return value


def _with(error: BaseException, *, is_secret: bool) -> str:
    """Return the error of a check that has no message for operators."""
    if isinstance(error, ValidationError):
        return ""
    text = "" if is_secret else f": {' '.join(str(error).split())}"
    return f" with {type(error).__name__}{text}"


def _find(declaration: Declaration, sources: Sources) -> tuple[Any, str]:
    given = ((sources.options, f"option --{declaration.field}"), (sources.explicit, "create_app"))
    for values, origin in given:
        if declaration.key in values:
            return values[declaration.key], origin
    file = sources.environment.get(f"{declaration.variable}_FILE") if declaration.secret else None
    for variable in (declaration.variable, *declaration.foreign_variables):
        text = sources.environment.get(variable)
        if file and not text:  # as compose.yaml passes on a variable that nobody has set
            continue
        # A number called `port` is not meant by the variables that Kubernetes sets for a Service.
        is_link = text is not None and is_service_link(variable, sources.environment)
        if text is not None and not (is_link and not holds_text(declaration.annotation)):
            return text, f"environment {variable}"
    if file:
        return _read(file, declaration), f"{_FILE_ORIGIN}{file}"
    if (former := _find_former(declaration, sources)) is not None:
        return former
    if declaration.key in sources.defaults:
        return sources.defaults[declaration.key], sources.defaults_name
    return declaration.default, _DEFAULT


def reader_of(value: Value) -> Callable[[], str] | None:
    """Return what reads the text of a secret from its file, which may change; None without one."""
    if not value.origin.startswith(_FILE_ORIGIN):
        return None
    return partial(_text_of, value.origin.removeprefix(_FILE_ORIGIN))


def _text_of(file: str) -> str:
    return Path(file).read_text(encoding="utf-8").strip()


def _read(file: str, declaration: Declaration) -> str:
    """Return what stands in the file of a secret."""
    try:
        return _text_of(file)
    except (OSError, UnicodeDecodeError) as error:
        variable = f"{declaration.variable}_FILE"
        # It may be the URL itself.
        summary = f"setting {declaration.key}: cannot read {_masked(file)}, named by {variable}"
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        hint = f"{reason}. Name a readable UTF-8 file."
        raise _SettingError(Code.SETTING_FILE_UNREADABLE, summary, hint) from None


def _find_former(declaration: Declaration, sources: Sources) -> tuple[Any, str] | None:
    """Return the value of a setting that is given by its former name, and warn of that."""
    if declaration.former is None:
        return None
    raw, origin = _find(declaration.former, replace(sources, options={}, defaults={}))
    if raw is dataclasses.MISSING:
        return None
    warn(
        f"{declaration.former.key} ({origin})",
        Deprecation(declaration.key, declaration.gone_in),
        user=f"the configuration of {declaration.owner or 'the core'}",
    )
    return raw, origin


def _quotes(message: str, secret: str) -> bool:
    """Return whether the message repeats a part of the secret."""
    return any(word in message for word in re.findall(r"\w{4,}", secret))


def _masked(value: Any) -> Any:
    """Return the value without what follows the scheme of a URL that holds credentials."""
    match value:
        case str():
            return _URL_WITH_CREDENTIALS.sub(rf"\1{_MASK}", value)
        case tuple():
            return tuple(map(_masked, value))
        case dict():
            return {key: _masked(part) for key, part in value.items()}
        case _:
            return value
