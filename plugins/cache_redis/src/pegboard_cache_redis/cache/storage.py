"""The commands of an epoch: to its keys, and confirmed by its servers only."""

from collections.abc import Sequence

from pegboard.cache import Key, Touched
from pegboard.redis import Channel, ChannelError, Command, Reply, Script
from pegboard.stages import Exchange
from pegboard_cache_redis.cache.epoch import EpochState
from pegboard_cache_redis.cache.keys import KeyNames, KeyPlace


class Storage:
    """Runs commands for an epoch; replies of servers that are not in it confirm nothing."""

    def __init__(self, channel: Channel, *, prefix: str, longest: int) -> None:
        """`longest` is the most bytes that a stored value has."""
        self._channel = channel
        self._prefix = prefix
        self._longest = longest
        self._names = (-1, self._new_names(-1))

    def place(self, state: EpochState, key: Key) -> KeyPlace:
        """Return where the value of a key is stored in the epoch."""
        return self._names_of(state.epoch).place(key)

    async def exchange(self, commands: Sequence[Command]) -> Sequence[Reply]:
        """Send commands and return the replies; this thread waits. Raises `ChannelError`."""
        return self._channel.exchange(commands)

    @staticmethod
    async def run(state: EpochState, command: Command, exchange: Exchange) -> object:
        """Run one command; returns its reply, None if no server of the epoch has replied."""
        try:
            (reply,) = await exchange([command])
        except ChannelError:
            return None
        return reply.value if reply.server in state.servers else None

    def cover(
        self,
        state: EpochState,
        touched: Touched,
        script: Script,
        arguments: Sequence[str | int],
    ) -> bool:
        """Run a script on everything that is touched; returns whether all of it is confirmed.

        Once more if a server replies that is not of the epoch: a connection may be older than what
        the server is now.
        """
        if not state.servers:
            return False  # the epoch is of processes that make other keys
        commands = self.commands(state, touched, script, arguments)
        try:
            replies = self._channel.exchange(commands) if commands else []
            if any(reply.server not in state.servers for reply in replies):
                self._channel.reset()
                replies = self._channel.exchange(commands)
        except ChannelError:
            return False
        return self.confirms(state, replies)

    def commands(
        self,
        state: EpochState,
        touched: Touched,
        script: Script,
        arguments: Sequence[str | int],
    ) -> list[Command]:
        """Return the commands that run a script on everything that is touched."""
        names = self._names_of(state.epoch)
        keys = [names.place(key).key for key in touched.keys if key.group not in touched.groups]
        keys += [marker for group in touched.groups for marker in names.markers(group)]
        return script.calls(keys, arguments)

    @staticmethod
    def confirms(state: EpochState, replies: Sequence[Reply] | ChannelError) -> bool:
        """Return whether servers of the epoch have done what they were told."""
        return not isinstance(replies, ChannelError) and all(
            reply.value == 1 and reply.server in state.servers for reply in replies
        )

    def _names_of(self, epoch: int) -> KeyNames:
        known, names = self._names
        if known != epoch:
            names = self._new_names(epoch)
            self._names = (epoch, names)
        return names

    def _new_names(self, epoch: int) -> KeyNames:
        is_sharded = self._channel.is_sharded
        return KeyNames(self._prefix, epoch, is_sharded=is_sharded, longest=self._longest)
