"""What this process sends to Redis: watched, or replaced, on its way."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


@contextmanager
def watched(on_send: Callable[[bytes], bytes]) -> Iterator[None]:
    """Send, for a block, what `on_send` makes of the commands that are sent at once.

    Channels of Pegboard are watched, and the clients of the redis library; nothing is where that
    library is not installed.
    """
    try:
        from redis.connection import AbstractConnection  # noqa: PLC0415 - it may be absent

        from pegboard.redis import connection_type  # noqa: PLC0415 - it needs that library
    except ImportError:
        yield
        return
    connection = connection_type()
    send, send_of_library = connection.send, AbstractConnection.send_packed_command

    def send_watched(self: Any, packed: bytes) -> None:
        send(self, on_send(packed))

    def send_watched_of_library(
        self: Any, command: str | Iterable[bytes], *arguments: Any, **options: Any
    ) -> None:
        packed = command.encode() if isinstance(command, str) else b"".join(command)
        send_of_library(self, [on_send(packed)], *arguments, **options)  # type: ignore[no-untyped-call]

    with (
        mock.patch.object(connection, "send", send_watched),
        mock.patch.object(AbstractConnection, "send_packed_command", send_watched_of_library),
    ):
        yield


def names_of(packed: bytes) -> list[str]:
    """Return the names of commands in the protocol of Redis."""
    found, place = [], 0
    while place < len(packed):
        arguments, place = _number(packed, place)
        for number in range(arguments):
            size, place = _number(packed, place)
            if not number:
                found.append(packed[place : place + size].decode(errors="replace").upper())
            place += size + 2
    return found


def _number(packed: bytes, place: int) -> tuple[int, int]:
    """Return the number after a mark such as `*` or `$`, and where the line ends."""
    end = packed.index(b"\r\n", place)
    return int(packed[place + 1 : end]), end + 2
