"""Breadth-first exploration of everything a transition system can do."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

S = TypeVar("S", bound=Hashable)


class System(Protocol[S]):
    """What can be explored."""

    def start(self) -> S:
        """Return the state everything begins in."""
        ...

    def steps(self, state: S) -> Iterable[tuple[str, S]]:
        """Yield every step that is possible, what happens in it and the state after it."""
        ...

    def wrong(self, state: S) -> str | None:
        """Return what is wrong with this state, if anything is."""
        ...


@dataclass(frozen=True)
class Exploration:
    """How many states were reached, and the shortest way to a wrong one (empty: there is none)."""

    states: int
    trace: tuple[str, ...] = ()


def explore(system: System[S]) -> Exploration:
    """Visit every state that can be reached once, nearest first, until one is wrong."""
    start = system.start()
    came_from: dict[S, S | None] = {start: None}
    frontier = [start]
    while frontier:
        reached: list[S] = []
        for state in frontier:
            for _, after in system.steps(state):
                if after in came_from:
                    continue
                came_from[after] = state
                if system.wrong(after):
                    return Exploration(len(came_from), _trace(system, came_from, after))
                reached.append(after)
        frontier = reached
    return Exploration(len(came_from))


def _trace(system: System[S], came_from: dict[S, S | None], state: S) -> tuple[str, ...]:
    told = [system.wrong(state) or ""]
    before = came_from[state]
    while before is not None:
        told.append(next(what for what, after in system.steps(before) if after == state))
        state, before = before, came_from[before]
    return tuple(reversed(told))
