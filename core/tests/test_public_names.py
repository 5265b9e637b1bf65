"""What `pegboard` itself exports."""

import pytest

import pegboard
from pegboard import resources


def test_there_are_as_many_names_as_may_be() -> None:
    """A new one takes the place of one that fewer need."""
    assert 30 == len(pegboard.__all__)
    assert all(hasattr(pegboard, name) for name in pegboard.__all__)


def test_what_has_moved_is_found_where_it_was() -> None:
    """For one release, with the place where it is."""
    with pytest.warns(DeprecationWarning, match=r"goes in 0.2: use pegboard.resources.no_time"):
        moved = getattr(pegboard, "no_time_limit")  # noqa: B009 - type checkers know no old name
    assert resources.no_time_limit is moved


def test_other_names_are_missing() -> None:
    """As from any module."""
    with pytest.raises(AttributeError, match="module 'pegboard' has no attribute 'nothing'"):
        getattr(pegboard, "nothing")  # noqa: B009 - as above
