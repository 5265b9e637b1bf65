"""What keeps commands, or the replies to them, at the proxy."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from pegboard.testing.processes import PATIENCE

Command = list[bytes]
Run = Callable[[Coroutine[Any, Any, None]], None]
"""Runs something where the connections live, and waits for it."""

HANDSHAKE = frozenset({b"AUTH", b"CLIENT", b"HELLO", b"INFO", b"PING", b"SELECT"})
"""Commands that only prepare a connection; no hold catches one unless it names it."""


class Hold:
    """Catches commands, or the replies to them, and keeps them until it is told what to do.

    Everything that follows on the same connection waits behind what is held. As a context manager
    it lets go at the end. `RedisProxy` makes it, and calls `takes`, `keep` and `expect`.
    """

    def __init__(
        self, run: Run, words: tuple[bytes, ...], times: int, *, lost: bool = False
    ) -> None:
        self.caught: list[Command] = []
        """The commands that were caught, or whose replies were."""
        self._run = run
        self._words = words
        self._left = times
        self._caught = threading.Event()
        self._decision = asyncio.Event()
        self._dropped = lost
        if lost:
            self._decision.set()
        self._executed: list[asyncio.Event] = []

    def wait(self, timeout: float = PATIENCE) -> None:
        """Wait until it has caught something, `timeout` seconds at most.

        A reply is caught when the server has executed its command. Raises `TimeoutError`.
        """
        if not self._caught.wait(timeout):
            message = f"nothing was caught within {timeout:g} s"
            raise TimeoutError(message)

    def release(self) -> None:
        """Let go, and wait until the server has executed what was held, however late."""
        self._run(self._release())

    def drop(self) -> None:
        """Lose what is held, and whatever follows on the same connection."""
        self._run(self._drop())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def takes(self, command: Command) -> bool:
        """Whether the command is one to catch; if so it counts."""
        if self._left < 1 or not self._means(command):
            return False
        self._left -= 1
        return True

    def _means(self, command: Command) -> bool:
        if not self._words:
            return command[0].upper() not in HANDSHAKE
        said = {argument.upper() for argument in command}
        return all(word in said for word in self._words)

    async def keep(self, command: Command) -> bool:
        """Keep it until the decision; returns whether it may go on."""
        self.caught.append(command)
        self._caught.set()
        await self._decision.wait()
        return not self._dropped

    def expect(self) -> asyncio.Event:
        """Return what is to be set when the server has executed the command."""
        executed = asyncio.Event()
        self._executed.append(executed)
        return executed

    async def _release(self) -> None:
        self._left = 0
        self._decision.set()
        await asyncio.sleep(0)  # those who keep something go on
        for executed in self._executed:
            await executed.wait()

    async def _drop(self) -> None:
        self._left = 0
        self._dropped = True
        self._decision.set()
