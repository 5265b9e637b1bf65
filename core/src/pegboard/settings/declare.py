"""Declaring typed settings, and reading those of an app."""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, dataclass_transform

from flask import Flask

from pegboard.extensions import get_extension
from pegboard.problems import Code, Problem, StartupError

ENV_PREFIX = "PEGBOARD_"

Validator = Callable[[Any], Any]


def setting(
    default: Any = dataclasses.MISSING,
    *,
    doc: str,
    validate: Validator | Sequence[Validator] = (),
    secret: bool = False,
    formerly: tuple[str, str] | None = None,
) -> Any:
    """Declare one setting of a `Settings` class.

    Without a default it is required; a default is of the type of the field. `doc` is one line for
    the reference. `validate` takes marshmallow validators, which raise `ValidationError`. The value
    of a secret is never printed, and may be read from the file that the environment variable
    `<VARIABLE>_FILE` names. `formerly` is the former name of the field, and the version in which
    that goes: a value by the former name still counts, and warns. Raises `TypeError` for a
    `formerly` that is not these two texts.
    """
    given: Any = formerly
    if given is not None and not (
        isinstance(given, tuple) and [str, str] == [type(one) for one in given]
    ):
        message = (
            f"setting is given formerly={given!r}: write the former name and the version in which "
            'it goes, as in ("page_length", "2.0")'
        )
        raise TypeError(message)
    validators = (validate,) if callable(validate) else tuple(validate)
    metadata = {"doc": doc, "validate": validators, "secret": secret, "formerly": formerly}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata, repr=not secret)
    # `dataclasses` would refuse a list, and name an option that there is not here.
    kept = tuple(default) if isinstance(default, list | set) else default
    return dataclasses.field(default=kept, metadata=metadata, repr=not secret)


_VALUES = (str, int, float, bool, list, tuple, dict, dataclasses.Field)


def _untyped_fields(cls: type) -> list[str]:
    """Return the names that look like settings, and would be none for want of an annotation."""
    typed = {*inspect.get_annotations(cls), *inspect.get_annotations(Settings)}
    return [
        name
        for name, value in vars(cls).items()
        if name not in typed
        and name.islower()
        and not name.startswith("_")
        and isinstance(value, _VALUES)
    ]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(setting,))
class Settings:
    """Base of the one class in which a plugin declares its settings.

    Types: `T`, `tuple[T, ...]`, `dict[str, T]`, and each of them `| None`, where `T` is `str`,
    `int`, `float` or `bool`. In the environment a list is `a,b` and a mapping is
    `key=value,key=value`, or either of them is JSON. Each field is made by `setting`; the class
    becomes a frozen dataclass. Return it from `pegboard_settings`, and read the values by
    `get_settings`.
    """

    bare_variables: ClassVar[frozenset[str]] = frozenset()
    """Fields whose environment variable has no `PEGBOARD_` prefix; for the core only."""

    foreign_variables: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
    """Further variables, by field, that count where its own is not set; for the core only."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make it a frozen dataclass. Raises `StartupError` for a field without a type."""
        super().__init_subclass__(**kwargs)
        if untyped := _untyped_fields(cls):
            raise StartupError(
                Problem(
                    Code.SETTINGS_CLASS_INVALID,
                    f"its setting {name} of {cls.__qualname__} has no type",
                    f"Write it with its type, as in {name}: int = pegboard.setting(...); or "
                    "ClassVar[int] for what is no setting.",
                )
                for name in untyped
            )
        dataclass(frozen=True, kw_only=True)(cls)


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Declaration:
    """One setting that the core or a plugin declares."""

    owner: str | None
    """The name of the plugin; None is the core."""
    field: str
    """The name of the field in the class that declares it."""
    key: str
    """The key in `app.config`, as in `ITEMS_PAGE_SIZE`."""
    variable: str
    """The environment variable, as in `PEGBOARD_ITEMS_PAGE_SIZE`."""
    foreign_variables: tuple[str, ...]
    """Environment variables by other conventions that set it, too, as `WEB_CONCURRENCY`."""
    doc: str
    """What the setting means, for operators."""
    secret: bool
    """Whether its value is masked wherever it is shown."""
    required: bool
    """Whether there is no default, so that a value must be given."""
    default: Any
    """The value when none is given."""
    annotation: Any
    """The type that a text is converted to."""
    validators: tuple[Validator, ...]
    """Called with the value in turn; each raises what `setting` allows, or lets it pass."""
    former: "Declaration | None" = None
    """The same by its former name, which is deprecated."""
    gone_in: str = ""
    """The version in which the former name goes."""

    @property
    def variables(self) -> tuple[str, ...]:
        """All environment variables that set it."""
        files = (f"{self.variable}_FILE",) if self.secret else ()
        return (self.variable, *self.foreign_variables, *files)


def prefix_of(plugin: str) -> str:
    """Return the prefix of a plugin's settings, as in `ITEMS_`."""
    return f"{plugin.upper()}_"


def declarations_of(settings: type[Settings], owner: str | None) -> tuple[Declaration, ...]:
    """Return what a settings class declares; `owner` is the plugin's name, None for the core."""
    prefix = prefix_of(owner) if owner else ""
    hints = typing.get_type_hints(settings)
    found = []
    for field in dataclasses.fields(settings):  # type: ignore[arg-type]  # a dataclass by birth
        key = prefix + field.name.upper()
        bare = field.name in settings.bare_variables
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        declaration = Declaration(
            owner=owner,
            field=field.name,
            key=key,
            variable=key if bare else ENV_PREFIX + key,
            foreign_variables=settings.foreign_variables.get(field.name, ()),
            doc=field.metadata.get("doc", ""),
            secret=field.metadata.get("secret", False),
            required=default is dataclasses.MISSING,
            default=default,
            annotation=hints[field.name],
            validators=field.metadata.get("validate", ()),
        )
        if formerly := field.metadata.get("formerly"):
            name, gone_in = formerly
            declaration = dataclasses.replace(
                declaration, former=_renamed(declaration, prefix + name.upper()), gone_in=gone_in
            )
        found.append(declaration)
    return tuple(found)


def _renamed(declaration: Declaration, key: str) -> Declaration:
    """Return a setting by a former key, without a default: it is asked whether it is set."""
    is_bare = declaration.variable == declaration.key
    return dataclasses.replace(
        declaration,
        key=key,
        variable=key if is_bare else ENV_PREFIX + key,
        foreign_variables=(),
        default=dataclasses.MISSING,
    )


def get_settings(settings: type[S], app: Flask | None = None) -> S:
    """Return the app's instance of a settings class, by default the current app's.

    A hook such as `pegboard_setup(app)` must pass the app: without a current app it raises
    `RuntimeError`. Raises `LookupError` when no plugin of the app declares the class.
    """
    loaded = get_extension(app, "pegboard", f"get_settings({settings.__name__}, app)").settings
    try:
        return typing.cast("S", loaded[settings])
    except KeyError:
        message = (
            f"{settings.__qualname__} is declared by no plugin of this app (pegboard_settings)"
        )
        raise LookupError(message) from None
