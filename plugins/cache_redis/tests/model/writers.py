"""What a writer does; one that is killed, or whose transaction fails, takes no more steps."""

from collections.abc import Iterator

from .changes import Step, acknowledged, trust_ended, with_writer
from .scenario import Scenario
from .servers import send
from .state import NOTHING, Command, State, Verb, Writer, Writing


def writer_steps(scenario: Scenario, state: State, index: int) -> Iterator[Step]:
    """Yield what this writer may do next."""
    writer = state.writers[index]
    who = f"writer {index + 1}"
    version = state.value + 1
    match writer.place:
        case Writing.START:
            yield from _before_commit(scenario, state, index)
        case Writing.READY:
            committed = writer._replace(place=Writing.COMMITTED, version=version)
            after = state._replace(value=version)
            yield f"{who} commits {version}", with_writer(after, index, committed)
        case Writing.DISABLING:
            waiting = Writer(Writing.WAITING, version, state.epoch)
            after = state._replace(value=version, enabled=False)
            what = f"{who} commits {version} and that caching is off"
            yield what, with_writer(after, index, waiting)
        case Writing.COMMITTED:
            yield from _after_commit(scenario, state, index)
        case Writing.RELEASING:
            yield from _release(scenario, state, index)
        case Writing.FAILED:
            waiting = writer._replace(place=Writing.WAITING, epoch=state.epoch)
            after = state._replace(enabled=False)
            yield f"{who} turns caching off", with_writer(after, index, waiting)
        case Writing.WAITING:
            until = writer.epoch if scenario.rules.waits_per_epoch else writer.epoch - 1
            after = _waited(scenario, state, index, until)
            yield f"{who} has waited, acknowledges {writer.version}", after
    if scenario.kills_oblige and Writing.COMMITTED <= writer.place < Writing.DONE:
        yield f"{who} is killed", acknowledged(trust_ended(state, state.epoch), index)


def _before_commit(scenario: Scenario, state: State, index: int) -> Iterator[Step]:
    rules = scenario.rules
    who = f"writer {index + 1}"
    if not rules.fences:
        yield f"{who} begins", with_writer(state, index, Writer(Writing.READY))
        return
    for epoch in state.trusted:
        fence = Command(Verb.FENCE, epoch, index, scenario.writers[index])
        for fate, reply, after in send(scenario, state, fence):
            if reply:
                fenced = Writer(Writing.READY, 0, 0 if rules.trusts_after_commit else epoch)
                yield f"{who} fences in epoch {epoch}", with_writer(after, index, fenced)
            else:
                unfenced = _unfenced(scenario, state)
                yield f"{who} cannot fence{fate}", with_writer(after, index, unfenced)
    was_off = not state.enabled or state.epoch > 1 or scenario.never_enabled
    if rules.epochs and was_off:
        believing = Writer(Writing.READY, 0, 0 if rules.reads_row_afresh else NOTHING)
        yield f"{who} believes that caching is off", with_writer(state, index, believing)


def _unfenced(scenario: Scenario, state: State) -> Writer:
    rules = scenario.rules
    if not rules.epochs:
        return Writer(Writing.DONE)
    if not rules.disables_with_commit:
        return Writer(Writing.READY)
    if not rules.locks_row and not state.enabled:
        return Writer(Writing.READY, 0, NOTHING)
    return Writer(Writing.DISABLING)


def _after_commit(scenario: Scenario, state: State, index: int) -> Iterator[Step]:
    """Release under an epoch that is trusted now, or wait if the row says off now.

    Without ``trusts_after_commit`` the epoch is that of the fence; NOTHING stands for a writer
    that goes by what the row said before the commit.
    """
    writer = state.writers[index]
    who = f"writer {index + 1}"
    if writer.epoch == NOTHING:
        after = _waited(scenario, state, index, state.epoch - state.enabled)
        yield f"{who} has waited, acknowledges {writer.version}", after
        return
    for epoch in (writer.epoch,) if writer.epoch else state.trusted:
        releasing = writer._replace(place=Writing.RELEASING, epoch=epoch)
        yield f"{who} trusts epoch {epoch}", with_writer(state, index, releasing)
    if not state.enabled and not writer.epoch:
        waiting = writer._replace(place=Writing.WAITING, epoch=state.epoch)
        yield f"{who} finds that caching is off", with_writer(state, index, waiting)


def _release(scenario: Scenario, state: State, index: int) -> Iterator[Step]:
    rules = scenario.rules
    writer = state.writers[index]
    who = f"writer {index + 1}"
    release = Command(Verb.RELEASE, writer.epoch, index, scenario.writers[index])
    for fate, reply, after in send(scenario, state, release):
        if reply or not rules.epochs or not rules.release_is_confirmed:
            what = f"{who} releases{fate}, acknowledges {writer.version}"
            yield what, acknowledged(after, index)
        else:
            failed = writer._replace(place=Writing.FAILED, epoch=0)
            yield f"{who} cannot release{fate}", with_writer(after, index, failed)


def _waited(scenario: Scenario, state: State, index: int, epoch: int) -> State:
    """Acknowledge after the wait."""
    waits = scenario.rules.waits_to_acknowledge
    return acknowledged(trust_ended(state, epoch) if waits else state, index)
