"""The protocol as a transition system: writers, readers, the background refresh, servers, faults.

How a long time becomes a small state:

- Each request may be in another process, so what counts is in which epochs *some* process still
  trusts: from the moment the row says so until one process has waited for longer than trust lasts.
- A reader begins at the last moment it can: when it looks or, if it looks later, when the last
  trust in the epoch ends (``State.floors``). An earlier beginning only asks less of it.
- A writer or reader that is killed, or given up, takes no more steps.
"""

from collections.abc import Iterator

from .changes import Step, trust_ended
from .forgetting import forget
from .readers import reader_steps
from .scenario import Scenario
from .servers import evictions, faults, late_steps, siblings
from .state import IDLE, NOTHING, Reading, State, Writer
from .writers import writer_steps

UNBEGUN = Writer()


class Processes(Scenario):
    """A scenario that can be explored."""

    def start(self) -> State:
        """Return the state in which nothing is cached and nobody has begun."""
        off = self.never_enabled
        return State(
            value=0,
            acknowledged=0,
            epoch=0 if off else 1,
            enabled=not off,
            owners=(NOTHING,) if off else (NOTHING, 0),
            trusted=() if off else (1,),
            floors=(0,) if off else (0, 0),
            live=(0,),
            cells=(),
            writers=(UNBEGUN,) * len(self.writers),
            readers=(IDLE,) * self.readers,
            late=(),
            kept=(),
            faults=self.faults,
        )

    def wrong(self, state: State) -> str | None:
        """Return who was given a value older than one acknowledged before it began."""
        for reader in state.readers:
            if reader.place == Reading.STALE:
                return f"{reader.floor} had been acknowledged before the reader began"
        return None

    def steps(self, state: State) -> Iterator[Step]:
        """Yield everything that may happen next."""
        for what, after in self._steps(state):
            yield what, forget(after, self.rules) if self.forgets else after

    def _steps(self, state: State) -> Iterator[Step]:
        for index, writer in enumerate(state.writers):
            if writer != UNBEGUN or self._is_first(state, index):
                yield from writer_steps(self, state, index)
        for index, reader in enumerate(state.readers):
            if reader != IDLE or IDLE not in state.readers[:index]:
                yield from reader_steps(self, state, index)
        if self.rules.epochs and self.background_refresh and not state.enabled:
            yield from self._enable(state)
        yield from late_steps(self, state)
        if self.evictions:
            yield from evictions(state)
        if self.siblings:
            yield from siblings(state)
        if state.faults:
            for what, after in faults(self, state):
                yield what, after._replace(faults=state.faults - 1)

    def _is_first(self, state: State, index: int) -> bool:
        """Whether no writer like this one, and as yet unbegun, comes before it."""
        before = zip(state.writers[:index], self.writers[:index], strict=True)
        return (UNBEGUN, self.writers[index]) not in before

    def _enable(self, state: State) -> Iterator[Step]:
        """Wait as the background refresh does, and turn caching on with any server that answers."""
        if self.rules.waits_to_enable:
            state = trust_ended(state, state.epoch)
        raised = self.rules.raises_epoch
        epoch = state.epoch + raised
        for server in state.live:
            after = state._replace(
                epoch=epoch,
                enabled=True,
                owners=(*state.owners[:epoch], server),
                trusted=tuple(sorted({*state.trusted, epoch})),
                floors=(*state.floors, 0) if raised else state.floors,
            )
            yield (
                f"the background refresh turns caching on in epoch {epoch}, server {server}",
                after,
            )
