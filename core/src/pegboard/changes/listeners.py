"""The listeners of an app: whom a write concerns, and what happens when one fails."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from flask import Flask, current_app, has_app_context
from marshmallow import ValidationError
from sqlalchemy import inspect
from sqlalchemy.orm import RelationshipProperty
from werkzeug.exceptions import HTTPException

from pegboard.changes.declaration import Change, Kind, Listener
from pegboard.changes.rows import Rows
from pegboard.http import abort

logger = logging.getLogger(__name__)

EXTENSION = "pegboard_changes"

Step = Literal["before_write", "written", "after_commit"]
"""The name of a function of a listener."""

_STEPS: tuple[Step, ...] = get_args(Step)


@dataclass(frozen=True)
class Registered:
    """A listener, and the name of its plugin."""

    plugin: str
    listener: Listener

    def listens_to(self, model: type[Any], *, to_many: bool = False) -> bool:
        """Return whether the rows of a model are of interest.

        With `to_many` also whether a statement on the model is, which may write rows of a class
        that inherits from it.
        """
        models = self.listener.models
        return models is None or any(
            issubclass(model, one) or (to_many and issubclass(one, model)) for one in models
        )


@dataclass(frozen=True)
class Audience:
    """The listeners of one model, by the functions that they have."""

    rows: Rows
    before_write: tuple[Registered, ...]
    written: tuple[Registered, ...]
    after_commit: tuple[Registered, ...]
    collections: tuple[RelationshipProperty[Any], ...] = ()
    """The relationships by which a row of the model changes rows that may concern somebody."""

    @property
    def is_told(self) -> bool:
        """Whether there is any listener; without one, only what a flush does to others matters."""
        return bool(self.before_write or self.written or self.after_commit)


class Listeners:
    """The listeners of one app, in the order of the plugins."""

    def __init__(self, registered: Iterable[Registered]) -> None:
        self._registered = tuple(registered)
        self._audiences: dict[type[Any], Audience | None] = {}

    def timed(
        self, timed: Callable[[str, str, Callable[..., Any]], Callable[..., Any]]
    ) -> "Listeners":
        """Return listeners that tell how long they take.

        `timed` returns a function in place of one, given the plugin and the name of the step.
        """
        found = []
        for one in self._registered:
            steps: dict[str, Any] = {
                step: timed(one.plugin, f"listener {step}", function)
                for step in _STEPS
                if (function := getattr(one.listener, step)) is not None
            }
            found.append(Registered(one.plugin, replace(one.listener, **steps)))
        return Listeners(found)

    def audience(self, model: type[Any]) -> Audience | None:
        """Return the listeners to the rows of a model; None if its rows need no look."""
        try:
            return self._audiences[model]
        except KeyError:
            return self._audiences.setdefault(model, self._find(model))

    def audience_of_many(self, model: type[Any]) -> Audience | None:
        """Return the listeners to a statement on a model, with those to inheriting classes."""
        return self._find(model, to_many=True)

    def _find(self, model: type[Any], *, to_many: bool = False) -> Audience | None:
        found = [one for one in self._registered if one.listens_to(model, to_many=to_many)]
        rows = Rows(inspect(model))
        # What a flush deletes of others with an orphan may concern somebody.
        collections = tuple(
            one
            for one in rows.collections
            if one.cascade.delete_orphan or self._concerns(one.mapper.class_)
        )
        if not found and not rows.can_be_orphans and not collections:
            return None
        return Audience(
            rows,
            _having("before_write", found),
            _having("written", found),
            _having("after_commit", found),
            collections,
        )

    def _concerns(self, model: type[Any]) -> bool:
        return any(one.listens_to(model, to_many=True) for one in self._registered)

    def before_write(self, audience: Iterable[Registered], change: Change) -> None:
        """Call `before_write` of listeners, one of which may refuse the write."""
        for one in audience:
            with _refusing(one.plugin, "before_write", [change]):
                cast("Any", one.listener.before_write)(change)

    def written(self, changes: Sequence[Change]) -> None:
        """Call `written` of all listeners that changes concern; one may refuse the write."""
        for one, concerned in self._concerned("written", changes):
            with _refusing(one.plugin, "written", concerned):
                cast("Any", one.listener.written)(concerned)

    def after_commit(self, changes: Sequence[Change]) -> None:
        """Call `after_commit` of all listeners that changes concern; log errors."""
        for one, concerned in self._concerned("after_commit", changes):
            try:
                # With a session of its own, as that of the write has just ended.
                with current_app.app_context():
                    cast("Any", one.listener.after_commit)(concerned)
            except Exception:
                logger.exception("plugin %s failed after a commit", one.plugin)

    def _concerned(
        self, step: Step, changes: Sequence[Change]
    ) -> Iterator[tuple[Registered, tuple[Change, ...]]]:
        if not changes:
            return
        for one in _having(step, self._registered):
            concerned = tuple(
                change
                for change in changes
                if one.listens_to(change.model, to_many=change.kind is Kind.MANY)
            )
            if concerned:
                yield one, concerned


def _having(step: Step, registered: Iterable[Registered]) -> tuple[Registered, ...]:
    return tuple(one for one in registered if getattr(one.listener, step) is not None)


@contextmanager
def _refusing(plugin: str, step: Step, changes: Sequence[Change]) -> Iterator[None]:
    """Let errors of a listener refuse the write; its plugin is in the answer, the log or both."""
    try:
        yield
    except ValidationError as error:
        errors = error.normalized_messages()  # type: ignore[no-untyped-call]  # it has none
        _log_refusal(plugin, step, changes, f"422 {errors}")
        abort(422, f"The plugin {plugin} refused the write.", errors=errors)
    except HTTPException as error:
        _log_refusal(plugin, step, changes, f"{error.code} {error.description}")
        raise
    except Exception as error:
        error.add_note(f"Raised by {step} of plugin {plugin}, for {_described(changes)}.")
        raise


def _log_refusal(plugin: str, step: Step, changes: Sequence[Change], reason: str) -> None:
    message = "plugin %s refused a write in %s, for %s: %s"
    logger.debug(message, plugin, step, _described(changes), reason)


def _described(changes: Sequence[Change]) -> str:
    """Return what was written, as in `Note created`."""
    first = f"{changes[0].model.__name__} {changes[0].kind}"
    return f"{first} and {len(changes) - 1} more" if len(changes) > 1 else first


def get_listeners() -> Listeners | None:
    """Return the listeners of the current app; None without an app or without any."""
    if not has_app_context():
        return None
    return cast("Listeners | None", current_app.extensions.get(EXTENSION))


def time_listeners(
    app: Flask, timed: Callable[[str, str, Callable[..., Any]], Callable[..., Any]]
) -> None:
    """Have the listeners of an app tell how long they take; see `Listeners.timed`."""
    if (listeners := app.extensions.get(EXTENSION)) is not None:
        app.extensions[EXTENSION] = listeners.timed(timed)
