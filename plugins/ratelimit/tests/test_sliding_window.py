"""The window's promise, in the process and in Redis, against an exact count of all requests."""

import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from pegboard_ratelimit import Limit, Policy, Verdict
from pegboard_ratelimit.counting import MemoryStorage
from pegboard_ratelimit.counting.redis import RedisCounter, window_source

HUGE = 64 * 1024**2

Ask = Callable[..., Verdict]
"""Asks for a client under a limit, charged or not."""


@dataclass
class Naive:
    """Remembers every admitted request."""

    limit: Limit
    admitted: list[int] = field(default_factory=list)

    def count(self, since: int) -> int:
        """Return how many were admitted after that time."""
        return sum(1 for time in self.admitted if time > since)

    def check(self, now: int, verdict: Verdict) -> None:
        """Check one verdict: never too many, and never too few by more than a grain."""
        for policy in self.limit.policies:
            counted = self.count(now - policy.span)
            if not verdict.wait:
                assert counted < policy.quota
        if verdict.wait:
            assert any(
                self.count(now - policy.span - policy.grain) >= policy.quota
                for policy in self.limit.policies
            )
        else:
            self.admitted.append(now)


def in_process(clock: Any) -> Ask:
    """Ask the storage of a process."""
    storage = MemoryStorage(clock=clock)

    def ask(client: str, limit: Limit, *, charge: bool = True) -> Verdict:
        return storage.counter("rule", limit).prepare(client, charge=charge)

    return ask


def in_redis(clock: Any, redis: Redis) -> Ask:
    """Ask the script, whose clock is the test's and whose keys do not expire meanwhile."""
    source = window_source()
    for old, new in (
        ("redis.call('TIME')", "{ARGV[#ARGV - 1], ARGV[#ARGV]}"),
        ("for i = 2, #ARGV, 3 do", "for i = 2, #ARGV - 2, 3 do"),
        ("math.ceil(longest / 1000)", "3600000"),
    ):
        assert 1 == source.count(old)
        source = source.replace(old, new)
    script = redis.register_script(source)

    def ask(client: str, limit: Limit, *, charge: bool = True) -> Verdict:
        arguments: list[int] = [int(charge)]
        for terms in limit.terms:
            arguments += terms
        value: Any = script([f"test:{client}"], [*arguments, *divmod(clock.now, 1_000_000)])
        return RedisCounter("pegboard", "rule", limit).complete(value)

    return ask


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client of an empty Redis."""
    with closing(Redis.from_url(redis_url)) as client:
        yield client


@pytest.fixture(params=["process", "redis"])
def ask(request: pytest.FixtureRequest, clock: Any) -> Ask:
    """Ask one of the two storages."""
    if request.param == "process":
        return in_process(clock)
    return in_redis(clock, request.getfixturevalue("redis"))


policies = st.builds(
    Policy,
    quota=st.integers(1, 8) | st.integers(49, 60) | st.just(10**9),
    window=st.integers(1, 5) | st.sampled_from([60, 86400]),
)
limits = st.lists(policies, min_size=1, max_size=3, unique_by=lambda one: one.window).map(
    lambda found: Limit(tuple(found))
)


@st.composite
def bursts(draw: st.DrawFn) -> tuple[Limit, list[tuple[int, int]]]:
    """Draw a limit, and requests that come at times which matter to it."""
    limit = draw(limits)
    edges = {0, 1, 1000, 40_000}
    for policy in limit.policies:
        for time in (policy.span, policy.grain, policy.span - policy.grain, policy.span // 3):
            edges |= {time - 1, time, time + 1}
    gaps = st.sampled_from(sorted(edge for edge in edges if edge >= 0)) | st.integers(0, 6_000_000)
    return limit, draw(st.lists(st.tuples(gaps, st.integers(1, 30)), max_size=25))


@pytest.mark.slow
@given(bursts())
@settings(max_examples=300)
def test_a_process_never_admits_more_than_the_limit(new_clock, drawn):
    """In any window, for any timing and several policies; nor less, but for a grain."""
    limit, timing = drawn
    clock = new_clock()
    ask, naive = in_process(clock), Naive(limit)
    for gap, count in timing:
        clock.go(gap)
        for _ in range(count):
            naive.check(clock.now, ask("alice", limit))


def agreed(process: Ask, script: Ask, limit: Limit) -> Verdict:
    """Return what both say of a request, to the last number, whether charged or only looked at."""
    assert process("a", limit, charge=False) == script("a", limit, charge=False)
    verdict = script("a", limit)
    assert process("a", limit) == verdict
    return verdict


@pytest.mark.slow
@given(bursts())
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_redis_admits_what_a_process_admits(redis, new_clock, drawn):
    """Each verdict, each number, whether charged or only looked at; so the promise is the same."""
    limit, timing = drawn
    clock = new_clock()
    redis.flushdb()
    process, script, naive = in_process(clock), in_redis(clock, redis), Naive(limit)
    for gap, count in timing:
        clock.go(gap)
        for _ in range(count):
            naive.check(clock.now, agreed(process, script, limit))


@pytest.mark.slow
@given(st.lists(bursts(), min_size=2, max_size=4))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_limit_that_changes_admits_no_more(redis, new_clock, drawn):
    """In no window that an unchanged limit, or a longer window, was counted for all the time.

    In Redis as in a process, to the last number.
    """
    clock = new_clock()
    redis.flushdb()
    process, script = in_process(clock), in_redis(clock, redis)
    admitted: list[int] = []
    known = min(limit.span for limit, _ in drawn)
    for limit, timing in drawn:
        kept = Limit(tuple(one for one in limit.policies if one.span <= known))
        naive = Naive(kept, admitted)
        for gap, count in timing:
            clock.go(gap)
            for _ in range(count):
                verdict = agreed(process, script, limit)
                if not verdict.wait:
                    naive.check(clock.now, verdict)


@pytest.mark.slow
@given(bursts())
@settings(max_examples=100)
def test_a_refusal_says_exactly_how_long_it_holds(new_clock, drawn):
    """Not a microsecond sooner is the client admitted, and not one later."""
    limit, timing = drawn
    clock = new_clock()
    ask = in_process(clock)
    for gap, count in timing:
        clock.go(gap)
        for _ in range(count):
            ask("alice", limit)
    if wait := ask("alice", limit, charge=False).wait:
        clock.go(wait - 1)
        assert 1 == ask("alice", limit, charge=False).wait
        clock.go(1)
        assert 0 == ask("alice", limit, charge=False).wait


def test_bursts_across_an_edge_find_no_gap(ask, clock):
    """Limit 10 per 2 s: ten at the end of one second, ten at the start of the next."""
    limit = Limit((Policy(10, 2),))
    clock.go(1_990_000)
    first = [ask("alice", limit).wait for _ in range(10)]
    clock.go(20_000)
    second = [ask("alice", limit).wait for _ in range(10)]

    assert [0] * 10 == first
    assert [1_980_000] * 10 == second


def test_what_one_policy_refuses_no_policy_counts(ask, clock):
    """Two policies, the second refuses: the first is not charged."""
    limit = Limit((Policy(100, 60), Policy(2, 1)))
    verdicts = [ask("alice", limit) for _ in range(5)]

    assert [0, 0, 1_000_000, 1_000_000, 1_000_000] == [verdict.wait for verdict in verdicts]
    assert (98, 60, 0, 1) == verdicts[-1].numbers
    clock.go(1_000_000)
    assert (97, 60, 1, 1) == ask("alice", limit).numbers


def test_looking_changes_nothing(ask):
    """However often."""
    limit = Limit((Policy(3, 60), Policy(2, 1)))
    looked = {ask("alice", limit, charge=False) for _ in range(10)}

    assert {Verdict(0, (3, 60, 2, 1))} == looked
    assert (2, 60, 1, 1) == ask("alice", limit).numbers


def test_a_steady_client_below_the_limit_is_never_refused(ask, clock):
    """Although its requests follow each other so closely that they are counted in runs."""
    limit = Limit((Policy(55, 60),))
    refused = 0
    for _ in range(300):
        refused += bool(ask("alice", limit).wait)
        clock.go(60_000_000 * 51 // 50 // 54)

    assert 0 == refused


@pytest.mark.parametrize("quota", [51, 10**6, 10**9])
def test_the_largest_quotas_and_windows_are_exact_at_their_edge(ask, clock, quota):
    """A million requests in a day take no more memory than a hundred in a minute."""
    limit = Limit((Policy(quota, 86400),))
    assert [quota - 1 - n for n in range(51)] == [ask("alice", limit).numbers[0] for _ in range(51)]
    clock.go(86_400_000_000 - 1)
    assert quota - 51 == ask("alice", limit, charge=False).numbers[0]
    clock.go(1)
    assert quota == ask("alice", limit, charge=False).numbers[0]


def test_a_smaller_quota_holds_for_what_was_counted_before(ask, clock):
    """A rule that is changed neither forgets nor forgives."""
    for _ in range(20):
        ask("alice", Limit((Policy(20, 60),)))
        clock.go(1_000_000)
    verdict = ask("alice", Limit((Policy(5, 60),)))

    # Sixteen must be over before one is admitted: those of the first sixteen seconds.
    assert 60_000_000 - 20_000_000 + 15_000_000 == verdict.wait
    assert (0, 55) == verdict.numbers


def test_a_window_that_is_written_elsewhere_goes_on(ask, clock):
    """The order of policies means nothing, nor what else stands there."""
    two, hour = Policy(6, 120), Policy(100, 3600)
    assert [0] * 6 == [ask("alice", Limit((two,))).wait for _ in range(6)]
    clock.go(1_000_000)

    for policies in ((two, hour), (hour, two), (Policy(9, 1), two), (two,)):
        assert 119_000_000 == ask("alice", Limit(policies)).wait
    assert (94, 3599, 0, 119) == ask("alice", Limit((hour, two)), charge=False).numbers


def test_a_new_window_begins_with_what_is_known(ask, clock):
    """All of it, where a longer window was counted; else what the longest one still counts."""
    for _ in range(6):
        ask("alice", Limit((Policy(9, 60), Policy(9, 600))))
        clock.go(20_000_000)

    assert 3 == ask("alice", Limit((Policy(9, 300),)), charge=False).numbers[0]
    assert 5 == ask("alice", Limit((Policy(9, 100),)), charge=False).numbers[0]
    assert 2 == ask("alice", Limit((Policy(9, 3600),))).numbers[0]
    assert 5 == ask("alice", Limit((Policy(9, 60),))).numbers[0]
    assert 4 == ask("alice", Limit((Policy(9, 600),))).numbers[0]


@pytest.mark.slow
def test_a_record_is_small_whatever_comes(redis, clock):
    """At most 52 runs in a window, whatever the quota."""
    limit = Limit((Policy(10**9, 60), Policy(10**8, 3600)))
    ask = in_redis(clock, redis)
    largest = 0
    for _ in range(2000):
        ask("alice", limit)
        clock.go(777_777)
        largest = max(largest, redis.strlen("test:alice"))

    assert 3 + 2 * 30 + 2 * 12 * 52 >= largest


def test_a_record_in_a_process_is_small_too(clock):
    """Runs that are over are dropped in time."""
    storage = MemoryStorage(clock=clock)
    counter = storage.counter("rule", Limit((Policy(10**9, 60),)))
    for _ in range(5000):
        counter.prepare("alice")
        clock.go(777_777)
    (record,) = counter._table.records.values()

    assert 52 * 2 + 64 >= len(record.logs[0]._runs)


def test_a_clock_that_is_set_back_frees_nobody(redis, clock):
    """What was counted counts from then on, and not longer than its window."""
    limit = Limit((Policy(3, 60), Policy(2, 1)))
    ask = in_redis(clock, redis)
    ask("alice", limit)
    clock.go(2_000_000)
    ask("alice", limit)
    ask("alice", limit)
    clock.go(-3_600_000_000)

    assert 60_000_000 == ask("alice", limit).wait
    clock.go(30_000_000)
    assert 30_000_000 == ask("alice", limit).wait
    clock.go(30_000_000)
    assert Verdict(0, (2, 60, 1, 1)) == ask("alice", limit)


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"PR2", b"PR", b"x" * 1000, b"PR2" + b"\xff" * 30, b"PR2" + b"\xff" * 2000),
        b"PR2" + struct.pack("<IHIIdd", 60, 5, 3, 3, 1.7e15, 1.7e15),
        b"PR1" + struct.pack("<IHIIdd", 60, 0, 3, 3, 1.7e15, 1.7e15),
    ],
)
def test_a_value_of_somebody_else_is_replaced(redis, clock, value):
    """A key that holds garbage is nothing that was counted."""
    limit = Limit((Policy(3, 60), Policy(2, 1)))
    redis.set("test:alice", value)

    verdicts = [in_redis(clock, redis)("alice", limit).wait for _ in range(3)]

    assert [0, 0, 1_000_000] == verdicts


def test_a_value_that_is_far_too_large_is_not_read(own_redis, clock):
    """Reading it would keep everybody waiting."""
    limit = Limit((Policy(1, 60),))
    with Redis.from_url(own_redis.url) as redis:
        for _ in range(2):
            redis.set("test:alice", b"PR2")
            redis.setrange("test:alice", HUGE, b"x")
            ask = in_redis(clock, redis)
            assert [0, 60_000_000] == [ask("alice", limit).wait for _ in range(2)]
        assert 1.5 * HUGE > redis.info("memory")["used_memory_peak"]


def test_a_key_of_another_type_is_replaced(redis, clock):
    """Also one that is no string."""
    redis.rpush("test:alice", "a", "b")
    limit = Limit((Policy(1, 60),))
    ask = in_redis(clock, redis)

    assert [0, 60_000_000] == [ask("alice", limit).wait for _ in range(2)]
