"""Changes of a state that more than one makes."""

from .state import NOTHING, Reader, State, Writer, Writing

Step = tuple[str, State]
"""What happens, and the state after it."""


def with_reader(state: State, index: int, reader: Reader) -> State:
    """Return the state with this reader."""
    readers = (*state.readers[:index], reader, *state.readers[index + 1 :])
    return state._replace(readers=readers)


def with_writer(state: State, index: int, writer: Writer) -> State:
    """Return the state with this writer."""
    writers = (*state.writers[:index], writer, *state.writers[index + 1 :])
    return state._replace(writers=writers)


def acknowledged(state: State, index: int) -> State:
    """Return the state in which a client was told that this writer's version is saved."""
    version = max(state.acknowledged, state.writers[index].version)
    return with_writer(state, index, Writer(Writing.DONE))._replace(acknowledged=version)


def trust_ended(state: State, epoch: int) -> State:
    """Return the state in which no process trusts an epoch up to this one.

    This is what waiting for longer than the trust lasts amounts to. While the row says on, its
    epoch is trusted anew at once.
    """
    current = state.epoch if state.enabled else NOTHING
    ended = [each for each in state.trusted if each <= epoch and each != current]
    if not ended:
        return state
    trusted = tuple(each for each in state.trusted if each not in ended)
    floors = tuple(
        state.acknowledged if each in ended else floor for each, floor in enumerate(state.floors)
    )
    return state._replace(trusted=trusted, floors=floors)
