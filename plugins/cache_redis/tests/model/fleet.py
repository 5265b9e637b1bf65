"""The fleet: two writers, two readers, the keeper, the servers, and what can go wrong."""

from collections.abc import Iterator
from dataclasses import dataclass

from .forgetting import forget
from .rules import PROTOCOL, Rules
from .server import execute, hit
from .state import (
    EMPTY,
    IDLE,
    NOTHING,
    Cell,
    Command,
    Late,
    Reader,
    Reading,
    State,
    Verb,
    Writer,
    Writing,
)

Step = tuple[str, State]


@dataclass(frozen=True, kw_only=True)
class Fleet:
    rules: Rules = PROTOCOL
    group_writers: tuple[bool, ...] = (False, False)
    readers: int = 2
    faults: int = 0
    kinds: frozenset[str] = frozenset({"late", "restart", "failover"})
    evictions: bool = True
    kills: bool = False
    cold: bool = False
    keeper: bool = True

    def start(self) -> State:
        """Return the state everything begins in: nothing is cached."""
        return State(
            value=0,
            acknowledged=0,
            epoch=0 if self.cold else 1,
            enabled=not self.cold,
            owners=(NOTHING,) if self.cold else (NOTHING, 0),
            trusted=() if self.cold else (1,),
            floors=(0,) if self.cold else (0, 0),
            live=(0,),
            cells=(),
            writers=(Writer(),) * len(self.group_writers),
            readers=(IDLE,) * self.readers,
            late=(),
            kept=(),
            faults=self.faults,
        )

    def wrong(self, state: State) -> str | None:
        for reader in state.readers:
            if reader.place == Reading.STALE:
                return (
                    f"given {reader.value}, though {reader.floor} was acknowledged before it began"
                )
        return None

    def steps(self, state: State) -> Iterator[Step]:
        for what, after in self._steps(state):
            yield what, forget(after, self.rules)

    def _steps(self, state: State) -> Iterator[Step]:
        for index in range(len(state.writers)):
            yield from self._writer(state, index)
        for index in range(len(state.readers)):
            yield from self._reader(state, index)
        if self.rules.epochs and self.keeper and not state.enabled:
            yield from self._keeper(state)
        yield from self._late(state)
        if self.evictions:
            yield from self._evictions(state)
        if state.faults:
            yield from self._servers(state)

    # Readers

    def _reader(self, state: State, index: int) -> Iterator[Step]:
        reader = state.readers[index]
        who = f"reader {index + 1}"
        match reader.place:
            case Reading.IDLE:
                yield from self._look_up(state, index)
                for epoch in state.trusted:
                    if self.rules.leases and self.rules.reads_after_lease:
                        yield from self._lease(state, index, epoch)
                    else:
                        read = Reader(Reading.UNLEASED, epoch, value=state.value)
                        yield f"{who} reads {state.value}", _with_reader(state, index, read)
            case Reading.UNLEASED if self.rules.leases:
                yield from self._lease(state, index, reader.epoch)
            case Reading.LEASED:
                read = reader._replace(place=Reading.READ, value=state.value)
                yield f"{who} reads {state.value}", _with_reader(state, index, read)
            case Reading.UNLEASED | Reading.READ:
                fill = Command(
                    Verb.FILL, reader.epoch, reader.token, False, reader.generation, reader.value
                )
                for fate, reply, after in self._send(state, fill):
                    verb = "fills" if reply else "does not fill"
                    yield f"{who} {verb} {reader.value}{fate}", _with_reader(after, index, IDLE)

    def _look_up(self, state: State, index: int) -> Iterator[Step]:
        for cell in state.cells:
            value = hit(cell, self.rules)
            floor = state.floor(cell.epoch)
            if (
                value != NOTHING
                and value < floor
                and self._is_believed(state, cell.server, cell.epoch)
            ):
                stale = Reader(Reading.STALE, cell.epoch, floor, value=value)
                yield f"reader {index + 1} is given {value}", _with_reader(state, index, stale)

    def _lease(self, state: State, index: int, epoch: int) -> Iterator[Step]:
        reader = state.readers[index]
        token = _new_token(state)
        place = Reading.READ if reader.place == Reading.UNLEASED else Reading.LEASED
        for server in state.live:
            reply, after = self._execute(state, server, Command(Verb.LEASE, epoch, token))
            if reply and self._is_believed(state, server, epoch):
                leased = Reader(place, epoch, 0, token, reply, reader.value)
                yield f"reader {index + 1} takes a lease", _with_reader(after, index, leased)
            else:
                yield f"reader {index + 1} gets no lease", _with_reader(after, index, IDLE)

    # Writers

    def _writer(self, state: State, index: int) -> Iterator[Step]:
        rules = self.rules
        writer = state.writers[index]
        who = f"writer {index + 1}"
        match writer.place:
            case Writing.START:
                yield from self._fence(state, index)
            case Writing.READY:
                version = state.value + 1
                committed = writer._replace(place=Writing.COMMITTED, version=version)
                after = state._replace(value=version)
                yield f"{who} commits {version}", _with_writer(after, index, committed)
            case Writing.DISABLING:
                version = state.value + 1
                waiting = Writer(Writing.WAITING, version, state.epoch)
                after = state._replace(value=version, enabled=False)
                what = f"{who} commits {version} and turns caching off"
                yield what, _with_writer(after, index, waiting)
            case Writing.COMMITTED:
                yield from self._check(state, index)
            case Writing.RELEASING:
                release = Command(Verb.RELEASE, writer.epoch, index, self.group_writers[index])
                for fate, reply, after in self._send(state, release):
                    if reply or not rules.epochs or not rules.release_is_confirmed:
                        yield f"{who} releases{fate}, acknowledges", _acknowledged(after, index)
                    else:
                        failed = writer._replace(place=Writing.FAILED, epoch=0)
                        yield f"{who} cannot release{fate}", _with_writer(after, index, failed)
            case Writing.FAILED:
                waiting = writer._replace(place=Writing.WAITING, epoch=state.epoch)
                after = state._replace(enabled=False)
                yield f"{who} turns caching off", _with_writer(after, index, waiting)
            case Writing.WAITING:
                until = writer.epoch if rules.waits_per_epoch else writer.epoch - 1
                yield f"{who} has waited, acknowledges", self._waited(state, index, until)
        if self.kills and Writing.COMMITTED <= writer.place < Writing.DONE:
            yield f"{who} is killed", self._waited(state, index, state.epoch)

    def _fence(self, state: State, index: int) -> Iterator[Step]:
        rules = self.rules
        who = f"writer {index + 1}"
        ready = _with_writer(state, index, Writer(Writing.READY))
        if not rules.fences:
            yield f"{who} starts", ready
            return
        for epoch in state.trusted:
            fence = Command(Verb.FENCE, epoch, index, self.group_writers[index])
            for fate, reply, after in self._send(state, fence):
                if reply:
                    kept = 0 if rules.trusts_after_commit else epoch
                    fenced = Writer(Writing.READY, 0, kept)
                    yield f"{who} fences in epoch {epoch}", _with_writer(after, index, fenced)
                else:
                    place = self._unfenced(state)
                    yield f"{who} cannot fence{fate}", _with_writer(after, index, place)
        if rules.epochs and (not state.enabled or state.epoch > 1 or self.cold):
            believed = Writer(Writing.READY, 0, 0 if rules.reads_row_afresh else NOTHING)
            yield f"{who} believes caching is off", _with_writer(state, index, believed)

    def _unfenced(self, state: State) -> Writer:
        if not self.rules.epochs:
            return Writer(Writing.DONE)
        if not self.rules.disables_with_commit:
            return Writer(Writing.READY)
        if not self.rules.locks_row and not state.enabled:
            return Writer(Writing.READY, 0, NOTHING)
        return Writer(Writing.DISABLING)

    def _check(self, state: State, index: int) -> Iterator[Step]:
        writer = state.writers[index]
        who = f"writer {index + 1}"
        if writer.epoch == NOTHING:
            until = state.epoch - state.enabled
            yield f"{who} has waited, acknowledges", self._waited(state, index, until)
            return
        for epoch in (writer.epoch,) if writer.epoch else state.trusted:
            releasing = writer._replace(place=Writing.RELEASING, epoch=epoch)
            yield f"{who} is to release in epoch {epoch}", _with_writer(state, index, releasing)
        if not state.enabled and not writer.epoch:
            waiting = writer._replace(place=Writing.WAITING, epoch=state.epoch)
            yield f"{who} finds caching off", _with_writer(state, index, waiting)

    def _waited(self, state: State, index: int, epoch: int) -> State:
        if self.rules.waits_to_acknowledge:
            state = _trust_ended(state, epoch)
        return _acknowledged(state, index)

    # The keeper

    def _keeper(self, state: State) -> Iterator[Step]:
        if self.rules.waits_to_enable:
            state = _trust_ended(state, state.epoch)
        for server in state.live:
            if self.rules.raises_epoch:
                epoch = state.epoch + 1
                owners = (*state.owners, server)
                floors = (*state.floors, 0)
            else:
                epoch = state.epoch
                owners = (*state.owners[:-1], server)
                floors = state.floors
            trusted = tuple(sorted({*state.trusted, epoch}))
            yield (
                f"the keeper turns caching on in epoch {epoch}, server {server}",
                state._replace(
                    epoch=epoch, enabled=True, owners=owners, trusted=trusted, floors=floors
                ),
            )

    # Servers

    def _is_believed(self, state: State, server: int, epoch: int) -> bool:
        return not self.rules.checks_servers or state.owners[epoch] == server

    def _send(self, state: State, command: Command) -> Iterator[tuple[str, int, State]]:
        """Every fate of a command, with its reply (0: none, or none to be believed)."""
        for server in state.live:
            reply, after = self._execute(state, server, command)
            if self._is_believed(state, server, command.epoch):
                yield "", reply, after
            else:
                yield f" (server {server})", 0, after
            if state.faults and "late" in self.kinds:
                late = tuple(sorted((*state.late, Late(server, command))))
                yield " (no answer)", 0, state._replace(late=late, faults=state.faults - 1)

    def _late(self, state: State) -> Iterator[Step]:
        for index, (server, command) in enumerate(state.late):
            _, after = self._execute(state, server, command)
            late = state.late[:index] + state.late[index + 1 :]
            what = f"server {server} executes the late {command.verb.name}"
            yield what, after._replace(late=late)

    def _execute(self, state: State, server: int, command: Command) -> tuple[int, State]:
        old = _cell(state, server, command.epoch)
        new_generation = _new_generation(state) if command.verb == Verb.LEASE else 0
        reply, cell = execute(old, command, self.rules, new_generation)
        kept = state.kept
        if cell == old:
            return reply, state
        if cell.value != NOTHING and state.faults and self.kinds - {"late"}:
            kept = tuple(sorted({*kept, (cell.epoch, cell.value)}))
        return reply, state._replace(cells=_with_cell(state.cells, cell), kept=kept)

    def _evictions(self, state: State) -> Iterator[Step]:
        for cell in state.cells:
            if cell.generation or cell.group_fences:
                after = _with_cell(state.cells, cell._replace(generation=0, group_fences=()))
                yield "the marker is gone", state._replace(cells=after)
            if cell.value != NOTHING or cell.lease or cell.fences:
                after = _with_cell(
                    state.cells,
                    Cell(cell.server, cell.epoch, cell.generation, cell.group_fences),
                )
                yield "the key is gone", state._replace(cells=after)

    def _servers(self, state: State) -> Iterator[Step]:
        new = max((*state.live, *state.owners)) + 1
        left = state.faults - 1
        for content in (None, *state.kept):
            what = f"epoch {content[0]}'s {content[1]}" if content else "nothing"

            def holding(server: int, content=content) -> tuple[Cell, ...]:
                if content is None:
                    return ()
                epoch, value = content
                return (Cell(server, epoch, 1, (), value, 1),)

            if "failover" in self.kinds:
                yield (
                    f"server {new} takes over with {what}; the old one still answers",
                    state._replace(
                        live=(*state.live, new),
                        cells=tuple(sorted((*state.cells, *holding(new)))),
                        faults=left,
                    ),
                )
            for old in state.live:
                others = tuple(cell for cell in state.cells if cell.server != old)
                if "restart" in self.kinds:
                    yield (
                        f"server {old} comes back as {new} with {what}",
                        state._replace(
                            live=tuple(sorted({*state.live, new} - {old})),
                            cells=tuple(sorted((*others, *holding(new)))),
                            late=tuple(each for each in state.late if each.server != old),
                            faults=left,
                        ),
                    )
                if "resync" in self.kinds:
                    yield (
                        f"server {old} takes over older data: {what}",
                        state._replace(
                            cells=tuple(sorted((*others, *holding(old)))),
                            faults=left,
                        ),
                    )


def _with_reader(state: State, index: int, reader: Reader) -> State:
    readers = (*state.readers[:index], reader, *state.readers[index + 1 :])
    return state._replace(readers=readers)


def _with_writer(state: State, index: int, writer: Writer) -> State:
    writers = (*state.writers[:index], writer, *state.writers[index + 1 :])
    return state._replace(writers=writers)


def _acknowledged(state: State, index: int) -> State:
    version = max(state.acknowledged, state.writers[index].version)
    return _with_writer(state, index, Writer(Writing.DONE))._replace(acknowledged=version)


def _trust_ended(state: State, epoch: int) -> State:
    current = state.epoch if state.enabled else NOTHING
    ended = [each for each in state.trusted if each <= epoch and each != current]
    if not ended:
        return state
    trusted = tuple(each for each in state.trusted if each not in ended)
    floors = tuple(state.acknowledged if e in ended else f for e, f in enumerate(state.floors))
    return state._replace(trusted=trusted, floors=floors)


def _cell(state: State, server: int, epoch: int) -> Cell:
    for cell in state.cells:
        if cell.server == server and cell.epoch == epoch:
            return cell
    return Cell(server, epoch)


def _with_cell(cells: tuple[Cell, ...], cell: Cell) -> tuple[Cell, ...]:
    others = [each for each in cells if each[:2] != cell[:2]]
    if cell[2:] != EMPTY:
        others.append(cell)
        others.sort()
    return tuple(others)


def _new_generation(state: State) -> int:
    used = {cell.generation for cell in state.cells}
    used |= {cell.value_generation for cell in state.cells}
    used |= {reader.generation for reader in state.readers}
    used |= {each.command.generation for each in state.late}
    return next(number for number in range(1, 99) if number not in used)


def _new_token(state: State) -> int:
    used = {cell.lease for cell in state.cells}
    used |= {reader.token for reader in state.readers}
    used |= {each.command.token for each in state.late if each.command.verb == Verb.FILL}
    return next(number for number in range(1, 99) if number not in used)
