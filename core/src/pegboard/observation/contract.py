"""What an observer is told of each answer of a service."""

from typing import TYPE_CHECKING

from pegboard.stages import Route

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

CORE = "core"
"""Stands for the name of a plugin where the core has answered, or no route matches."""

CLIENT_GONE = 499
"""The status of a request whose client has gone before an answer began; none is sent."""


class Observation:
    """One request and its answer, at the end; made by the core for each request."""

    __slots__ = ("environ", "is_cached", "plugin", "route", "seconds", "size", "status")

    status: int
    """The code of the status that was sent; 499 if the client had gone before."""
    size: int
    """How many bytes of the body were sent, after compression."""
    seconds: float
    """The seconds from the request's headers to the end of its answer."""

    def __init__(
        self,
        environ: "WSGIEnvironment",
        route: Route | None,
        plugin: str,
        answer: tuple[int, int, float],
        *,
        is_cached: bool | None,
    ) -> None:
        """`answer` is its status, size and seconds."""
        self.environ = environ
        """The WSGI environment of the request."""
        self.route = route
        """None where no route matches, and where the request was refused before routing."""
        self.plugin = plugin
        """The name of the plugin whose route it is; `core` for the core's and for none."""
        self.status, self.size, self.seconds = answer
        self.is_cached = is_cached
        """Whether the cache had the answer; None where it was not asked."""


class Observer:
    """Base of what sees every request at its beginning and at its end, whoever answers it.

    It must not wait, as the server's event loop may call it. An exception changes no answer, and
    the first one is logged.
    """

    def begin(self, environ: "WSGIEnvironment", /) -> None:
        """Take note of a request, before anything else is done to it.

        Context variables that are set here are seen by all that serves the request.
        """

    def end(self, observation: Observation, /) -> None:
        """Take note of the answer, when it was sent; in the context of `begin`."""
