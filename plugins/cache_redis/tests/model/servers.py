"""What reaches the servers, and what happens to them."""

from collections.abc import Iterator
from itertools import count

from .changes import Step
from .scenario import Fault, Scenario
from .server import execute
from .state import EMPTY, NOTHING, Cell, Command, Late, State, Verb

SNAPSHOT_GENERATION = 1
"""The generation in a snapshot: only the value beside it, restored with it, is compared to it."""


def is_believed(scenario: Scenario, state: State, server: int, epoch: int) -> bool:
    """Whether what this server says of the epoch is believed: the row of the epoch names it."""
    return not scenario.rules.checks_servers or state.owners[epoch] == server


def send(scenario: Scenario, state: State, command: Command) -> Iterator[tuple[str, int, State]]:
    """Yield every fate of a command, with its reply: 0 for none, and none to be believed."""
    for server in state.live:
        reply, after = carry_out(scenario, state, server, command)
        if is_believed(scenario, state, server, command.epoch):
            yield "", reply, after
        else:
            yield f" (server {server} answers)", 0, after
        if state.faults and Fault.LATE in scenario.kinds:
            late = tuple(sorted((*state.late, Late(server, command))))
            yield " (no answer)", 0, state._replace(late=late, faults=state.faults - 1)


def carry_out(scenario: Scenario, state: State, server: int, command: Command) -> tuple[int, State]:
    """Return the reply of this server, and the state after the command."""
    old = next((cell for cell in state.cells if cell[:2] == (server, command.epoch)), None)
    old = old or Cell(server, command.epoch)
    new_generation = _new_generation(state) if command.verb == Verb.LEASE else 0
    reply, cell = execute(old, command, scenario.rules, new_generation)
    if cell == old:
        return reply, state
    kept = state.kept
    if cell.value != NOTHING and state.faults and scenario.kinds != {Fault.LATE}:
        kept = tuple(sorted({*kept, (cell.epoch, cell.value)}))
    return reply, state._replace(cells=_with_cell(state.cells, cell), kept=kept)


def late_steps(scenario: Scenario, state: State) -> Iterator[Step]:
    """Yield the late execution of what was sent."""
    for index, (server, command) in enumerate(state.late):
        _, after = carry_out(scenario, state, server, command)
        late = state.late[:index] + state.late[index + 1 :]
        what = f"server {server} executes the late {command.verb.name}"
        yield what, after._replace(late=late)


def evictions(state: State) -> Iterator[Step]:
    """Yield the loss of each thing that expires or is evicted; all together are FLUSHALL."""
    for cell in state.cells:
        server, epoch, generation, group_fences, *key = cell
        if generation or group_fences:
            bare = cell._replace(generation=0, group_fences=())
            yield "the marker is gone", state._replace(cells=_with_cell(state.cells, bare))
        if tuple(key) != EMPTY[2:]:
            bare = Cell(server, epoch, generation, group_fences)
            yield "the key is gone", state._replace(cells=_with_cell(state.cells, bare))


def siblings(state: State) -> Iterator[Step]:
    """Yield the lease of another key of the group, which makes a marker where there is none."""
    for cell in state.cells:
        if not cell.generation and not cell.group_fences:
            marked = cell._replace(generation=_new_generation(state))
            what = "another key of the group is leased"
            yield what, state._replace(cells=_with_cell(state.cells, marked))


def faults(scenario: Scenario, state: State) -> Iterator[Step]:
    """Yield each fault of a server, with each content it may have afterwards."""
    new = max(*state.live, *state.owners) + 1
    for content in (None, *state.kept):
        what = f"{content[1]} of epoch {content[0]}" if content else "nothing"
        if Fault.FAILOVER in scenario.kinds:
            cells = (*state.cells, *_restored(new, content))
            after = state._replace(live=(*state.live, new), cells=tuple(sorted(cells)))
            yield f"server {new} takes over, it has {what}", after
        for old in state.live:
            others = [cell for cell in state.cells if cell.server != old]
            if Fault.RESTART in scenario.kinds:
                after = state._replace(
                    live=tuple(sorted({*state.live, new} - {old})),
                    cells=tuple(sorted((*others, *_restored(new, content)))),
                    late=tuple(each for each in state.late if each.server != old),
                )
                yield f"server {old} restarts as {new}, it has {what}", after
            if Fault.RESYNC in scenario.kinds:
                cells = (*others, *_restored(old, content))
                after = state._replace(cells=tuple(sorted(cells)))
                yield f"server {old} takes over older data, it has {what}", after


def _restored(server: int, content: tuple[int, int] | None) -> tuple[Cell, ...]:
    if content is None:
        return ()
    epoch, value = content
    generation = SNAPSHOT_GENERATION
    return (Cell(server, epoch, generation, value=value, value_generation=generation),)


def new_token(state: State) -> int:
    """Return the token of a new lease, which is random in fact: the lowest that is not in use."""
    used = {cell.lease for cell in state.cells}
    used |= {reader.token for reader in state.readers}
    used |= {each.command.token for each in state.late if each.command.verb == Verb.FILL}
    return next(number for number in count(1) if number not in used)


def _new_generation(state: State) -> int:
    used = {cell.generation for cell in state.cells}
    used |= {cell.value_generation for cell in state.cells}
    used |= {reader.generation for reader in state.readers}
    used |= {each.command.generation for each in state.late}
    return next(number for number in count(1) if number not in used)


def _with_cell(cells: tuple[Cell, ...], cell: Cell) -> tuple[Cell, ...]:
    others = [each for each in cells if each[:2] != cell[:2]]
    if cell[2:] != EMPTY:
        others.append(cell)
        others.sort()
    return tuple(others)
