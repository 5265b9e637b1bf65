"""What is there of Redis in a process without a `REDIS_URL`, whose writes matter to others."""

import asyncio
from collections.abc import Sequence
from typing import NoReturn

from pegboard.redis import ChannelError, Command


class NoChannel:
    """A `Channel` to nowhere: nothing is confirmed, so writes turn caching off in the database."""

    is_sharded = False
    is_unavailable = True

    def exchange(self, commands: Sequence[Command]) -> NoReturn:  # noqa: ARG002 - the protocol's arguments
        """Fail, as if Redis were unavailable."""
        raise ChannelError(_MESSAGE)

    def servers(self) -> NoReturn:
        """Fail likewise."""
        raise ChannelError(_MESSAGE)

    def pipeline(self, loop: asyncio.AbstractEventLoop) -> None:
        """Return none."""

    def reset(self) -> None:
        """Have nothing to drop."""

    def close(self) -> None:
        """Have nothing to close."""


_MESSAGE = "REDIS_URL is not set"
