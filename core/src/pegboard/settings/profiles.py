"""The three configurations, what `create_app` reads from one, and what production refuses."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pegboard.problems import Code, Problem, StartupError
from pegboard.settings.core import CoreSettings
from pegboard.settings.resolve import STAND_IN, Sources, Value, resolve_settings
from pegboard.start_times import timed

KNOWN_SECRETS = frozenset({"dev", "development", "secret", "secret-key", "changeme", "change-me"})
DEVELOPMENT_SECRET = "development-only-secret-key-never-use-it-in-production"  # noqa: S105 - it is public
MIN_SECRET_BYTES = 32
MIN_DISTINCT = 6
"""Different characters; 32 random digits have fewer once in ten million times."""

_PLACEHOLDER = re.compile(
    "change.?(me|this)|please.?change|replace|placeholder|your.?secret|goes.?here",
    re.IGNORECASE,
)
"""What stands in examples, and in a random text of letters once in millions of times."""

_PIECE = 4
"""Characters of the pieces of which a key should have different ones."""

_OVERWRITTEN = {"SQLALCHEMY_DATABASE_URI": "DATABASE_URL"}
"""Keys of extensions that the core sets, with the setting that it makes each of."""


class DevelopmentConfig:
    """Defaults of development: debug, verbose logs, an SQLite file, a published `SECRET_KEY`.

    Inherit from it to make a configuration for `create_app`.
    """

    ENV = "development"
    DEBUG = True
    LOG_LEVEL = "DEBUG"
    SECRET_KEY = DEVELOPMENT_SECRET


class TestingConfig:
    """Defaults of tests: SQLite in memory, a published `SECRET_KEY`.

    An app with this configuration takes nothing from the environment. Inherit from it to make a
    configuration for `create_app`.
    """

    __test__ = False

    ENV = "testing"
    TESTING = True
    DATABASE_URL = "sqlite:///:memory:"
    SECRET_KEY = DEVELOPMENT_SECRET


class ProductionConfig:
    """Defaults of production: JSON logs, no debug, no documentation page.

    `create_app` refuses it without a `DATABASE_URL` and a `SECRET_KEY` of 32 bytes or more that is
    not a published one, with debug on, or with a wildcard in `CORS_ORIGINS`. Inherit from it to
    make a configuration for `create_app`.
    """

    ENV = "production"
    LOG_FORMAT = "json"
    API_DOCS = False


CONFIGS: dict[str, type] = {
    "development": DevelopmentConfig,
    "testing": TestingConfig,
    "production": ProductionConfig,
}

Config = str | Mapping[str, Any] | object | None

_NONE: Mapping[str, Any] = MappingProxyType({})
_options: ContextVar[Mapping[str, Any]] = ContextVar("pegboard_options", default=_NONE)


@dataclass(frozen=True)
class Configuration:
    """The core's settings, and the sources that plugins' settings are read from."""

    core: CoreSettings
    values: tuple[Value, ...]
    """The core's settings with their origins."""
    sources: Sources
    flask: Mapping[str, Any] = field(repr=False)
    """What goes into `app.config`."""
    problems: tuple[Problem, ...]
    """What is wrong with the core's settings; the service must not start with any."""


@timed("read the settings of the core")
def configure(config: Config = None, environment: Mapping[str, str] | None = None) -> Configuration:
    """Read the core's settings from `config`, the argument of `create_app`, and the environment.

    `config` wins over the environment, and the environment over the defaults of the configuration
    class in force; options of a command (`with_options`) win over all. `environment` is
    `os.environ` by default. Raises nothing: what is wrong is in the `problems`.
    """
    environment = os.environ if environment is None else environment
    unknown: tuple[Problem, ...] = ()
    try:
        kind, explicit = _explicit(config, environment)
    except StartupError as error:
        # So that all problems are found in one start.
        unknown = error.problems
        environment = {name: text for name, text in environment.items() if name != "PEGBOARD_ENV"}
        kind, explicit = DevelopmentConfig, {}
    if kind is TestingConfig:
        environment = {}
    sources = Sources(_options.get(), explicit, environment, _upper(kind), kind.__name__)
    core, values, problems = resolve_settings(CoreSettings, None, sources)
    assert core is not None, "no setting of the core is required"
    refusals = (*_overwritten(explicit), *_refusals(core, values, environment))
    problems = (*unknown, *problems, *refusals)
    return Configuration(core, values, sources, _flask_config(core, explicit), problems)


@contextmanager
def with_options(options: Mapping[str, Any]) -> Iterator[None]:
    """Set settings from the options of a command, by their keys; None means not given.

    They are added to those that are set already.
    """
    given = {key: value for key, value in options.items() if value is not None}
    token = _options.set({**_options.get(), **given})
    try:
        yield
    finally:
        _options.reset(token)


def _explicit(config: Config, environment: Mapping[str, str]) -> tuple[Any, dict[str, Any]]:
    """Return the configuration class in force, and what `config` sets on top of it."""
    if isinstance(config, str):
        return _named(config, "the argument of create_app"), {"ENV": config}
    explicit: dict[str, Any] = {}
    if isinstance(config, Mapping):
        explicit = dict(config)
    elif config is not None:
        kind = config if isinstance(config, type) else type(config)
        base = next((cls for cls in kind.__mro__ if cls in CONFIGS.values()), None)
        mine = kind.__mro__[: kind.__mro__.index(base)] if base else kind.__mro__[:-1]
        for cls in reversed(mine):
            explicit |= _upper(cls)
        if not isinstance(config, type):
            explicit |= {key: value for key, value in vars(config).items() if key.isupper()}
        if base:
            return base, {"ENV": vars(base)["ENV"], **explicit}
    name = explicit.get("ENV") or environment.get("PEGBOARD_ENV", "development")
    return _named(str(name), "PEGBOARD_ENV"), explicit


def _named(name: str, origin: str) -> Any:
    try:
        return CONFIGS[name]
    except KeyError:
        summary = f"unknown configuration {name!r} ({origin})"
        hint = f"Use one of {', '.join(CONFIGS)}."
        raise StartupError([Problem(Code.CONFIGURATION_UNKNOWN, summary, hint)]) from None


def _upper(kind: type) -> dict[str, Any]:
    return {key: value for key, value in vars(kind).items() if key.isupper()}


def _overwritten(explicit: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for each key of an extension that the core would overwrite in silence."""
    for key, setting in _OVERWRITTEN.items():
        if key in explicit:
            summary = f"unknown setting {key} (given to create_app)"
            hint = f"Set {setting}, from which the core makes it."
            yield Problem(Code.SETTING_UNKNOWN, summary, hint)


def _weakness(key: str) -> str | None:
    """Return what makes a key one that others may guess; None if nothing is seen."""
    if not key:
        return "missing"
    if (
        key.lower() in KNOWN_SECRETS
        or key == DEVELOPMENT_SECRET
        or len(key.strip().encode()) < MIN_SECRET_BYTES
    ):
        return "too short or publicly known"
    if len(set(key)) < MIN_DISTINCT or _repeats_itself(key):
        return "the same few characters again and again"
    if _PLACEHOLDER.search(key):
        return "a placeholder"
    if "\n" in key:
        return "of several lines"
    return None


def _repeats_itself(key: str) -> bool:
    """Return whether at most half of a text's pieces are different, as where a part comes twice.

    Of 10,000 random digits more are.
    """
    pieces = {key[place : place + _PIECE] for place in range(len(key) - _PIECE + 1)}
    return len(pieces) <= len(key) // 2


def _refusals(
    core: CoreSettings, values: tuple[Value, ...], environment: Mapping[str, str]
) -> list[Problem]:
    """Return what production must not start with."""
    if core.env != "production":
        return []
    origin = {value.declaration.field: value.origin for value in values}
    problems = []
    # Of one that could not be read there is a problem already.
    if origin["secret_key"] != STAND_IN and (weakness := _weakness(core.secret_key)):
        hint = (
            f"Set SECRET_KEY or SECRET_KEY_FILE to {MIN_SECRET_BYTES} random bytes or more: "
            'python -c "import secrets; print(secrets.token_urlsafe(48))"'
        )
        summary = f"SECRET_KEY is {weakness} in production"
        problems.append(Problem(Code.PRODUCTION_SECRET_KEY, summary, hint))
    for number, key in enumerate(core.secret_key_fallbacks, 1):
        if weakness := _weakness(key):
            summary = f"key {number} of SECRET_KEY_FALLBACKS is {weakness} in production"
            hint = (
                "Keys are separated by commas; write those that have commas themselves as JSON, "
                'as in ["one,key"]. Leave out one that others may guess: what it has signed is '
                "taken no longer."
            )
            problems.append(Problem(Code.PRODUCTION_SECRET_KEY, summary, hint))
    if origin["database_url"] == "default":
        hint = "Set DATABASE_URL or DATABASE_URL_FILE, as in postgresql://user@host/name."
        summary = "DATABASE_URL is missing in production"
        problems.append(Problem(Code.PRODUCTION_DATABASE_URL, summary, hint))
    if core.debug:
        summary, hint = "DEBUG is on in production", "Remove PEGBOARD_DEBUG."
        problems.append(Problem(Code.PRODUCTION_DEBUG, summary, hint))
    if environment.get("FLASK_DEBUG", "0").lower() not in {"0", "false", "no", ""}:
        summary, hint = "FLASK_DEBUG is on in production", "Remove FLASK_DEBUG."
        problems.append(Problem(Code.PRODUCTION_DEBUG, summary, hint))
    if core.testing:
        summary, hint = "TESTING is on in production", "Remove PEGBOARD_TESTING."
        problems.append(Problem(Code.PRODUCTION_TESTING, summary, hint))
    if any("*" in allowed for allowed in core.cors_origins):
        hint = "List the origins exactly, as in https://app.example."
        summary = "CORS_ORIGINS holds a wildcard in production"
        problems.append(Problem(Code.PRODUCTION_CORS_WILDCARD, summary, hint))
    return problems


def _flask_config(core: CoreSettings, explicit: Mapping[str, Any]) -> dict[str, Any]:
    """Return `app.config`: the keys of `config`, the core's settings, and cookie flags."""
    own = {name.upper(): value for name, value in vars(core).items()}
    is_strict = explicit.get("SESSION_COOKIE_SAMESITE") == "Strict"
    return {
        **explicit,
        **own,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Strict" if is_strict else "Lax",
    } | ({"SESSION_COOKIE_SECURE": True} if core.env == "production" else {})
