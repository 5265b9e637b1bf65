"""Round trips to Redis: what is sent, what comes back, and the channel that carries both.

Callers make commands, and a channel sends those of several callers together. This module needs no
Redis library; a channel does.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from weakref import WeakSet

from flask import Flask

from pegboard.extensions import get_extension

if TYPE_CHECKING:
    import asyncio

EXTENSION = "pegboard.redis.channel"

scripts: WeakSet["Script"] = WeakSet()
"""Those of this process: the kit sends others in place of those that ask for the time."""

Argument = bytes | str | int
Value = Any
"""bytes, int, None or a list of these; an error that Redis reports is one, too, not raised."""


class ChannelError(Exception):
    """Raised when Redis did not answer: it refused, was too late, or is known to be unavailable.

    A command may have been executed all the same, or may be executed later.
    """


class Command(NamedTuple):
    """One command, ready to be sent (RESP, as all servers read it); made by `command`."""

    key: bytes
    """The key whose slot decides which server of a cluster gets the command."""
    packed: bytes
    """The whole command as it is sent, in the protocol of Redis."""
    script: "Script | None" = None
    """The script that it runs: sent in full when the server does not know it."""


class Reply(NamedTuple):
    """What a server replied to one command."""

    value: Value
    """Bytes, an integer, None, a list of these, or an error of Redis, which is not raised."""
    server: str
    """The identity of the server: another one after a restart or a failover; empty if unknown."""


class Pipeline(Protocol):
    """Carries the commands of one event loop to Redis; to be used on that loop only."""

    def exchange(self, commands: Sequence[Command]) -> "asyncio.Future[list[Reply]]":
        """Send all commands; the future gets the replies, or `ChannelError`.

        Commands are executed as by `Channel.exchange`. Never raises: while Redis is known to
        be unavailable, the future has failed already. It may be cancelled, which recalls no
        command.
        """

    def open(self) -> None:
        """Begin to connect: else the first exchange would have to wait for it."""

    def close(self) -> None:
        """End it: what is under way fails, and so does what is asked afterwards."""


class Channel(Protocol):
    """Sends commands to Redis: one server, a master with sentinels, or a cluster.

    Threads may share it. `PEGBOARD_REDIS_TIMEOUT` bounds the time of each exchange.
    """

    def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Send all commands, then read all replies; returns them in order.

        Each command is executed at most once, perhaps only after its caller has given up. Raises
        `ChannelError` when not all replies came in time.
        """

    def servers(self) -> frozenset[str]:
        """Ask every server that takes writes for its identity.

        Raises `ChannelError` when one of them does not answer.
        """

    def check_writes(self) -> None:
        """Raise `ChannelError` when a server does not answer, or refuses writes.

        As one does whose memory is full.
        """

    @property
    def is_sharded(self) -> bool:
        """Whether keys are divided among servers by their slots."""

    def pipeline(self, loop: "asyncio.AbstractEventLoop") -> Pipeline | None:
        """Make a pipeline for an event loop, which its owner closes while the loop still runs.

        Returns None where there is none, as for a cluster; threads then exchange.
        """

    def reset(self) -> None:
        """Drop all connections, busy ones after use: the next exchange looks up the servers again.

        Replies then tell the present identity of a server.
        """

    @property
    def is_unavailable(self) -> bool:
        """Whether Redis is known not to answer; `exchange` then fails at once."""

    def close(self) -> None:
        """Close every idle connection."""


def get_channel(app: Flask | None = None) -> Channel | None:
    """Return the channel of the app, or of the current app; None when no `REDIS_URL` is set.

    Raises `KeyError` for an app that `create_app` did not make.
    """
    channel: Channel | None = get_extension(app, EXTENSION, "get_channel(app)")
    return channel


def command(*arguments: Argument, key: Argument) -> Command:
    """Make a command of its name and its arguments: bytes, text or integers.

    `key` is the argument whose slot decides which server of a cluster gets it.
    """
    return Command(_encode(key), b"*%d\r\n%b" % (len(arguments), _pack_all(*arguments)))


class Script:
    """A Lua script, called by its digest, and sent in full only to a server without it."""

    def __init__(self, source: str) -> None:
        scripts.add(self)
        self.source = source
        """The text of the script, in Lua."""
        self.digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        """The SHA-1 of its text, in hexadecimal, by which servers know it."""
        self._by_digest = _pack_all("EVALSHA", self.digest)
        self._by_text = _pack_all("EVAL", source)

    def call(self, *, keys: Sequence[Argument], arguments: Sequence[Argument] = ()) -> Command:
        """Return the command that runs it with `KEYS` and `ARGV`.

        Needs one key at least; in a cluster all keys must have one hash tag.
        """
        count = 3 + len(keys) + len(arguments)
        rest = _pack_all(len(keys), *keys, *arguments)
        return Command(_encode(keys[0]), b"*%d\r\n%b%b" % (count, self._by_digest, rest), self)

    def calls(self, keys: Iterable[bytes], arguments: Sequence[Argument] = ()) -> list[Command]:
        """Return a command for each key that runs it with that one key."""
        head = b"*%d\r\n%b$1\r\n1\r\n" % (4 + len(arguments), self._by_digest)
        rest = _pack_all(*arguments)
        return [
            Command(key, b"%b$%d\r\n%b\r\n%b" % (head, len(key), key, rest), self) for key in keys
        ]

    def in_full(self, packed: bytes) -> bytes:
        """Return a packed call with the text of the script in place of its digest."""
        return packed.replace(self._by_digest, self._by_text, 1)


def _encode(argument: Argument) -> bytes:
    if isinstance(argument, bytes):
        return argument
    return str(argument).encode()


def _pack_all(*arguments: Argument) -> bytes:
    parts = []
    for argument in arguments:
        data = argument if isinstance(argument, bytes) else str(argument).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)
