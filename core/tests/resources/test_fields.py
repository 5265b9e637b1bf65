"""The fields for schemas of resources, and what the document says of them."""

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from pegboard.resources import Moment

PATTERN = Moment().metadata["pattern"]


@given(st.datetimes(min_value=datetime(1, 1, 1)))  # noqa: DTZ001 - as they are stored
def test_the_pattern_has_every_time(moment):
    """With and without a fraction."""
    assert re.search(PATTERN, moment.isoformat())
    assert moment == Moment().deserialize(moment.isoformat())


@pytest.mark.slow
@given(st.from_regex(PATTERN.removesuffix("$"), fullmatch=True))
def test_what_the_pattern_has_is_a_time(text):
    """So a client that follows the document is never refused."""
    Moment().deserialize(text)


@pytest.mark.parametrize(
    "text", ["2023-02-29", "1900-02-29", "2024-02-30", "2024-04-31", "0000-01-01"]
)
def test_days_that_there_are_not_are_refused(text):
    """By the pattern as well."""
    assert not re.search(PATTERN, f"{text}T00:00:00")
    with pytest.raises(ValidationError):
        Moment().deserialize(f"{text}T00:00:00")
