"""The storage of one process: bounded, and no client exceeds its limit."""

import sys
import threading

import pytest

from pegboard_ratelimit import Limit, Policy
from pegboard_ratelimit.counting import MemoryCounter, MemoryStorage
from pegboard_ratelimit.counting.memory import SHARED_RECORDS

LIMIT = Limit((Policy(2, 60), Policy(1, 1)))


@pytest.fixture
def storage(clock):
    """A storage of the clock that remembers 100 clients of each rule."""
    return MemoryStorage(max_clients=100, clock=clock)


def remembered(storage: MemoryStorage) -> int:
    """Return how many records the storage holds."""
    return sum(len(one.records) + len(one.shared) for one in storage._tables.values())


def flood(counter: MemoryCounter, name: str, clients: int) -> int:
    """Send one request each of many clients; return how many are admitted."""
    return sum(not counter.prepare(f"{name}-{number}").wait for number in range(clients))


def test_a_flood_of_new_clients_frees_no_client(storage):
    """A counted client stays counted, whatever number of others comes."""
    counter = storage.counter("rule", LIMIT)
    counter.prepare("alice")
    flood(counter, "flood", 20_000)

    assert 100 + SHARED_RECORDS >= remembered(storage)
    assert counter.prepare("alice").wait


def test_a_new_client_in_a_flood_has_no_more_than_the_limit(storage, clock):
    """Not by its share of a common count first, and by a count of its own later."""
    counter = storage.counter("rule", Limit((Policy(5, 60),)))
    flood(counter, "flood", 100)
    clock.go(59_500_000)
    admitted = sum(not counter.prepare("alice").wait for _ in range(3))
    clock.go(1_000_000)
    flood(counter, "later", 100)
    admitted += sum(not counter.prepare("alice").wait for _ in range(20))

    assert 3 <= admitted <= 5
    clock.go(60_000_000)
    assert [0] * 5 == [counter.prepare("alice").wait for _ in range(5)]


def test_new_clients_share_what_is_left_in_a_flood(storage):
    """They are slowed, and not all by one."""
    counter = storage.counter("rule", Limit((Policy(1, 60),)))

    assert 100 + SHARED_RECORDS == flood(counter, "flood", 20_000)


def test_clients_whose_windows_are_over_are_forgotten(storage, clock):
    """The one that was counted longest ago first; one that still counts stays."""
    counter = storage.counter("rule", Limit((Policy(1, 60),)))
    flood(counter, "early", 100)
    clock.go(30_000_000)
    daily = storage.counter("daily", Limit((Policy(1, 86400),)))
    clock.go(30_000_000)
    for number in range(100):
        daily.prepare(f"late-{number}")
        counter.prepare(f"later-{number}")

    assert 200 >= remembered(storage)
    assert 0 == flood(daily, "late", 100)


def test_a_rule_with_a_long_window_takes_no_memory_from_others(storage, clock):
    """New clients of another rule have counts of their own, whatever that one remembers."""
    daily = storage.counter("daily", Limit((Policy(5, 86400),)))
    flood(daily, "flood", 1000)
    clock.go(1_000_000)
    counter = storage.counter("rule", Limit((Policy(1, 60),)))

    assert 100 == flood(counter, "client", 100)


def test_looking_remembers_no_client(storage):
    """A question costs no memory."""
    for number in range(100):
        storage.counter("rule", LIMIT).prepare(f"client-{number}", charge=False)

    assert 0 == remembered(storage)


def test_threads_do_not_overrun_the_limit():
    """By the real clock: of eight requests at once of each of many clients, three are admitted."""
    counter = MemoryStorage().counter("rule", Limit((Policy(3, 60),)))
    start = threading.Barrier(8)
    admitted: list[bool] = []

    def run() -> None:
        start.wait()
        admitted.extend(not counter.prepare(f"client-{number}").wait for number in range(500))

    threads = [threading.Thread(target=run) for _ in range(8)]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(usual)

    assert 1500 == sum(admitted)


def test_what_others_have_counted_is_counted(clock):
    """Until a window after that; counting it twice changes nothing."""
    counter = MemoryStorage(clock=clock).counter("rule", Limit((Policy(5, 60), Policy(3, 1))))
    told_at = clock()
    clock.go(500_000)
    for _ in range(2):
        counter.raise_to("alice", (2, 3), told_at)

    assert [0, 0] == [counter.prepare("alice").wait for _ in range(2)]
    assert 59_500_000 == counter.prepare("alice").wait
    clock.go(59_500_000)
    assert [0, 0, 0] == [counter.prepare("alice").wait for _ in range(3)]
    clock.go(60_000_000)
    counter.raise_to("bob", (0, 0), told_at)
    assert (4, 60, 2, 1) == counter.prepare("bob").numbers
