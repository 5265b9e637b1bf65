"""Counts that all processes share, kept by Redis."""

from importlib.resources import files
from urllib.parse import quote

from pegboard.redis import Command, Script
from pegboard_ratelimit.counting.storage import StorageError, Verdict
from pegboard_ratelimit.rules import Limit


def window_source() -> str:
    """Return the script that counts."""
    return (files(__package__) / "window.lua").read_text("utf-8")


WINDOW = Script(window_source())


class SharedStorage:
    """A storage in Redis: one key per rule and client, which expires by itself."""

    is_non_blocking = True

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def counter(self, rule: str, limit: Limit) -> "SharedCounter":
        """Return what counts for a rule."""
        return SharedCounter(self._prefix, rule, limit)


class SharedCounter:
    """Counts for one rule in Redis.

    The command is made ready but for the client, as making it is most of what a request costs here.
    """

    __slots__ = ("_charged", "_looked", "_prefix", "_replies")

    def __init__(self, prefix: str, rule: str, limit: Limit) -> None:
        # No rule can look like another one and a client; and what stood in braces would decide the
        # node of a cluster: the same one for all clients.
        self._prefix = f"{prefix}:ratelimit:{quote(rule, safe='/*|', errors='surrogatepass')}:"
        self._charged = _Template(limit, charge=True)
        self._looked = _Template(limit, charge=False)
        self._replies = 1 + 2 * len(limit.policies)

    def prepare(self, client: str, *, charge: bool = True) -> Command:
        """Return the command that admits a request of the client and counts it, or only looks."""
        key = (self._prefix + client).encode()
        return (self._charged if charge else self._looked).fill(key)

    def complete(self, value: object) -> Verdict:
        """Read the reply."""
        if type(value) is list and len(value) == self._replies:
            return Verdict(value[0], tuple(value[1:]))
        message = f"Redis does not count: {value!r}"
        raise StorageError(message)


class _Template:
    """A call of the script that lacks its key."""

    __slots__ = ("_head", "_tail")

    def __init__(self, limit: Limit, *, charge: bool) -> None:
        arguments: list[int] = [int(charge)]
        for terms in limit.terms:
            arguments += terms
        blank = WINDOW.call(keys=[b""], arguments=arguments)
        self._head, _, self._tail = blank.packed.partition(_BLANK)

    def fill(self, key: bytes) -> Command:
        """Return the call with its key."""
        packed = b"%b$%d\r\n%b\r\n%b" % (self._head, len(key), key, self._tail)
        return Command(key, packed, WINDOW)


_BLANK = b"$0\r\n\r\n"
