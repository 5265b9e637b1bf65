"""How long the parts of a start take, for commands that show it; otherwise nothing is measured."""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@dataclass
class Step:
    """A part of a start, with the parts that it consists of."""

    name: str
    """What is done."""
    plugin: str | None = None
    """The plugin whose code is run; None for the core's own."""
    seconds: float = 0.0
    """How long all calls took, their parts included."""
    calls: int = 0
    """How often it was done."""
    steps: dict[tuple[str, str | None], "Step"] = field(default_factory=dict)
    """The parts that were measured, by name and plugin, in the order of their first call."""

    def plugins(self) -> dict[str, "Step"]:
        """Return what each plugin's code has cost, with its parts: import, hooks, blueprints.

        Code of another plugin that it calls is a part of it.
        """
        found: dict[str, Step] = {}
        self._collect(found)
        return found

    def core(self) -> "Step":
        """Return the parts without the code of plugins, whose time is taken off."""
        parts = {key: one.core() for key, one in self.steps.items() if one.plugin is None}
        plugins = sum(one.seconds for one in self.plugins().values())
        return Step(self.name, None, self.seconds - plugins, self.calls, parts)

    def _collect(self, found: dict[str, "Step"]) -> None:
        for one in self.steps.values():
            if one.plugin is None:
                one._collect(found)  # noqa: SLF001 - of the same class
                continue
            whole = found.setdefault(one.plugin, Step(one.plugin, one.plugin, calls=1))
            whole.seconds += one.seconds
            part = whole.steps.setdefault((one.name, None), Step(one.name))
            part.seconds += one.seconds
            part.calls += one.calls
            part.steps |= one.steps


_current: ContextVar[Step | None] = ContextVar("pegboard_start_step", default=None)


@contextmanager
def measured_start() -> Iterator[Step]:
    """Measure what is done in the block, and yield what is found."""
    root = Step("start")
    with _measured(root):
        yield root


def step(name: str, plugin: str | None = None) -> AbstractContextManager[object]:
    """Measure a block as a part of what is being done, if a start is measured."""
    above = _current.get()
    if above is None:
        return nullcontext()
    return _measured(above.steps.setdefault((name, plugin), Step(name, plugin)))


def timed(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Measure each call of a function of the core, if a start is measured."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with step(name):
                return function(*args, **kwargs)

        return run

    return decorate


@contextmanager
def _measured(one: Step) -> Iterator[None]:
    token, began = _current.set(one), perf_counter()
    try:
        yield
    finally:
        one.seconds += perf_counter() - began
        one.calls += 1
        _current.reset(token)
