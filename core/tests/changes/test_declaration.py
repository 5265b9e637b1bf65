"""What a listener may be made of."""

from collections.abc import Callable
from typing import Any

import pytest
from marshmallow import Schema
from sqlalchemy.orm import DeclarativeBase

import pegboard
from pegboard import StartupError, create_app, hookimpl
from pegboard.problems import Code
from pegboard.resources import Change, Listener


class Base(pegboard.Model, DeclarativeBase):
    """The models of these tests."""


class Note(Base):
    """What is listened to."""

    __tablename__ = "declared_notes"


async def later(change: Change) -> None:
    """Do nothing, when awaited."""


def piecemeal(change: Change) -> Any:
    """Do nothing, piece by piece."""
    yield change


class Later:
    """An object that does nothing, when awaited."""

    async def __call__(self, change: Change) -> None:
        """Do nothing."""


def nothing() -> None:
    """Take nothing."""


MISTAKES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({}, ValueError, "at least one of before_write, written, after_commit"),
    ({"models": [Note]}, ValueError, "at least one of"),
    ({"models": [], "written": print}, ValueError, "None is all models"),
    ({"models": Note, "written": print}, TypeError, r"models=\[Note\]"),
    ({"models": "Note", "written": print}, TypeError, "not 'Note'"),
    ({"models": {Note}, "written": print}, TypeError, "list of mapped classes"),
    ({"models": ["Note"], "written": print}, TypeError, "'Note' is none"),
    ({"models": [Note, Schema], "written": print}, TypeError, "Schema.* is none"),
    ({"models": [Note()], "written": print}, TypeError, "is none"),
    ({"models": [DeclarativeBase], "written": print}, TypeError, "DeclarativeBase.* is none"),
    ({"models": [pegboard.Model], "written": print}, TypeError, "Model.* is none"),
    ({"written": 5}, TypeError, "written of a Listener is a function, not 5"),
    ({"before_write": later}, TypeError, "before_write .* async function"),
    ({"before_write": Later()}, TypeError, "before_write .* async function"),
    ({"after_commit": piecemeal}, TypeError, "after_commit .* generator"),
    ({"before_write": nothing}, TypeError, "before_write .* one argument, the change"),
    ({"written": lambda one, two: (one, two)}, TypeError, "one argument, the changes"),
]


@pytest.mark.parametrize("given,error,message", MISTAKES)
def test_a_mistake_is_found_when_a_listener_is_made(
    given: dict[str, Any], error: type[Exception], message: str
) -> None:
    """And not when the first row is written."""
    with pytest.raises(error, match=message):
        Listener(**given)


@pytest.mark.parametrize("function", [print, [].append, lambda one, two=0: (one, two), max])
def test_whatever_can_be_called_with_one_argument_may_listen(
    function: Callable[[Any], object],
) -> None:
    """Also what is written in C."""
    listener = Listener((Note, Base), written=function)
    assert (Note, Base) == listener.models
    with pytest.raises(AttributeError):
        listener.models = None  # type: ignore[misc]  # it is frozen


def test_a_mistake_stops_the_start_with_the_name_of_the_plugin() -> None:
    """As every error of a hook."""

    class Shop:
        name = "shop"

        @hookimpl
        def pegboard_listeners(self) -> list[Listener]:
            return [Listener([Schema], written=print)]

    with pytest.raises(StartupError) as caught:
        create_app({"ENV": "testing"}, plugins=[Shop()])
    (problem,) = caught.value.problems
    assert ("shop", Code.HOOK_FAILED) == (problem.plugin, problem.code)
    assert "pegboard_listeners failed: TypeError: The models of a Listener are" in problem.summary
