"""Counts in Redis, shared by all processes."""

from collections.abc import Callable
from functools import partial
from importlib.resources import files
from urllib.parse import quote

from pegboard.redis import Command, Script
from pegboard_ratelimit.counting.storage import StorageError, Verdict
from pegboard_ratelimit.rules import Limit

_REMEMBERED_CLIENTS = 1024

# Calling the class of a named tuple takes longer.
_verdict: Callable[[tuple[int, tuple[int, ...]]], Verdict] = partial(tuple.__new__, Verdict)


def window_source() -> str:
    """Return the source of the script that counts."""
    return (files(__package__) / "window.lua").read_text("utf-8")


WINDOW = Script(window_source())


class RedisStorage:
    """A storage in Redis with one key per rule and client, which expires by itself."""

    is_non_blocking = True

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def counter(self, rule: str, limit: Limit) -> "RedisCounter":
        """Return the counter of a rule."""
        return RedisCounter(self._prefix, rule, limit)


class RedisCounter:
    """Counts for one rule in Redis.

    Packing the command is most of the cost of a request here, so all but its key is packed once.
    """

    __slots__ = ("_commands", "_counting", "_peeking", "_prefix", "_replies")

    def __init__(self, prefix: str, rule: str, limit: Limit) -> None:
        # The rule is quoted so that each rule and client have a key of their own, and because text
        # in braces would put the keys of all clients on one node of a cluster.
        self._prefix = f"{prefix}:ratelimit:{quote(rule, safe='/*|', errors='surrogatepass')}:"
        self._counting = _Template(limit, charge=True)
        self._peeking = _Template(limit, charge=False)
        self._replies = 1 + 2 * len(limit.policies)
        self._commands: dict[str, Command] = {}
        """Those that count requests of the clients that were seen last."""

    def prepare(self, client: str, *, charge: bool = True) -> Command:
        """Return the command that admits a request of the client and counts it, or refuses it."""
        if charge and (known := self._commands.get(client)) is not None:
            return known
        key = (self._prefix + client).encode()
        command = (self._counting if charge else self._peeking).fill(key)
        if charge:
            if len(self._commands) >= _REMEMBERED_CLIENTS:
                self._commands = {}
            self._commands[client] = command
        return command

    def complete(self, value: object) -> Verdict:
        """Return the verdict in the reply."""
        if type(value) is list and len(value) == self._replies:
            return _verdict((value[0], tuple(value[1:])))
        message = f"Redis sent an unexpected reply: {value!r}"
        raise StorageError(message)


class _Template:
    """A packed call of the script except for its key."""

    __slots__ = ("_head", "_tail")

    def __init__(self, limit: Limit, *, charge: bool) -> None:
        arguments: list[int] = [int(charge)]
        for terms in limit.terms:
            arguments += terms
        without_key = WINDOW.call(keys=[b""], arguments=arguments)
        self._head, _, self._tail = without_key.packed.partition(_EMPTY_KEY)

    def fill(self, key: bytes) -> Command:
        """Return the call for a key."""
        packed = b"%b$%d\r\n%b\r\n%b" % (self._head, len(key), key, self._tail)
        return Command(key, packed, WINDOW)


_EMPTY_KEY = b"$0\r\n\r\n"
