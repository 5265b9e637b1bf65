"""Both storages keep the contract of storages, and each of its rules finds one that does not."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from pegboard.redis import Channel, get_channel
from pegboard.testing.broken_rules import breaks
from pegboard_ratelimit import Limit, Policy, Verdict
from pegboard_ratelimit.counting import MemoryStorage, RedisStorage
from pegboard_ratelimit.testing import LimitStorageContract


class Timed:
    """A storage of the clock that the test moves."""

    kind: Any = MemoryStorage

    @pytest.fixture
    def storage(self, clock: Any) -> Any:
        """Make it."""
        return self.kind(clock=clock)

    @pytest.fixture
    def pass_time(self, clock: Any) -> Callable[[float], None]:
        """Move the clock."""
        return lambda seconds: clock.go(round(seconds * 1_000_000))


class TestMemoryStorage(Timed, LimitStorageContract):
    """The storage of one process."""


class TestRedisStorage(LimitStorageContract):
    """The storage of all processes."""

    @pytest.fixture
    def channel(self, make_app: Any, redis_url: str) -> Channel | None:
        """The channel of an app; a busy machine is no fault of Redis."""
        return get_channel(make_app(REDIS_URL=redis_url, REDIS_TIMEOUT=5))

    @pytest.fixture
    def storage(self) -> RedisStorage:
        """Its keys have a prefix of their own."""
        return RedisStorage("pb")


class Wrong:
    """A storage that counts in another one, and changes what a subclass changes."""

    is_non_blocking: Any = True

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.inner = MemoryStorage(clock=clock)

    def counter(self, rule: str, limit: Limit) -> Any:
        """Return a counter that asks `verdict`."""
        return _Counter(self, rule, limit)

    def verdict(self, rule: str, client: str, limit: Limit, charge: Any) -> Any:
        """Return the verdict of the other storage."""
        return self.inner.counter(rule, limit).prepare(client, charge=charge)


class _Counter:
    def __init__(self, storage: Any, rule: str, limit: Limit) -> None:
        self.storage, self.rule, self.limit = storage, rule, limit

    def prepare(self, client: str, *, charge: bool = True) -> Any:
        return self.storage.verdict(self.rule, client, self.limit, charge)


def wrong(rule: str, says: str, **members: Any) -> type:
    """Return the test of a storage with other members, which breaks a rule of the contract."""
    fixtures = type("Broken", (Timed,), {"kind": type("Broken", (Wrong,), members)})
    return breaks(LimitStorageContract, rule, says)(fixtures)


def one_more(self: Any, rule: str, client: str, limit: Limit, charge: Any) -> Any:
    """Admit one request more than the limit."""
    more = Limit(tuple(Policy(one.quota + 1, one.window) for one in limit.policies))
    return Wrong.verdict(self, rule, client, more, charge)


def policy_by_policy(self: Any, rule: str, client: str, limit: Limit, charge: Any) -> Any:
    """Ask each policy by itself."""
    found = [
        Wrong.verdict(self, f"{rule}{one}", client, Limit((one,)), charge) for one in limit.policies
    ]
    numbers = tuple(number for one in found for number in one.numbers)
    return Verdict(max(one.wait for one in found), numbers)


def look_then_count(eight: threading.Barrier) -> Callable[..., Any]:
    """Return a verdict that decides, and counts when eight requests at once are decided."""

    def verdict(self: Any, rule: str, client: str, limit: Limit, charge: Any) -> Any:
        found = Wrong.verdict(self, rule, client, limit, charge=False)
        if charge:
            eight.wait(30)
            if not found.wait:
                Wrong.verdict(self, rule, client, Limit((Policy(1000, 60),)), charge)
        return found

    return verdict


def half_the_wait(self: Any, rule: str, client: str, limit: Limit, charge: Any) -> Any:
    """Tell a time that is too short."""
    found = Wrong.verdict(self, rule, client, limit, charge)
    return found._replace(wait=found.wait // 2)


def by_the_minute(self: Any, rule: str, client: str, limit: Limit, charge: Any) -> Any:
    """Count by the minutes of the clock."""
    minute = self.clock.now // 60_000_000
    return Wrong.verdict(self, f"{rule}{minute}", client, limit, charge)


TestOneMore = wrong("test_a_limit_is_admitted_and_no_more", "these are admitted", verdict=one_more)
TestNoVerdict = wrong(
    "test_a_limit_is_admitted_and_no_more",
    "the storage cannot count: the storage Broken returned an invalid verdict on 3/minute",
    verdict=lambda *_: (0, (1, 1)),
)
TestCountsLooks = wrong(
    "test_looking_counts_nothing",
    "count none of charge=False",
    verdict=lambda self, rule, client, limit, _: Wrong.verdict(
        self, rule, client, limit, charge=True
    ),
)
TestPolicyByPolicy = wrong(
    "test_what_one_policy_refuses_no_policy_counts", "not 8", verdict=policy_by_policy
)
TestShortClients = wrong(
    "test_clients_are_counted_apart",
    "make keys that no two clients share",
    verdict=lambda self, rule, client, *rest: Wrong.verdict(self, rule, client[:200], *rest),
)
TestOneKey = wrong(
    "test_rules_are_counted_apart",
    "the client c of the rule x:b is taken for b:c of x",
    verdict=lambda self, rule, client, *rest: Wrong.verdict(self, "", f"{rule}:{client}", *rest),
)
TestNoRules = wrong(
    "test_rules_are_counted_apart",
    "is refused for those under others",
    verdict=lambda self, _, *rest: Wrong.verdict(self, "", *rest),
)
TestByLimit = wrong(
    "test_counts_are_kept_when_a_limit_changes",
    "keep the counts by rule and client",
    verdict=lambda self, rule, client, limit, charge: Wrong.verdict(
        self, f"{rule}{limit}", client, limit, charge
    ),
)
TestLookThenCount = wrong(
    "test_of_requests_at_once_no_more_are_admitted",
    "not 20",
    verdict=look_then_count(threading.Barrier(8)),
)
TestHalfTheWait = wrong(
    "test_a_client_that_has_waited_is_admitted",
    "that it was told is refused",
    verdict=half_the_wait,
)
TestByTheMinute = wrong(
    "test_no_window_holds_more_than_the_limit", "a window that slides", verdict=by_the_minute
)
TestSaysNo = wrong("test_it_says_whether_it_waits", "is_non_blocking is 'no'", is_non_blocking="no")


@breaks(LimitStorageContract, "test_a_foreign_reply_is_no_verdict", "the reply None leads to Verd")
class TestTrustsReplies:
    """It takes any reply for its own."""

    @pytest.fixture
    def storage(self) -> Any:
        """Its counter admits whatever Redis replies."""
        storage = RedisStorage("pb")
        counter: Any = type(
            "Trusting",
            (),
            {
                "prepare": lambda _, client, **__: storage.counter("rule", LIMIT).prepare(client),
                "complete": lambda *_: Verdict(0, (1, 1)),
            },
        )
        return type("Storage", (), {"counter": lambda *_: counter()})()


LIMIT = Limit((Policy(3, 60),))
