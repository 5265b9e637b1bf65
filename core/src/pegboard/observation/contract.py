"""What an observer is told of each answer of a service."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pegboard.stages import Route

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

CORE = "core"
"""Stands for the name of a plugin where the core has answered, or no route matches."""

CLIENT_GONE = 499
"""The status of a request whose client has gone before an answer began; none is sent."""


@dataclass(slots=True, eq=False, repr=False)
class Observation:
    """One request and its answer, at the end; made by the core for each request."""

    environ: "WSGIEnvironment"
    """The WSGI environment of the request."""
    route: Route | None
    """None where no route matches, and where the request was refused before routing."""
    plugin: str
    """The name of the plugin whose route it is; `core` for the core's and for none."""
    status: int
    """The code of the status that was sent; 499 if the client had gone before."""
    size: int
    """How many bytes of the body were sent, after compression."""
    seconds: float
    """The seconds from the request's headers to the end of its answer."""
    is_cached: bool | None
    """Whether the cache had the answer; None where it was not asked."""


class PartKind(StrEnum):
    """What a part of the service is."""

    STAGE = "stage"
    """`prepare` or `complete` of a stage."""
    REDIS = "redis"
    """The round trip to Redis that the stages of a request share, and those of fast paths."""
    HOOK = "hook"
    """A function of a plugin that is called for requests: it says who the client is, is called by
    Flask before or after a view, or listens to writes."""


@dataclass(frozen=True)
class Part:
    """A part of the service that requests pass, and whose time can be measured."""

    kind: PartKind
    """What it is."""
    name: str
    """As in `limit.prepare`, `before_request check_key` or `exchange`."""
    plugin: str
    """The name of the plugin whose code it is; `core` for the core's."""


class Observer:
    """Base of what sees every request at its beginning and at its end, whoever answers it.

    It must not wait, as the server's event loop may call it. An exception changes no answer, and
    the first one is logged.
    """

    stage_share: float = 1.0
    """The share of the requests, 0 to 1, whose stages this observer wants to have measured.

    A run of a stage takes microseconds, and measuring all of them costs a cached answer some
    percent of its time. The largest share that an observer wants holds for all of them.
    """

    def begin(self, environ: "WSGIEnvironment", /) -> None:
        """Take note of a request, before anything else is done to it.

        Context variables that are set here are seen by all that serves the request.
        """

    def end(self, observation: Observation, /) -> None:
        """Take note of the answer, when it was sent; in the context of `begin`."""

    def statement(self, text: str, seconds: float, error: BaseException | None, /) -> None:
        """Take note of a statement of the database that has ended, also outside of requests.

        `text` has no parameters, but may have literals; `seconds` is how many it took, and `error`
        what the driver has raised. It is called on the thread and in the context of the statement.
        Statements are measured only if an observer has this method.
        """

    def part(
        self,
        part: Part,  # noqa: ARG002 - not here
        /,
    ) -> Callable[[float, float], object] | None:
        """Return what is called with each run of a part that is measured; None if nothing is.

        It is called with the seconds that the run took, and with the number of runs for which it
        stands. Functions of plugins (`HOOK`) are measured at each run, which stands for itself.
        Stages are measured for `stage_share` of the requests, chosen at random, and the wait for
        Redis with them: with a share of 0.1 a run stands for ten.

        Called once for each part of an app, before or at its first request. A part is measured
        only if an observer wants it to be.
        """
        return None
