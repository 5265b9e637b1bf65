"""The process of the management port."""

import threading
from collections.abc import Callable

from flask import Flask

from pegboard.management.app import management_app
from pegboard.management.http_server import ManagementServer
from pegboard.management.listener import ManagementSocket
from pegboard.management.service import ServedService
from pegboard.server import BEAT, Address, Leash, LevelFollower, Limits, Roster, UnixAddress


def manage(
    build: Callable[[], Flask],
    opened: ManagementSocket,
    address: Address | UnixAddress,
    limits: Limits,
    roster: Roster,
    leash: Leash,
) -> None:
    """Serve the management port until the service ends; `build` makes this process's app."""
    service = ServedService(build, address, limits, roster)
    server = ManagementServer(opened.listener, management_app(service, opened.endpoint))
    server.start()
    # On a thread, so that the end of the service need not wait for it.
    threading.Thread(target=service.load, name="pegboard-load", daemon=True).start()
    follower = LevelFollower(roster)
    while not leash.wait(BEAT):
        if not server.is_still():
            leash.beat()
        if service.is_loaded:  # before, the level is that of the start
            follower.follow()
    server.shutdown()
    service.close()
