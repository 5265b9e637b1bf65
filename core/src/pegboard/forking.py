"""What a forked process has to forget: threads, locks and connections stay with its parent."""

import logging
import os
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")

_resets: "weakref.WeakKeyDictionary[Any, Callable[[Any], object]]" = weakref.WeakKeyDictionary()


def after_fork(obj: T, reset: Callable[[T], object]) -> None:
    """Call `reset(obj)` in every process that is forked from now on, while `obj` exists.

    A fork copies only the thread that forks. Locks that other threads hold stay locked, and two
    processes that share a connection read each other's replies: so an object that has threads,
    locks or connections starts afresh. Registering `obj` does not keep it alive: `reset` is a
    function or a method of the class, not one bound to `obj`. An error that it raises is logged.
    """
    _resets[obj] = reset


def _reset_all() -> None:
    for obj, reset in tuple(_resets.items()):
        try:
            reset(obj)
        except Exception:
            logger.exception("a forked process could not reset %r", type(obj))


os.register_at_fork(after_in_child=_reset_all)
