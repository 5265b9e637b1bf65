"""What a transaction has touched so far."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pegboard.cache.strategy import Key, Touched

MOST_KEYS = 500
"""Keys of one group in a transaction above which the whole group is invalidated."""


@dataclass
class Writes:
    """What a transaction has touched so far."""

    keys: dict[str, set[Key]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    is_elsewhere: bool = False
    """Whether rows were written of which other processes may cache more than this one knows."""

    def __bool__(self) -> bool:
        return bool(self.keys or self.groups)

    def add(self, keys: Iterable[Key]) -> None:
        """Add keys; if they are too many of one group, the group."""
        for key in keys:
            if key.group in self.groups:
                continue
            found = self.keys.setdefault(key.group, set())
            found.add(key)
            if len(found) > MOST_KEYS:
                self.add_group(key.group)

    def add_group(self, group: str) -> None:
        """Add a whole group."""
        self.groups.add(group)
        self.keys.pop(group, None)

    def touched(self) -> Touched:
        """Return it in the form that a strategy is given."""
        return Touched(frozenset().union(*self.keys.values()), frozenset(self.groups))
