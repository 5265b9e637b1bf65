"""What a request is admitted with: the client that waits for it, and the time that it has."""

import asyncio
from collections import Counter
from http import HTTPStatus

from pegboard.deadline import Deadline
from pegboard.http import APIError, unavailable
from pegboard.server.requests.client import Client, ClientGoneError

_PAUSE = 0.1
_LONGEST = 86_400.0


class Admission:
    """The claim of one request to be answered; says why it is given up, and counts that once."""

    __slots__ = ("_counts", "_is_counted", "client", "deadline")

    def __init__(self, client: Client, deadline: Deadline, counts: Counter[str]) -> None:
        """Begin; `counts` has how many requests were `refused`, `dropped` and `late`."""
        self.client = client
        self.deadline = deadline
        self._counts = counts
        self._is_counted = False

    @property
    def seconds_left(self) -> float:
        """Seconds until its time is over, for an event loop: neither negative nor endless."""
        return max(0.0, min(self.deadline.left, _LONGEST))

    def refused(self) -> APIError:
        """Return the answer when too many wait already."""
        self._count("refused")
        return unavailable("Too many requests are waiting at the moment. Try again.")

    def dropped(self) -> ClientGoneError:
        """Return what is raised when the client has gone before it was the request's turn."""
        self._count("dropped")
        return ClientGoneError("before its request was begun")

    def late(self) -> APIError:
        """Return the answer when the request was not begun in its time."""
        self._count("late")
        seconds = self.deadline.seconds
        return unavailable(
            f"It was not the request's turn within its time of {seconds:g} s. Try again."
        )

    def not_in_time(self) -> APIError:
        """Return the answer when the request was begun, but not answered in its time."""
        self._count("late")
        seconds = self.deadline.seconds
        return APIError(
            HTTPStatus.GATEWAY_TIMEOUT,
            f"The request was not answered within its time of {seconds:g} s.",
        )

    def interrupt(self) -> None:
        """End what is under way for it in the database, and what is begun there after that."""
        interrupts = [*self.deadline.interrupts]
        for interrupt in interrupts:
            interrupt()
        if interrupts:
            asyncio.get_running_loop().call_later(_PAUSE, self.interrupt)

    def _count(self, fate: str) -> None:
        if not self._is_counted:
            self._is_counted = True
            self._counts[fate] += 1
