"""What a plugin declares in order to see rows that are written, and what it is given."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import sqlalchemy
from sqlalchemy.orm import DeclarativeBase

from pegboard.callables import deferral_of

_STEPS = ("before_write", "written", "after_commit")


class Kind(StrEnum):
    """What a write does to rows."""

    CREATED = "created"
    """One row is inserted."""
    UPDATED = "updated"
    """One row is changed."""
    DELETED = "deleted"
    """One row is deleted."""
    MANY = "many"
    """A statement on a model, such as `update(Note)`, inserts, changes or deletes any rows.

    `before_write` is called for it in any case, the other functions if it has written a row.
    """


@dataclass(frozen=True)
class Change:
    """One row, and what a write does to it; or one statement on a model."""

    kind: Kind
    """What the write does."""
    model: type[Any]
    """The class of the row; for `many` the model that the statement names."""
    row: Any
    """The row; None for `many`."""
    old: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """The values that were replaced, by the names of attributes of columns.

    Empty for `created` and `many`; of a deleted row, what was changed before it was deleted.
    """


@dataclass(frozen=True)
class Listener:
    """Functions that are called when rows are written, and the models for which they are called.

    A plugin returns listeners from `pegboard_listeners`. Raises `TypeError` for models that are no
    mapped classes and for a function that cannot be called with one argument, `ValueError` for a
    listener without models or without functions.
    """

    models: Sequence[type[Any]] | None = None
    """The models whose rows are of interest, with the classes that inherit from them; None for all.

    A declarative base stands for all models of its plugin.
    """
    before_write: Callable[[Change], object] | None = None
    """Called in the transaction before each row is written.

    It may change the row, write others, or refuse the write: by `pegboard.abort`, or by a
    marshmallow `ValidationError`, which is answered with 422. It is called again if the transaction
    is run again.
    """
    written: Callable[[Sequence[Change]], object] | None = None
    """Called in the transaction after the statements of a flush, with all its changes.

    The rows have their ids. What it writes by Core statements of `pegboard.db.session` is committed
    or rolled back with the rows. An exception refuses the write.
    """
    after_commit: Callable[[Sequence[Change]], object] | None = None
    """Called once after a commit, with all its changes in the order of the writes.

    The rows are copies that belong to no session; a deleted one has its last values.
    `pegboard.db.session` is a new session. An exception is logged. The call is lost if the process
    ends after the commit.
    """

    def __post_init__(self) -> None:
        if self.models is not None:
            _check_models(self.models)
            object.__setattr__(self, "models", tuple(self.models))
        functions = [(name, getattr(self, name)) for name in _STEPS]
        if not any(function is not None for _, function in functions):
            message = f"A Listener has at least one of {', '.join(_STEPS)}."
            raise ValueError(message)
        for name, function in functions:
            if function is not None:
                _check_function(name, function)


def _check_models(models: Any) -> None:
    if isinstance(models, type):
        message = f"The models of a Listener are a list: models=[{models.__name__}]."
        raise TypeError(message)
    if not isinstance(models, Sequence) or isinstance(models, str | bytes):
        message = f"The models of a Listener are a list of mapped classes, not {models!r}."
        raise TypeError(message)
    if not models:
        message = "A Listener with an empty list of models is never called; None is all models."
        raise ValueError(message)
    for model in models:
        is_mapped = isinstance(model, type) and (
            sqlalchemy.inspect(model, raiseerr=False) is not None
            or (issubclass(model, DeclarativeBase) and model is not DeclarativeBase)
        )
        if not is_mapped:
            message = f"The models of a Listener are mapped classes, and {model!r} is none."
            raise TypeError(message)


def _check_function(name: str, function: Any) -> None:
    if not callable(function):
        message = f"{name} of a Listener is a function, not {function!r}."
        raise TypeError(message)
    if deferral := deferral_of(function):
        message = f"{name} of a Listener is {deferral.text}."
        raise TypeError(message)
    try:
        inspect.signature(function).bind(None)
    except ValueError:  # what is written in C may have no signature
        return
    except TypeError as error:
        wanted = "the change" if name == "before_write" else "the changes"
        message = f"{name} of a Listener is called with one argument, {wanted}."
        raise TypeError(message) from error
