"""Holding commands, or the replies to them, at the proxy."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self

from pegboard.testing import proofs
from pegboard.testing.processes import WAIT_TIMEOUT

Command = list[bytes]
RunInLoop = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a coroutine in the proxy's event loop, and waits for it."""

HANDSHAKE_COMMANDS = frozenset({b"AUTH", b"CLIENT", b"HELLO", b"INFO", b"PING", b"SELECT"})
"""Commands that only prepare a connection; no hold catches one unless it names it."""


class Hold:
    """Catches commands, or the replies to them, and holds them until `release` or `drop`.

    Everything that follows on the same connection waits behind what is held. As a context manager
    it releases at the end. `RedisProxy` makes it, and calls `takes`, `keep` and `expect`.
    """

    def __init__(
        self, run: RunInLoop, words: tuple[bytes, ...], times: int, *, lost: bool = False
    ) -> None:
        self.caught: list[Command] = []
        """The commands that were caught, or whose replies were caught."""
        self._run = run
        self._words = words
        self._left = times
        self._caught = threading.Event()
        self._decision = asyncio.Event()
        self._dropped = lost
        if lost:
            self._decision.set()
        self._executed: list[asyncio.Event] = []

    def wait(self, timeout: float = WAIT_TIMEOUT) -> None:
        """Wait until it has caught something, `timeout` seconds at most.

        A reply is caught when the server has executed its command. Raises `TimeoutError`.
        """
        if not self._caught.wait(timeout):
            message = f"nothing was caught within {timeout:g} s"
            raise TimeoutError(message)

    def release(self) -> None:
        """Forward what is held, and wait until the server has executed it."""
        self._run(self._release())

    def drop(self) -> None:
        """Lose what is held, and all that follows on the same connection."""
        self._run(self._drop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def takes(self, command: Command) -> bool:
        """Return whether the command is to be caught; if so, count it."""
        if self._left < 1 or not self._means(command):
            return False
        self._left -= 1
        return True

    def _means(self, command: Command) -> bool:
        if not self._words:
            return command[0].upper() not in HANDSHAKE_COMMANDS
        said = {argument.upper() for argument in command}
        return all(word in said for word in self._words)

    async def keep(self, command: Command) -> bool:
        """Wait until a held command is released or dropped; returns whether to forward it."""
        proofs.show(proofs.FAULT)
        self.caught.append(command)
        self._caught.set()
        await self._decision.wait()
        return not self._dropped

    def expect(self) -> asyncio.Event:
        """Return an event, to be set when the server has executed a released command."""
        executed = asyncio.Event()
        self._executed.append(executed)
        return executed

    async def _release(self) -> None:
        self._left = 0
        self._decision.set()
        await asyncio.sleep(0)  # the tasks that hold something continue
        for executed in self._executed:
            await executed.wait()

    async def _drop(self) -> None:
        self._left = 0
        self._dropped = True
        self._decision.set()
