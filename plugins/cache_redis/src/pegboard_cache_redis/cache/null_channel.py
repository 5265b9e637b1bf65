"""The channel of a process without a `REDIS_URL`, whose writes must still be seen by others."""

import asyncio
from collections.abc import Sequence
from typing import NoReturn

from pegboard.redis import ChannelError, Command


class NullChannel:
    """A `Channel` that confirms nothing, so that writes turn caching off in the database."""

    is_sharded = False
    is_unavailable = True

    def exchange(self, commands: Sequence[Command]) -> NoReturn:  # noqa: ARG002 - the protocol's arguments
        """Raise `ChannelError`."""
        raise ChannelError(_MESSAGE)

    def servers(self) -> NoReturn:
        """Raise `ChannelError`."""
        raise ChannelError(_MESSAGE)

    def check_writes(self) -> NoReturn:
        """Raise `ChannelError`."""
        raise ChannelError(_MESSAGE)

    def pipeline(self, loop: asyncio.AbstractEventLoop) -> None:
        """Return none."""

    def reset(self) -> None:
        """Do nothing, as there are no connections."""

    def close(self) -> None:
        """Do nothing, as there are no connections."""


_MESSAGE = "REDIS_URL is not set"
