"""The production server: Granian, and the ASGI application that it runs."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pegboard.server.limits import Limits, find_contradictions
from pegboard.server.listening import (
    TLS,
    Address,
    Transport,
    UnixAddress,
    UnixListener,
    find_address,
    find_endpoint,
)
from pegboard.server.output import unblock_output
from pegboard.server.stillness import BEAT
from pegboard.server.workers import (
    Leash,
    LevelFollower,
    Roster,
    call_isolated,
    ended_after,
    tell_error,
)

if TYPE_CHECKING:
    from flask import Flask

__all__ = [
    "BEAT",
    "TLS",
    "Address",
    "Leash",
    "LevelFollower",
    "Limits",
    "Roster",
    "Transport",
    "UnixAddress",
    "UnixListener",
    "call_isolated",
    "ended_after",
    "find_address",
    "find_contradictions",
    "find_endpoint",
    "import_server",
    "run",
    "tell_error",
    "unblock_output",
]


def import_server() -> None:
    """Import what `run` needs, where there is time to wait for something else."""
    from pegboard.server import granian  # noqa: F401, PLC0415 - as below


def run(
    load: Callable[[], "Flask"],
    address: Address | UnixAddress,
    transport: Transport,
    limits: Limits,
    announce: Callable[[], None],
    manage: Callable[[Roster, Leash], None] | None = None,
) -> None:
    """Serve until a signal says to stop; each worker calls `load` once for its app.

    `manage` is called in a process of its own, which ends when its leash says so. `announce` is
    called once the server listens. Raises `StartupError` if the port was taken meanwhile, and
    `SystemExit` if no worker ever served.
    """
    # Imported here because it takes 4 MB, which no other command needs.
    from pegboard.server import granian  # noqa: PLC0415

    granian.run(load, address, transport, limits, announce, manage)
