"""Asking a server of Redis whether it takes writes, without writing anything."""

from collections.abc import Iterable

from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from pegboard.redis.channel import ChannelError, Command, Reply, command

_REASONS = {
    "NOREPLICAS": "it has too few replicas (min-replicas-to-write)",
    "MISCONF": "it cannot save its data (stop-writes-on-bgsave-error)",
}


def write_probe(key: bytes = b"") -> Command:
    """Make a command that concerns no key, but is sent to the owner of one.

    A script that declares nothing of itself in its first line may write, and so is refused by a
    server which refuses writes. Redis before 7.0 cannot read the line, and says so.
    """
    return command("EVAL", "#!lua\nreturn 1", 0, key=key)


def require_writes(replies: Iterable[Reply]) -> None:
    """Raise `ChannelError` if one of the replies to `write_probe` says that writes are refused."""
    for value, _ in replies:
        if (reason := _refusal(value)) is not None:
            message = f"Redis takes no writes: {reason}"
            raise ChannelError(message)


def _refusal(value: object) -> str | None:
    """Return why a server refuses writes; None if it takes them, or its reply does not say."""
    if isinstance(value, OutOfMemoryError):
        return "its memory is full (maxmemory)"
    if isinstance(value, ReadOnlyError):
        return "it is a replica"
    if isinstance(value, ResponseError):
        return _REASONS.get(str(value).partition(" ")[0])
    return None
