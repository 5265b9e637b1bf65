"""What a cache strategy in Redis may also do, so that nobody needs a thread that waits for it.

Each protocol splits methods of `CacheStrategy` at the round trips: into the commands to send, and
what the replies mean; or it leaves the sending to the caller.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from pegboard.cache.strategy import Key, Lease, Miss, Touched
from pegboard.redis import ChannelError, Command, Reply
from pegboard.stages import Exchange, Waiting


class PreparedLookup(Protocol):
    """A look-up whose commands are not sent yet; a strategy adds what it needs in `complete`."""

    @property
    def commands(self) -> Sequence[Command]:
        """What to send to Redis."""


@runtime_checkable
class RemoteStrategy(Protocol):
    """A strategy in Redis that can look up in the round trip which all stages share.

    `prepare` and `complete` are then the two halves of `look_up`.
    """

    def is_non_blocking(self) -> bool:
        """Return whether `prepare` would not wait now, so that the event loop may call it."""

    def prepare(self, key: Key) -> PreparedLookup | Miss:
        """Return the commands that look up the value, or why there is none."""

    def complete(self, prepared: Any, replies: Sequence[Reply] | ChannelError) -> bytes | Miss:
        """Return the value that the replies to a prepared look-up hold, or why there is none.

        Must not wait for anything.
        """


@runtime_checkable
class RemoteFills(Protocol):
    """A strategy in Redis that can lease and fill without a thread that waits.

    The methods do what `lease`, `fill` and `give_back` do, and wait for nothing but `exchange`,
    which sends commands to Redis and returns the replies to them, or raises `ChannelError`. They
    are called while `RemoteStrategy.is_non_blocking` is true.
    """

    async def lease_by(self, key: Key, exchange: Exchange) -> Lease | bytes | Miss:
        """Return the right to fill the key, or the value if the key was filled meanwhile."""

    async def fill_by(self, lease: Lease, value: bytes, ttl: int, exchange: Exchange) -> bool:
        """Store a value for `ttl` seconds; returns whether it was stored."""

    async def give_back_by(self, lease: Lease, exchange: Exchange) -> None:
        """End a lease under which nothing was stored."""


class PreparedFence(Protocol):
    """A fence whose commands are not sent yet; a strategy adds what it needs afterwards."""

    @property
    def commands(self) -> Sequence[Command]:
        """What to send to Redis."""


@runtime_checkable
class RemoteFences(Protocol):
    """A strategy in Redis whose fences can be set and lifted without a thread that waits.

    Each method returns None, or False, where `fence` and `release` have to do it instead; none of
    them waits for anything.
    """

    def prepare_fence(self, touched: Touched) -> PreparedFence | None:
        """Return the commands that set a fence."""

    def complete_fence(self, prepared: Any, replies: Sequence[Reply] | ChannelError) -> Any | None:
        """Return the fence, as `fence` does, if the replies confirm it."""

    def prepare_release(self, fence: Any) -> Sequence[Command] | None:
        """Return the commands that forget what the fence covers, and lift it."""

    def complete_release(self, fence: Any, replies: Sequence[Reply] | ChannelError) -> bool:
        """Return whether the replies confirm it, so that the write may be acknowledged."""


async def replies_of(
    waiting: Waiting, commands: Sequence[Command]
) -> Sequence[Reply] | ChannelError:
    """Return the replies of Redis to commands, or why there are none, as the protocols take it."""
    try:
        return await waiting.exchange(commands)
    except ChannelError as error:
        return error
