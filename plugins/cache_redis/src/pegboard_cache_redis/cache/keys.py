"""The names of keys in Redis, in one epoch."""

from dataclasses import dataclass
from urllib.parse import quote
from zlib import crc32

from pegboard.cache import Key, is_of_collection
from pegboard.redis import Command, command
from pegboard_cache_redis.cache.codec import FORMAT, MARK_SIZE

_MOST_PLACES = 8192

BUCKETS = 64
"""Into how many slots the keys of one group are divided in a cluster."""


@dataclass(slots=True)
class KeyPlace:
    """Where a value is stored: the marker of its group, and its own key, in one cluster slot."""

    marker: bytes
    key: bytes
    look_up: tuple[Command, ...]
    """The commands that read both, and one that only a server which takes writes executes."""
    verified: tuple[bytes, bytes, bytes] | None = None
    """The mark and the data that were last found there with a valid tag, and their value."""


class KeyNames:
    """The names of one epoch; each epoch has its own, so values of an earlier one are not found."""

    def __init__(self, prefix: str, epoch: int, *, is_sharded: bool, longest: int) -> None:
        """`longest` is the most bytes that a stored value has; at most one byte more is read."""
        self._prefix = f"{quote(prefix, safe='')}:{FORMAT}:{epoch}"
        self._buckets = BUCKETS if is_sharded else 1
        self._markers: dict[str, tuple[bytes, ...]] = {}
        self._around: dict[bytes, tuple[Command, Command]] = {}
        self._places: dict[Key, KeyPlace] = {}
        end = b"%d" % longest
        self._range = b"$1\r\n0\r\n$%d\r\n%b\r\n" % (len(end), end)

    def markers(self, group: str) -> tuple[bytes, ...]:
        """Return the markers of a group: one for each slot in which it has keys."""
        known = self._markers.get(group)
        if known is None:
            name = quote(group, safe="")
            # Each write fences all markers of a collection, and those of a look-up seldom.
            buckets = 1 if is_of_collection(group) else self._buckets
            known = self._markers[group] = tuple(
                f"{self._prefix}:{{{name}.{bucket}}}:".encode() for bucket in range(buckets)
            )
        return known

    def place(self, key: Key) -> KeyPlace:
        """Return where a value is stored."""
        known = self._places.get(key)
        if known is None:
            if len(self._places) >= _MOST_PLACES:
                self._places = {}
            known = self._places[key] = self._make_place(key)
        return known

    def _make_place(self, key: Key) -> KeyPlace:
        markers = self.markers(key.group)
        name = key.name.encode()
        marker = markers[crc32(name) % len(markers) if len(markers) > 1 else 0]
        full = marker + name
        packed = b"*4\r\n$8\r\nGETRANGE\r\n$%d\r\n%b\r\n%b" % (len(full), full, self._range)
        before, after = self._around.get(marker) or self._make_around(marker)
        return KeyPlace(marker, full, (before, Command(marker, packed), after))

    def _make_around(self, marker: bytes) -> tuple[Command, Command]:
        """Return the command that reads a marker, and one that removes a key which never exists.

        A replica, which may hold what is stale, refuses the second.
        """
        commands = (
            command("GETRANGE", marker, 0, MARK_SIZE, key=marker),
            command("UNLINK", marker + b" ", key=marker),
        )
        self._around[marker] = commands
        return commands
