"""What a reader does, again and again."""

from collections.abc import Iterator

from .changes import Step, with_reader
from .scenario import Scenario
from .server import hit
from .servers import carry_out, is_believed, new_token, send
from .state import IDLE, NOTHING, Command, Reader, Reading, State, Verb


def reader_steps(scenario: Scenario, state: State, index: int) -> Iterator[Step]:
    """Yield what this reader may do next.

    A miss need not be modelled: it changes nothing, and a lease may be asked for without it.
    Nor need what a reader answers after it read the database, which cannot be stale.
    """
    rules = scenario.rules
    reader = state.readers[index]
    who = f"reader {index + 1}"
    match reader.place:
        case Reading.IDLE:
            yield from _look_up(scenario, state, index)
            for epoch in state.trusted:
                if rules.leases and rules.reads_after_lease:
                    yield from _lease(scenario, state, index, epoch)
                else:
                    read = Reader(Reading.UNLEASED, epoch, value=state.value)
                    yield f"{who} reads {state.value}", with_reader(state, index, read)
        case Reading.UNLEASED if rules.leases:
            yield from _lease(scenario, state, index, reader.epoch)
        case Reading.LEASED:
            read = reader._replace(place=Reading.READ, value=state.value)
            yield f"{who} reads {state.value}", with_reader(state, index, read)
        case Reading.UNLEASED | Reading.READ:
            _, epoch, _, token, generation, value = reader
            fill = Command(Verb.FILL, epoch, token, generation=generation, value=value)
            for fate, reply, after in send(scenario, state, fill):
                did = "fills" if reply else "does not fill"
                yield f"{who} {did} {value}{fate}", with_reader(after, index, IDLE)


def _look_up(scenario: Scenario, state: State, index: int) -> Iterator[Step]:
    """Begin as late as can be, and look: only who is given something stale is of interest."""
    for cell in state.cells:
        floor = state.floor(cell.epoch)
        value = hit(cell, scenario.rules)
        if NOTHING < value < floor and is_believed(scenario, state, cell.server, cell.epoch):
            stale = Reader(Reading.STALE, cell.epoch, floor, value=value)
            yield f"reader {index + 1} is given {value}", with_reader(state, index, stale)


def _lease(scenario: Scenario, state: State, index: int, epoch: int) -> Iterator[Step]:
    """Ask for a lease; that one is executed late is left out, for it has no reader."""
    reader = state.readers[index]
    who = f"reader {index + 1}"
    lease = Command(Verb.LEASE, epoch, new_token(state))
    place = Reading.READ if reader.place == Reading.UNLEASED else Reading.LEASED
    for server in state.live:
        reply, after = carry_out(scenario, state, server, lease)
        if reply and is_believed(scenario, state, server, epoch):
            leased = Reader(place, epoch, 0, lease.token, reply, reader.value)
            yield f"{who} takes a lease", with_reader(after, index, leased)
        elif reader != IDLE or after != state:
            yield f"{who} gets no lease", with_reader(after, index, IDLE)
