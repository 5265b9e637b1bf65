"""Who turns caching on and off for the fleet, and why; `state` has the row in which it stands.

On: a process whose Redis takes writes and says who it is, in a new epoch.
Off: a writer that Redis has not confirmed a step to, a process that meets servers which are not
those of the epoch, and an operator who clears everything.
"""

import logging

from sqlalchemy.exc import SQLAlchemyError

from pegboard.cache import Transaction
from pegboard.redis import Channel, ChannelError, Command, command
from pegboard_cache_redis.cache.epoch import DISABLE, Fleet, State

logger = logging.getLogger(__name__)


class Switch:
    """Turns caching on and off, as this process sees reason to."""

    def __init__(self, channel: Channel, fleet: Fleet, *, prefix: str) -> None:
        self._channel = channel
        self._fleet = fleet
        self._probe = _probe(prefix)
        self._foreign: str | None = None
        self._obstacle: str | None = None

    def begin(self) -> State | None:
        """Return the state, read from the database; a cache that never was on is turned on."""
        state = self._fleet.current()
        if state is not None and state.is_never_on and self._obstacle is None:
            self._turn_on()
            state = self._fleet.trusted()
        return state

    def adjust(self, state: State) -> None:
        """Turn it on if it is off, and off if another server than the epoch's has been met."""
        if not state.enabled:
            self._turn_on()
        elif self._foreign is not None:
            self._leave(state)

    def report_foreign(self, server: str) -> None:
        """Note that a server answered that is none of the epoch: it was restarted, or replaced."""
        if self._foreign is None:
            self._foreign = server

    def turn_off_with(self, transaction: Transaction) -> None:
        """Turn it off in a writer's transaction: committed together, or not at all."""
        transaction.execute(DISABLE)

    def note_turned_off(self, cause: str) -> float:
        """Note that a writer's transaction has done so; returns from when on nobody trusts it."""
        logger.warning("caching is off until Redis can be relied on: %s", cause)
        self._fleet.note_disabled()
        return self._fleet.nobody_trusts_at

    def turn_off(self) -> None:
        """Turn it off at once, for an operator. Raises `SQLAlchemyError`."""
        self._fleet.disable()

    def _turn_on(self) -> None:
        try:
            servers = self._channel.servers()
            (reply,) = self._channel.exchange([self._probe])
            if reply.value != b"OK":
                self._stay_off(f"Redis does not take writes: {reply.value}")
            elif "" in servers:
                self._stay_off("Redis does not tell its run id (ACL: +info)")
            else:
                self._obstacle = None
                self._foreign = None
                self._fleet.enable(servers)
        except (ChannelError, SQLAlchemyError) as error:
            logger.debug("caching stays off: %s", error)

    def _stay_off(self, obstacle: str) -> None:
        """Say once what keeps caching off."""
        if self._obstacle != obstacle:
            self._obstacle = obstacle
            logger.warning("caching stays off: %s", obstacle)

    def _leave(self, state: State) -> None:
        """Turn caching off in an epoch whose servers are not those that answer."""
        self._foreign = None
        try:
            # The connections of a server that was replaced without a word are dropped.
            self._channel.reset()
            if self._channel.servers() <= state.servers:
                return
            self._fleet.disable()
        except (ChannelError, SQLAlchemyError) as error:
            logger.debug("the servers cannot be compared: %s", error)


def _probe(prefix: str) -> Command:
    """Return a command that only a server which takes writes, and has room, obeys."""
    key = f"{prefix}:probe"
    return command("SET", key, "1", "PX", 1000, key=key)
