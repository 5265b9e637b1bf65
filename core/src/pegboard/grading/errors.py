"""What keeps a plugin from being graded, as a whole or in one respect."""


class GradeError(Exception):
    """Raised when a plugin cannot be graded; its text says what to do."""


class Unavailable(Exception):  # noqa: N818 - it is caught for each rule, and is no failure
    """Raised for evidence that cannot be had here, as tests without the source."""
