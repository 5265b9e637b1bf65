"""Breadth-first exploration of everything a transition system can do."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

S = TypeVar("S", bound=Hashable)


class System(Protocol[S]):
    """What can be explored: where it starts, where it can go, and what must not be."""

    def start(self) -> S:
        """The state everything begins in."""

    def steps(self, state: S) -> Iterable[tuple[str, S]]:
        """Every step that is possible, with what happens in it."""

    def wrong(self, state: S) -> str | None:
        """What must not be so, if it is."""


@dataclass(frozen=True)
class Exploration:
    """What was found: how many states, and the shortest way to one that must not be."""

    states: int
    trace: tuple[str, ...] | None

    def __str__(self) -> str:
        verdict = "nothing wrong" if self.trace is None else "\n  ".join(("", *self.trace))
        return f"{self.states:,} states: {verdict}"


def explore(system: System[S]) -> Exploration:
    """Visit every reachable state once, nearest first, until one is wrong."""
    start = system.start()
    came_from: dict[S, S | None] = {start: None}
    frontier = [start]
    steps, wrong = system.steps, system.wrong
    while frontier:
        following: list[S] = []
        for state in frontier:
            for _, after in steps(state):
                if after not in came_from:
                    came_from[after] = state
                    if wrong(after):
                        return Exploration(len(came_from), _trace(system, came_from, after))
                    following.append(after)
        frontier = following
    return Exploration(len(came_from), None)


def _trace(system: System[S], came_from: dict[S, S | None], state: S) -> tuple[str, ...]:
    """Say what happened on the way to a state, and what is wrong there."""
    told = [system.wrong(state) or ""]
    before = came_from[state]
    while before is not None:
        told.append(next(what for what, after in system.steps(before) if after == state))
        state, before = before, came_from[before]
    return tuple(reversed(told))
