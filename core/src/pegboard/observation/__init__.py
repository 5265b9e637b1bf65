"""Observers: code of plugins that sees every request and its answer, and the log of them.

What `__all__` lists is public; the other names are for the packages of the core.
"""

from pegboard.observation.access_log import AccessLog as AccessLog
from pegboard.observation.contract import (
    CLIENT_GONE,
    CORE,
    Observation,
    Observer,
    Part,
    PartKind,
)
from pegboard.observation.observers import Observers as Observers
from pegboard.observation.observers import get_observers as get_observers
from pegboard.observation.observers import init_observers as init_observers
from pegboard.observation.observers import set_trace_id
from pegboard.observation.slow_log import SlowLog as SlowLog
from pegboard.observation.statement_text import statement_text

__all__ = [
    "CLIENT_GONE",
    "CORE",
    "Observation",
    "Observer",
    "Part",
    "PartKind",
    "set_trace_id",
    "statement_text",
]
