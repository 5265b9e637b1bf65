"""Telling systemd how the service is, as `Type=notify` asks for; see sd_notify(3)."""

import os
import socket
import time
from contextlib import suppress


class ServiceManager:
    """The program that started the service, as systemd, if it is one that wants to be told."""

    def __init__(self) -> None:
        """Take the address from the environment, so that no child process writes to it."""
        address = os.environ.pop("NOTIFY_SOCKET", "")
        # An @ stands for the zero byte with which abstract names begin.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._is_watching = bool(os.environ.pop("WATCHDOG_USEC", ""))

    def tell_ready(self) -> None:
        """Say that clients are served."""
        self._send("READY=1")

    def tell_reloading(self) -> None:
        """Say that workers are being replaced; `tell_ready` follows."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def tell_stopping(self) -> None:
        """Say that the service stops."""
        self._send("STOPPING=1")

    def tell_alive(self) -> None:
        """Say that the process which supervises the workers goes on."""
        if self._is_watching:
            self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as endpoint:
            endpoint.settimeout(0)
            endpoint.sendto(state.encode(), self._address)
