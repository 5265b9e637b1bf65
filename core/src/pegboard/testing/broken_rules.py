"""Tests of a contract itself: that it fails for what breaks one of its rules."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest


def breaks(contract: type, rule: str, says: str, **parameters: str) -> Callable[[type], type]:
    """Make of a class with fixtures a test that passes when one rule of a contract fails.

    `rule` is the name of the contract's test, `says` a part of its message. `parameters` choose
    among the values that the rule is tested with.
    """

    def make(fixtures: type) -> type:
        checked = getattr(contract, rule)

        @wraps(checked)
        def fails(self: Any, **arguments: Any) -> None:
            with pytest.raises((pytest.fail.Exception, AssertionError)) as caught:
                checked(self, **arguments)
            said = " ".join(str(caught.value).split())
            assert says in said, said

        if parameters:
            fails.pytestmark = [  # type: ignore[attr-defined] # as pytest's marks are kept
                pytest.mark.parametrize(name, [value]).mark for name, value in parameters.items()
            ]
        others = {name: None for name in dir(contract) if name.startswith("test_")}
        members = {"__module__": fixtures.__module__, "__doc__": fixtures.__doc__}
        return type(fixtures.__name__, (fixtures, contract), {**others, **members, rule: fails})

    return make
