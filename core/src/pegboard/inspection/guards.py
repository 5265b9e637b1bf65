"""What sees a request before its view, or the answer after it, in the order in which it runs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flask import Flask
from werkzeug.exceptions import HTTPException

from pegboard.inspection.owners import Owner, Wrapper, describe, owner_of
from pegboard.resources import resource_of, steps_of
from pegboard.stages import (
    Hook,
    Route,
    after_hooks,
    entering_hooks,
    error_hooks,
    leaving_hooks,
    middleware_of,
    replaced_methods,
)

_CORE = "core"
_DOCUMENTED = frozenset({_CORE, "flask_smorest"})
"""Whose answers the OpenAPI document has."""
_ANSWERING = ("middleware", "in place of", "session interface", "before_request", "errorhandler")
"""How the kinds begin of what may answer in place of the view."""
_AROUND = frozenset({"around the view", "decorator"})


@dataclass(frozen=True)
class GuardReport:
    """Code that sees the request before the view, or the answer after it."""

    kind: str
    what: str
    owner: Owner

    @property
    def may_answer(self) -> bool:
        """Whether it may answer in place of the view, by what no document says."""
        return self.owner.name not in _DOCUMENTED and (
            self.kind in _AROUND or self.kind.startswith(_ANSWERING)
        )


def guards_of(
    app: Flask, route: Route | None, wrappers: Iterable[Wrapper]
) -> Iterator[GuardReport]:
    """Yield what acts on the requests of a route, or on those that no route matches."""
    endpoint = None if route is None else route.endpoint
    view = None if route is None else app.view_functions[route.endpoint]
    yield from _foreign(app, (*middleware_of(app), *replaced_methods(app)))
    for hook in entering_hooks(app, endpoint, view):
        yield _guard(app, hook)
    if route is not None:
        yield from _in_the_view(app, route, wrappers)
    yield from _foreign(app, error_hooks(app, endpoint))
    for hook in (*after_hooks(app, endpoint), *leaving_hooks(app, endpoint)):
        yield _guard(app, hook)


def handler_of(app: Flask, error: HTTPException) -> GuardReport | None:
    """Return what answers where no route matches, if it is not the platform's own."""
    # Nothing public says which of several handlers Flask chooses.
    function = app._find_error_handler(error, [])  # noqa: SLF001
    if function is None:
        return None
    found = _guard(app, Hook(f"errorhandler {error.code}", function))
    return None if found.owner.name == _CORE else found


def _in_the_view(app: Flask, route: Route, wrappers: Iterable[Wrapper]) -> Iterator[GuardReport]:
    for wrapper in wrappers:
        yield GuardReport("decorator", wrapper.name, wrapper.owner)
    resource = resource_of(route.function)
    for name in steps_of(route.method):
        if resource is not None and resource.overrides(name):
            method = getattr(type(resource), name)
            yield GuardReport(f"step {name}", describe(method), owner_of(app, method))


def _foreign(app: Flask, hooks: Iterable[Hook]) -> Iterator[GuardReport]:
    """Yield what is not the platform's own, which is described elsewhere."""
    for hook in hooks:
        found = _guard(app, hook)
        if found.owner.name != _CORE:
            yield found


def _guard(app: Flask, hook: Hook) -> GuardReport:
    return GuardReport(hook.kind, describe(hook.function), owner_of(app, hook.function))
