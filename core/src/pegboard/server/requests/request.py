"""One request of the event loop."""

from typing import TYPE_CHECKING

from pegboard.server.requests.body import Receive
from pegboard.server.requests.response import Outlet
from pegboard.server.requests.waiting import OnLoop
from pegboard.stages import Answer, StageRun

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class Request:
    """One request, and how far it has come; without an `__init__`, which each would call."""

    environ: "WSGIEnvironment"
    receive: Receive
    outlet: Outlet
    began: float
    """When it arrived, by `time.perf_counter`."""
    peer: tuple[str, str] | None = None
    """Address and port of the client."""
    is_listed: bool = False
    """Whether it is in `Gateway.serving`."""
    stage_run: StageRun | None = None
    """None if the thread that answers has to run the stages."""
    answer: Answer | None = None
    waits: OnLoop | None = None
    """How it waits for what the stages do not do on the loop."""
    held: int = 0
    """Bytes of its body in memory."""
