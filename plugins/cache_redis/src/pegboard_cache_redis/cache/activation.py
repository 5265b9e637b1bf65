"""When caching is turned on and off for all processes; `epoch` has the row that says so.

On: by a process whose Redis takes writes and tells its identity, in a new epoch.
Off: by a writer that Redis has not confirmed a step to, by a process that meets servers which are
not those of the epoch, and by an operator who clears everything.
"""

import logging

from sqlalchemy.exc import SQLAlchemyError

from pegboard.cache import Transaction
from pegboard.redis import Channel, ChannelError, Command, command
from pegboard_cache_redis.cache.epoch import DISABLE, EpochState, EpochStore

logger = logging.getLogger(__name__)


class Activation:
    """Turns caching on and off for all processes, when this process has a reason to."""

    def __init__(self, channel: Channel, epochs: EpochStore, *, prefix: str) -> None:
        self._channel = channel
        self._epochs = epochs
        self._probe = _probe(prefix)
        self._foreign: str | None = None
        self._obstacle: str | None = None

    def begin(self) -> EpochState | None:
        """Return the state from the database; turns caching on if it has never been on.

        None if the database cannot be read, or has no row yet.
        """
        state = self._epochs.current()
        if state is not None and state.is_never_on and self._obstacle is None:
            self._turn_on()
            state = self._epochs.trusted()
        return state

    def adjust(self, state: EpochState) -> None:
        """Turn caching on if it is off, and off if a server replied that is not of the epoch."""
        if not state.enabled:
            self._turn_on()
        elif self._foreign is not None:
            self._leave(state)

    def report_foreign(self, server: str) -> None:
        """Note that a server replied which is not of the epoch, as it was restarted or replaced."""
        if self._foreign is None:
            self._foreign = server

    def turn_off_with(self, transaction: Transaction) -> None:
        """Turn caching off in a writer's transaction: committed together, or not at all."""
        transaction.execute(DISABLE)

    def note_turned_off(self, cause: str) -> float:
        """Note that a writer's transaction has turned caching off.

        Returns the moment, of `time.monotonic`, from which no process trusts the epoch.
        """
        logger.warning("caching is off until Redis can be relied on: %s", cause)
        self._epochs.note_disabled()
        return self._epochs.trust_ends_at

    def turn_off(self) -> None:
        """Turn caching off at once, for an operator. Raises `SQLAlchemyError`."""
        self._epochs.disable()

    def _turn_on(self) -> None:
        if not self._epochs.may_enable:
            return
        try:
            (reply,) = self._channel.exchange([self._probe])
            if reply.value != b"OK":
                self._stay_off(f"Redis does not take writes: {reply.value}")
            elif "" in self._channel.servers():
                self._stay_off("Redis does not tell its run id (ACL: +info)")
            else:
                self._obstacle = None
                self._foreign = None
                # An epoch of a server's former identity would be ended by all that know the new.
                self._channel.reset()
                self._epochs.enable(self._channel.servers())
        except (ChannelError, SQLAlchemyError) as error:
            logger.debug("caching stays off: %s", error)

    def _stay_off(self, obstacle: str) -> None:
        """Log once what keeps caching off."""
        if self._obstacle != obstacle:
            self._obstacle = obstacle
            logger.warning("caching stays off: %s", obstacle)

    def _leave(self, state: EpochState) -> None:
        """Turn caching off in an epoch whose servers are not those that reply."""
        self._foreign = None
        try:
            # Connections to a server that was replaced may still be open.
            self._channel.reset()
            if self._channel.servers() <= state.servers:
                return
            self._epochs.disable()
        except (ChannelError, SQLAlchemyError) as error:
            logger.debug("the servers cannot be compared: %s", error)


def _probe(prefix: str) -> Command:
    """Return a command that only a server which takes writes, and has memory left, obeys."""
    key = f"{prefix}:probe"
    return command("SET", key, "1", "PX", 1000, key=key)
