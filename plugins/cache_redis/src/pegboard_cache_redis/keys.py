"""What the keys in Redis are called, in one epoch."""

from dataclasses import dataclass
from urllib.parse import quote
from zlib import crc32

import pegboard
from pegboard_cache_redis.codec import FORMAT

BUCKETS = 64
"""Into how many slots the keys of one group are divided in a cluster."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value is: the marker of its group, and its own key, both in one slot."""

    marker: bytes
    key: bytes
    look_up: tuple[pegboard.Command, ...]
    """The commands that read both."""


class Names:
    """The names of one epoch; those of another epoch are others, so old values are never seen."""

    def __init__(self, prefix: str, epoch: int, *, is_sharded: bool) -> None:
        self._prefix = f"{quote(prefix, safe='')}:{FORMAT}:{epoch}"
        self._buckets = BUCKETS if is_sharded else 1
        self._markers: dict[str, tuple[bytes, ...]] = {}
        self._heads: dict[bytes, pegboard.Command] = {}

    def markers(self, group: str) -> tuple[bytes, ...]:
        """Return the markers of a group: one for each slot that its keys are in."""
        known = self._markers.get(group)
        if known is None:
            name = quote(group, safe="")
            known = self._markers[group] = tuple(
                f"{self._prefix}:{{{name}.{bucket}}}:".encode() for bucket in range(self._buckets)
            )
        return known

    def place(self, key: pegboard.Key) -> Place:
        """Return where a value is."""
        markers = self.markers(key.group)
        name = key.name.encode()
        marker = markers[crc32(name) % self._buckets if self._buckets > 1 else 0]
        full = marker + name
        # GETEX, as it is refused by a replica: what it holds may be older.
        packed = b"*2\r\n$5\r\nGETEX\r\n$%d\r\n%b\r\n" % (len(full), full)
        return Place(marker, full, (self._asking(marker), pegboard.Command(marker, packed)))

    def _asking(self, marker: bytes) -> pegboard.Command:
        """Return the command that reads a marker."""
        known = self._heads.get(marker)
        if known is None:
            known = self._heads[marker] = pegboard.command("GET", marker, key=marker)
        return known
