"""A value that is read in the background, and waited for only where it must be."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import current_app

from pegboard.background import Refreshed
from pegboard.testing.fixtures import Clock, MakeApp

EVERY = 30.0


class Source:
    """What is read: a number that the test sets, once the test lets it be read."""

    def __init__(self) -> None:
        self.value = 1
        self.times = 0
        self.error: Exception | None = None
        self.is_open = threading.Event()
        self.is_open.set()

    def __call__(self) -> int:
        """Return the number, or fail."""
        self.times += 1
        error, value = self.error, self.value
        assert self.is_open.wait(10)
        if error is not None:
            raise error
        return value


@pytest.fixture
def source():
    """What is read."""
    return Source()


@pytest.fixture
def make(make_app: MakeApp, source: Source) -> Callable[..., Refreshed[int]]:
    """Make the value of an app."""
    return lambda **options: Refreshed(make_app(), source, **{"every": EVERY, **options})


def settle(value: Refreshed[int]) -> None:
    """Wait until nothing is being read."""
    reading = value._reading
    assert reading is None or reading.wait(10)


def test_a_value_is_read_once_for_its_time(make, source):
    """Of all the requests of that time the first waits."""
    value = make()
    assert not value.is_fresh()
    assert [1, 1, 1] == [value.get() for _ in range(3)]
    assert value.is_fresh()
    assert 1 == source.times


@pytest.mark.slow
def test_an_old_value_is_used_while_the_next_is_read(make, source, clock: Clock):
    """One thread reads it, however many ask."""
    value = make()
    value.get()
    clock.advance(EVERY)
    source.value = 2
    source.is_open.clear()
    assert [1, 1, 1] == [value.get() for _ in range(3)]
    source.is_open.set()
    settle(value)
    assert (2, 2) == (value.get(), source.times)


@pytest.mark.slow
def test_a_value_that_is_too_old_is_not_used(make, source, clock: Clock):
    """As after a quiet time: the request waits for the next."""
    value = make()
    value.get()
    clock.advance(2 * EVERY)
    source.value = 2
    assert 2 == value.get()


@pytest.mark.slow
def test_a_value_stays_that_cannot_be_read_again(make, source, clock: Clock, caplog):
    """However old it gets; the log says so once, and when it is over."""
    value = make()
    value.get()
    source.error = ValueError("gone")
    for _ in range(3):
        clock.advance(10 * EVERY)
        assert 1 == value.get()
        settle(value)
    assert 4 == source.times
    assert 1 == caplog.text.count("what it last returned counts: ValueError('gone')")
    source.error, source.value = None, 2
    clock.advance(EVERY)
    value.get()
    settle(value)
    assert 2 == value.get()
    assert 1 == caplog.text.count("succeeds again")


def test_what_could_never_be_read_is_an_error(make, source):
    """That of the reading, for as long as it fails."""
    value = make()
    source.error = ValueError("gone")
    for _ in range(2):
        with pytest.raises(ValueError, match="gone"):
            value.get()
    assert not value.is_fresh()
    source.error = None
    assert 1 == value.get()


def test_a_request_does_not_wait_without_end(make, source):
    """It is a 503 where there is no value yet."""
    value = make(patience=0.01)
    source.is_open.clear()
    with pytest.raises(Exception, match="not ready yet") as refused:
        value.get()
    assert 503 == getattr(refused.value, "code", None)
    source.is_open.set()
    settle(value)
    assert 1 == value.get()


def test_a_test_waits_for_what_a_busy_machine_takes(
    make_app: MakeApp, source: Source, monkeypatch: pytest.MonkeyPatch
):
    """A service would have given up."""
    monkeypatch.setattr("pegboard.background.PATIENCE", 0.0)
    app = make_app()
    source.is_open.clear()
    with ThreadPoolExecutor() as pool:
        found = pool.submit(Refreshed(app, source, every=EVERY).get)
        app.testing = False
        with pytest.raises(Exception, match="not ready yet"):
            Refreshed(app, source, every=EVERY).get()
        source.is_open.set()
        assert 1 == found.result()


def test_a_write_of_the_process_is_seen_by_its_next_request(make, source):
    """What a reading has found that began before the write is not kept."""
    value = make()
    value.get()
    value.expire()
    source.is_open.clear()
    early = value._begin(0.0)  # has read 1
    source.value = 2
    value.expire()
    source.is_open.set()
    assert 2 == value.get()
    assert early.wait(10)
    assert 2 == value.get()


def test_without_a_time_each_request_reads(make, source):
    """As a test may want it."""
    value = make(every=0)
    found = []
    for source.value in (1, 2, 3):
        found.append(value.get())
    assert [1, 2, 3] == found


@pytest.mark.slow
def test_a_forked_process_reads_for_itself(make, source):
    """Also if a thread of its parent is reading, which it does not have."""
    value = make()
    value.get()
    value.expire()
    source.is_open.clear()
    value._begin(0.0)
    source.value = 2
    child = os.fork()
    if child == 0:
        source.is_open.set()
        os._exit(value.get())
    source.is_open.set()
    _, status = os.waitpid(child, 0)
    assert 2 == os.waitstatus_to_exitcode(status)


def test_it_is_read_in_the_context_of_its_app(make_app: MakeApp):
    """So what is read may be in the database."""
    app = make_app()
    value = Refreshed(app, lambda: current_app.name, every=EVERY)
    assert app.name == value.get()
