"""What a test has shown while it ran, which `pegboard.testing.evidence` writes into the report."""

BUDGET = "budget"
"""Its requests were held to a number of statements or round trips."""

FAULT = "fault"
"""A server that it uses was stopped, killed, suspended or cut off."""

_shown: set[str] = set()


def show(what: str) -> None:
    """Note that the test that runs has shown something."""
    _shown.add(what)


def take() -> list[str]:
    """Return what has been shown since the last call."""
    found = sorted(_shown)
    _shown.clear()
    return found
