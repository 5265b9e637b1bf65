"""How limits are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegboard_ratelimit import Limit, Policy
from pegboard_ratelimit.rules import parse_limit
from pegboard_ratelimit.rules.limits import LimitError


@pytest.mark.parametrize(
    "text, policies",
    [
        ("100/minute", [(100, 60)]),
        ("100/minute;10/second", [(100, 60), (10, 1)]),
        ("10/2s", [(10, 2)]),
        (" 10 / 2 seconds ; 5/h ", [(10, 2), (5, 3600)]),
        ("1/SEC", [(1, 1)]),
        ("1/15min;2/m;3/days", [(1, 900), (2, 60), (3, 86400)]),
        ("1000000000/31d", [(1_000_000_000, 2_678_400)]),
    ],
)
def test_a_limit_is_a_number_and_a_time(text, policies):
    """Several hold together."""
    assert Limit(tuple(Policy(*policy) for policy in policies)) == parse_limit(text)


@pytest.mark.parametrize("text", ["none", " None "])
def test_none_is_no_limit(text):
    """Written out, so that nobody has it by mistake."""
    assert parse_limit(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "100", "minute", "100/", "/minute", "100/fortnight", "100 minutes", "-1/s", "1.5/s"),
        *("0/minute", "1/0s", "1000000001/s", "1/32d", "10/s;", ";", "1/s;2/second", "1/60s;2/m"),
        *("1/s;2/m;3/h;4/d;5/2d", "٣/s", "1/\u017f", "9" * 100 + "/s", "1/s none", "none;1/s"),
    ],
)
def test_what_is_no_limit_says_what_is_wrong(text):
    """In one sentence that quotes it."""
    with pytest.raises(LimitError, match=r".+\.$"):
        parse_limit(text)


@given(st.integers(1, 10**9), st.integers(1, 31 * 86400))
def test_a_limit_is_shown_as_it_can_be_written(quota, window):
    """Whatever its window."""
    limit = Limit((Policy(quota, window),))

    assert limit == parse_limit(str(limit))


@pytest.mark.parametrize(
    "window, period",
    [(1, "second"), (2, "2-seconds"), (60, "minute"), (90, "90-seconds"), (86400, "day")],
)
def test_a_window_has_a_name(window, period):
    """In the largest unit that fits."""
    assert period == Policy(1, window).period


def test_workers_share_a_limit():
    """Together they admit no more than the limit, unless there are more workers than requests."""
    limit = Limit((Policy(100, 60), Policy(3, 1)))

    assert Limit((Policy(25, 60), Policy(1, 1))) == limit.shared_by(4)
    assert limit == limit.shared_by(1)
