"""Forgetting what nobody can see any more, so that states which differ only in it are one.

Each thing is forgotten for a rule, and only while that rule is in force:

- A generation is random, so a value whose marker has gone is never valid again, and a marker
  without a value or a lease is as good as none.
- A fill needs its lease: a lease whose reader cannot fill only keeps others from filling, until
  it expires, and a reader whose lease is gone is as good as idle.
- An epoch is never trusted again: only who began before its end looks there, and only a value
  older than what was acknowledged by then can hurt.
"""

from collections.abc import Set as AbstractSet

from .rules import Rules
from .server import hit
from .state import EMPTY, IDLE, NOTHING, Cell, Late, State, Verb

UNREAD = 99
"""Stands for the value of a reader that has yet to read, and so reads nothing old."""


def forget(state: State, rules: Rules) -> State:
    """Return the state without what cannot matter."""
    if not (rules.leases and rules.checks_lease and rules.absent_marker_is_miss):
        return state
    leases = _leases(state)
    seen = [_cell(cell, state, rules, leases) for cell in state.cells]
    cells = tuple([cell for cell in seen if cell[2:] != EMPTY])
    readers, late, kept = state.readers, state.late, state.kept
    if leases:
        standing = {cell.lease for cell in cells}
        gone = leases.keys() - standing
        if gone:
            readers = tuple([IDLE if each.token in gone else each for each in readers])
            late = tuple([each for each in late if not _fills(each, gone)])
    if late:
        late = tuple([each for each in late if _matters(each, state, rules)])
    if kept:
        kept = tuple([each for each in kept if state.faults and _hurts(*each, state, rules)])
    if (cells, readers, late, kept) == (state.cells, state.readers, state.late, state.kept):
        return state
    return state._replace(cells=cells, readers=readers, late=late, kept=kept)


def _leases(state: State) -> dict[int, tuple[int, int]]:
    """The generation and the value each lease's holder would fill with."""
    leases = {
        token: (generation, UNREAD if value == NOTHING else value)
        for _, _, _, token, generation, value in state.readers
        if token
    }
    for _, command in state.late:
        if command.verb == Verb.FILL:
            leases[command.token] = (command.generation, command.value)
    return leases


def _cell(cell: Cell, state: State, rules: Rules, leases: dict[int, tuple[int, int]]) -> Cell:
    generation, value = leases.get(cell.lease, (NOTHING, NOTHING))
    if cell.lease and rules.checks_generation and generation != cell.generation:
        generation = NOTHING
    if cell.lease and generation == NOTHING:
        cell = cell._replace(lease=0)
    if cell.value != NOTHING:
        value = hit(cell, rules)
        if value == NOTHING:
            cell = cell._replace(value=NOTHING, value_generation=0)
    if cell.generation and cell.value == NOTHING and not cell.lease:
        cell = cell._replace(generation=0)
    if cell.epoch in state.trusted or not rules.raises_epoch:
        return cell
    useful = (cell.lease or cell.value != NOTHING) and value < state.floors[cell.epoch]
    return cell if useful else Cell(cell.server, cell.epoch)


def _hurts(epoch: int, value: int, state: State, rules: Rules) -> bool:
    return epoch in state.trusted or not rules.raises_epoch or value < state.floors[epoch]


def _fills(late: Late, tokens: AbstractSet[int]) -> bool:
    return late.command.verb == Verb.FILL and late.command.token in tokens


def _matters(late: Late, state: State, rules: Rules) -> bool:
    command = late.command
    trusted = command.epoch in state.trusted or not rules.raises_epoch
    return trusted or command.verb == Verb.FILL
