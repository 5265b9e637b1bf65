"""One connection to a Redis server, and what its answers mean."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from redis.exceptions import (
    ClusterDownError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from pegboard.redis.channel import Command, command

if TYPE_CHECKING:
    from pegboard.redis.opening import Opening

TRUSTED_IDLE = 1.0
"""Seconds after which it is looked whether a server or a proxy has closed an idle connection."""

_NOT_SERVING = (ReadOnlyError, ClusterDownError)
"""Errors of a server that is not, or no longer, the one to ask; MASTERDOWN is among them."""

_INFO = [command("INFO", section, key="").packed for section in ("server", "replication")]


class Wire:
    """One connection to a server whose identity is known."""

    __slots__ = ("is_cut", "is_replica", "line", "server", "used_at")

    def __init__(self, opening: "Opening") -> None:
        """Connect."""
        self.used_at = time.monotonic()
        self.is_cut = False
        self.line, infos = opening.open(*_INFO)
        facts = _facts(infos)
        self.server = _identity(facts, opening.database)
        self.is_replica = facts.get(b"role") == b"slave"

    def is_stale(self) -> bool:
        """Return whether it lay idle and was closed meanwhile."""
        if self.is_cut:
            return True
        if time.monotonic() - self.used_at < TRUSTED_IDLE:
            return False
        try:
            return self.line.has_input(0)
        except (RedisError, OSError):
            return True

    def cut(self) -> None:
        """End it while another thread may be waiting for a reply."""
        self.is_cut = True
        self.line.cut()

    def converse(self, packed: bytes, count: int) -> list[Any]:
        """Send, and read so many replies."""
        line = self.line
        line.send(packed)
        if count == 1:
            return [line.read()]
        return [line.read() for _ in range(count)]


def _facts(infos: Sequence[Any]) -> Mapping[bytes, bytes]:
    """Return what a server tells of itself; nothing if its ACL forbids INFO."""
    facts: dict[bytes, bytes] = {}
    for info in infos:
        if isinstance(info, bytes):
            facts |= dict(line.split(b":", 1) for line in info.splitlines() if b":" in line)
    return facts


def _identity(facts: Mapping[bytes, bytes], database: int) -> str:
    """Return run id, new after a restart, replication id, new if promoted, and database."""
    try:
        ids = (facts[b"run_id"] + b"/" + facts[b"master_replid"]).decode(errors="replace")
    except KeyError:
        return ""  # who needs to know it says so
    return f"{ids}/{database}"


def resolve(wire: Wire, command: Command, error: ResponseError) -> Any:
    """Return the value for a command that was answered with an error."""
    again = instead(command, error)
    if again is None:
        return error
    [value] = wire.converse(again.packed, 1)
    return resolve(wire, again, value) if isinstance(value, ResponseError) else value


def instead(command: Command, error: ResponseError) -> Command | None:
    """Return what to send in place of a command that was not executed; None if the error stands.

    Raises the error of a server that is not the one to ask.
    """
    if isinstance(error, NoScriptError) and command.script is not None:
        return Command(command.key, command.script.in_full(command.packed))
    if isinstance(error, _NOT_SERVING):
        raise error
    return None
