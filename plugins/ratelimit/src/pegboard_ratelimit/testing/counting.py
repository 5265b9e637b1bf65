"""What a storage must count, and what it must say."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest

from pegboard.redis import Command
from pegboard_ratelimit.counting import (
    CheckedCounter,
    Counter,
    Storage,
    StorageError,
    Verdict,
)
from pegboard_ratelimit.rules import SECOND, Limit, Policy

THREE = Limit((Policy(3, 60),))
TWO_POLICIES = Limit((Policy(10, 60), Policy(2, 1)))
_ALIKE = ("a", "a:b", "a%3Ab", "a b", "A", "{a}", "user:a*", "ä", "x" * 300, "x" * 299 + "y", "a\n")
"""Clients that a careless key would take for each other."""

Ask = Callable[..., Verdict]
"""Asks for a client under a rule and a limit, charged or not; returns the verdict."""


def fail(sentence: str) -> NoReturn:
    """Fail the test with what the author of the storage has to do, and without a traceback."""
    pytest.fail(sentence, pytrace=False)


class Counting:
    """Admitting, refusing, and keeping clients and rules apart."""

    @pytest.fixture
    def ask(self, storage: Storage, request: pytest.FixtureRequest) -> Ask:
        """Ask the storage as the limiter does."""
        looked = storage.counter("rule", THREE).prepare("nobody", charge=False)
        # Of another thread pytest makes no fixture.
        channel = request.getfixturevalue("channel") if isinstance(looked, Command) else None

        def ask(
            client: str, limit: Limit = THREE, *, rule: str = "rule", charge: bool = True
        ) -> Verdict:
            counter = CheckedCounter(storage, rule, limit)
            try:
                found = counter.prepare(client, charge=charge)
                if isinstance(found, Command):
                    assert channel is not None
                    (reply,) = channel.exchange([found])
                    found = counter.complete(reply.value)
            except StorageError as error:
                fail(f"the storage cannot count: {error}. Return a Verdict as its docstring says")
            return found

        return ask

    def test_a_limit_is_admitted_and_no_more(self, ask: Ask) -> None:
        """The verdicts count down; a refusal says how long it holds."""
        verdicts = [ask("alice") for _ in range(5)]
        admitted = [not one.wait for one in verdicts]
        if admitted != [True] * 3 + [False] * 2:
            fail(
                f"of five requests under 3/minute these are admitted: {admitted}. Admit the first "
                "three, and return the microseconds to wait with all others"
            )
        if (left := [one.numbers[0] for one in verdicts]) != [2, 1, 0, 0, 0]:
            fail(f"the requests left of 3/minute are told as {left}: count down to 0")
        for one in verdicts[3:]:
            if one.wait > 61 * SECOND:
                fail(f"a refusal under 3/minute holds {one.wait} µs: it is more than the window")

    def test_looking_counts_nothing(self, ask: Ask) -> None:
        """With `charge=False` the verdict is as if the request had been counted."""
        looked = [ask("alice", charge=False) for _ in range(5)]
        counted = [ask("alice") for _ in range(3)]
        if any(one.wait for one in [*looked, *counted]):
            fail("a request is refused after some were only looked at: count none of charge=False")
        if not ask("alice", charge=False).wait:
            fail("charge=False admits what is refused: return the same verdict without counting")

    def test_what_one_policy_refuses_no_policy_counts(self, ask: Ask) -> None:
        """A request is counted by all policies of a limit, or by none."""
        left = [ask("alice", TWO_POLICIES).numbers[0] for _ in range(6)][-1]
        if left != 8:  # noqa: PLR2004 - two of ten were admitted
            fail(
                f"under 10/minute;2/second, {left} of the minute are left after two admitted and "
                "four refused requests, not 8: count a request by all policies or by none"
            )

    def test_clients_are_counted_apart(self, ask: Ask) -> None:
        """However alike their names are, and whatever is in them."""
        for client in _ALIKE:
            for number in range(3):
                if ask(client).wait:
                    fail(
                        f"request {number + 1} of the client {client!r:.40} is refused under "
                        "3/minute: make keys that no two clients share"
                    )

    def test_rules_are_counted_apart(self, ask: Ask) -> None:
        """A client has the limit of each rule."""
        for rule in ("a", "a:b", "a/*|GET", "ä", "{a}"):
            for _ in range(3):
                if ask("alice", rule=rule).wait:
                    fail(f"a request under the rule {rule!r} is refused for those under others")
        for _ in range(3):
            ask("b:c", rule="x")
        if ask("c", rule="x:b").wait:
            fail("the client c of the rule x:b is taken for b:c of x: quote what a key is made of")

    def test_counts_are_kept_when_a_limit_changes(self, ask: Ask) -> None:
        """`counter` is called again with the same rule then."""
        for _ in range(3):
            ask("alice")
        if ask("alice", Limit((Policy(5, 60),))).numbers[0] != 1:
            fail(
                "when 3/minute becomes 5/minute, the three requests of before are forgotten: keep "
                "the counts by rule and client, not by limit"
            )
        if not ask("alice", Limit((Policy(2, 60),)), charge=False).wait:
            fail("when 3/minute becomes 2/minute, a client that has sent three is admitted")

    def test_of_requests_at_once_no_more_are_admitted(self, ask: Ask) -> None:
        """From eight threads; each has a counter of its own, as in as many processes."""
        limit = Limit((Policy(20, 60),))
        with ThreadPoolExecutor(8) as threads:
            verdicts = [*threads.map(lambda _: ask("alice", limit), range(64))]
        admitted = sum(not one.wait for one in verdicts)
        if admitted != limit.policies[0].quota:
            fail(
                f"of 64 requests at once under 20/minute {admitted} are admitted, not 20: count "
                "and decide in one step, such as a script, a statement or a lock"
            )

    def test_a_client_that_has_waited_is_admitted(
        self, ask: Ask, pass_time: Callable[[float], None]
    ) -> None:
        """Not before, and for no longer than a fiftieth of the window."""
        for _ in range(3):
            ask("alice")
        wait = ask("alice").wait / SECOND
        pass_time(wait * 0.9)
        if not ask("alice").wait:
            fail(f"a client that is to wait {wait} s is admitted after {wait * 0.9} s")
        pass_time(wait * 0.1 + 0.001)
        if ask("alice").wait:
            fail(f"a client that has waited the {wait} s that it was told is refused")

    def test_no_window_holds_more_than_the_limit(
        self, ask: Ask, pass_time: Callable[[float], None]
    ) -> None:
        """Also none that lies across the edge of two minutes: asked twice a second, for three."""
        admitted = []
        for second in range(180):
            admitted += [second for _ in range(2) if not ask("alice").wait]
            pass_time(1)
        for start in admitted:
            inside = [one for one in admitted if start <= one < start + 59]
            if len(inside) > 3:  # noqa: PLR2004 - the quota
                fail(
                    f"within a minute {len(inside)} requests are admitted under 3/minute: count "
                    "in a window that slides, not by the minute of a clock"
                )

    def test_a_foreign_reply_is_no_verdict(self, storage: Storage) -> None:
        """What Redis replied may be another program's; else `complete` is never called."""
        counter: Counter = storage.counter("rule", THREE)
        if not isinstance(counter.prepare("alice"), Command):
            pytest.skip("the storage sends no commands to Redis")
        checked = CheckedCounter(storage, "rule", THREE)
        checked.prepare("alice")
        for value in (None, b"", b"\x80", -1, [], [b"0"], [0], "text"):
            try:
                found: Any = checked.complete(value)
            except StorageError:
                continue
            except Exception as error:  # noqa: BLE001 - it is told
                found = error
            fail(f"the reply {value!r} leads to {found!r}: raise StorageError")

    def test_it_says_whether_it_waits(self, storage: Storage) -> None:
        """`is_non_blocking` is True, or False, or not there."""
        found = getattr(storage, "is_non_blocking", False)
        if not isinstance(found, bool):
            fail(f"is_non_blocking is {found!r}: make it True if no counter ever waits")
