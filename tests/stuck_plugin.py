"""A plugin whose views stand still, for the fixture `serve_stuck`; services import it."""

import os
import re
import threading
import time

import flask

import pegboard
from pegboard.stages import Call, Route

blueprint = flask.Blueprint("stuck", __name__)
grown: list[bytes] = []


@blueprint.get("/pid")
def pid() -> str:
    """Say which process answers."""
    return str(os.getpid())


@blueprint.get("/backtrack")
def backtrack() -> str:
    """Hold the interpreter's lock for ever."""
    re.match("(a*)*b", "a" * 60)
    return "never"


@blueprint.get("/wait")
def wait() -> str:
    """Hold a thread for ever."""
    threading.Event().wait()
    return "never"


@blueprint.get("/busy")
def busy() -> str:
    """Keep the processor busy for longer than a worker may stand still, in Python."""
    end = time.monotonic() + 3.0
    while time.monotonic() < end:
        pass
    return "done"


@blueprint.get("/slow")
def slow() -> str:
    """Take longer than a worker may stand still, and nothing of the processor."""
    time.sleep(6.0)
    print("the slow view has ended", flush=True)  # noqa: T201 - its client may have left
    return "done"


@blueprint.get("/grow")
def grow() -> str:
    """Take 100 MiB of memory."""
    grown.append(b"x" * 100 * 2**20)
    return "grown"


@blueprint.get("/staged")
def staged() -> str:
    """Not get here: the stage holds the thread."""
    return "never"


class Stage:
    """Holds the thread of `/staged` for ever."""

    name = "stuck"
    order = 5000

    def bind(self, route: Route | None) -> "Stage | None":
        """Bind to the one route."""
        return self if route is not None and route.rule.rule == "/staged" else None

    def prepare(self, _call: Call) -> None:
        """Wait for ever."""
        threading.Event().wait()

    def complete(self, _call: Call, _replies: object) -> None:
        """Never called, as `prepare` does not return."""


@pegboard.hookimpl
def pegboard_stages() -> list[Stage]:
    """Hold a thread before Flask has the request."""
    return [Stage()]


@pegboard.hookimpl
def pegboard_blueprints() -> list[flask.Blueprint]:
    """Serve the views."""
    return [blueprint]


@pegboard.hookimpl
def pegboard_metrics() -> bytes:
    """Tell that the plugin is there."""
    return b"stuck_up 1\n"
