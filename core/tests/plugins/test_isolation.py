"""Calling each implementation of a hook by itself."""

import logging

import pytest
from flask import g

from pegboard import get_registry, hookimpl, hookspec
from pegboard.testing.fixtures import MakeApp


@hookspec
def pegboard_host_greet(name: str, size: int) -> str:  # type: ignore[empty-body]
    """Return a greeting."""


class Hooks:
    """The declarations of the host."""

    pegboard_host_greet = staticmethod(pegboard_host_greet)


class Host:
    """A plugin that declares the hook."""

    name = "host"

    @hookimpl
    def pegboard_hookspecs(self):
        """Return the declarations."""
        return Hooks


class Guest:
    """A plugin that implements it, as it is told."""

    def __init__(self, name: str, error: BaseException | None = None) -> None:
        self.name = name
        self.error = error

    @hookimpl
    def pegboard_host_greet(self, name):
        """Greet or fail; leave something in the context."""
        assert not hasattr(g, "visited")
        g.visited = self.name
        if self.error:
            raise self.error
        return f"{self.name} greets {name}"


class Wrapping:
    """A plugin that would stop all others."""

    name = "wrapping"

    @hookimpl(wrapper=True)
    def pegboard_host_greet(self):
        """Fail before and after."""
        yield from self.name
        message = "it must not be called"
        raise AssertionError(message)


@pytest.mark.parametrize("error", [RuntimeError("no voice"), SystemExit(3)])
def test_one_that_raises_stops_no_other_and_is_named(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    """In the outcome, and in the log with plugin, hook and traceback."""
    guests = [Guest("one"), Guest("two", error), Guest("three")]
    app = make_app(plugins=[Host(), Wrapping(), *guests])
    with app.app_context():
        g.mine = 1
        outcomes = get_registry().call_each(pegboard_host_greet, name="Ada", size=2)
        assert 1 == g.mine
        assert not hasattr(g, "visited")
    found = {one.plugin: (one.result, one.error) for one in outcomes}
    assert found == {
        "one": ("one greets Ada", None),
        "two": (None, error),
        "three": ("three greets Ada", None),
    }
    (record,) = (one for one in caplog.records if one.levelno == logging.ERROR)
    assert "plugin two failed in pegboard_host_greet" == record.getMessage()
    assert record.exc_info
    assert error is record.exc_info[1]


def test_the_order_is_that_of_an_ordinary_call(make_app: MakeApp) -> None:
    """An argument may be given by its position; no app context is needed."""
    app = make_app(plugins=[Host(), *map(Anywhere, ("one", "two", "three"))])
    registry = get_registry(app)
    outcomes = registry.call_each(pegboard_host_greet, "Ada", size=2)
    assert registry.hook.pegboard_host_greet(name="Ada", size=2) == [one.result for one in outcomes]


class Anywhere(Guest):
    """A guest that needs no context, and takes one argument of two."""

    @hookimpl
    def pegboard_host_greet(self, size):
        """Say who it is."""
        return self.name, size


def test_a_hook_that_nobody_declares_cannot_be_called(make_app: MakeApp) -> None:
    """The plugin that declares it is not active."""
    with pytest.raises(LookupError, match="no active plugin declares the hook pegboard_host_greet"):
        get_registry(make_app()).call_each(pegboard_host_greet, name="Ada", size=2)


def test_wrong_arguments_are_the_callers_mistake(make_app: MakeApp) -> None:
    """They are no failure of a plugin."""
    app = make_app(plugins=[Host(), Guest("one")])
    with pytest.raises(TypeError, match="name"):
        get_registry(app).call_each(pegboard_host_greet)  # type: ignore[call-arg]
