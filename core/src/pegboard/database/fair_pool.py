"""A connection pool that serves threads in the order in which they came."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from pegboard.deadline import seconds_left
from pegboard.fair_semaphore import FairSemaphore


def pool_class(timeout: float) -> type[QueuePool]:
    """Return a pool class with this time-out: `create_engine` would round it to whole seconds.

    SQLAlchemy's pool gives a connection to the thread that asks at the moment it is returned. Under
    load some threads then wait until the time-out while others are served again and again.
    """

    class FairPool(QueuePool):
        def __init__(self, creator: Callable[..., Any], **options: Any) -> None:
            super().__init__(creator, **{**options, "timeout": timeout})
            is_bounded = self.size() > 0 <= self._max_overflow
            count = self.size() + self._max_overflow
            self._permits = FairSemaphore(count) if is_bounded else None

        def _do_get(self) -> ConnectionPoolEntry:
            if self._permits is None:
                return super()._do_get()
            try:
                self._permits.acquire(max(0.0, min(timeout, seconds_left())))
            except TimeoutError:
                message = (
                    f"QueuePool limit of size {self.size()} overflow {self._max_overflow} reached, "
                    f"connection timed out, timeout {timeout:.2f}"
                )
                raise PoolTimeoutError(message, code="3o7r") from None
            try:
                return super()._do_get()
            except BaseException:
                self._permits.release()
                raise

        def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
            try:
                super()._do_return_conn(record)
            finally:
                if self._permits is not None:
                    self._permits.release()

    # The pool's logger is named after its class, and must remain one of SQLAlchemy's.
    FairPool.__module__ = QueuePool.__module__
    return FairPool
