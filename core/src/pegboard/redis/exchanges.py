"""Exchanges of an event loop with one server: which reply is whose."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

from pegboard.redis.channel import ChannelError, Command, Reply, Value
from pegboard.redis.wire import instead

Replies = asyncio.Future[list[Reply]]

# A named tuple's own way to be made takes three times as long, which each reply would pay.
_reply: Callable[[tuple[Value, str]], Reply] = partial(tuple.__new__, Reply)


class _Burst:
    """What is sent together, and how long it is waited for."""

    __slots__ = ("deadline", "exchanges", "packed")

    def __init__(self) -> None:
        self.deadline = math.inf
        self.exchanges: list[_Exchange] = []
        self.packed: list[bytes] = []


_Exchange = tuple[Replies, Sequence[Command], _Burst]


class Exchanges:
    """What is asked and not sent yet, and what is under way on one connection, in order."""

    __slots__ = ("_asked", "_has_errors", "_replies", "under_way")

    def __init__(self) -> None:
        self.under_way: deque[_Exchange] = deque()
        """What is sent and not answered."""
        self._asked = _Burst()
        self._replies: list[Reply] = []
        self._has_errors = False

    @property
    def has_asked(self) -> bool:
        """Whether there is anything to send."""
        return bool(self._asked.exchanges)

    def ask(self, future: Replies, commands: Sequence[Command]) -> None:
        """Add an exchange to what is to be sent."""
        if not commands:
            future.set_result([])
            return
        # First, as it fails for what is no command: only who asks for it is to hear of that.
        packed = b"".join([one.packed for one in commands])
        burst = self._asked
        burst.exchanges.append((future, commands, burst))
        burst.packed.append(packed)

    def depart(self, deadline: float) -> bytes:
        """Return what is to be sent, which is under way from now on."""
        burst, self._asked = self._asked, _Burst()
        burst.deadline = deadline
        # The burst knows them no more: cycles would be left to the garbage collector.
        exchanges, burst.exchanges = burst.exchanges, []
        self.under_way.extend(exchanges)
        return b"".join(burst.packed)

    def wait(self, deadline: float) -> None:
        """Let what is to be sent wait, until then at most."""
        self._asked.deadline = min(self._asked.deadline, deadline)

    def due(self) -> float:
        """Return when what has waited longest is too late."""
        return self.under_way[0][2].deadline if self.under_way else self._asked.deadline

    def answer(self, gets: Callable[[], Any], server: str) -> None:
        """Hand over replies of the server; raises the errors that are not those of a command.

        `gets` returns the next reply, or False. What the server did not know is then to be sent.
        """
        under_way, replies = self.under_way, self._replies
        while (value := gets()) is not False:
            if not under_way:
                message = "the server has answered what nobody asked"
                raise InvalidResponse(message)
            replies.append(_reply((value, server)))
            if isinstance(value, Exception):
                self._has_errors = True
            future, commands, _ = under_way[0]
            if len(replies) < len(commands):
                continue
            if self._has_errors:
                self._resolve(future, commands, replies)
                self._has_errors = False
            elif not future.done():
                future.set_result(replies)
            # Not before: what raises fails this exchange as well.
            under_way.popleft()
            replies = self._replies = []

    def _resolve(self, future: Replies, commands: Sequence[Command], replies: list[Reply]) -> None:
        """Have the text of scripts sent that the server does not know; other errors are values."""
        numbers, again = [], []
        for number, (value, _) in enumerate(replies):
            if isinstance(value, RedisConnectionError):
                raise value  # the server is loading, or wants a password
            if isinstance(value, ResponseError) and (command := instead(commands[number], value)):
                numbers.append(number)
                again.append(command)
        if again:
            rest: Replies = future.get_loop().create_future()
            rest.add_done_callback(partial(_complete, future, replies, numbers))
            self.ask(rest, again)
        elif not future.done():
            future.set_result(replies)

    def fail(self, message: str) -> None:
        """Fail everything."""
        failed = [*self.under_way, *self._asked.exchanges]
        self.under_way.clear()
        self._asked = _Burst()
        self._replies, self._has_errors = [], False
        for future, _, _ in failed:
            if not future.done():
                future.set_exception(ChannelError(message))


def _complete(future: Replies, replies: list[Reply], numbers: Sequence[int], rest: Replies) -> None:
    """Put replies to commands that were sent again in their places."""
    error = rest.exception()
    if future.done():
        return
    if error:
        future.set_exception(error)
        return
    for number, reply in zip(numbers, rest.result(), strict=True):
        replies[number] = reply
    future.set_result(replies)
