"""What a process knows of the row, by a clock that the test moves."""

import logging
import time
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import delete, select, text
from sqlalchemy.exc import InternalError

import pegboard
from pegboard.migrations import downgrade, upgrade
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import run_python, wait_until
from pegboard_cache_redis.cache.epoch import DISABLE, TRUST, WAIT, EpochStore
from pegboard_cache_redis.models import table

from .conftest import Clock, read_row, write_row


@pytest.fixture
def app(make_app: MakeApp, redis_url: str, database_url: str) -> Iterator[Flask]:
    """An app whose cache has never been on, its context active."""
    app = make_app(plugins=["cache_redis"], DATABASE_URL=database_url, REDIS_URL=redis_url)
    with app.app_context():
        yield app


def test_a_write_outwaits_trust_and_is_acknowledged_in_time():
    """Clocks may differ by a twentieth; of the 2.5 s of a write, a third is left for its work."""
    assert TRUST * 1.05 <= WAIT
    assert WAIT <= 2.5 * 2 / 3


def test_what_was_read_is_trusted_for_a_while(epochs: EpochStore, clock: Clock):
    """And not a moment longer."""
    assert epochs.trusted() is None
    state = epochs.refresh()
    clock.now += TRUST - 0.001
    assert state is epochs.trusted()
    clock.now += 0.001
    assert epochs.trusted() is None


def test_trust_counts_from_before_the_question(epochs: EpochStore, clock: Clock):
    """The row may have been changed right after the database looked."""
    epochs.note(1, enabled=True, servers="a", read_at=clock.now - TRUST + 0.5)
    clock.now += 0.5
    assert epochs.trusted() is None


def test_an_older_answer_does_not_replace_a_newer(epochs: EpochStore, clock: Clock):
    """Two threads read at once, and the slower is heard last."""
    newer = epochs.note(1, enabled=False, servers="a", read_at=clock.now)
    assert newer is epochs.note(1, enabled=True, servers="a", read_at=clock.now - 0.1)
    assert newer is epochs.trusted()


def test_the_row_is_read_when_what_is_known_has_aged(epochs: EpochStore, clock: Clock):
    """And only then."""
    epochs.refresh()
    write_row(epoch=4, enabled=True)
    current = epochs.current()
    assert current
    assert 0 == current.epoch
    clock.now += TRUST
    current = epochs.current()
    assert current
    assert (4, True) == (current.epoch, current.enabled)


@pytest.mark.slow
def test_a_cache_that_was_never_on_is_turned_on_at_once(epochs: EpochStore):
    """Nobody can have cached anything."""
    epochs.refresh()
    epochs.enable(frozenset({"b", "a"}))
    assert (True, "pb:1@a pb:1@b") == read_row()[1:]
    state = epochs.trusted()
    assert state
    assert frozenset({"a", "b"}) == state.servers


@pytest.mark.slow
def test_no_epoch_comes_back(epochs: EpochStore, clock: Clock):
    """Even when the table was dropped and created anew, with what Redis holds still there."""
    write_row(epoch=5, enabled=False)
    epochs.refresh()
    clock.now += WAIT
    before = int(time.time())
    epochs.enable(frozenset({"a"}))
    assert before <= read_row()[0] <= time.time()
    write_row(epoch=2**40, enabled=False)
    epochs.refresh()
    clock.now += WAIT
    epochs.enable(frozenset({"a"}))
    assert 2**40 + 1 == read_row()[0]


def test_it_is_turned_on_again_when_nobody_trusts_the_former_epoch(
    epochs: EpochStore, clock: Clock
):
    """Since this process first knew it to be off, however often it has looked since."""
    write_row(epoch=1, enabled=False)
    epochs.refresh()
    clock.now += 1.0
    epochs.refresh()
    clock.now += WAIT - 1.001
    epochs.enable(frozenset({"a"}))
    assert (False, False) == (epochs.may_enable, read_row()[1])
    clock.now += 0.001
    assert epochs.may_enable
    epochs.enable(frozenset({"a"}))
    assert (True, "pb:1@a") == read_row()[1:]


def test_two_processes_turn_it_on_once(new_epochs: Callable[[], EpochStore], clock: Clock):
    """The one who comes second finds another epoch."""
    write_row(epoch=1, enabled=False)
    first, second = new_epochs(), new_epochs()
    first.refresh()
    second.refresh()
    clock.now += WAIT
    first.enable(frozenset({"a"}))
    epoch = read_row()[0]
    second.enable(frozenset({"b"}))
    assert (epoch, True, "pb:1@a") == read_row()
    state = second.trusted()
    assert state
    assert (epoch, True) == (state.epoch, state.enabled)


def test_an_epoch_that_came_and_went_is_waited_out_anew(epochs: EpochStore, clock: Clock):
    """That it was off before says nothing: another process may trust the epoch between."""
    write_row(epoch=1, enabled=False)
    epochs.refresh()
    clock.now += 10.0
    write_row(epoch=2)
    epochs.refresh()
    assert clock.now + WAIT == epochs.trust_ends_at


def test_who_turns_it_off_waits_from_then_on(epochs: EpochStore, clock: Clock):
    """And others learn it from the row."""
    write_row(epoch=1, enabled=True, servers="a")
    epochs.refresh()
    clock.now += 1.0
    epochs.disable()
    assert (1, False, "a") == read_row()
    assert clock.now + WAIT == epochs.trust_ends_at
    trusted = epochs.trusted()
    assert trusted
    assert not trusted.enabled


def test_who_turns_it_off_has_the_row_to_himself(app: Flask):
    """Even if it was off already: nobody turns it on before his transaction has ended."""
    write_row(epoch=1, enabled=False, servers="a")
    with pegboard.db.engine.begin() as connection:
        assert 1 == connection.execute(DISABLE).rowcount
        assert connection.scalar(select(table.columns.updated_at))


def test_a_row_that_was_never_there_keeps_nobody_waiting(epochs: EpochStore):
    """The migrations have not run yet."""
    table.drop(pegboard.db.engine)
    assert epochs.current() is None
    assert epochs.is_missing
    assert 0.0 == epochs.moment_if_missing()


@pytest.mark.parametrize("drop", [True, False])
def test_a_row_that_vanished_is_trusted_by_others_for_a_while(
    epochs: EpochStore, clock: Clock, *, drop: bool
):
    """The plugin's data were removed while it served."""
    write_row(epoch=1, enabled=True)
    epochs.refresh()
    if drop:
        table.drop(pegboard.db.engine)
    else:
        with pegboard.db.engine.begin() as connection:
            connection.execute(delete(table))
    clock.now += TRUST
    assert epochs.current() is None
    vanished_at, clock.now = clock.now, clock.now + 1.0
    assert vanished_at + WAIT == epochs.moment_if_missing()


def test_a_row_that_came_to_be_is_known(epochs: EpochStore):
    """The migrations ran while a writer had its transaction open."""
    table.drop(pegboard.db.engine)
    epochs.refresh()
    table.create(pegboard.db.engine)
    with pegboard.db.engine.begin() as connection:
        connection.execute(table.insert().values(id=1))
    assert epochs.moment_if_missing() is None


def test_a_database_that_does_not_answer_is_reported_and_nothing_is_trusted(
    epochs: EpochStore,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    """That is no table missing."""

    def refuse(*_: object) -> None:
        raise sqlite_or_not

    sqlite_or_not = pegboard.db.engine.dialect.loaded_dbapi.OperationalError("gone")
    epochs.refresh()
    clock.now += TRUST
    monkeypatch.setattr(pegboard.db.engine.dialect, "do_execute", refuse)
    with caplog.at_level(logging.WARNING):
        assert epochs.current() is None
        assert epochs.current() is None
    assert not epochs.is_missing
    assert ["the state of the cache cannot be read: gone"] == caplog.messages


def test_a_database_that_does_not_answer_is_reported_once_a_minute(
    epochs: EpochStore,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    """And at once when it answered in between."""

    def fails(times: int) -> int:
        with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
            patch.setattr(pegboard.db.engine.dialect, "do_execute", refuse)
            for _ in range(times):
                epochs.refresh()
        count = len(caplog.messages)
        caplog.clear()
        return count

    def refuse(*_: object) -> None:
        raise error

    error = pegboard.db.engine.dialect.loaded_dbapi.OperationalError("gone")
    assert 1 == fails(3)
    clock.now += 59
    assert 0 == fails(3)
    clock.now += 1
    assert 1 == fails(3)
    epochs.refresh()
    assert 1 == fails(3)


FORK = """
import os, sys
import pegboard
from pegboard_cache_redis.cache.epoch import EpochStore
app = pegboard.create_app({"ENV": "testing", "DATABASE_URL": sys.argv[1]}, plugins=[])
with app.app_context():
    epochs = EpochStore(pegboard.db.engine, "pb:1")
    first = epochs.refresh()
    with epochs._reading, epochs._lock:
        child = os.fork()
        if not child:
            os._exit(0 if epochs.refresh() and epochs.refresh() else 1)
    mine = [epochs.refresh() for _ in range(100)]
    assert os.waitpid(child, 0)[1] == 0
    assert all(mine)
"""


@pytest.mark.slow
def test_a_forked_process_reads_on_a_connection_of_its_own(app: Flask, database_url: str):
    """Nor does it wait for what a thread of its parent has locked."""
    run_python(FORK, database_url)


def test_servers_of_processes_that_make_other_keys_are_not_known(app: Flask):
    """Another prefix or another form: neither would forget what the other has cached."""
    write_row(epoch=1, enabled=True, servers="pb:1@a other:1@a pb:2@a")
    states = [EpochStore(pegboard.db.engine, keys).refresh() for keys in ("pb:1", "new:1")]
    assert [{"a"}, set()] == [set(state.servers) for state in states if state]


def connections() -> set[int]:
    """Return the process ids of the connections to the database, this one excepted."""
    query = text(
        "SELECT pid FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pegboard.db.engine.connect() as connection:
        return set(connection.scalars(query))


def test_its_connections_to_a_read_only_server_are_given_up_with_those_of_the_app(
    make_app: MakeApp, redis_url: str, postgres_url: str
):
    """Else it would go on reading the old primary, where the row never changes again."""
    app = make_app(plugins=["cache_redis"], DATABASE_URL=postgres_url, REDIS_URL=redis_url)
    with app.app_context():
        epochs = EpochStore(pegboard.db.engine, "pb:1")
        assert epochs.refresh()
        before = connections()
        assert before
        with pegboard.db.engine.connect() as connection:
            connection.execute(text("SET default_transaction_read_only = on"))
            connection.commit()
            with pytest.raises(InternalError, match="read-only"):
                connection.execute(DISABLE)

        wait_until(lambda: before.isdisjoint(connections()), "the connections are closed")
        assert epochs.refresh()


def test_the_downgrade_to_base_drops_the_table(
    make_app: MakeApp, redis_url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    """Its commit is fenced, too, though the state that it drops can no longer be read."""
    monkeypatch.setattr("pegboard_cache_redis.cache.epoch.WAIT", 0.0)
    app = make_app(
        plugins=["cache_redis"],
        DATABASE_URL=postgres_url,
        REDIS_URL=redis_url,
        DATABASE_LOCK_TIMEOUT=0.1,
    )
    downgrade(app, "cache_redis", "base")
    upgrade(app)
    with app.app_context():
        assert not read_row()[1]
