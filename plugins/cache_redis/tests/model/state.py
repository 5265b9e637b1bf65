"""What a state of the model is made of: small tuples, compared and hashed by what they say."""

from enum import IntEnum
from typing import NamedTuple

NOTHING = -1
"""Where a value could be and none is."""


class Cell(NamedTuple):
    """What one server holds of one epoch: the group's marker and the one key.

    The marker is a generation or fences; the key is a value, a lease or fences.
    """

    server: int
    epoch: int
    generation: int = 0
    group_fences: tuple[int, ...] = ()
    value: int = NOTHING
    value_generation: int = 0
    lease: int = 0
    fences: tuple[int, ...] = ()


EMPTY = Cell(0, 0)[2:]
"""What a cell holds that holds nothing."""


class Verb(IntEnum):
    """The scripts that change something."""

    FENCE = 1
    RELEASE = 2
    LEASE = 3
    FILL = 4


class Command(NamedTuple):
    """One command; ``token`` is the sender's fence or lease, ``group`` aims at the marker."""

    verb: Verb
    epoch: int
    token: int
    group: bool = False
    generation: int = 0
    value: int = NOTHING


class Late(NamedTuple):
    """A command whose sender has given up, and which the server may still execute."""

    server: int
    command: Command


class Reading(IntEnum):
    """How far a reader is."""

    IDLE = 0
    UNLEASED = 2
    LEASED = 3
    READ = 4
    STALE = 5


class Reader(NamedTuple):
    """A reader, with the highest value acknowledged before it began (``floor``)."""

    place: Reading = Reading.IDLE
    epoch: int = 0
    floor: int = 0
    token: int = 0
    generation: int = 0
    value: int = NOTHING


IDLE = Reader()


class Writing(IntEnum):
    """How far a writer is; a killed one stays where it is for ever."""

    START = 0
    READY = 1
    DISABLING = 2
    COMMITTED = 3
    RELEASING = 4
    FAILED = 5
    WAITING = 6
    DONE = 7


class Writer(NamedTuple):
    """A writer, the version it committed and the epoch it works or waits in."""

    place: Writing = Writing.START
    version: int = 0
    epoch: int = 0


class State(NamedTuple):
    """All processes and servers at one moment."""

    value: int
    """What is committed; each commit is the next version."""
    acknowledged: int
    """The highest version a client was told is saved."""
    epoch: int
    enabled: bool
    owners: tuple[int, ...]
    """The server in the row of each epoch; epoch 0 never had one."""
    trusted: tuple[int, ...]
    """The epochs in which some process still trusts."""
    floors: tuple[int, ...]
    """What was acknowledged when the last trust in each epoch ended."""
    live: tuple[int, ...]
    """The servers that answer, by identity."""
    cells: tuple[Cell, ...]
    writers: tuple[Writer, ...]
    readers: tuple[Reader, ...]
    late: tuple[Late, ...]
    kept: tuple[tuple[int, int], ...]
    """Epoch and value of every fill: what a snapshot or a replica may hold."""
    faults: int
    """How many more may happen."""

    def floor(self, epoch: int) -> int:
        """What had been acknowledged when a reader of this epoch last could begin."""
        return self.acknowledged if epoch in self.trusted else self.floors[epoch]
