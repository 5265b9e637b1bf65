"""The storage of one process: bounded, and no client exceeds its limit."""

import sys
import threading

from pegboard_ratelimit import Limit, Policy
from pegboard_ratelimit.counting import MemoryStorage
from pegboard_ratelimit.counting.memory import SHARED_RECORDS

LIMIT = Limit((Policy(2, 60), Policy(1, 1)))


def remembered(storage: MemoryStorage) -> int:
    """Return how many records the storage holds."""
    return sum(len(one.records) + len(one.shared) for one in storage._tables.values())


def test_a_flood_of_newcomers_frees_nobody(clock):
    """A counted client stays counted, whatever number of others comes."""
    storage = MemoryStorage(max_clients=100, clock=clock)
    counter = storage.counter("rule", LIMIT)
    counter.prepare("alice")
    for number in range(20_000):
        counter.prepare(f"flood-{number}")

    assert 100 + SHARED_RECORDS >= remembered(storage)
    assert counter.prepare("alice").wait


def test_a_newcomer_in_a_flood_has_no_more_than_the_limit(clock):
    """Not by its share of a common count first, and by a count of its own later."""
    storage = MemoryStorage(max_clients=100, clock=clock)
    counter = storage.counter("rule", Limit((Policy(5, 60),)))
    for number in range(100):
        counter.prepare(f"flood-{number}")
    clock.go(59_500_000)
    admitted = sum(not counter.prepare("alice").wait for _ in range(3))
    clock.go(1_000_000)
    for number in range(100):
        counter.prepare(f"later-{number}")
    admitted += sum(not counter.prepare("alice").wait for _ in range(20))

    assert 3 <= admitted <= 5
    clock.go(60_000_000)
    assert [0] * 5 == [counter.prepare("alice").wait for _ in range(5)]


def test_newcomers_share_what_is_left_in_a_flood(clock):
    """They are slowed, and not all by one."""
    storage = MemoryStorage(max_clients=100, clock=clock)
    counter = storage.counter("rule", Limit((Policy(1, 60),)))
    admitted = sum(not counter.prepare(f"flood-{number}").wait for number in range(20_000))

    assert 100 + SHARED_RECORDS == admitted


def test_windows_that_are_over_make_room(clock):
    """The one that was counted longest ago first; one that still counts stays."""
    storage = MemoryStorage(max_clients=100, clock=clock)
    counter = storage.counter("rule", Limit((Policy(1, 60),)))
    for number in range(100):
        counter.prepare(f"early-{number}")
    clock.go(30_000_000)
    daily = storage.counter("daily", Limit((Policy(1, 86400),)))
    clock.go(30_000_000)
    for number in range(100):
        daily.prepare(f"late-{number}")
        counter.prepare(f"later-{number}")

    assert 200 >= remembered(storage)
    assert all(daily.prepare(f"late-{number}").wait for number in range(100))


def test_a_rule_with_a_long_window_takes_no_room_from_others(clock):
    """Newcomers at another rule have a count of their own, whatever that one remembers."""
    storage = MemoryStorage(max_clients=100, clock=clock)
    daily = storage.counter("daily", Limit((Policy(5, 86400),)))
    for number in range(1000):
        daily.prepare(f"flood-{number}")
    clock.go(1_000_000)
    counter = storage.counter("rule", Limit((Policy(1, 60),)))

    assert [0] * 100 == [counter.prepare(f"client-{number}").wait for number in range(100)]


def test_looking_remembers_nobody(clock):
    """A question costs no memory."""
    storage = MemoryStorage(clock=clock)
    for number in range(100):
        storage.counter("rule", LIMIT).prepare(f"client-{number}", charge=False)

    assert 0 == remembered(storage)


def test_a_counter_that_is_made_anew_has_not_forgotten(clock):
    """A rule that is read again, or has another quota, goes on where it was."""
    storage = MemoryStorage(clock=clock)
    storage.counter("rule", Limit((Policy(1, 60),))).prepare("alice")

    assert storage.counter("rule", Limit((Policy(1, 60),))).prepare("alice").wait
    assert (3, 60) == storage.counter("rule", Limit((Policy(5, 60),))).prepare("alice").numbers
    assert (4, 60) == storage.counter("other", Limit((Policy(5, 60),))).prepare("alice").numbers


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
