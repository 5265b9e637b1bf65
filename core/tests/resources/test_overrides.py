"""Steps that a subclass overrides wrongly are refused when the class is made."""

from functools import wraps
from typing import Any

import pytest

import pegboard
from pegboard.resources import ResourceError


def guarded(function: Any) -> Any:
    """A decorator that passes on what it is given."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, "somebody", **kwargs)

    return call


WRONG: dict[str, dict[str, Any]] = {
    "permit_write(self, operation) cannot be called as the core calls it; write def "
    "permit_write(self, operation, row=None)": {"permit_write": lambda self, operation: None},
    "permit_read(self, operation, row, who) cannot be": {
        "permit_read": lambda self, operation, row, who: None
    },
    "make() cannot be": {"make": staticmethod(lambda: None)},
    "change(cls, row) cannot be": {"change": classmethod(lambda cls, row: None)},
    "save(self) cannot be called as the core calls it; write def save(self, row)": {
        "save": lambda self: None
    },
    "rows is a method, not 'all'; write def rows(self)": {"rows": "all"},
    "nothing calls permit_wrte; did you mean permit_write?": {"permit_wrte": lambda self, *_: None},
    "nothing calls permit_deletion; did you mean permit_": {"permit_deletion": lambda self: None},
    "nothing calls chnge; did you mean change?": {"chnge": lambda self, row, values: None},
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_override_is_refused(message: str) -> None:
    """With the class, what is wrong with it, and what to write."""
    with pytest.raises(ResourceError) as caught:
        type("Reviews", (pegboard.Resource,), {**WRONG[message], "__module__": __name__})
    assert f"the class Reviews of a resource: {message}" in str(caught.value)


def test_a_step_that_nothing_awaits_is_refused() -> None:
    """The core would take the coroutine for the result."""
    with pytest.raises(ResourceError, match="make is called without await, and is async"):

        class Reviews(pegboard.Resource[Any]):
            async def make(self, values: dict[str, Any]) -> Any:
                return self.model(**values)


def test_the_override_of_a_mixin_is_refused() -> None:
    """It is the one that is called."""

    class Mixin:
        def permit_write(self, operation: Any) -> None: ...

    with pytest.raises(ResourceError, match=r"the class .*Reviews of a resource: permit_write"):

        class Reviews(Mixin, pegboard.Resource[Any]):  # type: ignore[misc]
            pass


def test_other_names_and_arguments_are_the_authors() -> None:
    """What can be called as the core does it, and what the module calls itself."""

    class Reviews(pegboard.Resource[Any]):
        def permit_read(self, kind: Any, row: Any = None, *, who: str = "") -> None:
            self.permit_reading(kind)

        def permit_reading(self, kind: Any) -> None: ...

        @guarded
        def permit_write(self, operation: Any, row: Any, who: str) -> None: ...

        def publish(self, row: Any) -> None: ...

    class Others(Reviews):
        def make(self, *values: Any) -> Any:
            return super().make(*values)

    assert issubclass(Others, pegboard.Resource)
