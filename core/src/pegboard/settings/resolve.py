"""Resolving settings: finding the value of each in its sources, converting and checking it."""

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from pegboard.problems import Code, Problem
from pegboard.settings.convert import convert, holds_text, spell
from pegboard.settings.declare import ENV_PREFIX, Declaration, S, declarations_of, prefix_of
from pegboard.settings.service_links import is_service_link

STAND_IN = "default, for want of a usable value"
"""The origin of a value that stands in for a setting with a problem."""

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
    settings: type[S], owner: str | None, sources: Sources
) -> tuple[S | None, tuple[Value, ...], tuple[Problem, ...]]:
    """Return an instance of a settings class, the value of each setting, and the problems.

    `owner` is the plugin's name, None for the core; the problems do not name it. A value that is
    not allowed is a problem, and the default stands in for it; without a required value there is no
    instance, and that value is `dataclasses.MISSING`.
    """
    values: list[Value] = []
    problems: list[Problem] = []
    for declaration in declarations_of(settings, owner):
        try:
            values.append(_look_up(declaration, sources))
        except _SettingError as error:
            problems.append(error.problem)
            # So that all problems are found in one start.
            values.append(Value(declaration, declaration.default, STAND_IN))
    if any(value.value is dataclasses.MISSING for value in values):
        return None, tuple(values), tuple(problems)
    loaded = settings(**{value.declaration.field: value.value for value in values})
    return loaded, tuple(values), tuple(problems)


_TESTING_PREFIX = f"{ENV_PREFIX}TEST_"
"""What begins so is for the testing kit, whose fixtures read it."""


@dataclass(frozen=True)
class Unused:
    """An environment variable that looks like one of the platform's, and that no setting has."""

    name: str
    """As it is spelled in the environment, prefix included."""
    reason: str
    """Why it is not used, as a part of a sentence."""
    near: str | None = None
    """The variable that it may be a misspelling of."""

    def __str__(self) -> str:
        question = f" Did you mean {self.near}?" if self.near else ""
        return f"{self.name} is not used: {self.reason}.{question}"


def unknown_settings(
    declared: Iterable[Declaration], prefixes: Mapping[str, str], sources: Sources
) -> tuple[tuple[Problem, ...], tuple[Unused, ...]]:
    """Return a problem for each name that is meant for a setting that there is not.

    That is a name under a plugin's prefix that the plugin does not declare, and a variable that is
    a misspelling of one of the core. Other variables with the platform's prefix, longer forms of
    those of the core included, are unused, as they may belong to a plugin that is not active, and
    those without it that are misspellings of one that is not given, as they may belong to another
    program. `prefixes` maps the prefix of each active plugin to the plugin's name.
    """
    declared = tuple(declared)
    keys: dict[str, str] = {}
    core: dict[str, str] = {}
    for declaration in declared:
        keys |= dict.fromkeys(declaration.variables, declaration.variable)
        keys[declaration.key] = declaration.key
        if declaration.owner is None:
            core |= {name.removeprefix(ENV_PREFIX): name for name in declaration.variables}
    problems = []
    unused = [*_near_misses(declared, sources)]
    for name, is_variable in _given(sources):
        if name in keys:
            continue
        if is_variable and is_service_link(name, sources.environment):
            unused.append(Unused(name, "it describes a service of the network"))
            continue
        upper = name.upper() if is_variable else name
        bare = upper.removeprefix(ENV_PREFIX)
        # ITEMS_AUDIT_X is a setting of items-audit where that is active, else of items.
        matching = max(
            (prefix for prefix in prefixes if bare.startswith(prefix)), key=len, default=""
        )
        if owner := prefixes.get(matching):
            allowed = sorted(
                key for key in keys if key.removeprefix(ENV_PREFIX).startswith(prefix_of(owner))
            )
            near = _nearest(upper, allowed)
            known = ", ".join(key for key in allowed if key.startswith(ENV_PREFIX)) or "none"
            hint = f"{f'Did you mean {near}? ' if near else ''}Its settings: {known}."
        elif not is_variable:
            continue  # Flask and its extensions have keys of their own
        elif near := _nearest(bare, core, MISSPELLING):
            hint = f"Did you mean {core[near]}? pegboard config show prints all settings."
        else:
            if upper.startswith(_TESTING_PREFIX):
                continue
            near = _nearest(upper, [key for key in keys if key.startswith(ENV_PREFIX)], MISSPELLING)
            near = near or core.get(_short_form(bare, core))
            unused.append(Unused(name, "no active plugin declares it", near))
            continue
        origin = "environment" if is_variable else "given to create_app"
        summary = f"unknown setting {name} ({origin})"
        problems.append(Problem(Code.SETTING_UNKNOWN, summary, hint, owner))
    return tuple(problems), tuple(unused)


MISSPELLING = 0.85
"""How alike two names are, of 1, if one is taken for a misspelling of the other."""


def _nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    return next(iter(difflib.get_close_matches(name, [*names], n=1, cutoff=cutoff)), None)


def _short_form(name: str, names: Iterable[str]) -> str:
    """Return that of the names which is short for this one, as ENV is for ENVIRONMENT, or ""."""
    # LOG_LEVEL is not short for LOG_LEVEL_OF_SHOP, which may be of a plugin called `log_level`.
    return max((one for one in names if re.fullmatch(rf"{one}[A-Z]+", name)), key=len, default="")


class _SettingError(Exception):
    """Raised for a setting without a usable value."""

    def __init__(self, code: Code, summary: str, hint: str) -> None:
        super().__init__(summary)
        self.problem = Problem(code, summary, hint)


def _given(sources: Sources) -> Iterable[tuple[str, bool]]:
    """Yield each name that is given, and whether it is that of an environment variable."""
    for key in sources.explicit:
        yield key, False
    for variable in sources.environment:
        if variable.upper().startswith(ENV_PREFIX):
            yield variable, True


_GENERAL = frozenset({"HOST", "PORT", "WORKERS", "WEB_CONCURRENCY"})
"""Variables without the platform's prefix that other programs have, too, or ones alike."""


def _near_misses(declared: Iterable[Declaration], sources: Sources) -> Iterable[Unused]:
    """Yield variables without the prefix that may be misspellings of ones that are not given."""
    bare: dict[str, str] = {}
    for declaration in declared:
        variables = {*declaration.variables, declaration.key}
        if variables.isdisjoint({*sources.environment, *sources.explicit, *sources.options}):
            bare |= dict.fromkeys(variables - _GENERAL, declaration.variable)
    names = [name for name, variable in bare.items() if not variable.startswith(ENV_PREFIX)]
    for variable in sources.environment:
        upper = variable.upper()
        if not upper.startswith(ENV_PREFIX) and (near := _nearest(upper, names, MISSPELLING)):
            yield Unused(variable, "no setting has this name", near)


def _look_up(declaration: Declaration, sources: Sources) -> Value:
    raw, origin = _find(declaration, sources)
    if raw is dataclasses.MISSING:
        summary = f"missing setting {declaration.key}: {declaration.doc}"
        hint = f"Set {' or '.join(declaration.variables)}."
        raise _SettingError(Code.SETTING_MISSING, summary, hint)
    try:
        value = convert(declaration.annotation, raw)
        for validator in declaration.validators:
            if value is not None:
                validator(value)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a validator of a plugin may fail in any way
        shown = "its value" if declaration.secret else _masked(repr(raw))
        messages = error.messages if isinstance(error, ValidationError) else ()
        allowed = " ".join(str(message) for message in messages)
        if not allowed or (declaration.secret and _quotes(allowed, str(raw))):
            allowed = "Its check failed."
        # A check may quote the value, or the part of a list that it refuses.
        for part in filter(None, (str(raw), *map(str.strip, str(raw).split(",")))):
            allowed = allowed.replace(part, _masked(part))
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
        text = sources.environment.get(variable)
        # A number called `port` is not meant by the variables that Kubernetes sets for a Service.
        is_link = text is not None and is_service_link(variable, sources.environment)
        if text is not None and not (is_link and not holds_text(declaration.annotation)):
            return text, f"environment {variable}"
    if declaration.secret and (file := sources.environment.get(f"{declaration.variable}_FILE")):
        try:
            return Path(file).read_text(encoding="utf-8").strip(), f"file {file}"
        except (OSError, UnicodeDecodeError) as error:
            variable = f"{declaration.variable}_FILE"
            # It may be the URL itself.
            summary = f"setting {declaration.key}: cannot read {_masked(file)}, named by {variable}"
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            hint = f"{reason}. Name a readable UTF-8 file."
            raise _SettingError(Code.SETTING_FILE_UNREADABLE, summary, hint) from None
    if declaration.key in sources.defaults:
        return sources.defaults[declaration.key], sources.defaults_name
    return declaration.default, "default"


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
